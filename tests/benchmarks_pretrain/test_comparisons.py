import numpy as np
import pytest

from benchmarks.pretrain._corpus import FIRST_RESIDUE, encode
from benchmarks.pretrain._ngram import NeighbourModel
from benchmarks.pretrain.evaluate import compare, composition


@pytest.fixture(scope="module")
def alternating():
    return encode(["ACACACACACACACACACAC"] * 50)


def loss_of(model, sequence, position):
    window = encode([sequence]).tokens[None]
    chosen = np.zeros(window.shape, dtype=bool)
    chosen[0, position] = True
    return model.loss(window, chosen)[0]


def test_the_unigram_model_gives_frequencies(alternating):
    model = NeighbourModel((), strength=1e-9).fit(alternating)
    assert loss_of(model, "GGAGG", 3) == pytest.approx(np.log(2))


@pytest.mark.parametrize("offsets", [(-1,), (-1, -2), (-1, 1)])
def test_neighbours_tell_an_alternating_sequence(alternating, offsets):
    model = NeighbourModel(offsets, strength=1e-3).fit(alternating)
    assert loss_of(model, "ACACA", 3) == pytest.approx(0, abs=1e-3)
    assert loss_of(model, "ACCCA", 3) > 5


@pytest.mark.parametrize("offsets", [(), (-1,), (-1, -2), (-1, 1)])
def test_probabilities_add_up(alternating, offsets):
    probability = NeighbourModel(offsets).fit(alternating).probability_
    np.testing.assert_allclose(probability.sum(axis=1), 1)


def test_unseen_contexts_fall_back_to_frequencies(alternating):
    unigram = NeighbourModel(()).fit(alternating)
    trigram = NeighbourModel((-1, -2)).fit(alternating)
    assert loss_of(trigram, "WWAWW", 3) == pytest.approx(loss_of(unigram, "WWAWW", 3))
    assert unigram.probability_[0].argmax() in encode(["AC"]).tokens[1:3] - FIRST_RESIDUE


def test_composition_counts():
    table = composition(["ACCA", "WXW"])
    assert table.shape == (2, 422)
    np.testing.assert_allclose(table[0, :2], [0.5, 0.5])
    np.testing.assert_allclose(table[0, 20:420].sum(), 1)
    np.testing.assert_allclose(table[1, 20:420].sum(), 0)  # WX and XW have no column
    np.testing.assert_allclose(table[:, 420], [4, 3])


def test_folds_are_compared_in_pairs():
    better = compare([0.5, 0.6, 0.4], [0.4, 0.45, 0.31])
    assert better["folds_won"] == 3
    assert better["mean_difference"] == pytest.approx(0.1133)
    assert better["p_corrected"] < 0.1
    assert compare([0.5, 0.3, 0.4], [0.4, 0.4, 0.4])["p_corrected"] == pytest.approx(1)
