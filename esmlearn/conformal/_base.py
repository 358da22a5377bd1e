"""Base of the conformal estimators: fits on homology folds, and what each fold did not see."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from joblib import delayed
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import _safe_indexing, get_tags, indexable
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import _check_method_params, _num_samples, check_is_fitted

from esmlearn.exceptions import DataError
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.utils._parallel import iterate_results


@dataclass(frozen=True)
class FoldFits:
    """Estimators fitted on the training parts of folds, and the rows of the test parts."""

    estimators: list[Any]
    tests: list[NDArray[np.intp]]

    @property
    def rows(self) -> NDArray[np.intp]:
        """Every row that is tested, fold by fold."""
        return np.concatenate(self.tests)

    @property
    def fold(self) -> NDArray[np.intp]:
        """Number of the fold of each of these rows."""
        return np.repeat(np.arange(len(self.tests)), [len(test) for test in self.tests])

    def on_tests(self, function: Callable[[Any, Any], Any], X: Any) -> list[Any]:
        """Return what a function gives for each estimator and the rows that it did not see."""
        return [
            function(estimator, _safe_indexing(X, rows))
            for estimator, rows in zip(self.estimators, self.tests, strict=True)
        ]


class ConformalEstimator(MetaEstimatorMixin, BaseEstimator):
    """Base of the conformal estimators: fits on folds, predicts by `estimator_`."""

    _parameter_constraints: dict[str, list[Any]] = {
        "estimator": [HasMethods(["fit", "predict"])],
        "cv": [
            HasMethods(["split", "get_n_splits"]),
            Interval(Integral, 2, None, closed="left"),
            None,
        ],
        "confidence_level": [Interval(Real, 0, 1, closed="neither")],
        "n_jobs": [Integral, None],
    }

    estimator: Any
    estimator_: Any
    cv: Any
    confidence_level: float
    n_jobs: int | None

    def predict(self, X: Any) -> NDArray:
        """Predict by the estimator that was fitted on everything.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            What the estimator takes, such as sequences.

        Returns
        -------
        y : ndarray of shape (n_rows,)
            Predictions.
        """
        check_is_fitted(self)
        return self.estimator_.predict(X)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return the routing of the metadata of the estimator's fit and of the splitter.

        Returns
        -------
        routing : MetadataRouter
        """
        router = MetadataRouter(owner=type(self).__name__)
        to = MethodMapping()
        router.add(estimator=self.estimator, method_mapping=to.add(caller="fit", callee="fit"))
        to = MethodMapping()
        return router.add(
            splitter=self._splitter(), method_mapping=to.add(caller="fit", callee="split")
        )

    @property
    def n_features_in_(self) -> int:
        """Number of features, where the estimator counts them."""
        check_is_fitted(self)
        return self.estimator_.n_features_in_

    def __sklearn_tags__(self) -> Any:
        """Take over what the estimator says about its input."""
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags

    def _splitter(self) -> Any:
        """Return the splitter of the calibration folds."""
        if self.cv is None:
            return CDHitGroupSplitter()
        return CDHitGroupSplitter(int(self.cv)) if isinstance(self.cv, Integral) else self.cv

    def _fit_folds(self, X: Any, y: Any, groups: Any, fit_params: dict[str, Any]) -> FoldFits:
        """Fit the estimator on each fold and, as `estimator_`, on everything."""
        if _routing_enabled():
            given = fit_params if groups is None else {**fit_params, "groups": groups}
            routed = process_routing(self, "fit", **given)
            params, split_params = routed["estimator"]["fit"], routed["splitter"]["split"]
        else:
            params, split_params = fit_params, {} if groups is None else {"groups": groups}
        trains, tests = zip(*self._splitter().split(X, y, **split_params), strict=True)
        self._check_tests(tests)
        fits = (
            delayed(_fit)(self.estimator, X, y, params, rows)
            for rows in [*trains, np.arange(_num_samples(X))]
        )
        *estimators, self.estimator_ = iterate_results(fits, n_jobs=self.n_jobs)
        return FoldFits(estimators, list(tests))

    def _check_tests(self, tests: Sequence[NDArray[np.intp]]) -> None:
        rows, counts = np.unique(np.concatenate(tests), return_counts=True)
        if counts.max() > 1:
            raise DataError(
                f"cv={self.cv!r} tests row {rows[counts.argmax()]} {counts.max()} times; expected "
                f"each row in one test part at most, as by CDHitGroupSplitter."
            )


def _fit(estimator: Any, X: Any, y: Any, params: dict[str, Any], rows: NDArray[np.intp]) -> Any:
    """Return a clone that is fitted on some rows."""
    params = _check_method_params(X, params, rows)
    return clone(estimator).fit(_safe_indexing(X, rows), _safe_indexing(y, rows), **params)


def check_rows(X: Any, y: Any, groups: Any) -> tuple[Any, Any, Any]:
    """Return what was given as arrays that can be indexed, all of the same length."""
    if y is None:
        raise DataError("fit requires y to be passed, but the target y is None.")
    return tuple(indexable(X, y, groups))
