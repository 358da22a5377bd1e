"""Scorers for grids and cross-validation that see the rare regions."""

from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import UndefinedMetricWarning
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
from esmlearn.utils._warn import warn

_WORST_ERROR = 1e30  # finite, so that means and ranks over folds stay defined


class _Parameters(NamedTuple):
    """Parameters that the user gave a scorer."""

    regions: Any
    labels: Any
    beta: float
    zero_division: Any
    sample_weight: Any = None


def _classification(position: int) -> Callable:
    def score(y_true: NDArray, y_pred: NDArray, asked: _Parameters) -> float:
        scores = region_precision_recall_fscore(
            y_true,
            y_pred,
            regions=asked.regions,
            labels=asked.labels,
            beta=asked.beta,
            average="macro",
            sample_weight=asked.sample_weight,
            zero_division=0.0 if asked.zero_division == "warn" else asked.zero_division,
        )
        return scores[position]

    return score


def _error(name: str) -> Callable:
    def score(y_true: NDArray, y_pred: NDArray, asked: _Parameters) -> float:
        errors = region_errors(
            y_true, y_pred, regions=asked.regions, sample_weight=asked.sample_weight
        )
        values = np.abs(errors[name])
        chosen = values[check_regions(asked.regions).chosen(asked.labels)]
        if not np.isnan(chosen).all():
            return float(np.nanmean(chosen))
        return np.nanmean(values) if asked.zero_division == "warn" else asked.zero_division

    return score


def _balanced(y_true: NDArray, y_pred: NDArray, asked: _Parameters) -> float:
    return balanced_mean_absolute_error(
        y_true, y_pred, regions=asked.regions, sample_weight=asked.sample_weight
    )


def _sera(y_true: NDArray, y_pred: NDArray, asked: _Parameters) -> float:
    return sera(y_true, y_pred, relevance=asked.regions) / len(y_true)


def _weighted(y_true: NDArray, y_pred: NDArray, asked: _Parameters) -> float:
    return relevance_weighted_rmse(y_true, y_pred, relevance=asked.regions)


def _utility(y_true: NDArray, y_pred: NDArray, asked: _Parameters) -> float:
    threshold = asked.regions.threshold
    return utility_f1(y_true, y_pred, relevance=asked.regions, threshold=threshold, beta=asked.beta)


def _rank(y_true: NDArray, y_pred: NDArray, asked: _Parameters) -> float:
    return spearman(y_true, y_pred)


class _Metric(NamedTuple):
    score: Callable
    is_error: bool
    needs_relevance: bool = False
    of_chosen: bool = False  # looks at the chosen regions alone
    weighs: bool = False  # takes sample weights
    worst: float = 0.0


