"""``esmlearn suggest`` with saved models of variants."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import Ridge

from esmlearn import persistence
from esmlearn.cli import main
from esmlearn.conformal import HomologyConformalRegressor
from esmlearn.io import read_table, write_fasta
from esmlearn.pipeline import make_pipeline
from esmlearn.variants import (
    MutationOneHotEncoder,
    MutationPropertyEncoder,
    VariantSplitter,
    apply_mutations,
    propose_variants,
)

WILD_TYPE = "MKTAYIAKQR"


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """Folder with a wild type, 60 measured single mutants, and two models of them."""
    folder = tmp_path_factory.mktemp("campaign")
    rng = np.random.default_rng(0)
    variants = rng.choice(propose_variants(WILD_TYPE), 60, replace=False)
    y = np.array([len(WILD_TYPE) - abs(int(v[1:-1]) - 6) + (v[-1] == "W") for v in variants])
    write_fasta(folder / "wt.fasta", [WILD_TYPE], ids=["wt"])
    pd.DataFrame({"mutant": variants, "fitness": y}).to_csv(folder / "scan.csv", index=False)
    sequences = apply_mutations(WILD_TYPE, variants)
    plain = make_pipeline(MutationOneHotEncoder(WILD_TYPE), Ridge())
    process = GaussianProcessRegressor(
        RBF(3.0) + WhiteKernel(0.1), optimizer=None, normalize_y=True
    )
    process = make_pipeline(MutationPropertyEncoder(WILD_TYPE, sparse_output=False), process)
    calibrated = HomologyConformalRegressor(
        process,
        cv=VariantSplitter(3, scheme="random", wild_type=WILD_TYPE),
        difficulty="std",
        method="base",
    )
    for name, model in {"plain": plain, "calibrated": calibrated}.items():
        persistence.save(model.fit(sequences, y.astype(float)), folder / f"{name}.esmlearn")
    return folder


def suggest(folder, model, *options):
    arguments = ["suggest", folder / f"{model}.esmlearn", "--wild-type", folder / "wt.fasta"]
    output = folder / "next.csv"
    code = main([str(a) for a in [*arguments, *options, "-o", output]])
    return read_table(output) if code == 0 else code


def test_the_best_new_single_mutants_are_suggested(campaign):
    measured = ["--measured", campaign / "scan.csv"]
    table = suggest(campaign, "plain", *measured, "--n", 12, "--max-per-position", 2)
    seen = set(pd.read_csv(campaign / "scan.csv")["mutant"])
    assert len(table) == 12
    assert not seen & set(table["variant"])
    assert table["variant"].str[1:-1].value_counts().max() == 2
    assert table["sequence"].tolist() == apply_mutations(WILD_TYPE, table["variant"]).tolist()
    assert pd.to_numeric(table["prediction"]).is_monotonic_decreasing


def test_combinations_of_measured_mutations_are_suggested(campaign):
    measured = ["--measured", campaign / "scan.csv"]
    table = suggest(campaign, "plain", *measured, "--n-mutations", 2, "--n", 5)
    seen = set(pd.read_csv(campaign / "scan.csv")["mutant"])
    assert all(set(variant.split(":")) <= seen for variant in table["variant"])


@pytest.mark.parametrize("by", ["upper_bound", "expected_improvement"])
def test_calibrated_models_rank_by_what_may_come_out(campaign, by):
    options = ["--measured", campaign / "scan.csv", "--target", "fitness", "--by", by]
    table = suggest(campaign, "calibrated", *options, "--confidence", 0.8).astype({"score": float})
    assert table["score"].is_monotonic_decreasing
    assert (table["low"].astype(float) < table["high"].astype(float)).all()


def test_json_has_the_variants(campaign, capsys):
    arguments = [campaign / "plain.esmlearn", "--wild-type", campaign / "wt.fasta", "--n", 3]
    assert main(["suggest", *map(str, arguments), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["n_candidates"] == 190
    assert len(told["variants"]) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--n-mutations", 2], "--n-mutations 2 without --measured"),
        (["--measured", "scan.csv", "--mutations", "x"], "has no column 'x'; it has 'mutant'"),
        (["--measured", "scan.csv", "--target", "mutant"], "expected a number"),
        (["--by", "upper_bound"], "needs calibrated uncertainty"),
        (["--by", "expected_improvement"], "expected_improvement without --target"),
        (["--target", "fitness"], "--target without --measured"),
        (["--confidence", 0.5], "has no intervals; leave out --confidence"),
        (["--offset", 5, "--measured", "scan.csv"], "All variants fit with --offset 0"),
    ],
)
def test_what_does_not_fit_is_told(campaign, capsys, monkeypatch, options, message):
    monkeypatch.chdir(campaign)
    assert suggest(campaign, "plain", *options) == 2
    assert message in capsys.readouterr().err
