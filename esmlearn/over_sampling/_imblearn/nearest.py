"""Nearest neighbours by products in single precision: exactly those that scikit-learn finds.

Scikit-learn multiplies in double precision. Single precision takes half the time, and a quarter
where rows are compared with themselves, and rules out rows that are clearly too far away. Distances
in double precision sort the remaining ones; where even these leave it to rounding errors which row
comes first (duplicate rows), the search is left to scikit-learn.

All bounds are those of the worst case [1]_: a product of `d` numbers is wrong by at most ``d u / (1
- d u)`` of the product of the lengths, `u` being half the distance of one to the next number.

References
----------
.. [1] N. J. Higham, "Accuracy and Stability of Numerical Algorithms", SIAM, 2002, section 3.1.
"""

from itertools import pairwise
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn import get_config
from sklearn.neighbors import NearestNeighbors

_SINGLE, _DOUBLE = 2.0**-24, 2.0**-53
_TILE = 1 << 24  # products at a time
_GROUPS = 64  # groups of rows, the nearest of each of which give a first bound
_MOST = 16  # candidates per neighbour; where there are more, nothing is gained
_LENGTHS = 1e-25, 1e30  # squared; no product of such rows overflows, and none that counts vanishes
_FEATURES = 64, 1 << 17  # with fewer, finding the nearest takes longer than the products


def can_search(search: Any, X: Any) -> bool:
    """Whether `nearest` does what a search does by itself among rows like `X`."""
    return (
        type(search) is NearestNeighbors
        and not sparse.issparse(X)
        and _FEATURES[0] <= X.shape[1] <= _FEATURES[1]
        and search.algorithm in ("auto", "brute")
        and (search.metric == "euclidean" or (search.metric == "minkowski" and search.p == 2))
        and search.metric_params is None
        and isinstance(search.n_neighbors, Integral)
        and bool(get_config()["enable_cython_pairwise_dist"])
    )


def nearest(inside: NDArray, at: NDArray, n_neighbors: int) -> NDArray | None:
    """Positions of the nearest rows, nearest first, as scikit-learn's brute force gives them.

    Parameters
    ----------
    inside : ndarray of shape (n_inside, n_features)
        Rows among which neighbours are looked for, float32 or float64.
    at : ndarray of shape (n_at, n_features)
        Rows whose neighbours are looked for; may be `inside` itself.
    n_neighbors : int
        Neighbours per row.

    Returns
    -------
    table : ndarray of int of shape (n_at, n_neighbors) or None
        The neighbours; None where they, or their order, depend on rounding errors.
    """
    if not 0 < n_neighbors < len(inside) or not len(at):
        return None
    longest = max(_squared_lengths(rows).max() for rows in (inside, at))
    if not _LENGTHS[0] < longest < _LENGTHS[1]:
        return None
    search = _Search(inside, at, n_neighbors, longest)
    found = search.candidates()
    return None if found is None else search.ordered(found)


class _Rows(NamedTuple):
    """Centred rows in single precision, and half of their squared lengths."""

    values: NDArray
    half: NDArray


class _Pairs(NamedTuple):
    """Rows and what may be their neighbours, with bounds of a measure of their distances.

    The measure is half the squared distance, less half the squared length of the row.
    """

    at: NDArray
    inside: NDArray
    low: NDArray
    high: NDArray

    def take(self, which: NDArray) -> "_Pairs":
        return _Pairs(*(part[which] for part in self))