_METRICS = {
    "precision": _Metric(_classification(0), False, of_chosen=True, weighs=True),
    "recall": _Metric(_classification(1), False, of_chosen=True, weighs=True),
    "f1": _Metric(_classification(2), False, of_chosen=True, weighs=True),
    "mae": _Metric(_error("mae"), True, of_chosen=True, weighs=True),
    "rmse": _Metric(_error("rmse"), True, of_chosen=True, weighs=True),
    "bias": _Metric(_error("bias"), True, of_chosen=True, weighs=True),
    "balanced_mae": _Metric(_balanced, True, weighs=True),
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
    zero_division: float | str = "warn",
) -> Callable:
    """Make a scorer for `GridSearchCV` and `cross_validate` from a metric of this module.

    Its values are finite in every fold, so that no candidate drops out of a grid. Predictions that
    are NaN, infinite or too large to be squared get the worst value and a warning; for a fold
    without targets in the chosen regions see `zero_division`.

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
    zero_division : "warn" or float, default="warn"
        What is scored where a region decides nothing. ``"warn"``: precision, recall and F score of
        a region without predictions or without targets are 0, as in scikit-learn. Errors are those
        of the chosen regions that have targets, and, if none has, those of all regions that have.
        Where no chosen region has a target, or no target any relevance, there is an
        `UndefinedMetricWarning`, as such a fold says little. A number takes the place of these
        values without a warning: 0 or 1 for scores, an error of at least 0, in units of the target,
        for errors.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y)``; all but the metrics of relevance and ``"spearman"`` take a
        `sample_weight` too.

    Raises
    ------
    DataError
        If the metric is not known, the regions do not tell what it needs, `labels` chooses none, or
        `zero_division` is not one of its values.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import cross_val_score
    >>> from esmlearn.metrics import make_region_scorer
    >>> X = np.random.default_rng(0).uniform(0, 100, size=(60, 1))
    >>> scorer = make_region_scorer("recall", regions=[85.0], labels=[1])
    >>> cross_val_score(Ridge(), X, X.ravel(), cv=3, scoring=scorer)
    array([1., 1., 1.])
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
    _check_zero_division(zero_division, is_error=_METRICS[metric].is_error)
    return make_scorer(
        _finite_score,
        greater_is_better=not _METRICS[metric].is_error,
        metric=metric,
        regions=regions,
        labels=labels,
        beta=beta,
        zero_division=zero_division,
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


def _check_zero_division(zero_division: Any, *, is_error: bool) -> None:
    if isinstance(zero_division, str) and zero_division == "warn":
        return
    number = isinstance(zero_division, Real) and not isinstance(zero_division, bool)
    if is_error and number and 0 <= zero_division < np.inf:
        return
    if not is_error and number and zero_division in (0, 1):
        return
    allowed = "a finite error of at least 0" if is_error else "0 or 1"
    raise DataError(f'zero_division must be "warn" or {allowed}, got {zero_division!r}.')


def _finite_score(y_true: NDArray, y_pred: NDArray, *, metric: str, **options: Any) -> float:
    """Value of a metric, or its worst value when the predictions are not finite."""
    about, asked = _METRICS[metric], _Parameters(**options)
    if asked.sample_weight is not None and not about.weighs:
        weighs = sorted(name for name, other in _METRICS.items() if other.weighs)
        raise DataError(f"{metric!r} takes no sample_weight; of these metrics {weighs} do.")
    problem = "NaN or infinite"
    if np.isfinite(np.asarray(y_pred, dtype=np.float64)).all():
        with np.errstate(over="ignore", invalid="ignore"):
            value = float(about.score(y_true, y_pred, asked))
        if np.isfinite(value):
            if about.of_chosen and asked.zero_division == "warn":
                _warn_without_targets(y_true, metric, asked)
            if about.needs_relevance and not asked.regions.relevance(y_true).any():
                return _without_relevance(y_true, value, metric, asked)
            return value
        problem = "too large for their error to be a number"
    warn(
        f"Some predictions are {problem}; {metric} gets its worst value.",
        RuntimeWarning,
    )
    return _WORST_ERROR if about.is_error else about.worst


def _without_relevance(y_true: NDArray, value: float, metric: str, asked: _Parameters) -> float:
    """Return what is scored where no target has any relevance; warn if nothing was said of it."""
    if asked.zero_division != "warn":
        return float(asked.zero_division)
    warn(
        f"None of {len(y_true)} targets is relevant, so {metric} is 0 whatever is predicted. Fit "
        "TargetRegions on more targets, with control_points or by another method, or set "
        "`zero_division`.",
        UndefinedMetricWarning,
    )
    return value


def _warn_without_targets(y_true: NDArray, metric: str, asked: _Parameters) -> None:
    """Warn when none of the targets lies in a chosen region."""
    found = check_regions(asked.regions)
    chosen = found.chosen(asked.labels)
    if np.isin(found.of(np.asarray(y_true, dtype=np.float64)), chosen).any():
        return
    rule = "that of all regions with targets" if _METRICS[metric].is_error else "0"
    warn(
        f"None of {len(y_true)} targets lies in the chosen regions {chosen.tolist()}, so {metric} "
        f"is not defined; it is taken to be {rule}. Split so that every fold holds some (see "
        "`stratify` of CDHitGroupSplitter), or set `zero_division`.",
        UndefinedMetricWarning,
    )
