"""Labelled proteins: a table, or FASTA and a table, checked before anything is computed."""

import datetime
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from esmlearn.exceptions import DataError
from esmlearn.io._compressed import COMPRESSED_SUFFIXES, open_bytes
from esmlearn.io._fasta import WRITTEN_CHARACTERS, read_fasta
from esmlearn.io._tables import read_table
from esmlearn.io._targets import Censored, Decimal, Task, decide_target, parse_bounds
from esmlearn.utils._sequences import (
    check_sequences,
    holds_gaps_alone,
    inner_stop,
    is_nucleic,
    strip_stop,
)
from esmlearn.utils._warn import warn

_log = logging.getLogger(__name__)

FASTA_SUFFIXES = {".fasta", ".fa", ".faa", ".fas", ".fsa", ".pep", ".a2m", ".a3m", ".afa"}
#: The ids of UniProt's FASTA files, such as ``sp|P69905|HBA_HUMAN``.
_UNIPROT = re.compile(r"(?:sp|tr)\|([^|]+)\|[^|]+")
#: Shorter ones than this many residues can be proteins of A, C, G, T and N by chance.
_NUCLEIC_LENGTH = 20


@dataclass(frozen=True)
class Proteins:
    """Validated proteins with or without a target.

    Attributes
    ----------
    ids : ndarray of str of shape (n_sequences,)
        Unique ids.
    sequences : ndarray of str of shape (n_sequences,)
        Upper-case sequences.
    y : ndarray of shape (n_sequences,) or None
        Targets: float for regression, str for classification.
    task : {"regression", "classification"} or None
        What `y` is; None without targets.
    frame : pandas.DataFrame
        The whole table, in the same order.
    reason : str or None
        Why `task` is what it is, in words, and what was done to the target.
    n_stops : int
        Sequences from whose end a stop (``*``) was removed.
    """

    ids: np.ndarray
    sequences: np.ndarray
    y: np.ndarray | None
    task: str | None
    frame: pd.DataFrame
    reason: str | None = None
    n_stops: int = 0


