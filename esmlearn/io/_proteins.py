"""Labelled proteins: a table, or FASTA and a table, checked before anything is computed."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from esmlearn.exceptions import DataError
from esmlearn.io._compressed import COMPRESSED_SUFFIXES
from esmlearn.io._fasta import WRITTEN_CHARACTERS, read_fasta
from esmlearn.io._tables import read_table
from esmlearn.utils._sequences import check_sequences, is_nucleic

Task = Literal["auto", "regression", "classification"]

FASTA_SUFFIXES = {".fasta", ".fa", ".faa", ".fas", ".pep"}


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
    """

    ids: np.ndarray
    sequences: np.ndarray
    y: np.ndarray | None
    task: str | None
    frame: pd.DataFrame


def is_fasta(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file's name says FASTA (``.fasta``, ``.fa``, ``.faa``, also ``.gz``)."""
    path = Path(path)
    name = path.stem if path.suffix.lower() in COMPRESSED_SUFFIXES else path.name
    return Path(name.lower()).suffix in FASTA_SUFFIXES


def read_proteins(
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    sequence: str = "sequence",
    id: str | None = None,
    fasta: str | os.PathLike[str] | None = None,
    task: Task = "auto",
    min_sequences: int = 1,
) -> Proteins:
    r"""Read proteins, and their targets where asked, and check all of it.

    Parameters
    ----------
    path : path-like
        A CSV, TSV or parquet table, or a FASTA file (then without `target`).
    target : str or None, default=None
        Column of the value to predict; None reads none.
    sequence : str, default="sequence"
        Column of the sequences, unless `fasta` gives them.
    id : str or None, default=None
        Column of the ids; None takes ``id`` where there is one, else numbers the rows. Required
        (by name or as ``id``) with `fasta`.
    fasta : path-like or None, default=None
        FASTA file that holds the sequences of the table's ids. Records that the table does not
        name are left out; an id without a record is an error.
    task : {"auto", "regression", "classification"}, default="auto"
        What the target is. ``"auto"`` takes text and columns of two distinct values for classes,
        other numbers for regression.
    min_sequences : int, default=1
        The least number of proteins.

    Returns
    -------
    proteins : Proteins
        Validated ids, sequences and targets.

    Raises
    ------
    DataError
        Whatever is wrong with the file, named with row or line and value.

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
        if target is not None:
            raise DataError(
                f"{path} is a FASTA file and holds no column {target!r}; pass the table with the "
                f"targets, and this file as fasta."
            )
        frame = read_fasta(path)
    else:
        frame = read_table(path)
        if fasta is not None:
            frame = _join_fasta(frame, path, fasta, _id_column(frame, path, id, required=True))
            sequence = "sequence"
    sequences = _column(frame, path, sequence)
    values = None if target is None else _column(frame, path, target)
    ids = _ids(frame, path, id)
    checked = _check_proteins(sequences, ids, path, min_sequences)
    if values is None:
        return Proteins(ids, checked, None, None, frame)
    y, found = check_target(values, task=task, ids=ids, name=str(target))
    return Proteins(ids, checked, y, found, frame)


def _column(frame: pd.DataFrame, path: Any, name: str) -> pd.Series:
    if name not in frame.columns:
        raise DataError(
            f"{path} has no column {name!r}; it has {', '.join(map(repr, frame.columns))}. "
            f"Name the right one."
        )
    return frame[name]


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
    keys = frame[column].astype(str)
    missing = np.flatnonzero(~keys.isin(records.index))
    if len(missing):
        raise DataError(
            f"{path}: row {missing[0]} has the {column} {keys.iloc[missing[0]]!r}, which is not in "
            f"{fasta} ({len(missing)} such row(s)); expected a record for every row."
        )
    return frame.assign(sequence=records.loc[keys].to_numpy())


def nucleic_error(path: Any, first: str) -> DataError:
    """Return the error for a file that has nothing but such sequences."""
    return DataError(
        f"{path} holds only the letters A C G T U N (row 0: {first[:30]!r}); this looks like DNA "
        f"or RNA, and proteins are expected. Translate it first."
    )


def _check_proteins(
    sequences: pd.Series, ids: np.ndarray, path: Any, min_sequences: int
) -> np.ndarray:
    """Check sequences, naming row and id, and refuse what is surely DNA or RNA."""
    if len(sequences) < min_sequences:
        raise DataError(
            f"{path} has {len(sequences)} sequence(s); expected at least {min_sequences}."
        )
    texts = sequences.astype(object).tolist()
    for row, text in enumerate(texts):
        given = text.strip() if isinstance(text, str) else ""
        if not given:
            raise DataError(
                f"{path}: row {row} (id {ids[row]!r}) has no sequence; remove the row or add one."
            )
        bad = next((c for c in given if c not in WRITTEN_CHARACTERS), None)
        if bad is not None:
            raise DataError(
                f"{path}: row {row} (id {ids[row]!r}) has the sequence {given[:30]!r} with the "
                f"character {bad!r}; expected amino acids in one-letter code (20 residues, "
                f"B J O U X Z, or . - *)."
            )
        texts[row] = given
    if sum(map(len, texts)) >= 100 and all(map(is_nucleic, texts)):
        raise nucleic_error(path, texts[0])
    return np.array(check_sequences(texts, name=str(path)), dtype=object)


def check_target(
    y: Any, *, task: Task = "auto", ids: Any = None, name: str = "y"
) -> tuple[np.ndarray, str]:
    """Validate targets and tell what they are.

    Parameters
    ----------
    y : array-like of shape (n_sequences,)
        Numbers or class names.
    task : {"auto", "regression", "classification"}, default="auto"
        As in `read_proteins`.
    ids : array-like of str or None, default=None
        Named in messages.
    name : str, default="y"
        How to call the target in messages.

    Returns
    -------
    y : ndarray of shape (n_sequences,)
        Float for regression, NumPy's str for classification.
    task : {"regression", "classification"}
        What it is.

    Raises
    ------
    DataError
        If a target is missing, not finite, no number where one is needed, or all are equal.

    Examples
    --------
    >>> from esmlearn.io import check_target
    >>> check_target([1.5, 2.5, 7.0])[1], check_target(["Nucleus", "Membrane"])[1]
    ('regression', 'classification')
    """
    if task not in ("auto", "regression", "classification"):
        raise DataError(f"task is {task!r}; expected 'auto', 'regression' or 'classification'.")
    column = pd.Series(np.asarray(y, dtype=object) if not isinstance(y, pd.Series) else y)
    column = column.reset_index(drop=True)
    label = [f"row {i}" if ids is None else f"row {i} (id {ids[i]!r})" for i in range(len(column))]
    missing = np.flatnonzero(column.isna())
    if len(missing):
        raise DataError(
            f"{name}: {label[missing[0]]} has no value ({len(missing)} such row(s)); remove these "
            f"rows or fill them."
        )
    numbers = pd.to_numeric(column, errors="coerce")
    if task == "auto":
        # Mostly numbers means numbers: one cell of text must not turn a regression into classes.
        task = "regression" if numbers.notna().mean() > 0.5 else "classification"
        if column.nunique() == 2 and numbers.notna().all():
            task = "classification"
    if column.nunique() < 2:
        raise DataError(
            f"{name}: all {len(column)} values are {_show(column.iloc[0])}; expected at least two "
            f"different ones, there is nothing to learn."
        )
    if task == "classification":
        if column.nunique() > len(column) / 2 and len(column) > 10:
            raise DataError(
                f"{name}: {column.nunique()} different values in {len(column)} rows (row 0: "
                f"{_show(column.iloc[0])}); expected classes that hold several proteins each."
            )
        return column.astype(str).to_numpy(dtype=str), "classification"
    bad = np.flatnonzero(~np.isfinite(numbers.astype(float)))
    if len(bad):
        raise DataError(
            f"{name}: {label[bad[0]]} is {_show(column.iloc[bad[0]])} ({len(bad)} such row(s)); "
            f"expected a finite number. Remove the row, or pass task='classification'."
        )
    return numbers.to_numpy(dtype=float), "regression"


def _show(value: Any) -> str:
    """Return a value as the user wrote it, without NumPy's type names."""
    return repr(value.item() if isinstance(value, np.generic) else value)
