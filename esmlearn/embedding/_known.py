"""Sequences that this process has checked and hashed: folds and candidates ask for them again.

Checking 60,000 proteins, hashing them and telling duplicates apart takes longer than reading their
vectors from the cache. Each spelling is looked at once per process; after that it is a number.
"""

import os
from collections import deque
from collections.abc import Sequence
from itertools import repeat
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from esmlearn.embedding._digests import Digests
from esmlearn.utils._sequences import (
    Scan,
    as_items,
    check_sequences,
    count_features,
    scan_sequences,
    sequence_digests,
)

_MAX_BYTES = 1 << 27
_ENTRY_BYTES = 256  # what a sequence costs beside its residues, about
_MAX_ANSWERED = 1 << 19  # items of requests that are remembered as they came, 40 bytes each


class Request(NamedTuple):
    """What somebody asked for, each distinct sequence once.

    Attributes
    ----------
    sequences : list of str
        Distinct, upper-case, in the order in which they first occur.
    digests : Digests
        Their digests.
    lengths : ndarray of int64
        Their characters.
    rows : ndarray of int64 or None
        Position in `sequences` of each item asked for; None where all are distinct.
    counts : dict
        As count_sequence_features returns them.
    """

    sequences: list[str]
    digests: Digests
    lengths: np.ndarray
    rows: np.ndarray | None
    counts: dict[str, int]


class KnownSequences:
    """A table of sequences, which is emptied when it has grown beyond `max_bytes`.

    Requests are remembered, too: every candidate of a grid asks for the same folds.

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
            request = self._recall(items)
            if request is not None:
                return request
            codes = self._look_up(items)
            new = np.flatnonzero(codes < 0).tolist()
            if new or not items:
                unknown = [items[i] for i in new]
                scan = scan_sequences(unknown)
                if scan is None or not items:
                    check_sequences(items, name=name)  # says what is wrong, and where
                    raise AssertionError("what is refused has a reason")
                codes[new] = self._learn(unknown, scan)
            request = self._request(codes)
            if self._n_bytes > self._max_bytes:
                self._forget()
            else:
                self._remember(items, request)
        return request

    def forget(self) -> None:
        """Let go of all sequences, as those of a file that is read once."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._codes: dict[str, int] = {}  # of a spelling: 2 * number + (has it lower case?)
        self._sequences: list[str] = []
        self._digests = Digests(b"")
        self._scan = Scan.of_nothing()
        self._answers: deque[tuple[list[Any], Request]] = deque()

    @property
    def _n_bytes(self) -> int:
        return int(self._scan.lengths.sum()) + _ENTRY_BYTES * len(self._codes)

    def _recall(self, items: list[Any]) -> Request | None:
        """Return the answer to a request that came before; the same strings compare at once."""
        for asked, request in self._answers:
            try:
                if asked == items:
                    return request
            except (TypeError, ValueError):  # something that cannot be compared is no sequence
                return None
        return None

    def _remember(self, items: list[Any], request: Request) -> None:
        """Keep an answer, and of the earlier ones what there is room for."""
        self._answers.appendleft((items, request))
        while sum(len(asked) for asked, _ in self._answers) > _MAX_ANSWERED:
            self._answers.pop()

    def _look_up(self, items: Sequence[Any]) -> np.ndarray:
        """Return the code of each item, -1 for what is unknown or cannot be a sequence."""
        try:
            codes = map(self._codes.get, items, repeat(-1))
            return np.fromiter(codes, dtype=np.int64, count=len(items))
        except TypeError:  # something cannot be hashed
            return np.full(len(items), -1)

    def _learn(self, items: Sequence[str], scan: Scan) -> np.ndarray:
        """Take in checked spellings that are not known yet, and return their codes.

        They may occur several times; what is kept of the later ones is not referred to.
        """
        lower, upper = np.flatnonzero(scan.lower_case).tolist(), list(map(str, items))
        for row in lower:
            upper[row] = upper[row].upper()
        known = {s: self._codes[s] for s in (upper[row] for row in lower) if s in self._codes}
        codes = 2 * (len(self._sequences) + np.arange(len(upper)))
        n_codes = len(self._codes)
        self._codes.update(zip(reversed(upper), codes[::-1].tolist(), strict=True))
        all_new = len(self._codes) == n_codes + len(upper)
        self._codes.update(known)
        self._codes.update((items[row], self._codes[upper[row]] + 1) for row in lower)
        self._sequences += upper
        self._digests = self._digests.followed_by(sequence_digests(upper))
        parts = zip(self._scan, scan, strict=True)
        self._scan = Scan(*(np.concatenate(pair) for pair in parts))
        return codes if all_new and not lower else self._look_up(items)

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
            digests=self._digests[distinct],
            lengths=self._scan.lengths[distinct],
            rows=rows,
            counts=count_features(asked, n_distinct=len(distinct)),
        )


known_sequences = KnownSequences()
"""The table of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=known_sequences.reset)
