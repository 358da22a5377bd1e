"""Candidates of a study: models, resamplers, levels, and the pipeline each combination becomes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.linear_model import (
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR

from esmlearn.exceptions import DataError
from esmlearn.study._baselines import RegionLogisticRegression
from esmlearn.study._covariates import SequenceAndCovariates, kinds_of
from esmlearn.study._data import StudyData
from esmlearn.study._metrics import Metric, StudyScorer

#: The yardstick of a study that has covariates: the simplest model on them, without the sequence.
COVARIATES = "covariates"
#: From simple to complex: of models that cannot be told apart the first is kept.
COMPLEXITY = ["dummy", COVARIATES, "ridge", "logistic", "sgd", "svm", "forest", "network"]
#: Models that ignore the sequence: every candidate is compared with them, and none is kept.
YARDSTICKS = ("dummy", COVARIATES)
#: Most proteins for which ``svm`` has a kernel: its cost grows with their square.
KERNEL_LIMIT = 10_000


@dataclass(frozen=True)
class Candidate:
    """One model with one way of resampling.

    Attributes
    ----------
    model : str
        Name of the model.
    resampler : str
        ``"none"``, or a sampler's name; ``"tuned"`` if an inner search chooses it.
    level : int
        Rows added to rare regions, in per cent; 0 without resampling.
    """

    model: str
    resampler: str = "none"
    level: int = 0

    @property
    def name(self) -> str:
        """Short name, as in the tables."""
        if self.resampler in ("none", "tuned"):
            return self.model if self.resampler == "none" else f"{self.model}-tuned"
        return f"{self.model}-{self.resampler}-{self.level}"

    @property
    def title(self) -> str:
        """Name for people."""
        if self.model == COVARIATES:
            return "covariates alone, without the sequence"
        if self.resampler == "none":
            return f"{self.model}, no over-sampling"
        if self.resampler == "tuned":
            return f"{self.model}, over-sampling tuned inside"
        return f"{self.model}, {self.resampler} +{self.level}\N{NO-BREAK SPACE}%"


def check_candidates(
    models: Any,
    resamplers: Sequence[str],
    levels: Sequence[int],
    *,
    tuned: bool = False,
    keep: str | None = None,
) -> None:
    """Refuse unknown candidates at once, and not after the search and the embedding."""
    from esmlearn.over_sampling._imblearn.adapter import SAMPLERS

    if len(models) == 0:
        raise DataError(f"models is empty; expected names out of {', '.join(COMPLEXITY)}.")
    offered = [name for name in COMPLEXITY if name != COVARIATES]
    named = models if isinstance(models, list | tuple) else []
    for parameter, names, known in [
        ("models", named, offered),
        ("resamplers", resamplers, list(SAMPLERS)),
    ]:
        for name in names:
            if name not in known:
                raise DataError(
                    f"{parameter} has {name!r}; expected names out of {', '.join(known)}."
                )
    own = models if isinstance(models, dict) else {}
    if COVARIATES in own or not isinstance(
        own.get("dummy", DummyRegressor()), DummyRegressor | DummyClassifier
    ):
        raise DataError(
            f"models has a model of your own called 'dummy' or {COVARIATES!r}, which are the names "
            "of the study's yardsticks; expected another name."
        )
    for level in levels:
        if not isinstance(level, Integral) or level < 1:
            raise DataError(f"levels has {level!r}; expected whole per cents of 1 or more.")
    if keep is not None:
        chosen = dict.fromkeys(["dummy", *(offered if models == "all" else models)])
        listed = list_candidates(chosen, resamplers, levels, tuned=tuned)
        names = [candidate.name for candidate in listed]
        if keep not in names:
            raise DataError(f"keep is {keep!r}; expected a candidate: one of {', '.join(names)}.")


def list_candidates(
    models: Iterable[str], resamplers: Sequence[str], levels: Sequence[int], *, tuned: bool
) -> list[Candidate]:
    """Return every model without and with every resampler and level.

    Yardsticks are not resampled: the dummy, which ignores the protein, and covariates alone.
    """
    candidates = []
    for model in models:
        candidates.append(Candidate(model))
        if model not in YARDSTICKS:
            candidates += [Candidate(model, r, level) for r in resamplers for level in levels]
            if tuned and resamplers:
                candidates.append(Candidate(model, "tuned"))
    return candidates


def default_models(
    task: str, *, regions: Any = None, n_sequences: int = 0, random_state: int = 0
) -> dict[str, Any]:
    """Return the baselines and the network of the method.

    Parameters
    ----------
    task : {"regression", "classification"}
        What is predicted.
    regions : TargetRegions or None, default=None
        Regions of a continuous target, for the logistic regression.
    n_sequences : int, default=0
        Number of proteins. The support vector machine has a radial kernel up to 10,000 of them,
        and is linear beyond: the cost of a kernel grows with the square of their number.
    random_state : int, default=0
        Seed of every model that draws.

    Returns
    -------
    models : dict of str to estimator
        ``dummy``, ``logistic``, ``sgd``, ``ridge``, ``svm``, ``forest`` and ``network``; all take
        scaled embeddings.

    Examples
    --------
    >>> from esmlearn.study import default_models
    >>> list(default_models("classification"))
    ['dummy', 'logistic', 'sgd', 'ridge', 'svm', 'forest', 'network']
    """
    forest = {"n_estimators": 300, "min_samples_leaf": 3, "random_state": random_state}
    has_kernel = n_sequences <= KERNEL_LIMIT
    if task == "regression":
        from esmlearn.neural_network import MLPRegressor

        # The step of a squared loss grows with the number of features, until it diverges; a Huber
        # loss bounds it, once the target is scaled. Averaging damps what still oscillates.
        sgd = SGDRegressor(
            loss="huber", epsilon=1.0, alpha=1e-2, average=True, random_state=random_state
        )
        svm = SVR() if has_kernel else LinearSVR(C=1e-3, random_state=random_state)
        return {
            "dummy": DummyRegressor(),
            "logistic": RegionLogisticRegression(C=0.01, regions=regions),
            "sgd": TransformedTargetRegressor(sgd, transformer=StandardScaler()),
            "ridge": Ridge(alpha=300.0),
            "svm": TransformedTargetRegressor(svm, transformer=StandardScaler()),
            # A third of the features: a single covariate among them must be seen by most splits.
            "forest": ExtraTreesRegressor(max_features=1 / 3, **forest),
            "network": MLPRegressor(random_state=random_state),
        }
    from esmlearn.neural_network import MLPClassifier

    return {
        "dummy": DummyClassifier(strategy="prior"),
        "logistic": LogisticRegression(C=0.01, max_iter=500),
        "sgd": SGDClassifier(loss="log_loss", alpha=1e-2, random_state=random_state),
        "ridge": RidgeClassifier(alpha=300.0),
        "svm": SVC() if has_kernel else LinearSVC(C=1e-3, random_state=random_state),
        "forest": ExtraTreesClassifier(max_features="sqrt", **forest),
        "network": MLPClassifier(random_state=random_state),
    }


@dataclass(frozen=True)
class PipelineFactory:
    """Builds the one pipeline that each candidate is.

    Attributes
    ----------
    embedder : estimator
        Unfitted `ESMEmbedder`.
    models : dict of str to estimator
        Unfitted models.
    regions : TargetRegions or None
        Unfitted regions of a continuous target; learned from each training part.
    target : {"continuous", "classes"}
        What is resampled.
    validation : cross-validator or None
        How the network's validation part is drawn.
    inner : cross-validator or None
        Folds of the inner search, for tuned candidates.
    grid : dict
        Resamplers and levels of the inner search.
    scoring : Any
        Scorer of the inner search.
    random_state : int
        Seed of the resampler.
    numbers, categories : list of str
        Columns used beside the sequence.
    """

    embedder: Any
    models: dict[str, Any]
    regions: Any
    target: str
    validation: Any
    inner: Any = None
    grid: dict[str, list[Any]] | None = None
    scoring: Any = None
    random_state: int = 0
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    def __call__(self, candidate: Candidate) -> Any:
        """Return the unfitted pipeline of a candidate."""
        from esmlearn.over_sampling import RegionOverSampler
        from esmlearn.pipeline import Pipeline

        off = candidate.resampler in ("none", "tuned")
        resample = RegionOverSampler(
            None if off else candidate.resampler,
            level=candidate.level or 100,
            regions=self.regions,
            target=self.target,
            random_state=self.random_state,
        )
        model = clone(self.models[candidate.model])
        pipeline = Pipeline(
            [*self._features(candidate), ("resample", resample), ("model", model)],
            validation=self.validation if takes_validation(model) else None,
        )
        if candidate.resampler != "tuned":
            return pipeline
        return GridSearchCV(
            pipeline, self.grid, cv=self.inner, scoring=self.scoring, error_score="raise"
        )

    def _features(self, candidate: Candidate) -> list[tuple[str, Any]]:
        """Return the steps that make features of proteins."""
        if not self.numbers and not self.categories:
            return [("embed", clone(self.embedder)), ("scale", StandardScaler())]
        embedder = None if candidate.model == COVARIATES else clone(self.embedder)
        columns = {"numbers": self.numbers, "categories": self.categories}
        return [("features", SequenceAndCovariates(embedder, **columns))]


def embedder_of(pipeline: Any) -> Any:
    """Return the embedder of a pipeline that a `PipelineFactory` made."""
    first = getattr(pipeline, "best_estimator_", pipeline).steps[0][1]
    return first.embedder if isinstance(first, SequenceAndCovariates) else first


def takes_validation(model: Any) -> bool:
    """Return whether a model is trained with early stopping on a validation part."""
    return hasattr(model, "early_stopping") and hasattr(model, "hidden_layer_sizes")


def make_factory(
    parameters: dict[str, Any], data: StudyData, embedder: Any, metric: Metric
) -> PipelineFactory:
    """Return the pipelines of a study with these parameters whose data are prepared."""
    from esmlearn.model_selection import CDHitGroupSplitter, CDHitShuffleSplit

    seed = parameters["random_state"]
    homology = {name: parameters[name] for name in ("identity", "coverage")}
    homology["random_state"] = seed
    regions = None if data.regions is None else clone(data.regions)
    known = default_models(data.task, regions=regions, n_sequences=len(data.y), random_state=seed)
    models = parameters["models"]
    if not isinstance(models, dict):
        models = known if models == "all" else {name: known[name] for name in models}
    models = {"dummy": known["dummy"], **models}
    numbers, categories = kinds_of(data.features)
    if numbers or categories:
        models = {**models, COVARIATES: _on_covariates(data.task)}
    return PipelineFactory(
        embedder=clone(embedder).set_params(n_jobs=None, verbose=0),
        models=models,
        regions=regions,
        target="classes" if regions is None else "continuous",
        validation=CDHitShuffleSplit(1, test_size=parameters["validation"], **homology),
        inner=CDHitGroupSplitter(parameters["n_inner_splits"], **homology),
        grid={
            "resample__sampler": [None, *parameters["resamplers"]],
            "resample__level": list(parameters["levels"]),
        },
        scoring=StudyScorer(metric, data),
        random_state=seed,
        numbers=numbers,
        categories=categories,
    )


def _on_covariates(task: str) -> Any:
    """Return the model that sees nothing but the covariates."""
    if task == "regression":
        return RidgeCV(np.logspace(-2, 4, 7))
    return LogisticRegression(max_iter=500)
