"""Tables: CSV, TSV, parquet and Excel, read strictly; all but the last written, whole."""

import csv
import os
import re
import reprlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Literal

import pandas as pd

from esmlearn.exceptions import DataError
from esmlearn.io._compressed import COMPRESSED_SUFFIXES
from esmlearn.io._excel import EXCEL_SUFFIXES, read_excel
from esmlearn.io._files import check_file, open_text, write_text
from esmlearn.utils._optional import import_optional
from esmlearn.utils._paths import atomic_write

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
_MAX_LINE = 1 << 26  # bytes
_PARQUET = {".parquet", ".pq"}
_OTHER_SEPARATORS = ";\t,"  # where a header holds none of its suffix's


def table_kind(path: str | os.PathLike[str], *, read: bool = False) -> str:
    """Return the suffix that says the format, without ``.gz`` or ``.zst``.

    Where there is none, an error names the formats that can be written, or read.
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in COMPRESSED_SUFFIXES:
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    formats = [*_SEPARATORS, *sorted(_PARQUET), *(sorted(EXCEL_SUFFIXES) if read else [])]
    if kind not in formats:
        also = ", or a FASTA file, which begins with '>' (.fasta, .fa, .faa)" if read else ""
        raise DataError(
            f"{path} has the suffix {kind!r}; expected one of {', '.join(formats)} (text formats "
            f"also with .gz; .zst to read){also}."
        )
    return kind


def read_table(
    path: str | os.PathLike[str], *, separator: str | None = None, sheet: str | None = None
) -> pd.DataFrame:
    r"""Read a CSV, TSV, parquet or Excel table.

    Parameters
    ----------
    path : path-like
        The suffix decides the format: ``.csv``, ``.tsv``, ``.tab``, ``.txt`` (tab-separated), each
        also compressed with gzip or zstd; ``.parquet``; ``.xlsx`` or ``.xlsm``. A text table whose
        header does not hold the separator of its suffix is read with the one that it holds (comma,
        semicolon or tab), or with the one of a first line ``sep=;`` as Excel writes it.
    separator : str or None, default=None
        The separator of a text table, one character; the suffix then does not matter. None goes by
        suffix and header.
    sheet : str or None, default=None
        Name of the sheet of a workbook; None is the first.

    Returns
    -------
    table : pandas.DataFrame
        All columns as they lie in the file. The columns of a text table are text, character by
        character: the ids ``007``, ``1E5`` and ``NA`` stay what they are. Use `pandas.to_numeric`
        where a column is used as numbers. Empty cells are missing.

    Raises
    ------
    DataError
        If the file is missing, empty, damaged, has no rows, two columns of one name or, as text, a
        NUL character, a row of more or fewer cells than the header, or a double quote that leaves
        open where a cell ends; the message names the line. If a workbook has no such sheet, or
        `separator` or `sheet` are given for another format.

    Warns
    -----
    UserWarning
        If a workbook has several sheets and none is named.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from esmlearn.io import read_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "table.csv")
    ...     _ = path.write_text("id,sequence,target\n007,MKV,37.50\n")
    ...     read_table(path)
        id sequence target
    0  007      MKV  37.50
    """
    kind = ".csv" if separator is not None else table_kind(path, read=True)
    if separator is not None and (len(separator) != 1 or separator in '"\r\n\0'):
        raise DataError(
            f"separator is {separator!r}; expected one character that is no quote and ends no line."
        )
    suffix = Path(path).suffix.lower()
    if separator is not None and suffix in _PARQUET | EXCEL_SUFFIXES:
        raise DataError(
            f"Got separator={separator!r} for {path}; expected it for text tables only."
        )
    if sheet is not None and kind not in EXCEL_SUFFIXES:
        raise DataError(f"Got sheet={sheet!r} for {path}; expected it for Excel workbooks only.")
    check_file(path)
    if kind in EXCEL_SUFFIXES:
        table = read_excel(path, sheet)
    elif kind in _PARQUET:
        table = _read_parquet(path)
    else:
        table = _read_text(path, separator, _SEPARATORS[kind])
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise DataError(f"{path} has two columns {twice[0]!r}; rename or remove one of them.")
    if table.empty:
        raise DataError(f"{path} has a header but no rows; expected one row per protein.")
    return table


def _read_text(path: str | os.PathLike[str], separator: str | None, usual: str) -> pd.DataFrame:
    # The limit of a cell is one for the whole process; it is raised, and never lowered.
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_LINE))
    with open_text(path, max_line=_MAX_LINE, newline="") as handle:
        lines = _checked_lines(handle, path)
        first, skipped, found = _find_header(lines, path, usual)
        separator = separator or found
        # Where the whole header is quoted, every text is, and no quote can be a stray one.
        stray = not all(re.fullmatch('".*"', name) for name in first.strip().split(separator))
        reader = csv.reader(chain([first], lines), delimiter=separator, strict=True)
        rows, line = [], skipped
        try:
            header = next(reader)
            _check_row(f"{path}, line {line + 1}", header, header, separator, stray=stray)
            line = skipped + reader.line_num
            for row in reader:
                if len(row) > 1 or (row and (len(header) == 1 or row[0].strip())):
                    broken = skipped + reader.line_num > line + 1
                    where = f"{path}, line {line + 1}"
                    _check_row(where, row, header, separator, stray=stray and broken)
                    rows.append([cell or None for cell in row])
                line = skipped + reader.line_num
        except csv.Error as error:
            raise DataError(
                f"{path}, line {line + 1}: a cell begins with a double quote and does not end with "
                f'one ({error}). Remove the quote, or write the cell as """like this".'
            ) from error
    names = [name or f"Unnamed: {number}" for number, name in enumerate(header)]
    return pd.DataFrame(rows, columns=names, dtype=object)


