"""Edges and numbers of regions: those given are checked, regions that are too small joined."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esmlearn.exceptions import DataError


def check_edges(edges: ArrayLike | None, *, name: str = "edges") -> NDArray:
    """Return edges as an ascending float array, or say which one is wrong."""
    if edges is None and name == "edges":
        raise DataError('method="edges" needs edges, such as edges=[50.0, 85.0]; got None.')
    values = np.asarray(edges, dtype=np.float64)  # of None, too, which has no dimension
    if values.ndim != 1 or values.size == 0:
        raise DataError(
            f"{name} must be a 1-D list of at least one number, such as [65.0]; got {edges!r}."
        )
    bad = ~np.isfinite(values)
    bad[1:] |= np.diff(values) <= 0
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise DataError(f"{name}[{i}] is {values[i]}: edges must be finite and ascending.")
    return values


def check_quantiles(quantiles: ArrayLike) -> NDArray:
    """Return quantiles as a float array, or say what they must be."""
    values = np.asarray(quantiles, dtype=np.float64)
    if values.ndim != 1 or not ((values > 0) & (values < 1)).all():
        raise DataError(f"quantiles must lie between 0 and 1, got {quantiles!r}.")
    return values


def join_small_regions(y: NDArray, edges: NDArray, min_count: int) -> NDArray:
    """Take out edges until every region has `min_count` members."""
    while edges.size:
        labels = np.searchsorted(edges, y, side="right")
        counts = np.bincount(labels, minlength=edges.size + 1)
        smallest = int(np.argmin(counts))
        if counts[smallest] >= min_count:
            break
        left = counts[smallest - 1] if smallest > 0 else np.inf
        right = counts[smallest + 1] if smallest < edges.size else np.inf
        edges = np.delete(edges, smallest - 1 if left <= right else smallest)
    return edges


def check_region_numbers(numbers: ArrayLike, n_regions: int) -> NDArray:
    """Turn numbers of regions into a mask, or say which number does not exist."""
    values = np.atleast_1d(np.asarray(numbers))
    if values.dtype == bool and values.shape == (n_regions,):
        return values.copy()
    if values.size and values.dtype.kind not in "iu":
        raise DataError(f"Regions are named by whole numbers, got {numbers!r}.")
    mask = np.zeros(n_regions, dtype=bool)
    for i, number in enumerate(values):
        if not -n_regions <= number < n_regions:
            raise DataError(
                f"Region {number} (at index {i}) does not exist: the target has {n_regions} "
                f"regions, 0 to {n_regions - 1}."
            )
        mask[number] = True
    return mask
