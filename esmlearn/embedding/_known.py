"""Sequences that this process has checked and hashed: folds and candidates ask for them again.

Checking 60,000 proteins, hashing them and telling duplicates apart takes longer than reading their
vectors from the cache. Each spelling is looked at once per process; after that it is a number. What
was found out about a large request is noted in the cache, where another process finds it by one
digest of the whole.
"""

import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import repeat
from operator import itemgetter
from threading import Lock
from typing import Any

import numpy as np

from esmlearn.embedding._cache_notes import MANY, CacheNotes
from esmlearn.embedding._digests import Digests
from esmlearn.embedding._request import Finding, Request, request_key
from esmlearn.utils._sequences import (
    Scan,
    as_items,
    check_sequences,
    scan_sequences,
    sequence_digests,
)

_MAX_BYTES = 1 << 27
_ENTRY_BYTES = 256  # what a sequence costs beside its residues, about
_MAX_ANSWERED = 1 << 19  # items of requests that are remembered as they came, 40 bytes each


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

    def ask(self, X: Any, *, name: str = "X", notes: CacheNotes | None = None) -> Request:
        """Check sequences and tell the distinct ones apart.

        Parameters
        ----------
        X : array-like of str of shape (n_sequences,)
            As check_sequences takes them.
        name : str, default="X"
            How to call `X` in messages.
        notes : CacheNotes, default=None
            Where what is found out about a large request is kept, and may be already.

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
            if request is None:
                request = self._find_out(items, name, notes)
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
        self._digests = Digests(b"")
        self._scan = Scan.of_nothing()
        self._noted: tuple[list[str], Finding] | None = None  # not yet in the table
        self._answers: deque[tuple[list[Any], Request]] = deque()

    @property
    def _n_bytes(self) -> int:
        items, residues = len(self._codes), int(self._scan.lengths.sum())
        if self._noted is not None:
            items += len(self._noted[0])
            residues += int(self._noted[1].scan.lengths.sum())
        return residues + _ENTRY_BYTES * items

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

    def _find_out(self, items: list[Any], name: str, notes: CacheNotes | None) -> Request:
        """Answer a request from the table, from a note, or by looking at the sequences."""
        self._take_in_noted()
        codes = self._look_up(items)
        new = np.flatnonzero(codes < 0)
        if items and not len(new):
            return Finding(codes, self._digests, self._scan).request(items)
        key = b"" if notes is None or len(new) < MANY else request_key(items)
        content = notes.recall_note(key) if notes is not None and key else None
        if content is not None:
            finding = Finding.unpack(content, key)
            self._noted = items, finding
            return finding.request(items, key)
        unknown = [items[i] for i in new.tolist()]
        scan = scan_sequences(unknown)
        if scan is None or not items:
            check_sequences(items, name=name)  # says what is wrong, and where
            raise AssertionError("what is refused has a reason")
        codes[new] = self._learn(unknown, scan)
        finding = Finding(codes, self._digests, self._scan)
        request = finding.request(items, key)
        if notes is not None and key:
            notes.note(key, finding.pack(request))
        return request

    def _look_up(self, items: Sequence[Any]) -> np.ndarray:
        """Return the code of each item, -1 for what is unknown or cannot be a sequence."""
        if not self._codes:
            return np.full(len(items), -1)
        with suppress(KeyError, TypeError):
            if len(items) > 1:  # takes half of the time of asking for one after the other
                return np.array(itemgetter(*items)(self._codes), dtype=np.int64)
        try:
            codes = map(self._codes.get, items, repeat(-1))
            return np.fromiter(codes, dtype=np.int64, count=len(items))
        except TypeError:  # something cannot be hashed
            return np.full(len(items), -1)

    def _take_in_noted(self) -> None:
        """Take in the items of the last note, now that something else is asked for."""
        if self._noted is None:
            return
        (items, finding), self._noted = self._noted, None
        new = np.flatnonzero(self._look_up(items) < 0)
        if len(new):
            digests = finding.digests.part((finding.codes >> 1)[new])
            scan = Scan(*(values[new] for values in finding.scan_of_items))
            self._learn([items[i] for i in new.tolist()], scan, digests.tobytes())

    def _learn(self, items: Sequence[str], scan: Scan, digests: bytes = b"") -> np.ndarray:
        """Take in checked spellings that are not known yet, and return their codes.

        They may occur several times; what is kept of the later ones is not referred to.
        """
        lower, upper = np.flatnonzero(scan.lower_case).tolist(), list(map(str, items))
        for row in lower:
            upper[row] = upper[row].upper()
        known = {s: self._codes[s] for s in (upper[row] for row in lower) if s in self._codes}
        codes = 2 * (len(self._digests) + np.arange(len(upper)))
        n_codes = len(self._codes)
        self._codes.update(zip(reversed(upper), codes[::-1].tolist(), strict=True))
        all_new = len(self._codes) == n_codes + len(upper)
        self._codes.update(known)
        self._codes.update((items[row], self._codes[upper[row]] + 1) for row in lower)
        self._digests = self._digests.followed_by(digests or sequence_digests(upper))
        parts = zip(self._scan, scan, strict=True)
        self._scan = Scan(*(np.concatenate(pair) for pair in parts))
        return codes if all_new and not lower else self._look_up(items)


known_sequences = KnownSequences()
"""The table of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=known_sequences.reset)
