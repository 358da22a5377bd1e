"""MLPRegressor."""

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_array, check_consistent_length

from esmlearn.exceptions import DataError
from esmlearn.neural_network._base import BaseMLP, Table, check_same_width
from esmlearn.neural_network._rows import Part
from esmlearn.utils._finite import check_finite
from esmlearn.utils._targets import refuse_words

if TYPE_CHECKING:
    from esmlearn.neural_network._losses import RowLoss

__all__ = ["MLPRegressor"]


class MLPRegressor(RegressorMixin, BaseMLP):
    """Multi-layer perceptron for one or several numbers, with early stopping.

    Hidden layers of linear -> ReLU -> batch norm -> dropout and one linear output, trained with
    Adam on skorch. The target is standardised inside; predictions are in its units.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(200, 200, 200)
        Widths of the hidden layers; ``()`` makes a linear model.
    dropout : float, default=0.2
        Probability with which a hidden unit is dropped in training.
    batch_norm : bool, default=True
        Whether a batch norm follows the ReLU of each hidden layer.
    loss : {"squared_error", "absolute_error", "huber", "balanced_mse"}, default="squared_error"
        What is minimised. ``"balanced_mse"`` [3]_ corrects for targets that are rare in training,
        with a Gaussian mixture of at most 8 components fitted to them; predictions of common
        values get worse for it.
    huber_delta : float, default=1.0
        Where the Huber loss becomes linear, in standard deviations of the training targets.
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
        features and the number of targets must be the same.
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
    y_mean_, y_scale_ : float or ndarray of shape (n_outputs,)
        Mean and standard deviation of the training targets. A target that was constant in training
        is predicted as that constant.
    n_iter_ : int
        Epochs that were run.
    best_iter_ : int
        The epoch, counted from 1, whose weights were kept.
    history_ : list of dict
        Per epoch ``epoch``, ``train_loss``, ``valid_loss`` (with a validation part) and
        ``learning_rate`` (with a schedule). Losses are in units of the standardised target.
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
    MLPClassifier : The same for classes.
    esmlearn.pipeline.Pipeline : Draws a validation part of real rows and passes it on.

    Notes
    -----
    Without ``X_val`` and `groups`, the validation part is a random draw from X. Rows that are
    equal in X stay together, so a copy made by random over-sampling is never validated on; but
    homologs of training rows, and what SMOTE interpolated between them, are, and the loss that
    stops the training is then too low. `esmlearn.pipeline.Pipeline` draws the part before anything
    is resampled.

    ``sample_weight`` says how often a row is drawn per epoch: whole numbers (up to an average of
    100) are counts, so that a row of weight 3 is the same as three equal rows; others are relative,
    and rounded to counts anew in each epoch. Drawing suits stochastic gradients better than
    weighting the loss [2]_, and it is what batch norm needs.

    Training and prediction run on one thread of the CPU per process; run several fits at once with
    ``n_jobs`` of the search. No global random state is read or set. As in scikit-learn, rows in
    another order are another draw: they give other batches and another validation part.

    Ctrl-C ends the training with a `TrainingInterruptedWarning`; the best weights so far are kept.

    References
    ----------
    .. [1] Lakshminarayanan, B., Pritzel, A., & Blundell, C. (2017). Simple and scalable predictive
       uncertainty estimation using deep ensembles. NeurIPS 30.
    .. [2] An, J., Ying, L., & Zhu, Y. (2021). Why resampling outperforms reweighting for correcting
       sampling bias with stochastic gradients. ICLR 2021.
    .. [3] Ren, J., Zhang, M., Yu, C., & Liu, Z. (2022). Balanced MSE for imbalanced visual
       regression. CVPR 2022, 7926-7935.

    Examples
    --------
    >>> import numpy as np
    >>> from esmlearn.neural_network import MLPRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 8))
    >>> y = 50 + 10 * X[:, 0] + rng.normal(size=400)
    >>> net = MLPRegressor((32, 32), random_state=0).fit(X[:300], y[:300])
    >>> net.score(X[300:], y[300:]) > 0.8
    True
    >>> ensemble = MLPRegressor((32, 32), n_estimators=3, max_iter=20, random_state=0)
    >>> mean, std = ensemble.fit(X[:300], y[:300]).predict(X[300:], return_std=True)
    >>> mean.shape, std.shape
    ((100,), (100,))
    """

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
        try:
            y = check_array(
                y, ensure_2d=False, dtype="numeric", ensure_all_finite=False, input_name=name
            ).astype(np.float64, copy=False)
        except ValueError as error:
            refuse_words(y, name, error, otherwise=", or use MLPClassifier for classes")
            raise
        if y.ndim == 0 or y.ndim > 2:
            raise DataError(f"{name} has {y.ndim} dimensions; expected 1 or 2.")
        check_finite(y, name)
        check_consistent_length(X, y)
        return y

    def _read_targets(self, y: np.ndarray, train: Part) -> None:
        """Learn mean and scale of the training targets."""
        chosen = y[train.index]
        constant = np.ptp(chosen, axis=0) == 0
        # The last bits of an average would make a constant target something to learn.
        mean = np.average(chosen, axis=0, weights=train.weight)
        self.y_mean_ = np.where(constant, chosen[0], mean)[()]
        away = chosen - self.y_mean_
        # Squares of fractions of this power of two neither overflow nor vanish.
        unit = np.ldexp(1.0, np.frexp(np.abs(away).max(axis=0))[1] - 1)
        spread = unit * np.sqrt(np.average((away / unit) ** 2, axis=0, weights=train.weight))
        self.y_scale_ = np.where(constant, 0.0, spread)[()]

    def _continues(self) -> bool:
        """Return whether to go on from the last fit; one to a constant target learnt nothing."""
        return super()._continues() and bool(np.all(self.y_scale_))

    def _encode(self, y: np.ndarray) -> np.ndarray:
        scaled = (y - self.y_mean_) / np.where(self.y_scale_ > 0, self.y_scale_, 1.0)
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
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features; scale them (``StandardScaler``). Learnt in float32.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
            Targets; predictions have the same number of dimensions.
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
        self : MLPRegressor

        Raises
        ------
        DataError
            If X or y holds NaN or infinity (the message names the index), the rows do not suffice
            for a validation part, or the loss diverges.
        """
        X = self._check_features(X, reset=not self._continues())
        y = self._check_y(y, X)
        X_val = self._check_validation_features(X_val, y_val)
        if X_val is not None:
            y_val = self._check_y(y_val, X_val, "y_val")
            check_same_width(y_val, y)
        table = Table(
            X,
            y,
            weight=self._check_weight(sample_weight, X),
            groups=self._check_groups(groups, X, X_val),
            strata=None,
            X_val=X_val,
            y_val=y_val,
        )
        self._train(table, n_outputs=1 if y.ndim == 1 else y.shape[1])
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict the target.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features.
        return_std : bool, default=False
            Whether to return the spread between the networks of an ensemble as well.

        Returns
        -------
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            Predictions, averaged over networks.
        std : ndarray of the same shape
            Only with `return_std`: standard deviation between networks, in the target's units. It
            says where the training rows leave the networks free to disagree. It is no error bar:
            it holds neither the noise of the measurements nor what all networks miss alike. For
            intervals that hold, see `esmlearn.conformal.HomologyConformalRegressor`, which can
            scale its errors by it.

        Raises
        ------
        DataError
            If X holds NaN or infinity, or `return_std` is asked of fewer than two networks.
        """
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
