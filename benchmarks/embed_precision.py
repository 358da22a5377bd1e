"""What bfloat16 in the embedder does to the scores of models on its vectors.

    python benchmarks/embed_precision.py --regression topt.csv.gz --classification scl2205.csv.gz
    python benchmarks/embed_precision.py --regression topt.csv.gz --model esm2_t33_650M_UR50D

Both tables have the columns sequence and target. Each protein is embedded in float32 and in
bfloat16; ridge (R2, mean absolute error) and logistic regression (balanced accuracy, Matthews'
correlation) are fitted on the same homology folds. Told are the scores of both, what they differ
by, fold by fold, how many proteins are put into another class, and how near the vectors are.

``--quick`` tries every step on a few proteins; its figures mean nothing.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _proteins import read_table
from _report import machine, write_result
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import (
    balanced_accuracy_score,
    matthews_corrcoef,
    mean_absolute_error,
    r2_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from esmlearn.embedding import ESMEmbedder
from esmlearn.model_selection import CDHitGroupSplitter

Score = Callable[[np.ndarray, np.ndarray], float]
REGRESSION: dict[str, Score] = {"r2": r2_score, "mean_absolute_error": mean_absolute_error}
CLASSIFICATION: dict[str, Score] = {
    "balanced_accuracy": balanced_accuracy_score,
    "matthews_correlation": matthews_corrcoef,
}
PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    result: dict[str, Any] = {"machine": machine(), "model": options.model}
    if options.regression:
        model = make_pipeline(StandardScaler(), Ridge(10.0))
        result["ridge"] = compare(options, options.regression, model, REGRESSION)
    if options.classification:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
        result["logistic"] = compare(options, options.classification, model, CLASSIFICATION)
    write_result("embed_precision", result, quick=options.quick)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--regression", help="table with a number as target")
    parser.add_argument("--classification", help="table with a class as target")
    parser.add_argument("--model", default="esmlearn_mini_v3")
    parser.add_argument("--n", type=int, default=1000, help="proteins of each table, drawn")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="tiny; figures mean nothing")
    options = parser.parse_args()
    if options.quick:
        options.n, options.folds = 60, 2
    return options


def compare(
    options: argparse.Namespace, path: str, model: Any, scores: dict[str, Score]
) -> dict[str, Any]:
    """Fit on vectors of both precisions, fold by fold."""
    sequences, y = read_table(path, n_rows=options.n)
    vectors = {
        precision: ESMEmbedder(options.model, precision=precision, device="cpu", verbose=1)
        .fit(sequences)
        .transform(sequences)
        for precision in PRECISIONS
    }
    splitter = CDHitGroupSplitter(options.folds, random_state=0)
    folds: list[dict[str, Any]] = []
    moved = tested = 0
    for train, test in splitter.split(sequences):
        found = {p: model.fit(X[train], y[train]).predict(X[test]) for p, X in vectors.items()}
        told = {p: {n: float(f(y[test], v)) for n, f in scores.items()} for p, v in found.items()}
        folds.append(told)
        moved += int((found["float32"] != found["bfloat16"]).sum())
        tested += len(test)
    result = {
        "data": Path(path).name,
        "n": len(sequences),
        "vectors": nearness(vectors["float32"], vectors["bfloat16"]),
        "scores": {name: summary(folds, name) for name in scores},
        "folds": folds,
    }
    if scores is CLASSIFICATION:
        result |= {"predicted_otherwise": moved, "tested": tested}
    return result


def nearness(exact: np.ndarray, reduced: np.ndarray) -> dict[str, float]:
    """Return how far vectors of reduced precision are from the exact ones."""
    exact, reduced = exact.astype(float), reduced.astype(float)
    norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(reduced, axis=1)
    cosine = (exact * reduced).sum(1) / norms
    relative = np.linalg.norm(exact - reduced) / np.linalg.norm(exact)
    return {
        "min_cosine": float(cosine.min()),
        "median_cosine": float(np.median(cosine)),
        "relative_error": float(relative),
    }


def summary(folds: list[dict[str, Any]], name: str) -> dict[str, float]:
    """Return means of a score over folds, and the largest difference in one fold."""
    exact, reduced = (np.array([fold[p][name] for fold in folds]) for p in PRECISIONS)
    return {
        "float32": float(exact.mean()),
        "bfloat16": float(reduced.mean()),
        "largest_difference_in_a_fold": float(np.abs(exact - reduced).max()),
        "spread_over_folds": float(exact.std(ddof=1)),
    }


if __name__ == "__main__":
    main()
