"""Run README's grid search on real proteins and count how often each sequence was embedded.

The pipeline of README (embed, scale, resample, network; early stopping on a homology-disjoint
validation part) under GridSearchCV with CDHitGroupSplitter: 3 folds, 10 candidates, 2 processes.
The script fails unless every distinct sequence went through the model exactly once, and unless a
second search of the whole grid loads no model at all.

    python benchmarks/grid_search.py --help
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from _report import machine, write_result
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from esmlearn.datasets import load_optimum_temperature
from esmlearn.embedding import EmbeddingCache, ESMEmbedder, write_untrained_checkpoint
from esmlearn.metrics import make_region_scorer
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.neural_network import MLPRegressor
from esmlearn.over_sampling import RegionOverSampler
from esmlearn.pipeline import Pipeline

HOT = 65.0  # °C; about the hottest eighth of the enzymes

GRID = [
    {"resample__sampler": [None]},
    {"resample__sampler": ["random", "smote", "adasyn"], "resample__level": [100, 200, 300]},
]


def make_search(model, cache, n_jobs):
    pipeline = Pipeline(
        [
            ("embed", ESMEmbedder(model, cache=cache)),
            ("scale", StandardScaler()),
            ("resample", RegionOverSampler(regions=[HOT], rare=[1], random_state=0)),
            ("net", MLPRegressor(hidden_layer_sizes=(200, 200, 200), random_state=0)),
        ],
        validation=0.1,
    )
    return GridSearchCV(
        pipeline,
        GRID,
        cv=CDHitGroupSplitter(n_splits=3, identity=0.3, random_state=0),
        scoring=make_region_scorer("f1", regions=[HOT], labels=[1]),
        n_jobs=n_jobs,
        error_score="raise",
    )


def run(sequences, target, model, folder, n_jobs):
    cache = EmbeddingCache(Path(folder, "embeddings"))
    started = time.perf_counter()
    first = make_search(model, cache, n_jobs).fit(sequences, target)
    middle = time.perf_counter()
    computed = cache.n_computed
    second = make_search(model, cache, n_jobs).fit(sequences, target)
    ended = time.perf_counter()
    distinct = len(set(sequences))
    assert computed == distinct, f"{computed} sequences computed, {distinct} are distinct"
    assert cache.n_computed == distinct, "the second search ran the model again"
    scores = [s.cv_results_["mean_test_score"] for s in (first, second)]
    assert np.array_equal(*scores), "the second search scored differently"
    return {
        "n_sequences": len(sequences),
        "n_distinct": distinct,
        "n_computed_first_search": computed,
        "n_computed_second_search": cache.n_computed - computed,
        "n_candidates": len(scores[0]),
        "n_folds": first.n_splits_,
        "n_jobs": n_jobs,
        "seconds_first_search": round(middle - started, 1),
        "seconds_second_search": round(ended - middle, 1),
        "best_params": {k: str(v) for k, v in first.best_params_.items()},
        "mean_test_score": [round(float(s), 4) for s in scores[0]],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=500, help="number of proteins (default: 500)")
    parser.add_argument("--n-jobs", type=int, default=2, help="processes (default: 2)")
    parser.add_argument(
        "--model", help="ESM name or checkpoint (default: untrained, 2 layers of width 64)"
    )
    parser.add_argument("--quick", action="store_true", help="show the result, do not keep it")
    arguments = parser.parse_args()

    sequences, target = load_optimum_temperature(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(sequences))[: arguments.n]
    sequences = [sequences[i] for i in rows]
    target = np.asarray(target)[rows]
    with TemporaryDirectory() as folder:
        model = arguments.model or write_untrained_checkpoint(
            folder, n_layers=2, width=64, n_heads=4
        )
        result = run(sequences, target, model, folder, arguments.n_jobs)
    write_result("grid_search", {**result, "machine": machine()}, quick=arguments.quick)


if __name__ == "__main__":
    main()