def _checked_lines(handle: IO[str], path: str | os.PathLike[str]) -> Iterator[str]:
    """Yield lines, refusing a NUL, which is in no text."""
    for number, line in enumerate(handle, start=1):
        if "\0" in line:
            raise DataError(
                f"{path} has a NUL character in line {number}; expected text. Save it as UTF-8 "
                f"(UTF-16 without its mark looks like this), or remove the character."
            )
        yield line


def _find_header(
    lines: Iterator[str], path: str | os.PathLike[str], separator: str
) -> tuple[str, int, str]:
    """Return the line of the header, the number of lines before it, and the separator."""
    for skipped, line in enumerate(lines):
        directive = re.fullmatch(r'sep=([^\w\r\n"])\s*', line)
        if directive:
            separator = directive[1]
        elif line.strip():
            bare = re.sub('"[^"]*"', "", line)
            if separator not in bare:
                separator = max([separator, *_OTHER_SEPARATORS], key=bare.count)
            return line, skipped, separator
    raise DataError(f"{path} has no header; expected a line with the names of the columns.")


def _check_row(
    where: str, row: list[str], header: list[str], separator: str, *, stray: bool
) -> None:
    """Refuse a row of another length, and one that stray quotes may have made of several."""
    if len(row) != len(header):
        raise DataError(
            f"{where}: the row has {len(row)} cell(s), {reprlib.repr(row)}, and the header "
            f"{len(header)}; expected as many. Correct the row, or quote a cell that holds the "
            f"separator {separator!r}."
        )
    parts = re.split("\r\n|\r|\n", separator.join(row))
    if stray and len(parts) > 1 and {part.count(separator) for part in parts} == {len(header) - 1}:
        raise DataError(
            f"{where}: a cell begins with a double quote and ends {len(parts) - 1} line(s) later, "
            f"though each of these lines is a whole row. Remove the quotes; or quote the header, "
            f"too, if the cell is meant to hold line breaks."
        )


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
    """Return how to quote a table: every text where one holds a line break.

    csv leaves a lone carriage return bare, which ends a row; and a quoted header tells `read_table`
    that no quote is a stray one.
    """
    texts = table.select_dtypes(["object", "string"])
    broken = any(texts[name].astype(str).str.contains("[\r\n]").any() for name in texts)
    return csv.QUOTE_NONNUMERIC if broken else csv.QUOTE_MINIMAL
