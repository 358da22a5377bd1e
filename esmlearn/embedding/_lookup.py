"""Where vectors lie: what a cache's index says of a space, kept in memory between requests."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import repeat
from threading import Lock
from typing import Any

import numpy as np

from esmlearn.embedding._store import digest_keys

MAX_REMEMBERED = 1 << 20  # vectors of a space; about 200 bytes each
_SPACES = 4


class Lookup:
    """The entries of a space, or of some of its sequences.

    Parameters
    ----------
    rows : iterable of tuple
        Digest, first number, number of numbers, checksum and time of last use of each vector.

    Attributes
    ----------
    entries : ndarray of int64 of shape (n, 4)
        What `rows` holds beside the digests.
    keys : ndarray of uint64 of shape (n,)
        The digest_keys of the sequences.
    """

    def __init__(self, rows: Iterable[tuple[Any, ...]]) -> None:
        digests, *columns = list(zip(*rows, strict=True)) or [()] * 5
        number = len(digests)
        self._places = dict(zip(digests, range(number), strict=True))
        self.entries = np.empty((number, 4), dtype=np.int64)
        for target, column in zip(self.entries.T, columns, strict=True):
            target[:] = np.fromiter(column, dtype=np.int64, count=number)
        self.keys = digest_keys(digests)

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, digests: Sequence[bytes]) -> np.ndarray:
        """Return the place of each sequence in `entries`, -1 where there is none."""
        places = map(self._places.get, digests, repeat(-1))
        return np.fromiter(places, dtype=np.int64, count=len(digests))


class Memory:
    """The lookups of the spaces that were asked for last, while nothing is added to them.

    A space is known by the folder of its cache and the name of its file, which no other has; it is
    as it was while it has held as many vectors as then.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[tuple[str, str], tuple[int, Lookup]] = OrderedDict()

    def recall(self, folder: str, file: str, n_computed: int) -> Lookup | None:
        """Return what is remembered of a space that has ever held `n_computed` vectors."""
        with self._lock:
            number, lookup = self._known.get((folder, file), (-1, None))
            return lookup if number == n_computed else None

    def remember(self, folder: str, file: str, n_computed: int, lookup: Lookup) -> None:
        """Keep a lookup of a whole space, unless it is too large."""
        if len(lookup) > MAX_REMEMBERED:
            return
        with self._lock:
            self._known[folder, file] = n_computed, lookup
            self._known.move_to_end((folder, file))
            while len(self._known) > _SPACES:
                self._known.popitem(last=False)

    def forget(self, folder: str, file: str) -> None:
        """Drop what is no longer true of a space."""
        with self._lock:
            self._known.pop((folder, file), None)
