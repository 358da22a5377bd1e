"""HomologyConformalRegressor: prediction intervals that hold in every region of the target."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_is_fitted, column_or_1d

from esmlearn.conformal._base import ConformalEstimator, check_rows
from esmlearn.exceptions import DataError
from esmlearn.metrics._inputs import check_predictions
from esmlearn.over_sampling import TargetRegions
from esmlearn.over_sampling._regions import make_regions
from esmlearn.over_sampling._target import as_numeric_column

_BLOCK = 1 << 22  # numbers held at once while intervals are made: 32 MB
_FLOOR = 0.1  # share of the mean difficulty that is added to each, so that none is zero
# Of what may lie beyond the bounds of a region, the share below: the ways that are tried.
# Another than the first has to make sets so much narrower.
_SHARES, _NARROWER = np.array([0.5, 0.0, 0.25, 0.75, 1.0]), 0.95


class HomologyConformalRegressor(RegressorMixin, ConformalEstimator):
    """Prediction intervals from errors on proteins without homologs in training.

    The estimator is fitted on each of several homology folds, and its errors on the proteins that
    a fold left out calibrate the intervals: they are errors on unseen families, as are those to
    come. A new protein of an unseen family lies in its interval with a probability of about
    `confidence_level` [1]_.

    That is an average. A model that misses most proteins above 85 °C by far keeps the promise by
    the many others. With `regions` it is kept in each region of the target by itself
    (label-conditional, or Mondrian, conformal prediction [2]_, here of a continuous target): a
    value counts as possible if its distance to the prediction is usual among the proteins of *its
    own* region. The values that are possible are then an interval or, at times, several.

    Parameters
    ----------
    estimator : regressor
        A regressor or a `Pipeline` that ends in one.
    cv : cross-validator, int or None, default=None
        Calibration folds, of which each row is in one test part at most; a number, or None (5), is
        that of the splits of `CDHitGroupSplitter`. Rows in no test part do not calibrate.
    confidence_level : float, default=0.9
        Share of proteins, above 0 and below 1, whose target shall lie in its interval. May be set
        to another value after fitting.
    regions : TargetRegions, array-like of float or None, default=None
        Regions of the target in each of which the level shall hold; a list of numbers is their
        inner edges. None is one region, all of the target. Every further region costs width.
    method : {"plus", "base", "minmax"}, default="plus"
        - ``"plus"``: CV+ [1]_. A new protein is predicted by every fold's estimator, and each error
          is added to the prediction of the fold that it comes from.
        - ``"base"``: errors are added to the prediction of the estimator that was fitted on
          everything. Only that one is kept, and predicts.
        - ``"minmax"``: errors are added to the least and the greatest of the folds' predictions:
          wider, and sure to cover [1]_.
    difficulty : {"std"} or None, default=None
        What errors are divided by, so that intervals adapt to the protein: ``"std"`` is that of
        ``predict(X, return_std=True)`` of the estimator (an ensemble, a Gaussian process). None
        makes intervals of one width, save for the regions.
    n_jobs : int, default=None
        Folds that are fitted at the same time.

    Attributes
    ----------
    estimator_ : estimator
        Fitted on everything; it predicts.
    fold_estimators_ : list of estimator
        Fitted on the training part of each fold; empty for ``method="base"``.
    regions_ : TargetRegions or None
        The regions of the training targets.
    predictions_, difficulties_ : ndarray of shape (n_calibration,)
        Out-of-fold predictions of the rows that calibrate, and their difficulties (or 1).
    residuals_ : ndarray of shape (n_calibration,)
        Target minus prediction, over the difficulty.
    residual_fold_, residual_region_ : ndarray of int of shape (n_calibration,)
        Fold and region of each residual.

    See Also
    --------
    HomologyConformalClassifier : Sets of classes.
    coverage_report : Whether the intervals hold, in all and in parts.

    Notes
    -----
    Of n residuals of a region, ``(1 - confidence_level) (n + 1)`` lie on or beyond the bounds,
    rounded down, which takes 19 rows at 0.9: half of them on either side, or none, a quarter, three
    quarters or all of them below, where that makes the sets of the calibrating rows narrower by
    more than 5 %. A rare region is mostly missed on one side, and half of its level spent on the
    other makes the sets of all proteins wider.

    CV+ is sure to cover ``1 - 2 (1 - confidence_level)`` and covers about `confidence_level` of
    exchangeable proteins [1]_. Proteins are exchangeable with those of training only if they come
    from the same source.

    The fit takes one fit of the estimator per fold and one more.

    References
    ----------
    .. [1] Barber, R. F., Candès, E. J., Ramdas, A. & Tibshirani, R. J. Predictive inference with
       the jackknife+. Ann. Statist. 49, 486-507 (2021).
    .. [2] Vovk, V., Gammerman, A. & Shafer, G. Algorithmic Learning in a Random World, section 4.5
       (Springer, 2005).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import GroupKFold
    >>> from esmlearn.conformal import HomologyConformalRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> y = 50 + 10 * X[:, 0] + rng.normal(size=200)
    >>> model = HomologyConformalRegressor(Ridge(), cv=GroupKFold(5))
    >>> intervals = model.fit(X, y, groups=np.arange(200) // 4).predict_interval(X[:2])
    >>> intervals.round(1)
    array([[49.5, 52.9],
           [49.3, 52.8]])
    """

    _parameter_constraints = {
        **ConformalEstimator._parameter_constraints,
        "regions": [HasMethods(["fit", "region"]), "array-like", None],
        "method": [StrOptions({"plus", "base", "minmax"})],
        "difficulty": [StrOptions({"std"}), None],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        cv: Any = None,
        confidence_level: float = 0.9,
        regions: TargetRegions | ArrayLike | None = None,
        method: str = "plus",
        difficulty: str | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.cv = cv
        self.confidence_level = confidence_level
        self.regions = regions
        self.method = method
        self.difficulty = difficulty
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, groups: Any = None, **fit_params: Any) -> Self:
        """Fit the estimator on every fold and on everything, and keep the errors of the folds.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            What the estimator takes, such as sequences.
        y : array-like of shape (n_rows,)
            Targets.
        groups : array-like of shape (n_rows,), default=None
            For the splitter: of `CDHitGroupSplitter` the sequences, where X is numeric.
        **fit_params : dict
            For the estimator's fit; values per row are cut to the rows of each fold.

        Returns
        -------
        self : HomologyConformalRegressor

        Raises
        ------
        DataError
            If a target is NaN or infinite, a row is in two test parts, or a region has too few
            rows for the confidence level.
        """
        X, y, groups = check_rows(X, y, groups)
        y = as_numeric_column(column_or_1d(y, warn=True))
        self._learn_regions(y)
        folds = self._fit_folds(X, y, groups, fit_params)
        tested = zip(*folds.on_tests(self._predict, X), strict=True)
        predicted, difficulty = map(np.concatenate, tested)
        self.fold_estimators_ = [] if self.method == "base" else folds.estimators
        self.floor_ = 0.0 if self.difficulty is None else float(_FLOOR * difficulty.mean())
        self._keep(y[folds.rows], predicted, difficulty + self.floor_, folds.fold)
        return self

    @classmethod
    def from_predictions(
        cls,
        estimator: Any,
        y: ArrayLike,
        y_pred: ArrayLike,
        *,
        confidence_level: float = 0.9,
        regions: TargetRegions | ArrayLike | None = None,
    ) -> Self:
        """Calibrate a fitted estimator by out-of-fold predictions that were made before.

        Parameters
        ----------
        estimator : regressor
            Fitted on everything.
        y : array-like of shape (n_rows,)
            Targets.
        y_pred : array-like of shape (n_rows,)
            Their predictions by estimators that did not see a homolog of the protein, such as of
            ``cross_val_predict(..., cv=CDHitGroupSplitter())``.
        confidence_level : float, default=0.9
            As for the class.
        regions : TargetRegions, array-like of float or None, default=None
            As for the class.

        Returns
        -------
        model : HomologyConformalRegressor
            Fitted, with ``method="base"``.
        """
        model = cls(estimator, confidence_level=confidence_level, regions=regions, method="base")
        model._validate_params()
        y, y_pred = check_predictions(y, y_pred)
        model._learn_regions(y)
        model.estimator_, model.fold_estimators_, model.floor_ = estimator, [], 0.0
        model._keep(y, y_pred, np.ones(len(y)), np.zeros(len(y), dtype=np.intp))
        return model

    def predict_interval(self, X: Any) -> NDArray[np.float64]:
        """Return the interval from the least to the greatest possible value of each row.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            What the estimator takes.

        Returns
        -------
        intervals : ndarray of shape (n_rows, 2)
            Lower and upper bound, in units of the target.

        Raises
        ------
        DataError
            If a region has too few rows for the confidence level.
        """
        return np.array([(pieces[0, 0], pieces[-1, 1]) for pieces in self.predict_set(X)])

    def predict_set(self, X: Any) -> list[NDArray[np.float64]]:
        """Return the possible values of each row.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            What the estimator takes.

        Returns
        -------
        sets : list of ndarray of shape (n_pieces, 2)
            For each row the lower and upper bounds of its intervals, ascending. With regions there
            may be several, with values between them that are not possible; never none: where no
            value is possible by any region, the prediction itself is left.

        Raises
        ------
        DataError
            If a region has too few rows for the confidence level.
        """
        check_is_fitted(self)
        low, high = self._bounds(X)
        edges = self._edges()
        low, high = np.maximum(low, edges[:-1]), np.minimum(high, edges[1:])
        sets = []
        for row in np.stack([low, high], axis=2):
            pieces = row[row[:, 0] <= row[:, 1]]
            meet = np.flatnonzero(pieces[1:, 0] == pieces[:-1, 1])  # at an edge
            starts, ends = np.delete(pieces[:, 0], meet + 1), np.delete(pieces[:, 1], meet)
            sets.append(np.column_stack([starts, ends]))
        empty = [i for i, pieces in enumerate(sets) if not len(pieces)]
        if empty:
            for i, value in zip(empty, self.predict(_safe_indexing(X, empty)), strict=True):
                sets[i] = np.full((1, 2), value)
        return sets

    def predict_quantiles(self, X: Any, quantiles: ArrayLike) -> NDArray[np.float64]:
        """Return quantiles of the values that each row may have.

        They are the prediction plus quantiles of the out-of-fold errors, over and times the
        difficulty (a split conformal predictive distribution [1]_), whatever regions and method.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            What the estimator takes.
        quantiles : array-like of float of shape (n_quantiles,)
            Probabilities, 0-1.

        Returns
        -------
        values : ndarray of shape (n_rows, n_quantiles)
            In units of the target.

        References
        ----------
        .. [1] Vovk, V., Petej, I., Nouretdinov, I., Manokhin, V. & Gammerman, A. Computationally
           efficient versions of conformal predictive distributions. Neurocomputing 397, 292-308
           (2020).
        """
        check_is_fitted(self)
        y, difficulty = self._predict(self.estimator_, X)
        scale = np.asarray(difficulty) + self.floor_
        return y[:, None] + scale[:, None] * np.quantile(
            self.residuals_, np.asarray(quantiles, float)
        )

    def _learn_regions(self, y: NDArray) -> None:
        self.regions_ = None if self.regions is None else make_regions(self.regions).fit(y)
        self._check_counts(y)  # before the work

    def _check_counts(self, y: NDArray) -> None:
        counts = np.bincount(self._region(y), minlength=len(self._edges()) - 1)
        for region, count in enumerate(counts.tolist()):
            self._n_beyond(region, count)

    def _edges(self) -> NDArray[np.float64]:
        """Return all edges of the regions, the outer ones infinite."""
        inner = [] if self.regions_ is None else self.regions_.edges_
        return np.r_[-np.inf, inner, np.inf]

    def _region(self, y: NDArray) -> NDArray[np.intp]:
        return np.searchsorted(self._edges()[1:-1], y, side="right")

    def _n_beyond(self, region: int, n_rows: int) -> int:
        """Return how many residuals of a region lie on or beyond its two bounds."""
        miss = 1 - self.confidence_level
        n_beyond = int(miss * (n_rows + 1) + 1e-9)  # 0.1 * 20 is a little less than 2
        if n_beyond < 2:
            low, high = self._edges()[region : region + 2]
            least = int(np.ceil(2 / miss - 1e-9)) - 1
            raise DataError(
                f"n_samples={n_rows} in the region from {low:g} to {high:g}; expected at least "
                f"{least} for confidence_level={self.confidence_level}. Join the region to its "
                f"neighbour (regions=), or choose a lower level."
            )
        return n_beyond

    def _ranks(self, region: int) -> tuple[int, int]:
        """Return how many residuals of a region lie on or beyond its lower and its upper bound.

        Evenly, unless the sets of the calibrating rows are clearly narrower otherwise.
        """
        mine = self.residual_region_ == region
        n_beyond = self._n_beyond(region, int(mine.sum()))
        residuals = np.r_[-np.inf, np.sort(self.residuals_[mine]), np.inf]
        low, high = self._edges()[region : region + 2]
        floor, ceiling = np.clip([low, high], self.y_min_, self.y_max_)
        # A region that ends at an edge may do without a bound on that side.
        ways = np.unique(np.round(n_beyond * _SHARES)).astype(int)
        ways = ways[(ways >= np.isinf(low)) & (n_beyond - ways >= np.isinf(high))]
        widths = []
        for below in ways:
            least, greatest = residuals[below], residuals[-1 - (n_beyond - below)]
            start = np.maximum(self.predictions_ + least * self.difficulties_, floor)
            end = np.minimum(self.predictions_ + greatest * self.difficulties_, ceiling)
            widths.append(np.maximum(end - start, 0).mean())
        even, best = int(np.argmin(np.abs(ways - n_beyond / 2))), int(np.argmin(widths))
        below = int(ways[best if widths[best] < _NARROWER * widths[even] else even])
        return below, n_beyond - below

    def _keep(self, y: NDArray, y_pred: NDArray, difficulty: NDArray, fold: NDArray) -> None:
        """Keep what calibrates."""
        self._check_counts(y)  # of the rows that were tested
        self.y_min_, self.y_max_ = float(y.min()), float(y.max())
        self.predictions_, self.difficulties_ = y_pred, difficulty
        self.residuals_ = (y - y_pred) / difficulty
        self.residual_fold_, self.residual_region_ = fold, self._region(y)

    def _predict(self, estimator: Any, X: Any) -> tuple[NDArray, NDArray]:
        """Return predictions, and how difficult they are."""
        if self.difficulty == "std":
            return estimator.predict(X, return_std=True)
        y = estimator.predict(X)
        return y, np.ones(len(y))

    def _bounds(self, X: Any) -> tuple[NDArray, NDArray]:
        """Return the bounds of each row by the residuals of each region, whatever its edges."""
        estimators = self.fold_estimators_ or [self.estimator_]
        found = [self._predict(estimator, X) for estimator in estimators]
        centre, scale = (np.column_stack(values) for values in zip(*found, strict=True))
        scale = scale + self.floor_
        bounds = []
        for region in range(len(self._edges()) - 1):
            mine = self.residual_region_ == region
            residuals, fold = self.residuals_[mine], self.residual_fold_[mine]
            below, above = self._ranks(region)
            if self.method == "plus":
                bounds.append(_plus_bounds(centre, scale, residuals, fold, below, above))
            else:
                ordered = np.r_[-np.inf, np.sort(residuals), np.inf]
                least, greatest = ordered[below], ordered[-1 - above]
                low, high = centre + least * scale, centre + greatest * scale
                bounds.append((low.min(axis=1), high.max(axis=1)))
        low, high = (np.column_stack(values) for values in zip(*bounds, strict=True))
        return low, high


def _plus_bounds(
    centre: NDArray, scale: NDArray, residuals: NDArray, fold: NDArray, below: int, above: int
) -> tuple[NDArray, NDArray]:
    """Return the bounds of each row: so many of its predictions plus residuals lie beyond them."""
    low, high = np.full(len(centre), -np.inf), np.full(len(centre), np.inf)
    step = max(1, _BLOCK // len(residuals))
    ranks = [r for r, n in ((below - 1, below), (len(residuals) - above, above)) if n]
    for start in range(0, len(centre), step):
        block = slice(start, start + step)
        values = centre[block][:, fold] + scale[block][:, fold] * residuals
        values.partition(ranks, axis=1)
        if below:
            low[block] = values[:, below - 1]
        if above:
            high[block] = values[:, -above]
    return low, high
