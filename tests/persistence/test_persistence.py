import io
import json
import random
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import skops.io
from imblearn.pipeline import make_pipeline
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import VotingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skops.io._utils import get_module

from esmlearn import persistence
from esmlearn.cli import main
from esmlearn.conformal import HomologyConformalClassifier, HomologyConformalRegressor
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


@pytest.mark.parametrize("method", ["plus", "base"])
def test_intervals_are_the_same_after_loading(method, tmp_path, checkpoint, targets):
    X, y = targets
    model = HomologyConformalRegressor(
        _pipeline(checkpoint, Ridge()),
        cv=CDHitGroupSplitter(2, reference=X),
        confidence_level=0.6,
        method=method,
    ).fit(X, y)
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.cv is None
    assert np.array_equal(again.predict(X), model.predict(X))
    assert np.array_equal(again.predict_interval(X), model.predict_interval(X))


def test_sets_of_classes_are_the_same_after_loading(tmp_path, checkpoint, targets):
    X, y = targets
    classes = np.where(y > 42, "hot", "cold")
    model = HomologyConformalClassifier(
        _pipeline(checkpoint, LogisticRegression()).set_params(resample=None),
        cv=CDHitGroupSplitter(2, stratify=False),
        confidence_level=0.6,
    ).fit(X, classes)
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    assert np.array_equal(again.p_values(X), model.p_values(X))


# Files made by hand ------------------------------------------------------------------------------


def _forge(path, *, about=None, schema=None, model=None):
    """Write a file whose digest is right, with another description or another content."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    if about is not None:
        entries["metadata.json"] = about
    if schema is not None:
        model = _repacked(entries["model.skops"], {"schema.json": schema})
    if model is not None:
        entries["model.skops"] = model
    digest = persistence._digest(entries["metadata.json"], entries["model.skops"])
    entries["sha256"] = digest.encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def _repacked(model, changes, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()} | changes
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _content(path):
    with zipfile.ZipFile(path) as archive:
        return archive.read("model.skops")


def _schema(path):
    with zipfile.ZipFile(io.BytesIO(_content(path))) as archive:
        return json.loads(archive.read("schema.json"))


def test_a_forged_file_is_read_like_any_other(saved, targets):
    model, path, _ = saved
    _forge(path, schema=json.dumps(_schema(path)).encode())
    assert np.array_equal(load(path).predict(targets[0]), model.predict(targets[0]))


@pytest.mark.parametrize(
    "about",
    [
        *[b"", b"{", b"[]", b"null", b"{}", b'{"format": 1}', b'{"format": [1]}', b"\xff"],
        b"[" * 10_000,
        b'{"format": 1, "versions": {}, "embedders": []}',
        b'{"format": 1, "versions": [], "embedders": {}}',
    ],
)
def test_a_description_that_is_none_is_refused(saved, about):
    _, path, _ = saved
    _forge(path, about=about)
    with pytest.raises(DataError, match=r"is no intact saved model|has format"):
        load(path)


@pytest.mark.parametrize("what", ["deflated", "sparse", "copies", "overlapping"])
def test_what_unpacks_to_more_than_the_file_is_refused(saved, what, monkeypatch):
    _, path, _ = saved
    content, schema = _content(path), _schema(path)
    zeros = io.BytesIO()
    np.save(zeros, np.zeros(4_000_000))
    if what == "deflated":
        content = _repacked(content, {"bomb.npy": zeros.getvalue()}, zipfile.ZIP_DEFLATED)
    elif what == "sparse":
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data.npy", zeros.getvalue())
        monkeypatch.setattr(persistence, "_MAX_SPARSE", 16_000_000)
        content = _repacked(content, {"bomb.npz": inner.getvalue()})
    elif what == "copies":
        copies = [{"file": "1.npy", "__id__": i} for i in range(100)]
        content = _repacked(content, {"schema.json": json.dumps([schema, copies]).encode()})
    else:
        content = content.replace(b"schema.json", b"schema.jso_")
    _forge(path, model=content)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(
        DataError, match=r"would unpack|sparse matrices of|one array under|no intact"
    ):
        load(path)


def _nodes(value):
    """Return every dict and list of a tree."""
    found = [value] if isinstance(value, dict | list) else []
    for child in value.values() if isinstance(value, dict) else value if found else []:
        found += _nodes(child)
    return found


@pytest.mark.parametrize("seed", range(60))
def test_a_broken_model_is_one_clear_error(saved, seed, families, capsys):
    _, path, _ = saved
    rng = random.Random(seed)
    schema = _schema(path)
    node = rng.choice([node for node in _nodes(schema) if node])
    key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
    junk = [None, -1, "x", [], {}, 1e300, "nan", True, "builtins", [[]], "999999.npy"]
    if isinstance(node, dict) and rng.random() < 0.3:
        del node[key]
    else:
        node[key] = rng.choice(junk)
    _forge(path, schema=json.dumps(schema).encode())
    fasta = path.with_suffix(".fasta")
    fasta.write_text("".join(f">P{i}\n{s}\n" for i, s in enumerate(families[0][:5])))
    assert main(["predict", str(path), str(fasta), "-q"]) in (0, 2)


def test_what_is_no_estimator_is_refused(saved):
    _, path, _ = saved
    _forge(path, model=skops.io.dumps({"a": 1}))
    with pytest.raises(DataError, match="holds a dict; expected an estimator"):
        load(path)


def test_settings_of_another_machine_are_not_taken_over(saved, tmp_path, monkeypatch):
    model, path, _ = saved
    model.set_params(embed__cache=str(tmp_path / "theirs"), embed__n_jobs=7, memory="/theirs")
    monkeypatch.setattr(persistence, "_settle_here", lambda estimator: None)
    save(model, path)  # as a stranger would
    monkeypatch.undo()
    again = load(path)
    embedder = again.named_steps["embed"]
    assert (embedder.cache, embedder.n_jobs, embedder.device) == ("default", None, "auto")
    assert again.memory is None
    save(model.set_params(embed__cache=None), path)
    assert load(path).named_steps["embed"].cache is None


@pytest.mark.parametrize("check_weights", [True, False])
def test_no_language_model_is_fetched_without_leave(
    saved, checkpoint, tmp_path, monkeypatch, check_weights
):
    model, path, _ = saved
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "hub"))
    hub = tmp_path / "hub" / "checkpoints" / "esm2_t6_8M_UR50D.pt"
    hub.parent.mkdir(parents=True)
    hub.write_bytes(checkpoint.read_bytes())
    save(model.set_params(embed__model="esm2_t6_8M_UR50D"), path)
    load(path, check_weights=check_weights)
    hub.unlink()
    fetched = []
    monkeypatch.setattr(
        "torch.hub.download_url_to_file",
        lambda url, place, **_: fetched.append(url) or hub.write_bytes(checkpoint.read_bytes()),
    )
    with pytest.raises(CheckpointError, match="allow_download=True"):
        load(path, check_weights=check_weights)
    assert not fetched
    load(path, allow_download=True)
    assert len(fetched) == 1
