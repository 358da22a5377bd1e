"""Rows that carry their target and their number through a sampler as two extra columns."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from esmlearn.over_sampling._families import Partners
from esmlearn.over_sampling._neighbor_cache import content_digest


class Carrier:
    """Training rows, of which those that a sampler touches are carried along.

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
        Carry all rows, not only those of the wanted regions and one row for all the others.
    partners : Partners or None
        Which rows may be interpolated with which.
    """

    def __init__(
        self,
        X: Any,
        y: NDArray,
        labels: NDArray,
        wanted: dict[int, int],
        *,
        everything: bool,
        partners: Partners | None,
    ) -> None:
        self.X, self.y, self.labels, self.partners = X, y, labels, partners
        self.is_carried = np.isin(labels, list(wanted))
        if everything:
            self.is_carried[:] = True
        others = np.flatnonzero(~self.is_carried)
        # One row stands for all others: samplers only ask whether a neighbour is of the region.
        self.is_carried[others[:1]] = True
        self.carried = np.flatnonzero(self.is_carried)
        self.position = np.zeros(len(labels), dtype=np.intp)
        self.position[self.carried] = np.arange(len(self.carried))
        self.position[others] = self.position[others[:1]]
        self._target_scale, self._number_scale = _scales(X, y)

    @property
    def n_carried(self) -> int:
        """Number of rows that are carried along."""
        return len(self.carried)

    @property
    def carried_labels(self) -> NDArray:
        """Regions of the carried rows."""
        return self.labels[self.carried]

    @cached_property
    def digest(self) -> bytes:
        """Digest of the true features of all rows."""
        return content_digest(self.X)

    def rows(self) -> Any:
        """Return the carried rows: features, scaled target, scaled number."""
        extra = np.column_stack([self.y[self.carried], self.carried]).astype(np.float64)
        extra = (extra * [self._target_scale, self._number_scale]).astype(self.X.dtype)
        features = self.X[self.carried]
        if sparse.issparse(features):
            return sparse.hstack([features, sparse.csr_matrix(extra)], format=features.format)
        return np.hstack([features, extra])

    def numbers(self, rows: Any) -> NDArray:
        """Read the numbers of the training rows off (parts of) what `rows` returned."""
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
