"""Tables, caches and warnings at the command line."""

import json

import numpy as np
import pandas as pd
import pytest

from esmlearn.cli import main
from esmlearn.embedding import write_untrained_checkpoint
from tests._proteins import make_families

N = 30


@pytest.fixture(scope="module")
def sequences():
    return make_families(10, 3, length=60, seed=3)[0]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "esm2_tiny.pt"
    return str(write_untrained_checkpoint(path, n_layers=1, width=16, n_heads=2))


def write(path, sequences, target, **columns):
    columns = {"id": [f"{i}.10" for i in range(N)], "sequence": sequences, **columns}
    pd.DataFrame({**columns, "tm": target}).to_csv(path, index=False)
    return path


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def arguments_of(command, table, tmp_path, checkpoint):
    """Return a small run of a command that reads a target."""
    if command == "split":
        return ["split", table, "--target", "tm", "--folds", 2, "-o", tmp_path / "folds.csv"]
    small = ["--models", "dummy,ridge", "--resamplers", "", "--folds", 2, "--jobs", 1]
    out = ["--model", checkpoint, "--no-random-split", "--out", tmp_path / "out"]
    return ["study", table, "--target", "tm", *small, *out]


@pytest.mark.parametrize("command", ["split", "study"])
def test_the_task_is_printed_with_its_reason(command, sequences, tmp_path, capsys, checkpoint):
    table = write(tmp_path / "t.csv", sequences, np.arange(N) * 1.5)
    arguments = arguments_of(command, table, tmp_path, checkpoint)
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0
    reason = "30 of 30 values are numbers; 30 distinct"
    expected = f"Task: regression of 'tm' ({reason}). If that is wrong, pass --task classification."
    assert expected in err.splitlines()
    assert json.loads(out)["task"] == "regression"
    assert json.loads(out)["task_reason"] == reason
    assert "Task:" not in run(capsys, *arguments, "-q")[2]


@pytest.mark.parametrize("command", ["split", "study"])
@pytest.mark.parametrize(
    ("write_number", "option", "named"),
    [
        (lambda i: f"{i % 14},5", ["--decimal", ","], "--decimal ','"),
        (lambda i: f">{i}" if i % 3 else f"{i}", ["--censored", "bound"], "--censored 'bound'"),
    ],
)
def test_text_that_looks_like_numbers_is_refused_with_the_option_that_reads_it(
    command, write_number, option, named, sequences, tmp_path, capsys, checkpoint
):
    table = write(tmp_path / "t.csv", sequences, [write_number(i) for i in range(N)])
    arguments = arguments_of(command, table, tmp_path, checkpoint)
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert named in err
    assert run(capsys, *arguments, *option)[0] == 0


def test_censored_rows_are_left_out_of_a_split(sequences, tmp_path, capsys):
    table = write(tmp_path / "t.csv", sequences, [f"<{i}" if i < 4 else i for i in range(N)])
    arguments = arguments_of("split", table, tmp_path, None)
    code, _, err = run(capsys, *arguments, "--censored", "drop")
    assert code == 0
    assert "4 censored row(s) left out" in err
    assert len(pd.read_csv(tmp_path / "folds.csv")) == N - 4


def test_ids_and_folds_are_text_from_file_to_file(sequences, tmp_path, capsys):
    folds = [f"0{i % 2}" for i in range(N)]
    table = write(tmp_path / "t.csv", sequences, np.arange(N) * 1.5, fold=folds)
    assert run(capsys, *arguments_of("split", table, tmp_path, None))[0] == 0
    written = pd.read_csv(tmp_path / "folds.csv", dtype=str)
    assert written["id"].tolist() == [f"{i}.10" for i in range(N)]
    assert run(capsys, "audit", table, "--set-aside", "00,-1", "--json")[0] == 2  # one part is left
    code, out, _ = run(capsys, "audit", table, "--set-aside", "0", "--json")
    assert code == 0
    assert json.loads(out)["table"][-1]["n_test"] == N


# embed ------------------------------------------------------------------------------------------


def test_embed_tells_of_gaps_and_stops(tmp_path, capsys, checkpoint):
    path = tmp_path / "x.a2m"
    path.write_text(">a\nMKVLLAPQWERT*\n>b\nMKVL-APQWERTY\n>c\nMKVLXAPQWERTY\n")
    arguments = ["embed", path, "-o", tmp_path / "x.csv", "--model", checkpoint]
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert out.splitlines()[1] == (
        "Of these: 1 with a stop (*) at the end, which was removed; 1 with gaps or stops (. - *), "
        "embedded as symbols of their own; 1 with B J O U X or Z."
    )
    report = json.loads(run(capsys, *arguments, "--json")[1])
    assert (report["n_stops"], report["n_gapped"]) == (1, 1)
    path.write_text(">a\nMKVLLAPQWERT\n")
    assert len(run(capsys, *arguments)[1].splitlines()) == 1


