"""Sequences that this process has checked and hashed: folds and candidates ask for them again.

Checking 60,000 proteins, hashing them and telling duplicates apart takes longer than reading their
vectors from the cache. Each spelling is looked at once per process; after that it is a number.
"""

import os
from collections.abc import Sequence
from itertools import repeat
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from esmlearn.utils._sequences import (
    Scan,
    as_items,
    check_sequences,
    count_features,
    scan_sequences,
    sequence_digest,
)

_MAX_BYTES = 1 << 27
_ENTRY_BYTES = 256  # what a sequence costs beside its residues, about


class Request(NamedTuple):
    """What somebody asked for, each distinct sequence once.

    Attributes
    ----------
    sequences : list of str
        Distinct, upper-case, in the order in which they first occur.
    digests : list of bytes
        Their digests.
    lengths : ndarray of int64
        Their characters.
    rows : ndarray of int64 or None
        Position in `sequences` of each item asked for; None where all are distinct.
    counts : dict
        As count_sequence_features returns them.
    """

    sequences: list[str]
    digests: list[bytes]
    lengths: np.ndarray
    rows: np.ndarray | None
    counts: dict[str, int]


class KnownSequences:
    """A table of sequences, which is emptied when it has grown beyond `max_bytes`.

    Parameters
    ----------
    max_bytes : int, default=128 MiB
        Estimated memory to keep between requests.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self.reset()

    def reset(self) -> None:
        """Begin anew, as in a forked process: another thread may have held the lock."""
        self._lock = Lock()
        self._forget()

    def ask(self, X: Any, *, name: str = "X") -> Request:
        """Check sequences and tell the distinct ones apart.

        Parameters
        ----------
        X : array-like of str of shape (n_sequences,)
            As check_sequences takes them.
        name : str, default="X"
            How to call `X` in messages.

        Returns
        -------
        request : Request
            Distinct sequences, digests, counts.

        Raises
        ------
        DataError
            As check_sequences.
        """
        items = as_items(X, name)
        with self._lock:
            codes = self._look_up(items)
            new = np.flatnonzero(codes < 0).tolist()
            if new or not items:
                unknown = [items[i] for i in new]
                scan = scan_sequences(unknown)
                if scan is None or not items:
                    check_sequences(items, name=name)  # says what is wrong, and where
                    raise AssertionError("what is refused has a reason")
                self._learn(unknown, scan)
                codes = self._look_up(items)
            request = self._request(codes)
            if self._n_bytes > self._max_bytes:
                self._forget()
        return request

    def forget(self) -> None:
        """Let go of all sequences, as those of a file that is read once."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._codes: dict[str, int] = {}  # of a spelling: 2 * number + (has it lower case?)
        self._sequences: list[str] = []
        self._digests: list[bytes] = []
        self._scan = Scan.of_nothing()

    @property
    def _n_bytes(self) -> int:
        return int(self._scan.lengths.sum()) + _ENTRY_BYTES * len(self._codes)

    def _look_up(self, items: Sequence[Any]) -> np.ndarray:
        """Return the code of each item, -1 for what is unknown or cannot be a sequence."""
        try:
            codes = map(self._codes.get, items, repeat(-1))
            return np.fromiter(codes, dtype=np.int64, count=len(items))
        except TypeError:  # something cannot be hashed
            return np.full(len(items), -1)

    def _learn(self, items: Sequence[str], scan: Scan) -> None:
        """Take in checked spellings that are not known yet; they may occur several times."""
        rows = []
        for row, (item, is_lower) in enumerate(zip(items, scan.lower_case.tolist(), strict=True)):
            upper = item.upper() if is_lower else str(item)
            if upper not in self._codes:
                self._codes[upper] = 2 * len(self._sequences)
                self._sequences.append(upper)
                self._digests.append(sequence_digest(upper))
                rows.append(row)
            self._codes[item] = self._codes[upper] + is_lower
        parts = zip(self._scan, scan, strict=True)
        self._scan = Scan(*(np.concatenate([known, new[rows]]) for known, new in parts))

    def _request(self, codes: np.ndarray) -> Request:
        numbers = codes >> 1
        n, every = len(numbers), np.arange(len(numbers))
        first = np.empty(len(self._sequences), dtype=np.int64)
        first[numbers[::-1]] = every[::-1]  # of several the last one assigned, which is the first
        is_first = first[numbers] == every
        distinct = numbers[is_first]
        first[distinct] = np.arange(len(distinct))
        rows = None if len(distinct) == n else first[numbers]
        asked = Scan(*(values[numbers] for values in self._scan))
        asked = asked._replace(lower_case=(codes & 1).astype(bool))
        return Request(
            sequences=list(map(self._sequences.__getitem__, distinct.tolist())),
            digests=list(map(self._digests.__getitem__, distinct.tolist())),
            lengths=self._scan.lengths[distinct],
            rows=rows,
            counts=count_features(asked, n_distinct=len(distinct)),
        )


known_sequences = KnownSequences()
"""The table of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=known_sequences.reset)
