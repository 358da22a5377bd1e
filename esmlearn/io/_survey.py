"""A look through a whole FASTA file before hours are spent on it; memory does not grow with it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from esmlearn.exceptions import DataError
from esmlearn.io._fasta import MAX_LENGTH, FastaRecord, iter_fasta
from esmlearn.io._proteins import (
    gaps_alone_error,
    inner_stop_message,
    looks_nucleic,
    nucleic_error,
    nucleic_message,
)
from esmlearn.utils._scratch import working_directory
from esmlearn.utils._sequences import holds_gaps_alone, inner_stop, is_nucleic, strip_stop
from esmlearn.utils._warn import warn

_BUCKETS = 256
_BUFFER = 1 << 16  # bytes per bucket; beyond, they go to disk
_ITEM = np.dtype([("digest", "S16"), ("number", "<i8")])


@dataclass(frozen=True)
class Survey:
    """Counts and checks of a FASTA file.

    Attributes
    ----------
    n_records : int
        Records.
    n_distinct : int
        Distinct sequences, without the stops at their ends.
    n_stops : int
        Sequences with a stop (``*``) at the end.
    """

    n_records: int
    n_distinct: int
    n_stops: int


def survey_fasta(path: str | os.PathLike[str], *, max_length: int = MAX_LENGTH) -> Survey:
    """Check a whole FASTA file.

    Parameters
    ----------
    path : path-like
        FASTA, plain or compressed.
    max_length : int, default=1_000_000
        The longest sequence to accept, in residues.

    Returns
    -------
    survey : Survey
        Counts.

    Raises
    ------
    DataError
        If the file is no FASTA, holds DNA, a record of gaps alone or an id twice; the message names
        the line.
    """
    number = residues = n_stops = n_nucleic = 0
    broken, nucleic = _Seen(), _Seen()
    with _register() as ids, _register() as sequences:
        for record in iter_fasta(path, max_length=max_length):
            number += 1
            if holds_gaps_alone(record.sequence):
                raise gaps_alone_error(f"{path}, {_place(record)}", record.sequence)
            sequence = strip_stop(record.sequence)
            n_stops += sequence != record.sequence
            residues += len(sequence)
            n_nucleic += is_nucleic(sequence)
            if inner_stop(sequence) >= 0:
                broken.add(record)
            if looks_nucleic(sequence):
                nucleic.add(record)
            ids.add(record.id, record.line)
            sequences.add(sequence, number)
        if n_nucleic == number and residues >= 100:
            raise nucleic_error(path, next(iter_fasta(path)).sequence)
        twice = min(ids.repeated(), default=None)
        if twice is not None:
            _refuse(path, max_length, *twice)
        for seen, message in ((broken, inner_stop_message), (nucleic, nucleic_message)):
            if seen.first is not None:
                warn(message(path, _place(seen.first), seen.first.sequence, seen.n))
        return Survey(number, number - sum(1 for _ in sequences.repeated()), n_stops)


def _place(record: FastaRecord) -> str:
    return f"line {record.line} (id {record.id!r})"


@dataclass
class _Seen:
    """Records of a kind: the first of them, and how many there are."""

    first: FastaRecord | None = None
    n: int = 0

    def add(self, record: FastaRecord) -> None:
        self.first, self.n = self.first or record, self.n + 1


def _refuse(path: str | os.PathLike[str], max_length: int, line: int, first: int) -> None:
    """Name the id, which is looked up again because only its digest was kept."""
    name = next(r.id for r in iter_fasta(path, max_length=max_length) if r.line == line)
    raise DataError(
        f"{path}, line {line}: the id {name!r} was already used in line {first}; expected unique "
        f"ids. Rename or remove one of the records."
    )


@contextmanager
def _register() -> Iterator["_Register"]:
    with working_directory() as folder:
        yield _Register(folder)


class _Register:
    """Texts that were met, as digests in buckets, which fill files when they get large."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._buckets = [bytearray() for _ in range(_BUCKETS)]

    def add(self, text: str, number: int) -> None:
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        bucket = self._buckets[digest[0]]
        bucket += digest + number.to_bytes(8, "little")
        if len(bucket) >= _BUFFER:
            self._write(digest[0])

    def _write(self, which: int) -> None:
        with open(self._folder / str(which), "ab") as file:
            file.write(self._buckets[which])
        self._buckets[which].clear()

    def repeated(self) -> Iterator[tuple[int, int]]:
        """Yield the number of every text that had come before, and that of its first."""
        for which, rest in enumerate(self._buckets):
            file = self._folder / str(which)
            written = file.read_bytes() if file.exists() else b""
            items = np.frombuffer(written + bytes(rest), dtype=_ITEM)
            # bytes of equal digests; "S16" alone would ignore trailing zeros
            keys = items["digest"].view(np.dtype((np.void, 16))) if len(items) else items["number"]
            yield from _after_first(np.ascontiguousarray(keys), items["number"])


def _after_first(keys: np.ndarray, numbers: np.ndarray) -> Iterator[tuple[int, int]]:
    _, first, back = np.unique(keys, return_index=True, return_inverse=True)
    for row in np.flatnonzero(first[back] != np.arange(len(keys))).tolist():
        yield int(numbers[row]), int(numbers[first[back[row]]])
