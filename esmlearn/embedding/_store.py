"""The numbers of the cache: flat float32 files, and checksums that bind a row to its sequence."""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np

from esmlearn.utils._threads import map_in_threads

_BLOCK_BYTES = 1 << 21  # stays in the processor's cache between summing and copying
_BLOCKS_PER_THREAD = 8  # at least; fewer are copied before a thread has begun
_MAX_THREADS = 4  # share the memory's speed


def checksums(values: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Return one signed 64-bit checksum per row, bound to the sequence it belongs to.

    A sum of the row's words, which runs at the speed of memory, mixed with the sequence's digest:
    it tells damaged, zeroed and misplaced rows from good ones.

    Parameters
    ----------
    values : ndarray of float32 of shape (n, width)
        The vectors.
    words : ndarray of uint64 of shape (n, 2)
        The digests of the rows' sequences.

    Returns
    -------
    sums : ndarray of int64 of shape (n,)
    """
    return _mix(_sums(np.ascontiguousarray(values, dtype="<f4")), words)


def _sums(values: np.ndarray) -> np.ndarray:
    words = values.view(np.uint32 if values.shape[1] % 2 else np.uint64)
    return np.add.reduce(words, axis=1, dtype=np.uint64)


def _mix(sums: np.ndarray, words: np.ndarray) -> np.ndarray:
    keys = words[:, 0].byteswap()  # of the digest's first bytes, the lowest first
    with np.errstate(over="ignore"):
        mixed = (sums + keys) * np.uint64(0x9E3779B97F4A7C15)
    return (mixed ^ (mixed >> np.uint64(32))).view(np.int64)


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


class NumberFile:
    """A file of numbers that stays mapped into memory while it is the same one and as long.

    Mapping 300 MB takes a third of the time of copying them. What is mapped counts to this
    process's memory, though the system may take it back at any time.
    """

    def __init__(self) -> None:
        self._mapped: tuple[tuple[int, ...], np.ndarray] = (), np.empty(0, dtype=np.float32)

    def read(self, path: Path) -> np.ndarray:
        """Return the numbers of a file; see map_numbers."""
        try:
            status = path.stat()
        except OSError:
            return map_numbers(path)
        stamp = status.st_dev, status.st_ino, status.st_size
        known, numbers = self._mapped
        if stamp != known:
            numbers = map_numbers(path)
            if os.name == "posix":  # elsewhere a file that is mapped cannot be deleted
                self._mapped = stamp, numbers
        return numbers


def read_rows(
    stored: np.ndarray, table: np.ndarray, words: np.ndarray, rows: np.ndarray, out: np.ndarray
) -> np.ndarray:
    """Gather vectors of one width.

    Parameters
    ----------
    stored : ndarray of float32
        All numbers of the space.
    table : ndarray of int64 of shape (n, >= 3)
        First number, number of numbers and checksum of each vector.
    words : ndarray of uint64 of shape (n, 2)
        The digests of the vectors' sequences.
    rows : ndarray of int of shape (n,)
        Where in `out` each belongs, ascending.
    out : ndarray of float32 of shape (n_rows, width)
        Filled in place.

    Returns
    -------
    good : ndarray of bool of shape (n,)
        False where the file is too short or the checksum another.
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
            sums[block] = _copy(matrix, starts[block], targets[block], out)

    begins = range(0, len(usable), step)
    n_threads = max(1, min(_MAX_THREADS, n_processors(), len(begins) // _BLOCKS_PER_THREAD))
    cuts = [len(begins) * i // n_threads for i in range(n_threads + 1)]
    map_in_threads(gather, [begins[a:b] for a, b in pairwise(cuts)])
    good[usable] = _mix(sums, words[usable]) == table[usable, 2]
    return good


def n_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _copy(matrix: np.ndarray, starts: np.ndarray, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Copy rows of `matrix` to ascending `rows` of `out`, and return their sums."""
    if not _side_by_side(rows):
        values = matrix[starts]
        out[rows] = values
        return _sums(values)
    target = out[rows[0] : rows[-1] + 1]
    if _side_by_side(starts):  # summing first brings them into the processor's cache
        values = matrix[starts[0] : starts[-1] + 1]
        sums = _sums(values)
        target[:] = values
        return sums
    return _sums(np.take(matrix, starts, axis=0, out=target, mode="clip"))


def _side_by_side(rows: np.ndarray) -> bool:
    return bool(rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all())


def read_arrays(
    stored: np.ndarray,
    table: np.ndarray,
    words: np.ndarray,
    rows: np.ndarray,
    out: list[np.ndarray],
) -> np.ndarray:
    """Gather flat arrays of any length; see read_rows."""
    good = np.zeros(len(rows), dtype=bool)
    for i, (first, size, checksum) in enumerate(table[:, :3]):
        if first + size > len(stored):
            continue
        values = np.array(stored[first : first + size], dtype=np.float32)
        good[i] = checksums(values[None], words[i : i + 1])[0] == checksum
        out[rows[i]] = values
    return good
