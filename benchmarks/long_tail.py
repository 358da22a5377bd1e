"""Does anything make a model find the rare proteins? Every strategy on homology folds.

Compares no treatment with over-sampling, noise, under-sampling, relevance sampling, weights and
two-stage regression, for several regressors, on proteins of which none has a homolog in training.
Differences to no treatment are paired by fold, with 95 % intervals of Student's t over folds.

    python benchmarks/long_tail.py TABLE.csv --edge 85
    python benchmarks/long_tail.py TABLE.csv --edge 85 --model CHECKPOINT.pt

TABLE.csv has the columns `sequence` and `target`. Features are the shares of amino acids and of
pairs of them and the logarithm of the length; with ``--model`` embeddings of an ESM model, named or
a file. Folds are made from the homology graph of the sequences; families inside a training part are
its components.

A run of some models or strategies adds to what an earlier run on the same rows has written.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _proteins import make_features, read_table
from _report import RESULTS, machine, write_result
from imblearn.pipeline import make_pipeline
from scipy.stats import t as student
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from esmlearn.clustering import homology_graph
from esmlearn.exceptions import ResamplingWarning
from esmlearn.metrics import region_report
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.neural_network import MLPRegressor
from esmlearn.over_sampling import (
    GaussianNoiseOverSampler,
    RegionOverSampler,
    RegionUnderSampler,
    RelevanceSampler,
    TargetRegions,
    TwoStageRegressor,
)

METRICS = ("mae", "balanced_mae", "recall", "precision", "f1", "rare_mae")


def make_folds(sequences, y, seed):
    """Return five homology folds, and the family of each row."""
    splitter = CDHitGroupSplitter(n_splits=5, random_state=seed)
    folds = list(splitter.split(sequences, y))
    graph = homology_graph(list(sequences))
    return folds, graph.components()[graph.node_of(list(sequences))]


def regressors(n_trees):
    return {
        "ridge": Ridge(300.0),
        "svr": SVR(C=20.0, gamma="scale"),
        "forest": RandomForestRegressor(
            n_trees, min_samples_leaf=2, max_features=0.1, random_state=0
        ),
        "mlp": MLPRegressor(random_state=0),
    }


def first_stage(name):
    """Classifier that finds the rare rows; None is the package's own, an SVM."""
    if name == "linear":
        return make_pipeline(
            StandardScaler(), LogisticRegression(C=1e-3, class_weight="balanced", max_iter=300)
        )
    if name == "histogram":
        return HistGradientBoostingClassifier(
            max_iter=60, learning_rate=0.1, max_features=0.2, class_weight="balanced"
        )
    return None


def resamplers(edge):
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


def two_stages(edge, first):
    """Two-stage regression by name, and what over-samples for its regressors.

    The regressor of the tail alone is over-sampled too, where nothing but members is, by SMOTE.
    """
    named = "" if first == "svm" else f", {first}"
    here = {"regions": [edge], "rare": [1], "random_state": 0}
    more = RegionOverSampler("random", level=300, **here)
    kinds = {"": ("all", None), " on usual rows": ("usual", None), " + random": ("all", more)}
    return {
        f"two stages{kind}{named}, beta {beta}": (
            TwoStageRegressor(classifier=first_stage(first), beta=beta, fit_usual_on=rows, **here),
            sampler,
        )
        for kind, (rows, sampler) in kinds.items()
        for beta in (0.5, 0.7, 1.0)
    }


def strategies(edge, names, first):
    """Functions ``(regressor, X, y, groups) -> fitted model`` by name."""
    made = {"none": lambda model, X, y, groups: model.fit(X, y)}
    for name, sampler in resamplers(edge).items():
        made[name] = lambda model, X, y, groups, sampler=sampler: model.fit(
            *_resample(sampler, X, y, groups)
        )
    for alpha in (0.5, 1.0):
        made[f"DenseWeight {alpha}"] = lambda model, X, y, groups, alpha=alpha: model.fit(
            X, y, sample_weight=TargetRegions().fit(y).weights(y, alpha=alpha)
        )
    made["ensemble of balanced sets"] = lambda model, X, y, groups: _Ensemble(model, edge).fit(X, y)
    for name, (stages, sampler) in two_stages(edge, first).items():
        made[name] = lambda model, X, y, groups, stages=stages, sampler=sampler: (
            clone(stages)
            .set_params(regressor=make_pipeline(sampler, model) if sampler else model)
            .fit(X, y, groups=groups)
        )
    return {name: fit for name, fit in made.items() if not names or name in names}


class _Ensemble:
    """Mean of models that each see all rare rows and as many others (REBAGG)."""

    def __init__(self, model, edge, n_models=10):
        self.model, self.edge, self.n_models = model, edge, n_models

    def fit(self, X, y):
        rng = np.random.default_rng(0)
        rare, usual = np.flatnonzero(y >= self.edge), np.flatnonzero(y < self.edge)
        draws = [np.r_[rare, rng.choice(usual, len(rare))] for _ in range(self.n_models)]
        self.models = [clone(self.model).fit(X[rows], y[rows]) for rows in draws]
        return self

    def predict(self, X):
        return np.mean([model.predict(X) for model in self.models], axis=0)


