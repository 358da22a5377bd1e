"""Base of MLPRegressor and MLPClassifier: parameters, rows, training and state."""

from abc import ABCMeta, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import delayed
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from esmlearn.exceptions import DataError, TrainingInterruptedWarning
from esmlearn.neural_network._inference import forward
from esmlearn.neural_network._rows import Part, all_rows, draw, split_rows
from esmlearn.utils._finite import check_finite
from esmlearn.utils._optional import require_torch
from esmlearn.utils._parallel import iterate_results
from esmlearn.utils._random import random_generator
from esmlearn.utils._sequences import refuse_text
from esmlearn.utils._targets import check_no_missing
from esmlearn.utils._warn import warn

if TYPE_CHECKING:  # torch is imported by the first fit
    from esmlearn.neural_network._batches import Rows
    from esmlearn.neural_network._losses import RowLoss
    from esmlearn.neural_network._training import TrainingPlan

__all__ = ["BaseMLP", "Table", "check_same_width"]


@dataclass(frozen=True)
class Table:
    """The rows of one call of fit, checked.

    `y` holds numbers (regression, labels) or class codes; `strata` are classes whose shares a
    random validation part keeps.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    groups: np.ndarray | None
    strata: np.ndarray | None
    X_val: np.ndarray | None
    y_val: np.ndarray | None


def check_same_width(y_val: np.ndarray, y: np.ndarray) -> None:
    """Raise a DataError if validation targets have another shape than training targets."""
    if y_val.shape[1:] != y.shape[1:]:
        raise DataError(
            f"y_val has shape {y_val.shape} and y has {y.shape}; expected the same number of "
            f"columns."
        )


def _check_sizes(sizes: Any) -> tuple[int, ...]:
    """Return the widths of the hidden layers as a tuple."""
    widths: list[Any] = [sizes] if isinstance(sizes, Real) else list(sizes)
    if not all(isinstance(w, Real) and float(w) >= 1 and float(w).is_integer() for w in widths):
        raise DataError(
            f"hidden_layer_sizes is {sizes!r}; expected whole numbers of at least 1, such as "
            f"(200, 200, 200)."
        )
    return tuple(int(width) for width in widths)


def _check_betas(betas: Any) -> tuple[float, float]:
    """Return Adam's two decay rates."""
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise DataError(
            f"betas is {betas!r}; expected two numbers from 0 to below 1, such as (0.9, 0.99)."
        )
    return float(betas[0]), float(betas[1])


