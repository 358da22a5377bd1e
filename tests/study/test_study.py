import json
import warnings

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.base import clone

from esmlearn.embedding import ESMEmbedder
from esmlearn.exceptions import (
    CacheError,
    DataError,
    InsufficientComponentsError,
    TrainingInterruptedWarning,
)
from esmlearn.neural_network import MLPRegressor
from esmlearn.study import Study, _evaluate, default_models, headline
from esmlearn.study._candidates import Candidate, list_candidates
from esmlearn.study._data import choose_regions, prepare
from esmlearn.study._settings import WorkFolder
from esmlearn.study._wording import choice
from tests.study.conftest import small_classifier_study, small_study


def test_results_have_a_row_per_fold_model_resampler_and_level(fitted):
    results = fitted.results_
    assert len(results) == 3 * (1 + 3 + 3)
    assert not results.duplicated(["fold", "model", "resampler", "level"]).any()
    for column in ("mse", "mae", "r2", "spearman", "balanced_mae", "sera", "recall_rare"):
        assert results[column].notna().any()
    assert set(fitted.regions_["region"]) == {0, 1}
    assert len(fitted.random_results_) >= 3 * 3


def test_every_protein_is_predicted_once_by_a_model_that_saw_no_homolog(fitted):
    assert sorted(fitted.folds_["fold"].unique()) == [0, 1, 2]
    assert (fitted.leakage_["homology"] == 0).all()
    assert fitted.leakage_["random"].mean() > 0.5
    assert (fitted.folds_.groupby("component")["fold"].nunique() == 1).all()
    for prediction in fitted.predictions_.values():
        assert np.isfinite(prediction).all()


def test_pooled_metrics_follow_from_predictions(fitted):
    one = fitted.fold_results_[0]
    test = np.array(one["test"])
    error = np.abs(fitted.data_.y[test] - fitted.predictions_[one["candidate"]][test])
    assert one["metrics"]["mae"] == pytest.approx(error.mean())


def test_the_chosen_model_is_fitted_on_everything(fitted, proteins):
    prediction = fitted.predict(proteins[0][:5])
    assert np.array_equal(prediction, fitted.best_model_.predict(proteins[0][:5]))
    assert fitted.best_model_.named_steps["model"].n_features_in_ == 32


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_same_seed_same_results_whatever_the_processes(backend, checkpoint, proteins, fitted):
    ESMEmbedder(checkpoint).fit_transform(proteins[0])  # which multiprocessing cannot
    with parallel_config(backend=backend):
        again = small_study(checkpoint, n_jobs=2).fit(*proteins)
    pd.testing.assert_frame_equal(again.results_, fitted.results_, check_exact=True)
    pd.testing.assert_frame_equal(again.random_results_, fitted.random_results_, check_exact=True)


