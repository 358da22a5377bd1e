"""Strata that folds hold in equal shares: classes, or regions of a continuous target."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from esmlearn.exceptions import DataError
from esmlearn.utils._targets import is_continuous

# Deciles, and finer towards both ends: the tails are where a fold is easily left without a row.
CUT_POINTS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class Strata:
    """One stratum per row.

    Attributes
    ----------
    codes : ndarray of shape (n_rows,), dtype intp
        Number of the row's stratum.
    names : tuple of str
        One name per stratum.
    kind : str
        "none", "classes", "bins", "regions" or "labels".
    """

    codes: NDArray[np.intp]
    names: tuple[str, ...]
    kind: str

    @property
    def n_strata(self) -> int:
        """Number of strata."""
        return len(self.names)

    def counts_per_node(self, node: NDArray[np.intp], n_nodes: int) -> NDArray[np.int64]:
        """Return how many rows of each stratum each node stands for, (n_nodes, n_strata)."""
        counts = np.zeros((n_nodes, self.n_strata), dtype=np.int64)
        np.add.at(counts, (node, self.codes), 1)
        return counts


def make_strata(y: ArrayLike | None, *, n_rows: int, stratify: Any, min_rows: int) -> Strata:
    """Return the strata of the rows.

    Parameters
    ----------
    y : array-like of shape (n_rows,) or None
        The target.
    n_rows : int
        Number of rows.
    stratify : "auto", bool, array-like of shape (n_rows,) or regions
        See `CDHitGroupSplitter`.
    min_rows : int
        Bins of a continuous target with fewer rows are joined to a neighbour.

    Returns
    -------
    strata : Strata
    """
    if isinstance(stratify, bool | np.bool_):
        if not stratify:
            return _single_stratum(n_rows)
        if y is None:
            raise DataError("stratify=True needs y, but y is None. Pass y, or stratify='auto'.")
    elif hasattr(stratify, "region"):
        return _region_strata(stratify, _check_target(y, n_rows))
    elif not isinstance(stratify, str):
        return _class_strata(_check_target(stratify, n_rows, name="stratify"), "labels")
    if y is None or (isinstance(stratify, str) and _has_several_columns(y)):
        return _single_stratum(n_rows)
    target = _check_target(y, n_rows)
    if is_continuous(target):
        return _bin_strata(target.astype(float), min_rows)
    return _class_strata(target, "classes")


def _has_several_columns(y: ArrayLike) -> bool:
    return np.ndim(y) == 2 and np.shape(y)[1] > 1


def _single_stratum(n_rows: int) -> Strata:
    return Strata(np.zeros(n_rows, dtype=np.intp), ("all",), "none")


def _check_target(y: ArrayLike | None, n_rows: int, *, name: str = "y") -> NDArray[Any]:
    """Return a one-dimensional target without missing values."""
    if y is None:
        raise DataError(f"stratifying by regions needs {name}, but {name} is None.")
    target = np.asarray(y)
    if target.ndim == 2 and target.shape[1] == 1:
        target = target[:, 0]
    if target.shape != (n_rows,):
        several = " Use stratify=False for several targets." if target.ndim > 1 else ""
        raise DataError(
            f"{name} has shape {target.shape}; expected ({n_rows},), one value per "
            f"sequence.{several}"
        )
    missing = np.asarray(pd.isna(target))
    if missing.any():
        index = int(np.flatnonzero(missing)[0])
        raise DataError(
            f"{name}[{index}] is {target[index]}; expected a value for every sequence. Remove "
            f"rows without a target first, or use stratify=False."
        )
    if target.dtype == object and all(_is_number(value) for value in target):
        target = np.array(target.tolist())  # a number in a mixed table is a number all the same
    if target.dtype.kind == "f" and np.isinf(target).any():
        index = int(np.flatnonzero(np.isinf(target))[0])
        raise DataError(f"{name}[{index}] is {target[index]}; expected a finite number.")
    return target


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _class_strata(y: NDArray[Any], kind: str) -> Strata:
    values, codes = np.unique(y.astype(str) if y.dtype == object else y, return_inverse=True)
    return Strata(codes.astype(np.intp), tuple(str(value) for value in values), kind)


def _region_strata(regions: Any, y: NDArray[Any]) -> Strata:
    """Return the regions that a (fitted or unfitted) object with a method `region` gives."""
    try:
        check_is_fitted(regions)
    except NotFittedError:
        regions = clone(regions).fit(y)
    strata = _class_strata(np.asarray(regions.region(y)), "regions")
    return Strata(strata.codes, tuple(f"region {name}" for name in strata.names), "regions")


def _bin_strata(y: NDArray[np.float64], min_rows: int) -> Strata:
    """Return bins of a continuous target, finer in the tails."""
    edges = np.unique(np.quantile(y, CUT_POINTS))
    edges = _join_small_bins(y, edges[(edges > y.min()) & (edges <= y.max())], min_rows)
    codes = np.searchsorted(edges, y, side="right")
    bounds = [y.min(), *edges, y.max()]
    names = [f"[{low:.4g}, {high:.4g})" for low, high in pairwise(bounds)]
    names[-1] = names[-1][:-1] + "]"
    return Strata(codes.astype(np.intp), tuple(names), "bins")


def _join_small_bins(
    y: NDArray[np.float64], edges: NDArray[np.float64], min_rows: int
) -> NDArray[np.float64]:
    """Remove edges until every bin has at least `min_rows` rows."""
    while len(edges):
        counts = np.bincount(np.searchsorted(edges, y, side="right"), minlength=len(edges) + 1)
        smallest = int(np.argmin(counts))
        if counts[smallest] >= min_rows:
            break
        left = counts[smallest - 1] if smallest > 0 else np.inf
        right = counts[smallest + 1] if smallest < len(edges) else np.inf
        edges = np.delete(edges, smallest - 1 if left <= right else smallest)
    return edges
