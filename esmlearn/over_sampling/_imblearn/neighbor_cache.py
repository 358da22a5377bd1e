"""Memory of neighbour tables, shared by the candidates of a grid: the same rows and search."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


class NeighborCache:
    """A bounded, thread-safe memory of neighbour tables; the least recently used are dropped first.

    Keys are made from the content of the rows, so that a table is found again by other estimators
    of the same process whatever object holds the rows, and never for rows that differ.

    Parameters
    ----------
    max_bytes : int, default=64 MiB
        Memory for the tables; a table that does not fit is not kept.
    """

    def __init__(self, max_bytes: int = 64 << 20) -> None:
        self.max_bytes = max_bytes
        self._tables: OrderedDict[Hashable, NDArray] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, key: Hashable, compute: Callable[[], NDArray]) -> NDArray:
        """Return the table of `key`, computed outside of the lock if it is missing."""
        with self._lock:
            if key in self._tables:
                self._tables.move_to_end(key)
                return self._tables[key]
        table = compute()
        table.flags.writeable = False
        if table.nbytes > self.max_bytes:
            return table
        with self._lock:
            if key not in self._tables:  # another thread may have computed it, too
                self._tables[key] = table
                self._bytes += table.nbytes
            while self._bytes > self.max_bytes:
                _, dropped = self._tables.popitem(last=False)
                self._bytes -= dropped.nbytes
        return table

    def clear(self) -> None:
        """Remove all tables."""
        with self._lock:
            self._tables.clear()
            self._bytes = 0

    def __len__(self) -> int:
        return len(self._tables)


def content_digest(X: Any) -> bytes:
    """Digest of the shape, type and content of a dense or sparse matrix."""
    parts = [X.data, X.indices, X.indptr] if sparse.issparse(X) else [X]
    # Processors have instructions for this one; it is the cost of a search that is not made.
    digest = hashlib.sha256(repr((X.shape, X.dtype.str, len(parts))).encode())
    for part in parts:
        digest.update(np.ascontiguousarray(part).data.cast("B"))
    return digest.digest()


neighbor_cache = NeighborCache()
