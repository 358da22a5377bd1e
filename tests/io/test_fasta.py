import gzip
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esmlearn.exceptions import DataError, EngineNotFoundError
from esmlearn.io import is_fasta, iter_fasta, read_fasta, read_proteins, write_fasta
from esmlearn.io._survey import survey_fasta
from esmlearn.utils._sequences import remove_gaps


def _write(tmp_path, text, name="x.fasta"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_records_are_read_with_ids_descriptions_and_lines(tmp_path):
    path = _write(tmp_path, ">P1 the first\r\nmkv\r\nLL\r\n\r\n>P2\n; a comment\nMST\n")
    records = list(iter_fasta(path))
    assert [(r.id, r.description, r.sequence, r.line) for r in records] == [
        ("P1", "the first", "MKVLL", 1),
        ("P2", "", "MST", 5),
    ]
    assert read_fasta(path)["sequence"].tolist() == ["MKVLL", "MST"]


def test_gzip_is_recognised_by_content_not_by_name(tmp_path):
    path = _write(tmp_path, gzip.compress(b">P1\nMKV\n", mtime=0), "x.fasta")
    assert read_fasta(path)["id"].tolist() == ["P1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "no FASTA record"),
        ("MKV\n", "line 1: got 'MKV' before the first header"),
        (">\nMKV\n", "line 1: a header without an id"),
        (">P1\n>P2\nMKV\n", "line 1: record 'P1' has no sequence"),
        (">P1\nMKV\n>P2\n", "line 3: record 'P2' has no sequence"),
        (">P1\nMKV\n>P1\nMST\n", "line 3: the id 'P1' was already used in line 1"),
        (">P1\nMKV\nMK1V\n", "line 3: record 'P1' has the character '1'"),
        (">P1\nMK\u00df\n", "line 2: record 'P1' has the character '\u00df'"),
        (b">P1\nMK\xffV\n", "is no UTF-8 text"),
        (gzip.compress(b">P1\nMKV\n", mtime=0)[:-9], "damaged gzip"),
    ],
)
def test_bad_files_are_named_with_line_and_value(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_fasta(_write(tmp_path, content))


def test_missing_files_and_directories_are_named(tmp_path):
    with pytest.raises(DataError, match="There is no file"):
        read_fasta(tmp_path / "none.fasta")
    with pytest.raises(DataError, match="is a directory"):
        read_fasta(tmp_path)


def test_limits_keep_memory_bounded(tmp_path):
    path = _write(tmp_path, ">P1\n" + "MKV\n" * 10 + ">P2\nM\n")
    with pytest.raises(DataError, match="longer than 20 residues"):
        read_fasta(path, max_length=20)
    with pytest.raises(DataError, match="more than 1 records"):
        read_fasta(path, max_records=1)
    one_line = _write(tmp_path, gzip.compress(b">P1\n" + b"A" * 5_000_000, mtime=0), "bomb.gz")
    with pytest.raises(DataError, match="a line of more than"):
        read_fasta(one_line, max_length=1000)


@pytest.mark.parametrize("filler", [b"\n", b"; comment\n"])
def test_bombs_of_lines_without_residues_are_refused_early(filler, tmp_path):
    bomb = _write(tmp_path, gzip.compress(b">P1\nM\n" + filler * 1_000_000, mtime=0), "bomb.gz")
    with pytest.raises(DataError, match=r"line 100003: more than 100000 blank lines or comments"):
        read_fasta(bomb)


def test_the_id_is_the_first_word_whatever_the_white_space(tmp_path):
    path = _write(tmp_path, ">P1\tfirst one\nMKV\n> P2\u2028x\nMST\n")
    records = list(iter_fasta(path))
    assert [(r.id, r.description) for r in records] == [("P1", "first one"), ("P2", "x")]


def test_zstd_is_recognised_by_content(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    pack = zstandard.ZstdCompressor().compress
    text = "".join(f">P{i}\n{'MKV' * 50}\n" for i in range(1000)).encode()
    for name in ("x.fasta", "x.fasta.zst"):
        path = _write(tmp_path, pack(text[:1000]) + pack(text[1000:]), name)
        assert len(read_fasta(path)) == 1000
    with pytest.raises(DataError, match=r"damaged zstd file \(it ends too early\)"):
        read_fasta(_write(tmp_path, pack(text)[:-20]))
    with pytest.raises(DataError, match="damaged zstd file"):
        read_fasta(_write(tmp_path, pack(text)[:8] + b"\xff" * 90))


def test_zstd_without_its_library_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(EngineNotFoundError, match=r"esmlearn\[zstd\]"):
        read_fasta(_write(tmp_path, b"\x28\xb5\x2f\xfd rest"))


def test_files_that_unpack_to_nonsense_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("esmlearn.io._compressed._ALWAYS_ALLOWED", 10_000)
    many = gzip.compress(b">P1\nMKV\n" * 200_000, mtime=0)
    with pytest.raises(DataError, match=r"unpacks to more than .* 300 times its size"):
        for _ in iter_fasta(_write(tmp_path, many)):
            pass


def test_zstd_bombs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("esmlearn.io._compressed._ALWAYS_ALLOWED", 1_000_000)
    zstandard = pytest.importorskip("zstandard")
    records = b"".join(b">P%d\nM\n" % i + b"\n" * 50_000 for i in range(400))
    bomb = zstandard.ZstdCompressor().compress(records)
    with pytest.raises(DataError, match=r"unpacks to more than"):
        read_fasta(_write(tmp_path, bomb))


def test_gzipped_files_are_written_reproducibly(tmp_path):
    for name in ("a.fa.gz", "b.fa.gz"):
        write_fasta(tmp_path / name, ["MKV"], ids=["P1"])
    assert (tmp_path / "a.fa.gz").read_bytes() == (tmp_path / "b.fa.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.fa.gz").read_bytes()) == b">P1\nMKV\n"


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.fasta"
    write_fasta(path, ["MKV"])
    for bad, ids in (
        (["MKV", "M1"], None),
        (["MKV"], ["a", "b"]),
        (["MKV"], ["a\nb"]),
        (["MKV"], [None]),
        (["MKV"], [float("nan")]),
    ):
        with pytest.raises(DataError):
            write_fasta(path, bad, ids=ids)
    assert path.read_text() == ">sequence_0\nMKV\n"
    assert list(tmp_path.iterdir()) == [path]


proteins = st.text("ACDEFGHIKLMNPQRSTVWYX-", max_size=200).filter(remove_gaps)


@given(
    sequences=st.lists(proteins, min_size=1),
    width=st.integers(1, 80),
)
def test_what_is_written_is_read_back(tmp_path_factory, sequences, width):
    path = tmp_path_factory.mktemp("round") / "x.fa"
    write_fasta(path, sequences, width=width)
    assert read_fasta(path)["sequence"].tolist() == sequences


@pytest.mark.parametrize(
    "name", ["x.fasta", "x.a2m", "x.fsa", "x", "x.txt", "x.csv", "x.v2", "x.a2m.gz", "x.gz"]
)
@pytest.mark.parametrize("text", [">a\nMK-V\n", "\ufeff>a\nMK-V\n", "\n\n>a\nMK-V\n"])
def test_fasta_of_any_suffix_is_read(name, text, tmp_path):
    content = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert is_fasta(tmp_path / name)
    assert read_proteins(tmp_path / name).sequences.tolist() == ["MK-V"]


@pytest.mark.parametrize("name", ["x.a2m2", "x", "x.gz"])
def test_what_is_neither_table_nor_fasta_is_told_of_both(name, tmp_path):
    (tmp_path / name).write_text("id,sequence\n")
    assert not is_fasta(tmp_path / name)
    with pytest.raises(DataError, match=r"expected one of \.csv, .* or a FASTA file, which begins"):
        read_proteins(tmp_path / name)
    with pytest.raises(DataError, match="no file"):
        read_proteins(tmp_path / "none.csv")


def write(path, sequences):
    """Write records named a, b, c and so on, as FASTA or as a table."""
    ids = "abcdefgh"[: len(sequences)]
    if path.suffix == ".csv":
        path.write_text("id,sequence\n" + "".join(map("{},{}\n".format, ids, sequences)))
    else:
        path.write_text("".join(map(">{}\n{}\n".format, ids, sequences)))
    return path


def look(path):
    """Look through a file as both readers do."""
    if path.suffix == ".csv":
        return read_proteins(path)
    survey_fasta(path)
    return read_proteins(path)


@pytest.mark.parametrize("name", ["x.fa", "x.csv"])
class TestOddities:
    def test_stops_at_the_end_are_removed_and_counted(self, name, tmp_path):
        path = write(tmp_path / name, ["MKV*", "mkl**", "MST"])
        proteins = look(path)
        assert proteins.sequences.tolist() == ["MKV", "MKL", "MST"]
        assert proteins.n_stops == 2
        if name == "x.fa":
            assert survey_fasta(path).n_stops == 2

    def test_copies_that_differ_by_a_stop_are_one(self, name, tmp_path):
        path = write(tmp_path / "x.fa", ["MKV*", "MKV", "MST"])
        assert survey_fasta(path).n_distinct == 2

    @pytest.mark.parametrize("gaps", ["-", "---", "*", ".-*"])
    def test_gaps_alone_are_refused_by_name(self, name, gaps, tmp_path):
        path = write(tmp_path / name, ["MKV", gaps])
        with pytest.raises(DataError, match=r"(row 1|line 3) \(id 'b'\) .*alone; expected"):
            look(path)
        with pytest.raises(DataError, match=r"row 1 \(id 'b'\) .*alone; expected"):
            read_proteins(path)

    @pytest.mark.parametrize(
        ("odd", "message"),
        [
            ("MK*V*", r"a stop \(\*\) at position 2"),
            ("*MKV", r"a stop \(\*\) at position 0"),
            ("ACGUUGCAACGUUUGACCAGN", "looks like DNA or RNA among proteins"),
            ("ACGTTGCAACGTTTGACCAGT", "looks like DNA or RNA among proteins"),
        ],
    )
    def test_a_warning_names_what_is_odd(self, name, odd, message, tmp_path):
        path = write(tmp_path / name, ["MKV", odd, odd + "A"])
        with pytest.warns(UserWarning, match=rf"row 1 \(id 'b'\) .*{message}"):
            read_proteins(path)
        if name == "x.fa":
            with pytest.warns(UserWarning, match=rf"line 3 \(id 'b'\) .*{message}"):
                survey_fasta(path)

    def test_short_peptides_are_no_dna(self, name, tmp_path):
        look(write(tmp_path / name, ["MKV", "GAGAGA", "TTTT", "MK*"]))
