"""Metrics per region of the target: a regressor seen as a finder of rare proteins."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from esmlearn.metrics._inputs import check_predictions, check_regions, check_weights
from esmlearn.over_sampling import TargetRegions


def region_confusion_matrix(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    regions: TargetRegions | ArrayLike,
    sample_weight: ArrayLike | None = None,
    normalize: str | None = None,
) -> NDArray:
    """Count how often targets of one region are predicted in another.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Targets.
    y_pred : array-like of shape (n_samples,)
        Predictions, divided into regions in the same way.
    regions : TargetRegions or array-like of float
        Fitted regions, or their inner edges in units of the target.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.
    normalize : {"true", "pred", "all"} or None, default=None
        Whether rows, columns or the whole matrix shall sum to 1.

    Returns
    -------
    matrix : ndarray of shape (n_regions, n_regions)
        Rows are the regions of the targets, columns those of the predictions.

    Examples
    --------
    >>> from esmlearn.metrics import region_confusion_matrix
    >>> region_confusion_matrix([37, 60, 91, 95], [40, 40, 70, 90], regions=[50, 85])
    array([[1, 0, 0],
           [1, 0, 0],
           [0, 1, 1]])
    """
    found = check_regions(regions)
    y_true, y_pred = check_predictions(y_true, y_pred)
    return confusion_matrix(
        found.of(y_true),
        found.of(y_pred),
        labels=np.arange(found.n_regions),
        sample_weight=sample_weight,
        normalize=normalize,
    )


def region_precision_recall_fscore(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    regions: TargetRegions | ArrayLike,
    labels: Any = None,
    beta: float = 1.0,
    average: str | None = None,
    sample_weight: ArrayLike | None = None,
    zero_division: float = 0.0,
) -> tuple[Any, Any, Any, Any]:
    """Precision, recall, F-beta score and support of each region.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Targets.
    y_pred : array-like of shape (n_samples,)
        Predictions, divided into regions in the same way.
    regions : TargetRegions or array-like of float
        Fitted regions, or their inner edges in units of the target.
    labels : None, "rare" or array-like of int, default=None
        Regions to report: all, the rare ones of a `TargetRegions`, or by number.
    beta : float, default=1.0
        Weight of recall against precision in the F score.
    average : {"macro", "micro", "weighted"} or None, default=None
        How regions are averaged; None reports each.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.
    zero_division : float, default=0.0
        Precision of a region that is never predicted, recall of one without targets.

    Returns
    -------
    precision, recall, fscore : ndarray of shape (n_labels,), or float
        One value per region, or their average.
    support : ndarray of shape (n_labels,) or None
        Targets in each region; None when averaged.

    Examples
    --------
    >>> from esmlearn.metrics import region_precision_recall_fscore
    >>> precision, recall, f1, support = region_precision_recall_fscore(
    ...     [37, 60, 91, 95], [40, 40, 70, 90], regions=[50, 85])
    >>> recall
    array([1. , 0. , 0.5])
    """
    found = check_regions(regions)
    y_true, y_pred = check_predictions(y_true, y_pred)
    return precision_recall_fscore_support(
        found.of(y_true),
        found.of(y_pred),
        labels=found.chosen(labels),
        beta=beta,
        average=average,
        sample_weight=sample_weight,
        zero_division=zero_division,
    )


def region_errors(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    regions: TargetRegions | ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> dict[str, NDArray]:
    """Errors of the predictions of each region's targets.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Targets.
    y_pred : array-like of shape (n_samples,)
        Predictions.
    regions : TargetRegions or array-like of float
        Fitted regions, or their inner edges in units of the target.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.

    Returns
    -------
    errors : dict of str to ndarray of shape (n_regions,)
        ``"support"`` (targets), ``"mae"``, ``"rmse"`` and ``"bias"`` (mean of prediction minus
        target); NaN for a region without targets.

    Examples
    --------
    >>> from esmlearn.metrics import region_errors
    >>> region_errors([37, 91, 95], [40, 70, 90], regions=[85])["bias"]
    array([  3., -13.])
    """
    found = check_regions(regions)
    y_true, y_pred = check_predictions(y_true, y_pred)
    weights = check_weights(sample_weight, y_true)
    region, error = found.of(y_true), y_pred - y_true
    total = np.bincount(region, weights, found.n_regions)

    def mean(values: NDArray) -> NDArray:
        with np.errstate(invalid="ignore"):
            return np.bincount(region, weights * values, found.n_regions) / total

    return {
        "support": np.bincount(region, minlength=found.n_regions),
        "mae": mean(np.abs(error)),
        "rmse": np.sqrt(mean(error**2)),
        "bias": mean(error),
    }


def balanced_mean_absolute_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    regions: TargetRegions | ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Mean over regions of each region's mean absolute error: rare regions count like any other.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Targets.
    y_pred : array-like of shape (n_samples,)
        Predictions.
    regions : TargetRegions or array-like of float
        Fitted regions, or their inner edges in units of the target.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.

    Returns
    -------
    error : float
        In units of the target; regions without targets are left out.

    Examples
    --------
    >>> from esmlearn.metrics import balanced_mean_absolute_error
    >>> balanced_mean_absolute_error([37, 38, 39, 95], [37, 38, 39, 75], regions=[85])
    10.0
    """
    errors = region_errors(y_true, y_pred, regions=regions, sample_weight=sample_weight)
    return float(np.nanmean(errors["mae"]))


def region_report(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    regions: TargetRegions | ArrayLike,
    beta: float = 1.0,
    sample_weight: ArrayLike | None = None,
) -> pd.DataFrame:
    """All metrics of each region as a table.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Targets.
    y_pred : array-like of shape (n_samples,)
        Predictions, divided into regions in the same way.
    regions : TargetRegions or array-like of float
        Fitted regions, or their inner edges in units of the target.
    beta : float, default=1.0
        Weight of recall against precision in the F score.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.

    Returns
    -------
    report : DataFrame
        Index ``region``; columns ``low`` and ``high`` (infinite at the ends), ``rare`` (if it is
        known), ``support`` (targets), ``predicted`` (predictions), ``precision``, ``recall``,
        ``fscore``, ``mae``, ``rmse`` and ``bias``. What cannot be said of a region is NaN.

    Examples
    --------
    >>> from esmlearn.metrics import region_report
    >>> region_report([37, 91, 95], [40, 70, 90], regions=[85])[["support", "recall", "mae"]]
            support  recall   mae
    region
    0             1     1.0   3.0
    1             2     0.5  13.0
    """
    found = check_regions(regions)
    precision, recall, fscore, _ = region_precision_recall_fscore(
        y_true,
        y_pred,
        regions=regions,
        beta=beta,
        sample_weight=sample_weight,
        zero_division=np.nan,
    )
    _, predictions = check_predictions(y_true, y_pred)
    errors = region_errors(y_true, y_pred, regions=regions, sample_weight=sample_weight)
    columns: dict[str, Any] = {"low": np.r_[-np.inf, found.edges]}
    columns["high"] = np.r_[found.edges, np.inf]
    if found.rare is not None:
        columns["rare"] = found.rare
    columns["support"] = errors["support"]
    columns["predicted"] = np.bincount(found.of(predictions), minlength=found.n_regions)
    columns |= {"precision": precision, "recall": recall, "fscore": fscore}
    columns |= {name: errors[name] for name in ("mae", "rmse", "bias")}
    return pd.DataFrame(columns, index=pd.RangeIndex(found.n_regions, name="region"))
