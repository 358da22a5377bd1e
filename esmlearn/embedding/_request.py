"""A request for vectors: what was asked for, what is known of it, and how it is known again."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np

from esmlearn.embedding._digests import DIGEST_BYTES, Digests
from esmlearn.utils._sequences import Scan, count_features

_BLOCK = 2048  # sequences hashed together: what is made of them stays in the processor's cache
# Raise it when what counts as a sequence, or how its digest or its scan is made, changes.
_RULES = 1
_RECORD = np.dtype(  # of an item, in a note
    [
        ("code", "<i8"),
        ("digest", f"V{DIGEST_BYTES}"),
        ("length", "<i4"),
        ("n_gaps", "<i4"),
        ("ambiguous", "?"),
    ]
)


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


class Finding(NamedTuple):
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
        scan = Scan(*(values[self.codes >> 1] for values in self.scan))
        return scan._replace(lower_case=(self.codes & 1).astype(bool))

    def request(self, items: list[str], name: bytes = b"") -> Request:
        """Return what is known of a request, which may have a name."""
        numbers = self.codes >> 1
        every = np.arange(len(numbers))
        first = np.empty(len(self.digests), dtype=np.int64)
        first[numbers[::-1]] = every[::-1]  # of several the last one assigned, which is the first
        firsts = np.flatnonzero(first[numbers] == every)
        distinct = numbers[firsts]
        first[distinct] = np.arange(len(distinct))
        return Request(
            items=items,
            firsts=firsts,
            digests=self.digests.part(distinct, request=name),
            lengths=self.scan.lengths[distinct],
            rows=None if len(distinct) == len(numbers) else first[numbers],
            counts=count_features(self.scan_of_items, n_distinct=len(distinct)),
        )

    def pack(self, request: Request) -> bytes:
        """Return it as a note, in which a sequence's number is that of the first such item."""
        first = request.firsts if request.rows is None else request.firsts[request.rows]
        scan = self.scan_of_items
        records = np.empty(len(first), dtype=_RECORD)
        records["code"] = 2 * first + scan.lower_case
        digests = self.digests.part(self.codes >> 1).tobytes()
        records["digest"] = np.frombuffer(digests, dtype=_RECORD["digest"])
        records["length"], records["n_gaps"] = scan.lengths, scan.n_gaps
        records["ambiguous"] = scan.ambiguous
        return records.tobytes()

    @classmethod
    def unpack(cls, content: memoryview) -> "Finding":
        """Return what a note says."""
        records = np.frombuffer(content, dtype=_RECORD)
        codes, lengths, n_gaps = (
            records[name].astype(np.int64) for name in ("code", "length", "n_gaps")
        )
        lower = (codes & 1).astype(bool)
        scan = Scan(lengths, n_gaps, records["ambiguous"].copy(), lower)
        return cls(codes, Digests(records["digest"].tobytes()), scan)


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
    with ThreadPoolExecutor(2) as pool:
        try:
            halves = list(pool.map(_text_digest, (items[:half], items[half:])))
        except (TypeError, UnicodeEncodeError):
            return b""
    return sha256(f"request {_RULES} {len(items)} ".encode() + b"".join(halves)).digest()


def _text_digest(items: Sequence[Any]) -> bytes:
    digest = sha256()
    for start in range(0, len(items), _BLOCK):
        digest.update("\n".join(items[start : start + _BLOCK]).encode("ascii"))
        digest.update(b"\n")
    return digest.digest()
