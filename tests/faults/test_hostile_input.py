"""Ids and files that were made to do harm."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from esmlearn.cli import main
from esmlearn.clustering import available_engines
from esmlearn.utils._scratch import working_directory
from tests._proteins import make_families

IDS = ["-rf", "--help", ";touch PWNED", "$(touch PWNED)", "`touch PWNED`", "|touch${IFS}PWNED", "*"]
IDS += ["../../PWNED", "/etc/passwd", "a'b", 'a"b', "%s%n", "\\", "x" * 10_000, "=cmd()", "0"]
IN_TABLES = [*IDS, "two\nlines", "carriage\rreturn", "tab\there", "a,b", " "]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory and temporary folder."""
    for name in ("work", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return tmp_path


def proteins(number):
    sequences, _ = make_families(-(-number // 2), 2, length=60, seed=1)
    return sequences[:number]


def write_inputs(folder):
    """Write the ids as FASTA (where they can be) and as a table; return the paths and ids."""
    words = [name.replace(" ", "_") for name in IDS]
    text = "".join(f">{name}\n{s}\n" for name, s in zip(words, proteins(len(IDS)), strict=True))
    Path(folder, "in.fasta").write_text(text)
    names = [name for name in IN_TABLES if name.strip()]
    with open(folder / "in.csv", "w", newline="", encoding="utf-8") as file:
        rows = zip(names, proteins(len(names)), strict=True)
        csv.writer(file).writerows([("id", "sequence"), *rows])
    return {"in.fasta": words, "in.csv": names}


METHODS = ["components", "mmseqs", "linclust", "cdhit"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["in.fasta", "in.csv"])
def test_ids_are_text_to_programs(name, method, here):
    if method == "cdhit" and available_engines()["cd-hit"] is None:
        pytest.skip("CD-HIT is not installed")
    ids = write_inputs(here / "work")[name]
    before = sorted(os.listdir())
    identity = "0.5" if method == "cdhit" else "0.3"
    options = ["-o", "out.csv", "--method", method, "--identity", identity, "--jobs", "1", "-q"]
    assert main(["cluster", name, *options]) == 0
    with open("out.csv", newline="", encoding="utf-8") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ids
    assert sorted(os.listdir()) == sorted([*before, "out.csv"])
    assert not list((here / "tmp").glob("*/*"))
    assert not list(here.glob("**/PWNED"))


@pytest.mark.parametrize("name", ["in.fasta", "in.csv"])
def test_ids_are_text_to_the_embedder(name, here, checkpoint):
    ids = write_inputs(here / "work")[name]
    assert main(["embed", name, "-o", "out.npy", "--model", str(checkpoint), "-q"]) == 0
    with open("out.ids.csv", newline="", encoding="utf-8") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ids
    assert np.load("out.npy").shape == (len(ids), 16)
    assert not list(here.glob("**/PWNED"))


@pytest.fixture
def checkpoint(tmp_path):
    from esmlearn.embedding import write_untrained_checkpoint

    return write_untrained_checkpoint(tmp_path / "x.pt", n_layers=1, width=16, n_heads=2)


def test_ids_that_fasta_cannot_hold_are_refused_when_it_is_written(here):
    write_inputs(here / "work")
    options = ["-o", "out.csv", "--fasta-out", "parts", "--folds", "2", "--jobs", "1", "-q"]
    assert main(["split", "in.csv", *options]) == 2
    assert not list(here.glob("**/PWNED"))


def test_values_of_parts_do_not_lead_out_of_the_folder(here):
    """The names of written FASTA files come from us, not from the input."""
    write_inputs(here / "work")
    options = ["-o", "out.csv", "--fasta-out", "parts", "--folds", "2", "--jobs", "1", "-q"]
    assert main(["split", "in.fasta", *options]) == 0
    assert sorted(os.listdir("parts")) == ["fold_0.fasta", "fold_1.fasta"]


def test_working_directories_are_private():
    with working_directory() as folder:
        assert folder.stat().st_mode & 0o077 == 0


# Size --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.fasta", "x.csv"])
def test_a_line_of_two_gigabytes_is_refused_without_reading_it(name, tmp_path):
    path = tmp_path / name
    # zeros alone would be refused in a table as what they are
    path.write_bytes(b">P1\n" if name == "x.fasta" else b"id,sequence\nP1," + b"A" * (65 << 20))
    os.truncate(path, 2 << 30)  # a hole in the file, which reads as zeros
    code = (
        "import resource, sys\n"
        "from esmlearn.exceptions import DataError\n"
        "from esmlearn.io import read_proteins\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    read_proteins(sys.argv[1])\n"
        "except DataError as error:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    kilobytes, _, message = run.stdout.partition(" ")
    assert "a line of more than" in message
    assert int(kilobytes) < 500_000
