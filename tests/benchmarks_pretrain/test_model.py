import argparse

import numpy as np
import pytest
import torch

from benchmarks.pretrain._corpus import MASK, encode, mask_tokens
from benchmarks.pretrain._model import Architecture, MaskedLanguageModel
from benchmarks.pretrain.export import fair_esm_checkpoint, fair_esm_state, read_checkpoint
from esmlearn.embedding import ESMEmbedder

SIZE = Architecture(n_layers=2, width=32, n_heads=2)
SEQUENCES = ["MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ", "GSHMWWPPLLKKEEDDCC", "ACDEFGHIKLMNPQRSTVWYX"]

esm = pytest.importorskip("esm")


@pytest.fixture(scope="module")
def model():
    model = MaskedLanguageModel(SIZE, seed=1).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):  # zero at first: any mix-up would go unseen
            parameter.normal_(std=0.3, generator=torch.Generator().manual_seed(len(name)))
    return model


@pytest.fixture
def checkpoint(tmp_path, model):
    path = tmp_path / "esmlearn_tiny.pt"
    torch.save(fair_esm_checkpoint(model.state_dict(), SIZE), path)
    return path


def load_by_fair_esm(path):
    with torch.serialization.safe_globals([argparse.Namespace]):
        data = torch.load(path, weights_only=True)
    with pytest.warns(UserWarning, match="Regression weights not found"):
        loaded, alphabet = esm.pretrained.load_model_and_alphabet_core("esm2", data)
    return loaded.eval(), alphabet


def test_logits_are_those_of_fair_esm(model):
    reference = esm.ESM2(num_layers=2, embed_dim=32, attention_heads=2)
    state = {
        name.removeprefix("encoder.").removeprefix("sentence_encoder."): tensor
        for name, tensor in fair_esm_state(model.state_dict(), SIZE).items()
    }
    missing, unexpected = reference.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.startswith("contact_head") for name in missing)
    tokens = encode(["MKTAYIAKQRQISFVKSHFS", "ACDEFGHIKLMNPQRSTVWY"]).tokens.reshape(2, 22)
    corrupted, _ = mask_tokens(tokens, np.random.default_rng(0))
    assert (corrupted == MASK).any()
    corrupted = torch.from_numpy(corrupted.astype(np.int64))
    expected = reference.eval()(corrupted)["logits"].detach()
    torch.testing.assert_close(model.logits(model(corrupted)), expected)


def test_both_loaders_give_the_same_vectors(checkpoint):
    vectors = ESMEmbedder(checkpoint, cache=None).fit_transform(SEQUENCES)
    loaded, alphabet = load_by_fair_esm(checkpoint)
    convert = alphabet.get_batch_converter()
    for sequence, vector in zip(SEQUENCES, vectors, strict=True):
        tokens = convert([("", sequence)])[2]
        states = loaded(tokens, repr_layers=[2])["representations"][2][0, 1:-1]
        np.testing.assert_allclose(vector, states.detach().mean(0).numpy(), atol=1e-5)


def test_a_checkpoint_is_read_as_it_was_written(checkpoint, model):
    found = read_checkpoint(checkpoint).state_dict()
    expected = {name: tensor.half().float() for name, tensor in model.state_dict().items()}
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_the_file_is_half_precision_and_no_larger_than_its_weights(checkpoint, model):
    n_weights = sum(p.numel() for p in model.parameters())
    assert checkpoint.stat().st_size < 2 * n_weights + 30_000


def test_the_same_seed_gives_the_same_weights():
    first, second = (MaskedLanguageModel(SIZE, seed=7).state_dict() for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
