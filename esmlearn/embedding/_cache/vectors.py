"""Vectors in flat float32 files: where they lie, gathered, checked and appended.

A row's checksum is bound to its sequence, so a damaged, zeroed or misplaced row is never returned.
"""

import os
import sqlite3
import time
from collections.abc import Sequence
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from esmlearn.embedding._cache.index import Index, Namespace
from esmlearn.utils._threads import map_in_threads

# The time of a vector's last use is kept to the hour: reading must not write each time.
USE_SECONDS = 3600

_BLOCK_BYTES = 1 << 21  # stays in the processor's cache between copying and summing
_BLOCKS_PER_THREAD = 8  # fewer are copied before a thread has begun
_MAX_THREADS = 4  # more share the memory's speed
_MAX_REMEMBERED = 1 << 18  # entries of a file, about 200 bytes each
_FILES_REMEMBERED = 8


class _Entries(NamedTuple):
    """Entries of the index that this process has read; replaced as a whole, so that threads agree.

    `table` holds first number, number of numbers, checksum and time of last use of each.
    """

    rows: dict[bytes, int]
    table: np.ndarray
    words: np.ndarray

    def places(self, digests: Sequence[bytes]) -> np.ndarray:
        """Return the row of each digest, -1 where there is none."""
        rows = map(self.rows.get, digests, repeat(-1))
        return np.fromiter(rows, dtype=np.int64, count=len(digests))

    def with_more(self, digests: Sequence[bytes], table: np.ndarray) -> "_Entries":
        """Return these entries and more."""
        n = len(self.table)
        return _Entries(
            {**self.rows, **dict(zip(digests, range(n, n + len(digests)), strict=True))},
            np.concatenate([self.table, table]),
            np.concatenate([self.words, digest_words(digests)]),
        )


_NONE = _Entries({}, np.empty((0, 4), dtype=np.int64), np.empty(0, dtype=np.uint64))

# By file of vectors. The name of a file never comes back and nothing in it is written twice, so an
# entry stays true until its vector is found damaged.
_remembered: dict[Path, _Entries] = {}


class VectorReader:
    """Reads the vectors of one namespace into given rows.

    Parameters
    ----------
    index : Index
        Where each vector lies.
    namespace : Namespace
        The vectors' namespace.
    """

    def __init__(self, index: Index, namespace: Namespace) -> None:
        self._index, self._namespace = index, namespace
        self._path = index.numbers(namespace.file)

    def read(self, digests: Sequence[bytes], vectors: Any) -> tuple[np.ndarray, np.ndarray]:
        """Read vectors, and keep the time of their use.

        Parameters
        ----------
        digests : sequence of bytes
            Digests of the sequences.
        vectors : ndarray of float32 of shape (n_digests, width) or list of ndarray
            Filled where a vector is found; a list takes flat arrays of any length.

        Returns
        -------
        found, damaged : ndarray of bool of shape (n_digests,)
            Whether a good vector was read; whether one is stored and is not what was written.
        """
        entries, places = self._look_up(digests)
        rows = np.flatnonzero(places >= 0)
        places = places[rows]
        gather = _gather_arrays if isinstance(vectors, list) else gather_rows
        table, words = entries.table[places], entries.words[places]
        good = gather(map_numbers(self._path), table, words, rows, vectors)
        self._note_use(entries, places[good], [digests[row] for row in rows[good].tolist()])
        found, damaged = np.zeros((2, len(digests)), dtype=bool)
        found[rows], damaged[rows] = good, ~good
        return found, damaged

    def _look_up(self, digests: Sequence[bytes]) -> tuple[_Entries, np.ndarray]:
        """Return entries, and which of them each digest has; -1 where nothing is stored."""
        entries = _remembered.get(self._path, _NONE)
        places = entries.places(digests)
        unknown = [digests[row] for row in np.flatnonzero(places < 0).tolist()]
        if unknown:
            stored, table = self._index.entries(self._namespace, unknown)
            if stored:
                others = entries if len(entries.table) < _MAX_REMEMBERED else _NONE
                entries = _remembered[self._path] = others.with_more(stored, table)
                for path in list(_remembered)[:-_FILES_REMEMBERED]:
                    _remembered.pop(path, None)
                places = entries.places(digests)
        return entries, places

    def _note_use(self, entries: _Entries, places: np.ndarray, digests: Sequence[bytes]) -> None:
        """Keep the time of use of vectors, unless another process is writing just now."""
        now, number = int(time.time()), self._namespace.id
        old = entries.table[places, 3] < now - USE_SECONDS
        if not old.any():
            return
        query = "UPDATE vector SET used = ? WHERE namespace = ? AND digest = ?"
        values = [(now, number, digests[row]) for row in np.flatnonzero(old).tolist()]
        if self._index.change_if_free(lambda c: c.executemany(query, values)):
            entries.table[places[old], 3] = now

    def discard(self, digests: Sequence[bytes]) -> int:
        """Remove damaged vectors from the index; return how many were still in it."""
        entries, places = self._look_up(digests)
        _remembered.pop(self._path, None)
        # where they were read: another process may have stored one anew meanwhile
        values = [
            (self._namespace.id, digest, int(entries.table[place, 0]))
            for digest, place in zip(digests, places.tolist(), strict=True)
            if place >= 0
        ]
        query = "DELETE FROM vector WHERE namespace = ? AND digest = ? AND first = ?"
        return self._index.change(lambda connection: connection.executemany(query, values).rowcount)


