"""Shards on loky, Dask and Ray: the same vectors, and a dead worker costs its shard alone."""

import os
import signal
import time
from collections import Counter
from contextlib import contextmanager
from functools import partial

import joblib
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from esmlearn.embedding import EmbeddingCache, ESMEmbedder, write_untrained_checkpoint
from esmlearn.embedding._embedder import resolve_models
from esmlearn.embedding._inference.runtime import release_models
from esmlearn.embedding._inference.workers import MAX_TRIES, _Ledger, run_shards
from esmlearn.embedding._request import make_request
from esmlearn.exceptions import CheckpointError, EngineError
from tests._proteins import random_protein


@contextmanager
def loky():
    with joblib.parallel_config("loky", n_jobs=2):
        yield


@contextmanager
def dask():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config("dask"),
    ):
        yield


@contextmanager
def ray():
    ray = pytest.importorskip("ray")
    from ray.util.joblib import register_ray

    register_ray()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        with joblib.parallel_config("ray", n_jobs=2):
            yield
    finally:
        ray.shutdown()


SLOW = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # theirs, not ours
BACKENDS = [loky, pytest.param(dask, marks=SLOW), pytest.param(ray, marks=SLOW)]


@pytest.fixture
def many():
    rng = np.random.default_rng(3)
    return [random_protein(int(n), rng) for n in rng.integers(20, 120, 60)]


# Shards ------------------------------------------------------------------------------------------


def note(folder, shard):
    """Do a shard, and leave a mark for each time that it was begun."""
    (folder / f"{shard}-{time.time_ns()}").touch()
    time.sleep(0.02)
    return shard, os.getpid()


def die(folder, deadly, times, shard):
    """Do a shard; the deadly one takes its process with it some times."""
    begun = len(list(folder.glob(f"{shard}-*")))
    done = note(folder, shard)
    if shard == deadly and begun < times:
        os.kill(os.getpid(), signal.SIGKILL)
    return done


def begun(folder):
    return Counter(path.name.partition("-")[0] for path in folder.iterdir())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_dead_worker_costs_its_shard(backend, tmp_path):
    with backend():
        results = list(run_shards(partial(die, tmp_path, 7, 1), range(40), n_jobs=None))
    assert sorted(shard for shard, _ in results) == list(range(40))
    assert os.getpid() not in {pid for _, pid in results}
    counts = begun(tmp_path)
    assert counts["7"] == 2
    # what the dead worker held, and with loky what its neighbour did until the death was noticed
    assert sum(counts.values()) <= 40 + 10


@pytest.mark.parametrize("backend", BACKENDS)
def test_work_that_kills_every_worker_ends_in_one_clear_error(backend, tmp_path):
    results = []
    with backend():
        shards = run_shards(partial(die, tmp_path, 5, 99), range(10), n_jobs=None)
        with pytest.raises(EngineError, match=r"died \d times at the same .*batch_residues"):
            results.extend(shards)
    assert begun(tmp_path)["5"] >= MAX_TRIES
    assert 5 not in {shard for shard, _ in results}


def fail(shard):
    if shard == 3:
        raise KeyError("of the work")
    return shard


@pytest.mark.parametrize("backend", BACKENDS)
def test_errors_of_the_work_are_raised_as_they_are(backend):
    with backend(), pytest.raises(KeyError, match="of the work"):
        list(run_shards(fail, range(6), n_jobs=None))


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_to_do(backend):
    with backend():
        assert list(run_shards(fail, [], n_jobs=None)) == []


def test_one_process_needs_no_workers(tmp_path):
    shards = iter(range(3))
    results = run_shards(partial(note, tmp_path), shards, n_jobs=None)
    assert next(results) == (0, os.getpid())
    assert next(shards) == 1  # taken as it is needed


