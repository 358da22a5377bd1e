"""One cache, several processes: each distinct sequence is computed once, whoever dies."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from esmlearn.embedding import EmbeddingCache, ESMEmbedder
from esmlearn.utils._sequences import sequence_digest
from tests._proteins import random_protein


@pytest.fixture
def many():
    rng = np.random.default_rng(3)
    return [random_protein(int(n), rng) for n in rng.integers(20, 120, 90)]


def transform(embedder, sequences):
    vectors = embedder.transform(sequences)
    return embedder.n_computed_, vectors


def test_processes_share_the_work_and_waste_none(checkpoint, many, tmp_path):
    embedder = ESMEmbedder(checkpoint, cache=tmp_path, batch_residues=300)
    results = Parallel(n_jobs=2)(
        delayed(transform)(embedder, sequences) for sequences in (many, many[::-1])
    )
    assert sum(n for n, _ in results) == len(many)
    assert EmbeddingCache(tmp_path).n_computed == len(many)
    np.testing.assert_array_equal(results[0][1], results[1][1][::-1])


def test_a_grid_search_embeds_each_distinct_sequence_once(checkpoint, many, tmp_path):
    sequences = many + many[:10]
    y = np.array([s.count("A") for s in sequences], dtype=float)
    model = Pipeline([("embed", ESMEmbedder(checkpoint, cache=tmp_path)), ("ridge", Ridge())])
    grid = {"ridge__alpha": np.logspace(-3, 3, 5)}
    search = GridSearchCV(model, grid, cv=3, n_jobs=2).fit(sequences, y)
    assert EmbeddingCache(tmp_path).n_computed == len(many)
    assert search.predict(sequences[:2]).shape == (2,)


def test_worker_processes_give_the_same_vectors(checkpoint, many, tmp_path):
    alone = ESMEmbedder(checkpoint, cache=None, batch_residues=300).transform(many)
    shared = ESMEmbedder(checkpoint, cache=tmp_path, batch_residues=300, n_jobs=2)
    np.testing.assert_allclose(shared.transform(many), alone, atol=1e-5)
    assert EmbeddingCache(tmp_path).n_computed == len(many)
    np.testing.assert_allclose(
        ESMEmbedder(checkpoint, cache=None, batch_residues=300, n_jobs=2).transform(many),
        alone,
        atol=1e-5,
    )


_HOLDING = """
import sys, time
from esmlearn.embedding import EmbeddingCache
cache = EmbeddingCache(sys.argv[1])
locks = [cache.compute_lock(sys.argv[2], part) for part in range(64)]
for lock in locks:
    lock.acquire()
print("held", flush=True)
time.sleep(600)
"""


def test_locks_of_the_dead_are_free(checkpoint, proteins, tmp_path):
    embedder = ESMEmbedder(checkpoint, cache=tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDING, str(tmp_path), embedder.fingerprint()],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "held\n"
        threading.Timer(1.0, process.kill).start()  # while the embedder waits
        begun = time.monotonic()
        assert embedder.fit_transform(proteins).shape == (len(proteins), 32)
        assert time.monotonic() - begun > 0.5
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_process_computes_what_no_other_holds_before_it_waits(checkpoint, many, tmp_path):
    embedder = ESMEmbedder(checkpoint, cache=tmp_path)
    lock = EmbeddingCache(tmp_path).compute_lock(embedder.fingerprint(), 0)
    held = [s for s in many if sequence_digest(s)[-1] % 64 == 0]
    assert held
    with lock:
        thread = threading.Thread(target=embedder.transform, args=(many,))
        thread.start()
        cache = EmbeddingCache(tmp_path)
        deadline = time.monotonic() + 60
        while cache.n_computed < len(many) - len(held):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.2)
        assert cache.n_computed == len(many) - len(held)
    thread.join(60)
    assert cache.n_computed == len(many)
    assert embedder.n_computed_ == len(many)


def test_a_disk_without_locks_is_no_reason_to_stop(checkpoint, proteins, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr("filelock.BaseFileLock.acquire", refuse)
    embedder = ESMEmbedder(checkpoint, cache=tmp_path)
    embedder.transform(proteins)
    assert embedder.n_computed_ == len(set(proteins))
    assert EmbeddingCache(tmp_path).n_computed == len(set(proteins))


def test_an_error_releases_locks(checkpoint, proteins, tmp_path, monkeypatch):
    embedder = ESMEmbedder(checkpoint, cache=tmp_path, batch_residues=100)

    def fail(settings, sequences):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("esmlearn.embedding._inference.runtime.embed_sequences", fail)
        with pytest.raises(KeyboardInterrupt):
            embedder.transform(proteins)
    embedder.transform(proteins)
    assert embedder.n_computed_ == len(set(proteins))


def test_a_kill_costs_the_batch_in_flight_and_no_number(checkpoint, many, tmp_path):
    code = (
        "import sys\n"
        "from esmlearn.embedding import ESMEmbedder\n"
        "model, cache, *sequences = sys.argv[1:]\n"
        "ESMEmbedder(model, cache=cache, batch_residues=200).transform(sequences)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(checkpoint), str(tmp_path), *many])
    cache = EmbeddingCache(tmp_path)
    deadline = time.monotonic() + 120
    while not (before := cache.n_computed) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.wait()
    embedder = ESMEmbedder(checkpoint, cache=cache)
    expected = ESMEmbedder(checkpoint, cache=None).transform(many)
    np.testing.assert_allclose(embedder.transform(many), expected, atol=1e-5)
    assert before > 0
    assert cache.n_computed == len(many)
