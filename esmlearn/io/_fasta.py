"""FASTA: records in, records out, never more in memory than one record and its limits."""

import os
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import IO, Any, NamedTuple

import pandas as pd

from esmlearn.exceptions import DataError
from esmlearn.io._files import open_text, write_text
from esmlearn.utils._sequences import ALLOWED_CHARACTERS, check_sequences

#: In any case. Not by upper() of what is read, which makes residues of other letters: "ß" is "SS".
WRITTEN_CHARACTERS = ALLOWED_CHARACTERS | {c.lower() for c in ALLOWED_CHARACTERS}
#: Titin, the longest human protein, has 35,213 residues; nothing real comes near this.
MAX_LENGTH = 1_000_000
#: Blank lines and comments one after another, more than any writer leaves; bombs are made of them.
_MAX_IDLE_LINES = 100_000


class FastaRecord(NamedTuple):
    """One record of a FASTA file.

    Attributes
    ----------
    id : str
        The first word of the header; it holds no white space.
    description : str
        The rest of the header.
    sequence : str
        Upper-case residues.
    line : int
        Line number (from 1) of the header.
    """

    id: str
    description: str
    sequence: str
    line: int


def iter_fasta(
    path: str | os.PathLike[str], *, max_length: int = MAX_LENGTH
) -> Iterator[FastaRecord]:
    """Read a FASTA file record by record.

    Parameters
    ----------
    path : path-like
        FASTA, plain or compressed with gzip or zstd (extra ``zstd``).
    max_length : int, default=1_000_000
        The longest sequence to accept, in residues; a file that is no FASTA, or one that was made
        to fill the memory, ends here.

    Yields
    ------
    record : FastaRecord
        Records in the order of the file.

    Raises
    ------
    DataError
        If the file is empty, does not start with ``>``, or a record has no id, no sequence,
        another character than residues, or is longer than `max_length`; the message names the line.
    """
    with open_text(path) as handle:
        header: tuple[str, int] | None = None
        parts: list[str] = []
        length = idle = 0
        for number, line in enumerate(_bounded_lines(handle, path, max_length), start=1):
            text = line.strip()
            idle = 0 if text and not text.startswith(";") else idle + 1
            if idle > _MAX_IDLE_LINES:
                raise DataError(
                    f"{path}, line {number}: more than {_MAX_IDLE_LINES} blank lines or comments "
                    f"one after another; expected FASTA records. Remove these lines."
                )
            if text.startswith(">"):
                if header is not None:
                    yield _record(path, header, parts)
                header, parts, length = (text[1:].strip(), number), [], 0
            elif text and not text.startswith(";"):
                if header is None:
                    raise DataError(
                        f"{path}, line {number}: got {text[:40]!r} before the first header; "
                        f"expected a FASTA file whose records start with '>'."
                    )
                length += len(text)
                _check_residues(path, number, header[0], text, length, max_length)
                parts.append(text.upper())
        if header is None:
            raise DataError(f"{path} holds no FASTA record; expected lines that start with '>'.")
        yield _record(path, header, parts)


def _bounded_lines(handle: IO[str], path: Any, max_length: int) -> Iterator[str]:
    """Yield lines, refusing one that alone would exceed the limit (and the memory)."""
    limit = max_length + 1024
    for line in iter(lambda: handle.readline(limit), ""):
        if len(line) >= limit and not line.endswith("\n"):
            raise DataError(
                f"{path} has a line of more than {limit} characters; expected sequences of at most "
                f"{max_length} residues. Is it a FASTA file? Raise max_length if it is."
            )
        yield line


def _check_residues(
    path: Any, number: int, header: str, text: str, length: int, max_length: int
) -> None:
    """Refuse characters that are no residues, and sequences beyond the limit."""
    name = header.split(maxsplit=1)[0] if header else ""
    if not WRITTEN_CHARACTERS.issuperset(text):
        bad = next(c for c in text if c not in WRITTEN_CHARACTERS)
        raise DataError(
            f"{path}, line {number}: record {name!r} has the character {bad!r}; expected amino "
            f"acids in one-letter code (20 residues, B J O U X Z, or . - *)."
        )
    if length > max_length:
        raise DataError(
            f"{path}, line {number}: record {name!r} is longer than {max_length} residues; raise "
            f"max_length if that is meant."
        )


