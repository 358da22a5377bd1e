"""Every command through ``main``, on tiny data."""

import io
import json
import signal
import subprocess
import sys
from argparse import Namespace

import numpy as np
import pandas as pd
import pytest

from esmlearn.cli import _main, _study, main
from esmlearn.datasets import load_subcellular_location
from esmlearn.embedding import write_untrained_checkpoint
from esmlearn.io import write_fasta
from tests._proteins import make_families, random_protein


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "esm2_tiny.pt"
    return str(write_untrained_checkpoint(path, n_layers=1, width=16, n_heads=2))


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A table and a FASTA file of 60 proteins in 20 families."""
    folder = tmp_path_factory.mktemp("files")
    sequences, family = make_families(20, 3, length=60, seed=2)
    ids = [f"P{i}" for i in range(60)]
    y = np.round(np.random.default_rng(0).gamma(3, 10, 20)[family] + np.arange(60) / 100, 2)
    table = pd.DataFrame({"id": ids, "sequence": sequences, "tm": y, "family": family})
    table["split"] = np.where(np.arange(60) % 3 == 0, "test", "train")
    table.to_csv(folder / "table.csv", index=False)
    table[["id", "tm"]].to_csv(folder / "targets.csv", index=False)
    write_fasta(folder / "proteins.fasta", sequences, ids=ids)
    return folder


@pytest.fixture(scope="session")
def studied(files, checkpoint, tmp_path_factory):
    """The folder of a tiny study."""
    out = tmp_path_factory.mktemp("studied") / "out"
    arguments = ["study", str(files / "table.csv"), "--target", "tm", "--unit", "°C"]
    arguments += ["--model", checkpoint, "--models", "dummy,ridge", "--resamplers", "random"]
    arguments += ["--levels", "100", "--folds", "3", "--out", str(out), "--jobs", "1"]
    assert main([*arguments, "--regions", "40", "--json"]) == 0
    return out


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_study_writes_its_folder(studied):
    results = pd.read_csv(studied / "results.csv")
    assert set(results["candidate"]) == {"dummy", "ridge", "ridge-random-100"}
    assert (studied / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_predict_with_the_saved_model(studied, files, tmp_path, capsys):
    model = studied / "model.esmlearn"
    code, out, _ = run(capsys, "predict", model, files / "proteins.fasta")
    assert code == 0
    table = pd.read_csv(io.StringIO(out))
    assert len(table) == 60
    assert table["in_training"].all()
    assert (table["low"] < table["high"]).all()
    assert table["note"].str.startswith("in training").all()
    code, out, _ = run(capsys, "predict", model, files / "proteins.fasta", "--confidence", "0.5")
    narrow = pd.read_csv(io.StringIO(out))
    assert (narrow["high"] - narrow["low"] < table["high"] - table["low"]).all()
    with pytest.raises(SystemExit):
        run(capsys, "predict", model, files / "proteins.fasta", "--confidence", "1")
    assert "'1' is no level above 0 and below 1" in capsys.readouterr().err
    code, out, _ = run(capsys, "predict", model, files / "table.csv", "--json")
    assert len(json.loads(out)["predictions"]) == 60
    code, _, err = run(capsys, "predict", model, files / "table.csv", "--digest", "0" * 64)
    assert code == 2
    assert "is another model" in err


def test_errors_name_options_and_not_parameters(studied, files, checkpoint, tmp_path, capsys):
    arguments = ["embed", files / "proteins.fasta", "-o", tmp_path / "x.npy"]
    code, _, err = run(capsys, *arguments, "--model", "esm9")
    assert code == 2
    assert "--model 'esm9' is neither" in err
    other = write_untrained_checkpoint(
        tmp_path / "esm2_other.pt", n_layers=1, width=16, n_heads=2, random_state=1
    )
    arguments = ["predict", studied / "model.esmlearn", files / "proteins.fasta"]
    code, _, err = run(capsys, *arguments, "--model", other)
    assert code == 2
    assert "Pass the right weights as --model." in err
    assert "model=" not in err


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("model='x' is none", "--model 'x' is none"),
        ("pass model= the path", "pass --model the path"),
        ("(see n_jobs=2)", "(see --n-jobs 2)"),
        ("a file /tmp/model=3.csv, other=4", "a file /tmp/model=3.csv, other=4"),
    ],
)
def test_parameters_become_options(message, expected):
    assert _main._as_options(message, {"model", "n_jobs"}) == expected


def test_too_many_folds_are_named_as_such(files, checkpoint, tmp_path, capsys):
    arguments = ["study", files / "table.csv", "--target", "tm", "--model", checkpoint]
    code, _, err = run(capsys, *arguments, "--folds", "100", "--out", tmp_path / "out")
    assert code == 2
    assert "60 proteins for 100 folds; expected at least 200" in err


@pytest.mark.parametrize("suffix", ["npy", "parquet", "csv"])
def test_embed(suffix, files, checkpoint, tmp_path, capsys):
    out = tmp_path / f"x.{suffix}"
    code, text, _ = run(
        capsys, "embed", files / "proteins.fasta", "-o", out, "--model", checkpoint, "--json"
    )
    assert code == 0
    assert json.loads(text)["shape"] == [60, 16]
    if suffix == "npy":
        assert np.load(out).shape == (60, 16)
        assert len(pd.read_csv(tmp_path / "x.ids.csv")) == 60
    else:
        table = pd.read_csv(out) if suffix == "csv" else pd.read_parquet(out)
        assert table.shape == (60, 17)


def test_cluster(files, tmp_path, capsys):
    code, out, _ = run(capsys, "cluster", files / "proteins.fasta")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "id,cluster"
    assert len({line.split(",")[1] for line in lines[1:]}) == 20
    code, out, _ = run(capsys, "cluster", files / "table.csv", "-o", tmp_path / "c.csv", "--json")
    assert json.loads(out)["n_clusters"] == 20
    assert len(pd.read_csv(tmp_path / "c.csv")) == 60


def test_split_then_audit(files, tmp_path, capsys):
    folds = tmp_path / "folds.csv"
    code, _, _ = run(
        capsys, "split", files / "table.csv", "--target", "tm", "--folds", "4", "-o", folds
    )
    assert code == 0
    table = pd.read_csv(folds)
    assert list(table.columns) == ["id", "fold", "tm", "sequence"]
    assert sorted(table["fold"].unique()) == [0, 1, 2, 3]
    code, out, _ = run(capsys, "audit", folds, "--json")
    assert code == 0
    assert json.loads(out)["table"][-1]["A"] == 0.0


def test_folds_in_a_file_do_not_leak_where_a_family_is_cut(tmp_path, capsys):
    rng = np.random.default_rng(0)
    genome = random_protein(2400, rng)
    chain = [genome[i : i + 80] for i in range(0, 2320, 30)]  # each overlaps with the next ones
    sequences = chain + [random_protein(80, rng) for _ in range(30)]
    write_fasta(tmp_path / "chain.fasta", sequences, ids=[f"P{i}" for i in range(len(sequences))])
    out, parts = tmp_path / "folds.csv", tmp_path / "parts"
    code, text, _ = run(
        capsys, "split", tmp_path / "chain.fasta", "--folds", 3, "-o", out, "--fasta-out", parts
    )
    assert code == 0
    fold = pd.read_csv(out)["fold"].astype(str)
    n_aside = int((fold == "set_aside").sum())
    assert 0 < n_aside < 20
    assert f"{n_aside} set aside" in text
    assert {p.name for p in parts.iterdir()} == {
        "fold_0.fasta", "fold_1.fasta", "fold_2.fasta", "set_aside.fasta"
    }  # fmt: skip
    code, text, _ = run(capsys, "audit", out, "--json")
    assert code == 0
    assert json.loads(text)["table"][-1]["A"] == 0.0
    assert json.loads(text)["table"][-1]["n_test"] == len(sequences) - n_aside


def test_holdout_split_with_fasta(files, tmp_path, capsys):
    out = tmp_path / "parts.csv"
    code, text, _ = run(
        capsys, "split", files / "proteins.fasta", "--holdout", 3, 4, "-o", out, "--json",
        "--fasta-out", tmp_path / "parts",
    )  # fmt: skip
    assert code == 0
    sizes = json.loads(text)["sizes"]
    assert (sizes["validation"], sizes["test"]) == (3, 4)
    assert {p.name for p in (tmp_path / "parts").iterdir()} >= {"train.fasta", "test.fasta"}
    code, text, _ = run(capsys, "audit", out, "--json")
    assert json.loads(text)["table"][-1]["A"] == 0.0


def test_audit_finds_what_another_tools_split_leaks(files, tmp_path, capsys):
    table = pd.read_csv(files / "table.csv")
    table.loc[1, "sequence"] = table.loc[0, "sequence"]
    table["id"] = table["id"] + "x"
    table.to_csv(tmp_path / "split.csv", index=False)
    code, out, _ = run(capsys, "audit", tmp_path / "split.csv", "-o", tmp_path / "audit.csv")
    assert code == 0
    assert "1 sequences occur in more than one part" in out
    assert "P0x (test), P1x (train)" in out
    assert pd.read_csv(tmp_path / "audit.csv")["A"].iloc[-1] == 1.0


@pytest.mark.slow
def test_audit_finds_the_sequences_that_cross_in_a_published_split(tmp_path, capsys):
    frame = load_subcellular_location(merge_duplicates=False).frame
    frame.to_csv(tmp_path / "scl.csv", index=False)
    code, out, _ = run(capsys, "audit", tmp_path / "scl.csv", "--sample", 5, "--json")
    assert code == 0
    assert len(json.loads(out)["copies"]) == 25


def test_cache_and_info(files, checkpoint, tmp_path, capsys):
    run(capsys, "embed", files / "proteins.fasta", "-o", tmp_path / "x.npy", "--model", checkpoint)
    code, out, _ = run(capsys, "cache", "--json")
    assert code == 0
    assert json.loads(out)["embeddings"]["n_vectors"] == 60
    assert run(capsys, "cache", "--export", tmp_path / "copy")[0] == 0
    assert any((tmp_path / "copy").iterdir())
    assert run(capsys, "cache", "--export", tmp_path / "copy")[0] == 2
    assert json.loads(run(capsys, "cache", "--verify", "--json")[1])["verified"] == {
        "n_vectors": 60,
        "n_damaged": 0,
        "n_orphans": 0,
    }
    assert (
        json.loads(run(capsys, "cache", "--prune", "0", "--json")[1])["pruned"]["n_removed"] == 60
    )
    assert "; 60 vectors, 60 of them new" in run(capsys, "cache", "--import", tmp_path / "copy")[1]
    with pytest.raises(SystemExit):
        run(capsys, "cache", "--prune", "lots")
    assert "'lots' is no size; expected such as 500MB" in capsys.readouterr().err
    assert run(capsys, "cache", "--import", tmp_path / "none")[0] == 2
    assert "deleted" in run(capsys, "cache", "--clear")[1]
    assert json.loads(run(capsys, "cache", "--json")[1])["embeddings"]["n_vectors"] == 0
    code, out, _ = run(capsys, "info", "--json")
    assert code == 0
    assert "mmseqs" in json.loads(out)["engines"]
    assert "scikit-learn" in run(capsys, "info")[1]


BAD_TABLES = {
    "empty": ("", "is empty"),
    "no rows": ("id,sequence,tm\n", "no rows"),
    "missing column": ("id,seq,tm\nA,MKV,1\n", "no column 'sequence'"),
    "duplicate ids": ("id,sequence,tm\nA,MKV,1\nA,MKL,2\n", "row 1 has the id 'A' of row 0"),
    "no protein": ("id,sequence,tm\nA,MKV,1\nB,hello 1,2\n", "row 1 (id 'B')"),
    "missing target": ("id,sequence,tm\nA,MKV,1\nB,MKL,NA\nC,MKM,2\n", "row 1 (id 'B') has no"),
    "one sequence": ("id,sequence,tm\nA,MKV,1\n", "1 sequence(s)"),
    "equal targets": ("id,sequence,tm\nA,MKV,1\nB,MKL,1\n", "all 2 values are 1"),
}


@pytest.mark.parametrize(("text", "message"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_bad_tables_end_in_one_line_and_leave_nothing(text, message, tmp_path, capsys, checkpoint):
    path, out = tmp_path / "table.csv", tmp_path / "out"
    path.write_text(text)
    code, stdout, err = run(
        capsys, "study", path, "--target", "tm", "--out", out, "--model", checkpoint
    )
    assert code == 2
    assert stdout == ""
    assert len(err.strip().splitlines()) == 1
    assert message in err
    assert not out.exists()


def test_a_mutational_scan_is_one_family(tmp_path, capsys, checkpoint):
    sequence = make_families(1, 1, length=80)[0][0]
    mutants = [sequence[:i] + "W" + sequence[i + 1 :] for i in range(40) if sequence[i] != "W"]
    frame = pd.DataFrame({"sequence": mutants, "tm": np.arange(len(mutants)) * 1.5})
    frame.to_csv(tmp_path / "dms.csv", index=False)
    for redundancy in ("0.95", "1.0"):
        code, _, err = run(
            capsys, "study", tmp_path / "dms.csv", "--target", "tm", "--model", checkpoint,
            "--redundancy", redundancy, "--out", tmp_path / "out",
        )  # fmt: skip
        assert code == 2
        assert "mutational scan" in err
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study"], "expected a TABLE, or --demo"),
        (["study", "t.csv"], "Got no --target"),
        (["study", "none.csv", "--target", "tm"], "There is no file none.csv"),
        (["embed", "none.fasta", "-o", "x.npy"], "There is no file"),
        (["embed", "none.fasta", "-o", "x.txt"], "no known suffix"),
        (["predict", "none", "none.fasta"], "There is no file"),
    ],
)
def test_user_errors_have_code_2(arguments, message, capsys):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert message in err


def test_percentages_are_recognised(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["cluster", "x.fa", "--identity", "30"])
    assert caught.value.code == 2
    assert "did you mean 0.3?" in capsys.readouterr().err


def test_an_unwritable_folder_is_named(files, checkpoint, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, _, err = run(
        capsys, "embed", files / "proteins.fasta", "-o", tmp_path / "file" / "x.npy",
        "--model", checkpoint,
    )  # fmt: skip
    assert code == 2
    assert "file" in err


def test_missing_libraries_are_named_before_the_work(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    code, _, err = run(capsys, "study", "--demo")
    assert code == 2
    assert "esmlearn[study]" in err


def test_ctrl_c_is_clean(monkeypatch, capsys):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(_study, "_demo", interrupted)
    code, _, err = run(capsys, "study", "--demo")
    assert code == 130
    assert "Interrupted" in err


def test_being_terminated_is_clean_too(monkeypatch, capsys):
    left = []

    def terminated(args):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            left.append("cleaned")

    monkeypatch.setattr(_study, "_demo", terminated)
    before = signal.getsignal(signal.SIGTERM)
    code, _, err = run(capsys, "study", "--demo")
    assert code == 143
    assert err == "Terminated; what was finished is kept.\n"
    assert left == ["cleaned"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_bundled_model_is_told_from_a_release(files, tmp_path, capsys):
    code, out, err = run(
        capsys, "study", files / "targets.csv", "--fasta", files / "proteins.fasta", "--target",
        "tm", "--model", _study.BUNDLED, "--models", "ridge", "--resamplers", "", "--folds", "3",
        "--out", tmp_path / "out", "--jobs", "1", "--no-random-split", "--regions", "40",
    )  # fmt: skip
    assert code == 0
    assert "not for results" in err
    assert "not for results" in (tmp_path / "out" / "report.html").read_text()
    assert "report.html" in out


def test_the_demo_reads_the_real_enzymes():
    arguments = Namespace(demo="topt", regions=None)
    given = _study._demo(arguments)
    assert len(given["sequences"]) == 2898
    assert given["unit"] == "°C"
    arguments.demo = "locations"
    assert len(set(_study._demo(arguments)["y"])) == 13


def test_help_of_every_command(capsys):
    for command in ("", "study", "embed", "cluster", "split", "audit", "predict", "cache", "info"):
        with pytest.raises(SystemExit) as caught:
            main([*command.split(), "--help"])
        assert caught.value.code == 0
        assert "usage: esmlearn" in capsys.readouterr().out


def test_python_m_esmlearn_works():
    result = subprocess.run(
        [sys.executable, "-m", "esmlearn", "--version"], capture_output=True, text=True
    )
    assert result.returncode == 0
    assert result.stdout.startswith("esmlearn ")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from esmlearn.cli._main import build_parser; build_parser(); "
        "heavy = {'torch', 'matplotlib', 'skorch', 'imblearn', 'esmlearn.study'}; "
        "assert not heavy & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["split", "t.csv", "-o", "f.csv", "--folds", "1"], "'1' is no whole number of 2 or more"),
        (["split", "t.csv", "-o", "f.csv", "--holdout", "0", "5"], "'0' is no whole number of 1"),
        (["split", "t.csv", "-o", "f.csv", "--folds", "3", "--holdout", "2", "2"], "not allowed"),
        (["study", "t.csv", "--folds", "0"], "'0' is no whole number of 2 or more"),
        (["study", "t.csv", "--levels", "a,b"], "'a' is no whole number of 1 or more"),
        (["study", "t.csv", "--levels", "0"], "'0' is no whole number of 1 or more"),
        (["study", "t.csv", "--regions", "a,b"], "'a,b' is no list of numbers"),
        (["study", "t.csv", "--redundancy", "95"], "did you mean 0.95?"),
        (["cluster", "t.csv", "--jobs", "0"], "-1 is all cores"),
        (["audit", "t.csv", "--coverage", "0.9"], "unrecognized arguments"),
        (["cluster", "t.csv", "-o", "x.foo"], "x.foo has the suffix '.foo'"),
        (["predict", "m", "t.csv", "-o", "x"], "x has the suffix ''"),
        (["embed", "t.fasta", "-o", "x.npy", "--device", "foo"], "'foo' is no device"),
        (["embed", "t.fasta", "-o", "x.npy", "--device", "cuda:x"], "'cuda:x' is no device"),
    ],
)
def test_arguments_that_mean_nothing_are_refused_at_once(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_singletons_go_with_a_holdout(files, tmp_path, capsys):
    code, _, err = run(
        capsys, "split", files / "table.csv", "--singletons-only", "-o", tmp_path / "folds.csv"
    )
    assert code == 2
    assert "without --holdout" in err
    assert not any(tmp_path.iterdir())


def test_help_shows_no_default_that_tells_nothing(capsys):
    with pytest.raises(SystemExit):
        main(["study", "--help"])
    text = capsys.readouterr().out
    assert "default: None" not in text
    assert "default: False" not in text
    assert "default: 0.3" in text


@pytest.mark.parametrize("option", ["", "--json"])
def test_a_reader_that_has_enough_is_no_error(option, files):
    # `true` reads nothing, so that the output meets a closed pipe.
    command = f"'{sys.executable}' -m esmlearn cluster '{files / 'proteins.fasta'}' {option} | true"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert result.stderr == ""


def test_classes_have_no_regions(files, checkpoint, tmp_path, capsys):
    code, _, err = run(
        capsys, "study", files / "table.csv", "--target", "split", "--regions", "40",
        "--model", checkpoint, "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 2
    assert "--regions for classes" in err
    assert not (tmp_path / "out").exists()


def test_a_sample_keeps_the_share_of_every_class_and_is_told():
    y = np.repeat(["a", "b", "c"], [600, 300, 100])
    given = {
        "task": "classification",
        "y": y,
        "sequences": y,
        "ids": np.arange(1000),
        "frame": None,
    }
    given["source"] = {"name": "table.csv"}
    drawn = _study._draw(given, Namespace(sample=101, seed=0))
    assert pd.Series(drawn["y"]).value_counts().sort_index().sub([60, 30, 10]).abs().max() <= 1
    assert len(drawn["ids"]) == 101
    assert (np.diff(drawn["ids"]) > 0).all()
    assert drawn["source"]["name"] == (
        "table.csv, a random sample of 101 of 1000 proteins (seed 0)"
    )
    other = _study._draw(given, Namespace(sample=101, seed=1))
    assert set(other["ids"]) != set(drawn["ids"])
    assert _study._draw(given, Namespace(sample=1000, seed=0)) is given


def test_a_sample_is_studied(files, checkpoint, tmp_path, capsys):
    arguments = ["study", files / "table.csv", "--target", "tm", "--model", checkpoint]
    arguments += ["--models", "dummy,ridge", "--resamplers", "", "--folds", "2", "--jobs", "1"]
    arguments += ["--no-random-split", "--regions", "40", "--out", tmp_path / "out"]
    assert run(capsys, *arguments, "--sample", "40", "-q")[0] == 0
    assert len(pd.read_csv(tmp_path / "out" / "folds.csv")) <= 40
    assert "a random sample of 40 of 60 proteins" in (tmp_path / "out/report.html").read_text()
