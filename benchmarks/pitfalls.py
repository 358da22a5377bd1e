"""What the usual mistakes of protein machine learning add to a reported number.

Each pitfall of docs/pitfalls.md is made on purpose and measured against the right way, on the
optimum temperatures of 2,898 enzymes (extra ``demo``), with the shares of residues and of pairs of
neighbours as features. The single-site mutants of one protein need a table with a column of
mutations such as H24C (``--scan``; TEM-1 beta-lactamase of Stiffler et al. 2015, as it lies in
fair-esm's examples, was taken).

    python benchmarks/pitfalls.py --scan BLAT_ECOLX_Ranganathan2015.csv
    python benchmarks/pitfalls.py --only split threshold
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from _pitfalls_rows import (
    average_over_padding,
    bins_as_targets,
    classes_of_whole_numbers,
    mutational_scan,
)
from _proteins import composition
from _report import RESULTS, machine, write_result
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score, mean_absolute_error, precision_recall_curve, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    ShuffleSplit,
    cross_val_predict,
    cross_val_score,
)
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from esmlearn.clustering import homology_graph
from esmlearn.datasets import load_optimum_temperature
from esmlearn.metrics import region_precision_recall_fscore
from esmlearn.model_selection import CDHitGroupSplitter, CDHitShuffleSplit, audit_leakage
from esmlearn.over_sampling import RegionOverSampler
from esmlearn.study import corrected_ttest

HOT = 85.0
FOLDS = 5


class Enzymes:
    """The proteins, their features, and the two kinds of folds."""

    def __init__(self, n_rows: int | None) -> None:
        self.sequences, self.y = load_optimum_temperature(return_X_y=True)
        if n_rows is not None:
            rows = np.random.default_rng(0).permutation(len(self.y))[:n_rows]
            self.sequences, self.y = self.sequences[rows], self.y[rows]
        self.X = composition(self.sequences)
        homology = CDHitGroupSplitter(FOLDS, random_state=0).split(self.sequences, self.y)
        self.folds = {
            "random": list(KFold(FOLDS, shuffle=True, random_state=0).split(self.X)),
            "homology": list(homology),
        }

    def predict(self, model: Any, kind: str) -> np.ndarray:
        return cross_val_predict(model, self.X, self.y, cv=self.folds[kind])


def models() -> dict[str, Any]:
    return {
        "ridge": make_pipeline(StandardScaler(), Ridge(300.0)),
        "nearest neighbour": make_pipeline(StandardScaler(), KNeighborsRegressor(1)),
        "trees": ExtraTreesRegressor(60, max_features=0.1, min_samples_leaf=2, random_state=0),
    }


def quality(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    _, recall, _, _ = region_precision_recall_fscore(y, predicted, regions=[HOT], labels=[1])
    return {
        "r2": r2_score(y, predicted),
        "mae": mean_absolute_error(y, predicted),
        "recall_hot": float(recall[0]),
    }


def random_split(data: Enzymes) -> dict[str, Any]:
    """Folds drawn at random, and folds that homology cannot cross."""
    scores: dict[str, Any] = {
        name: {kind: quality(data.y, data.predict(model, kind)) for kind in data.folds}
        for name, model in models().items()
    }
    for kind, splits in data.folds.items():
        report = audit_leakage(data.sequences, splits, n_sample=100)
        scores[f"leakage_{kind}"] = report.overall("A")
        scores[f"near_identical_{kind}"] = float(report.table["near_identical"].iloc[-1])
    return scores


def by_relative(data: Enzymes) -> dict[str, Any]:
    """The error of random folds, by how close the closest training protein is."""
    graph = homology_graph(data.sequences, identity=0.3, coverage=0.5, margin=0.0)
    nearest = np.zeros(graph.n_nodes)
    node = graph.node_of(data.sequences)
    fold = np.empty(len(data.y), int)
    for number, (_, test) in enumerate(data.folds["random"]):
        fold[test] = number
    fold_of_node = np.empty(graph.n_nodes, int)
    fold_of_node[node] = fold
    for (a, b), identity in zip(graph.edges, graph.identity, strict=True):
        if fold_of_node[a] != fold_of_node[b]:
            nearest[a], nearest[b] = max(nearest[a], identity), max(nearest[b], identity)
    closeness = np.digitize(nearest[node], [0.3, 0.5, 0.9])
    names = ["none at 30 %", "30 to 50 %", "50 to 90 %", "90 % and more"]
    result = {}
    for model_name, model in models().items():
        error = np.abs(data.predict(model, "random") - data.y)
        spread = np.abs(data.y - np.median(data.y))
        result[model_name] = {
            name: {
                "rows": int((closeness == i).sum()),
                "mae": float(error[closeness == i].mean()),
                "mae_of_median": float(spread[closeness == i].mean()),
            }
            for i, name in enumerate(names)
        }
    return result


def resample_first(data: Enzymes) -> dict[str, Any]:
    """Over-sampling of all rows before folds are drawn, and of training rows alone."""
    result: dict[str, Any] = {}
    for name in ("random", "smote"):
        sampler = RegionOverSampler(name, level=300, regions=[HOT], rare=[1], random_state=0)
        X, y = clone(sampler).fit_resample(data.X, data.y)
        for model_name in ("nearest neighbour", "trees"):
            model = models()[model_name]
            folds = KFold(FOLDS, shuffle=True, random_state=0)
            leaky = quality(y, cross_val_predict(model, X, y, cv=folds))
            result[f"{model_name}, {name}"] = {"before the split": leaky}
            for kind, splits in data.folds.items():
                predicted = np.empty(len(data.y))
                for train, test in splits:
                    part = clone(sampler).fit_resample(data.X[train], data.y[train])
                    predicted[test] = clone(model).fit(*part).predict(data.X[test])
                result[f"{model_name}, {name}"][f"training rows, {kind} folds"] = quality(
                    data.y, predicted
                )
    return result


def scale_first(data: Enzymes) -> dict[str, float]:
    """Scaling learned from all rows, and from training rows alone."""
    X = StandardScaler().fit_transform(data.X)
    before = cross_val_predict(Ridge(300.0), X, data.y, cv=data.folds["homology"])
    return {
        "r2_before_the_split": r2_score(data.y, before),
        "r2_inside": r2_score(data.y, data.predict(models()["ridge"], "homology")),
    }


def threshold(data: Enzymes) -> dict[str, float]:
    """The best threshold for the tested proteins, and one chosen on training proteins."""
    hot = data.y >= HOT
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=300)
    )

    def best(truth: np.ndarray, score: np.ndarray) -> float:
        precision, recall, cuts = precision_recall_curve(truth, score)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        return float(cuts[np.argmax(f1[:-1])])

    chosen, own = np.zeros(len(hot), bool), np.zeros(len(hot), bool)
    for train, test in data.folds["homology"]:
        inner = CDHitGroupSplitter(3).split(data.sequences[train], hot[train])
        scores = cross_val_predict(
            model, data.X[train], hot[train], cv=list(inner), method="decision_function"
        )
        fitted = clone(model).fit(data.X[train], hot[train])
        tested = fitted.decision_function(data.X[test])
        chosen[test] = tested >= best(hot[train], scores)
        own[test] = tested >= best(hot[test], tested)
    return {"f1_chosen_on_test": f1_score(hot, own), "f1_chosen_in_training": f1_score(hot, chosen)}


def nested_groups(data: Enzymes) -> dict[str, Any]:
    """An inner search on random folds, and one on homology folds."""
    result = {}
    grid = {"kneighborsregressor__n_neighbors": [1, 2, 4, 8, 16, 32]}
    model = make_pipeline(StandardScaler(), KNeighborsRegressor(weights="distance"))
    for kind in ("random", "homology"):
        inner, outer, chosen = [], [], []
        for train, test in data.folds["homology"]:
            if kind == "random":
                cv = list(KFold(4, shuffle=True, random_state=0).split(train))
            else:
                cv = list(CDHitGroupSplitter(4).split(data.sequences[train], data.y[train]))
            search = GridSearchCV(model, grid, cv=cv).fit(data.X[train], data.y[train])
            inner.append(search.best_score_)
            outer.append(search.score(data.X[test], data.y[test]))
            chosen.append(int(search.best_params_["kneighborsregressor__n_neighbors"]))
        result[kind] = {
            "r2_promised": float(np.mean(inner)),
            "r2_on_new_families": float(np.mean(outer)),
            "n_neighbors": chosen,
        }
    return result


def best_mean(data: Enzymes) -> dict[str, float]:
    """Twenty models that differ by chance alone: the best of them, and the same model elsewhere."""
    rng = np.random.default_rng(0)
    columns = [rng.choice(data.X.shape[1], 200, replace=False) for _ in range(20)]
    half = next(iter(CDHitShuffleSplit(test_size=0.5, random_state=0).split(data.sequences)))
    scores = []
    for rows in half:
        X, y = data.X[rows], data.y[rows]
        folds = list(CDHitGroupSplitter(FOLDS).split(data.sequences[rows], y))
        scores.append([cross_val_score(models()["ridge"], X[:, c], y, cv=folds) for c in columns])
    here, there = np.array(scores)
    best, second = np.argsort(-here.mean(axis=1))[:2]
    test = corrected_ttest(here[best] - here[second], test_share=1 / (FOLDS - 1))
    return {
        "best_minus_mean_where_chosen": float(here[best].mean() - here.mean()),
        "best_minus_mean_elsewhere": float(there[best].mean() - there.mean()),
        "rank_elsewhere": int((there.mean(axis=1) > there[best].mean()).sum() + 1),
        "best_minus_second": test["mean"],
        "interval_low": test["low"],
        "interval_high": test["high"],
    }


PITFALLS: dict[str, Callable[[Enzymes], Any]] = {
    "split": random_split,
    "relatives": by_relative,
    "resample": resample_first,
    "scale": scale_first,
    "threshold": threshold,
    "nested": nested_groups,
    "best_mean": best_mean,
    "padding": lambda data: average_over_padding(data.X, data.y, data.folds["homology"]),
    "bins": lambda data: bins_as_targets(data.X, data.y),
    "whole_numbers": lambda data: classes_of_whole_numbers(data.X, data.y),
}


def scan(path: str) -> dict[str, Any]:
    """Random rows of a mutational scan, and positions that were never seen."""
    table = pd.read_csv(path, encoding="utf-8-sig").dropna(subset=["mutant", "2500"])
    splits = ShuffleSplit(5, test_size=0.2, random_state=0)
    return mutational_scan(table["mutant"].to_numpy(str), table["2500"].to_numpy(), splits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", choices=PITFALLS, help="measure these, keep the others"
    )
    parser.add_argument("--scan", help="CSV of single-site mutants (columns mutant and 2500)")
    parser.add_argument("--quick", action="store_true", help="400 proteins; nothing is written")
    args = parser.parse_args()
    result: dict[str, Any] = {}
    names = args.only or ([] if args.scan else list(PITFALLS))
    if names:
        data = Enzymes(400 if args.quick else None)
        result |= {"data": "optimum temperatures (tomer 1.0)", "rows": len(data.y)}
        result |= {name: PITFALLS[name](data) for name in names}
    if args.scan:
        result["scan"] = scan(args.scan)
    kept = RESULTS / "pitfalls.json"
    before = json.loads(kept.read_text()) if kept.exists() else {}
    write_result("pitfalls", {**before, **result, "machine": machine()}, quick=args.quick)


if __name__ == "__main__":
    main()