def _record(path: Any, header: tuple[str, int], parts: list[str]) -> FastaRecord:
    """Build a record from its header and lines."""
    text, line = header
    identifier, description = [*text.split(maxsplit=1), "", ""][:2]
    if not identifier:
        raise DataError(f"{path}, line {line}: a header without an id; expected '>ID description'.")
    if not parts:
        raise DataError(
            f"{path}, line {line}: record {identifier!r} has no sequence; remove it or add one."
        )
    return FastaRecord(identifier, description, "".join(parts), line)


def read_fasta(
    path: str | os.PathLike[str],
    *,
    max_length: int = MAX_LENGTH,
    max_records: int | None = None,
) -> pd.DataFrame:
    r"""Read a FASTA file into a table.

    Parameters
    ----------
    path : path-like
        FASTA, plain or compressed with gzip or zstd (extra ``zstd``).
    max_length : int, default=1_000_000
        The longest sequence to accept, in residues.
    max_records : int or None, default=None
        The most records to accept; None sets no limit.

    Returns
    -------
    table : pandas.DataFrame of shape (n_records, 3)
        Columns ``id``, ``sequence`` (upper case) and ``description``.

    Raises
    ------
    DataError
        If the file is no FASTA, an id occurs twice, or a limit is passed; the message names the
        line.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from esmlearn.io import read_fasta
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "two.fasta")
    ...     _ = path.write_text(">P1 first\nMKV\nLL\n>P2\nmst\n")
    ...     read_fasta(path)["sequence"].tolist()
    ['MKVLL', 'MST']
    """
    seen: dict[str, int] = {}
    records: list[tuple[str, str, str]] = []
    for record in iter_fasta(path, max_length=max_length):
        if record.id in seen:
            raise DataError(
                f"{path}, line {record.line}: the id {record.id!r} was already used in line "
                f"{seen[record.id]}; expected unique ids. Rename or remove one of the records."
            )
        if max_records is not None and len(records) >= max_records:
            raise DataError(
                f"{path}, line {record.line}: more than {max_records} records; raise max_records "
                f"if that is meant."
            )
        seen[record.id] = record.line
        records.append((record.id, record.sequence, record.description))
    return pd.DataFrame(records, columns=["id", "sequence", "description"])


def write_fasta(
    path: str | os.PathLike[str],
    sequences: Any,
    *,
    ids: Sequence[str] | None = None,
    width: int = 60,
) -> None:
    """Write sequences to a FASTA file, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file to write or replace; gzipped if its name ends in ``.gz``.
    sequences : array-like of str of shape (n_sequences,)
        Protein sequences.
    ids : sequence of str or None, default=None
        Header of each record; None writes ``sequence_0``, ``sequence_1`` and so on.
    width : int, default=60
        Residues per line.

    Raises
    ------
    DataError
        If a sequence is no protein, or `ids` has another length, an empty entry or a line break.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from esmlearn.io import write_fasta
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_fasta(Path(folder, "one.fasta"), ["MKVLL"], ids=["P1"], width=3)
    ...     print(Path(folder, "one.fasta").read_text())
    >P1
    MKV
    LL
    """
    residues = check_sequences(sequences, name="sequences", min_sequences=0)
    names = [f"sequence_{i}" for i in range(len(residues))] if ids is None else list(ids)
    if len(names) != len(residues):
        raise DataError(
            f"ids has {len(names)} entries for {len(residues)} sequences; expected as many."
        )
    for index, name in enumerate(names):
        if pd.isna(name) or not str(name).strip() or len(str(name).splitlines()) != 1:
            raise DataError(f"ids[{index}] is {name!r}; expected a non-empty id on one line.")
    with write_text(path) as handle:
        for name, sequence in zip(names, residues, strict=True):
            lines = (sequence[i : i + width] for i in range(0, len(sequence), width))
            handle.writelines(f"{line}\n" for line in chain([f">{name}"], lines))
