"""Training of one network on skorch: tensor batches, early stopping, best weights kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler

from esmlearn.exceptions import DataError
from esmlearn.neural_network._batches import Batches, Rows
from esmlearn.neural_network._device import resolve_device, single_thread
from esmlearn.neural_network._losses import RowLoss
from esmlearn.neural_network._module import MLPModule
from esmlearn.utils._progress import progress_bar

__all__ = ["TrainingPlan", "make_network", "train_network"]

_VALIDATION_BATCH = 4096
# Ten epochs of a table of 50 rows are ten steps of the optimiser: too few to give up on.
_PATIENCE_STEPS = 100
# A loss's own parameters learn this many times faster than the weights, as in Balanced MSE's paper.
_LOSS_RATE = 10.0


@dataclass(frozen=True)
class TrainingPlan:
    """Everything about the training of a network but the rows, the loss and the seed."""

    hidden_layer_sizes: tuple[int, ...]
    n_outputs: int
    dropout: float
    batch_norm: bool
    learning_rate_init: float
    learning_rate: str
    betas: tuple[float, float]
    weight_decay: float
    batch_size: int
    max_iter: int
    patience: int | None
    device: str
    verbose: int


class _Network(NeuralNet):
    """skorch's training loop over our batches: no work per batch but the step itself."""

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return []  # skorch's own write to stdout and keep a record of every batch

    def get_split_datasets(self, X: Any, y: Any = None, **_: Any) -> tuple[Any, Any]:
        """Return the batches that were made from both parts."""
        return X, y

    def check_data(self, X: Any, y: Any = None) -> None:
        """Leave the check to the estimator."""

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Return the batches themselves."""
        return dataset

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **_: Any
    ) -> None:
        """Step through one epoch and record its mean loss."""
        if iterator is None:
            return
        self._set_training(training)
        run = self._train_batch if training else self._validate_batch
        means, sizes = zip(*((run(*batch), len(batch[0])) for batch in iterator), strict=True)
        loss = float(np.average(torch.stack(means).cpu().double(), weights=sizes))
        self.history.record(f"{prefix}_loss", loss)
        if not np.isfinite(loss):
            raise DataError(
                f"the {prefix} loss became {loss} in epoch {len(self.history)}; expected a finite "
                f"number. Scale X (StandardScaler) or lower learning_rate_init."
            )

    def _train_batch(self, x: torch.Tensor, y: torch.Tensor, _: None) -> torch.Tensor:
        self.optimizer_.zero_grad(set_to_none=True)
        loss = self.criterion_(self.module_(x), y)
        loss.backward()
        self.optimizer_.step()
        return loss.detach()

    @torch.no_grad()
    def _validate_batch(
        self, x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor | None
    ) -> torch.Tensor:
        return self.criterion_(self.module_(x), y, weight)


class _KeepBest(Callback):
    """Keep the weights of the epoch with the lowest validation loss; stop without improvement."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best_epoch = 0
        self.best_loss = np.inf
        self.best_weights: dict[str, np.ndarray] = {}
        self.exhausted = False

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Compare this epoch with the best one."""
        loss, epoch = net.history[-1, "valid_loss"], len(net.history)
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, epoch
            self.best_weights = net.module_.get_weights()
        self.exhausted = epoch - self.best_epoch >= self.patience
        if self.exhausted:
            raise KeyboardInterrupt  # skorch's signal to end the training


class _Progress(Callback):
    """A progress bar over epochs."""

    def __init__(self, max_iter: int, verbose: int) -> None:
        self.max_iter = max_iter
        self.verbose = verbose

    def on_train_begin(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Show the bar."""
        self.bar = progress_bar(
            total=self.max_iter, description="Training", unit="epoch", verbose=self.verbose
        )

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Advance it, with the losses."""
        losses = {k: v for k, v in net.history[-1].items() if k.endswith("_loss")}
        self.bar.set_postfix(losses, refresh=False)
        self.bar.update()

    def on_train_end(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Show how it ended, however fast, and remove it."""
        self.bar.refresh()
        self.bar.close()


