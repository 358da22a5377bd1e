"""One cache, several processes: each distinct sequence is computed once, whoever dies."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from esmlearn.embedding import EmbeddingCache, ESMEmbedder
from esmlearn.embedding._claims import ClaimTable, is_alive, owner_name
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


def test_claims_of_the_dead_are_taken_over(checkpoint, proteins, tmp_path):
    embedder = ESMEmbedder(checkpoint, cache=tmp_path)
    code = (
        "import sys, time\n"
        "from esmlearn.embedding import EmbeddingCache\n"
        "from esmlearn.utils._sequences import sequence_digest\n"
        "path, space, *sequences = sys.argv[1:]\n"
        "digests = [sequence_digest(s) for s in sequences]\n"
        "cache = EmbeddingCache(path)\n"
        "with cache.keep_claims() as owner:\n"
        "    print(cache.claim(space, digests, owner=owner).sum(), flush=True)\n"
        "    time.sleep(600)\n"
    )
    arguments = [str(tmp_path), embedder.fingerprint(), *sorted(set(proteins))]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert int(process.stdout.readline()) == len(set(proteins))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert embedder.fit_transform(proteins).shape == (len(proteins), 32)


def test_an_error_gives_claims_back(checkpoint, proteins, tmp_path, monkeypatch):
    embedder = ESMEmbedder(checkpoint, cache=tmp_path, batch_residues=100)

    def fail(settings, sequences):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("esmlearn.embedding._runtime.embed_sequences", fail)
        with pytest.raises(KeyboardInterrupt):
            embedder.transform(proteins)
    embedder.transform(proteins)
    assert embedder.n_computed_ == len(set(proteins))


def test_a_claim_elsewhere_lapses_when_it_is_not_renewed(tmp_path, monkeypatch):
    digests = [bytes([i]) * 16 for i in range(3)]
    cache = EmbeddingCache(tmp_path)
    assert cache.claim("space", digests, owner="elsewhere|1|1|a").all()
    assert not cache.claim("space", digests, owner=owner_name()).any()
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + ClaimTable.LEASE_SECONDS + 1)
    assert cache.claim("space", digests, owner=owner_name()).all()


def test_renewing_prolongs_claims(tmp_path, monkeypatch):
    digest = b"x" * 16
    cache = EmbeddingCache(tmp_path)
    monkeypatch.setattr("esmlearn.embedding._claims.ClaimTable.RENEW_SECONDS", 0.01)
    query = "SELECT expires FROM claim"
    with cache.keep_claims() as owner:
        cache.claim("space", [digest], owner=owner)
        before = cache._connection().execute(query).fetchone()[0]
        deadline = time.monotonic() + 30
        while cache._connection().execute(query).fetchone()[0] == before:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_the_living_are_told_from_the_dead():
    host, pid, start, _ = owner_name().split("|")
    assert is_alive(owner_name())
    assert not is_alive(owner_name("work that has ended"))
    assert is_alive(f"elsewhere|{pid}|{start}|")
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not is_alive(f"{host}|{process.pid}|?|")
    if os.path.exists("/proc/self/stat"):
        assert not is_alive(f"{host}|{pid}|1|")  # the number has been given to another process


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
