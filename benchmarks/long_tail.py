"""Does anything make a model find the rare proteins? Every strategy on homology folds.

Compares no treatment with over-sampling, noise, under-sampling, relevance sampling, weights, losses
and two-stage regression, for several regressors, on proteins of which none has a homolog in
training. Differences to no treatment are paired by fold, with the 95 % interval of Nadeau and
Bengio's corrected t-test; those of SMOTE inside or between families are taken to plain SMOTE too.

    python benchmarks/long_tail.py TABLE.csv --edge 85
    python benchmarks/long_tail.py TABLE.csv --edge 85 --model CHECKPOINT.pt --fold-seed 1

TABLE.csv has the columns `sequence` and `target`. Features are the shares of amino acids and of
pairs of them and the logarithm of the length; with ``--model residues`` these without the pairs;
with another ``--model`` embeddings of an ESM model, named or a file.

Folds are made from the homology graph of the sequences; families inside a training part are its
components. Whatever a strategy chooses, thresholds for example, it chooses inside the training
part, on folds that keep its families together.

Each entry is kept when it is finished; a run goes on where another on the same folds stopped.
"""

import argparse
import json
import time
import warnings
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _proteins import make_features, read_table
from _report import RESULTS, machine, write_result
from _tail_strategies import regressors, strategies
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from esmlearn.clustering import homology_graph
from esmlearn.exceptions import ResamplingWarning
from esmlearn.metrics import region_report
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.over_sampling import RegionOverSampler
from esmlearn.study import corrected_ttest

METRICS = ("mae", "balanced_mae", "recall", "precision", "f1", "rare_mae")
SAME = ("table", "features", "rows", "row_rule", "rare", "edge", "fold_seed", "folds")
PLAIN = "smote +300 %"
BY_FAMILIES = ("smote within families +300 %", "smote between families +300 %")


def make_folds(sequences, y, seed):
    """Return five homology folds, the family of each row, and what is to be known of both."""
    splitter = CDHitGroupSplitter(n_splits=5, random_state=seed)
    folds = list(splitter.split(sequences, y))
    graph = homology_graph(list(sequences))
    digest = blake2b(digest_size=8)
    for rows in (rows for fold in folds for rows in fold):
        digest.update(np.asarray(rows, dtype=np.int64).tobytes())
    engine = {name: graph.description[name] for name in ("engine", "version", "settings")}
    about = {"folds": digest.hexdigest(), "graph": engine}
    return folds, graph.components()[graph.node_of(list(sequences))], about


def pairs_in_one_family(X, y, groups, edge):
    """Share of plain SMOTE's pairs of parents that are relatives."""
    sampler = RegionOverSampler(level=300, regions=[edge], rare=[1], random_state=0)
    sampler.fit_resample(StandardScaler().fit_transform(X), y)
    one, other = groups[sampler.parents_].T
    return float(np.mean(one == other))


def evaluate(fit, model, X, y, groups, folds, edge):
    """Metrics of each fold, and those of all predictions together."""
    predicted, rows = np.empty(len(y)), []
    for train, test in folds:
        scaler = StandardScaler().fit(X[train])
        fitted = fit(clone(model), scaler.transform(X[train]), y[train], groups[train])
        predicted[test] = fitted.predict(scaler.transform(X[test]))
        rows.append(metrics(y[test], predicted[test], edge))
    return pd.DataFrame(rows).to_dict("list"), metrics(y, predicted, edge)


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
    difference = pd.DataFrame(treated) - pd.DataFrame(untreated)
    test_share = 1 / (len(difference) - 1)
    tests = {name: corrected_ttest(difference[name], test_share=test_share) for name in METRICS}
    return {name: [test[end] for end in ("mean", "low", "high")] for name, test in tests.items()}


def entry(fit, model, X, y, groups, folds, edge):
    """What is kept of one model with one strategy."""
    started = time.process_time()
    try:
        of_folds, pooled = evaluate(fit, model, X, y, groups, folds, edge)
    except TypeError as error:  # a regressor that takes no weights
        return {"not possible": str(error)}
    return {"pooled": pooled, "folds": of_folds, "cpu_seconds": time.process_time() - started}


