"""Does anything make a model find the rare proteins? Every strategy on homology folds.

Compares no treatment with over-sampling, noise, under-sampling, relevance sampling, weights and
two-stage regression, for several regressors, on proteins of which none has a homolog in training.
Differences to no treatment are paired by fold, with 95 % intervals of Student's t over folds.

    python benchmarks/long_tail.py TABLE.csv --edge 85

TABLE.csv has the columns `sequence` and `target`. Features are the shares of amino acids and of
pairs of them, and the logarithm of the length, or ESM embeddings (``--embeddings FILE.npy``, one
row per row of the table). ``--groups FILE.npy`` gives families; without it folds are made from a
homology graph of the sequences.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _report import machine, write_result
from scipy.stats import t as student
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

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

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
METRICS = ("mae", "balanced_mae", "recall", "precision", "f1", "rare_mae")


def composition(sequence):
    """Return shares of residues and of pairs, and the logarithm of the length."""
    numbers = np.array([RESIDUES.index(letter) for letter in sequence if letter in RESIDUES])
    pairs = np.bincount(numbers[:-1] * 20 + numbers[1:], minlength=400) / (len(numbers) - 1)
    return np.r_[np.bincount(numbers, minlength=20) / len(numbers), pairs, np.log(len(numbers))]


def make_folds(table, groups, n_splits):
    if groups is not None:
        return list(GroupKFold(n_splits).split(table, groups=groups)), groups
    splitter = CDHitGroupSplitter(n_splits=n_splits, random_state=0)
    folds = list(splitter.split(table["sequence"].to_numpy(), table["target"].to_numpy()))
    from esmlearn.clustering import homology_graph

    graph = homology_graph(table["sequence"].tolist())
    return folds, graph.components()[graph.node_of(table["sequence"].tolist())]


def regressors(quick):
    return {
        "ridge": Ridge(300.0),
        "svr": SVR(C=20.0, gamma="scale"),
        "forest": RandomForestRegressor(
            10 if quick else 200, min_samples_leaf=2, max_features=0.1, random_state=0
        ),
        "mlp": MLPRegressor(random_state=0),
    }


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


def strategies(edge, names):
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
    for beta in (0.5, 0.7, 1.0):
        made[f"two stages, beta {beta}"] = lambda model, X, y, groups, beta=beta: TwoStageRegressor(
            model, regions=[edge], rare=[1], beta=beta, random_state=0
        ).fit(X, y, groups=groups)
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


def run(X, y, groups, folds, edge, models, names):
    table = {}
    for model_name, model in models.items():
        baseline = None
        for name, fit in strategies(edge, names).items():
            started = time.perf_counter()
            try:
                of_folds, pooled = evaluate(fit, model, X, y, groups, folds, edge)
            except TypeError as error:  # a regressor that takes no weights
                table[f"{model_name}, {name}"] = {"not possible": str(error)}
                continue
            baseline = of_folds if name == "none" else baseline
            entry = {"pooled": pooled, "seconds": time.perf_counter() - started}
            if baseline is not None and name != "none":
                entry["difference"] = paired(of_folds, baseline)
            table[f"{model_name}, {name}"] = entry
            print(f"{model_name:8s}{name:30s}", {k: round(v, 3) for k, v in pooled.items()})
    return table


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table")
    parser.add_argument("--edge", type=float, required=True, help="from where on a target is rare")
    parser.add_argument("--embeddings", help="FILE.npy to use instead of compositions")
    parser.add_argument("--groups", help="FILE.npy with the family of each row")
    parser.add_argument("--models", nargs="*", help="ridge, svr, forest, mlp; all by default")
    parser.add_argument("--strategies", nargs="*", help="names as printed; all by default")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="500 rows; nothing is written")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ResamplingWarning)
    table = pd.read_csv(args.table)
    kept = np.arange(len(table))
    if args.quick:
        kept = np.sort(np.random.default_rng(0).choice(kept, 500, replace=False))
    table = table.iloc[kept]
    y = table["target"].to_numpy(dtype=np.float64)
    X = (
        np.load(args.embeddings)[kept]
        if args.embeddings
        else np.array([composition(sequence) for sequence in table["sequence"]])
    ).astype(np.float32)
    folds, groups = make_folds(
        table, np.load(args.groups)[kept] if args.groups else None, args.folds
    )
    models = regressors(args.quick)
    models = {name: models[name] for name in args.models or models}
    name = Path(args.table).name.split(".")[0]
    result = {
        "machine": machine(),
        "table": name,
        "features": Path(args.embeddings).stem if args.embeddings else "composition",
        "rows": len(y),
        "rare": int(np.sum(y >= args.edge)),
        "edge": args.edge,
        "results": run(X, y, groups, folds, args.edge, models, args.strategies),
    }
    write_result(f"long_tail_{name}_{result['features']}", result, quick=args.quick)


if __name__ == "__main__":
    main()