def is_fasta(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file is FASTA: by its suffix, or by its first character, which is ``>``.

    Parameters
    ----------
    path : path-like
        A file, plain or compressed.

    Returns
    -------
    fasta : bool
        True for the suffixes ``.fasta``, ``.fa``, ``.faa`` and their like (also with ``.gz`` and
        ``.zst``), and for an existing file of any other name that begins with ``>``.
    """
    path = Path(path)
    name = path.stem if path.suffix.lower() in COMPRESSED_SUFFIXES else path.name
    if Path(name.lower()).suffix in FASTA_SUFFIXES:
        return True
    if not path.is_file():
        return False
    with open_bytes(path, max_line=None) as handle:
        return handle.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b">")


def read_proteins(
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    sequence: str = "sequence",
    id: str | None = None,
    fasta: str | os.PathLike[str] | None = None,
    task: Task = "auto",
    decimal: Decimal = ".",
    censored: Censored = "refuse",
    min_sequences: int = 1,
    separator: str | None = None,
    sheet: str | None = None,
) -> Proteins:
    r"""Read proteins, and their targets where asked, and check all of it.

    Parameters
    ----------
    path : path-like
        A CSV, TSV, parquet or Excel table, or a FASTA file (then without `target`).
    target : str or None, default=None
        Column of the value to predict; None reads none.
    sequence : str, default="sequence"
        Column of the sequences, unless `fasta` gives them.
    id : str or None, default=None
        Column of the ids; None takes ``id`` where there is one, else numbers the rows. Required
        (by name or as ``id``) with `fasta`.
    fasta : path-like or None, default=None
        FASTA file that holds the sequences of the table's ids. Records that the table does not
        name are left out; an id without a record is an error. The accession ``P69905`` names the
        record ``sp|P69905|HBA_HUMAN`` of a file of UniProt's.
    task : {"auto", "regression", "classification"}, default="auto"
        What the target is. ``"auto"`` takes text and columns of two distinct values for classes,
        other numbers for regression, and refuses text that begins with numbers but is none.
    decimal : {".", ","}, default="."
        Decimal sign of the target's numbers.
    censored : {"refuse", "drop", "bound"}, default="refuse"
        What to do about targets such as ``>60``: refuse them, leave their rows out, or take the
        bound, 60, for the value.
    min_sequences : int, default=1
        The least number of proteins.
    separator : str or None, default=None
        The separator of a text table; None goes by suffix and header.
    sheet : str or None, default=None
        Name of the sheet of an Excel workbook; None is the first.

    Returns
    -------
    proteins : Proteins
        Validated ids, sequences and targets.

    Raises
    ------
    DataError
        Whatever is wrong with the file, named with row or line and value.

    Warns
    -----
    UserWarning
        If a sequence holds a stop before its end, or looks like DNA or RNA among proteins; or if a
        target lies so far from all others that it may stand for a missing value.

    Notes
    -----
    A stop (``*``) at the end of a sequence, as gene predictors write it, is removed and counted.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from esmlearn.io import read_proteins
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "table.csv")
    ...     _ = path.write_text("id,sequence,tm\nP1,MKV,37.5\nP2,MSL,41\nP3,MAL,60\n")
    ...     proteins = read_proteins(path, target="tm")
    >>> proteins.y, proteins.task
    (array([37.5, 41. , 60. ]), 'regression')
    """
    if is_fasta(path):
        if separator is not None or sheet is not None:
            raise DataError(
                f"Got separator={separator!r} and sheet={sheet!r} for {path}, a FASTA file; "
                "expected them for tables only."
            )
        if target is not None:
            raise DataError(
                f"{path} is a FASTA file and holds no column {target!r}; pass the table with the "
                f"targets, and this file as fasta."
            )
        frame = read_fasta(path)
    else:
        frame = read_table(path, separator=separator, sheet=sheet)
        if fasta is not None:
            frame = _join_fasta(frame, path, fasta, _id_column(frame, path, id, required=True))
            sequence = "sequence"
    sequences = _column(frame, path, sequence)
    values = None if target is None else _column(frame, path, target)
    ids = _ids(frame, path, id)
    checked, n_stops = _check_proteins(sequences, ids, path, min_sequences)
    if values is None and (decimal, censored) != (".", "refuse"):
        raise DataError(
            f"Got decimal={decimal!r} and censored={censored!r} without a target; expected the "
            f"name of the column that they are for."
        )
    if values is None:
        return Proteins(ids, checked, None, None, frame, n_stops=n_stops)
    values, left_out = _resolve_bounds(values, task, decimal, censored, name=str(target))
    kept = values.index.to_numpy()
    if len(kept) < min_sequences:
        raise DataError(
            f"{target}: {len(kept)} row(s) are left without {len(ids) - len(kept)} censored ones; "
            f"expected at least {min_sequences}. Pass censored='bound', or another table."
        )
    y, found, reason = decide_target(
        values, task=task, decimal=decimal, ids=ids[kept], name=str(target)
    )
    frame = frame.iloc[kept].reset_index(drop=True)
    return Proteins(ids[kept], checked[kept], y, found, frame, reason + left_out, n_stops)


def _resolve_bounds(
    values: pd.Series, task: Task, decimal: Decimal, censored: Censored, *, name: str
) -> tuple[pd.Series, str]:
    """Return a target without bounds such as ``>60``, its rows' numbers as index, and the deed."""
    values = values.reset_index(drop=True)
    if censored not in get_args(Censored):
        raise DataError(f"censored is {censored!r}; expected 'refuse', 'drop' or 'bound'.")
    if task == "classification" and (censored != "refuse" or decimal != "."):
        raise DataError(
            f"Got censored={censored!r} and decimal={decimal!r} for {name!r}, which holds names of "
            f"classes; expected them for numbers only."
        )
    if censored == "refuse":
        return values, ""
    bounds = parse_bounds(values.tolist(), decimal)
    rows = np.flatnonzero(~np.isnan(bounds))
    if censored == "drop":
        return values.drop(index=rows), f"; {len(rows)} censored row(s) left out"
    values = values.astype(object)
    values.iloc[rows] = bounds[rows]
    return values, f"; the bound taken for {len(rows)} censored value(s)"


