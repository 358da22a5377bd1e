"""What must hold on a device; run with -m gpu."""

import pickle

import numpy as np
import pytest
import torch

from esmlearn.neural_network import MLPClassifier, MLPRegressor

DEVICES = [
    pytest.param(name, marks=pytest.mark.skipif(not available, reason=f"no {name} device"))
    for name, available in (
        ("cuda", torch.cuda.is_available()),
        ("mps", torch.backends.mps.is_available()),
    )
]
pytestmark = [pytest.mark.gpu, pytest.mark.parametrize("device", DEVICES)]


def test_training_on_a_device_learns_and_repeats(table, device):
    X, y, groups = table
    nets = [
        MLPRegressor((64, 64), max_iter=60, device=device, random_state=0).fit(X, y, groups=groups)
        for _ in range(2)
    ]
    assert nets[0].score(X, y) > 0.9
    np.testing.assert_array_equal(nets[0].predict(X), nets[1].predict(X))


def test_first_epochs_are_those_of_the_cpu(table, device):
    X, y, _ = table
    losses = [
        MLPRegressor((64,), dropout=0.0, max_iter=3, device=where, random_state=0)
        .fit(X, y)
        .history_[-1]["valid_loss"]
        for where in (device, "cpu")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "balanced_mse"])
def test_every_loss_runs(table, device, loss):
    X, y, _ = table
    weight = np.random.default_rng(0).random(300)
    net = MLPRegressor((16,), loss=loss, max_iter=3, device=device, random_state=0)
    assert np.isfinite(net.fit(X, y, sample_weight=weight).predict(X)).all()


def test_state_does_not_know_the_device_and_no_global_state_is_touched(table, classes, device):
    X, _, _ = table
    before = torch.get_rng_state()
    on_device = torch.cuda.get_rng_state() if device == "cuda" else None
    net = MLPClassifier((16,), max_iter=3, device=device, random_state=0).fit(X, classes)
    assert torch.equal(torch.get_rng_state(), before)
    if on_device is not None:
        assert torch.equal(torch.cuda.get_rng_state(), on_device)
    state = pickle.dumps(net)
    assert b"torch" not in state
    np.testing.assert_array_equal(pickle.loads(state).predict(X), net.predict(X))
