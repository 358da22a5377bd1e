import datetime
import warnings
import zipfile

import numpy as np
import pytest

from esmlearn.cli import main
from esmlearn.exceptions import DataError
from esmlearn.io import _excel, read_proteins, read_table, write_table

openpyxl = pytest.importorskip("openpyxl")

ROWS = [
    ["id", "sequence", "tm", "note"],
    [7, "MKVLAA", 37.5, "NA"],
    ["007", "MSTLAA", 41, None],
    ["1E5", "MALLAA", 60, "x"],
]


def write_book(path, *sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"sheet {number}")
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_cells_keep_what_they_hold(tmp_path):
    table = read_table(write_book(tmp_path / "t.xlsx", ROWS))
    assert table["id"].tolist() == [7, "007", "1E5"]
    assert table["tm"].tolist() == [37.5, 41.0, 60.0]
    assert table["note"].isna().tolist() == [False, True, False]
    assert table["note"][0] == "NA"
    proteins = read_proteins(tmp_path / "t.xlsx", target="tm")
    assert proteins.ids.tolist() == ["7", "007", "1E5"]
    assert (proteins.task, proteins.y.dtype) == ("regression", np.float64)


def test_blank_rows_and_columns_are_left_out(tmp_path):
    rows = [[], *([None, *row] for row in ROWS[:3]), [None] * 5, [None, *ROWS[3]]]
    table = read_table(write_book(tmp_path / "t.xlsx", rows))
    assert table.columns.tolist() == ROWS[0]
    assert len(table) == 3


def test_a_sheet_is_named_or_the_first_with_a_warning(tmp_path):
    other = [["sequence", "tm"], ["MKV", 1.5]]
    path = write_book(tmp_path / "t.xlsx", ROWS, other)
    with pytest.warns(UserWarning, match=r"2 sheets, \['sheet 0', 'sheet 1'\]; the first is"):
        assert len(read_table(path)) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_table(path, sheet="sheet 1")["tm"].tolist() == [1.5]
    with pytest.raises(DataError, match=r"no sheet 'x'; expected one of \['sheet 0', 'sheet 1'\]"):
        read_table(path, sheet="x")
    write_table(tmp_path / "t.csv", read_table(path, sheet="sheet 1"))
    with pytest.raises(DataError, match=r"sheet='x' for .* Excel workbooks only"):
        read_table(tmp_path / "t.csv", sheet="x")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["sequence", "tm", "tm"], ["MKV", 1, 2]], "two columns 'tm'"),
        ([ROWS[0]], "a header but no rows"),
        ([[]], "an empty sheet"),
    ],
)
def test_sheets_that_are_no_table_are_refused(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        read_table(write_book(tmp_path / "t.xlsx", rows))


@pytest.mark.parametrize("column", ["id", "tm"])
def test_a_date_that_a_spreadsheet_made_of_text_is_refused(tmp_path, column):
    rows = [list(row) for row in ROWS]
    rows[2][ROWS[0].index(column)] = datetime.datetime(2026, 3, 1)
    path = write_book(tmp_path / "t.xlsx", rows)
    with pytest.raises(DataError, match=f"row 1 of '{column}' holds the date 2026-03-01"):
        read_proteins(path, target="tm")


def test_error_cells_and_formulas_never_computed_are_missing(tmp_path):
    for cell in ("#N/A", "=1/0"):
        rows = [list(row) for row in ROWS]
        rows[2][2] = cell
        path = write_book(tmp_path / "t.xlsx", rows)
        with pytest.raises(DataError, match=r"tm: row 1 \(id '007'\) has no value"):
            read_proteins(path, target="tm")


def test_damaged_and_protected_workbooks_are_refused(tmp_path):
    path = write_book(tmp_path / "t.xlsx", ROWS)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    n_refused = 0
    for position in rng.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            read_table(path)
        except DataError as error:
            n_refused += "t.xlsx" in str(error)
    assert n_refused > 30
    for content in (b"", b"PK\x03\x04", b"\xd0\xcf\x11\xe0" + bytes(600), whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"t\.xlsx"):
            read_table(path)


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = write_book(tmp_path / "t.xlsx", ROWS)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(1 << 20))
    monkeypatch.setattr(_excel, "_MAX_UNPACKED", 1 << 20)
    with pytest.raises(DataError, match=r"unpacks to 0\.0 GiB; expected at most"):
        read_table(path)


def test_commands_read_workbooks_and_separators(tmp_path):
    path = write_book(tmp_path / "t.xlsx", ROWS, ROWS)
    arguments = ["-o", str(tmp_path / "clusters.csv"), "--jobs", "1"]
    assert main(["cluster", str(path), "--sheet", "sheet 1", *arguments]) == 0
    assert len(read_table(tmp_path / "clusters.csv")) == 3
    (tmp_path / "t.dat").write_text("sequence|tm\nMKVLAA|1\nMSTLAA|2\n")
    assert main(["cluster", str(tmp_path / "t.dat"), "--separator", "|", *arguments]) == 0
    assert len(read_table(tmp_path / "clusters.csv")) == 2


def test_workbooks_have_no_separator(tmp_path):
    path = write_book(tmp_path / "t.xlsx", ROWS)
    with pytest.raises(DataError, match=r"separator=';' for .*; expected it for text tables only"):
        read_table(path, separator=";")
