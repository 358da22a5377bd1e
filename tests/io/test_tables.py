import csv
import gzip

import numpy as np
import pandas as pd
import pytest

from esmlearn.exceptions import DataError
from esmlearn.io import check_target, read_proteins, read_table, write_fasta, write_table

TABLE = pd.DataFrame(
    {"id": ["P1", "P2", "P3"], "sequence": ["MKV", "MST", "MAL"], "tm": [37.5, 41.0, 60.0]}
)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "t.parquet"])
def test_tables_come_back_as_they_were_written(tmp_path, name):
    write_table(tmp_path / name, TABLE)
    pd.testing.assert_frame_equal(read_table(tmp_path / name), TABLE, check_dtype=False)
    first = (tmp_path / name).read_bytes()
    write_table(tmp_path / name, TABLE)
    assert (tmp_path / name).read_bytes() == first


def test_ids_stay_as_they_are_written(tmp_path):
    (tmp_path / "t.csv").write_text("id,sequence,name,tm\n007,MKV,NA,37\n010,MST,nan x,NA\n")
    table = read_table(tmp_path / "t.csv")
    assert table["id"].tolist() == ["007", "010"]
    assert table["name"].tolist() == ["NA", "nan x"]
    assert np.isnan(table["tm"][1])


def test_a_table_takes_its_sequences_from_fasta_by_id(tmp_path):
    write_table(tmp_path / "t.csv", TABLE[["id", "tm"]].iloc[::-1])
    write_fasta(tmp_path / "x.fa", ["MKV", "MST", "MAL", "MMM"], ids=["P1", "P2", "P3", "P4"])
    proteins = read_proteins(tmp_path / "t.csv", target="tm", fasta=tmp_path / "x.fa")
    assert proteins.sequences.tolist() == ["MAL", "MST", "MKV"]
    write_fasta(tmp_path / "x.fa", ["MKV"], ids=["P1"])
    with pytest.raises(DataError, match=r"row 0 has the id 'P3', which is not in .* \(2 such"):
        read_proteins(tmp_path / "t.csv", target="tm", fasta=tmp_path / "x.fa")


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
        ("id,sequence,tm\nP1,MKV,5\nP2,MKL,5,6,7\n", "cannot be read as a table"),
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
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"suffix '\.xlsx'"):
        read_table(tmp_path / "t.xlsx")
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
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv.zst"), TABLE, check_dtype=False)
    with pytest.raises(DataError, match=r"expected a name without \.zst"):
        write_table(tmp_path / "u.csv.zst", TABLE)


def test_a_fasta_file_has_no_targets(tmp_path):
    write_fasta(tmp_path / "x.fa", ["MKV"])
    assert read_proteins(tmp_path / "x.fa").ids.tolist() == ["sequence_0"]
    with pytest.raises(DataError, match="holds no column 'tm'"):
        read_proteins(tmp_path / "x.fa", target="tm")


@pytest.mark.parametrize(
    ("y", "task", "expected"),
    [
        ([1, 2, 3], "auto", "regression"),
        ([0, 1, 1], "auto", "classification"),
        ([True, False, True], "auto", "classification"),
        (["a", "b", "a"], "auto", "classification"),
        ([0, 1, 1], "regression", "regression"),
        ([1, 2, 3], "classification", "classification"),
    ],
)
def test_what_a_target_is(y, task, expected):
    values, found = check_target(y, task=task)
    assert found == expected
    assert values.dtype.kind == ("f" if expected == "regression" else "U")


def test_ids_are_no_classes():
    with pytest.raises(DataError, match="20 different values in 20 rows"):
        check_target([f"P{i}" for i in range(20)])
