"""Merge the targets of rows that one row stands for, and report where they disagree."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from esmlearn.exceptions import DataError
from esmlearn.utils._targets import is_continuous

MERGE_RULES = ("auto", "median", "mean", "majority", "representative")


def check_targets(y: Any, n_rows: int) -> NDArray:
    """Return targets as a 1-D array without missing values."""
    targets = np.asarray(y)
    if targets.shape != (n_rows,):
        raise DataError(f"y has shape {targets.shape}; expected ({n_rows},), one per sequence.")
    missing = np.flatnonzero(pd.isna(targets))
    if len(missing):
        raise DataError(
            f"y[{missing[0]}] is missing ({len(missing)} are); remove or fill missing targets "
            f"before rows are merged."
        )
    if targets.dtype == object:  # a number in a mixed table is a number all the same
        numbers = (int, float, np.integer, np.floating)
        if all(isinstance(v, numbers) and not isinstance(v, bool) for v in targets):
            return np.array(targets.tolist())
    return targets


def choose_rule(rule: str, targets: NDArray) -> str:
    """Return what ``"auto"`` means: the median of measurements, the majority of anything else.

    Measurements are floats, and whole numbers of more than 20 different values: the majority of two
    would be one of them by chance.
    """
    numeric = targets.dtype.kind in "iuf"
    if rule == "auto":
        measured = targets.dtype.kind == "f" or is_continuous(targets)
        return "median" if measured else "majority"
    if rule in ("median", "mean") and not numeric:
        raise DataError(
            f"merge={rule!r} needs numeric targets, got dtype {targets.dtype}; use 'majority' or "
            f"'representative'."
        )
    return rule


def _commonest(values: NDArray) -> NDArray:
    """Return the commonest value, or all that are equally common."""
    distinct, counts = np.unique(values, return_counts=True)
    return distinct[counts == counts.max()]


def _majority(values: NDArray, own: Any) -> Any:
    """Return the commonest value; of equally common ones the representative's, else the least."""
    commonest = _commonest(values)
    return own if own in commonest else commonest[0]


def merge_targets(
    targets: NDArray, indices: NDArray[np.int64], representative: NDArray[np.int64], rule: str
) -> tuple[NDArray, pd.DataFrame]:
    """Return one target per kept row, and the table of kept rows whose targets disagree.

    Parameters
    ----------
    targets : ndarray of shape (n_rows,)
        Targets of all rows.
    indices : ndarray of int of shape (n_kept,)
        Rows that are kept, ascending.
    representative : ndarray of int of shape (n_rows,)
        The kept row that stands for each row.
    rule : {"median", "mean", "majority", "representative"}
        How targets merge.

    Returns
    -------
    merged : ndarray of shape (n_kept,)
        Merged targets.
    conflicts : pandas.DataFrame
        ``representative`` (row), ``n_rows``, ``rows``, ``targets``, ``merged``, ``spread`` (largest
        minus smallest; NaN unless they are numbers) and ``tied`` (whether the majority decided
        between equally common targets).
    """
    order = np.argsort(representative, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(representative[order])) + 1)
    merged, conflicts = [], []
    for row, members in zip(indices, groups, strict=True):
        values = targets[members]
        value = _merge(values, targets[row], rule)
        merged.append(value)
        if len(members) > 1 and (values != values[0]).any():
            conflict = [int(row), len(members), members.tolist(), values.tolist(), value]
            tied = rule == "majority" and len(_commonest(values)) > 1
            conflicts.append([*conflict, _spread(values), tied])
    columns = ["representative", "n_rows", "rows", "targets", "merged", "spread", "tied"]
    table = pd.DataFrame(conflicts, columns=columns)
    whole = rule in ("majority", "representative")
    dtype = targets.dtype if whole else np.result_type(targets.dtype, np.float64)
    return np.array(merged, dtype=dtype), table


def _merge(values: NDArray, own: Any, rule: str) -> Any:
    if rule == "representative" or len(values) == 1:
        return own
    if rule == "majority":
        return _majority(values, own)
    return np.median(values) if rule == "median" else np.mean(values)


def _spread(values: NDArray) -> float:
    return float(values.max() - values.min()) if values.dtype.kind in "iuf" else np.nan
