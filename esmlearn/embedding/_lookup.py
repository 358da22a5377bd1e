"""Where vectors lie: what a cache's index says of a space, kept in memory between requests."""

import os
import sqlite3
import warnings
from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from esmlearn.embedding._digests import Digests
from esmlearn.embedding._store import NumberFile

MAX_REMEMBERED = 1 << 20  # vectors of all spaces together; 64 bytes each
_COLUMNS = ("first", "size", "checksum", "used")


class Lookup:
    """The entries of a space, or of some of its sequences.

    Parameters
    ----------
    digests : Digests
        The sequences, in any order.
    entries : ndarray of int64 of shape (n, 4)
        First number, number of numbers, checksum and time of last use of each vector.
    is_whole : bool, default=False
        Whether these are all of the space's.

    Attributes
    ----------
    entries : ndarray of int64 of shape (n, 4)
        As given, in the order of the digests.
    digests : Digests
        As given, but sorted.
    words : ndarray of uint64 of shape (n, 2)
        Those of the digests.
    numbers : NumberFile
        The file that the entries tell of.
    """

    def __init__(self, digests: Digests, entries: np.ndarray, *, is_whole: bool = False) -> None:
        order = np.argsort(digests.words[:, 0], kind="stable")
        self.digests, self.entries = digests[order], entries[order]
        self.words = self.digests.words
        self.is_whole, self.numbers = is_whole, NumberFile()
        self._first = np.ascontiguousarray(self.words[:, 0])
        self._found: WeakKeyDictionary[Digests, np.ndarray] = WeakKeyDictionary()

    @classmethod
    def of_rows(cls, rows: Iterable[tuple[Any, ...]]) -> "Lookup":
        """Return the lookup of some rows of the index: a digest and what entries hold of it."""
        digests, *columns = list(zip(*rows, strict=True)) or [()] * 5
        try:
            entries = np.array(columns, dtype=np.int64).T
            return cls(Digests.of(digests), entries)
        except (TypeError, ValueError, OverflowError) as error:
            raise sqlite3.DatabaseError(f"an entry is none: {error}") from error

    @classmethod
    def of_space(cls, connection: sqlite3.Connection, space: int) -> "Lookup":
        """Return the lookup of a whole space.

        SQLite writes each column into one text, which is read in half of the time of as many rows.
        """
        columns = ", ".join(f"group_concat({name})" for name in _COLUMNS)
        query = f"SELECT group_concat(hex(digest), ''), {columns} FROM vector WHERE space = ?"
        digests, *texts = (text or "" for text in connection.execute(query, (space,)).fetchone())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", DeprecationWarning)  # NumPy's for what is no number
                entries = [np.fromstring(text, dtype=np.int64, sep=",") for text in texts]
            return cls(Digests(bytes.fromhex(digests)), np.column_stack(entries), is_whole=True)
        except (IndexError, ValueError, DeprecationWarning) as error:
            raise sqlite3.DatabaseError(f"an entry is none: {error}") from error

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, digests: Digests) -> np.ndarray:
        """Return the place of each sequence in `entries`, -1 where there is none."""
        known = self._found.get(digests)
        if known is None:
            known = self._found[digests] = self._search(digests.words)
        return known

    def _search(self, words: np.ndarray) -> np.ndarray:
        if not len(self):
            return np.full(len(words), -1)
        places = np.searchsorted(self._first, words[:, 0])
        places[places == len(self)] = 0
        other = np.take(self.words, places, axis=0) != words
        for row in np.flatnonzero(other[:, 1] & ~other[:, 0]).tolist():
            # another digest begins as this one does, which lies behind it if anywhere
            stop = np.searchsorted(self._first, words[row, 0], side="right")
            same = np.flatnonzero(self.words[places[row] : stop, 1] == words[row, 1])
            other[row] = not len(same)
            places[row] += same.max(initial=0)
        places[other.any(axis=1)] = -1
        return places


class Memory:
    """The lookups of the spaces that were asked for last, while nothing is added to them.

    A space is known by the folder of its cache and the name of its file, which no other has; it is
    as it was while it has held as many vectors as then.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, as in a forked process: another thread may have held the lock."""
        self._lock = Lock()
        self._known: OrderedDict[tuple[str, str], tuple[int, Lookup]] = OrderedDict()

    def recall(self, folder: str, file: str, n_computed: int) -> Lookup | None:
        """Return what is remembered of a space that has ever held `n_computed` vectors."""
        with self._lock:
            number, lookup = self._known.get((folder, file), (-1, None))
            if number != n_computed:
                return None
            self._known.move_to_end((folder, file))
            return lookup

    def remember(self, folder: str, file: str, n_computed: int, lookup: Lookup) -> None:
        """Keep a lookup of a whole space, and of others what there is room for."""
        with self._lock:
            self._known[folder, file] = n_computed, lookup
            self._known.move_to_end((folder, file))
            while sum(len(known) for _, known in self._known.values()) > MAX_REMEMBERED:
                self._known.popitem(last=False)

    def forget(self, folder: str, file: str) -> None:
        """Drop what is no longer true of a space."""
        with self._lock:
            self._known.pop((folder, file), None)


memory = Memory()
"""The lookups of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=memory.reset)
