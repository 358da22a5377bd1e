import numpy as np
import pytest
import torch

from esmlearn.embedding import ESMEmbedder
from esmlearn.embedding._embedder import resolve_models
from esmlearn.embedding._inference.runtime import embed_sequences
from tests.embedding.conftest import ARCHITECTURES

DEVICE = "cuda" if torch.cuda.is_available() else "mps"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not (torch.cuda.is_available() or torch.backends.mps.is_available()),
        reason="needs a CUDA or MPS device",
    ),
]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_float32_is_that_of_the_cpu(architecture, checkpoints, proteins):
    cpu, gpu = (
        ESMEmbedder(checkpoints[architecture], device=device, cache=None).transform(proteins)
        for device in ("cpu", DEVICE)
    )
    np.testing.assert_allclose(gpu, cpu, atol=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "auto"])
def test_reduced_precision_points_the_same_way(precision, checkpoint, proteins):
    exact = ESMEmbedder(checkpoint, device="cpu", cache=None).transform(proteins)
    reduced = ESMEmbedder(checkpoint, device=DEVICE, precision=precision, cache=None)
    vectors = reduced.transform(proteins)
    cosine = (
        (exact * vectors).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(vectors, axis=1)
    )
    assert cosine.min() > 0.999


def test_windows_and_poolings_stay_on_the_device(checkpoint):
    sequence = "MKTAYIAKQR" * 250
    for pooling in ("mean", "max", "bos", "mean+std"):
        cpu, gpu = (
            ESMEmbedder(checkpoint, device=d, pooling=pooling, cache=None).transform([sequence])
            for d in ("cpu", DEVICE)
        )
        np.testing.assert_allclose(gpu, cpu, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", None])
def test_vectors_that_are_fetched_while_the_device_goes_on_are_whole(
    pooling, checkpoint, proteins, tmp_path
):
    cpu, gpu = (
        ESMEmbedder(checkpoint, device=d, pooling=pooling, batch_residues=300, cache=c)
        for d, c in (("cpu", None), (DEVICE, tmp_path))
    )
    expected = cpu.transform(proteins)
    for _ in range(2):  # computed, then out of the cache
        for ours, theirs in zip(gpu.transform(proteins), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_batch_is_begun_without_waiting_for_the_device(checkpoint, proteins):
    settings = (
        resolve_models(ESMEmbedder(checkpoint, device="cuda"))[0]
        .job(ESMEmbedder(checkpoint, device="cuda"), None)
        .settings
    )
    embed_sequences(settings, proteins).result()  # loads the model
    with torch.cuda.device(0):
        torch.cuda.set_sync_debug_mode("error")
        try:
            copy = embed_sequences(settings, proteins)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert copy.is_under_way
    assert len(copy.result()) == len(proteins)
