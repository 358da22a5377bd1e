"""The encoder against fair-esm's own forward pass, on files that fair-esm's own loader reads."""

import re

import numpy as np
import pytest
import torch

from esmlearn.embedding._inference.runtime import resolve_precision
from esmlearn.embedding._models.encoder import Linear, has_onednn
from esmlearn.embedding._models.families import resolve_model
from esmlearn.embedding._models.settings import BFLOAT16_BUT_SCORES
from tests._proteins import random_protein
from tests.embedding.conftest import ARCHITECTURES


def load(path, precision="float32"):
    source = resolve_model(path)
    return source.family.load(source.path, device="cpu", precision=precision)


def encode(encoder, sequences, layers):
    """Return states[layer][sequence], each (n_tokens, width)."""
    tokens = [encoder.tokenize(s) for s in sequences]
    states = encoder.encode(tokens, layers)
    return [[part.clone() for part in s.split([len(t) for t in tokens])] for s in states]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_layer_agrees_with_fair_esm(architecture, checkpoints, fair_esm, proteins):
    encoder = load(checkpoints[architecture])
    layers = range(encoder.n_layers + 1)
    for layer, states in zip(layers, encode(encoder, proteins, layers), strict=True):
        for sequence, ours in zip(proteins, states, strict=True):
            expected, _ = fair_esm[architecture](sequence, layer)
            np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_longest_sequences_agree_with_fair_esm(architecture, checkpoints, fair_esm):
    encoder = load(checkpoints[architecture])
    limit = encoder.info.max_residues or 3000
    rng = np.random.default_rng(1)
    sequences = [random_protein(n, rng) for n in (limit, 1, limit // 3)]
    for sequence, ours in zip(
        sequences, encode(encoder, sequences, [encoder.n_layers])[0], strict=True
    ):
        np.testing.assert_allclose(ours, fair_esm[architecture](sequence)[0], atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_token_of_the_alphabet_is_taken_as_fair_esm_takes_it(
    architecture, checkpoints, fair_esm
):
    encoder, reference = load(checkpoints[architecture]), fair_esm[architecture]
    sequence = "LAGVSERTIDPKQNFYMHWCXBUZO.-"
    assert encoder.tokenize(sequence).tolist() == reference.convert([("", sequence)])[2][0].tolist()
    unknown = encoder.tokenize("AJ*A")[2:4]
    assert unknown.tolist() == [reference.alphabet.unk_idx] * 2
    for character in "J*":  # fair-esm's own tokenizer has no token for them and breaks
        with pytest.raises(KeyError, match=re.escape(character)):
            reference.convert([("", f"A{character}A")])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_agree_with_fair_esm(architecture, checkpoints, fair_esm, proteins):
    encoder = load(checkpoints[architecture])
    for sequence in proteins[:5]:
        ours = encoder.logits(encode(encoder, [sequence], [encoder.n_layers])[0][0])
        np.testing.assert_allclose(ours, fair_esm[architecture](sequence)[1], atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_masked_tokens_are_rescaled_as_in_fair_esm(architecture, checkpoints, fair_esm):
    encoder, reference = load(checkpoints[architecture]), fair_esm[architecture]
    tokens = [encoder.tokenize("MKTAYIAKQRQISF"), encoder.tokenize("GSHMAA")]
    tokens[0][[3, 7]] = encoder.mask_token
    states = encoder.encode(tokens, [encoder.n_layers])[0].split([len(t) for t in tokens])
    for ours, row in zip(states, tokens, strict=True):
        expected, _ = reference("", tokens=torch.from_numpy(row)[None])
        np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_float32_does_not_depend_on_the_neighbours(architecture, checkpoints, proteins):
    encoder = load(checkpoints[architecture])
    together = encode(encoder, proteins, [encoder.n_layers])[0]
    for sequence, ours in zip(proteins, together, strict=True):
        alone = encode(encoder, [sequence], [encoder.n_layers])[0][0]
        np.testing.assert_allclose(ours, alone, atol=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", BFLOAT16_BUT_SCORES, "float16"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_reduced_precision_points_the_same_way(architecture, precision, checkpoints, proteins):
    exact = encode(load(checkpoints[architecture]), proteins, [3])[0]
    reduced = encode(load(checkpoints[architecture], precision), proteins, [3])[0]
    for a, b in zip(exact, reduced, strict=True):
        assert b.dtype == torch.float32
        cosine = torch.nn.functional.cosine_similarity(a.mean(0), b.mean(0), dim=0)
        assert cosine > 0.999


def test_scores_in_float32_keep_sharp_attention(checkpoint, proteins):
    def pooled(precision):
        encoder = load(checkpoint, precision)
        for layer in encoder._layers:  # queries and keys of another size make scores far apart
            for values in (layer.query_key.weight, layer.query_key.bias):
                values *= 6
        (states,) = encode(encoder, proteins, [encoder.n_layers])
        return torch.stack([s.mean(0) for s in states])

    exact = pooled("float32")
    reduced, mixed = (
        1 - torch.nn.functional.cosine_similarity(pooled(p), exact).min().item()
        for p in ("bfloat16", BFLOAT16_BUT_SCORES)
    )
    assert mixed < reduced / 3


@pytest.mark.parametrize(
    ("precision", "amx", "expected"),
    [
        ("float32", False, "float32"),
        ("auto", False, "float32"),
        ("bfloat16", False, BFLOAT16_BUT_SCORES),
        ("auto", True, "bfloat16"),
        ("bfloat16", True, "bfloat16"),
    ],
)
def test_precision_follows_the_processor(precision, amx, expected, monkeypatch):
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: amx)
    assert resolve_precision(precision, "cpu") == expected


def test_products_come_in_few_shapes(checkpoint, monkeypatch):
    # each shape costs memory in oneDNN's cache for as long as the process lives
    encoder, rows = load(checkpoint), set()
    multiply = Linear.__call__

    def record(self, x, *arguments, **options):
        rows.add(len(x))
        return multiply(self, x, *arguments, **options)

    monkeypatch.setattr(Linear, "__call__", record)
    for n_tokens in range(1030, 2048, 13):
        (states,) = encode(encoder, ["M" * (n_tokens - 2)], [1])
        assert len(states[0]) == n_tokens
    assert len(rows) <= 16 or not has_onednn("cpu", torch.float32)


def test_buffers_are_used_again(checkpoint, proteins):
    encoder = load(checkpoint)
    encode(encoder, proteins, [3])
    before = {name: b.data_ptr() for name, b in encoder._workspace._buffers.items()}
    encode(encoder, proteins[:4], [3])
    assert {name: b.data_ptr() for name, b in encoder._workspace._buffers.items()} == before
