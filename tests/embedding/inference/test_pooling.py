"""Vectors on their way from a device: what a GPU does is acted by events that note their times."""

import pickle

import numpy as np
import pytest
import torch

from esmlearn.embedding import EmbeddingCache, ESMEmbedder
from esmlearn.embedding._inference import pooling
from esmlearn.embedding._inference.pooling import AsynchronousCopy
from esmlearn.embedding._models.encoder import ESMEncoder


class Event:
    """An event of a device that has its result only when somebody waits for it."""

    def __init__(self, log, values, host):
        self.log, self.values, self.host = log, values, host

    def synchronize(self):
        self.log.append("wait")
        self.host.copy_(self.values)


@pytest.fixture
def log(monkeypatch):
    """What a pretended device was asked for, in order."""
    log = []
    encode = ESMEncoder.encode

    def to_host(values):
        host = torch.full(values.shape, float("nan"))  # as long as nobody waits
        return host, Event(log, values.clone(), host)

    def noted(self, tokens, layers):
        log.append("run")
        return encode(self, tokens, layers)

    monkeypatch.setattr(pooling, "_to_host", to_host)
    monkeypatch.setattr(ESMEncoder, "encode", noted)
    return log


@pytest.mark.parametrize("pooling", ["mean", None])
@pytest.mark.parametrize("cached", [True, False])
def test_the_next_batch_is_begun_before_the_last_is_waited_for(
    cached, pooling, checkpoint, proteins, tmp_path, log, monkeypatch
):
    cache = EmbeddingCache(tmp_path) if cached else None
    embedder = ESMEmbedder(checkpoint, pooling=pooling, batch_residues=300, cache=cache)
    vectors = embedder.transform(proteins)
    n_batches = log.count("run")
    assert n_batches > 2
    assert log == ["run"] + (n_batches - 1) * ["run", "wait"] + ["wait"]
    monkeypatch.undo()
    expected = ESMEmbedder(checkpoint, pooling=pooling, cache=None).transform(proteins)
    for ours, theirs in zip(vectors, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    if cached:
        again = embedder.transform(proteins)
        assert embedder.n_computed_ == 0
        for ours, theirs in zip(again, vectors, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_pending_vectors_travel_as_what_they_are(log):
    copy = AsynchronousCopy(3)
    copy.send({2: torch.ones(4), 0: torch.zeros(2, 4)})
    copy.send({})
    copy.send({1: torch.full((4,), 5.0)})
    assert copy.is_under_way
    vectors = pickle.loads(pickle.dumps(copy))
    assert isinstance(vectors, list)
    assert [v.shape for v in vectors] == [(2, 4), (4,), (4,)]
    assert [v.flat[0] for v in vectors] == [0, 5, 1]
