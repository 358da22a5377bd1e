import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge, RidgeClassifier

from esmlearn.clustering import exact_search, homology_graph
from esmlearn.conformal import HomologyConformalClassifier, HomologyConformalRegressor
from esmlearn.exceptions import DataError
from esmlearn.persistence import load
from esmlearn.study._nearest import NearestInTraining
from esmlearn.study._reliability import OutOfFold, identity_name, measure_reliability
from esmlearn.study._training import Training
from tests._proteins import mutate, random_protein
from tests.study.conftest import small_study


def test_every_protein_has_the_identity_of_its_nearest_in_training(fitted):
    sequences = fitted.data_.sequences
    rng = np.random.default_rng(0)
    test = rng.permutation(len(sequences))[:30]
    train = np.setdiff1d(np.arange(len(sequences)), test)[:40]
    nearest = NearestInTraining.find(homology_graph(sequences), sequences, [(train, test)], 0.5)
    for row in test:
        hits = exact_search([sequences[row]], sequences[train])
        shorter = np.where(
            len(sequences[row]) <= np.array([len(sequences[train][t]) for t in hits.target]),
            hits.coverage_query,
            hits.coverage_target,
        )
        expected = hits.identity[(shorter >= 0.5) & (hits.identity >= 0.3)]
        assert nearest.identity[row] == pytest.approx(expected.max(initial=0.0), abs=1e-6)
        if len(expected):
            hit = train == nearest.row[row]
            assert hits.identity[np.flatnonzero(hit)[0] == hits.target] == expected.max()
        else:
            assert nearest.row[row] == -1


def test_copying_the_nearest_is_measured_on_both_kinds_of_folds(fitted, fitted_classes):
    for study, usual in ((fitted, np.median), (fitted_classes, None)):
        table = study.nearest_results_
        assert table["split"].tolist() == ["homology"] * 3 + ["random"] * 3
        assert (table.query("split == 'homology'")["share"] == 0).all()
        assert (table.query("split == 'random'")["share"] > 0.5).all()
        metric = "mae" if usual else "accuracy"
        means = table.groupby("split")[metric].mean()
        better = means["random"] < means["homology"]
        assert better if usual else not better
    data, folds = fitted.data_, fitted.folds_["fold"].to_numpy()
    expected = [np.abs(data.y[folds == k] - np.median(data.y[folds != k])).mean() for k in range(3)]
    # No row is purged here, so that every other fold trains.
    assert fitted.fold_table_["set_aside"].sum() == 0
    assert fitted.nearest_results_["mae"][:3].tolist() == pytest.approx(expected)


def test_errors_are_those_of_homology_folds_without_and_of_random_folds_with_a_homolog(fitted):
    errors = fitted.reliability_.errors
    data, chosen = fitted.data_, fitted.conclusion_.chosen.name
    assert errors["identity_low"][0] == 0
    assert errors["identity_high"].iloc[-1] == 1
    assert (errors["identity_low"][1:].to_numpy() == errors["identity_high"][:-1]).all()
    first = errors.iloc[0]
    assert first["count"] == len(data.y)
    assert first["error"] == pytest.approx(np.abs(data.y - fitted.predictions_[chosen]).mean())
    assert (errors["low"] <= errors["error"]).all()
    assert (errors["error"] <= errors["high"]).all()
    assert errors["count"].iloc[1:].sum() > 60  # families of three, nearly all with a relative


def test_bins_with_few_proteins_join_the_one_below(fitted):
    data, rows = fitted.data_, np.arange(90)
    splits = {"homology": [(rows[30:], rows[:30]), (rows[:30], rows[30:])]}
    prediction = np.zeros(len(data.y))
    identity = np.zeros(len(data.y))
    identity[:25], identity[25:50], identity[50:53] = 0.35, 0.6, 0.95
    found = {
        "homology": OutOfFold(prediction, None, np.zeros(len(data.y))),
        "random": OutOfFold(prediction, None, identity),
    }
    found = measure_reliability(data, splits, found, fitted.best_model_, identity=0.3)
    errors = found.errors
    assert errors["identity_low"].tolist() == [0, 0.3, 0.4]
    assert errors["count"].tolist() == [len(data.y), 25, 28]


