"""HomologyConformalClassifier: sets of classes that hold for every class."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y, check_is_fitted, column_or_1d

from esmlearn.conformal._base import ConformalEstimator, check_rows
from esmlearn.exceptions import DataError
from esmlearn.utils._targets import check_no_missing
from esmlearn.utils._warn import warn


def _has_proba(model: Any) -> bool:
    return hasattr(getattr(model, "estimator_", model.estimator), "predict_proba")


class HomologyConformalClassifier(ClassifierMixin, ConformalEstimator):
    """Sets of possible classes, by scores of proteins without homologs in training.

    The estimator is fitted on each of several homology folds, and the scores that it gives to the
    true classes of the proteins that a fold left out calibrate the sets. A class is possible where
    its score is not unusually low among the proteins *of that class* (label-conditional, or
    Mondrian, conformal prediction [1]_): the true class is in the set of about `confidence_level`
    of the proteins of each class, also of the rare ones, which a common level would give up.

    Parameters
    ----------
    estimator : classifier
        A classifier with `predict_proba` or `decision_function`, or a `Pipeline` that ends in one.
    cv : cross-validator, int or None, default=None
        As for `HomologyConformalRegressor`.
    confidence_level : float, default=0.9
        Share of the proteins of each class, above 0 and below 1, whose class shall be in the set.
        May be set to another value after fitting.
    n_jobs : int, default=None
        Folds that are fitted at the same time.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes.
    estimator_ : estimator
        Fitted on everything; it predicts.
    fold_estimators_ : list of estimator
        Fitted on the training part of each fold; each scores a new protein.
    scores_ : ndarray of shape (n_calibration,)
        Out-of-fold scores of the true classes.
    score_fold_, score_class_ : ndarray of int of shape (n_calibration,)
        Fold of each score, and the number of its class in `classes_`.

    See Also
    --------
    HomologyConformalRegressor : Intervals of a continuous target.
    coverage_report : Whether the sets hold, in all and in each class.

    Warns
    -----
    UserWarning
        If a class has too few rows for the level (9 at 0.9), so that it is in every set.

    Notes
    -----
    The p-value of a class is the share of its calibrating proteins whose out-of-fold score is not
    above the score of the new protein by the same fold's estimator, the new one counted in:
    cross-conformal prediction [2]_. The set holds the classes whose p-value is above
    ``1 - confidence_level``. It may be empty: no class fits.

    References
    ----------
    .. [1] Vovk, V., Gammerman, A. & Shafer, G. Algorithmic Learning in a Random World, section 4.5
       (Springer, 2005).
    .. [2] Vovk, V. Cross-conformal predictors. Ann. Math. Artif. Intell. 74, 9-28 (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GroupKFold
    >>> from esmlearn.conformal import HomologyConformalClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["cytosol", "membrane"], [150, 50])
    >>> X = rng.normal(size=(200, 2)) + (y == "membrane")[:, None]
    >>> model = HomologyConformalClassifier(LogisticRegression(), cv=GroupKFold(5))
    >>> model.fit(X, y, groups=np.arange(200) // 4).predict_set([[0, 0], [0.6, 0.6], [2, 2]])
    array([[ True, False],
           [ True,  True],
           [False,  True]])
    """

    def __init__(
        self,
        estimator: Any,
        *,
        cv: Any = None,
        confidence_level: float = 0.9,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.cv = cv
        self.confidence_level = confidence_level
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: ArrayLike, groups: Any = None, **fit_params: Any) -> Self:
        """Fit the estimator on every fold and on everything, and keep the scores of the folds.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            What the estimator takes, such as sequences.
        y : array-like of shape (n_rows,)
            Classes.
        groups : array-like of shape (n_rows,), default=None
            For the splitter: of `CDHitGroupSplitter` the sequences, where X is numeric.
        **fit_params : dict
            For the estimator's fit; values per row are cut to the rows of each fold.

        Returns
        -------
        self : HomologyConformalClassifier

        Raises
        ------
        DataError
            If a class is missing, or a row is in two test parts.
        """
        X, y, groups = check_rows(X, y, groups)
        check_no_missing(y, "y")
        y = _check_y(y, estimator=self)
        check_classification_targets(y)
        self.classes_, number = np.unique(y, return_inverse=True)
        folds = self._fit_folds(X, y, groups, fit_params)
        self.fold_estimators_ = folds.estimators
        scores = np.concatenate(folds.on_tests(self._scores, X))
        self._keep(scores, number[folds.rows], folds.fold)
        return self

    @classmethod
    def from_scores(
        cls, estimator: Any, y: Any, scores: ArrayLike, *, confidence_level: float = 0.9
    ) -> Self:
        """Calibrate a fitted estimator by out-of-fold scores that were made before.

        Parameters
        ----------
        estimator : classifier
            Fitted on everything; it scores new rows.
        y : array-like of shape (n_rows,)
            Classes.
        scores : array-like of shape (n_rows, n_classes)
            Probabilities or decision values by estimators that did not see a homolog of the
            protein; columns in the order of ``estimator.classes_``.
        confidence_level : float, default=0.9
            As for the class.

        Returns
        -------
        model : HomologyConformalClassifier
            Fitted, with one estimator.

        Raises
        ------
        DataError
            If a class is not one of the estimator's, or there is not a column for each.
        """
        model = cls(estimator, confidence_level=confidence_level)
        model._validate_params()
        y, scores, known = column_or_1d(y), np.asarray(scores), np.asarray(estimator.classes_)
        strange = np.flatnonzero(~np.isin(y, known))
        if len(strange):
            raise DataError(
                f"y[{strange[0]}] is {y[strange].tolist()[0]!r}; expected one of the classes of "
                f"the estimator, {', '.join(map(repr, known.tolist()))}."
            )
        number = np.searchsorted(known, y)
        if scores.shape != (len(number), len(known)):
            raise DataError(
                f"scores has the shape {scores.shape}; expected {(len(number), len(known))}, a "
                f"column for each class."
            )
        model.classes_, model.estimator_, model.fold_estimators_ = known, estimator, [estimator]
        model._keep(scores, number, np.zeros_like(number))
        return model

    @available_if(_has_proba)
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probabilities of the estimator that was fitted on everything.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            What the estimator takes.

        Returns
        -------
        probabilities : ndarray of shape (n_rows, n_classes)
            In the order of `classes_`.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    def predict_set(self, X: Any) -> NDArray[np.bool_]:
        """Return which classes are possible.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            What the estimator takes.

        Returns
        -------
        sets : ndarray of bool of shape (n_rows, n_classes)
            Whether each class is in the set of each row.
        """
        return self.p_values(X) > 1 - self.confidence_level

    def p_values(self, X: Any) -> NDArray[np.float64]:
        """Return the p-value of each class.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            What the estimator takes.

        Returns
        -------
        p_values : ndarray of shape (n_rows, n_classes)
            How usual the score of a protein is among those of each class, above 0 and at most 1.
        """
        check_is_fitted(self)
        below = np.zeros(1, dtype=np.intp)
        for fold, estimator in enumerate(self.fold_estimators_):
            scores = self._scores(estimator, X)
            below = below + np.column_stack(
                [
                    np.searchsorted(self._calibration(fold, label), scores[:, label], side="right")
                    for label in range(len(self.classes_))
                ]
            )
        counts = np.bincount(self.score_class_, minlength=len(self.classes_))
        return (below + 1) / (counts + 1)

    def _calibration(self, fold: int, label: int) -> NDArray:
        """Return the sorted scores of a class by one fold's estimator."""
        return np.sort(self.scores_[(self.score_fold_ == fold) & (self.score_class_ == label)])

    def _scores(self, estimator: Any, X: Any) -> NDArray:
        """Return a score for each class; one that the estimator never saw has the lowest."""
        if hasattr(estimator, "predict_proba"):
            scores = np.asarray(estimator.predict_proba(X))
        elif hasattr(estimator, "decision_function"):
            scores = np.asarray(estimator.decision_function(X))
        else:
            raise DataError(
                f"{estimator!r} has neither predict_proba nor decision_function; expected a "
                f"classifier that scores classes."
            )
        if scores.ndim == 1:
            scores = np.column_stack([-scores, scores])
        every = np.full((len(scores), len(self.classes_)), -np.inf)
        every[:, np.searchsorted(self.classes_, estimator.classes_)] = scores
        return every

    def _keep(self, scores: NDArray, number: NDArray, fold: NDArray) -> None:
        """Keep the scores of the true classes."""
        self.score_fold_, self.score_class_ = fold, number
        self.scores_ = scores[np.arange(len(number)), number]
        self._warn_of_small_classes()

    def _warn_of_small_classes(self) -> None:
        counts = np.bincount(self.score_class_, minlength=len(self.classes_))
        small = 1 / (counts + 1) > 1 - self.confidence_level
        if small.any():
            named = ", ".join(
                f"{c} ({n})" for c, n in zip(self.classes_[small], counts[small], strict=True)
            )
            warn(
                f"these classes have too few rows for confidence_level={self.confidence_level}, "
                f"and will be in every set: {named}. Join them, or choose a lower level."
            )
