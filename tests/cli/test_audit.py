"""``esmlearn audit`` on splits that come in one file or in several."""

import json

import pandas as pd
import pytest

from esmlearn.cli import main
from esmlearn.cli._audit import _part_names
from esmlearn.exceptions import DataError
from esmlearn.io import write_fasta
from tests._proteins import make_families

ALONE, _ = make_families(6, 1, length=60, seed=4)


@pytest.fixture
def parts(tmp_path):
    """Files of a split that one copy crosses: three in training, two in test."""
    for name, sequences in {"our_train": ALONE[:3], "our_test": [ALONE[0], ALONE[4]]}.items():
        ids = [f"{name}{i}" for i in range(len(sequences))]
        write_fasta(tmp_path / f"{name}.fasta", sequences, ids=ids)
    return [str(tmp_path / f"our_{name}.fasta") for name in ("train", "test")]


def test_a_file_for_each_part(parts, capsys):
    assert main(["audit", *parts, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["copies"] == [[["our_train0", "train"], ["our_test0", "test"]]]
    # Only the test part is tested: one of its two proteins has a copy in training.
    assert told["table"][-1]["A"] == 0.5


def test_files_without_known_names_are_folds(parts, tmp_path, capsys):
    third = tmp_path / "c.csv"
    pd.DataFrame({"sequence": [ALONE[5]]}).to_csv(third, index=False)
    assert main(["audit", *parts, str(third), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["table"]) == 3 + 1


def test_a_column_and_files_do_not_go_together(parts, capsys):
    assert main(["audit", *parts, "--column", "fold"]) == 2
    assert "--column fold and 2 files" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a/train.fasta", "b/valid.fa.gz", "test.csv"], ["train", "validation", "test"]),
        (["scl-trn.csv", "scl-tst.csv"], ["train", "test"]),
        (["fold_0.fasta", "fold_1.fasta"], ["fold_0", "fold_1"]),
        (["train_a.fasta", "train_b.fasta"], ["train_a", "train_b"]),
        (["latest.fasta", "train.fasta"], ["latest", "train"]),
    ],
)
def test_parts_are_named_by_their_files(files, names):
    assert _part_names(files) == names


def test_two_files_of_one_name_are_refused():
    with pytest.raises(DataError, match="Two files are named 'test'"):
        _part_names(["a/test.fasta", "b/test.fasta"])
