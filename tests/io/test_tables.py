import csv
import gzip
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esmlearn.exceptions import DataError
from esmlearn.io import read_proteins, read_table, write_fasta, write_table

TABLE = pd.DataFrame(
    {"id": ["P1", "P2", "P3"], "sequence": ["MKV", "MST", "MAL"], "tm": [37.5, 41.0, 60.0]}
)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "t.parquet"])
def test_tables_come_back_as_they_were_written(tmp_path, name):
    write_table(tmp_path / name, TABLE)
    table = read_table(tmp_path / name)
    expected = TABLE if name.endswith("parquet") else TABLE.astype(str)
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)
    first = (tmp_path / name).read_bytes()
    write_table(tmp_path / name, TABLE)
    assert (tmp_path / name).read_bytes() == first


WRITTEN = ["1E5", "1.00", "100", "1E2", "+1", "007", "123456789012345678901", "NA", "nan", "inf"]
WRITTEN += ["True", "-0", " x ", "1,5", '"', 'a"b', "a;b", "\ttab", "two\nlines", "\r", "-", "#N/A"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_text_that_is_used_as_text_stays_as_it_is_written(suffix, tmp_path):
    path = tmp_path / f"t.{suffix}"
    n = len(WRITTEN)
    sequences = ["MKV" + "A" * i for i in range(n)]
    labels = [WRITTEN[i // 3 * 3] for i in range(n)]
    write_table(path, pd.DataFrame({"name": WRITTEN, "sequence": sequences, "label": labels}))
    options = {"target": "label", "task": "classification", "id": "name"}
    proteins = read_proteins(path, **options)
    assert proteins.ids.tolist() == WRITTEN
    assert proteins.y.tolist() == labels
    assert proteins.frame["label"].tolist() == labels


CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


@pytest.mark.parametrize("separator", [",", "\t"])
@given(ids=st.lists(st.text(CHARACTERS, min_size=1), min_size=1, unique=True))
def test_ids_of_any_characters_come_back(separator, ids):
    with TemporaryDirectory() as folder:
        path = Path(folder, "t.csv" if separator == "," else "t.tsv")
        write_table(path, pd.DataFrame({"id": ids, "sequence": ["MKV"] * len(ids)}))
        assert read_proteins(path).ids.tolist() == ids


@given(ids=st.lists(st.text(CHARACTERS, min_size=1), min_size=1, unique=True))
def test_ids_written_by_others_come_back_or_are_refused_with_their_line(ids):
    with TemporaryDirectory() as folder:
        path = Path(folder, "t.csv")
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("id", "sequence"), *((name, "MKV") for name in ids)])
        try:
            found, refusal = read_proteins(path).ids.tolist(), ""
        except DataError as error:
            found, refusal = [], str(error)
    assert found == ids or re.search(r"line \d+: a cell begins with a double quote", refusal)


# Rows ------------------------------------------------------------------------------------------


def _rows(separator, *, cells, header="id,name,sequence,tm"):
    """Return a table of ten proteins; `cells` gives (row, column) other contents."""
    rows = [
        header.split(","),
        *([f"P{i}", f"n{i}", "MKV" + "A" * i, str(30 + i)] for i in range(10)),
    ]
    for (row, column), cell in cells.items():
        rows[row][column] = cell
    return "".join(separator.join(row) + "\n" for row in rows)


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize(
    ("cells", "line"),
    [
        ({(2, 1): '"open', (6, 1): '"again'}, 3),
        ({(2, 1): '"open'}, 3),
        ({(2, 3): '"last', (6, 3): '"again'}, 3),
        ({(2, 1): '"open', (6, 1): 'closed"'}, 3),  # each line is a row, read without the quotes
        ({(10, 3): '"'}, 11),
        ({(1, 1): '"a"b'}, 2),
    ],
)
def test_a_stray_quote_is_refused_with_its_line(separator, cells, line, tmp_path):
    path = tmp_path / ("t.tsv" if separator == "\t" else "t.csv")
    path.write_text(_rows(separator, cells=cells))
    with pytest.raises(DataError, match=f"line {line}: a cell begins with a double quote"):
        read_table(path)


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("cell", ['5\' "x"', 'a"', '"""quoted"""', '"a\nb"'])
def test_quotes_that_are_right_are_read(separator, cell, tmp_path):
    path = tmp_path / ("t.tsv" if separator == "\t" else "t.csv")
    path.write_text(_rows(separator, cells={(4, 1): cell}))
    table = read_table(path)
    expected = cell[1:-1].replace('""', '"') if cell.startswith('"') else cell
    assert table["name"].tolist() == ["n0", "n1", "n2", expected, *(f"n{i}" for i in range(4, 10))]
    assert table["tm"].tolist() == [str(30 + i) for i in range(10)]


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("change", ["more", "fewer", "more everywhere", "fewer everywhere"])
def test_rows_of_another_length_are_refused_with_their_line(separator, change, tmp_path):
    lines = _rows(separator, cells={}).splitlines()
    for i in range(1, 11) if "everywhere" in change else [4]:
        short = lines[i].rpartition(separator)[0]
        lines[i] = f"{lines[i]}{separator}1" if "more" in change else short
    path = tmp_path / ("t.tsv" if separator == "\t" else "t.csv")
    path.write_text("\n".join(lines))
    line, n = 2 if "everywhere" in change else 5, 5 if "more" in change else 3
    message = rf"line {line}: the row has {n} cell\(s\), .*, and the header 4"
    with pytest.raises(DataError, match=message):
        read_table(path)


@pytest.mark.parametrize("separator", [",", "\t"])
@given(
    quotes=st.lists(st.tuples(st.integers(0, 10), st.integers(0, 3), st.integers(0, 3)), max_size=6)
)
def test_stray_quotes_never_move_a_sequence_to_another_row(separator, quotes):
    cells: dict = {}
    for row, column, place in quotes:
        plain = ["id", "name", "sequence", "tm"][column] if row == 0 else f"x{row}{column}"
        cell = cells.get((row, column), plain)
        cells[row, column] = f'{cell[:place]}"{cell[place:]}'
    cells |= {(i, 2): "MKV" + "A" * i for i in range(1, 11)}
    with TemporaryDirectory() as folder:
        path = Path(folder, "t.tsv" if separator == "\t" else "t.csv")
        path.write_text(_rows(separator, cells=cells))
        try:
            table = read_table(path)
        except DataError as error:
            line = int(re.search(r"line (\d+)", str(error))[1])
            quoted = {row for row, _, _ in quotes}
            # What a quote in the header swallows shows where a row does not go with it.
            assert line - 1 in quoted or 0 in quoted
            return
    assert table.iloc[:, 2].tolist() == ["MKV" + "A" * i for i in range(1, 11)]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({(0, 1): '"name'}, "line 1: a cell begins with a double quote"),
        ({(0, 1): '"name', (3, 1): 'n"'}, "line 1: a cell begins with a double quote"),
        ({(0, 1): '"name', (3, 3): 'n"'}, "line 5: the row has 4"),
    ],
)
def test_stray_quotes_in_the_header_are_refused(cells, message, tmp_path):
    (tmp_path / "t.tsv").write_text(_rows("\t", cells=cells))
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "t.tsv")