def _column(frame: pd.DataFrame, path: Any, name: str) -> pd.Series:
    if name not in frame.columns:
        odd = any(separator in str(column) for column in frame.columns for separator in ",;\t|")
        remedy = ", or separate the cells by commas (.csv) or tabs (.tsv)" if odd else ""
        raise DataError(
            f"{path} has no column {name!r}; it has {', '.join(map(repr, frame.columns))}. "
            f"Name the right one{remedy}."
        )
    column = frame[name]
    dates = [row for row, cell in enumerate(column) if isinstance(cell, datetime.date)]
    if dates:
        raise DataError(
            f"{path}: row {dates[0]} of {name!r} holds the date {column.iloc[dates[0]]} "
            f"({len(dates)} such row(s)), which spreadsheets make of texts such as 1-2 or MAR1. "
            "Format the column as text, and enter these cells again."
        )
    return column


def _id_column(frame: pd.DataFrame, path: Any, name: str | None, *, required: bool) -> str | None:
    if name is not None:
        _column(frame, path, name)
        return name
    if "id" in frame.columns or required:
        _column(frame, path, "id")
        return "id"
    return None


def _ids(frame: pd.DataFrame, path: Any, name: str | None) -> np.ndarray:
    """Return unique ids as text."""
    column = _id_column(frame, path, name, required=False)
    if column is None:
        return np.array([f"row_{i}" for i in range(len(frame))], dtype=object)
    values = frame[column]
    missing = np.flatnonzero(values.isna())
    if len(missing):
        raise DataError(
            f"{path}: row {missing[0]} has no {column!r} ({len(missing)} such row(s)); expected an "
            f"id in every row. Fill it, or name another column of ids."
        )
    texts = values.astype(str)
    twice = np.flatnonzero(texts.duplicated())
    if len(twice):
        row = twice[0]
        first = int(np.flatnonzero(texts == texts.iloc[row])[0])
        raise DataError(
            f"{path}: row {row} has the {column} {texts.iloc[row]!r} of row {first} "
            f"({len(twice)} such row(s)); expected unique ids. Rename or merge them first."
        )
    return texts.to_numpy(dtype=object)


def _join_fasta(
    frame: pd.DataFrame, path: Any, fasta: str | os.PathLike[str], column: str | None
) -> pd.DataFrame:
    """Add the sequences of a FASTA file to a table by id."""
    records = read_fasta(fasta).set_index("id")["sequence"]
    keys = frame[column].astype(str).tolist()
    named: dict[str, str | None] = {}
    for record in records.index:
        match = _UNIPROT.fullmatch(record)
        if match is not None:  # an accession of two records names neither
            named[match[1]] = None if match[1] in named else record
    found = [key if key in records.index else named.get(key) for key in keys]
    missing = [row for row, record in enumerate(found) if record is None]
    if missing:
        raise DataError(
            f"{path}: row {missing[0]} has the {column} {keys[missing[0]]!r}, which is not in "
            f"{fasta} ({len(missing)} such row(s)), whose ids look like {records.index[0]!r}; "
            f"expected a record for every row. Write the ids alike, or name another column of ids."
        )
    return frame.assign(sequence=records.loc[found].to_numpy())


