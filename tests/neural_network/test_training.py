"""Training: against a bare torch loop, and what early stopping keeps."""

import signal
from itertools import chain, pairwise

import numpy as np
import pytest
import torch
from torch import nn

from esmlearn.exceptions import DataError, TrainingInterruptedWarning
from esmlearn.neural_network import MLPClassifier, MLPRegressor
from esmlearn.neural_network import _training as training
from esmlearn.neural_network._batches import Batches, Rows
from esmlearn.neural_network._losses import SquaredError
from esmlearn.neural_network._module import MLPModule
from esmlearn.neural_network._training import train_network


def plan_of(**params):
    return MLPRegressor((16, 8), device="cpu", **params)._plan(1)


def bare_loop(X, y, *, seed, epochs, batch_size):
    """Train with nothing but torch; dropout off, rows in the order that the seed gives."""
    start = MLPModule(
        X.shape[1], 1, hidden_layer_sizes=(16, 8), dropout=0.0, batch_norm=True, seed=seed
    )
    widths = [X.shape[1], 16, 8]
    layers = [
        layer
        for n_in, n_out in pairwise(widths)
        for layer in (nn.Linear(n_in, n_out), nn.ReLU(), nn.BatchNorm1d(n_out))
    ]
    module = nn.Sequential(*layers, nn.Linear(8, 1))
    module.load_state_dict(dict(zip(module.state_dict(), start.state_dict().values(), strict=True)))
    adam = torch.optim.Adam(module.parameters(), lr=1e-3, betas=(0.9, 0.99), fused=True)
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        rows = torch.randperm(len(X), generator=order)
        for batch in torch.split(rows, batch_size):
            adam.zero_grad()
            nn.functional.mse_loss(module(X[batch]), y[batch]).backward()
            adam.step()
    return [p.detach().numpy() for p in module.parameters()]


def test_weights_are_those_of_a_bare_torch_loop(table):
    X, y = table[0].astype(np.float32), table[1][:, None].astype(np.float32) / 50
    rows = Rows(X, y, np.arange(len(X)))
    ours = train_network(plan_of(dropout=0.0, max_iter=3), SquaredError(), rows, None, seed=3)
    expected = bare_loop(torch.from_numpy(X), torch.from_numpy(y), seed=3, epochs=3, batch_size=64)
    weights = [w for name, w in ours["weights"].items() if name.endswith(("weight", "bias"))]
    for got, want in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_last_batch_of_one_row_joins_the_one_before():
    X = np.arange(129, dtype=np.float32)[:, None]
    rows = Rows(X, X, np.arange(129))
    order = torch.Generator().manual_seed(0)
    batches = Batches(rows, 64, torch.device("cpu"), order)
    taken = [x.ravel().tolist() for x, _, _ in batches]
    assert [len(x) for x in taken] == [64, 65]
    assert sorted(chain(*taken)) == X.ravel().tolist()


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "balanced_mse"])
def test_every_loss_learns(table, loss):
    X, y, _ = table
    net = MLPRegressor((32,), loss=loss, max_iter=60, random_state=0).fit(X[:200], y[:200])
    assert net.score(X[200:], y[200:]) > 0.8


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_every_classification_loss_learns(table, classes, loss):
    X, _, _ = table
    net = MLPClassifier((32,), loss=loss, max_iter=60, random_state=0).fit(X[:200], classes[:200])
    assert net.score(X[200:], classes[200:]) > 0.8


def test_weights_of_the_best_epoch_are_kept(table):
    X, y, _ = table
    net = MLPRegressor((64,), dropout=0.0, patience=5, max_iter=2000, random_state=0).fit(
        X[:100], y[:100], X_val=X[100:150], y_val=y[100:150]
    )
    losses = [epoch["valid_loss"] for epoch in net.history_]
    assert len(losses) == net.n_iter_ < 2000
    assert net.best_iter_ == 1 + int(np.argmin(losses)) < net.n_iter_
    own = np.mean((net.predict(X[100:150]) - y[100:150]) ** 2) / net.y_scale_**2
    assert own == pytest.approx(min(losses), rel=1e-4)


def test_patience_is_at_least_a_hundred_steps(table):
    X, y, _ = table
    net = MLPRegressor((8,), patience=1, max_iter=1000, random_state=0).fit(X[:120], y[:120])
    assert net.n_iter_ - net.best_iter_ == 50  # two steps per epoch