def test_the_separator_is_named_where_it_may_be_another(tmp_path):
    (tmp_path / "t.csv").write_text("sequence;Tm (°C, mean);id\nMKV;30,5;P0\n", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"no column 'sequence'; .*, or separate the cells by commas"
    ):
        read_proteins(tmp_path / "t.csv")


def test_blank_lines_are_no_rows(tmp_path):
    (tmp_path / "t.csv").write_text("\n\nid,sequence\n\nP1,MKV\n  \nP2,MST,1\n")
    with pytest.raises(DataError, match="line 7: the row has 3"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("\n\nid,sequence\n\nP1,MKV\n  \nP2,MST\n\n")
    assert read_table(tmp_path / "t.csv")["id"].tolist() == ["P1", "P2"]


@pytest.mark.parametrize("directive", ["", "sep={}\n", "\ufeffsep={}\r\n"])
@pytest.mark.parametrize("separator", [";", "\t", ",", "|"])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt"])
def test_separators_are_seen_in_the_header_or_named_by_excel(
    suffix, separator, directive, tmp_path
):
    path = tmp_path / f"t.{suffix}"
    cells = {(2, 1): "1,5"} if separator in ";\t" else {}
    text = directive.format(separator) + _rows(separator, cells=cells)
    path.write_text(text, encoding="utf-8")
    if separator == "|" and not directive:
        with pytest.raises(DataError, match=r"no column 'sequence'; it has 'id\|name\|sequence"):
            read_proteins(path)
    else:
        proteins = read_proteins(path, target="tm")
        assert proteins.y.tolist() == list(range(30, 40))


def test_two_columns_of_one_name_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("id,sequence,tm,tm\nP1,MKV,1,2\n")
    with pytest.raises(DataError, match="has two columns 'tm'; rename or remove"):
        read_table(tmp_path / "t.csv")


def test_a_table_takes_its_sequences_from_fasta_by_id(tmp_path):
    write_table(tmp_path / "t.csv", TABLE[["id", "tm"]].iloc[::-1])
    write_fasta(tmp_path / "x.fa", ["MKV", "MST", "MAL", "MMM"], ids=["P1", "P2", "P3", "P4"])
    proteins = read_proteins(tmp_path / "t.csv", target="tm", fasta=tmp_path / "x.fa")
    assert proteins.sequences.tolist() == ["MAL", "MST", "MKV"]
    write_fasta(tmp_path / "x.fa", ["MKV"], ids=["P1"])
    message = r"row 0 has the id 'P3', which is not in .* \(2 such .*, whose ids look like 'P1'"
    with pytest.raises(DataError, match=message):
        read_proteins(tmp_path / "t.csv", target="tm", fasta=tmp_path / "x.fa")


@pytest.mark.parametrize("header", ["sp|{}|X_HUMAN", "tr|{}|X_9BACT", "{}"])
def test_accessions_name_records_of_uniprot(header, tmp_path):
    accessions = ["P69905", "A0A024R1R8", "Q9Y6K9-2"]
    table = pd.DataFrame({"Entry": accessions, "n": 1})
    write_table(tmp_path / "t.csv", table)
    ids = [header.format(accession) for accession in accessions[::-1]]
    write_fasta(tmp_path / "x.fa", ["MKV", "MST", "MAL"], ids=ids)
    proteins = read_proteins(tmp_path / "t.csv", id="Entry", fasta=tmp_path / "x.fa")
    assert proteins.ids.tolist() == accessions
    assert proteins.sequences.tolist() == ["MAL", "MST", "MKV"]


def test_an_accession_of_two_records_names_none(tmp_path):
    write_table(tmp_path / "t.csv", pd.DataFrame({"id": ["P1"]}))
    write_fasta(tmp_path / "x.fa", ["MKV", "MST"], ids=["sp|P1|X_HUMAN", "tr|P1|X_HUMAN"])
    with pytest.raises(DataError, match=r"'P1', which is not in .* look like 'sp\|P1\|X_HUMAN'"):
        read_proteins(tmp_path / "t.csv", fasta=tmp_path / "x.fa")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("id,sequence,tm\n", "no rows"),
        ("id,seq,tm\nP1,MKV,1\n", "no column 'sequence'; it has 'id', 'seq', 'tm'"),
        ("id,sequence,x\nP1,MKV,1\n", "no column 'tm'"),
        ("id,sequence,tm\nP1,MKV,1\nP1,MKL,2\n", "row 1 has the id 'P1' of row 0"),
        ("id,sequence,tm\nP1,MKV,1\n,MKL,2\n", "row 1 has no 'id'"),
        ("id,sequence,tm\nP1,MKV,1\nP2,,2\n", r"row 1 \(id 'P2'\) has no sequence"),
        ("id,sequence,tm\nP1,hello world,1\nP2,M,2\n", r"row 0 \(id 'P1'\).*'hello world'.*' '"),
        ("id,sequence,tm\nP1,MK\u00df,1\nP2,M,2\n", r"row 0 \(id 'P1'\).*the character '\u00df'"),
        ("id,sequence,tm\nP1,MKV,1\nP2,MKL,\nP3,ML,3\n", r"tm: row 1 \(id 'P2'\) has no value"),
        ("id,sequence,tm\nP1,MKV,1\nP2,MKL,inf\nP3,ML,3\n", r"row 1 \(id 'P2'\) is inf"),
        ("id,sequence,tm\nP1,MKV,1\nP2,MKL,hot\nP3,ML,3\n", r"row 1 \(id 'P2'\) is 'hot'"),
        ("id,sequence,tm\nP1,MKV,5\nP2,MKL,5\n", "all 2 values are 5"),
        ("id,sequence,tm\nP1,MKV,5\n", r"1 sequence\(s\); expected at least 2"),
        ("id,sequence,tm\nP1,MKV,5\nP2,MKL,5,6,7\n", "line 3: the row has 5"),
        (f"id,sequence,tm\nP1,{'ACGT' * 30},5\nP2,ACGG,6\n", "looks like DNA or RNA"),
    ],
)
def test_bad_tables_are_named_with_row_and_value(tmp_path, text, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_proteins(path, target="tm", min_sequences=2)


def test_line_breaks_inside_cells_stay_what_they_are(tmp_path):
    ids = ["two\nlines", "carriage\rreturn", "both\r\n"]
    write_table(tmp_path / "t.csv", pd.DataFrame({"id": ids, "sequence": ["MKV"] * 3}))
    assert read_table(tmp_path / "t.csv")["id"].tolist() == ids
    with open(tmp_path / "t.csv", newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ids
    (tmp_path / "t.csv").write_bytes(b"id,sequence\r\nP1,MKV\rP2,MST\r\n")
    assert read_table(tmp_path / "t.csv")["sequence"].tolist() == ["MKV", "MST"]


@pytest.mark.parametrize("name", ["x.csv", "x.tsv.gz"])
def test_nul_is_refused_with_its_line(tmp_path, name):
    content = b"id,sequence\nP1,MKV\nP\0two,MKV\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(
        DataError, match=r"NUL character in line 3; expected text\. Save it as UTF-8"
    ):
        read_table(tmp_path / name)


def test_unknown_formats_are_refused(tmp_path):
    (tmp_path / "t.xls").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"suffix '\.xls'; expected one of .*\.xlsx"):
        read_table(tmp_path / "t.xls")
    with pytest.raises(DataError, match=r"suffix '\.xlsx'; expected one of"):
        write_table(tmp_path / "t.xlsx", TABLE)
    (tmp_path / "t.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        read_table(tmp_path / "t.parquet")


def test_lines_and_bombs_beyond_reason_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("esmlearn.io._tables._MAX_LINE", 10_000)
    path = tmp_path / "t.csv"
    rows = "id,sequence\n" + "P1,MKV\n" * 5000
    path.write_text(rows)
    assert len(read_table(path)) == 5000
    path.write_text(f"{rows}P2,{'M' * 200_000}\n")
    with pytest.raises(DataError, match="a line of more than 10000 bytes"):
        read_table(path)
    monkeypatch.setattr("esmlearn.io._compressed._ALWAYS_ALLOWED", 100_000)
    path.write_bytes(gzip.compress(b"id,sequence\n" + b"P1,M\n" * 200_000))
    with pytest.raises(DataError, match="unpacks to more than"):
        read_table(path)


def test_zstd_is_read_and_not_written(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    write_table(tmp_path / "t.csv", TABLE)
    packed = zstandard.ZstdCompressor().compress((tmp_path / "t.csv").read_bytes())
    (tmp_path / "t.csv.zst").write_bytes(packed)
    pd.testing.assert_frame_equal(
        read_table(tmp_path / "t.csv.zst"), TABLE.astype(str), check_dtype=False
    )
    with pytest.raises(DataError, match=r"expected a name without \.zst"):
        write_table(tmp_path / "u.csv.zst", TABLE)


def test_a_fasta_file_has_no_targets(tmp_path):
    write_fasta(tmp_path / "x.fa", ["MKV"])
    assert read_proteins(tmp_path / "x.fa").ids.tolist() == ["sequence_0"]
    with pytest.raises(DataError, match="holds no column 'tm'"):
        read_proteins(tmp_path / "x.fa", target="tm")
