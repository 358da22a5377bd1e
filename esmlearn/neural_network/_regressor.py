"""MLPRegressor."""

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_array, check_consistent_length

from esmlearn.exceptions import DataError
from esmlearn.neural_network._base import BaseMLP, Table
from esmlearn.neural_network._checks import check_finite
from esmlearn.neural_network._rows import Part

if TYPE_CHECKING:
    from esmlearn.neural_network._losses import RowLoss

__all__ = ["MLPRegressor"]


class MLPRegressor(RegressorMixin, BaseMLP):
    """Multi-layer perceptron for numbers, trained with early stopping on real rows."""

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"squared_error", "absolute_error", "huber", "balanced_mse"})],
        "huber_delta": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (200, 200, 200),
        *,
        dropout: float = 0.2,
        batch_norm: bool = True,
        loss: str = "squared_error",
        huber_delta: float = 1.0,
        learning_rate_init: float = 1e-3,
        learning_rate: str = "constant",
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        batch_size: int = 64,
        max_iter: int = 200,
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        patience: int = 10,
        n_estimators: int = 1,
        warm_start: bool = False,
        device: str = "auto",
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.loss = loss
        self.huber_delta = huber_delta
        self.learning_rate_init = learning_rate_init
        self.learning_rate = learning_rate
        self.betas = betas
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.n_estimators = n_estimators
        self.warm_start = warm_start
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _make_loss(self, targets: np.ndarray, seed: int) -> "RowLoss":
        from esmlearn.neural_network import _losses

        if self.loss == "huber":
            return _losses.HuberLoss(float(self.huber_delta))
        if self.loss == "absolute_error":
            return _losses.AbsoluteError()
        if self.loss == "balanced_mse":
            return _losses.BalancedSquaredError(targets, seed=seed)
        return _losses.SquaredError()

    def _check_y(self, y: Any, X: np.ndarray, name: str = "y") -> np.ndarray:
        """Return y in float64, as wide as it was given."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        y = check_array(
            y, ensure_2d=False, dtype="numeric", ensure_all_finite=False, input_name=name
        ).astype(np.float64, copy=False)
        if y.ndim == 0 or y.ndim > 2:
            raise DataError(f"{name} has {y.ndim} dimensions; expected 1 or 2.")
        check_finite(y, name)
        check_consistent_length(X, y)
        return y

    def _read_targets(self, y: np.ndarray, train: Part) -> None:
        """Learn mean and scale of the training targets."""
        chosen = y[train.index]
        self.y_mean_ = np.average(chosen, axis=0, weights=train.weight)
        spread = np.sqrt(np.average((chosen - self.y_mean_) ** 2, axis=0, weights=train.weight))
        self.y_scale_ = np.where(spread > 0, spread, 1.0)

    def _encode(self, y: np.ndarray) -> np.ndarray:
        scaled = (y - self.y_mean_) / self.y_scale_
        return np.ascontiguousarray(scaled.reshape(len(y), -1), dtype=np.float32)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        *,
        X_val: Any = None,
        y_val: Any = None,
        groups: Any = None,
        sample_weight: Any = None,
    ) -> "MLPRegressor":
        """Train the network."""
        X = self._check_features(X, reset=not self._continues())
        y = self._check_y(y, X)
        X_val = self._check_validation_features(X_val, y_val)
        table = Table(
            X,
            y,
            weight=self._check_weight(sample_weight, X),
            groups=self._check_groups(groups, X, X_val),
            strata=None,
            X_val=X_val,
            y_val=None if X_val is None else self._check_y(y_val, X_val, "y_val"),
        )
        self._train(table, n_outputs=1 if y.ndim == 1 else y.shape[1])
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict the target."""
        outputs = self._outputs(X)
        if np.ndim(self.y_mean_) == 0:
            outputs = outputs[:, :, 0]
        members = outputs * self.y_scale_ + self.y_mean_
        mean = members.mean(axis=0)
        if not return_std:
            return mean
        if len(members) < 2:
            raise DataError(
                f"return_std=True needs several networks, but there is {len(members)}; fit with "
                f"n_estimators=5 or more."
            )
        return mean, members.std(axis=0, ddof=1)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
