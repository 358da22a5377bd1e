import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks.pretrain._corpus import Batch, encode, mask_tokens
from benchmarks.pretrain._model import Architecture, MaskedLanguageModel
from benchmarks.pretrain._objectives import (
    masked_loss,
    masked_loss_and_pooled_states,
    pair_loss,
    pooled_states,
)
from tests._proteins import random_protein

SIZE = Architecture(n_layers=1, width=64, n_heads=2)


@pytest.fixture
def windows():
    rng = np.random.default_rng(0)
    return encode(random_protein(60, rng) for _ in range(40)).tokens.reshape(40, 62)


def expected_pair_loss(pooled, rows, temperature):
    """The definition, window by window."""
    standardised = (pooled - pooled.mean(0)) / (pooled.var(0, correction=0) + 1e-5).sqrt()
    n, losses = len(rows) // 2, []
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        candidates = [j for j in range(2 * n) if rows[j] != rows[i]] + [partner]
        cosines = functional.cosine_similarity(standardised[i], standardised[candidates])
        losses.append(-torch.log_softmax(cosines / temperature, 0)[-1])
    return torch.stack(losses).mean()


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [0, 1, 1, 2]])
def test_the_pair_loss_is_that_of_its_definition(rows):
    pooled = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    loss = pair_loss(pooled, np.tile(rows, 2), 0.3)
    torch.testing.assert_close(loss, expected_pair_loss(pooled, np.tile(rows, 2), 0.3))


def test_equal_partners_are_found():
    pooled = torch.randn(16, 24, generator=torch.Generator().manual_seed(0))
    rows = np.tile(np.arange(16), 2)
    assert pair_loss(torch.cat([pooled, pooled]), rows, 0.05) < 0.01
    assert pair_loss(torch.cat([pooled, pooled.flip(0)]), rows, 0.05) > 3


def test_pooled_states_are_those_of_the_embedder(windows):
    model = MaskedLanguageModel(SIZE)
    pooled = pooled_states(model, Batch(np.arange(40), windows))
    tokens = torch.from_numpy(windows).long()
    expected = model.pool(model(tokens), tokens)
    torch.testing.assert_close(pooled, expected, rtol=0.03, atol=0.03)  # bfloat16


def test_one_pass_gives_the_loss_and_the_states_of_two(windows):
    model = MaskedLanguageModel(SIZE)
    corrupted, chosen = mask_tokens(windows, np.random.default_rng(1))
    loss, pooled = masked_loss_and_pooled_states(model, corrupted, chosen, windows)
    expected = pooled_states(model, Batch(np.arange(40), corrupted))
    torch.testing.assert_close(pooled, expected)
    torch.testing.assert_close(
        loss, masked_loss(model, corrupted, chosen, windows), rtol=1e-2, atol=0
    )
