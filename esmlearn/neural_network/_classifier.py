"""MLPClassifier."""

import warnings
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, logit, softmax
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import Tags, compute_sample_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    _check_y,
    check_consistent_length,
    column_or_1d,
)

from esmlearn.exceptions import DataError
from esmlearn.neural_network._base import BaseMLP, Table

if TYPE_CHECKING:
    from esmlearn.neural_network._losses import RowLoss

__all__ = ["MLPClassifier"]


class MLPClassifier(ClassifierMixin, BaseMLP):
    """Multi-layer perceptron for classes, trained with early stopping on real rows."""

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"cross_entropy", "focal"})],
        "focal_gamma": [Interval(Real, 0, None, closed="left")],
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (200, 200, 200),
        *,
        dropout: float = 0.2,
        batch_norm: bool = True,
        loss: str = "cross_entropy",
        focal_gamma: float = 2.0,
        class_weight: Any = None,
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
        self.focal_gamma = focal_gamma
        self.class_weight = class_weight
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

        if self.loss == "focal":
            return _losses.FocalLoss(float(self.focal_gamma))
        return _losses.BinaryCrossEntropy() if self.multilabel_ else _losses.CrossEntropy()

    def _encode(self, y: np.ndarray) -> np.ndarray:
        return y.astype(np.float32 if self.multilabel_ else np.int64)

    def _read_y(self, y: Any, X: np.ndarray) -> np.ndarray:
        """Learn the classes; return codes (n_rows,) or a 0/1 matrix (n_rows, n_labels)."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        y = _check_y(y, multi_output=True, estimator=self)
        check_classification_targets(y)
        check_consistent_length(X, y)
        multilabel = type_of_target(y).startswith("multilabel")
        if multilabel:
            y = np.asarray(y)
            classes, codes = np.arange(y.shape[1]), (y != 0).astype(np.int64)
        else:
            classes, codes = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        if self._continues() and not (
            np.array_equal(self.classes_, classes) and multilabel == self.multilabel_
        ):
            raise DataError(
                f"warm_start=True goes on with the classes {list(self.classes_)}, but y has "
                f"{list(classes)}; expected the same. Set warm_start=False to start anew."
            )
        self.classes_: np.ndarray = classes
        self.multilabel_: bool = multilabel
        return codes

    def _read_validation(self, X_val: np.ndarray, y_val: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the validation rows whose class is among those to learn."""
        if self.multilabel_:
            y_val = _check_y(y_val, multi_output=True, estimator=self)
            check_consistent_length(X_val, y_val)
            return X_val, (np.asarray(y_val) != 0).astype(np.int64)
        y_val = column_or_1d(y_val, warn=True)
        check_consistent_length(X_val, y_val)
        known = np.isin(y_val, self.classes_)
        if not known.any():
            raise DataError(
                f"y_val has none of the classes of y, {list(self.classes_)}; expected labels of "
                f"the same kind."
            )
        if not known.all():
            first = int(np.argmin(known))
            warnings.warn(
                f"{(~known).sum()} of {len(known)} validation rows are of a class that y does not "
                f"have (first: y_val[{first}] is {y_val[first]!r}); they are left out.",
                UserWarning,
                stacklevel=3,
            )
        return X_val[known], np.searchsorted(self.classes_, y_val[known])

    def _check_class_weight(
        self, sample_weight: Any, X: np.ndarray, codes: np.ndarray
    ) -> np.ndarray | None:
        """Return the product of sample weights and class weights."""
        weight = self._check_weight(sample_weight, X)
        if self.class_weight is None:
            return weight
        labels = codes if self.multilabel_ else self.classes_[codes]
        by_class = compute_sample_weight(self.class_weight, labels)
        return by_class if weight is None else weight * by_class

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
    ) -> "MLPClassifier":
        """Train the network."""
        X = self._check_features(X, reset=not self._continues())
        y = self._read_y(y, X)
        X_val = self._check_validation_features(X_val, y_val)
        if X_val is not None:
            X_val, y_val = self._read_validation(X_val, y_val)
        table = Table(
            X,
            y,
            weight=self._check_class_weight(sample_weight, X, y),
            groups=self._check_groups(groups, X, X_val),
            strata=None if self.multilabel_ else y,
            X_val=X_val,
            y_val=y_val,
        )
        self._train(table, n_outputs=len(self.classes_))
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of every class (or label)."""
        outputs = self._outputs(X)
        members = expit(outputs) if self.multilabel_ else softmax(outputs, axis=2)
        return members.mean(axis=0)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of `predict_proba`."""
        return np.log(self.predict_proba(X))

    def decision_function(self, X: Any) -> np.ndarray:
        outputs = self._outputs(X)
        if len(outputs) == 1:
            scores = outputs[0]
        elif self.multilabel_:
            scores = logit(expit(outputs).mean(axis=0))
        else:
            scores = np.log(softmax(outputs, axis=2).mean(axis=0))
        if len(self.classes_) == 2 and not self.multilabel_:
            return scores[:, 1] - scores[:, 0]
        return scores

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class, or the labels with a probability above one half."""
        probability = self.predict_proba(X)
        if self.multilabel_:
            return (probability > 0.5).astype(np.int64)
        return self.classes_[probability.argmax(axis=1)]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