def test_without_early_stopping_every_row_trains_to_the_end(table):
    X, y, _ = table
    net = MLPRegressor((8,), early_stopping=False, max_iter=7, random_state=0).fit(X, y)
    assert net.validation_indices_ is None
    assert net.n_iter_ == net.best_iter_ == 7
    assert set(net.history_[0]) == {"epoch", "train_loss"}


@pytest.mark.parametrize(
    ("schedule", "last"), [("constant", None), ("cosine", 0.0), ("plateau", 1e-3)]
)
def test_schedules(table, schedule, last):
    X, y, _ = table
    net = MLPRegressor((8,), learning_rate=schedule, max_iter=12, random_state=0).fit(X, y)
    rates = [epoch.get("learning_rate") for epoch in net.history_]
    assert rates[0] == (None if schedule == "constant" else 1e-3)
    if last is not None:
        assert rates[-1] == pytest.approx(last, abs=2e-5)


def test_plateau_lowers_the_rate(table):
    X, y, _ = table
    net = MLPRegressor(
        (64,), dropout=0.0, learning_rate="plateau", patience=40, max_iter=120, random_state=0
    ).fit(X[:100], y[:100])
    assert net.history_[-1]["learning_rate"] < 1e-3


def test_weight_decay_shrinks_weights(table):
    X, y, _ = table
    norms = [
        np.linalg.norm(
            MLPRegressor((8,), weight_decay=decay, max_iter=30, random_state=0)
            .fit(X, y)
            .networks_[0]["linear_0.weight"]
        )
        for decay in (0.0, 3.0)
    ]
    assert norms[1] < norms[0]


def interrupt_at(monkeypatch, step):
    """Send this process Ctrl-C in the given step of training."""
    steps = iter(range(1, 10**9))
    original = training._Network._train_batch

    def train_batch(self, *batch):
        if next(steps) == step:
            signal.raise_signal(signal.SIGINT)
        return original(self, *batch)

    monkeypatch.setattr(training._Network, "_train_batch", train_batch)
    # A shell starts what it puts into the background with Ctrl-C ignored, the tests too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_ctrl_c_keeps_the_best_weights_and_says_so(table, monkeypatch):
    X, y, _ = table
    uninterrupted = MLPRegressor((8,), max_iter=4, random_state=0).fit(X, y)
    interrupt_at(monkeypatch, 5 * 4 + 3)  # five steps per epoch
    net = MLPRegressor((8,), max_iter=50, random_state=0)
    with pytest.warns(TrainingInterruptedWarning, match="after 4 of at most 50 epochs"):
        net.fit(X, y)
    assert net.interrupted_
    assert not uninterrupted.interrupted_
    assert net.history_ == uninterrupted.history_
    np.testing.assert_array_equal(net.predict(X), uninterrupted.predict(X))


def test_ctrl_c_in_the_first_epoch_leaves_the_estimator_unfitted(table, monkeypatch):
    X, y, _ = table
    interrupt_at(monkeypatch, 3)
    net = MLPRegressor((8,), random_state=0)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y)
    assert not hasattr(net, "networks_")


@pytest.mark.parametrize(
    "step", [5 * 3 + 2, 5 * 4 + 2]
)  # in the second network's first, second epoch
def test_ctrl_c_in_an_ensemble_keeps_the_networks_that_learnt(table, monkeypatch, step):
    X, y, _ = table
    interrupt_at(monkeypatch, step)
    net = MLPRegressor((8,), n_estimators=3, max_iter=3, random_state=0)
    with pytest.warns(TrainingInterruptedWarning, match="of 3"):
        net.fit(X, y)
    assert net.interrupted_
    assert len(net.networks_) == (1 if step < 20 else 2)


def test_divergence_is_an_error(table):
    X, y, _ = table
    with pytest.raises(DataError, match=r"loss became .* in epoch 1; .*StandardScaler"):
        MLPRegressor((8,), batch_norm=False, random_state=0).fit(X * 1e30, y)


def test_progress_goes_to_stderr_only(table, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # a narrow terminal's bar is cut
    X, y, _ = table
    MLPRegressor((8,), max_iter=40, verbose=2, random_state=0).fit(X, y)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Training" in err
    assert "valid_loss" in err
    MLPRegressor((8,), max_iter=3, random_state=0).fit(X, y)
    assert capsys.readouterr() == ("", "")
