"""Tables: CSV, TSV and parquet, read strictly and written whole."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

import pandas as pd

from esmlearn.exceptions import DataError
from esmlearn.io._compressed import COMPRESSED_SUFFIXES
from esmlearn.io._files import check_file, open_text, write_text
from esmlearn.utils._optional import import_optional
from esmlearn.utils._paths import atomic_write

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
_MAX_LINE = 1 << 26  # bytes
_PARQUET = {".parquet", ".pq"}
_MISSING = ("NA", "N/A", "NaN", "nan", "null")
# No leading zeros: "007" is an id.
_NUMBER = r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|Inf)|" + "|".join(_MISSING)


def table_kind(path: str | os.PathLike[str]) -> str:
    """Return the suffix that says the format, without ``.gz`` or ``.zst``."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in COMPRESSED_SUFFIXES:
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    if kind not in _SEPARATORS and kind not in _PARQUET:
        raise DataError(
            f"{path} has the suffix {kind!r}; expected one of "
            f"{', '.join([*_SEPARATORS, *sorted(_PARQUET)])} (text formats also with .gz; "
            f".zst to read)."
        )
    return kind


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    r"""Read a CSV, TSV or parquet table.

    Parameters
    ----------
    path : path-like
        The suffix decides the format: ``.csv``, ``.tsv``, ``.tab``, ``.txt`` (tab-separated), each
        also compressed with gzip or zstd, or ``.parquet``.

    Returns
    -------
    table : pandas.DataFrame
        All columns as they lie in the file. Text columns stay text: a protein called ``NA`` or the
        id ``007`` are not turned into something else. Empty cells are missing, and in columns of
        numbers also NA, N/A, NaN and null.

    Raises
    ------
    DataError
        If the file is missing, empty, damaged, has no rows or, as text, a NUL character.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from esmlearn.io import read_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "table.csv")
    ...     _ = path.write_text("id,sequence,target\nP1,MKV,37.5\n")
    ...     read_table(path)
       id sequence  target
    0  P1      MKV    37.5
    """
    kind = table_kind(path)
    check_file(path)
    table = _read_parquet(path) if kind in _PARQUET else _read_text(path, _SEPARATORS[kind])
    if table.empty:
        raise DataError(f"{path} has a header but no rows; expected one row per protein.")
    return table


def _read_text(path: str | os.PathLike[str], separator: str) -> pd.DataFrame:
    with open_text(path, max_line=_MAX_LINE, newline="") as handle:
        try:
            table = pd.read_csv(
                _NoNul(handle, path),
                sep=separator,
                dtype=str,
                keep_default_na=False,
                na_values=[""],
            )
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise DataError(f"{path} cannot be read as a table: {str(error).strip()}.") from error
    return table.apply(_numbers)


class _NoNul:
    """A text file that refuses NUL, at which pandas before 3.1 cuts a cell without a word."""

    def __init__(self, handle: IO[str], path: str | os.PathLike[str]) -> None:
        self._handle = handle
        self._path = path
        self._line = 1

    def read(self, size: int = -1) -> str:
        return self._checked(self._handle.read(size))

    def __iter__(self) -> Iterator[str]:
        return map(self._checked, self._handle)

    def _checked(self, text: str) -> str:
        before, nul, _ = text.partition("\0")
        self._line += before.count("\n")
        if nul:
            raise DataError(
                f"{self._path} has a NUL character in line {self._line}; expected text. Save it as "
                f"UTF-8 (UTF-16 without its mark looks like this), or remove the character."
            )
        return text


def _numbers(column: pd.Series) -> pd.Series:
    """Return a column as numbers if every present cell is a plainly written one."""
    cells = column.str.strip()
    present = cells.dropna()
    if present.empty or not present.str.fullmatch(_NUMBER).all():
        return column
    return pd.to_numeric(cells.mask(cells.isin(_MISSING)))


def _read_parquet(path: str | os.PathLike[str]) -> pd.DataFrame:
    pyarrow = import_optional("pyarrow", extra="parquet", purpose="Reading parquet")
    try:
        return pd.read_parquet(path)
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        # damaged metadata are read by pandas, which expects them to be right
        raise DataError(f"{path} cannot be read as parquet: {error}.") from error


def write_table(path: str | os.PathLike[str], table: pd.DataFrame) -> None:
    """Write a table as CSV, TSV or parquet, whole or not at all.

    Parameters
    ----------
    path : path-like
        The suffix decides the format, as in `read_table`.
    table : pandas.DataFrame
        What to write; the index is left out.
    """
    kind = table_kind(path)
    if kind in _PARQUET:
        import_optional("pyarrow", extra="parquet", purpose="Writing parquet")
        with atomic_write(path) as temporary:
            table.to_parquet(temporary, index=False)
        return
    with write_text(path) as handle:
        table.to_csv(
            handle,
            sep=_SEPARATORS[kind],
            index=False,
            lineterminator="\n",
            quoting=quoting_of(table),
        )


def quoting_of(table: pd.DataFrame) -> Literal[0, 2]:
    """Return how to quote a table: csv leaves a lone carriage return bare, which ends a row."""
    texts = table.select_dtypes(["object", "string"])
    bare = any(texts[name].astype(str).str.contains("\r", regex=False).any() for name in texts)
    return csv.QUOTE_NONNUMERIC if bare else csv.QUOTE_MINIMAL