@pytest.fixture(scope="module")
def halved(checkpoint, proteins):
    models = {"ridge": Ridge(alpha=10.0)}
    edge = float(np.median(proteins[1]))
    return small_study(checkpoint, regions=[edge], models=models, resamplers=()).fit(*proteins)


def test_regions_with_few_rows_share_an_interval(fitted):
    assert fitted.data_.regions.counts_.min() < 40
    parts = fitted.reliability_.coverage.query("kind != 'identity'")["part"]
    assert parts.tolist() == ["all"]


def test_intervals_are_calibrated_on_other_folds_and_reported(halved):
    coverage = halved.reliability_.coverage
    assert [part.split()[0] for part in coverage["part"][:2]] == ["all", "below"]
    assert coverage["part"][2].endswith("and more")
    assert coverage["count"][0] == coverage["count"][1] + coverage["count"][2] == 90
    assert 0.8 < coverage["coverage"][0] <= 1
    assert (coverage["kind"][3:] == "identity").all()


def test_the_saved_model_has_intervals(fitted, proteins, tmp_path):
    fitted.write(tmp_path)
    model = load(tmp_path / "model.esmlearn")
    assert isinstance(model, HomologyConformalRegressor)
    sequences = proteins[0][:9]
    np.testing.assert_array_equal(model.predict(sequences), fitted.predict(sequences))
    intervals = model.predict_interval(sequences)
    assert (intervals[:, 0] <= intervals[:, 1]).all()
    table = pd.read_csv(tmp_path / "errors_by_identity.csv")
    assert len(table) == len(fitted.reliability_.errors)
    assert len(pd.read_csv(tmp_path / "coverage.csv")) == len(fitted.reliability_.coverage)


def test_classes_have_sets(fitted_classes, classes, tmp_path):
    reliability = fitted_classes.reliability_
    assert isinstance(reliability.model, HomologyConformalClassifier)
    assert reliability.coverage["part"].tolist()[:4] == ["all", "cold", "hot", "warm"]
    wrong = fitted_classes.predictions_[fitted_classes.conclusion_.chosen.name] != classes
    assert reliability.errors["error"][0] == wrong.mean()
    fitted_classes.write(tmp_path)
    model = load(tmp_path / "model.esmlearn")
    assert model.predict_set(fitted_classes.data_.sequences[:5]).shape == (5, 3)


def test_without_random_folds_there_is_one_distance(checkpoint, proteins):
    study = small_study(checkpoint, random_split=False, resamplers=()).fit(*proteins)
    assert study.reliability_.errors["identity_high"].tolist() == [0.3]
    assert (study.reliability_.coverage["kind"] != "identity").all()


def test_few_proteins_have_no_intervals(checkpoint, proteins, tmp_path):
    study = small_study(checkpoint, resamplers=(), regions=[30.0])
    study.fit(proteins[0][:24], proteins[1][:24])
    assert study.reliability_.coverage.empty
    assert study.reliability_.model is study.best_model_
    assert "Do the intervals hold" not in study.write(tmp_path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("low", "high", "name"),
    [
        (0, 0.3, "no homolog in training"),
        (0.3, 0.4, "homolog of 30 % to 40 %"),
        (0.9, 1, "homolog of 90 % and more"),
    ],
)
def test_names_of_distances(low, high, name):
    assert identity_name(low, high) == name


# training.json -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("study")
    fitted.write(path)
    return path


@pytest.fixture
def training(folder):
    return Training.beside(folder / "model.esmlearn")