def test_a_shard_that_was_taken_and_forgotten_is_done_again():
    """joblib's threads may take a shard just when its executor breaks."""
    ledger = _Ledger("abc")
    assert [next(ledger), next(ledger)] == [(0, "a"), (1, "b")]
    ledger.give_back(1)
    ledger.begin_again(None)
    assert not ledger.is_empty()
    assert list(ledger) == [(0, "a"), (2, "c")]
    ledger.give_back(0)
    ledger.give_back(2)
    assert ledger.is_empty()


def test_backends_without_streams_are_refused():
    with (
        joblib.parallel_config("multiprocessing", n_jobs=2),
        pytest.raises(EngineError, match="MultiprocessingBackend cannot return results one by one"),
    ):
        run_shards(fail, range(2), n_jobs=None)


# Vectors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_vectors_bit_for_bit(backend, checkpoint, many, tmp_path):
    plain = ESMEmbedder(checkpoint, cache=None, batch_residues=300)
    alone = plain.transform(many)
    with backend():
        np.testing.assert_array_equal(plain.transform(many), alone)
        cached = ESMEmbedder(checkpoint, cache=tmp_path, batch_residues=300)
        np.testing.assert_array_equal(cached.transform(many), alone)
    assert cached.n_computed_ == len(many)
    assert EmbeddingCache(tmp_path).n_computed == len(many)


def load(settings, shard):
    from esmlearn.embedding._inference.runtime import load_encoder

    time.sleep(0.01)
    return os.getpid(), id(load_encoder(settings))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_worker_loads_the_model_once(backend, checkpoint):
    embedder = ESMEmbedder(checkpoint, cache=None)
    settings = resolve_models(embedder)[0].job(embedder, None).settings
    with backend():
        found = set(run_shards(partial(load, settings), range(30), n_jobs=None))
    assert len(found) == len({pid for pid, _ in found}) <= 2


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_a_grid_search_on_a_cluster(backend, checkpoint, many, tmp_path):
    y = np.array([s.count("A") for s in many], dtype=float)

    def search(cache):
        model = Pipeline([("embed", ESMEmbedder(checkpoint, cache=cache)), ("ridge", Ridge())])
        grid = {"ridge__alpha": np.logspace(-3, 3, 4)}
        return GridSearchCV(model, grid, cv=3, error_score="raise").fit(many, y)

    alone = search(tmp_path / "alone")
    with backend():
        there = search(tmp_path / "there")
    assert EmbeddingCache(tmp_path / "there").n_computed == len(many)
    np.testing.assert_allclose(
        there.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"], rtol=1e-4
    )


# Weights -----------------------------------------------------------------------------------------


def test_weights_that_change_under_the_same_name_are_another_model(tmp_path, many):
    path = tmp_path / "model.pt"
    vectors = []
    for seed in (0, 1, 0):
        write_untrained_checkpoint(path, n_layers=1, width=16, n_heads=2, random_state=seed)
        embedder = ESMEmbedder(path, cache=tmp_path / "cache")
        vectors.append(embedder.transform(many))
        vectors.append(ESMEmbedder(path, cache=None).transform(many))
        np.testing.assert_allclose(vectors[-1], vectors[-2], atol=1e-5)
    assert np.abs(vectors[0] - vectors[2]).max() > 0.1
    np.testing.assert_array_equal(vectors[0], vectors[4])  # the first model's are still there
    assert embedder.n_computed_ == 0


@pytest.mark.parametrize("change", ["replaced", "gone"])
def test_workers_refuse_other_weights_than_those_meant(change, tmp_path, many):
    """As on another machine of a cluster whose file is not ours."""
    path = write_untrained_checkpoint(tmp_path / "model.pt", n_layers=1, width=16, n_heads=2)
    embedder = ESMEmbedder(path, cache=None)
    job = resolve_models(embedder)[0].job(embedder, None)
    if change == "replaced":
        write_untrained_checkpoint(path, n_layers=1, width=16, n_heads=2, random_state=1)
    else:
        path.unlink()
    release_models()
    with pytest.raises(CheckpointError, match="same file"):
        job.run(make_request(many))