def compare(results):
    """Add to each entry its differences to the same model untreated, or with plain SMOTE."""
    for name, found in results.items():
        model, treatment = name.split(", ", 1)
        others = {"difference": "none"}
        if treatment in BY_FAMILIES:
            others["difference_to_smote"] = PLAIN
        for key, other in others.items():
            reference = results.get(f"{model}, {other}", {})
            if "folds" in found and "folds" in reference and found is not reference:
                found[key] = paired(found["folds"], reference["folds"])
    return results


class Kept:
    """The file of entries, written again with each: other runs may add to it at the same time."""

    def __init__(self, name: str, about: dict[str, Any], *, quick: bool) -> None:
        self.name, self.about, self.quick = name, about, quick
        self.own: dict[str, Any] = {}

    def written(self) -> dict[str, Any]:
        """Return what is in the file, if it is of the same rows and folds."""
        path = RESULTS / f"{self.name}.json"
        before = json.loads(path.read_text()) if path.exists() and not self.quick else {}
        same = all(before.get(key) == self.about[key] for key in SAME)
        return before if same else {"results": {}}

    def add(self, name: str, found: dict[str, Any]) -> None:
        self.own[name] = found
        before = self.written()
        results = compare(before["results"] | self.own)
        write_result(
            self.name, before | self.about | {"results": results}, quick=self.quick, show=False
        )


def run(kept, rows, folds, edge, models, chosen):
    """Evaluate what is not there yet; `chosen` are names of strategies, none of them for all."""
    for model_name, (model, fits) in models.items():
        for name, fit in fits.items():
            label = f"{model_name}, {name}"
            if (chosen and name not in chosen) or "folds" in kept.written()["results"].get(
                label, {}
            ):
                continue
            found = entry(fit, model, *rows, folds, edge)
            kept.add(label, found)
            shown = {key: round(value, 3) for key, value in found.get("pooled", {}).items()}
            print(f"{model_name:9s}{name:42s}", shown or found, flush=True)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table")
    parser.add_argument("--edge", type=float, required=True, help="from where on a target is rare")
    parser.add_argument("--model", default="composition", help="see above")
    parser.add_argument("--rows", type=int, help="distinct sequences to draw; all by default")
    parser.add_argument("--regressors", nargs="*", help="of those in _tail_strategies.py")
    parser.add_argument("--strategies", nargs="*", help="names as printed; all by default")
    parser.add_argument("--first-stage", default="svm", choices=["svm", "linear", "histogram"])
    parser.add_argument("--trees", type=int, default=200, help="trees of the forest")
    parser.add_argument("--fold-seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="500 rows; nothing is written")
    return parser.parse_args()


def main():
    args = arguments()
    warnings.simplefilter("ignore", ResamplingWarning)
    sequences, y = read_table(args.table, n_rows=500 if args.quick else args.rows)
    y = y.astype(np.float64)
    X = make_features(sequences, args.model)
    folds, groups, about_folds = make_folds(sequences, y, args.fold_seed)
    models = regressors(10 if args.quick else args.trees)
    models = {
        name: (models[name], strategies(args.edge, name, args.first_stage))
        for name in args.regressors or models
    }
    features, table = Path(args.model).stem, Path(args.table).name.split(".")[0]
    about = {
        "machine": machine(),
        "table": table,
        "features": features,
        "rows": len(y),
        "row_rule": f"random sample of {args.rows}, seed 0" if args.rows else "all",
        "rare": int(np.sum(y >= args.edge)),
        "edge": args.edge,
        "fold_seed": args.fold_seed,
        **about_folds,
        "smote_pairs_in_one_family": pairs_in_one_family(X, y, groups, args.edge),
    }
    parts = ["long_tail", table, features, args.rows, args.fold_seed or None]
    name = "_".join(str(part) for part in parts if part)
    kept = Kept(name, about, quick=args.quick)
    run(kept, (X, y, groups), folds, args.edge, models, args.strategies)


if __name__ == "__main__":
    main()
