import subprocess
import sys
import zipfile

import numpy as np
import pytest
from imblearn.pipeline import make_pipeline
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import VotingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skops.io._utils import get_module

from esmlearn import persistence
from esmlearn.embedding import ESMEmbedder, write_untrained_checkpoint
from esmlearn.exceptions import CheckpointError, DataError
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.over_sampling import (
    DenseWeightRegressor,
    GaussianNoiseOverSampler,
    RegionOverSampler,
    RegionUnderSampler,
    RelevanceSampler,
    TargetRegions,
    TwoStageRegressor,
)
from esmlearn.persistence import TRUSTED_TYPES, load, read_metadata, save
from esmlearn.pipeline import Pipeline
from esmlearn.study import default_models

REGIONS = TargetRegions(method="edges", edges=[40.0], rare=[-1])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "esm2_t2.pt"
    return write_untrained_checkpoint(path, n_layers=2, width=32, n_heads=4)


@pytest.fixture
def targets(families):
    sequences, family = families
    return np.array(sequences, object), 30 + family * 1.0 + np.random.default_rng(0).normal(size=60)


def _pipeline(checkpoint, model, validation=None):
    return Pipeline(
        [
            ("embed", ESMEmbedder(checkpoint)),
            ("scale", StandardScaler()),
            ("resample", RegionOverSampler("smote", regions=REGIONS, random_state=0)),
            ("model", model),
        ],
        validation=validation,
    )


@pytest.fixture
def saved(tmp_path, checkpoint, targets):
    model = _pipeline(checkpoint, Ridge()).fit(*targets)
    return model, tmp_path / "model.esmlearn", save(model, tmp_path / "model.esmlearn")


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_every_model_of_a_study_predicts_the_same_after_a_round_trip(
    task, tmp_path, checkpoint, targets
):
    X, y = targets
    if task == "classification":
        y = np.where(y > 42, "hot", "cold")
    for name, model in default_models(task, regions=REGIONS).items():
        network = name == "network"
        if network:
            model.set_params(max_iter=3, hidden_layer_sizes=(8,))
        fitted = _pipeline(checkpoint, model, validation=0.2 if network else None).fit(X, y)
        save(fitted, tmp_path / name)
        again = load(tmp_path / name)
        assert np.array_equal(fitted.predict(X), again.predict(X)), name


def test_a_fresh_process_predicts_the_same_without_pickle(saved, targets, tmp_path):
    model, path, digest = saved
    np.save(tmp_path / "expected.npy", model.predict(targets[0]))
    code = (
        "import pickle, numpy as np, skops.io, esmlearn.pipeline\n"
        "from esmlearn.persistence import load\n"
        "def refuse(*a, **k): raise AssertionError('pickle was used')\n"
        "pickle.load = pickle.loads = pickle.Unpickler = refuse\n"
        f"model = load({str(path)!r}, digest={digest!r})\n"
        f"X = {targets[0].tolist()!r}\n"
        f"assert (model.predict(X) == np.load({str(tmp_path / 'expected.npy')!r})).all()\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_language_model_is_not_in_the_file(saved, checkpoint):
    _, path, _ = saved
    assert path.stat().st_size < checkpoint.stat().st_size
    about = read_metadata(path)
    assert about["embedders"][0]["model"] == str(checkpoint)
    assert len(about["embedders"][0]["fingerprint"]) == 32
    assert about["estimator"] == "esmlearn.pipeline.Pipeline"


def _rewrite(path, change):
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e.update({"model.skops": e["model.skops"][:-1] + b"x"}),
        lambda e: e.update({"metadata.json": e["metadata.json"].replace(b"0.", b"1.", 1)}),
        lambda e: e.update({"sha256": b"0" * 64}),
        lambda e: e.update({"extra.py": b"print('hello')"}),
        lambda e: e.pop("sha256"),
    ],
)
def test_a_tampered_file_is_refused(saved, change):
    _, path, _ = saved
    _rewrite(path, change)
    with pytest.raises(DataError, match=r"was changed after saving|was not written by"):
        load(path)


