"""The network against scikit-learn's models on the same features and homology folds.

Numbers: ridge, SGD, random forest, SVM and the network, and logistic regression on quintiles of the
target, which predicts a bin's mean. Classes: logistic regression, ridge, SGD, random forest, SVM
and the network. Baselines choose their regularisation by an inner search over homology groups; the
network runs with its defaults, and with an ensemble of five. Written are the metrics per fold and,
for each baseline, the network's paired differences.

    python benchmarks/baselines.py --data topt.csv.gz --model esm2_t6_8M_UR50D
    python benchmarks/baselines.py --data scl2205.csv.gz --rows 6000
"""

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _proteins import make_features, read_table
from _report import machine, write_result
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import (
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    mean_absolute_error,
    r2_score,
)
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from esmlearn.clustering import homology_graph
from esmlearn.metrics import spearman
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.neural_network import MLPClassifier, MLPRegressor
from esmlearn.pipeline import Pipeline

NETWORK = "network"
ENSEMBLE = "network, ensemble of 5"


class BinnedLogisticRegression(RegressorMixin, BaseEstimator):
    """Logistic regression on quintiles of the target; predicts the expected mean of the bin."""

    def __init__(self, C: float = 1.0) -> None:
        self.C = C

    def fit(self, X: np.ndarray, y: np.ndarray) -> "BinnedLogisticRegression":
        bins = np.searchsorted(np.unique(np.quantile(y, [0.2, 0.4, 0.6, 0.8])), y, side="right")
        self.model_ = LogisticRegression(C=self.C, max_iter=300).fit(X, bins)
        self.means_ = np.array([y[bins == b].mean() for b in self.model_.classes_])
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.model_.predict_proba(X) @ self.means_


# name: (estimator, grid)
REGRESSORS: dict[str, tuple[Any, dict[str, list[Any]]]] = {
    "ridge": (Ridge(), {"model__alpha": [10, 100, 1000, 10_000]}),
    "SGD": (SGDRegressor(random_state=0), {"model__alpha": [1e-3, 1e-2, 1e-1, 1]}),
    "random forest": (RandomForestRegressor(200, max_features=0.1, random_state=0), {}),
    "SVM": (SVR(), {"model__C": [3, 10, 30]}),
    "logistic regression on quintiles": (
        BinnedLogisticRegression(),
        {"model__C": [1e-4, 1e-3, 1e-2]},
    ),
    NETWORK: (MLPRegressor(random_state=0), {}),
    ENSEMBLE: (MLPRegressor(n_estimators=5, random_state=0), {}),
}
CLASSIFIERS: dict[str, tuple[Any, dict[str, list[Any]]]] = {
    "logistic regression": (LogisticRegression(max_iter=300), {"model__C": [1e-3, 1e-2, 1e-1]}),
    "ridge": (RidgeClassifier(), {"model__alpha": [10, 100, 1000, 10_000]}),
    "SGD": (SGDClassifier(random_state=0), {"model__alpha": [1e-3, 1e-2, 1e-1]}),
    "random forest": (RandomForestClassifier(200, random_state=0), {}),
    "SVM": (SVC(), {"model__C": [1, 3, 10]}),
    NETWORK: (MLPClassifier(random_state=0), {}),
    ENSEMBLE: (MLPClassifier(n_estimators=5, random_state=0), {}),
}
NUMBER_METRICS: dict[str, Callable[..., float]] = {
    "r2": r2_score,
    "mae": mean_absolute_error,
    "spearman": spearman,
}
CLASS_METRICS: dict[str, Callable[..., float]] = {
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
    "macro_f1": lambda y, p: f1_score(y, p, average="macro"),
}


def fit(
    name: str,
    model: tuple[Any, dict[str, list[Any]]],
    X: np.ndarray,
    y: np.ndarray,
    sequences: np.ndarray,
    groups: np.ndarray,
) -> Any:
    estimator, grid = model
    steps = [("scale", StandardScaler()), ("model", clone(estimator))]
    if name.startswith(NETWORK):
        return Pipeline(steps, validation=0.1).fit(X, y, validation__groups=sequences)
    if not grid:
        return Pipeline(steps).fit(X, y)
    return GridSearchCV(Pipeline(steps), grid, cv=GroupKFold(3)).fit(X, y, groups=groups)


def paired(rows: list[dict[str, Any]], network: str, metrics: list[str]) -> dict[str, Any]:
    """Return, per other model and metric, the network's score minus the model's over folds."""
    by_model = {
        n: [r for r in rows if r["model"] == n] for n in dict.fromkeys(r["model"] for r in rows)
    }
    table: dict[str, Any] = {}
    for name, own in by_model.items():
        if name == network:
            continue
        table[name] = {}
        for metric in metrics:
            pairs = zip(by_model[network], own, strict=True)
            differences = np.array([ours[metric] - theirs[metric] for ours, theirs in pairs])
            table[name][metric] = {
                "mean": float(differences.mean()),
                "standard_error": float(differences.std(ddof=1) / np.sqrt(len(differences))),
                "per_fold": differences.tolist(),
            }
    return table


def evaluate(
    sequences: np.ndarray, X: np.ndarray, y: np.ndarray, n_folds: int
) -> list[dict[str, Any]]:
    numbers = y.dtype.kind == "f"
    models, metrics = (REGRESSORS, NUMBER_METRICS) if numbers else (CLASSIFIERS, CLASS_METRICS)
    graph = homology_graph(sequences, identity=0.3)
    groups = graph.components()[graph.node_of(sequences)]
    rows = []
    folds = CDHitGroupSplitter(n_folds, identity=0.3, random_state=0).split(sequences, y)
    for fold, (train, test) in enumerate(folds):
        for name, model in models.items():
            start = time.perf_counter()
            fitted = fit(name, model, X[train], y[train], sequences[train], groups[train])
            seconds = time.perf_counter() - start
            scores = {m: float(f(y[test], fitted.predict(X[test]))) for m, f in metrics.items()}
            rows.append({"fold": fold, "model": name, "fit_seconds": seconds, **scores})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="CSV with the columns sequence and target")
    parser.add_argument("--model", default="composition", help="'composition', or an ESM model")
    parser.add_argument("--rows", type=int, help="a random sample of that many rows")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="400 rows, 2 folds")
    args = parser.parse_args()
    if args.quick:
        args.rows, args.folds = 400, 2
    warnings.simplefilter("ignore", ConvergenceWarning)
    sequences, y = read_table(args.data, n_rows=args.rows)
    rows = evaluate(sequences, make_features(sequences, args.model), y, args.folds)
    metrics = list(NUMBER_METRICS if y.dtype.kind == "f" else CLASS_METRICS)
    names = dict.fromkeys(r["model"] for r in rows)
    result = {
        "data": Path(args.data).name,
        "rows": len(y),
        "features": args.model if args.model == "composition" else Path(args.model).name,
        "machine": machine(),
        "mean": {
            n: {
                m: float(np.mean([r[m] for r in rows if r["model"] == n]))
                for m in [*metrics, "fit_seconds"]
            }
            for n in names
        },
        "network_minus_others": paired(rows, NETWORK, metrics),
        "ensemble_minus_others": paired(rows, ENSEMBLE, metrics),
        "folds": rows,
    }
    write_result(f"baselines_{Path(args.data).name.split('.')[0]}", result, quick=args.quick)


if __name__ == "__main__":
    main()