class _Search:
    """One search; see `nearest`."""

    def __init__(self, inside: NDArray, at: NDArray, n_neighbors: int, longest: float) -> None:
        self.inside, self.at, self.k = inside, at, n_neighbors
        n_features = inside.shape[1]
        center = inside[:: max(1, len(inside) // 1024)].mean(axis=0, dtype=np.float64)
        self.center = center.astype(inside.dtype)
        # Of the product, and of what else is rounded: 4 for centring, 4 for sums.
        self.error = n_features * _SINGLE / (1 - n_features * _SINGLE) + 12 * _SINGLE
        # What two squared distances may be wrong by together, in double precision.
        self.noise = 16 * (n_features + 8) * _DOUBLE * longest
        self.queries = self._centred(at)
        # As many rows as are asked for are at most this far, by the upper bound.
        self.best = np.full((len(at), n_neighbors), np.inf)

    def candidates(self) -> _Pairs | None:
        """Find all pairs that may be neighbours; None where there is no point in going on."""
        if len(np.unique(self.queries.half)) < len(self.at):
            return None  # duplicate rows, most likely
        n_blocks = -(-len(self.inside) * len(self.at) // _TILE)
        edges = np.linspace(0, len(self.inside), n_blocks + 1).astype(int).tolist()
        found = []
        for start, end in pairwise(edges):
            found.append(self._candidates_among(start, end))
            if len(found[-1].at) > _MOST * self.k * len(self.at):
                return None
        return _Pairs(*map(np.concatenate, zip(*found, strict=True)))

    def ordered(self, found: _Pairs) -> NDArray | None:
        """Sort candidates by distance; None where rounding errors decide."""
        found = found.take(found.low <= self.best[found.at, -1])
        found = found.take(np.lexsort((found.low, found.at)))
        counts = np.bincount(found.at, minlength=len(self.at))
        place = found.at, np.arange(len(found.at)) - (np.cumsum(counts) - counts)[found.at]
        shape = len(self.at), int(counts.max()) + 1
        rows, high = np.zeros(shape, dtype=np.intp), np.zeros(shape)
        # All that are no candidates are farther than the bound.
        low = np.repeat(self.best[:, -1:], shape[1], axis=1)
        rows[place], low[place], high[place] = found.inside, found.low, found.high
        reached = np.maximum.accumulate(high[:, : self.k], axis=1)
        is_open = (reached > low[:, 1 : self.k + 1]).any(axis=1)
        table = rows[:, : self.k].copy()
        for row in np.flatnonzero(is_open).tolist():
            exact = self._sort_exactly(row, rows[row, : counts[row]])
            if exact is None:
                return None
            table[row] = exact
        return table

    def _centred(self, rows: NDArray) -> _Rows:
        values = (rows - self.center).astype(np.float32, copy=False)
        return _Rows(values, _squared_lengths(values) / 2)

    def _candidates_among(self, start: int, end: int) -> _Pairs:
        """Find candidates among some of the rows, and bring the bound up to date."""
        queries, rows = self.queries, self.queries
        # Of the products of rows with themselves only half are computed.
        if self.at is not self.inside or end - start < len(self.inside):
            rows = self._centred(self.inside[start:end])
        low = queries.values @ rows.values.T
        np.subtract((rows.half * (1 - self.error)).astype(np.float32), low, out=low)
        width = 2 * self.error * (queries.half + rows.half.max()) + self.noise
        best = np.hstack([self.best, _least(low, self.k) + width[:, np.newaxis]])
        self.best = np.partition(best, self.k - 1, axis=1)[:, : self.k]
        bound = np.nextafter(self.best[:, -1:].astype(np.float32), np.float32(np.inf))
        found = np.flatnonzero(low <= bound)
        at, inside = np.divmod(found, low.shape[1])
        least = low.ravel()[found].astype(np.float64)
        width = 2 * self.error * (queries.half[at] + rows.half[inside]) + self.noise
        return _Pairs(at, inside + start, least, least + width)

    def _sort_exactly(self, row: int, candidates: NDArray) -> NDArray | None:
        """Sort the candidates of one row by distances in double precision."""
        difference = self.inside[candidates].astype(np.float64) - self.at[row]
        distance = np.einsum("ij,ij->i", difference, difference)
        order = np.argsort(distance)
        if (np.diff(distance[order[: self.k + 1]]) <= self.noise).any():
            return None
        return candidates[order[: self.k]]


def _squared_lengths(rows: NDArray) -> NDArray:
    return np.einsum("ij,ij->i", rows, rows, dtype=np.float64)


def _least(values: NDArray, k: int) -> NDArray:
    """Return `k` small values of each row, all of different columns."""
    n_groups = max(_GROUPS, 4 * k)
    width = values.shape[1] // n_groups
    if width > 1:
        grouped = values[:, : n_groups * width].reshape(len(values), n_groups, width)
        values = grouped.min(axis=2)
    return np.partition(values, min(k, values.shape[1]) - 1, axis=1)[:, :k]
