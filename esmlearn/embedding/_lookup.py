"""Where vectors lie: what a cache's index says of a space, kept in memory between requests."""

import os
import sqlite3
import warnings
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from esmlearn.embedding._cache_notes import pack_columns, unpack_columns
from esmlearn.embedding._digests import Digests
from esmlearn.embedding._store import NumberFile

MAX_MAPPED = 8  # files
MAX_REMEMBERED = 1 << 20  # vectors of all spaces together; 64 bytes each
_WORTH = 8  # times as many digests may be looked for at once, for the next request to have them
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
    """

    def __init__(self, digests: Digests, entries: np.ndarray, *, is_whole: bool = False) -> None:
        order = np.argsort(digests.words[:, 0], kind="stable")
        self.digests, self.entries = digests[order], entries[order]
        self.words = self.digests.words
        self.is_whole = is_whole
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
            known = self._found[digests] = self._find(digests)
        return known

    def _find(self, digests: Digests) -> np.ndarray:
        """Find sequences among which they are a part of, if that is found or will be again."""
        origin, rows = digests.part_of or (lambda: None, np.empty(0))
        whole = origin()
        if whole is None or len(whole) > _WORTH * len(digests):
            return self._search(digests.words)
        return self.find(whole)[rows]

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


class NotedLookup:
    """Where a note says that the vectors of one request lie, in its order.

    It is right as long as the space has the same file, in which nothing is ever written twice, but
    for vectors that were damaged since and computed again.

    Parameters
    ----------
    digests : Digests
        Those of the request.
    entries : ndarray of int64 of shape (n, 4)
        As those of a Lookup.
    """

    is_whole = False

    def __init__(self, digests: Digests, entries: np.ndarray) -> None:
        self.entries, self.words = entries, digests.words

    def find(self, digests: Digests) -> np.ndarray:
        """Return the place of each sequence of the request in `entries`."""
        return np.arange(len(digests))

    def pack(self) -> bytes:
        """Return it as a note; the vectors count as used when the first of them was."""
        first, size, checksum, used = self.entries.T
        head = np.array([size[0], used.min()])
        astray = first - size[0] * np.arange(len(first))
        columns = pack_columns([astray.astype("<i8"), checksum.astype("<i8")])
        return head.astype("<i8").tobytes() + columns

    @classmethod
    def unpack(cls, content: memoryview, digests: Digests) -> "NotedLookup":
        """Return what a note says."""
        size, used = np.frombuffer(content, "<i8", 2)
        astray, checksum = unpack_columns(content[16:], len(digests), ["<i8", "<i8"])
        entries = np.empty((len(digests), 4), dtype=np.int64)
        np.add(astray, size * np.arange(len(digests)), out=entries[:, 0])
        entries[:, 1], entries[:, 2], entries[:, 3] = size, checksum, used
        return cls(digests, entries)


class Memory:
    """The lookups of the spaces that were asked for last, while nothing is added to them.

    A space is known by the path of its file, whose name no other has; it is as it was while it has
    held as many vectors as then.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, as in a forked process: another thread may have held the lock."""
        self._lock = Lock()
        self._known: OrderedDict[Path, tuple[int, Lookup]] = OrderedDict()
        self._noted: WeakKeyDictionary[Digests, tuple[Path, NotedLookup]] = WeakKeyDictionary()
        self._files: OrderedDict[Path, NumberFile] = OrderedDict()

    def numbers(self, path: Path) -> np.ndarray:
        """Return the numbers of a file, which stays mapped while it is one of the last."""
        with self._lock:
            file = self._files.setdefault(path, NumberFile())
            self._files.move_to_end(path)
            if len(self._files) > MAX_MAPPED:
                self._files.popitem(last=False)
            return file.read(path)

    def recall_noted(self, path: Path, digests: Digests) -> NotedLookup | None:
        """Return what a note said of this very request and this file of vectors."""
        with self._lock:
            known, lookup = self._noted.get(digests, (None, None))
            return lookup if known == path else None

    def remember_noted(self, path: Path, digests: Digests, lookup: NotedLookup) -> None:
        """Keep what a note says of a request, while that is kept itself."""
        with self._lock:
            self._noted[digests] = path, lookup

    def forget_noted(self, digests: Digests) -> None:
        """Drop what a note said that is no longer true."""
        with self._lock:
            self._noted.pop(digests, None)

    def recall(self, path: Path, n_computed: int) -> Lookup | None:
        """Return what is remembered of a space that has ever held `n_computed` vectors."""
        with self._lock:
            number, lookup = self._known.get(path, (-1, None))
            if number != n_computed:
                return None
            self._known.move_to_end(path)
            return lookup

    def remember(self, path: Path, n_computed: int, lookup: Lookup) -> None:
        """Keep a lookup of a whole space, and of others what there is room for."""
        with self._lock:
            self._known[path] = n_computed, lookup
            self._known.move_to_end(path)
            while sum(len(known) for _, known in self._known.values()) > MAX_REMEMBERED:
                self._known.popitem(last=False)

    def forget(self, path: Path) -> None:
        """Drop what is no longer true of a space."""
        with self._lock:
            self._known.pop(path, None)


memory = Memory()
"""The lookups of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=memory.reset)
