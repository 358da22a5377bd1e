"""Losses against torch's own, and against numerical integration."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid
from scipy.stats import norm
from sklearn.mixture import GaussianMixture
from torch.nn import functional

from esmlearn.neural_network import _losses as losses

RNG = np.random.default_rng(0)
PREDICTION = torch.tensor(RNG.normal(size=(7, 3)), dtype=torch.float32)
TARGET = torch.tensor(RNG.normal(size=(7, 3)), dtype=torch.float32)
LABELS = torch.tensor(RNG.integers(0, 2, size=(7, 3)), dtype=torch.float32)
CLASSES = torch.tensor(RNG.integers(0, 3, size=7))


@pytest.mark.parametrize(
    ("loss", "target", "reference"),
    [
        (losses.SquaredError(), TARGET, functional.mse_loss),
        (losses.AbsoluteError(), TARGET, functional.l1_loss),
        (losses.HuberLoss(1.0), TARGET, functional.smooth_l1_loss),
        (losses.CrossEntropy(), CLASSES, functional.cross_entropy),
        (losses.BinaryCrossEntropy(), LABELS, functional.binary_cross_entropy_with_logits),
        (losses.FocalLoss(0.0), CLASSES, functional.cross_entropy),
        (losses.FocalLoss(0.0), LABELS, functional.binary_cross_entropy_with_logits),
    ],
)
def test_loss_is_torchs(loss, target, reference):
    torch.testing.assert_close(loss(PREDICTION, target), reference(PREDICTION, target))


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (losses.SquaredError(), TARGET),
        (losses.HuberLoss(0.5), TARGET),
        (losses.CrossEntropy(), CLASSES),
        (losses.FocalLoss(2.0), CLASSES),
        (losses.FocalLoss(2.0), LABELS),
    ],
)
def test_weights_count_rows(loss, target):
    weight = torch.tensor([2.0, 0, 1, 0, 3, 1, 0])
    repeated = torch.arange(7).repeat_interleave(weight.long())
    expected = loss(PREDICTION[repeated], target[repeated])
    torch.testing.assert_close(loss(PREDICTION, target, weight), expected)


def test_focal_loss_formula():
    probability = torch.softmax(PREDICTION, dim=1)[torch.arange(7), CLASSES]
    expected = (-((1 - probability) ** 2) * torch.log(probability)).mean()
    torch.testing.assert_close(losses.FocalLoss(2.0)(PREDICTION, CLASSES), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_has_a_finite_gradient_where_the_prediction_is_certain(gamma):
    certain = torch.tensor([[200.0, 0.0]], requires_grad=True)
    losses.FocalLoss(gamma)(certain, torch.tensor([0])).backward()
    assert torch.isfinite(certain.grad).all()


def balanced(targets, **kwargs):
    return losses.BalancedSquaredError(targets.astype(np.float32), seed=0, **kwargs)


def test_balanced_mse_is_the_likelihood_under_the_training_distribution():
    """The closed form against p(y|x) = N(y; f, s^2) p(y) / integral, integrated on a grid."""
    targets = np.concatenate([RNG.normal(0, 1, 300), RNG.normal(4, 0.5, 30)])[:, None]
    loss = balanced(targets)
    mixture = GaussianMixture(8, reg_covar=1e-2, max_iter=500, tol=1e-3, random_state=0).fit(
        targets.astype(np.float32).astype(float)
    )
    grid = np.linspace(-15, 20, 200_001)
    density = np.exp(mixture.score_samples(grid[:, None]))
    prediction, target, noise = 1.3, 0.4, 0.7
    with torch.no_grad():
        loss.log_noise.fill_(np.log(noise))
        ours = float(loss(torch.tensor([[prediction]]), torch.tensor([[target]])))
    integral = trapezoid(norm.pdf(grid, prediction, noise) * density, grid)
    expected = -norm.logpdf(target, prediction, noise) + np.log(integral)
    assert ours == pytest.approx(expected, abs=1e-4)


def test_balanced_mse_of_several_outputs_is_the_sum_where_they_are_independent():
    targets = np.array([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)] * 50)
    both, one = balanced(targets, max_components=1), balanced(targets[:, :1], max_components=1)
    prediction, target = PREDICTION[:, :2], TARGET[:, :2]
    apart = one(prediction[:, :1], target[:, :1]) + one(prediction[:, 1:], target[:, 1:])
    torch.testing.assert_close(both(prediction, target), apart)


def test_balanced_mse_takes_targets_of_one_value():
    loss = balanced(np.zeros((20, 1)))
    assert torch.isfinite(loss(torch.zeros(3, 1), torch.zeros(3, 1)))


@settings(max_examples=25, deadline=None)
@given(st.floats(-5, 5), st.floats(-5, 5), st.permutations(range(4)))
def test_balanced_mse_of_a_row_does_not_depend_on_its_neighbours(prediction, target, order):
    loss = balanced(np.linspace(-2, 2, 50)[:, None], max_components=2)
    rows = torch.tensor([[prediction], [0.0], [1.0], [2.0]])
    values = torch.tensor([[target], [0.5], [1.0], [1.5]])
    whole = loss.elementwise(rows, values)
    torch.testing.assert_close(loss.elementwise(rows[order], values[order]), whole[order])
    torch.testing.assert_close(loss.elementwise(rows[:1], values[:1]), whole[:1])