def _resample(sampler, X, y, groups):
    needs_groups = getattr(sampler, "families", "any") != "any"
    return clone(sampler).fit_resample(X, y, **({"groups": groups} if needs_groups else {}))


def evaluate(fit, model, X, y, groups, folds, edge):
    """Metrics of each fold, and those of all predictions together."""
    predicted, rows = np.empty(len(y)), []
    for train, test in folds:
        scaler = StandardScaler().fit(X[train])
        fitted = fit(clone(model), scaler.transform(X[train]), y[train], groups[train])
        predicted[test] = fitted.predict(scaler.transform(X[test]))
        rows.append(metrics(y[test], predicted[test], edge))
    return pd.DataFrame(rows), metrics(y, predicted, edge)


def metrics(y_true, y_pred, edge):
    report = region_report(y_true, y_pred, regions=[edge]).fillna(0.0)
    rare = report.loc[1]
    values = (
        np.abs(y_true - y_pred).mean(),
        report["mae"].mean(),
        rare["recall"],
        rare["precision"],
        rare["fscore"],
        rare["mae"],
    )
    return dict(zip(METRICS, map(float, values), strict=True))


def paired(treated, untreated):
    """Mean difference over folds, and its 95 % interval."""
    difference = treated - untreated
    n = len(difference)
    half = student.ppf(0.975, n - 1) * difference.std(ddof=1) / np.sqrt(n)
    mean = difference.mean()
    return {
        name: [float(v) for v in (mean[name], mean[name] - half[name], mean[name] + half[name])]
        for name in METRICS
    }


def run(X, y, groups, folds, edge, models, chosen):
    """Entries of the table; without "none" among the strategies there are no differences."""
    table = {}
    for model_name, model in models.items():
        baseline = None
        for name, fit in chosen.items():
            started = time.process_time()
            try:
                of_folds, pooled = evaluate(fit, model, X, y, groups, folds, edge)
            except TypeError as error:  # a regressor that takes no weights
                table[f"{model_name}, {name}"] = {"not possible": str(error)}
                continue
            baseline = of_folds if name == "none" else baseline
            entry = {"pooled": pooled, "cpu_seconds": time.process_time() - started}
            if baseline is not None and name != "none":
                entry["difference"] = paired(of_folds, baseline)
            table[f"{model_name}, {name}"] = entry
            shown = {key: round(value, 3) for key, value in pooled.items()}
            print(f"{model_name:8s}{name:30s}", shown, flush=True)
    return table


def add_to_written(name, result):
    """Keep the entries that another run has written of the same rows."""
    path = RESULTS / f"{name}.json"
    if path.exists():
        before = json.loads(path.read_text())
        same = ("rows", "rare", "edge", "row_rule", "fold_seed")
        if all(before.get(key) == result[key] for key in same):
            result["results"] = before["results"] | result["results"]
            result |= {key: before[key] for key in ("notes",) if key in before}
    return result


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table")
    parser.add_argument("--edge", type=float, required=True, help="from where on a target is rare")
    parser.add_argument("--model", default="composition", help="ESM model, or its checkpoint file")
    parser.add_argument("--rows", type=int, help="distinct sequences to draw; all by default")
    parser.add_argument("--regressors", nargs="*", help="ridge, svr, forest, mlp; all by default")
    parser.add_argument("--strategies", nargs="*", help="names as printed; all by default")
    parser.add_argument("--first-stage", default="svm", choices=["svm", "linear", "histogram"])
    parser.add_argument("--trees", type=int, default=200, help="trees of the forest")
    parser.add_argument("--fold-seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="500 rows; nothing is written")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ResamplingWarning)
    sequences, y = read_table(args.table, n_rows=500 if args.quick else args.rows)
    y = y.astype(np.float64)
    X = make_features(sequences, args.model)
    folds, groups = make_folds(sequences, y, args.fold_seed)
    models = regressors(10 if args.quick else args.trees)
    models = {name: models[name] for name in args.regressors or models}
    chosen = strategies(args.edge, args.strategies, args.first_stage)
    features, table = Path(args.model).stem, Path(args.table).name.split(".")[0]
    result = {
        "machine": machine(),
        "table": table,
        "features": features,
        "rows": len(y),
        "row_rule": f"random sample of {args.rows}, seed 0" if args.rows else "all",
        "rare": int(np.sum(y >= args.edge)),
        "edge": args.edge,
        "fold_seed": args.fold_seed,
        "results": run(X, y, groups, folds, args.edge, models, chosen),
    }
    name = f"long_tail_{table}_{features}" + (f"_{args.fold_seed}" if args.fold_seed else "")
    write_result(name, add_to_written(name, result), quick=args.quick)


if __name__ == "__main__":
    main()
