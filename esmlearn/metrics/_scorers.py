"""Scorers for grids and cross-validation that see the rare regions."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import make_scorer

from esmlearn.exceptions import DataError
from esmlearn.metrics._inputs import check_regions
from esmlearn.metrics._regions import (
    balanced_mean_absolute_error,
    region_errors,
    region_precision_recall_fscore,
)
from esmlearn.metrics._relevance import relevance_weighted_rmse, sera, spearman, utility_f1
from esmlearn.over_sampling import TargetRegions

_WORST_ERROR = 1e30  # finite, so that means and ranks over folds stay defined


def _classification(position: int) -> Callable:
    def score(y_true: NDArray, y_pred: NDArray, *, regions: Any, labels: Any, beta: float) -> float:
        scores = region_precision_recall_fscore(
            y_true, y_pred, regions=regions, labels=labels, beta=beta, average="macro"
        )
        return scores[position]

    return score


def _error(name: str) -> Callable:
    def score(y_true: NDArray, y_pred: NDArray, *, regions: Any, labels: Any, beta: float) -> float:
        values = region_errors(y_true, y_pred, regions=regions)[name]
        values = values[check_regions(regions).chosen(labels)]
        known = values[np.isfinite(values)]
        return float(np.abs(known).mean()) if known.size else 0.0

    return score


def _balanced(y_true: NDArray, y_pred: NDArray, *, regions: Any, labels: Any, beta: float) -> float:
    return balanced_mean_absolute_error(y_true, y_pred, regions=regions)


def _sera(y_true: NDArray, y_pred: NDArray, *, regions: Any, labels: Any, beta: float) -> float:
    return sera(y_true, y_pred, relevance=regions) / len(y_true)


def _weighted(y_true: NDArray, y_pred: NDArray, *, regions: Any, labels: Any, beta: float) -> float:
    return relevance_weighted_rmse(y_true, y_pred, relevance=regions)


def _utility(y_true: NDArray, y_pred: NDArray, *, regions: Any, labels: Any, beta: float) -> float:
    return utility_f1(y_true, y_pred, relevance=regions, threshold=regions.threshold, beta=beta)


def _rank(y_true: NDArray, y_pred: NDArray, *, regions: Any, labels: Any, beta: float) -> float:
    return spearman(y_true, y_pred)


class _Metric(NamedTuple):
    score: Callable
    is_error: bool
    needs_relevance: bool = False
    worst: float = 0.0


_METRICS = {
    "precision": _Metric(_classification(0), False),
    "recall": _Metric(_classification(1), False),
    "f1": _Metric(_classification(2), False),
    "mae": _Metric(_error("mae"), True),
    "rmse": _Metric(_error("rmse"), True),
    "bias": _Metric(_error("bias"), True),
    "balanced_mae": _Metric(_balanced, True),
    "sera": _Metric(_sera, True, needs_relevance=True),
    "relevance_weighted_rmse": _Metric(_weighted, True, needs_relevance=True),
    "utility_f1": _Metric(_utility, False, needs_relevance=True),
    "spearman": _Metric(_rank, False, worst=-1.0),
}


def make_region_scorer(
    metric: str,
    *,
    regions: TargetRegions | ArrayLike,
    labels: Any = "auto",
    beta: float = 1.0,
) -> Callable:
    """Make a scorer for `GridSearchCV` and `cross_validate` from a metric of this module.

    Its values are finite in every fold, so that no candidate drops out of a grid: a region without
    targets or predictions has precision, recall and F score 0 and does not count in errors, and
    predictions that are NaN, infinite or too large to be squared get the worst value and a warning.

    Parameters
    ----------
    metric : str
        ``"precision"``, ``"recall"``, ``"f1"`` (with `beta`), ``"mae"``, ``"rmse"`` or ``"bias"``
        (its absolute value) of the chosen regions, each averaged over them; ``"balanced_mae"``,
        ``"sera"`` (per sample), ``"relevance_weighted_rmse"``, ``"utility_f1"`` or ``"spearman"``
        of all targets. Errors are negated, so that greater is better throughout.
    regions : TargetRegions or array-like of float
        Fitted regions, or their inner edges; metrics of relevance need a `TargetRegions`. They are
        the same in every fold; fit them on data that may be looked at.
    labels : "auto", "rare", None or array-like of int, default="auto"
        Chosen regions. ``"auto"``: the rare ones if that is known, otherwise all.
    beta : float, default=1.0
        Weight of recall against precision in ``"f1"`` and ``"utility_f1"``.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y)``.

    Raises
    ------
    DataError
        If the metric is not known, the regions do not tell what it needs, or `labels` chooses none.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import cross_val_score
    >>> from esmlearn.metrics import make_region_scorer
    >>> X = np.linspace(0, 100, 60)[:, np.newaxis]
    >>> scorer = make_region_scorer("recall", regions=[85.0], labels=[1])
    >>> cross_val_score(Ridge(), X[::-1], X.ravel()[::-1], cv=3, scoring=scorer)
    array([1., 0., 0.])
    """
    if metric not in _METRICS:
        raise DataError(f"metric {metric!r} is not known; expected one of {sorted(_METRICS)}.")
    found = check_regions(regions)
    if _METRICS[metric].needs_relevance and not isinstance(regions, TargetRegions):
        raise DataError(f"{metric!r} needs the relevance of targets: pass a fitted TargetRegions.")
    if isinstance(labels, str) and labels == "auto":
        labels = None if found.rare is None or not found.rare.any() else "rare"
    if not found.chosen(labels).size:
        raise DataError(
            f"labels={labels!r} chooses no region, so there is nothing to score. Name regions by "
            "number, or pass regions of which some are rare."
        )
    return make_scorer(
        _finite_score,
        greater_is_better=not _METRICS[metric].is_error,
        metric=metric,
        regions=regions,
        labels=labels,
        beta=beta,
    )


def region_scorers(
    regions: TargetRegions | ArrayLike, *, labels: Any = "auto"
) -> dict[str, Callable]:
    """All scorers that the given regions allow, by name, for multi-metric evaluation.

    Parameters
    ----------
    regions : TargetRegions or array-like of float
        Fitted regions, or their inner edges.
    labels : "auto", "rare", None or array-like of int, default="auto"
        Chosen regions, as in `make_region_scorer`.

    Returns
    -------
    scorers : dict of str to callable
        For ``scoring=``; errors have the prefix ``neg_``.

    Examples
    --------
    >>> from esmlearn.metrics import region_scorers
    >>> sorted(region_scorers([85.0]))[:4]
    ['f1', 'neg_balanced_mae', 'neg_bias', 'neg_mae']
    """
    known = isinstance(regions, TargetRegions)
    return {
        ("neg_" if about.is_error else "") + name: make_region_scorer(
            name, regions=regions, labels=labels
        )
        for name, about in _METRICS.items()
        if known or not about.needs_relevance
    }


def _finite_score(y_true: NDArray, y_pred: NDArray, *, metric: str, **options: Any) -> float:
    """Value of a metric, or its worst value when the predictions are not finite."""
    about = _METRICS[metric]
    problem = "NaN or infinite"
    if np.isfinite(np.asarray(y_pred, dtype=np.float64)).all():
        with np.errstate(over="ignore", invalid="ignore"):
            value = float(about.score(y_true, y_pred, **options))
        if np.isfinite(value):
            return value
        problem = "too large for their error to be a number"
    warnings.warn(
        f"Some predictions are {problem}; {metric} gets its worst value.",
        RuntimeWarning,
        stacklevel=2,
    )
    return _WORST_ERROR if about.is_error else about.worst
