import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks.pretrain._corpus import Batch, encode
from benchmarks.pretrain._initialisation import residue_frequencies, start_from_composition
from benchmarks.pretrain._model import Architecture, MaskedLanguageModel
from benchmarks.pretrain._objectives import pair_loss, pooled_states
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
    expected = model.pool(model.hidden(tokens), tokens)
    torch.testing.assert_close(pooled, expected, rtol=0.03, atol=0.03)  # bfloat16


def test_composition_reaches_every_position(windows):
    model = MaskedLanguageModel(SIZE)
    frequencies = residue_frequencies(windows)
    start_from_composition(model, frequencies)
    block = model.blocks[0]
    tokens = torch.from_numpy(windows).long()[:, 1:-1]  # <cls> and <eos> are no residues
    x = block.attention_norm(model.embedding(tokens))
    values = block.qkv(x).view(40, 60, 3, 64)[:, :, 2, :20].mean(dim=1)
    shares = residue_frequencies(windows[:, 1:-1])
    expected = (shares - frequencies.mean(0)) / frequencies.std(0)
    np.testing.assert_allclose(values.detach().numpy(), expected, atol=1e-3)
    queries_and_keys = block.qkv.weight.view(3, 2, 32, 64)[:2, 0]
    assert not queries_and_keys.any()  # attention to all positions alike


def test_heads_too_narrow_for_the_residues_are_refused(windows):
    model = MaskedLanguageModel(Architecture(n_layers=1, width=32, n_heads=2))
    with pytest.raises(ValueError, match="at least 20 wide; got 32 / 2"):
        start_from_composition(model, residue_frequencies(windows))
