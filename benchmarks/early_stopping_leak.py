"""What early stopping believes when its validation part has leaked.

Test folds are homology-disjoint (identity 30 %). On the training rows of each, the same network is
trained with SMOTE at +300 % of the rare regions or classes, and stopped early by

(a) a random part of the resampled rows,
(b) a random part of the original rows, the rest resampled,
(c) a homology-disjoint part of the original rows: esmlearn.pipeline.Pipeline,
(d) the same part as (c), nothing resampled.

Per variant: epochs, the validation loss that stopped the training, the same loss on the test fold,
and their ratio, which is 1 for a validation part that tells the truth.

    python benchmarks/early_stopping_leak.py --data topt.csv.gz
    python benchmarks/early_stopping_leak.py --data scl2205.csv.gz --rows 6000
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from _proteins import make_features, read_table
from _report import machine, spread, write_result
from sklearn.base import is_classifier
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import ShuffleSplit
from sklearn.preprocessing import StandardScaler

from esmlearn.model_selection import CDHitGroupSplitter, CDHitShuffleSplit
from esmlearn.neural_network import MLPClassifier, MLPRegressor
from esmlearn.over_sampling import RegionOverSampler
from esmlearn.pipeline import Pipeline

# name: (what draws the validation part, whether to resample)
VARIANTS: dict[str, tuple[Any, bool]] = {
    "a: resample, then random part": (None, True),
    "b: random part, then resample": (ShuffleSplit(1, test_size=0.1), True),
    "c: homology part, then resample": (CDHitShuffleSplit(test_size=0.1), True),
    "d: homology part, no resampling": (CDHitShuffleSplit(test_size=0.1), False),
}
HONEST = "d: homology part, no resampling"


def make_pipeline(variant: str, network: Any, seed: int) -> Pipeline:
    validation, resample = VARIANTS[variant]
    if validation is not None:
        validation.random_state = seed
    sampler = RegionOverSampler("smote", level=300, random_state=seed) if resample else None
    return Pipeline(
        [
            ("scale", StandardScaler()),
            ("resample", sampler),
            ("net", network.set_params(random_state=seed)),
        ],
        validation=validation,
    )


def run(
    variant: str,
    network: Any,
    data: tuple[np.ndarray, np.ndarray, np.ndarray],
    split: tuple[np.ndarray, np.ndarray],
    seed: int,
) -> dict[str, float]:
    sequences, X, y = data
    train, test = split
    model = make_pipeline(variant, network, seed)
    by_homology = isinstance(model.validation, CDHitShuffleSplit)
    groups = {"validation__groups": sequences[train]} if by_homology else {}
    model.fit(X[train], y[train], **groups)
    net = model[-1]
    validation = net.history_[net.best_iter_ - 1]["valid_loss"]
    if is_classifier(net):
        loss = log_loss(y[test], model.predict_proba(X[test]), labels=net.classes_)
    else:
        validation *= net.y_scale_**2
        loss = mean_squared_error(y[test], model.predict(X[test]))
    return {
        "epochs": net.n_iter_,
        "best_epoch": net.best_iter_,
        "validation_loss": validation,
        "test_loss": loss,
        "test_to_validation": loss / validation,
    }


def summarise(runs: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    table = {v: {c: spread([r[c] for r in rs]) for c in rs[0]} for v, rs in runs.items()}
    # Losses summed over folds and seeds: a single validation part is small, and its loss noisy.
    ratio = {
        v: sum(r["test_loss"] for r in rs) / sum(r["validation_loss"] for r in rs)
        for v, rs in runs.items()
    }
    epochs = {v: float(np.mean([r["epochs"] for r in rs])) for v, rs in runs.items()}
    return {
        "variants": table,
        "test_to_validation": ratio,
        "ratio_relative_to_d": {v: r / ratio[HONEST] for v, r in ratio.items()},
        "epochs_relative_to_d": {v: e / epochs[HONEST] for v, e in epochs.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="CSV with the columns sequence and target")
    parser.add_argument("--model", default="composition", help="'composition', or an ESM model")
    parser.add_argument("--rows", type=int, help="a random sample of that many rows")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="600 rows, 2 folds, 1 seed")
    args = parser.parse_args()
    if args.quick:
        args.rows, args.folds, args.seeds = 600, 2, 1
    sequences, y = read_table(args.data, n_rows=args.rows)
    X = make_features(sequences, args.model)
    network = MLPRegressor() if y.dtype.kind == "f" else MLPClassifier()
    folds = CDHitGroupSplitter(args.folds, identity=0.3, random_state=0)
    splits = list(folds.split(sequences, y))
    runs: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for seed in range(args.seeds):
        for split in splits:
            for variant in VARIANTS:
                runs[variant].append(run(variant, network, (sequences, X, y), split, seed))
    result = {
        "data": Path(args.data).name,
        "rows": len(y),
        "features": args.model if args.model == "composition" else Path(args.model).name,
        "folds": args.folds,
        "seeds": args.seeds,
        "machine": machine(),
        **summarise(runs),
    }
    write_result(
        f"early_stopping_leak_{Path(args.data).name.split('.')[0]}", result, quick=args.quick
    )


if __name__ == "__main__":
    main()
