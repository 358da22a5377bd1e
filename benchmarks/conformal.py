"""Do prediction intervals and sets of classes hold on unseen families, also in the sparse tail?

    python benchmarks/conformal.py --data topt.csv.gz --edges 85 --more-edges 30,50,65,85
    python benchmarks/conformal.py --data meltome.csv.gz --rows 5000 --edges 65
    python benchmarks/conformal.py --data scl2205.csv.gz --rows 5000

Embeddings of the bundled model, five homology folds, three seeds of the folds. Within the training
part of each fold a model is calibrated at 90 %, and the intervals of the test part are counted: in
all, and in each region of the target (or each class). Regression: ridge with one quantile of
out-of-fold errors over homology folds; the same over random folds; per region; per region with
errors divided by the distance to training; and, of one seed, an ensemble of five networks with
+-1.645 standard deviations between its members. Classes: logistic
regression with class-conditional sets.
"""

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _proteins import make_features, read_table
from _report import machine, write_result
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import KFold
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from esmlearn.clustering import homology_graph
from esmlearn.conformal import (
    HomologyConformalClassifier,
    HomologyConformalRegressor,
    coverage_report,
)
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.neural_network import MLPRegressor

Fold = tuple[np.ndarray, np.ndarray]


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="table with columns sequence and target")
    parser.add_argument("--rows", type=int, help="a sample of so many rows")
    parser.add_argument("--model", default="esmlearn_mini_v3", help="features: see _proteins.py")
    parser.add_argument("--edges", type=_numbers, default=None, help="regions that are calibrated")
    parser.add_argument("--more-edges", type=_numbers, default=None, help="other regions, too")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the outer folds")
    parser.add_argument("--quick", action="store_true", help="600 rows, one seed; nothing is kept")
    args = parser.parse_args()
    if args.quick:
        args.rows, args.seeds, args.model = 600, 1, "residues"
    return args


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


class Trial:
    """Proteins, their features, and folds of them.

    Parameters
    ----------
    args : argparse.Namespace
        The options.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        sequences, self.y = read_table(args.data, n_rows=args.rows)
        self.sequences = np.array(sequences, dtype=object)
        self.X = make_features(sequences, args.model).astype(np.float64)
        self.graph = homology_graph(sequences)
        self._n_seeds = args.seeds

    def splitter(self, seed: int) -> CDHitGroupSplitter:
        """Return homology folds of any of the proteins."""
        return CDHitGroupSplitter(5, random_state=seed, reference=self.graph)

    def folds(self, n_seeds: int | None = None) -> Iterator[tuple[int, Fold]]:
        """Yield every outer fold with its seed."""
        for seed in range(self._n_seeds if n_seeds is None else n_seeds):
            for fold in self.splitter(seed).split(self.sequences, self.y):
                yield seed, fold

    def coverage(self, model: Any, n_seeds: int | None = None, **parts: Any) -> pd.DataFrame:
        """Return the coverage of a model's sets over all test parts of all seeds."""
        truth, sets = [], []
        for seed, (train, test) in self.folds(n_seeds):
            fitted = self._fit(model, train, seed + 100)
            truth.append(self.y[test])
            sets += list(fitted.predict_set(self.X[test]))
        return coverage_report(np.concatenate(truth), sets, **parts)

    def _fit(self, model: Any, train: np.ndarray, seed: int) -> Any:
        if model.cv == "homology":
            model.set_params(cv=self.splitter(seed))
            fitted = model.fit(self.X[train], self.y[train], groups=self.sequences[train])
            model.set_params(cv="homology")
            return fitted
        return model.fit(self.X[train], self.y[train])


class RidgeWithDistance(RegressorMixin, BaseEstimator):
    """Ridge whose "standard deviation" is the mean distance to the five nearest training rows."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> "RidgeWithDistance":
        """Fit both."""
        self.scaler_ = StandardScaler().fit(X)
        X = self.scaler_.transform(X)
        self.ridge_ = RidgeCV(np.logspace(0, 5, 11)).fit(X, y)
        self.neighbors_ = NearestNeighbors(n_neighbors=5).fit(X)
        return self

    def predict(self, X: np.ndarray, return_std: bool = False) -> Any:
        """Return predictions, and distances where asked."""
        X = self.scaler_.transform(X)
        y = self.ridge_.predict(X)
        return (y, self.neighbors_.kneighbors(X)[0].mean(axis=1)) if return_std else y


class Spread:
    """Mean of an ensemble of networks, plus and minus 1.645 standard deviations of its members."""

    cv = None

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Spread":
        """Fit the ensemble."""
        network = MLPRegressor(n_estimators=5, random_state=0)
        self._model = make_pipeline(StandardScaler(), network).fit(X, y)
        return self

    def predict_set(self, X: np.ndarray) -> np.ndarray:
        """Return one interval per row."""
        mean, std = self._model.predict(X, return_std=True)
        return np.column_stack([mean - 1.645 * std, mean + 1.645 * std])


def regression(trial: Trial, args: argparse.Namespace) -> dict[str, Any]:
    """Measure intervals of a continuous target."""
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 5, 11)))
    lines = {}
    for edges in filter(None, (args.edges, args.more_edges)):
        models = {
            "one quantile": HomologyConformalRegressor(ridge, cv="homology"),
            "random folds": HomologyConformalRegressor(
                ridge, cv=KFold(5, shuffle=True, random_state=0)
            ),
            "per region": HomologyConformalRegressor(ridge, cv="homology", regions=edges),
            "per region, base": HomologyConformalRegressor(
                ridge, cv="homology", regions=edges, method="base"
            ),
            "per region, by distance": HomologyConformalRegressor(
                RidgeWithDistance(), cv="homology", regions=edges, difficulty="std"
            ),
        }
        tables = {name: trial.coverage(model, regions=edges) for name, model in models.items()}
        tables["ensemble std, one seed"] = trial.coverage(Spread(), 1, regions=edges)
        plain = tables["one quantile"].loc["all", "size"]
        for table in tables.values():
            table["ratio"] = table["size"] / plain
        lines[",".join(map(str, edges))] = {n: t.to_dict("index") for n, t in tables.items()}
    return lines


def classification(trial: Trial) -> dict[str, Any]:
    """Measure sets of classes."""
    classes = np.unique(trial.y)
    logistic = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    model = HomologyConformalClassifier(logistic, cv="homology")
    return {"per class": trial.coverage(model, classes=classes).to_dict("index")}


def main() -> None:
    """Measure and write."""
    args = parse_arguments()
    warnings.simplefilter("ignore", ConvergenceWarning)
    trial = Trial(args)
    numeric = args.edges is not None
    result = {
        "machine": machine(),
        "data": {"rows": len(trial.y), "features": args.model, "seeds": args.seeds},
        "coverage": regression(trial, args) if numeric else classification(trial),
    }
    name = Path(args.data).name.split(".")[0]
    write_result(f"conformal_{name}", result, quick=args.quick)


if __name__ == "__main__":
    main()
