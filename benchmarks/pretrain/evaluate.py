"""Do a checkpoint's embeddings predict better than untrained ones, and than composition?

    python -m benchmarks.pretrain.evaluate esmlearn_mini_v3.pt --topt topt.csv.gz \\
        --meltome meltome.csv.gz --scl2205 scl2205.csv.gz --output result.json

Tables are CSV files with columns ``sequence`` and ``target``. Each set is split into homology folds
(no test row has a training homolog at 30 % identity over half of the shorter), the same for every
representation; ridge regression or logistic regression is fitted on standardised features, with the
penalty chosen inside the training part. Folds are compared in pairs.

Representations
    checkpoint: mean-pooled last layer; untrained: the same of the same architecture with random
    weights; composition: residue and dipeptide frequencies and the length and its logarithm;
    both: checkpoint and composition side by side.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import platform
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats
import sklearn
import torch
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    log_loss,
    matthews_corrcoef,
    mean_absolute_error,
    r2_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from esmlearn.embedding import ESMEmbedder, model_info, write_untrained_checkpoint
from esmlearn.model_selection import CDHitGroupSplitter, CDHitShuffleSplit

logger = logging.getLogger("evaluate")

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
PENALTIES = np.logspace(-1, 6, 15)  # ridge
INVERSE_PENALTIES = (0.001, 0.01, 0.1)  # logistic regression
REGRESSION = {"topt": True, "meltome": True, "scl2205": False}
MAIN_METRIC = {True: "r2", False: "mcc"}


def composition(sequences: list[str]) -> np.ndarray:
    """Frequencies of residues and of dipeptides, length and its logarithm: (n, 422)."""
    pairs = ["".join(pair) for pair in product(RESIDUES, repeat=2)]
    column = {word: i for i, word in enumerate([*RESIDUES, *pairs])}
    table = np.zeros((len(sequences), len(column) + 2))
    for row, sequence in enumerate(sequences):
        for size in (1, 2):
            words = [sequence[i : i + size] for i in range(len(sequence) - size + 1)]
            for word in words:
                if word in column:
                    table[row, column[word]] += 1 / len(words)
        table[row, -2:] = len(sequence), math.log(len(sequence))
    return table


def representations(
    checkpoint: Path, sequences: list[str], long_sequences: str
) -> dict[str, np.ndarray]:
    """All representations of the sequences."""
    info = model_info(checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        untrained = write_untrained_checkpoint(
            folder, n_layers=info.n_layers, width=info.width, n_heads=info.n_heads
        )
        found = {
            name: ESMEmbedder(path, cache=None, long_sequences=long_sequences).fit_transform(
                sequences
            )
            for name, path in (("checkpoint", checkpoint), ("untrained", untrained))
        }
    found["composition"] = composition(sequences)
    found["both"] = np.hstack([found["checkpoint"], found["composition"]])
    return found


def regression_scores(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], *_: object
) -> dict[str, float]:
    """Ridge, its penalty chosen by leave-one-out inside the training part."""
    model = make_pipeline(StandardScaler(), RidgeCV(alphas=PENALTIES)).fit(*train)
    predicted, y = model.predict(test[0]), test[1]
    return {
        "r2": r2_score(y, predicted),
        "spearman": float(scipy.stats.spearmanr(y, predicted).statistic),
        "mae": mean_absolute_error(y, predicted),
    }


def classification_scores(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    inner: tuple[np.ndarray, np.ndarray],
) -> dict[str, float]:
    """Logistic regression, its penalty chosen on a homology-separated inner part."""
    X, y = train
    losses = {}
    for c in INVERSE_PENALTIES:
        model = _logistic(c).fit(X[inner[0]], y[inner[0]])
        known = np.isin(y[inner[1]], model.classes_)
        probabilities = model.predict_proba(X[inner[1]][known])
        losses[c] = log_loss(y[inner[1]][known], probabilities, labels=model.classes_)
    predicted = _logistic(min(losses, key=losses.__getitem__)).fit(X, y).predict(test[0])
    return {
        "mcc": matthews_corrcoef(test[1], predicted),
        "macro_f1": f1_score(test[1], predicted, average="macro"),
        "balanced_accuracy": balanced_accuracy_score(test[1], predicted),
        "accuracy": float(np.mean(test[1] == predicted)),
    }


def _logistic(c: float):
    return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=500, tol=1e-3))


def evaluate(
    table: pd.DataFrame,
    features: dict[str, np.ndarray],
    score: Callable[..., dict[str, float]],
    n_splits: int,
) -> dict[str, list[dict[str, float]]]:
    """Scores of each representation in each fold."""
    sequences, y = table["sequence"].tolist(), table["target"].to_numpy()
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in features}
    folds = CDHitGroupSplitter(n_splits, random_state=0, reference=sequences)
    for train, test in folds.split(sequences, y):
        training_sequences = [sequences[i] for i in train]
        inner = next(
            CDHitShuffleSplit(test_size=0.2, random_state=0, reference=sequences).split(
                training_sequences, y[train]
            )
        )
        for name, X in features.items():
            scores[name].append(score((X[train], y[train]), (X[test], y[test]), inner))
            logger.info("%s: %s", name, scores[name][-1])
    return scores


def compare(first: list[float], second: list[float]) -> dict[str, object]:
    """Difference of paired folds; the p value corrects for overlapping training parts.

    Nadeau and Bengio, Machine Learning 52, 239-281 (2003): the variance of k folds is taken
    1/k + 1/(k - 1) times instead of 1/k times.
    """
    difference = np.subtract(first, second)
    k = len(difference)
    error = math.sqrt(np.var(difference, ddof=1) * (1 / k + 1 / (k - 1)))
    t = difference.mean() / error if error > 0 else math.inf
    return {
        "mean_difference": round(float(difference.mean()), 4),
        "folds_won": int((difference > 0).sum()),
        "p_corrected": float(f"{2 * scipy.stats.t.sf(abs(t), k - 1):.2g}"),
    }


def summarize(scores: dict[str, list[dict[str, float]]], metric: str) -> dict[str, object]:
    """Per-fold values, means, and the comparisons that matter."""
    means = {
        name: {key: round(float(np.mean([s[key] for s in folds])), 4) for key in folds[0]}
        for name, folds in scores.items()
    }
    per_fold = {name: [round(s[metric], 4) for s in folds] for name, folds in scores.items()}
    versus = {
        f"checkpoint - {name}": compare(per_fold["checkpoint"], per_fold[name])
        for name in ("untrained", "composition")
    }
    versus["both - composition"] = compare(per_fold["both"], per_fold["composition"])
    return {"metric": metric, "means": means, "per_fold": per_fold, "paired": versus}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    for name in REGRESSION:
        parser.add_argument(f"--{name}", type=Path, help="CSV file; left out where not given")
    parser.add_argument("--n-rows", type=int, help="random rows per set; default: all")
    parser.add_argument("--n-splits", type=int, default=5)
    parser.add_argument("--long-sequences", default="window")
    parser.add_argument("--quick", action="store_true", help="600 rows and 3 folds: a try-out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    if args.quick:
        args.n_rows, args.n_splits = 600, 3

    result: dict[str, object] = {"checkpoint": args.checkpoint.name, "n_splits": args.n_splits}
    result["machine"] = {"processor": platform.processor(), "cores": os.cpu_count()}
    result["versions"] = {"torch": torch.__version__, "sklearn": sklearn.__version__}
    for name, regression in REGRESSION.items():
        if getattr(args, name) is None:
            continue
        table = pd.read_csv(getattr(args, name))
        if args.n_rows is not None and args.n_rows < len(table):
            table = table.sample(args.n_rows, random_state=0).reset_index(drop=True)
        start = time.perf_counter()
        features = representations(args.checkpoint, table["sequence"].tolist(), args.long_sequences)
        score = regression_scores if regression else classification_scores
        scores = evaluate(table, features, score, args.n_splits)
        summary = summarize(scores, MAIN_METRIC[regression])
        seconds = round(time.perf_counter() - start, 1)
        result[name] = {"n_rows": len(table), "seconds": seconds, **summary}
        logger.info("%s", json.dumps(result[name], indent=1))
        if args.output:
            args.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