def test_a_restarted_study_computes_only_what_is_missing(
    checkpoint, proteins, fitted, tmp_path, monkeypatch
):
    study = small_study(checkpoint, work=tmp_path)
    done = []
    real = _evaluate.evaluate

    def interrupted(task, *rest):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(task.name)
        real(task, *rest)

    monkeypatch.setattr(_evaluate, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.fit(*proteins)
    first, done[:] = list(done), []
    monkeypatch.setattr(
        _evaluate, "evaluate", lambda task, *rest: (done.append(task), real(task, *rest))
    )
    clone(study).fit(*proteins)
    assert not set(first) & {task.name for task in done}
    again = clone(study).fit(*proteins)
    pd.testing.assert_frame_equal(again.results_, fitted.results_, check_exact=True)


def test_other_settings_never_share_fold_results(checkpoint, proteins, tmp_path):
    small = {"models": {"ridge": small_study(checkpoint).models["ridge"]}, "resamplers": ()}
    for seed in (0, 1):
        study = small_study(checkpoint, work=tmp_path, random_state=seed, **small)
        study.set_params(random_split=False).fit(*proteins)
    assert len(list(tmp_path.glob("*-ridge-*"))) == 2 * 3


def test_another_study_takes_over_what_it_has_in_common(checkpoint, proteins, tmp_path, fitted):
    models = small_study(checkpoint).models
    few = {k: models[k] for k in ("dummy", "ridge")}
    small_study(checkpoint, work=tmp_path, models=few, resamplers=("smote",)).fit(*proteins)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    study = small_study(checkpoint, work=tmp_path).fit(*proteins)
    pd.testing.assert_frame_equal(study.results_, fitted.results_, check_exact=True)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert before.items() <= after.items()
    assert len([name for name in before if name.startswith("homology")]) == 3 * 3


def test_damaged_fold_results_are_computed_again(checkpoint, proteins, tmp_path, caplog):
    small = {"models": {"ridge": small_study(checkpoint).models["ridge"]}, "resamplers": ()}
    study = small_study(checkpoint, work=tmp_path, random_split=False, **small).fit(*proteins)
    kept = next(tmp_path.glob("homology-0-ridge-*.json"))
    kept.write_text(kept.read_text()[:50])
    again = clone(study).fit(*proteins)
    assert "damaged" in caplog.text
    pd.testing.assert_frame_equal(again.results_, study.results_, check_exact=True)


RESULT = {
    "fold": 0,
    "metrics": {"mae": 0.1, "r2": float("nan")},
    "prediction": [1.5, -2e-300, float("inf")],
    "test": [0, 3],
    "notes": ["é “x”"],
}


@pytest.mark.parametrize("bits", [0x01, 0x20, 0x80, 0xFF])
def test_a_changed_byte_anywhere_never_changes_a_result(bits, tmp_path):
    store = WorkFolder(tmp_path)
    store.write("a", RESULT)
    path = tmp_path / "a.json"
    written = path.read_bytes()
    expected = repr(store.read("a"))
    for place in range(len(written)):
        damaged = bytearray(written)
        damaged[place] ^= bits
        path.write_bytes(damaged)
        assert repr(store.read("a")) in ("None", expected), (place, bytes(damaged))


def test_a_cut_swapped_or_older_file_is_no_result(tmp_path):
    store = WorkFolder(tmp_path)
    store.write("a", RESULT)
    path = tmp_path / "a.json"
    written = path.read_bytes()
    for end in range(len(written)):
        path.write_bytes(written[:end])
        assert store.read("a") is None
    for other in (b"[]", b"null", b"3", b"{}", json.dumps(RESULT).encode(), b"\xff" * 9):
        path.write_bytes(other)
        assert store.read("a") is None
    (tmp_path / "b.json").write_bytes(written)
    assert store.read("b") is None
    assert store.read("c") is None
    (tmp_path / "d.json").mkdir()
    assert store.read("d") is None


def test_a_result_that_changed_by_one_digit_is_computed_again(checkpoint, proteins, tmp_path):
    small = {"models": {"ridge": small_study(checkpoint).models["ridge"]}, "resamplers": ()}
    study = small_study(checkpoint, work=tmp_path, random_split=False, **small).fit(*proteins)
    for kept in tmp_path.glob("homology-*.json"):
        text = kept.read_text()
        place = text.index('"metrics": {') + text[text.index('"metrics": {') :].index(".") + 1
        kept.write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])
    again = clone(study).fit(*proteins)
    pd.testing.assert_frame_equal(again.results_, study.results_, check_exact=True)


def test_results_that_vanish_are_an_error_and_no_shorter_table(
    checkpoint, proteins, tmp_path, monkeypatch
):
    monkeypatch.setattr(WorkFolder, "write", lambda self, name, result: None)
    with pytest.raises(CacheError, match="does not give back the result homology-0-dummy-"):
        small_study(checkpoint, work=tmp_path).fit(*proteins)


def test_an_interrupted_training_is_no_result(checkpoint, proteins, tmp_path, monkeypatch):
    def interrupted(self, X, y, X_val=None, y_val=None):
        warnings.warn("interrupted", TrainingInterruptedWarning, stacklevel=2)
        return self

    monkeypatch.setattr(MLPRegressor, "fit", interrupted)
    study = small_study(checkpoint, work=tmp_path, random_split=False, n_jobs=1)
    with pytest.raises(KeyboardInterrupt):
        study.fit(*proteins)
    assert not any("network" in path.name for path in tmp_path.iterdir())


def test_classes_are_studied_too(fitted_classes, classes):
    results = fitted_classes.results_
    for column in ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc", "recall_rare"):
        assert results[column].between(0, 1).all()
    assert set(fitted_classes.predict(fitted_classes.data_.sequences)) <= set(classes)
    assert fitted_classes.data_.rare.any()
    dummy = results[results["model"] == "dummy"]
    assert (dummy["roc_auc"] == 0.5).all()


def test_binary_targets_are_classes(checkpoint, proteins):
    y = (proteins[1] > 30).astype(int)
    study = small_classifier_study(checkpoint, resamplers=("random",), random_split=False)
    study.fit(proteins[0], y)
    assert study.data_.classes == ["0", "1"]
    assert study.results_["roc_auc"].between(0, 1).all()