def test_judges_five_kinds_of_proteins(training, fitted):
    rng = np.random.default_rng(5)
    known = str(fitted.data_.sequences[4])
    relative = mutate(known, 0.62, rng)
    given = [known, relative, random_protein(65, rng), "ACGT" * 16, "MK"]
    table = training.judge(given)
    assert table["nearest"].tolist()[:2] == [fitted.data_.ids[4]] * 2
    assert table["nearest"].isna().tolist() == [False, False, True, True, True]
    assert table["in_training"].tolist() == [True, False, False, False, False]
    assert table["identity"][0] == 1
    assert 0.5 < table["identity"][1] < 0.75
    expected = [
        "in training",
        f"relative in training at {100 * table['identity'][1]:.0f} %",
        "no relative in training: expect the error of unseen families",
        "looks like DNA or RNA",
        "too short to be a protein (2 residues)",
    ]
    for note, begin in zip(table["note"], expected, strict=True):
        assert note.startswith(begin)
        assert ";" not in note
    errors = fitted.reliability_.errors
    assert table["expected_error"][2] == pytest.approx(errors["error"][0], rel=0.01)
    assert table["expected_error_n"][2] == errors["count"][0]
    assert table["expected_error"][3:].isna().all()
    of_relative = errors[errors["identity_low"] <= table["identity"][1]].iloc[-1]
    assert table["expected_error"][1] == pytest.approx(of_relative["error"], rel=0.01)


def test_lengths_outside_of_training_are_noted(training):
    note = training.judge([random_protein(400, np.random.default_rng(6))])["note"][0]
    shortest, longest = training.lengths
    assert note == (
        f"400 residues, outside of training ({shortest} to {longest}); no relative in training: "
        f"expect the error of unseen families"
    )


def test_sequences_may_be_left_out(fitted, tmp_path):
    fitted.write(tmp_path, training_sequences=False)
    text = (tmp_path / "training.json").read_text(encoding="utf-8")
    assert not any(s in text for s in fitted.data_.sequences)
    table = Training.beside(tmp_path / "model.esmlearn").judge(["MK", fitted.data_.sequences[0]])
    assert table.columns.tolist() == ["note"]
    assert table["note"].tolist() == [
        "too short to be a protein (2 residues): not to be relied on",
        "",
    ]


def test_a_model_alone_is_judged_by_nothing(folder, tmp_path):
    alone = tmp_path / "model.esmlearn"
    alone.write_bytes((folder / "model.esmlearn").read_bytes())
    assert Training.beside(alone) is None


def test_what_belongs_to_another_model_is_not_used(folder, tmp_path):
    (tmp_path / "training.json").write_bytes((folder / "training.json").read_bytes())
    other = tmp_path / "model.esmlearn"
    other.write_bytes(b"another")
    with pytest.warns(UserWarning, match="is of another model than model.esmlearn"):
        assert Training.beside(other) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: "[]",
        lambda kept: json.dumps(kept)[:-20],
        lambda kept: json.dumps({**kept, "ids": kept["ids"][1:]}),
        lambda kept: json.dumps({**kept, "errors": []}),
        lambda kept: json.dumps({**kept, "errors": [{"error": "x"}]}),
        lambda kept: json.dumps({**kept, "lengths": [1]}),
        lambda kept: json.dumps({**kept, "sequences": [None] * len(kept["ids"])}),
        lambda kept: json.dumps({**kept, "format": 9}),
        lambda kept: json.dumps({k: v for k, v in kept.items() if k != "identity"}),
    ],
)
def test_damage_is_named(change, folder, tmp_path):
    model = tmp_path / "model.esmlearn"
    model.write_bytes((folder / "model.esmlearn").read_bytes())
    kept = json.loads((folder / "training.json").read_bytes())
    (tmp_path / "training.json").write_text(change(kept), encoding="utf-8")
    with pytest.raises(DataError, match=r"training.json is damaged .* remove the file"):
        Training.beside(model)


def test_classes_are_told_how_far_probabilities_are_off(fitted_classes, tmp_path):
    results = fitted_classes.results_.query("model == 'logistic'")
    assert results["ece"].between(0, 1).all()
    probabilities = fitted_classes.reliability_.probabilities
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    page = fitted_classes.write(tmp_path).read_text(encoding="utf-8")
    assert "figure-reliability" in page
    assert "Calibration error" in page


def test_scores_that_are_no_probabilities_have_no_calibration_error(checkpoint, proteins, classes):
    models = {"ridge": RidgeClassifier()}
    study = small_study(checkpoint, models=models, regions=None, resamplers=(), unit=None)
    study.fit(proteins[0], classes)
    assert study.results_.query("model == 'ridge'")["ece"].isna().all()
    assert study.reliability_.probabilities is None
    assert study.reliability_.model.predict_set(proteins[0]).any(axis=1).all()