def nucleic_error(path: Any, first: str) -> DataError:
    """Return the error for a file that has nothing but such sequences."""
    return DataError(
        f"{path} holds only the letters A C G T U N (row 0: {first[:30]!r}); this looks like DNA "
        f"or RNA, and proteins are expected. Translate it first."
    )


def _check_proteins(
    sequences: pd.Series, ids: np.ndarray, path: Any, min_sequences: int
) -> tuple[np.ndarray, int]:
    """Return sequences and how many lost a stop at the end; refuse what is surely DNA or RNA."""
    if len(sequences) < min_sequences:
        raise DataError(
            f"{path} has {len(sequences)} sequence(s); expected at least {min_sequences}."
        )
    texts = sequences.astype(object).tolist()

    def place(row: int) -> str:
        return f"{path}: row {row} (id {ids[row]!r})"

    n_stops = 0
    for row, text in enumerate(texts):
        given = text.strip() if isinstance(text, str) else ""
        if not given:
            raise DataError(f"{place(row)} has no sequence; remove the row or add one.")
        if not WRITTEN_CHARACTERS.issuperset(given):
            bad = next(c for c in given if c not in WRITTEN_CHARACTERS)
            raise DataError(
                f"{place(row)} has the sequence {given[:30]!r} with the character {bad!r}; "
                f"expected amino acids in one-letter code (20 residues, B J O U X Z, or . - *)."
            )
        if holds_gaps_alone(given):
            raise gaps_alone_error(place(row), given)
        texts[row] = strip_stop(given)
        n_stops += texts[row] != given
    if n_stops:
        _log.info("%s: a stop (*) was removed from the end of %d sequence(s).", path, n_stops)
    _warn_of_oddities(texts, ids, path)
    return np.array(check_sequences(texts, name=str(path)), dtype=object), n_stops


def _warn_of_oddities(sequences: list[str], ids: np.ndarray, path: Any) -> None:
    """Warn of stops before the end, and of DNA or RNA among proteins; refuse nothing else."""
    stops = [row for row, sequence in enumerate(sequences) if inner_stop(sequence) >= 0]
    if stops:
        where = f"row {stops[0]} (id {ids[stops[0]]!r})"
        warn(inner_stop_message(path, where, sequences[stops[0]], len(stops)))
    nucleic = [row for row, sequence in enumerate(sequences) if is_nucleic(sequence)]
    if len(nucleic) == len(sequences) and sum(map(len, sequences)) >= 100:
        raise nucleic_error(path, sequences[0])
    nucleic = [row for row in nucleic if looks_nucleic(sequences[row])]
    if nucleic:
        where = f"row {nucleic[0]} (id {ids[nucleic[0]]!r})"
        warn(nucleic_message(path, where, sequences[nucleic[0]], len(nucleic)))


def looks_nucleic(sequence: str) -> bool:
    """Return whether one sequence among proteins is long enough to be DNA or RNA for sure."""
    return len(sequence) >= _NUCLEIC_LENGTH and is_nucleic(sequence)


def gaps_alone_error(where: str, sequence: str) -> DataError:
    """Return the error for a sequence without any residue."""
    return DataError(
        f"{where} has the sequence {sequence[:30]!r}, gaps or stops (. - *) alone; expected at "
        f"least one residue. Remove it first."
    )


def inner_stop_message(path: Any, where: str, sequence: str, n: int) -> str:
    """Return the warning of a stop before the end of a sequence."""
    return (
        f"{path}: {where} has a stop (*) at position {inner_stop(sequence)}, before its end ({n} "
        f"such sequence(s)), as pseudogenes and wrong reading frames have. Remove or correct it if "
        f"that is not meant."
    )


def nucleic_message(path: Any, where: str, sequence: str, n: int) -> str:
    """Return the warning of DNA or RNA among proteins."""
    return (
        f"{path}: {where} holds only the letters A C G T U N ({sequence[:30]!r}; {n} such "
        f"sequence(s)) and looks like DNA or RNA among proteins. Translate or remove it."
    )
