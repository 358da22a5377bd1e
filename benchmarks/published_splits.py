"""What do published splits leak, and how much better are models on the test proteins that leak?

    python benchmarks/published_splits.py --topt topt.csv.gz

Two splits as their authors publish them: that of the package p-scldata 2025.6.0 (column ``split``:
train, valid, test), which is loaded with all its rows, and the random one of Seq2Topt (column
``split_seq2topt`` of the table of optimum temperatures). Written are the audit of each (DIAMOND,
all test rows), copies of training sequences in the test part, and scores of simple models on
bundled embeddings, for test proteins with a homolog in training (definition A) and without.
"""

import argparse
from typing import Any

import numpy as np
import pandas as pd
from _proteins import make_features
from _report import machine, write_result
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from esmlearn.datasets import load_subcellular_location
from esmlearn.model_selection import audit_leakage


def audit(table: pd.DataFrame, column: str, *, engine: str) -> tuple[dict[str, Any], np.ndarray]:
    """Return the findings on a split, and which test rows have a homolog in training."""
    report = audit_leakage(
        table["sequence"], table[column], y=table["target"], engine=engine, n_jobs=-1
    )
    nearest = report.nearest[report.nearest["split"] == "test"].set_index("test_row")
    line = report.table.set_index("split").loc["test"]
    rows = np.flatnonzero(table[column] == "test")
    found = {key: float(line[key]) for key in ("n_train", "n_test", "A", "B", "C", "D")}
    train = set(table.loc[table[column] == "train", "sequence"])
    found["identical"] = int(table["sequence"].iloc[rows].isin(train).sum())
    found["conflicts"] = len(report.conflicts)
    return found, nearest.loc[rows, "max_identity"].to_numpy() >= 0.3


def score(y: np.ndarray, predicted: np.ndarray, *, continuous: bool) -> dict[str, float]:
    """Return two metrics of some predictions."""
    if continuous:
        return {"r2": r2_score(y, predicted), "mae": mean_absolute_error(y, predicted)}
    f1 = f1_score(y, predicted, average="macro", labels=np.unique(y))
    return {"accuracy": accuracy_score(y, predicted), "macro_f1": float(f1)}


def measure(table: pd.DataFrame, column: str, *, engine: str, model: str) -> dict[str, Any]:
    """Return what a split leaks, and scores on the test rows that leak and on the others."""
    found, leaks = audit(table, column, engine=engine)
    X = make_features(table["sequence"].tolist(), model)
    y = table["target"].to_numpy()
    train, test = (np.flatnonzero(table[column] == part) for part in ("train", "test"))
    continuous = y.dtype.kind == "f"
    if continuous:
        models: dict[str, Any] = {"ridge": Ridge(300.0), "trees": ExtraTreesRegressor(n_jobs=-1)}
    else:
        models = {
            "logistic": LogisticRegression(C=0.01, max_iter=500),
            "trees": ExtraTreesClassifier(n_jobs=-1),
        }
    models["trees"].set_params(n_estimators=200, min_samples_leaf=2, random_state=0)
    found["scores"] = {}
    for name, estimator in models.items():
        pipeline = make_pipeline(StandardScaler(), estimator).fit(X[train], y[train])
        predicted = pipeline.predict(X[test])
        parts = {"all": np.ones(len(test), bool), "homolog": leaks, "no homolog": ~leaks}
        found["scores"][name] = {
            part: {
                "n": int(rows.sum()),
                **score(y[test][rows], predicted[rows], continuous=continuous),
            }
            for part, rows in parts.items()
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--topt", required=True, help="table with the column split_seq2topt")
    parser.add_argument("--engine", default="diamond")
    parser.add_argument("--model", default="esmlearn_mini_v3")
    parser.add_argument("--quick", action="store_true", help="a sample, and nothing is written")
    args = parser.parse_args()
    topt = pd.read_csv(args.topt)
    scl = load_subcellular_location(merge_duplicates=False).frame
    if args.quick:
        topt, scl = (t.sample(400, random_state=0).reset_index(drop=True) for t in (topt, scl))
    options = {"engine": args.engine, "model": args.model}
    splits = {
        "SCL2205": measure(scl, "split", **options),
        "Seq2Topt": measure(topt, "split_seq2topt", **options),
    }
    result = {"machine": machine(), "model": args.model, "engine": args.engine, "splits": splits}
    write_result("published_splits", result, quick=args.quick)


if __name__ == "__main__":
    main()