@pytest.mark.parametrize("name", ["x.fa", "x.csv"])
def test_a_stop_at_the_end_changes_no_vector(name, tmp_path, capsys, checkpoint):
    vectors = []
    for stop in ("", "*"):
        lines = {"x.fa": f">a\nMKVLLAPQWERT{stop}\n", "x.csv": f"sequence\nMKVLLAPQWERT{stop}\n"}
        (tmp_path / name).write_text(lines[name])
        out = tmp_path / "x.npy"
        assert run(capsys, "embed", tmp_path / name, "-o", out, "--model", checkpoint)[0] == 0
        vectors.append(np.load(out))
    np.testing.assert_array_equal(*vectors)


@pytest.mark.parametrize("name", ["x.fa", "x.csv"])
def test_gaps_alone_are_refused_by_every_command(name, tmp_path, capsys, checkpoint):
    lines = {"x.fa": ">a\nMKVLLA\n>b\n---\n", "x.csv": "id,sequence\na,MKVLLA\nb,---\n"}
    (tmp_path / name).write_text(lines[name])
    out = ["-o", tmp_path / "x.csv2.csv"]
    for command in (
        ["embed", "--model", checkpoint, *out],
        ["split", "--folds", 2, *out],
        ["cluster"],
    ):
        code, _, err = run(capsys, command[0], tmp_path / name, *command[1:])
        assert code == 2
        assert "(id 'b') has the sequence '---', gaps or stops (. - *) alone" in err


# Caches ------------------------------------------------------------------------------------------


@pytest.fixture
def fasta(sequences, tmp_path):
    path = tmp_path / "x.fa"
    path.write_text("".join(f">P{i}\n{s}\n" for i, s in enumerate(sequences)))
    return path


def test_no_cache_keeps_nothing(fasta, sequences, tmp_path, monkeypatch, capsys, checkpoint):
    monkeypatch.setenv("ESMLEARN_CACHE", str(tmp_path / "cache"))
    out = ["-o", tmp_path / "x.npy", "--model", checkpoint, "--no-cache"]
    assert run(capsys, "embed", fasta, *out)[0] == 0
    table = write(tmp_path / "t.csv", sequences, np.arange(N) * 1.5)
    study = arguments_of("study", table, tmp_path, checkpoint)
    assert run(capsys, *study, "--no-cache")[0] == 0
    assert not (tmp_path / "cache").exists()
    saved = tmp_path / "out" / "model.esmlearn"
    assert run(capsys, "predict", saved, fasta)[0] == 0  # with the usual cache again
    assert (tmp_path / "cache").exists()


@pytest.mark.parametrize("command", ["embed", "study"])
@pytest.mark.parametrize("fault", ["no folder", "full disk"])
def test_a_cache_that_cannot_be_written_is_done_without(
    command, fault, fasta, sequences, tmp_path, monkeypatch, capsys, checkpoint
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ESMLEARN_CACHE", str(tmp_path / "file" / "cache"))
    if fault == "full disk":
        monkeypatch.setenv("ESMLEARN_CACHE", str(tmp_path / "cache"))

        class Full:
            def __init__(self, **options):
                raise OSError(28, "No space left on device")

        monkeypatch.setattr("esmlearn.cli._common.TemporaryFile", Full)
    table = write(tmp_path / "t.csv", sequences, np.arange(N) * 1.5)
    study = arguments_of("study", table, tmp_path, checkpoint)
    embed = ["embed", fasta, "-o", tmp_path / "x.npy", "--model", checkpoint]
    with pytest.warns(UserWarning, match="The cache cannot be written .* ESMLEARN_CACHE"):
        code, _, _ = run(capsys, *(embed if command == "embed" else study))
    assert code == 0
    assert not list(tmp_path.glob("cache/*"))


def test_warnings_are_one_line(tmp_path):
    import subprocess
    import sys

    (tmp_path / "x.fa").write_text(">a\nMK*VLLAPQ\n>b\nMSTLLAPQW\n")
    command = [sys.executable, "-m", "esmlearn", "cluster", str(tmp_path / "x.fa")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"esmlearn: warning: {tmp_path / 'x.fa'}: row 0 (id 'a') has a")
    done = subprocess.run([*command, "-q"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
