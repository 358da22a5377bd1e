"""MLPClassifier."""

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
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
from esmlearn.neural_network._base import BaseMLP, Table, check_same_width
from esmlearn.utils._targets import check_no_missing
from esmlearn.utils._warn import warn

if TYPE_CHECKING:
    from esmlearn.neural_network._losses import RowLoss

__all__ = ["MLPClassifier"]


def _label_matrix(y: Any) -> np.ndarray:
    """Return a dense matrix of 0 and 1."""
    dense = y.toarray() if sparse.issparse(y) else np.asarray(y)
    return (dense != 0).astype(np.int64)


class MLPClassifier(ClassifierMixin, BaseMLP):
    """Multi-layer perceptron for classes, or for several labels at once, with early stopping.

    Hidden layers of linear -> ReLU -> batch norm -> dropout and one linear output per class,
    trained with Adam on skorch. A 0/1 matrix as y (multilabel) gets one sigmoid per label.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(200, 200, 200)
        Widths of the hidden layers; ``()`` makes a linear model.
    dropout : float, default=0.2
        Probability with which a hidden unit is dropped in training.
    batch_norm : bool, default=True
        Whether a batch norm follows the ReLU of each hidden layer.
    loss : {"cross_entropy", "focal"}, default="cross_entropy"
        What is minimised; the focal loss [3]_ gives little weight to rows that are predicted well.
    focal_gamma : float, default=2.0
        Exponent of the focal loss; 0 makes it the cross-entropy.
    class_weight : dict, list of dict, "balanced" or None, default=None
        Factor on the sample weights of each class, as in scikit-learn.
    learning_rate_init : float, default=1e-3
        Step size of Adam at the start.
    learning_rate : {"constant", "cosine", "plateau"}, default="constant"
        How the step size changes: not, along half a cosine to zero at `max_iter`, or times 0.3
        whenever the monitored loss has not improved for a third of `patience`.
    betas : (float, float), default=(0.9, 0.99)
        Decay rates of Adam's two moments.
    weight_decay : float, default=0.0
        Decoupled weight decay; above zero the optimiser is AdamW.
    batch_size : int, default=64
        Rows per step. A last batch of one row joins the one before.
    max_iter : int, default=200
        The most epochs.
    early_stopping : bool, default=True
        Stop when the loss of the validation part has not improved for `patience` epochs, and keep
        the weights of its best epoch. The part is ``X_val, y_val`` where `fit` gets them; else
        `validation_fraction` of X is drawn. False trains on every row for `max_iter` epochs.
    validation_fraction : float, default=0.1
        Share of the rows (by weight) to draw; see Notes on what a random draw costs.
    patience : int, default=10
        Epochs without improvement after which training stops. On tables so small that this is
        fewer than 100 steps of the optimiser, the epochs that make 100 steps.
    n_estimators : int, default=1
        Number of networks, trained from different initial weights on the same rows and averaged: a
        deep ensemble [1]_.
    warm_start : bool, default=False
        Go on from the weights of the last fit. The parameters of the architecture, the number of
        features and the classes must be the same.
    device : str, default="auto"
        ``"cpu"``, ``"cuda"``, ``"cuda:<number>"``, ``"mps"``, or ``"auto"``: CUDA, else MPS, else
        CPU. Where a network was trained does not matter to prediction, which needs no device.
    n_jobs : int or None, default=None
        Processes that train the networks of an ensemble; no influence on results.
    random_state : int, RandomState or None, default=None
        Seeds initial weights, order of rows, dropout and the draw of a validation part. The same
        integer gives the same predictions, bit for bit, on the same kind of device and for rows in
        the same order.
    verbose : int, default=0
        1 shows a progress bar on a terminal, 2 anywhere.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels; numbers from 0 for a 0/1 matrix.
    multilabel_ : bool
        Whether y was a 0/1 matrix.
    n_iter_ : int
        Epochs that were run.
    best_iter_ : int
        The epoch, counted from 1, whose weights were kept.
    history_ : list of dict
        Per epoch ``epoch``, ``train_loss``, ``valid_loss`` (with a validation part) and
        ``learning_rate`` (with a schedule).
    histories_ : list of list of dict
        The histories of all networks; `history_`, `n_iter_` and `best_iter_` are of the first.
    validation_indices_ : ndarray of int or None
        Rows of X that were drawn for validation; None if none were.
    interrupted_ : bool
        Whether Ctrl-C ended the training.
    networks_ : list of dict
        The weights of each network as float32 arrays.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    MLPRegressor : The same for numbers.
    esmlearn.pipeline.Pipeline : Draws a validation part of real rows and passes it on.

    Notes
    -----
    Without ``X_val`` and `groups`, the validation part is a random draw from X that keeps the
    classes' shares. Rows that are equal in X stay together, so a copy made by random over-sampling
    is never validated on; but homologs of training rows, and what SMOTE interpolated between them,
    are, and the loss that stops the training is then too low. `esmlearn.pipeline.Pipeline` draws
    the part before anything is resampled.

    ``sample_weight`` says how often a row is drawn per epoch: whole numbers (up to an average of
    100) are counts, so that a row of weight 3 is the same as three equal rows; others are relative,
    and rounded to counts anew in each epoch. Drawing suits stochastic gradients better than
    weighting the loss [2]_, and it is what batch norm needs.

    Training and prediction run on one thread of the CPU per process; run several fits at once with
    ``n_jobs`` of the search. No global random state is read or set. As in scikit-learn, rows in
    another order are another draw: they give other batches and another validation part.

    Ctrl-C ends the training with a `TrainingInterruptedWarning`; the best weights so far are kept.

    Validation rows of a class that y does not have are left out with a warning: a homology split
    may put all proteins of a rare class on one side.

    References
    ----------
    .. [1] Lakshminarayanan, B., Pritzel, A., & Blundell, C. (2017). Simple and scalable predictive
       uncertainty estimation using deep ensembles. NeurIPS 30.
    .. [2] An, J., Ying, L., & Zhu, Y. (2021). Why resampling outperforms reweighting for correcting
       sampling bias with stochastic gradients. ICLR 2021.
    .. [3] Lin, T.-Y., Goyal, P., Girshick, R., He, K., & Dollar, P. (2017). Focal loss for dense
       object detection. ICCV 2017, 2999-3007.

    Examples
    --------
    >>> import numpy as np
    >>> from esmlearn.neural_network import MLPClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 8))
    >>> y = np.where(X[:, 0] > 0, "Membrane", "Nucleus")
    >>> net = MLPClassifier((32, 32), class_weight="balanced", random_state=0)
    >>> net = net.fit(X[:300], y[:300])
    >>> net.score(X[300:], y[300:]) > 0.8
    True
    """

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
        check_no_missing(y, "y")
        y = _check_y(y, multi_output=True, estimator=self)
        check_classification_targets(y)
        check_consistent_length(X, y)
        multilabel = type_of_target(y).startswith("multilabel")
        if multilabel:
            codes = _label_matrix(y)
            classes = np.arange(codes.shape[1])
        else:
            classes, codes = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        if self._continues() and not (
            np.array_equal(self.classes_, classes) and multilabel == self.multilabel_
        ):
            raise DataError(
                f"warm_start=True goes on with the classes {self.classes_.tolist()}, but y has "
                f"{classes.tolist()}; expected the same. Set warm_start=False to start anew."
            )
        self.classes_: np.ndarray = classes
        self.multilabel_: bool = multilabel
        return codes

    def _read_validation(self, X_val: np.ndarray, y_val: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the validation rows whose class is among those to learn."""
        check_no_missing(y_val, "y_val")
        if self.multilabel_:
            y_val = _check_y(y_val, multi_output=True, estimator=self)
            check_consistent_length(X_val, y_val)
            return X_val, _label_matrix(y_val)
        y_val = column_or_1d(y_val, warn=True)
        check_consistent_length(X_val, y_val)
        known = np.isin(y_val, self.classes_)
        if not known.any():
            raise DataError(
                f"y_val has none of the classes of y, {self.classes_.tolist()}; expected labels of "
                f"the same kind."
            )
        if not known.all():
            first = int(np.argmin(known))
            warn(
                f"{(~known).sum()} of {len(known)} validation rows are of a class that y does not "
                f"have (first: y_val[{first}] is {str(y_val[first])!r}); they are left out.",
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
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features; scale them (``StandardScaler``). Learnt in float32.
        y : array-like of shape (n_rows,), or 0/1 matrix of shape (n_rows, n_labels)
            Classes or labels.
        X_val : array-like of shape (n_validation_rows, n_features), default=None
            Validation part to stop early by; X is then trained on as a whole.
        y_val : array-like, default=None
            Its targets.
        groups : array-like of shape (n_rows,), default=None
            Groups (such as homology clusters) of which whole ones are drawn for validation. Not
            together with `X_val`.
        sample_weight : array-like of shape (n_rows,), default=None
            How often each row is drawn; see Notes.

        Returns
        -------
        self : MLPClassifier

        Raises
        ------
        DataError
            If X or y holds NaN or infinity (the message names the index), the rows do not suffice
            for a validation part, or the loss diverges.
        """
        X = self._check_features(X, reset=not self._continues())
        y = self._read_y(y, X)
        X_val = self._check_validation_features(X_val, y_val)
        if X_val is not None:
            X_val, y_val = self._read_validation(X_val, y_val)
            check_same_width(y_val, y)
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
        """Return the probability of every class (or label), averaged over networks.

        Weights of rows or classes and over-sampling move it as they move the shares of the classes.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features.

        Returns
        -------
        probability : ndarray of shape (n_rows, n_classes)
            In the order of ``classes_``.
        """
        outputs = self._outputs(X)
        members = expit(outputs) if self.multilabel_ else softmax(outputs, axis=2)
        return members.mean(axis=0)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features.

        Returns
        -------
        log_probability : ndarray of shape (n_rows, n_classes)
            In the order of ``classes_``.
        """
        return np.log(self.predict_proba(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """Return scores that rank as the probabilities do.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features.

        Returns
        -------
        scores : ndarray of shape (n_rows,) or (n_rows, n_classes)
            Logits of one network; of an ensemble the logarithm (for labels the logit) of the
            averaged probabilities. Of two classes, the difference of their scores.
        """
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
        """Return the most probable class, or the labels with a probability above one half.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features.

        Returns
        -------
        y : ndarray of shape (n_rows,), or 0/1 matrix of shape (n_rows, n_labels)
            Predictions.
        """
        probability = self.predict_proba(X)
        if self.multilabel_:
            return (probability > 0.5).astype(np.int64)
        return self.classes_[probability.argmax(axis=1)]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
