"""TwoStageRegressor: first find the rare rows, then predict how rare they are."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, _fit_context, clone
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from esmlearn.exceptions import ResamplingWarning
from esmlearn.over_sampling._regions import TargetRegions, check_region_numbers, make_regions
from esmlearn.over_sampling._thresholds import (
    BREAK_EVEN,
    fit_on_all,
    fit_on_folds,
    positive_scores,
    threshold,
    threshold_splits,
)
from esmlearn.utils._finite import check_finite
from esmlearn.utils._random import random_generator, seed_unseeded
from esmlearn.utils._sequences import refuse_text
from esmlearn.utils._targets import check_no_missing
from esmlearn.utils._warn import warn


class TwoStageRegressor(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Regression that predicts rare values as such: a classifier finds them, then a regressor.

    A regressor that minimises an error averages what it is not sure about, and never predicts a
    value that few rows have, whatever is over-sampled. Here a classifier for each rare region
    tells whether a row belongs to it. Its threshold is chosen on training rows that it was not
    fitted on (see `beta`). Rows that pass are predicted by a regressor fitted on the members of the
    region, all others by one whose predictions are kept out of the region.

    Parameters
    ----------
    regressor : regressor, default=None
        Fitted once for the usual rows (see `fit_usual_on`) and once on the members of each rare
        region; unless given standardised features and a ridge regression that chooses its own
        strength.
    classifier : classifier, default=None
        Has `decision_function` or `predict_proba`; unless given standardised features and a
        support vector machine with balanced class weights.
    regions : TargetRegions, array-like of float or None, default=None
        How the target is divided, as for `RegionOverSampler`.
    rare : array-like of int, default=None
        Numbers of the regions to find; by default those that are rare.
    beta : float or "break-even", default="break-even"
        How thresholds are chosen on training rows that the classifier was not fitted on. A number
        is the weight of recall against precision in the F-beta score that is made best: below 1 a
        false alarm counts more than a miss. ``"break-even"``: as many of those rows pass as are
        rare, so that their recall and precision are equal. It depends on a rank alone, which varies
        less from fold to fold than where a score has its maximum.
    fit_usual_on : {"all", "usual"}, default="all"
        Rows on which the regressor is fitted that predicts the rows that do not pass. Some of
        those are rare nevertheless: a regressor that saw all rows comes nearer to them, at a small
        cost to the others. ``"usual"`` leaves out the members of rare regions, for tails that are
        found reliably.
    cv : int, default=5
        Folds in which thresholds are chosen.
    ensemble : int, default=0
        With 0 the classifier is fitted once more, on all rows, and has the threshold of those of
        the folds. It has seen more rows than they and lets about a tenth more rows pass than it
        should. Otherwise the classifiers of the folds, which are drawn this often, score a new
        row by their mean, and the threshold is chosen on the mean scores of each row by those
        that were not fitted on it. As many rows pass as should, and a classifier that varies much
        from sample to sample, such as boosted trees, finds more; try 3. It takes ``cv *
        ensemble`` fits.
    n_jobs : int, default=None
        Processes for those folds.
    random_state : int, RandomState instance or None, default=None
        Seed of those folds, and of classifiers and regressors that have none of their own.

    Attributes
    ----------
    regions_ : TargetRegions
        The regions of the training targets.
    classifiers_ : dict of int to classifier
        The fitted classifier of each rare region; with `ensemble` an object whose `classifiers`
        they are.
    thresholds_ : dict of int to float
        Score from which on a row belongs to the region.
    regressors_ : dict of int to regressor
        The regressor of each rare region; -1 is that of the usual rows.
    n_features_in_ : int
        Number of features.

    Warns
    -----
    ResamplingWarning
        When no region is rare, or all are; when a rare region has fewer than two members, or leaves
        fewer than two other rows, so that it cannot be learned; when its members are of one family,
        which then cannot be left out.

    See Also
    --------
    RegionOverSampler : Adds rows to the rare regions.
    DenseWeightRegressor : Weights rows.

    Notes
    -----
    With homologous rows give `groups` to `fit`, else the thresholds are chosen on rows whose
    homologs the classifier was fitted on, and come out too high for proteins of new families.

    Examples
    --------
    >>> import numpy as np
    >>> from esmlearn.over_sampling import TwoStageRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 5))
    >>> y = np.where(X[:, 0] > 1.5, 90.0, 37.0) + rng.normal(size=300)
    >>> model = TwoStageRegressor(regions=[60.0], rare=[1], random_state=0).fit(X, y)
    >>> bool(model.predict([[3.0, 0, 0, 0, 0]])[0] > 60)
    True
    """

    # With metadata routing, groups that a splitter asks for do not come here without being asked.
    __metadata_request__fit = {"groups": False}

    _parameter_constraints: dict = {
        "regressor": [HasMethods(["fit", "predict"]), None],
        "classifier": [HasMethods(["fit", "predict"]), None],
        "regions": [TargetRegions, "array-like", None],
        "rare": ["array-like", None],
        "beta": [Interval(Real, 0, None, closed="neither"), StrOptions({BREAK_EVEN})],
        "fit_usual_on": [StrOptions({"all", "usual"})],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "ensemble": [Interval(Integral, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        regressor: Any = None,
        *,
        classifier: Any = None,
        regions: TargetRegions | ArrayLike | None = None,
        rare: ArrayLike | None = None,
        beta: float | str = BREAK_EVEN,
        fit_usual_on: str = "all",
        cv: int = 5,
        ensemble: int = 0,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.regressor = regressor
        self.classifier = classifier
        self.regions = regions
        self.rare = rare
        self.beta = beta
        self.fit_usual_on = fit_usual_on
        self.cv = cv
        self.ensemble = ensemble
        self.n_jobs = n_jobs
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, groups: ArrayLike | None = None) -> "TwoStageRegressor":
        """Fit classifiers, thresholds and regressors.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Targets.
        groups : array-like of shape (n_samples,), default=None
            Family of each row; no family is on both sides when thresholds are chosen.

        Returns
        -------
        self : TwoStageRegressor
            The fitted estimator.

        Raises
        ------
        DataError
            If the target is constant, a value is NaN or infinite, or a family is missing.
        """
        check_finite(np.asarray(y), "y")
        refuse_text(X)
        X, y = validate_data(self, X, y, ensure_all_finite=False, y_numeric=True)
        check_finite(X, "X")
        if groups is not None:
            check_no_missing(groups, "groups", what="family")
        self.regions_ = make_regions(self.regions).fit(y)
        labels = self.regions_.region(y)
        self.classifiers_: dict[int, Any] = {}
        self.thresholds_: dict[int, float] = {}
        self.regressors_: dict[int, Any] = {}
        self.ranges_: dict[int, tuple[float, float]] = {}
        for region in self._rare_regions():
            if self._count(labels == region, region) >= 2:
                self._fit_region(X, y, labels == region, region, groups)
        usual = ~np.isin(labels, list(self.classifiers_))
        learned = usual if self.fit_usual_on == "usual" else np.ones_like(usual)
        self.regressors_[-1] = self._make_regressor().fit(X[learned], y[learned])
        self.usual_range_ = float(y[usual].min()), float(y[usual].max())
        return self

    def predict_region(self, X: Any) -> NDArray:
        """Rare region to which each row is assigned.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        region : ndarray of int of shape (n_samples,)
            Number of the rare region whose threshold is passed by most, -1 for usual rows.
        """
        check_is_fitted(self, "regressors_")
        return self._assign(validate_data(self, X, reset=False))

    def predict(self, X: Any) -> NDArray:
        """Predict targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Predicted targets; those of a rare region lie within its training targets, all others
            within the usual training targets.
        """
        check_is_fitted(self, "regressors_")
        X = validate_data(self, X, reset=False)
        assigned = self._assign(X)
        y = np.empty(len(X))
        for region in np.unique(assigned).tolist():
            rows = assigned == region
            low, high = self.usual_range_ if region < 0 else self.ranges_[region]
            y[rows] = np.clip(self.regressors_[region].predict(X[rows]), low, high)
        return y

    def _rare_regions(self) -> list[int]:
        if self.rare is None:
            mask = self.regions_.rare_
        else:
            mask = check_region_numbers(self.rare, self.regions_.n_regions_)
        # With nothing but rare regions there would be no usual rows.
        if mask.all() or not mask.any():
            warn(
                f"{'All' if mask.all() else 'None'} of the regions of the target are rare, so one "
                "regressor predicts all rows. Name the rare ones with rare=, or set the threshold "
                "of TargetRegions.",
                ResamplingWarning,
            )
            return []
        return np.flatnonzero(mask).tolist()

    def _count(self, inside: NDArray, region: int) -> int:
        n_members, n_others = int(inside.sum()), int((~inside).sum())
        if min(n_members, n_others) < 2:
            warn(
                f"Region {region} has {n_members} members and there are {n_others} other rows; a "
                "classifier needs at least 2 of each, so the region will not be predicted.",
                ResamplingWarning,
            )
        return min(n_members, n_others)

    def _fit_region(
        self, X: NDArray, y: NDArray, inside: NDArray, region: int, groups: ArrayLike | None
    ) -> None:
        """Fit what finds and predicts the members of one region."""
        classifier = self._make_classifier()
        # One generator for all repetitions; with a number each would be the same.
        generator = random_generator(self.random_state) if self.ensemble else self.random_state
        splits = []
        for _ in range(max(1, self.ensemble)):
            splits += threshold_splits(
                X, inside, groups, region=region, n_splits=self.cv, random_state=generator
            )
        learn = fit_on_folds if self.ensemble else fit_on_all
        fitted, scores = learn(classifier, X, inside, splits=splits, n_jobs=self.n_jobs)
        self.classifiers_[region] = fitted
        self.thresholds_[region] = threshold(inside, scores, beta=self.beta)
        self.regressors_[region] = self._make_regressor().fit(X[inside], y[inside])
        self.ranges_[region] = float(y[inside].min()), float(y[inside].max())

    def _assign(self, X: NDArray) -> NDArray:
        """Rare region of each row, or -1."""
        assigned, margin = np.full(len(X), -1), np.zeros(len(X))
        for region, classifier in self.classifiers_.items():
            excess = positive_scores(classifier, X) - self.thresholds_[region]
            passes = (excess >= 0) & ((assigned < 0) | (excess > margin))
            assigned[passes], margin[passes] = region, excess[passes]
        return assigned

    def _make_classifier(self) -> Any:
        default = make_pipeline(StandardScaler(), SVC(class_weight="balanced"))
        classifier = default if self.classifier is None else clone(self.classifier)
        return seed_unseeded(classifier, self.random_state)

    def _make_regressor(self) -> Any:
        if self.regressor is not None:
            return seed_unseeded(clone(self.regressor), self.random_state)
        return make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 5, 11)))
