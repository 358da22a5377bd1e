"""A request for vectors: what was asked for, what is known of it, and how it is known again."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np

from esmlearn.embedding._cache_notes import pack_columns, unpack_columns
from esmlearn.embedding._digests import DIGEST_BYTES, Digests
from esmlearn.utils._sequences import Scan, count_features
from esmlearn.utils._threads import map_in_threads

_BLOCK = 256  # sequences hashed together: what is made of them stays in the processor's cache
# Raise it when what counts as a sequence, or how its digest or its scan is made, changes.
_RULES = 2
# Of the items in a note: digest, code but for twice its place, and the scan.
_COLUMNS = (f"V{DIGEST_BYTES}", "<i8", "<i4", "<i4", "?")


@dataclass(frozen=True, eq=False)
class Request:
    """What somebody asked for, each distinct sequence once.

    Attributes
    ----------
    items : list of str
        As they came.
    firsts : ndarray of int64
        Where in `items` each distinct sequence occurs first.
    digests : Digests
        Of the distinct sequences.
    lengths : ndarray of int64
        Their characters.
    rows : ndarray of int64 or None
        Which distinct sequence each item is; None where all are distinct.
    counts : dict
        As count_sequence_features returns them.
    """

    items: list[str]
    firsts: np.ndarray
    digests: Digests
    lengths: np.ndarray
    rows: np.ndarray | None
    counts: dict[str, int]

    @cached_property
    def sequences(self) -> list[str]:
        """The distinct sequences, upper-case; who finds all vectors in the cache needs none."""
        return [str(self.items[first]).upper() for first in self.firsts.tolist()]


@dataclass(frozen=True, eq=False)
class Finding:
    """What was found out about the items of a request.

    Attributes
    ----------
    codes : ndarray of int64 of shape (n_items,)
        Of each, twice the number of its sequence, and one more if it has a letter in lower case.
    digests : Digests
        By number; there may be others among them.
    scan : Scan
        By number.
    """

    codes: np.ndarray
    digests: Digests
    scan: Scan

    @property
    def scan_of_items(self) -> Scan:
        """The scan of the items as they are spelled."""
        scan, lower_case = self.scan, (self.codes & 1).astype(bool)
        if not self._is_in_order:
            scan = Scan(*(values[self.codes >> 1] for values in scan))
        return scan._replace(lower_case=lower_case)

    @cached_property
    def _is_in_order(self) -> bool:
        """Whether each item is a sequence of its own, numbered as it comes."""
        return np.array_equal(self.codes >> 1, np.arange(len(self.digests)))

    def request(self, items: list[str], name: bytes = b"") -> Request:
        """Return what is known of a request, which may have a name."""
        numbers = self.codes >> 1
        firsts = distinct = every = np.arange(len(numbers))
        rows = None
        if not self._is_in_order:
            first = np.empty(len(self.digests), dtype=np.int64)
            first[numbers[::-1]] = every[::-1]  # of several the last assigned, which is the first
            firsts = np.flatnonzero(first[numbers] == every)
            distinct = numbers[firsts]
            first[distinct] = np.arange(len(distinct))
            rows = None if len(distinct) == len(numbers) else first[numbers]
        is_whole = self._is_in_order and self.digests.request == name
        return Request(
            items=items,
            firsts=firsts,
            digests=self.digests if is_whole else self.digests.part(distinct, request=name),
            lengths=self.scan.lengths[distinct],
            rows=rows,
            counts=count_features(self.scan_of_items, n_distinct=len(distinct)),
        )

    def pack(self, request: Request) -> bytes:
        """Return it as a note, in which a sequence's number is that of the first such item."""
        first = request.firsts if request.rows is None else request.firsts[request.rows]
        scan, digests = self.scan_of_items, self.digests.part(self.codes >> 1)
        columns = (
            np.frombuffer(digests.tobytes(), dtype=f"V{DIGEST_BYTES}"),
            2 * (first - np.arange(len(first))) + scan.lower_case,
            scan.lengths,
            scan.n_gaps,
            scan.ambiguous,
        )
        typed = [column.astype(kind) for column, kind in zip(columns, _COLUMNS, strict=True)]
        return np.int64(len(first)).astype("<i8").tobytes() + pack_columns(typed)

    @classmethod
    def unpack(cls, content: memoryview, name: bytes) -> "Finding":
        """Return what the note of a request of this name says."""
        n = int(np.frombuffer(content, "<i8", 1)[0])
        digests, codes, lengths, n_gaps, ambiguous = unpack_columns(content[8:], n, _COLUMNS)
        codes = codes + 2 * np.arange(n)
        scan = Scan(
            lengths.astype(np.int64), n_gaps.astype(np.int64), ambiguous, (codes & 1).astype(bool)
        )
        return cls(codes, Digests(digests.tobytes(), request=name), scan)


def request_key(items: Sequence[Any]) -> bytes:
    """Return a digest by which a request is known in notes.

    Parameters
    ----------
    items : sequence
        What should be sequences of any case.

    Returns
    -------
    key : bytes
        Of their number and their text, in which only something that is no sequence could hide
        where one ends; empty where an item cannot be a sequence.
    """
    half = len(items) // 2
    try:
        halves = map_in_threads(_text_digest, [items[:half], items[half:]])
    except (TypeError, UnicodeEncodeError):
        return b""
    return sha256(f"request {_RULES} {len(items)} ".encode() + b"".join(halves)).digest()


def _text_digest(items: Sequence[Any]) -> bytes:
    digest = sha256()
    for start in range(0, len(items), _BLOCK):
        digest.update("\n".join(items[start : start + _BLOCK]).encode("ascii"))
        digest.update(b"\n")
    return digest.digest()