class BaseMLP(BaseEstimator, metaclass=ABCMeta):
    """Multi-layer perceptron; subclasses say what the targets are."""

    # With metadata routing, groups that a splitter asks for do not come here without being asked.
    __metadata_request__fit = {"groups": False}

    _parameter_constraints: dict[str, list[Any]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "batch_norm": ["boolean"],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "learning_rate": [StrOptions({"constant", "cosine", "plateau"})],
        "betas": ["array-like"],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "device": [str],
        "n_jobs": [None, Integral],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def _make_loss(self, targets: np.ndarray, seed: int) -> "RowLoss":
        """Return the loss, given the training targets as the network sees them."""

    @abstractmethod
    def _encode(self, y: np.ndarray) -> np.ndarray:
        """Return targets as the network sees them."""

    def _check_features(self, X: Any, *, reset: bool, name: str = "X") -> np.ndarray:
        """Return X in float32, or say which element is not a finite number."""
        refuse_text(X)
        with np.errstate(over="ignore"):
            X = validate_data(
                self, X, reset=reset, dtype=np.float32, order="C", ensure_all_finite=False
            )
        check_finite(X, name)
        return X

    def _check_validation_features(self, X_val: Any, y_val: Any) -> np.ndarray | None:
        """Return X_val checked against X, or None without one."""
        if (X_val is None) != (y_val is None):
            raise DataError(
                f"{'y_val' if X_val is None else 'X_val'} was given without "
                f"{'X_val' if X_val is None else 'y_val'}; expected both or none."
            )
        return None if X_val is None else self._check_features(X_val, reset=False, name="X_val")

    def _check_weight(self, sample_weight: Any, X: np.ndarray) -> np.ndarray | None:
        if sample_weight is None:
            return None
        return _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)

    def _check_groups(self, groups: Any, X: np.ndarray, X_val: Any) -> np.ndarray | None:
        if groups is None:
            return None
        if X_val is not None:
            raise DataError(
                "groups and X_val were both given; expected one of them: groups say how to draw a "
                "validation part from X, X_val is one."
            )
        groups = column_or_1d(groups)
        check_consistent_length(X, groups)
        check_no_missing(groups, "groups", what="group")
        return groups

    def _continues(self) -> bool:
        """Return whether this fit goes on from the weights of the last one."""
        return self.warm_start and hasattr(self, "networks_")

    def _plan(self, n_outputs: int) -> "TrainingPlan":
        """Return all parameters that concern one network."""
        from esmlearn.neural_network._training import TrainingPlan

        return TrainingPlan(
            hidden_layer_sizes=_check_sizes(self.hidden_layer_sizes),
            n_outputs=n_outputs,
            dropout=float(self.dropout),
            batch_norm=bool(self.batch_norm),
            learning_rate_init=float(self.learning_rate_init),
            learning_rate=self.learning_rate,
            betas=_check_betas(self.betas),
            weight_decay=float(self.weight_decay),
            batch_size=int(self.batch_size),
            max_iter=int(self.max_iter),
            patience=int(self.patience) if self.early_stopping else None,
            device=self.device,
            verbose=int(self.verbose),
        )

    def _split(self, table: Table, rng: np.random.RandomState) -> tuple[Part, Part | None]:
        """Return the rows of the table that train and, if drawn from it, those that validate."""
        if table.X_val is not None or not self.early_stopping:
            return all_rows(len(table.X), table.weight), None
        return split_rows(
            table.X,
            table.weight,
            groups=table.groups,
            strata=table.strata,
            fraction=self.validation_fraction,
            rng=rng,
        )

    def _read_targets(self, y: np.ndarray, train: Part) -> None:
        """Learn what `_encode` needs from the training rows; nothing by default."""

    def _train(self, table: Table, n_outputs: int) -> None:
        """Train the networks and keep what prediction needs."""
        require_torch("Training a network")
        continued = self._continues()
        plan = self._plan(n_outputs)
        start = self._start_weights(plan, table.X.shape[1]) if continued else None
        rng = random_generator(self.random_state)
        seeds = rng.randint(np.iinfo(np.int32).max, size=(self.n_estimators,))
        train, valid = self._split(table, rng)
        if len(train.index) < 2:
            raise DataError(
                f"X has n_samples = {len(table.X)}, which leaves {len(train.index)} sample to "
                f"train on; expected at least 2."
            )
        if not continued:
            self._read_targets(table.y, train)
        rows, held = self._make_rows(table, train, valid)
        losses = self._make_losses(rows, seeds)
        self._keep(list(self._run(plan, losses, rows, held, seeds, start)))
        self.validation_indices_ = None if valid is None else np.unique(valid.index)

    def _make_rows(
        self, table: Table, train: Part, valid: Part | None
    ) -> "tuple[Rows, Rows | None]":
        """Return training and validation rows in the form in which they are learnt."""
        from esmlearn.neural_network._batches import Rows

        y = self._encode(table.y)
        rows = Rows(table.X, y, train.index, train.weight)
        if valid is not None:
            own = np.arange(len(valid.index))
            return rows, Rows(table.X[valid.index], y[valid.index], own, valid.weight)
        if table.X_val is None or table.y_val is None:
            return rows, None
        return rows, Rows(table.X_val, self._encode(table.y_val), np.arange(len(table.X_val)))

    def _make_losses(self, rows: "Rows", seeds: np.ndarray) -> "list[RowLoss]":
        """Return a loss per network; one thread, because a loss may be fitted to the targets."""
        from esmlearn.neural_network._device import single_thread

        drawn = rows.index if rows.weight is None else rows.index.repeat(draw(rows.weight, 0.5))
        with single_thread():
            return [self._make_loss(rows.y[drawn], int(seed)) for seed in seeds]

    def _run(
        self,
        plan: "TrainingPlan",
        losses: "list[RowLoss]",
        rows: "Rows",
        held: "Rows | None",
        seeds: np.ndarray,
        start: list[dict[str, np.ndarray]] | None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the trained networks; after Ctrl-C only those that learnt something."""
        from esmlearn.neural_network._training import train_network

        tasks = (
            delayed(train_network)(
                plan,
                loss,
                rows,
                held,
                seed=int(seed),
                initial_weights=None if start is None else start[i],
            )
            for i, (loss, seed) in enumerate(zip(losses, seeds, strict=True))
        )
        n_trained = 0
        try:
            for network in iterate_results(tasks, n_jobs=self.n_jobs):
                n_trained += 1
                yield network
                if network["interrupted"]:
                    return
        except KeyboardInterrupt:
            if n_trained == 0:
                raise

    def _start_weights(self, plan: "TrainingPlan", n_features: int) -> list[dict[str, np.ndarray]]:
        """Return the weights that warm_start goes on from, if they still fit the parameters."""
        widths = [n_features, *plan.hidden_layer_sizes, plan.n_outputs]
        weights = self.networks_[0]
        layers = [k for k in weights if k.endswith(".weight") and not k.startswith("norm")]
        shapes = [weights[k].shape for k in layers]
        expected = list(zip(widths[1:], widths[:-1], strict=True))
        normed = "norm_0.weight" in weights
        if (
            shapes != expected
            or normed != (plan.batch_norm and bool(plan.hidden_layer_sizes))
            or len(self.networks_) != self.n_estimators
        ):
            raise DataError(
                f"warm_start=True goes on with {len(self.networks_)} network(s) of layers {shapes} "
                f"(outputs, inputs) and batch_norm={normed}, but the parameters ask for "
                f"{self.n_estimators} of layers {expected} and batch_norm={plan.batch_norm}; "
                f"expected the same. Set warm_start=False to start anew."
            )
        return self.networks_

    def _keep(self, networks: list[dict[str, Any]]) -> None:
        """Store weights and history; say so when the training was interrupted."""
        self.networks_ = [network["weights"] for network in networks]
        self.histories_ = [network["history"] for network in networks]
        self.history_ = self.histories_[0]
        self.n_iter_ = len(self.history_)
        self.best_iter_ = networks[0]["best_iter"]
        missing = self.n_estimators - len(networks)
        self.interrupted_ = missing > 0 or any(network["interrupted"] for network in networks)
        if self.interrupted_:
            warn(
                f"the training was interrupted in network {len(networks)} of {self.n_estimators} "
                f"after {len(networks[-1]['history'])} of at most {self.max_iter} epochs; the "
                f"weights of epoch {networks[-1]['best_iter']} are kept.",
                TrainingInterruptedWarning,
            )

    def _outputs(self, X: Any) -> np.ndarray:
        """Return the outputs of every network, of shape (n_networks, n_rows, n_outputs)."""
        check_is_fitted(self)
        X = self._check_features(X, reset=False)
        return np.stack([forward(weights, X) for weights in self.networks_])
