"""What benchmarks/long_tail.py compares: regressors, and ways to make them see the rare rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
from imblearn.pipeline import make_pipeline
from sklearn.base import clone
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from esmlearn.neural_network import MLPRegressor
from esmlearn.over_sampling import (
    GaussianNoiseOverSampler,
    RegionOverSampler,
    RegionUnderSampler,
    RelevanceSampler,
    TargetRegions,
    TwoStageRegressor,
)

Fit = Callable[[Any, np.ndarray, np.ndarray, np.ndarray], Any]
BETAS = ("break-even", 0.5, 1.0)


def regressors(n_trees: int) -> dict[str, Any]:
    """Models that are treated; the last is there for what losses do."""
    return {
        "ridge": Ridge(300.0),
        "svr": SVR(C=20.0, gamma="scale"),
        "forest": RandomForestRegressor(
            n_trees, min_samples_leaf=2, max_features=0.1, random_state=0
        ),
        "mlp": MLPRegressor(random_state=0),
        "boosting": HistGradientBoostingRegressor(max_features=0.2, random_state=0),
    }


def first_stage(name: str) -> Any:
    """Classifier that finds the rare rows; None is the package's own."""
    if name == "linear":
        return make_pipeline(
            StandardScaler(), LogisticRegression(C=1e-3, class_weight="balanced", max_iter=300)
        )
    if name == "histogram":
        return HistGradientBoostingClassifier(
            max_iter=60, learning_rate=0.1, max_features=0.2, class_weight="balanced"
        )
    return None


def resamplers(edge: float) -> dict[str, Any]:
    """Samplers by name; all know the same region."""
    here = {"regions": [edge], "rare": [1], "random_state": 0}
    found = {
        f"{name} +{level} %": RegionOverSampler(name, level=level, **here)
        for name in ("random", "smote", "adasyn")
        for level in (100, 200, 300, 1000)
    }
    for kind in ("within", "between"):
        found[f"smote {kind} families +300 %"] = RegionOverSampler(level=300, families=kind, **here)
    found["noise +300 %"] = GaussianNoiseOverSampler(level=300, **here)
    found["keep 30 % of the rest"] = RegionUnderSampler(keep=30, **here)
    upper = TargetRegions(tail="upper")
    found["relevance +50 -50 %"] = RelevanceSampler(regions=upper, random_state=0)
    return found


def two_stages(edge: float, first: str) -> dict[str, tuple[TwoStageRegressor, Any]]:
    """Two-stage regression by name, and what over-samples for its regressors.

    The regressor of the tail alone is over-sampled too, where nothing but members is.
    """
    named = "" if first == "svm" else f", {first}"
    here = {"regions": [edge], "rare": [1], "random_state": 0}
    more = RegionOverSampler("random", level=300, **here)
    kinds = {"": ("all", None), " on usual rows": ("usual", None), " + random": ("all", more)}
    here["classifier"] = first_stage(first)
    made = {
        f"two stages{kind}{named}, {beta if isinstance(beta, str) else f'beta {beta}'}": (
            TwoStageRegressor(beta=beta, fit_usual_on=rows, **here),
            sampler,
        )
        for kind, (rows, sampler) in kinds.items()
        for beta in BETAS
    }
    made[f"two stages{named}, ensemble, break-even"] = TwoStageRegressor(ensemble=3, **here), None
    return made


def losses(name: str) -> dict[str, dict[str, Any]]:
    """Losses that weight the tail, of the regressors that have one, as their parameters."""
    if name == "mlp":
        return {"balanced squared error": {"loss": "balanced_mse"}}
    if name == "boosting":
        return {f"quantile {q}": {"loss": "quantile", "quantile": q} for q in (0.75, 0.9)}
    return {}


def strategies(edge: float, regressor: str, first: str) -> dict[str, Fit]:
    """Functions ``(regressor, X, y, groups) -> fitted model`` by name."""
    made: dict[str, Fit] = {"none": lambda model, X, y, groups: model.fit(X, y)}
    for name, sampler in resamplers(edge).items():
        made[name] = _resampled(sampler)
    for alpha in (0.5, 1.0):
        made[f"DenseWeight {alpha}"] = _weighted(alpha)
    made["ensemble of balanced sets"] = lambda model, X, y, groups: _Ensemble(model, edge).fit(X, y)
    for name, params in losses(regressor).items():
        made[name] = lambda model, X, y, groups, params=params: model.set_params(**params).fit(X, y)
    for name, (stages, sampler) in two_stages(edge, first).items():
        made[name] = _staged(stages, sampler)
    return made


def _resampled(sampler: Any) -> Fit:
    def fit(model: Any, X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Any:
        needs_groups = getattr(sampler, "families", "any") != "any"
        return model.fit(
            *clone(sampler).fit_resample(X, y, **({"groups": groups} if needs_groups else {}))
        )

    return fit


def _weighted(alpha: float) -> Fit:
    def fit(model: Any, X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Any:
        return model.fit(X, y, sample_weight=TargetRegions().fit(y).weights(y, alpha=alpha))

    return fit


def _staged(stages: TwoStageRegressor, sampler: Any) -> Fit:
    def fit(model: Any, X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Any:
        regressor = make_pipeline(sampler, model) if sampler else model
        return clone(stages).set_params(regressor=regressor).fit(X, y, groups=groups)

    return fit


class _Ensemble:
    """Mean of models that each see all rare rows and as many others (REBAGG)."""

    def __init__(self, model: Any, edge: float, n_models: int = 10) -> None:
        self.model, self.edge, self.n_models = model, edge, n_models

    def fit(self, X: np.ndarray, y: np.ndarray) -> "_Ensemble":
        rng = np.random.default_rng(0)
        rare, usual = np.flatnonzero(y >= self.edge), np.flatnonzero(y < self.edge)
        draws = [np.r_[rare, rng.choice(usual, len(rare))] for _ in range(self.n_models)]
        self.models = [clone(self.model).fit(X[rows], y[rows]) for rows in draws]
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.mean([model.predict(X) for model in self.models], axis=0)
