"""Interpolation within, or between, families of related rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors

_CHUNK = 1 << 21  # neighbours looked at in one go


class Partners:
    """Which rows may be interpolated with which, given the family of each row.

    Parameters
    ----------
    families : ndarray of int of shape (n_samples,)
        Family of each training row.
    kind : {"within", "between"}
        Whether partners must share their family or must not.

    Attributes
    ----------
    alone : list of int
        Rows that were asked for partners and have none; they are their own neighbours, and what
        is made from them are copies.
    """

    def __init__(self, families: NDArray, kind: str) -> None:
        self.families = families
        self.kind = kind
        self.alone: list[int] = []

    def table(
        self, search: NearestNeighbors, inside: Any, at: Any, fitted: NDArray, query: NDArray
    ) -> NDArray:
        """Neighbour table as `kneighbors` gives it: first the row itself, then its partners.

        A row with fewer partners than asked for has them repeated.
        """
        n_partners = int(search.n_neighbors) - 1
        own = {number: place for place, number in enumerate(fitted)}
        table = np.empty((len(query), n_partners + 1), dtype=np.intp)
        table[:, 0] = [own[number] for number in query]
        find = self._within if self.kind == "within" else self._between
        for row, partners in find(search, inside, at, fitted, query):
            partners = partners[:n_partners]
            if not len(partners):
                self.alone.append(int(query[row]))
            table[row, 1:] = np.resize(partners if len(partners) else table[row, :1], n_partners)
        return table

    def _within(self, search: Any, inside: Any, at: Any, fitted: NDArray, query: NDArray) -> Any:
        """Search each family by itself."""
        of_fitted, of_query = self.families[fitted], self.families[query]
        for family in np.unique(of_query):
            places = np.flatnonzero(of_fitted == family)
            rows = np.flatnonzero(of_query == family)
            k = min(int(search.n_neighbors), len(places))
            nearest = clone(search).set_params(n_neighbors=k).fit(inside[places])
            for row, found in zip(
                rows, nearest.kneighbors(at[rows], return_distance=False), strict=True
            ):
                found = places[found]
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
