"""Time of one training epoch: ours, a bare torch loop, skorch's default and scikit-learn's MLP.

48,000 x 1280 float32, batches of 64, three hidden layers of 200 with batch norm and dropout, Adam,
one thread. The cases are interleaved in one run, and compared as ratios of medians; CPU seconds
are given beside wall seconds, because they depend less on what else the machine does.

    python benchmarks/epoch_time.py            # about 3 minutes
    python benchmarks/epoch_time.py --quick    # seconds, figures without meaning
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from _report import machine, spread, write_result
from sklearn.neural_network import MLPRegressor as SklearnMLP
from skorch import NeuralNetRegressor
from threadpoolctl import threadpool_limits
from torch import nn

from esmlearn.neural_network import MLPRegressor
from esmlearn.neural_network._batches import Batches, Rows
from esmlearn.neural_network._device import single_thread
from esmlearn.neural_network._losses import SquaredError
from esmlearn.neural_network._training import make_network

BATCH = 64
HIDDEN = (200, 200, 200)
BETAS = (0.9, 0.99)


class BareModule(nn.Module):
    def __init__(self, n_features: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for size in HIDDEN:
            layers += [
                nn.Linear(n_features, size),
                nn.ReLU(),
                nn.BatchNorm1d(size),
                nn.Dropout(0.2),
            ]
            n_features = size
        self.layers = nn.Sequential(*layers, nn.Linear(n_features, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def bare_loop(X: np.ndarray, y: np.ndarray) -> Callable[[], None]:
    torch.manual_seed(0)
    features, target = torch.from_numpy(X), torch.from_numpy(y)[:, None]
    module, loss = BareModule(X.shape[1]), nn.MSELoss()
    adam = torch.optim.Adam(module.parameters(), lr=1e-3, betas=BETAS, fused=True)

    def epoch() -> None:
        module.train()
        order = torch.randperm(len(features))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            adam.zero_grad(set_to_none=True)
            loss(module(features[rows]), target[rows]).backward()
            adam.step()

    return epoch


def ours(X: np.ndarray, y: np.ndarray) -> Callable[[], None]:
    plan = MLPRegressor(HIDDEN, dropout=0.2, betas=BETAS, batch_size=BATCH, device="cpu")._plan(1)
    net = make_network(plan, SquaredError(), X.shape[1], seed=0, callbacks=[])
    rows = Rows(X, y[:, None], np.arange(len(X)))
    batches = Batches(rows, BATCH, torch.device("cpu"), torch.Generator().manual_seed(0))

    def epoch() -> None:
        net.history.new_epoch()
        net.run_single_epoch(batches, training=True, prefix="train", step_fn=None)

    return epoch


def skorch_default(X: np.ndarray, y: np.ndarray) -> Callable[[], None]:
    torch.manual_seed(0)
    net = NeuralNetRegressor(
        BareModule,
        module__n_features=X.shape[1],
        max_epochs=1,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        optimizer__betas=BETAS,
        batch_size=BATCH,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    ).initialize()
    return lambda: net.partial_fit(X, y[:, None])


def scikit_learn(X: np.ndarray, y: np.ndarray) -> Callable[[], None]:
    model = SklearnMLP(hidden_layer_sizes=HIDDEN, batch_size=BATCH, beta_2=BETAS[1], random_state=0)
    return lambda: model.partial_fit(X, y)


CASES = {
    "bare torch loop, fused Adam": bare_loop,
    "esmlearn": ours,
    "skorch default": skorch_default,
    "scikit-learn": scikit_learn,
}


def measure(X: np.ndarray, y: np.ndarray, repeats: int) -> dict[str, dict[str, list[float]]]:
    epochs = {name: make(X, y) for name, make in CASES.items()}
    times: dict[str, dict[str, list[float]]] = {n: {"wall_s": [], "cpu_s": []} for n in epochs}
    for repeat in range(repeats + 1):
        for name, epoch in epochs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            epoch()
            if repeat > 0:  # the first round warms up
                times[name]["wall_s"].append(time.perf_counter() - wall)
                times[name]["cpu_s"].append(time.process_time() - cpu)
    return times


def whole_fit(X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Time fit itself, with all that it does before the first epoch."""
    seconds = {}
    for epochs in (1, 2):
        start = time.perf_counter()
        MLPRegressor(HIDDEN, max_iter=epochs, early_stopping=False, random_state=0).fit(X, y)
        seconds[f"fit_of_{epochs}_epochs_s"] = time.perf_counter() - start
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=48_000)
    parser.add_argument("--features", type=int, default=1280)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="6,000 rows, 3 repeats")
    args = parser.parse_args()
    if args.quick:
        args.rows, args.repeats = 6_000, 3
    rng = np.random.default_rng(0)
    X = rng.standard_normal((args.rows, args.features), dtype=np.float32)
    y = (X[:, :64].sum(axis=1) / 8 + 0.3 * rng.standard_normal(args.rows)).astype(np.float32)
    warnings.filterwarnings("ignore")
    with single_thread(), threadpool_limits(1):
        times = measure(X, y, args.repeats)
    base = {k: np.median(v) for k, v in times["esmlearn"].items()}
    result = {
        "rows": args.rows,
        "features": args.features,
        "quick": args.quick,
        "machine": machine(),
        "seconds_per_epoch": {n: {k: spread(v) for k, v in t.items()} for n, t in times.items()},
        "ratio_to_esmlearn": {
            n: {k: float(np.median(v) / base[k]) for k, v in t.items()} for n, t in times.items()
        },
        "whole_fit": whole_fit(X, y),
    }
    write_result("epoch_time", result, quick=args.quick)


if __name__ == "__main__":
    main()