def append(
    connection: sqlite3.Connection,
    index: Index,
    namespace: int,
    digests: Sequence[bytes],
    vectors: Sequence[np.ndarray],
) -> None:
    """Write vectors behind the last ones that the index names, then name them in it."""
    query = "SELECT n_floats, file FROM namespace WHERE id = ?"
    first, file = connection.execute(query, (namespace,)).fetchone()
    flat = [np.asarray(vector, dtype="<f4").reshape(-1) for vector in vectors]
    words = digest_words(digests)
    rows, end, now = [], int(first), int(time.time())
    for digest, word, values in zip(digests, words, flat, strict=True):
        checksum = int(checksums(values[None], word[None])[0])
        rows.append((namespace, digest, end, len(values), checksum, now))
        end += len(values)
    write_numbers(index.numbers(file), int(first), np.concatenate(flat))
    connection.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.execute(
        "UPDATE namespace SET n_floats = ?, n_computed = n_computed + ? WHERE id = ?",
        (end, len(rows), namespace),
    )


# Checksums ---------------------------------------------------------------------------------------


def digest_words(digests: Sequence[bytes]) -> np.ndarray:
    """Return the first eight bytes of each digest as a number, of shape (n_digests,)."""
    return np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2)[:, 0]


def checksums(values: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Return one signed 64-bit checksum per row, bound to the sequence that it belongs to.

    The sum of the row's words runs at the speed of memory; mixed with the sequence's digest it
    tells damaged, zeroed and misplaced rows from good ones.

    Parameters
    ----------
    values : ndarray of float32 of shape (n, width)
        The vectors.
    words : ndarray of uint64 of shape (n,)
        Words of the digests of the rows' sequences.

    Returns
    -------
    sums : ndarray of int64 of shape (n,)
    """
    return _mix(_sums(np.ascontiguousarray(values, dtype="<f4")), words)


def _sums(values: np.ndarray) -> np.ndarray:
    words = values.view(np.uint32 if values.shape[1] % 2 else np.uint64)
    return np.add.reduce(words, axis=1, dtype=np.uint64)


def _mix(sums: np.ndarray, words: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        mixed = (sums + words) * np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio
    return (mixed ^ (mixed >> np.uint64(32))).view(np.int64)


# Files -------------------------------------------------------------------------------------------


def write_numbers(path: Path, first: int, values: np.ndarray) -> None:
    """Write float32 numbers from position `first` of a file that may not exist yet."""
    path.touch(mode=0o600)
    with open(path, "r+b") as file:
        file.seek(4 * first)
        file.write(memoryview(values).cast("B"))


def map_numbers(path: Path) -> np.ndarray:
    """Return the numbers of a file as they lie on disk; none where there is no file."""
    try:
        return np.memmap(path, dtype="<f4", mode="r").view(np.ndarray)
    except (OSError, ValueError):
        return np.empty(0, dtype=np.float32)


def gather_rows(
    stored: np.ndarray, table: np.ndarray, words: np.ndarray, rows: np.ndarray, out: np.ndarray
) -> np.ndarray:
    """Gather vectors of one width.

    Parameters
    ----------
    stored : ndarray of float32
        All numbers of a file.
    table : ndarray of int64 of shape (n, >= 3)
        First number, number of numbers and checksum of each vector.
    words : ndarray of uint64 of shape (n,)
        Words of the digests of the vectors' sequences.
    rows : ndarray of int of shape (n,)
        The row of `out` of each vector.
    out : ndarray of float32 of shape (n_rows, width)
        Filled in place.

    Returns
    -------
    good : ndarray of bool of shape (n,)
        False where the file is too short or the checksum differs.
    """
    width = out.shape[1]
    good = (table[:, 1] == width) & (table[:, 0] % width == 0)
    good &= (table[:, 0] >= 0) & (table[:, 0] + width <= len(stored))
    matrix = stored[: len(stored) // width * width].reshape(-1, width)
    usable = np.flatnonzero(good)
    starts, targets = table[usable, 0] // width, rows[usable]
    sums = np.empty(len(usable), dtype=np.uint64)
    step = max(1, _BLOCK_BYTES // (4 * width))

    def gather(begins: range) -> None:
        for begin in begins:
            block = slice(begin, begin + step)
            if len(usable) == len(out):  # every row in turn: without a copy between
                values = np.take(matrix, starts[block], axis=0, out=out[block], mode="clip")
            else:
                values = out[targets[block]] = matrix[starts[block]]
            sums[block] = _sums(values)

    begins = range(0, len(usable), step)
    n_threads = max(1, min(_MAX_THREADS, n_processors(), len(begins) // _BLOCKS_PER_THREAD))
    cuts = [len(begins) * i // n_threads for i in range(n_threads + 1)]
    map_in_threads(gather, [begins[a:b] for a, b in pairwise(cuts)])
    good[usable] = _mix(sums, words[usable]) == table[usable, 2]
    return good


def _gather_arrays(
    stored: np.ndarray,
    table: np.ndarray,
    words: np.ndarray,
    rows: np.ndarray,
    out: list[np.ndarray],
) -> np.ndarray:
    """Gather flat arrays of any length; see gather_rows."""
    good = np.zeros(len(rows), dtype=bool)
    for i, (first, size, checksum) in enumerate(table[:, :3]):
        if min(first, size) < 0 or first + size > len(stored):
            continue
        values = np.array(stored[first : first + size], dtype=np.float32)
        good[i] = checksums(values[None], words[i : i + 1])[0] == checksum
        out[rows[i]] = values
    return good


def n_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