def test_a_flipped_byte_anywhere_is_refused(saved):
    _, path, _ = saved
    content = path.read_bytes()
    for position in range(100, len(content) - 500, max(1, len(content) // 15)):
        changed = bytearray(content)
        changed[position] ^= 0xFF
        path.write_bytes(changed)
        with pytest.raises(DataError):
            load(path)


def test_another_model_than_the_expected_one_is_refused(saved, tmp_path, targets, checkpoint):
    *_, digest = saved
    other = save(_pipeline(checkpoint, Ridge(alpha=2.0)).fit(*targets), tmp_path / "other")
    assert other != digest
    with pytest.raises(DataError, match="or is another model"):
        load(tmp_path / "other", digest=digest)


def test_no_file_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="There is no file"):
        load(tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(DataError, match="no intact saved model"):
        load(tmp_path / "text")


def test_types_that_are_not_trusted_are_neither_saved_nor_loaded(tmp_path, monkeypatch):
    model = FunctionTransformer(func=_a_function_of_this_module)
    with pytest.raises(DataError, match="_a_function_of_this_module"):
        save(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    name = get_module(_a_function_of_this_module) + "._a_function_of_this_module"
    monkeypatch.setattr(persistence, "TRUSTED_TYPES", frozenset({name}))
    save(model, tmp_path / "model")
    monkeypatch.undo()
    with pytest.raises(DataError, match="not trusted; nothing was loaded"):
        load(tmp_path / "model")


def _a_function_of_this_module(X):
    return X


def test_other_weights_are_refused_and_moved_ones_are_found(saved, tmp_path, targets, checkpoint):
    model, path, _ = saved
    other = write_untrained_checkpoint(
        tmp_path / "esm2_other.pt", n_layers=2, width=32, n_heads=4, random_state=1
    )
    with pytest.raises(CheckpointError, match="with the fingerprint"):
        load(path, model=other)
    moved = tmp_path / "esm2_moved.pt"
    moved.write_bytes(checkpoint.read_bytes())
    assert np.array_equal(load(path, model=moved).predict(targets[0]), model.predict(targets[0]))


def test_missing_weights_are_named(tmp_path, targets):
    weights = tmp_path / "esm2_gone.pt"
    write_untrained_checkpoint(weights, n_layers=1, width=16, n_heads=2)
    save(_pipeline(weights, Ridge()).fit(*targets), tmp_path / "model")
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"esm2_gone\.pt, which cannot be read here"):
        load(tmp_path / "model")
    assert load(tmp_path / "model", check_weights=False).steps[0][1].model == str(weights)


def test_other_versions_are_told(tmp_path, monkeypatch):
    save(Ridge().fit(np.eye(3), np.arange(3.0)), tmp_path / "model")
    monkeypatch.setattr(persistence.metadata, "version", lambda name: "0.1.0")
    with pytest.warns(UserWarning, match=r"scikit-learn .* \(0\.1\.0 is here\), imbalanced-learn"):
        load(tmp_path / "model")


def test_a_model_without_embedder_takes_no_weights(tmp_path):
    save(Ridge().fit(np.eye(3), np.arange(3.0)), tmp_path / "model")
    with pytest.raises(DataError, match="holds no language-model embedder"):
        load(tmp_path / "model", model="x")


def test_the_list_of_trusted_types_is_real():
    for name in TRUSTED_TYPES:
        module, _, attribute = name.rpartition(".")
        assert hasattr(__import__(module, fromlist=[attribute]), attribute), name


def test_of_a_search_the_best_estimator_is_saved(tmp_path, checkpoint, targets):
    X, y = targets
    search = GridSearchCV(
        _pipeline(checkpoint, Ridge()),
        {"model__alpha": [1.0, 10.0]},
        cv=CDHitGroupSplitter(2, random_state=0),
    ).fit(X, y)
    save(search, tmp_path / "search")
    again = load(tmp_path / "search")
    assert np.array_equal(search.predict(X), again.predict(X))
    assert read_metadata(tmp_path / "search")["embedders"][0]["fingerprint"]


@pytest.mark.parametrize(
    "tail",
    [
        [DenseWeightRegressor(Ridge())],
        [TwoStageRegressor(regions=REGIONS, classifier=LogisticRegression(), random_state=0)],
        [TwoStageRegressor(regions=REGIONS, ensemble=2, cv=3, random_state=0)],
        [GaussianNoiseOverSampler(regions=REGIONS, random_state=0), Ridge()],
        [RegionUnderSampler(regions=REGIONS, random_state=0), Ridge()],
        [RelevanceSampler(regions=REGIONS, random_state=0), Ridge()],
        [RegionOverSampler("random", regions=TargetRegions("histogram"), random_state=0), Ridge()],
    ],
    ids=lambda tail: type(tail[0]).__name__,
)
def test_every_treatment_of_the_tail_is_saved(tail, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, 3)), np.r_[rng.normal(30, 2, 70), rng.normal(60, 2, 10)]
    model = make_pipeline(*tail).fit(X, y)
    save(model, tmp_path / "model")
    assert np.array_equal(model.predict(X), load(tmp_path / "model").predict(X))


def _wrapped(checkpoint, y):
    """Return meta-estimators around the pipeline, and the targets of each."""
    pipeline = _pipeline(checkpoint, Ridge())
    tails = TargetRegions(method="quantile", quantiles=(0.2, 0.8), rare=[0, -1])
    pipeline.set_params(resample__sampler="random", resample__regions=tails)
    classes = np.where(y > 42, "hot", "cold")
    classifier = _pipeline(checkpoint, LogisticRegression())
    classifier.set_params(resample__sampler="random", resample__target="classes")
    search = GridSearchCV(pipeline, {"model__alpha": [1.0, 10.0]}, cv=2)
    return {
        "target": (TransformedTargetRegressor(pipeline, transformer=StandardScaler()), y),
        "search in target": (TransformedTargetRegressor(search), y),
        "voting": (VotingRegressor([("a", pipeline), ("b", pipeline)]), y),
        "calibrated": (CalibratedClassifierCV(classifier, cv=2), classes),
        "pipeline in pipeline": (Pipeline([("all", pipeline)]), y),
    }


@pytest.mark.parametrize(
    "name", ["target", "search in target", "voting", "calibrated", "pipeline in pipeline"]
)
def test_embedders_inside_meta_estimators_are_found(name, tmp_path, checkpoint, targets):
    X, y = targets
    estimator, y = _wrapped(checkpoint, y)[name]
    estimator.fit(X, y)
    expected = estimator.predict(X)
    save(estimator, tmp_path / "model")
    assert read_metadata(tmp_path / "model")["embedders"]
    moved = tmp_path / "esm2_moved.pt"
    moved.write_bytes(checkpoint.read_bytes())
    assert np.array_equal(load(tmp_path / "model", model=moved).predict(X), expected)
    other = write_untrained_checkpoint(
        tmp_path / "esm2_other.pt", n_layers=2, width=32, n_heads=4, random_state=1
    )
    with pytest.raises(CheckpointError, match="with the fingerprint"):
        load(tmp_path / "model", model=other)
    assert np.array_equal(estimator.predict(X), expected)