def _schedule(plan: TrainingPlan, monitor: str) -> list[tuple[str, Callback]]:
    """Return the learning-rate schedule as skorch's callback."""
    if plan.learning_rate == "constant":
        return []
    options: dict[str, Any] = {"policy": "CosineAnnealingLR", "T_max": plan.max_iter}
    if plan.learning_rate == "plateau":
        wait = max(1, (plan.patience or 10) // 3)
        options = {"policy": "ReduceLROnPlateau", "monitor": monitor, "factor": 0.3}
        options["patience"] = wait
    return [("schedule", LRScheduler(event_name="learning_rate", **options))]


def make_network(
    plan: TrainingPlan, loss: RowLoss, n_features: int, seed: int, callbacks: list[Any]
) -> _Network:
    """Return an initialised network with its optimiser."""
    device = resolve_device(plan.device)
    optimizer: dict[str, Any] = {"optimizer": torch.optim.Adam}
    if plan.weight_decay > 0:
        optimizer = {"optimizer": torch.optim.AdamW, "optimizer__weight_decay": plan.weight_decay}
    own_rate = {"lr": _LOSS_RATE * plan.learning_rate_init, "weight_decay": 0.0}
    own = [(name, own_rate) for name, _ in loss.named_parameters()]
    if own:
        optimizer["optimizer__param_groups"] = own
    return _Network(
        MLPModule,
        module__n_features=n_features,
        module__n_outputs=plan.n_outputs,
        module__hidden_layer_sizes=plan.hidden_layer_sizes,
        module__dropout=plan.dropout,
        module__batch_norm=plan.batch_norm,
        module__seed=seed,
        module__device=device,
        criterion=loss,
        **optimizer,
        lr=plan.learning_rate_init,
        optimizer__betas=plan.betas,
        optimizer__fused=True,
        max_epochs=plan.max_iter,
        callbacks=callbacks,
        device=device,
        verbose=0,
    ).initialize()


def _history(net: NeuralNet) -> list[dict[str, float]]:
    """Return the epochs that were completed, in plain values."""
    keys = ("train_loss", "valid_loss", "learning_rate")
    last = "valid_loss" if any("valid_loss" in epoch for epoch in net.history) else "train_loss"
    return [
        {"epoch": epoch["epoch"]} | {key: float(epoch[key]) for key in keys if key in epoch}
        for epoch in net.history
        if last in epoch
    ]


@single_thread()
def train_network(
    plan: TrainingPlan,
    loss: RowLoss,
    train: Rows,
    valid: Rows | None,
    *,
    seed: int,
    initial_weights: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Train one network.

    Parameters
    ----------
    plan : TrainingPlan
        Architecture and optimisation.
    loss : RowLoss
        What is minimised; its own parameters are learnt along.
    train, valid : Rows
        X in float32; y in float32 of shape (n_rows, n_outputs), or classes in int64 of shape
        (n_rows,). Without `valid` the weights of the last epoch are kept.
    seed : int
        Seeds initial weights, order of the rows and dropout.
    initial_weights : mapping or None, default=None
        Weights to start from instead of random ones.

    Returns
    -------
    network : dict
        ``weights``, ``history`` (one dict per epoch), ``best_iter`` (from 1) and ``interrupted``.

    Raises
    ------
    DataError
        If the loss is not finite.
    KeyboardInterrupt
        If the training was interrupted before the end of its first epoch.
    """
    monitor = "train_loss" if valid is None else "valid_loss"
    best = None
    if valid is not None and plan.patience is not None:
        steps_per_epoch = -(-len(train.index) // plan.batch_size)
        best = _KeepBest(max(plan.patience, -(-_PATIENCE_STEPS // steps_per_epoch)))
    callbacks: list[Any] = _schedule(plan, monitor)
    callbacks += [("progress", _Progress(plan.max_iter, plan.verbose))] if plan.verbose else []
    callbacks += [("best", best)] if best is not None else []  # last: it may end the training
    net = make_network(plan, loss, train.X.shape[1], seed, callbacks)
    if initial_weights is not None:
        net.module_.set_weights(dict(initial_weights))
    order = torch.Generator().manual_seed(seed)
    device = torch.device(net.device)
    batches = Batches(train, plan.batch_size, device, order)
    held = None if valid is None else Batches(valid, _VALIDATION_BATCH, device)
    net.partial_fit(batches, held)
    return _collect(net, plan, best)


def _collect(net: _Network, plan: TrainingPlan, best: _KeepBest | None) -> dict[str, Any]:
    """Return what is kept of a training: no optimiser, no rows, plain values."""
    history = _history(net)
    if not history or (best is not None and best.best_epoch == 0):
        raise KeyboardInterrupt  # nothing was learnt yet that could be kept
    stopped_early = best is not None and best.exhausted
    return {
        "weights": net.module_.get_weights() if best is None else best.best_weights,
        "history": history,
        "best_iter": len(history) if best is None else best.best_epoch,
        "interrupted": len(history) < plan.max_iter and not stopped_early,
    }
