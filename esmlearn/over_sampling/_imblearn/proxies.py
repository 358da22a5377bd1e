"""Proxy estimators inside imbalanced-learn's samplers, which see the true features.

A sampler works on rows with their target and their number as extra columns. The searches it makes
must not see those columns, and which rows it joined must be known afterwards. So it is given these
objects through its own parameters: they read the row numbers, search the true features (through
the cache), and log every pair of rows that is interpolated.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors

from esmlearn.over_sampling._imblearn.augmented_rows import AugmentedRows
from esmlearn.over_sampling._imblearn.nearest import can_search, nearest
from esmlearn.over_sampling._imblearn.neighbor_cache import content_digest, neighbor_cache


class PairLog:
    """The pairs (base row, neighbour row) that a sampler interpolated, in the order of its rows."""

    def __init__(self) -> None:
        self.pairs: list[NDArray] = []
        self._rows: NDArray | None = None

    def add(self, rows: NDArray, pairs: NDArray) -> None:
        """Log pairs, unless the sampler looks at the same rows once more."""
        if rows is not self._rows:
            self.pairs.append(pairs)
            self._rows = rows

    def parents(self, n_rows: int) -> NDArray:
        """Pairs as an array of shape (n_rows, 2); -1 when they do not account for every row."""
        pairs = np.vstack(self.pairs) if self.pairs else np.empty((0, 2), dtype=np.intp)
        return pairs if len(pairs) == n_rows else np.full((n_rows, 2), -1, dtype=np.intp)


class _LoggedTable(np.ndarray):
    """A neighbour table that logs which neighbours are picked with ``table[rows, columns]``."""

    log: PairLog | None = None
    query: NDArray
    fitted: NDArray

    def __array_finalize__(self, source: Any) -> None:
        for name in ("log", "query", "fitted"):
            setattr(self, name, getattr(source, name, None))

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if isinstance(key, tuple) and all(isinstance(part, np.ndarray) for part in key):
            picked = np.asarray(found)
            if self.log is not None:
                pairs = np.column_stack([self.query[key[0]], self.fitted[picked]])
                self.log.add(key[0], pairs)
            return picked
        return found


class ProxyNeighbors:
    """A neighbour search by row number, in place of `NearestNeighbors`.

    Parameters
    ----------
    search : NearestNeighbors
        The search that the sampler would have made.
    augmented : AugmentedRows
        The rows that the sampler resamples, with their true features.
    log : PairLog or None
        Log of the pairs picked; None for searches that only count neighbours.
    """

    def __init__(
        self, search: NearestNeighbors, augmented: AugmentedRows, log: PairLog | None
    ) -> None:
        self.search = search
        self.augmented = augmented
        self.log = log

    def __sklearn_clone__(self) -> "ProxyNeighbors":
        return self

    @property
    def n_neighbors(self) -> int:
        """Neighbours per row, the row itself included."""
        return int(self.search.n_neighbors)

    def fit(self, rows: Any) -> "ProxyNeighbors":
        """Take the numbers of the rows among which neighbours are looked for."""
        self._fitted = self.augmented.numbers_of(rows)
        self._everywhere = len(self._fitted) == len(self.augmented.numbers)
        return self

    def kneighbors(self, rows: Any, return_distance: bool = False) -> NDArray:
        """Positions, among the fitted rows, of the neighbours of each row."""
        query = self.augmented.numbers_of(rows)
        table = self._everywhere_table(query) if self._everywhere else self._partial_table(query)
        logged = table.view(_LoggedTable)
        logged.log, logged.query, logged.fitted = self.log, query, self._fitted
        return logged

    def kneighbors_graph(self, *args: Any, **kwargs: Any) -> None:
        """Present because imbalanced-learn asks for it; no sampler calls it."""
        raise NotImplementedError("Only the neighbour table is known here.")

    def _everywhere_table(self, query: NDArray) -> NDArray:
        """Neighbours among all training rows; those not included share one position."""
        augmented = self.augmented
        key = (augmented.digest, query.tobytes(), "all", _settings(self.search))
        found = neighbor_cache.get(
            key, lambda: _search(self.search, augmented.X, augmented.X[query])
        )
        return augmented.position[found]

    def _partial_table(self, query: NDArray) -> NDArray:
        """Neighbours among the fitted rows, within or between families if that is asked for."""
        augmented, fitted = self.augmented, self._fitted
        inside = at = augmented.X[fitted]
        if not np.array_equal(fitted, query):
            at = augmented.X[query]
        if augmented.constraint is not None:
            return augmented.constraint.table(self.search, inside, at, fitted, query)
        of_inside = content_digest(inside)
        of_at = of_inside if at is inside else content_digest(at)
        key = (of_inside, of_at, _settings(self.search))
        return neighbor_cache.get(key, lambda: _search(self.search, inside, at))


def _search(search: NearestNeighbors, inside: Any, at: Any) -> NDArray:
    if can_search(search, inside):
        table = nearest(inside, at, search.n_neighbors)
        if table is not None:
            return table
    return clone(search).fit(inside).kneighbors(at, return_distance=False)


def _settings(search: NearestNeighbors) -> str:
    """Return what of a search decides its result: class and parameters, as text."""
    params = {name: value for name, value in search.get_params().items() if name != "n_jobs"}
    return f"{type(search).__module__}.{type(search).__qualname__} {sorted(params.items())!r}"


class ProxySVM:
    """An SVM that is fitted once, on the true features of all rows, in place of `SVC`."""

    def __init__(self, svm: Any, augmented: AugmentedRows) -> None:
        self.svm = svm
        self.augmented = augmented

    def __sklearn_clone__(self) -> "ProxySVM":
        return self

    def fit(self, rows: Any, y: NDArray) -> "ProxySVM":
        """Find the support vectors among the included rows."""
        if not hasattr(self, "support_"):
            fitted = clone(self.svm).fit(self.augmented.X, self.augmented.labels)
            if not hasattr(fitted, "support_"):
                raise RuntimeError("svm_estimator has no support_ after fit.")
            support = fitted.support_
            self.support_ = self.augmented.position[support[self.augmented.is_included[support]]]
        return self

    def predict(self, rows: Any) -> None:
        """Present because imbalanced-learn asks for it; no sampler calls it."""
        raise NotImplementedError("Only the support vectors are known here.")


class ProxyKMeans:
    """A clustering of the true features of all rows, in place of `KMeans`."""

    def __init__(self, kmeans: Any, augmented: AugmentedRows) -> None:
        self.kmeans = kmeans
        self.augmented = augmented

    def __sklearn_clone__(self) -> "ProxyKMeans":
        return self

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return int(self.kmeans.n_clusters)

    def fit(self, rows: Any) -> "ProxyKMeans":
        """Present because imbalanced-learn asks for it; it calls `fit_predict`."""
        raise NotImplementedError("Only the labels of the fitted rows are known here.")

    def predict(self, rows: Any) -> None:
        """Present because imbalanced-learn asks for it; it calls `fit_predict`."""
        raise NotImplementedError("Only the labels of the fitted rows are known here.")

    def fit_predict(self, rows: Any) -> NDArray:
        """Cluster of each row."""
        return clone(self.kmeans).fit_predict(self.augmented.X)
