"""Excel workbooks, read through pandas and openpyxl."""

import os
import warnings
import zipfile
from pathlib import Path

import pandas as pd

from esmlearn.exceptions import DataError
from esmlearn.utils._optional import import_optional
from esmlearn.utils._warn import warn

EXCEL_SUFFIXES = {".xlsx", ".xlsm"}
_MAX_UNPACKED = 1 << 30  # bytes; a workbook is a zip archive of XML


def read_excel(path: str | os.PathLike[str], sheet: str | None) -> pd.DataFrame:
    """Return a sheet of a workbook; its first row that is not empty holds the names of the columns.

    Cells keep their types, and formulas their last values. Rows without any cell, and columns with
    neither name nor cell, are left out.
    """
    import_optional("openpyxl", extra="excel", purpose="Reading Excel workbooks")
    try:
        _check_size(path)
        with warnings.catch_warnings():  # of styles and drawings, which are not read
            warnings.simplefilter("ignore", UserWarning)
            with pd.ExcelFile(path, engine="openpyxl") as book:
                names = [str(name) for name in book.sheet_names]
                if sheet is not None and sheet not in names:
                    raise DataError(f"{path} has no sheet {sheet!r}; expected one of {names}.")
                # Without a header pandas renames no column; the texts NA and "" stay apart.
                cells = pd.read_excel(
                    book,
                    sheet_name=sheet or names[0],
                    header=None,
                    dtype=object,
                    keep_default_na=False,
                )
    except DataError:
        raise
    except Exception as error:  # openpyxl expects that what it reads was written by Excel
        raise DataError(
            f"{path} cannot be read as an Excel workbook ({type(error).__name__}: {error}). Save "
            f"it as .xlsx again, without a password, or as .csv."
        ) from error
    if sheet is None and len(names) > 1:
        warn(f"{Path(path).name} has {len(names)} sheets, {names}; the first is read.")
    return _table(path, cells)


def _check_size(path: str | os.PathLike[str]) -> None:
    """Refuse an archive that unpacks to more than any table needs."""
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _MAX_UNPACKED:
        raise DataError(
            f"{path} unpacks to {size / 2**30:.1f} GiB; expected at most "
            f"{_MAX_UNPACKED / 2**30:.0f}. Save the sheet as .csv."
        )


def _table(path: str | os.PathLike[str], cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells below the row of names, as columns of the narrowest type that fits."""
    cells = cells.where(cells.notna() & (cells != ""), None)
    filled = cells.notna()
    cells = cells.loc[filled.any(axis=1), filled.any(axis=0)]
    if cells.empty:
        raise DataError(f"{path} has an empty sheet; expected a row with the names of the columns.")
    header = cells.iloc[0].tolist()
    names = [str(name) if name is not None else f"Unnamed: {i}" for i, name in enumerate(header)]
    return cells.iloc[1:].reset_index(drop=True).set_axis(names, axis=1).infer_objects()
