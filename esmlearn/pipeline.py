"""A Pipeline that keeps a validation part of real rows for the early stopping of its last step."""

import sys
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import partial
from inspect import signature
from numbers import Real
from typing import Any

import numpy as np
from imblearn.pipeline import Pipeline as _ImblearnPipeline
from sklearn.base import _fit_context
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import _name_estimators
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils._user_interface import _print_elapsed_time
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, _routing_enabled
from sklearn.utils.validation import _check_method_params, _num_samples

from esmlearn.exceptions import DataError, InsufficientComponentsError
from esmlearn.utils._sequence_column import sequence_columns
from esmlearn.utils._sequences import is_sequence_like
from esmlearn.utils._warn import warn

__all__ = ["Pipeline", "make_pipeline"]


class Pipeline(_ImblearnPipeline):
    """imbalanced-learn's Pipeline with a validation part that no step has learnt from.

    A network that stops early needs rows to stop by. Behind a sampler it sees only resampled rows;
    whatever it splits off contains copies and interpolations of what it trains on, and close
    homologs besides. Only the pipeline sees both the raw rows and the last step. So it draws the
    validation part first, fits every step on the rest, transforms the validation part without
    resampling it, and hands it to the last step as ``X_val, y_val``. Without `validation` nothing
    differs from imbalanced-learn's Pipeline.

    Parameters
    ----------
    steps : list of (str, estimator)
        As in imbalanced-learn: transformers and samplers, then the final estimator.
    validation : None, float or splitter, default=None
        How the validation part is drawn from the rows given to `fit`.

        - None: it is not; plain imbalanced-learn.
        - a fraction from 0 to 1: whole homology components are drawn by
          ``CDHitShuffleSplit(test_size=fraction, random_state=0)``, stratified by the target (not
          by several targets). X must be sequences, or `fit` gets them as ``validation__groups``.
          Under a `CDHitGroupSplitter` with the same homology parameters its graph is used again.
        - a splitter: its first split is taken. It gets its ``groups`` from `fit` as
          ``validation__groups`` or, with metadata routing, as ``groups``.
    transform_input : list of str, default=None
        As in imbalanced-learn.
    memory : None, str or object with the joblib.Memory interface, default=None
        As in imbalanced-learn.
    verbose : bool, default=False
        As in imbalanced-learn.

    Attributes
    ----------
    train_indices_ : ndarray of int
        Rows that the steps were fitted on; only with `validation`.
    validation_indices_ : ndarray of int
        Rows that went to the final step as ``X_val, y_val``; only with `validation`.
    classes_, n_features_in_, feature_names_in_, named_steps
        As in imbalanced-learn.

    See Also
    --------
    make_pipeline : The same without names.
    esmlearn.neural_network.MLPRegressor : A final step that takes ``X_val, y_val``.

    Notes
    -----
    The final step must take a validation part: a ``fit`` with the parameters ``X_val`` and
    ``y_val`` (esmlearn's networks, scikit-learn's histogram gradient boosting) or ``eval_set``
    (XGBoost, LightGBM, CatBoost), or a skorch net, whose ``train_split`` is set for the fit.
    Metadata with one value per row, such as ``sample_weight``, is cut to the training rows; where
    the final step takes ``sample_weight_val`` it gets the rest. A step behind a sampler cannot be
    given any. XGBoost and LightGBM stop early only with ``early_stopping_rounds`` (LightGBM:
    ``early_stopping_round``); without, a warning says that they did not.

    Examples
    --------
    >>> import numpy as np
    >>> from imblearn.over_sampling import SMOTE
    >>> from sklearn.model_selection import GroupShuffleSplit
    >>> from sklearn.preprocessing import StandardScaler
    >>> from esmlearn.neural_network import MLPClassifier
    >>> from esmlearn.pipeline import Pipeline
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], [90, 30])
    >>> X = rng.normal(y[:, None], 1.0, size=(120, 8))
    >>> families = np.arange(120) // 3
    >>> model = Pipeline(
    ...     [("scale", StandardScaler()),
    ...      ("resample", SMOTE(random_state=0)),
    ...      ("net", MLPClassifier((16,), max_iter=20, random_state=0))],
    ...     validation=GroupShuffleSplit(1, test_size=0.2, random_state=0),
    ... ).fit(X, y, validation__groups=families)
    >>> np.intersect1d(families[model.train_indices_], families[model.validation_indices_]).size
    0
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **_ImblearnPipeline._parameter_constraints,
        "validation": [
            None,
            Interval(Real, 0, 1, closed="neither"),
            HasMethods(["split", "get_n_splits"]),
        ],
    }

    def __init__(
        self,
        steps: list[tuple[str, Any]],
        *,
        validation: Any = None,
        transform_input: list[str] | None = None,
        memory: Any = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(steps, transform_input=transform_input, memory=memory, verbose=verbose)
        self.validation = validation

    def _refuse_metadata_behind_sampler(self, X: Any, params: dict[str, Any]) -> None:
        """Refuse values per row for steps that get other rows."""
        if not params:
            return
        n_rows, sampler = _num_samples(X), None
        routed = self._check_method_params("fit", params)
        for name, step in self.steps:
            if sampler is not None:
                for key, value in routed[name].get("fit", {}).items():
                    if np.ndim(value) > 0 and len(value) == n_rows and not key.endswith("_val"):
                        raise DataError(
                            f"{key} for the step {name!r} has one value per row of X, but the "
                            f"sampler {sampler!r} before it resamples the rows; expected none. "
                            f"Leave out the sampler, or {key}: DenseWeightRegressor weights rows "
                            f"by their target instead of resampling them."
                        )
            if hasattr(step, "fit_resample"):
                sampler = name

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> "Pipeline":
        """Fit all steps on the training rows, the last one with the validation part.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            What the first step takes: sequences, or numbers.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs), default=None
            Targets.
        **params : dict
            Parameters of the steps' fit, named ``step__parameter`` (or, with metadata routing, the
            metadata that steps request). ``validation__groups`` goes to the splitter.

        Returns
        -------
        self : Pipeline

        Raises
        ------
        DataError
            If the rows cannot be split: a fraction for X that is not sequences, or a splitter
            whose parts are empty or overlap. If a step behind a sampler is given one value per row.
        TypeError
            If the final step cannot take a validation part.
        """
        for name in ("train_indices_", "validation_indices_"):
            self.__dict__.pop(name, None)
        if self.validation is None:
            self._refuse_metadata_behind_sampler(X, params)
            super().fit(X, y, **params)
            return self
        if self.transform_input is not None and not _routing_enabled():
            raise ValueError(
                "transform_input needs metadata routing; enable it with "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        self._validate_steps()
        hand_over = _hand_over_to(self._final_estimator)
        X, y = indexable(X, y)
        params, split_params = self._route_split(params)
        self._refuse_metadata_behind_sampler(X, params)
        train, held = self._draw_validation(X, y, split_params)
        X_train, y_train, fit_params = self._fit_on(X, y, params, train)
        X_val, fit_params_val = self._transform_held(X, params, held)
        y_val = None if y is None else _safe_indexing(y, held)
        with _print_elapsed_time("Pipeline", self._log_message(len(self.steps) - 1)):
            hand_over(_LastFit(X_train, y_train, X_val, y_val, fit_params, fit_params_val))
        self.train_indices_, self.validation_indices_ = train, held
        return self

    def __getitem__(self, ind: Any) -> Any:
        """Return a step, or part of the pipeline; it validates if the final step is in it."""
        part = super().__getitem__(ind)
        if isinstance(ind, slice) and part.steps and part.steps[-1] is self.steps[-1]:
            part.validation = self.validation
        return part

    def _fit(self, X: Any, y: Any = None, routed_params: Any = None, raw_params: Any = None) -> Any:
        """Fit all but the last step; what `fit_transform` and its like come through."""
        if self.validation is not None:
            raise TypeError(
                "a Pipeline with validation can only be fitted by fit, which hands the validation "
                "part to the final step. Set validation=None to use fit_transform, fit_predict or "
                "fit_resample."
            )
        return super()._fit(X, y, routed_params, raw_params)

    def _route_split(self, params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the parameters of the steps and those of the splitter."""
        if _routing_enabled():
            return params, dict(self._check_method_params("fit", params)["validation"]["split"])
        prefix = "validation__"
        own = {k.removeprefix(prefix): v for k, v in params.items() if k.startswith(prefix)}
        return {k: v for k, v in params.items() if not k.startswith(prefix)}, own

    def _splitter(self) -> Any:
        """Return the splitter that draws the validation part."""
        if not isinstance(self.validation, Real):
            return copy(self.validation)  # what a splitter remembers of a split is none of ours
        from esmlearn.model_selection import CDHitShuffleSplit

        return CDHitShuffleSplit(
            n_splits=1,
            test_size=float(self.validation),
            random_state=0,
        )

    def _draw_validation(
        self, X: Any, y: Any, split_params: dict[str, Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows to fit on and the rows to validate on."""
        splitter = self._splitter()
        is_fraction = isinstance(self.validation, Real)
        holds_sequences = is_sequence_like(X) or bool(sequence_columns(X))
        if is_fraction and not split_params and not holds_sequences:
            name = "groups" if _routing_enabled() else "validation__groups"
            raise DataError(
                f"validation={self.validation} draws a homology-disjoint part, which needs "
                f"sequences, but X is of type {type(X).__name__} and does not hold str; expected "
                f"sequences. Put the embedder into the pipeline, pass the sequences of X as "
                f"fit(..., {name}=sequences), or set validation to a splitter."
            )
        try:
            parts = [np.asarray(part) for part in next(iter(splitter.split(X, y, **split_params)))]
        except InsufficientComponentsError as error:
            raise InsufficientComponentsError(
                f"validation={self.validation!r}: {error} In a Pipeline also: (4) set "
                f"validation=None, or a splitter of another kind."
            ) from error
        train, held = (np.flatnonzero(p) if p.dtype == bool else p for p in parts)
        overlap = np.intersect1d(train, held)
        if len(train) == 0 or len(held) == 0 or len(overlap) > 0:
            raise DataError(
                f"{type(splitter).__name__} gave {len(train)} training and {len(held)} validation "
                f"rows with {len(overlap)} in common; expected two parts that are not empty and "
                f"have no row in common."
            )
        return train, held

    def _fit_on(
        self, X: Any, y: Any, params: dict[str, Any], rows: np.ndarray
    ) -> tuple[Any, Any, dict[str, Any]]:
        """Fit all but the last step on some rows; return what the last step is fitted with."""
        params = _check_method_params(X, params, rows)
        routed = self._check_method_params("fit", params)
        X, y = _safe_indexing(X, rows), None if y is None else _safe_indexing(y, rows)
        X, y = super()._fit(X, y, routed, raw_params=params)
        final = self._get_metadata_for_step(
            step_idx=len(self) - 1, step_params=routed[self.steps[-1][0]], all_params=params
        )
        return X, y, dict(final["fit"])

    def _transform_held(
        self, X: Any, params: dict[str, Any], rows: np.ndarray
    ) -> tuple[Any, dict[str, Any]]:
        """Send the validation rows through the fitted transformers; samplers pass them on."""
        routed = self._check_method_params("fit", _check_method_params(X, params, rows))
        X = _safe_indexing(X, rows)
        for _, name, step in self._iter(with_final=False):
            X = step.transform(X, **routed[name].get("transform", {}))
        return X, dict(routed[self.steps[-1][0]]["fit"])

    def get_metadata_routing(self) -> MetadataRouter:
        """Return the routing of the steps' metadata, and of the splitter's.

        Returns
        -------
        routing : MetadataRouter
        """
        router = super().get_metadata_routing()
        if self.validation is not None:
            mapping = MethodMapping().add(caller="fit", callee="split")
            router.add(method_mapping=mapping, validation=self._splitter())
        return router


def _accepts(estimator: Any, *names: str) -> bool:
    """Return whether an estimator's fit has parameters of these names."""
    return set(names) <= set(signature(estimator.fit).parameters)


def _is_skorch_net(estimator: Any) -> bool:
    """Decide without importing skorch: where it was not imported nothing is a net of it."""
    skorch = sys.modules.get("skorch")
    return skorch is not None and isinstance(estimator, skorch.NeuralNet)


@dataclass
class _LastFit:
    """Arguments of the final fit; `params_val` are its metadata of the validation rows."""

    X: Any
    y: Any
    X_val: Any
    y_val: Any
    params: dict[str, Any]
    params_val: dict[str, Any]


def _hand_over_to(final: Any) -> Callable[[_LastFit], None]:
    """Return the function that fits the final step with a validation part."""
    if _is_skorch_net(final):
        return partial(_fit_skorch, final)
    if hasattr(final, "fit") and _accepts(final, "X_val", "y_val"):
        return partial(_fit_with_validation, final)
    if hasattr(final, "fit") and _accepts(final, "eval_set"):
        return partial(_fit_with_eval_set, final)
    remedy = "Set validation=None: every row is then trained on."
    if isinstance(final, TransformedTargetRegressor):
        remedy = (
            "Wrap the whole pipeline: TransformedTargetRegressor(Pipeline(..., validation=...))."
        )
    raise TypeError(
        f"the final step {final!r} cannot take a validation part; expected a fit with the "
        f"parameters X_val and y_val, or eval_set, or a skorch net. {remedy}"
    )


def _fit_with_validation(final: Any, fit: _LastFit) -> None:
    params = dict(fit.params)
    if "sample_weight" in fit.params_val and _accepts(final, "sample_weight_val"):
        params.setdefault("sample_weight_val", fit.params_val["sample_weight"])
    final.fit(fit.X, fit.y, X_val=fit.X_val, y_val=fit.y_val, **params)
    if getattr(final, "do_early_stopping_", True) is False:
        warn(
            f"{type(final).__name__} did not use the validation part, because its early_stopping "
            f"is {final.early_stopping!r} ('auto' means off for up to 10,000 rows). Set "
            f"early_stopping=True, or validation=None to train on every row.",
        )


def _fit_with_eval_set(final: Any, fit: _LastFit) -> None:
    params = dict(fit.params)
    if _accepts(final, "eval_X", "eval_y"):  # LightGBM, which calls eval_set deprecated
        params |= {"eval_X": fit.X_val, "eval_y": fit.y_val}
    else:
        params |= {"eval_set": [(fit.X_val, fit.y_val)]}
    verbose = signature(final.fit).parameters.get("verbose")
    if verbose is not None and verbose.default is True:  # XGBoost prints a line per round
        params.setdefault("verbose", False)
    final.fit(fit.X, fit.y, **params)
    if not _chose_rounds(final):
        warn(
            f"{type(final).__name__} did not stop by the validation part, which it was given in "
            f"vain. Set early_stopping_rounds=50 on it (early_stopping_round for LightGBM), or "
            f"validation=None to train on every row.",
        )


def _chose_rounds(final: Any) -> bool:
    """Return whether a boosting model used its validation part; others are believed."""
    libraries = {base.__module__.partition(".")[0] for base in type(final).__mro__}
    if "lightgbm" in libraries:
        return bool(final.best_iteration_)
    return "xgboost" not in libraries or hasattr(final, "best_iteration")


def _fit_skorch(final: Any, fit: _LastFit) -> None:
    from skorch.dataset import Dataset
    from skorch.helper import predefined_split

    own = final.train_split
    final.set_params(train_split=predefined_split(Dataset(fit.X_val, fit.y_val)))
    try:
        final.fit(fit.X, fit.y, **fit.params)
    finally:
        final.set_params(train_split=own)  # the fitted net must not carry the validation rows


def make_pipeline(
    *steps: Any,
    validation: Any = None,
    transform_input: list[str] | None = None,
    memory: Any = None,
    verbose: bool = False,
) -> Pipeline:
    """Make a `Pipeline` whose steps are named after their classes.

    Parameters
    ----------
    *steps : estimators
        Transformers and samplers, then the final estimator.
    validation, transform_input, memory, verbose
        As for `Pipeline`.

    Returns
    -------
    pipeline : Pipeline

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from esmlearn.neural_network import MLPRegressor
    >>> from esmlearn.pipeline import make_pipeline
    >>> list(make_pipeline(StandardScaler(), MLPRegressor(), validation=0.1).named_steps)
    ['standardscaler', 'mlpregressor']
    """
    return Pipeline(
        _name_estimators(steps),
        validation=validation,
        transform_input=transform_input,
        memory=memory,
        verbose=verbose,
    )