def test_tuning_inside_of_the_folds(checkpoint, proteins):
    models = {"ridge": small_study(checkpoint).models["ridge"]}
    study = small_study(
        checkpoint, models=models, resamplers=("random",), tuned=True, random_split=False
    ).fit(*proteins)
    assert "ridge-tuned" in set(study.results_["candidate"])
    chosen = [one["chosen"] for one in study.fold_results_ if "chosen" in one]
    assert len(chosen) == 3
    assert all("resample__sampler" in c for c in chosen)


def test_redundancy_is_removed_and_counted(checkpoint, proteins):
    sequences, y = proteins
    doubled = np.r_[sequences, sequences[:10]]
    study = small_study(
        checkpoint,
        models={"ridge": small_study(checkpoint).models["ridge"]},
        resamplers=(),
        random_split=False,
    )
    study.fit(doubled, np.r_[y, y[:10] + 2])
    assert study.data_.filters[-1]["removed"] == 10
    assert study.data_.filters[-1]["conflicts"] == 10
    merged = dict(zip(study.data_.sequences, study.data_.y, strict=True))
    assert merged[sequences[0]] == pytest.approx(y[0] + 1)


def test_a_winner_is_named_only_where_it_stands_out(fitted):
    conclusion = fitted.conclusion_
    text = headline(fitted)
    assert ("No model stands out" in text) is (not conclusion.named)
    assert conclusion.top in conclusion.leaders
    assert conclusion.chosen in conclusion.leaders
    low, high = conclusion.interval
    assert low < high
    if not conclusion.named:
        assert conclusion.chosen.model != "dummy"


def test_a_clear_winner_is_named(checkpoint, proteins):
    sequences, _ = proteins
    # Something that even an untrained model carries through: the share of one residue.
    y = np.array([100 * s.count("A") / len(s) for s in sequences])
    models = {k: v for k, v in small_study(checkpoint).models.items() if k != "network"}
    study = small_study(
        checkpoint, models=models, resamplers=(), regions=[7.0], random_split=False
    ).fit(sequences, y)
    assert study.conclusion_.top == Candidate("ridge")
    assert study.conclusion_.named == (study.conclusion_.against_top["p"].iloc[0] < 0.05)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda X, y: (X[:4], y[:4]), DataError, "4 proteins for 3 folds; expected at least 6"),
        (lambda X, y: (X, y[:-1]), DataError, "89 targets for 90 sequences"),
        (lambda X, y: (X, np.full(90, 5.0)), DataError, "all 90 values are 5.0"),
        (lambda X, y: (X, np.r_[y[:-1], np.nan]), DataError, "row 89"),
        (lambda X, y: (np.append(X[:-1], "M1"), y), DataError, r"sequences\[89\]"),
        (lambda X, y: (_scan(X[0]), y), InsufficientComponentsError, "mutational scan"),
    ],
)
def test_bad_input_is_named(checkpoint, proteins, change, error, message):
    with pytest.raises(error, match=message):
        small_study(checkpoint).fit(*change(*proteins))


def _scan(sequence):
    """90 single mutants of one protein: one family."""
    residues = "ACDEFGHIKLMNPQRSTVWY"
    mutants = [sequence[:i] + a + sequence[i + 1 :] for i in range(40) for a in residues[:4]]
    return np.array([m for m in dict.fromkeys(mutants) if m != sequence][:90], dtype=object)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resamplers": ("foo",)}, "resamplers has 'foo'; expected names out of random"),
        ({"levels": (100, -50)}, "levels has -50; expected whole per cents"),
        ({"models": []}, "models is empty; expected names out of dummy"),
        ({"models": ["ridge", "magic"]}, "models has 'magic'"),
        ({"models": {"dummy": MLPRegressor()}}, "called 'dummy' or 'covariates'"),
        ({"n_splits": 1}, "n_splits"),
        ({"identity": 30}, "identity"),
    ],
)
def test_bad_parameters_are_named(checkpoint, proteins, options, message):
    with pytest.raises(ValueError, match=message):
        small_study(checkpoint, **options).fit(*proteins)


def test_bad_ids_and_too_rare_classes_are_named(checkpoint, proteins, classes):
    study = small_classifier_study(checkpoint)
    with pytest.raises(DataError, match=r"ids\[1\] is 'a' again"):
        study.fit(proteins[0], classes, ids=["a"] * 90)
    with pytest.raises(DataError, match="3 entries for 90"):
        study.fit(proteins[0], classes, ids=["a", "b", "c"])
    rare = classes.copy()
    rare[0] = "only one"
    with pytest.raises(DataError, match=r"class 'only one' has 1 protein\(s\)"):
        study.fit(proteins[0], rare)


