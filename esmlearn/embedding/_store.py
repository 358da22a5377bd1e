"""The numbers of the cache: flat float32 files, and checksums that bind a row to its sequence."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

_BLOCK = 128  # rows that stay in the processor's cache between copying and summing
DIGEST_BYTES = 16


def digest_keys(digests: Sequence[bytes]) -> np.ndarray:
    """Return the part of sequences' digests that goes into their rows' checksums, as uint64."""
    return np.frombuffer(b"".join(digests), dtype="<u8")[:: DIGEST_BYTES // 8]


def checksums(values: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Return one signed 64-bit checksum per row, bound to the sequence it belongs to.

    A sum of the row's words, which runs at the speed of memory, mixed with the sequence's digest:
    it tells damaged, zeroed and misplaced rows from good ones.

    Parameters
    ----------
    values : ndarray of float32 of shape (n, width)
        The vectors.
    keys : ndarray of uint64 of shape (n,)
        The digest_keys of the rows' sequences.

    Returns
    -------
    sums : ndarray of int64 of shape (n,)
    """
    values = np.ascontiguousarray(values, dtype="<f4")
    words = values.view(np.uint32 if values.shape[1] % 2 else np.uint64)
    sums = words.sum(axis=1, dtype=np.uint64)
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


def read_rows(
    stored: np.ndarray, table: np.ndarray, keys: np.ndarray, rows: np.ndarray, out: np.ndarray
) -> np.ndarray:
    """Gather vectors of one width.

    Parameters
    ----------
    stored : ndarray of float32
        All numbers of the space.
    table : ndarray of int64 of shape (n, >= 3)
        First number, number of numbers and checksum of each vector.
    keys : ndarray of uint64 of shape (n,)
        The digest_keys of the vectors' sequences.
    rows : ndarray of int of shape (n,)
        Where in `out` each belongs.
    out : ndarray of float32 of shape (n_rows, width)
        Filled in place.

    Returns
    -------
    good : ndarray of bool of shape (n,)
        False where the file is too short or the checksum another.
    """
    width = out.shape[1]
    good = (table[:, 1] == width) & (table[:, 0] % width == 0)
    good &= table[:, 0] + width <= len(stored)
    matrix = stored[: len(stored) // width * width].reshape(-1, width)
    usable = np.flatnonzero(good)
    starts = table[usable, 0] // width

    for begin in range(0, len(usable), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        chosen = usable[block]
        values = _copy(matrix, starts[block], rows[chosen], out)
        good[chosen] = checksums(values, keys[chosen]) == table[chosen, 2]
    return good


def _copy(matrix: np.ndarray, starts: np.ndarray, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Copy rows of `matrix` to ascending `rows` of `out`, and return them."""
    if rows[-1] - rows[0] == len(rows) - 1:  # side by side: straight to where they belong
        target = out[rows[0] : rows[-1] + 1]
        return np.take(matrix, starts, axis=0, out=target, mode="clip")
    values = matrix[starts]
    out[rows] = values
    return values


def read_arrays(
    stored: np.ndarray, table: np.ndarray, keys: np.ndarray, rows: np.ndarray, out: list[np.ndarray]
) -> np.ndarray:
    """Gather flat arrays of any length; see read_rows."""
    good = np.zeros(len(rows), dtype=bool)
    for i, (first, size, checksum) in enumerate(table[:, :3]):
        if first + size > len(stored):
            continue
        values = np.array(stored[first : first + size], dtype=np.float32)
        good[i] = checksums(values[None], keys[i : i + 1])[0] == checksum
        out[rows[i]] = values
    return good
