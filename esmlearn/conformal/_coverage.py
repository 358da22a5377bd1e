"""coverage_report: whether prediction sets hold, in all and in parts."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest
from sklearn.utils.validation import check_consistent_length

from esmlearn.exceptions import DataError
from esmlearn.metrics._inputs import check_regions
from esmlearn.over_sampling import TargetRegions
from esmlearn.over_sampling._target import as_numeric_column


def coverage_report(
    y_true: Any,
    sets: Any,
    *,
    regions: TargetRegions | ArrayLike | None = None,
    classes: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    confidence_level: float = 0.9,
) -> pd.DataFrame:
    """Tell how often prediction sets hold the target, in all and in each part of the data.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Targets that the model has not seen, nor homologs of theirs.
    sets : array-like of shape (n_samples, 2), list of array, or array-like of bool
        What `predict_interval` or `predict_set` gave; with `classes` a column of bool per class.
    regions : TargetRegions or array-like of float, default=None
        Fitted regions of the target, or their inner edges, to report one by one.
    classes : array-like of shape (n_classes,), default=None
        The classes of the columns of `sets`, to report one by one.
    groups : array-like of shape (n_samples,), default=None
        Further parts to report one by one, such as bins of the identity to training.
    confidence_level : float, default=0.9
        The level that was promised.

    Returns
    -------
    table : DataFrame
        Index ``part``: ``"all"``, regions as ``"[low, high)"``, classes, groups. Columns
        ``count``, ``nominal`` (the level promised), ``coverage``, ``low`` and ``high`` (95 %
        interval of the coverage by Clopper and Pearson, if proteins were independent) and ``size``
        (mean width in units of the target, or mean number of classes).

    Raises
    ------
    DataError
        If both `regions` and `classes` are given.

    Examples
    --------
    >>> from esmlearn.conformal import coverage_report
    >>> table = coverage_report([37, 60, 91], [[30, 40], [50, 70], [40, 80]], regions=[85])
    >>> table[["count", "coverage", "size"]].round(2)
                   count  coverage   size
    part
    all                3      0.67  23.33
    [-inf, 85.0)       2      1.00  15.00
    [85.0, inf)        1      0.00  40.00
    """
    if regions is not None and classes is not None:
        raise DataError("regions and classes are both given; expected one of them.")
    if classes is None:
        y_true = as_numeric_column(y_true, name="y_true")
        inside, size = _measure_intervals(y_true, sets)
    else:
        inside, size = _measure_classes(y_true, sets, np.asarray(classes))
    parts = {"all": np.ones(len(inside), dtype=bool)}
    if regions is not None:
        found = check_regions(regions)
        bounds = np.r_[-np.inf, found.edges, np.inf].tolist()
        region = found.of(y_true)
        for number, (low, high) in enumerate(pairwise(bounds)):
            parts[f"[{low}, {high})"] = region == number
    elif classes is not None:
        parts |= {str(label): np.asarray(y_true) == label for label in np.asarray(classes)}
    if groups is not None:
        groups = np.asarray(groups)
        check_consistent_length(inside, groups)
        parts |= {str(group): groups == group for group in pd.unique(groups)}
    lines = [_line(inside[rows], size[rows], confidence_level) for rows in parts.values()]
    return pd.DataFrame(lines, index=pd.Index(parts, name="part"))


def _measure_intervals(y: NDArray, sets: Any) -> tuple[NDArray, NDArray]:
    """Return whether each value lies in its set, and the width of the set."""
    check_consistent_length(y, sets)
    pieces = [np.reshape(np.asarray(s, dtype=np.float64), (-1, 2)) for s in sets]
    inside = [((p[:, 0] <= v) & (v <= p[:, 1])).any() for p, v in zip(pieces, y, strict=True)]
    return np.array(inside), np.array([np.diff(p).sum() for p in pieces])


def _measure_classes(y: ArrayLike, sets: Any, classes: NDArray) -> tuple[NDArray, NDArray]:
    """Return whether each class is in its set, and how many classes are."""
    sets, own = np.asarray(sets, dtype=bool), np.asarray(y)[:, None] == classes
    if sets.shape != own.shape:
        raise DataError(
            f"sets has the shape {sets.shape}; expected {own.shape}, a column for each class."
        )
    return (sets & own).any(axis=1), sets.sum(axis=1)


def _line(inside: NDArray, size: NDArray, level: float) -> dict[str, float]:
    count, hits = len(inside), int(inside.sum())
    line = {"count": count, "nominal": level}
    if not count:
        return {**line, **dict.fromkeys(("coverage", "low", "high", "size"), np.nan)}
    bounds = binomtest(hits, count).proportion_ci()
    return {
        **line,
        "coverage": hits / count,
        "low": bounds.low,
        "high": bounds.high,
        "size": float(size.mean()),
    }