def test_regions_without_outliers_are_the_tails():
    y = np.linspace(0, 100, 500)
    regions = choose_regions(y, None)
    assert regions.rare_.tolist() == [True, False, True]
    edges = choose_regions(y, [30.0])
    assert edges.rare_.tolist() == [True, False]
    skewed = np.r_[np.full(95, 37.0) + np.arange(95) / 50, np.full(10, 95.0)]
    assert choose_regions(skewed, None).method == "relevance"


def test_candidates_are_all_combinations():
    candidates = list_candidates(["dummy", "ridge"], ("smote", "random"), (100, 200), tuned=True)
    names = [c.name for c in candidates]
    assert names[:2] == ["dummy", "ridge"]
    assert len(names) == len(set(names)) == 1 + 1 + 4 + 1
    assert candidates[2].title == "ridge, smote +100\N{NO-BREAK SPACE}%"


def test_study_is_an_estimator():
    study = clone(Study("x", levels=(100,)))
    assert study.get_params()["levels"] == (100,)


def test_one_model_alone_is_not_called_the_best(checkpoint, proteins):
    study = small_study(
        checkpoint, models=["ridge"], resamplers=(), random_split=False, n_jobs=1
    ).fit(*proteins)
    text = headline(study)
    assert text.startswith("Only one model was tried")
    assert "is the best" not in text


def test_a_dummy_always_stands_beside_the_models(checkpoint, proteins):
    study = small_study(checkpoint, models=["ridge"], resamplers=(), random_split=False)
    study.fit(*proteins)
    assert [c.name for c in study.candidates_] == ["dummy", "ridge"]
    assert isinstance(study.conclusion_.useful, bool)
    assert "Answering the same for every protein" in headline(study)


def test_the_metric_that_was_asked_for_decides(checkpoint, proteins, tmp_path):
    options = {"models": ["ridge", "svm"], "work": tmp_path, "n_jobs": 1}
    study = small_study(checkpoint, metric="neg_max_error", **options).fit(*proteins)
    means = study.results_.groupby("candidate")["neg_max_error"].mean()
    assert study.conclusion_.top.name == means.idxmax()
    assert (study.results_["neg_max_error"] < 0).sum() == len(study.results_)
    assert "its neg_max_error is" in headline(study)
    report = study.write(tmp_path / "out").read_text()
    assert "neg_max_error decides." in report
    before = set(tmp_path.glob("*.json"))
    # Another metric is computed from the predictions that are kept.
    other = small_study(checkpoint, metric="mae", **options).fit(*proteins)
    assert set(tmp_path.glob("*.json")) == before
    means = other.results_.groupby("candidate")["mae"].mean()
    assert other.conclusion_.top.name == means.idxmin()


def test_what_is_asked_for_is_kept(checkpoint, proteins):
    study = small_study(checkpoint, models=["ridge"], keep="ridge-smote-100", n_jobs=1)
    study.fit(*proteins)
    assert study.conclusion_.chosen.name == "ridge-smote-100"
    assert study.best_model_["resample"].sampler == "smote"
    assert "Kept is ridge, smote +100\N{NO-BREAK SPACE}%, as asked." in headline(study)
    assert "because it was asked for" in choice(study._result)
    with pytest.raises(DataError, match="keep is 'forest'; expected a candidate: one of dummy, ri"):
        small_study(checkpoint, models=["ridge"], keep="forest").fit(*proteins)


def test_the_svm_has_a_kernel_up_to_ten_thousand_proteins():
    few, many = (default_models("classification", n_sequences=n) for n in (10_000, 10_001))
    assert (type(few["svm"]).__name__, type(many["svm"]).__name__) == ("SVC", "LinearSVC")
    few, many = (default_models("regression", n_sequences=n) for n in (10_000, 10_001))
    assert type(few["svm"].regressor).__name__ == "SVR"
    assert type(many["svm"].regressor).__name__ == "LinearSVR"


def test_conflicting_whole_numbers_are_merged_by_their_median(proteins):
    sequences = np.append(proteins[0], proteins[0][0])
    y = np.append(np.round(proteins[1]).astype(int), 0)
    data, _ = prepare(sequences, y, redundancy=None, n_splits=3, regions=[50.0])
    assert data.task == "regression"
    assert data.y[0] == y[0] / 2
    assert data.filters[-1]["conflicts"] == 1
