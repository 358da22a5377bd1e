"""Training rows with their target and their number as two extra columns."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors

from esmlearn.over_sampling._imblearn.neighbor_cache import content_digest

_CHUNK = 1 << 21  # neighbours per search; bounds the memory of a table as deep as a large family


class NeighborConstraint:
    """Constraint on which rows are interpolated with which, by the family of each row.

    Parameters
    ----------
    families : ndarray of int of shape (n_samples,)
        Family of each training row.
    kind : {"within", "between"}
        Whether the two rows must share their family or must not.

    Attributes
    ----------
    isolated : list of int
        Rows without an allowed neighbour; they are their own neighbours, and what is made from
        them are copies.
    """

    def __init__(self, families: NDArray, kind: str) -> None:
        self.families = families
        self.kind = kind
        self.isolated: list[int] = []

    def table(
        self, search: NearestNeighbors, inside: Any, at: Any, fitted: NDArray, query: NDArray
    ) -> NDArray:
        """Neighbour table as `kneighbors` gives it: first the row itself, then those allowed.

        A row with fewer allowed neighbours than asked for has them repeated.
        """
        n_others = int(search.n_neighbors) - 1
        own = {number: place for place, number in enumerate(fitted)}
        table = np.empty((len(query), n_others + 1), dtype=np.intp)
        table[:, 0] = [own[number] for number in query]
        find = self._within if self.kind == "within" else self._between
        for row, allowed in find(search, inside, at, fitted, query):
            allowed = allowed[:n_others]
            if not len(allowed):
                self.isolated.append(int(query[row]))
                allowed = table[row, :1]
            table[row, 1:] = np.resize(allowed, n_others)
        return table

    def _within(self, search: Any, inside: Any, at: Any, fitted: NDArray, query: NDArray) -> Any:
        """Search each family by itself."""
        of_fitted, of_query = self.families[fitted], self.families[query]
        for family in np.unique(of_query):
            places = np.flatnonzero(of_fitted == family)
            rows = np.flatnonzero(of_query == family)
            k = min(int(search.n_neighbors), len(places))
            nearest = clone(search).set_params(n_neighbors=k).fit(inside[places])
            table = nearest.kneighbors(at[rows], return_distance=False)
            for row, found in zip(rows, places[table], strict=True):
                yield row, found[fitted[found] != query[row]]

    def _between(self, search: Any, inside: Any, at: Any, fitted: NDArray, query: NDArray) -> Any:
        """Search so deep that a row's own family cannot hide its other neighbours."""
        of_fitted, of_query = self.families[fitted], self.families[query]
        largest = int(np.unique(of_fitted, return_counts=True)[1].max())
        k = min(len(fitted), int(search.n_neighbors) + largest)
        nearest = clone(search).set_params(n_neighbors=k).fit(inside)
        step = max(1, _CHUNK // k)
        for start in range(0, len(query), step):
            chunk = nearest.kneighbors(at[start : start + step], return_distance=False)
            for row, found in enumerate(chunk, start):
                yield row, found[of_fitted[found] != of_query[row]]


class AugmentedRows:
    """Training rows, of which those that a sampler touches get two extra columns.

    The target and the row's number are appended as columns, scaled by a power of two: scaling
    back is exact, and the columns are too small to matter in a distance. Whatever a sampler does
    to the features of a row (copy it, interpolate it with some factor) it does to its target.

    Parameters
    ----------
    X : array or sparse matrix of shape (n_samples, n_features)
        Features, float32 or float64.
    y : ndarray of shape (n_samples,)
        Continuous target.
    labels : ndarray of int of shape (n_samples,)
        Regions of the target.
    wanted : dict of int to int
        Regions to over-sample, and how many rows they shall have in the end.
    everything : bool
        Include all rows, not only those of the wanted regions and one row for all the others.
    constraint : NeighborConstraint or None
        Which rows may be interpolated with which.

    Attributes
    ----------
    numbers : ndarray of int of shape (n_included,)
        Training rows that are included.
    position : ndarray of int of shape (n_samples,)
        Position of each training row among those included.
    is_included : ndarray of bool of shape (n_samples,)
        Whether each training row is included.
    """

    def __init__(
        self,
        X: Any,
        y: NDArray,
        labels: NDArray,
        wanted: dict[int, int],
        *,
        everything: bool,
        constraint: NeighborConstraint | None,
    ) -> None:
        self.X, self.y, self.labels, self.constraint = X, y, labels, constraint
        self.is_included = np.isin(labels, list(wanted)) | everything
        others = np.flatnonzero(~self.is_included)
        # One row stands for all others: samplers only ask whether a neighbour is of the region.
        self.is_included[others[:1]] = True
        self.numbers = np.flatnonzero(self.is_included)
        self.position = np.zeros(len(labels), dtype=np.intp)
        self.position[self.numbers] = np.arange(len(self.numbers))
        self.position[others] = self.position[others[:1]]
        self._target_scale, self._number_scale = _scales(X, y)

    @cached_property
    def digest(self) -> bytes:
        """Digest of the true features of all rows."""
        return content_digest(self.X)

    def matrix(self) -> Any:
        """Return the included rows: features, scaled target, scaled number."""
        extra = np.column_stack([self.y[self.numbers], self.numbers]).astype(np.float64)
        extra = (extra * [self._target_scale, self._number_scale]).astype(self.X.dtype)
        features = self.X[self.numbers]
        if sparse.issparse(features):
            return sparse.hstack([features, sparse.csr_matrix(extra)], format=features.format)
        return np.hstack([features, extra])

    def numbers_of(self, rows: Any) -> NDArray:
        """Read the numbers of the training rows off (parts of) what `matrix` returned."""
        column = _dense(rows[:, [-1]])
        return np.rint(column.astype(np.float64) / self._number_scale).astype(np.intp)

    def split(self, rows: Any) -> tuple[Any, NDArray]:
        """Split synthetic rows into features, a view where they are dense, and targets."""
        target = _dense(rows[:, [-2]]).astype(np.float64) / self._target_scale
        return rows[:, :-2], target


def _dense(column: Any) -> NDArray:
    return (column.toarray() if sparse.issparse(column) else np.asarray(column)).ravel()


def _scales(X: Any, y: NDArray) -> tuple[float, float]:
    """Powers of two that bring targets and row numbers to 2**-50 of the size of a feature."""
    sample = X[:: max(1, X.shape[0] // 256)]
    size = float(np.abs(sample).mean()) or 1.0
    small = max(float(np.floor(np.log2(size))) - 50, -80)
    largest = float(np.abs(y).max()) or 1.0
    target_scale = np.ldexp(1.0, int(small - np.ceil(np.log2(largest))))
    return target_scale, np.ldexp(1.0, int(small - np.ceil(np.log2(len(y)))))
