"""Directed evolution by a model: rounds of 96 variants, by criterion, against drawing at random.

    python benchmarks/campaign.py --avgfp avgfp.csv.gz --wild-type avgfp_wt.fasta

Two landscapes on which everything is known: avGFP (Sarkisyan et al. 2016; table
``variant;fitness``), and a made-up one, 60 residues, additive effects, pairwise epistasis and
saturation. Each repeat draws a pool of variants, and 96 of it as the first round; three more rounds
of 96 are chosen from the rest of the pool. Model: a Gaussian process on z-scales of the mutations,
of fixed kernel, calibrated on random folds of what has been measured. Criteria: the prediction
(greedy), the prediction with at most 8 variants per position and round, the upper bound (90 %
interval), expected improvement, and variants drawn at random. Written are the best value found, its
rank in the pool, and the share of the pool's best 100 found, after each round, as means over
repeats, of the last round with bootstrap intervals.
"""

import argparse
import warnings
from typing import Any

import numpy as np
import pandas as pd
from _report import machine, write_result
from joblib import Parallel, delayed
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from esmlearn.conformal import HomologyConformalRegressor
from esmlearn.io import read_fasta
from esmlearn.utils._sequences import STANDARD_RESIDUES
from esmlearn.variants import (
    MutationPropertyEncoder,
    check_variants,
    propose_variants,
    rank_variants,
)

ROUND, N_ROUNDS, BEST = 96, 4, 100
STRATEGIES: dict[str, dict[str, Any] | None] = {
    "random": None,
    "greedy": {"by": "mean"},
    "greedy, at most 8 per position": {"by": "mean", "max_per_position": 8},
    "upper bound": {"by": "upper_bound"},
    "expected improvement": {"by": "expected_improvement"},
}


def scale(features: np.ndarray) -> np.ndarray:
    """Return features whose squared distance between unrelated single mutants is about 1."""
    return features / 5


def make_model(wild_type: str) -> HomologyConformalRegressor:
    """Return the model of all strategies."""
    process = GaussianProcessRegressor(
        RBF(1.0) + WhiteKernel(0.1), optimizer=None, normalize_y=True, copy_X_train=False
    )
    encoder = MutationPropertyEncoder(wild_type, sparse_output=False)
    pipeline = make_pipeline(encoder, FunctionTransformer(scale), process)
    folds = KFold(4, shuffle=True, random_state=0)
    return HomologyConformalRegressor(pipeline, cv=folds, method="base", difficulty="std")


def run(
    variants: np.ndarray, y: np.ndarray, wild_type: str, strategy: str, seed: int
) -> dict[str, list[float]]:
    """Return what a campaign has found after each round."""
    rng = np.random.default_rng(seed)
    measured = rng.choice(len(y), ROUND, replace=False)
    target = set(np.argsort(-y, kind="stable")[:BEST].tolist())
    found: dict[str, list[float]] = {"best": [], "rank": [], "recall": []}
    for number in range(N_ROUNDS):
        if number:
            rest = np.setdiff1d(np.arange(len(y)), measured)
            options = STRATEGIES[strategy]
            if options is None:
                chosen = rng.choice(len(rest), ROUND, replace=False)
            else:
                model = make_model(wild_type).fit(variants[measured], y[measured])
                options = {"n_variants": ROUND, "best": float(y[measured].max()), **options}
                table = rank_variants(model, variants[rest], wild_type=wild_type, **options)
                chosen = table["row"].to_numpy()
            measured = np.r_[measured, rest[chosen]]
        best = y[measured].max()
        found["best"].append(float(best))
        found["rank"].append(float(1 + np.sum(y > best)))
        found["recall"].append(len(target.intersection(measured.tolist())) / BEST)
    return found


def make_landscape(seed: int, n_variants: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return variants of a made-up protein with 1 to 4 mutations, their values, and the protein."""
    rng = np.random.default_rng(seed)
    wild_type = "".join(rng.choice(list(STANDARD_RESIDUES), 60))
    parts = [
        propose_variants(wild_type, n_mutations=n, max_variants=n_variants // 4, random_state=seed)
        for n in (1, 2, 3, 4)
    ]
    variants = np.concatenate(parts)
    single = rng.normal(-0.7, 1.0, (60, 20))
    pairs = rng.normal(0, 0.5, (60, 60))
    y = np.empty(len(variants))
    for row, mutations in enumerate(check_variants(variants, wild_type)):
        where = [m.position - 1 for m in mutations]
        change = sum(single[m.position - 1, STANDARD_RESIDUES.index(m.residue)] for m in mutations)
        change += sum(pairs[a, b] for a in where for b in where if a < b)
        y[row] = 4 / (1 + np.exp(-change)) + rng.normal(0, 0.1)
    return variants, y, wild_type


def read_avgfp(args: argparse.Namespace, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return a pool of variants of avGFP, their values, and the wild type."""
    table = pd.read_csv(args.avgfp, sep=";").sample(args.pool, random_state=seed)
    wild_type = read_fasta(args.wild_type)["sequence"][0]
    return table["variant"].to_numpy(object), table["fitness"].to_numpy(float), wild_type


def repeat(args: argparse.Namespace, landscape: str, seed: int) -> dict[str, Any]:
    """Run every strategy from the same first round."""
    warnings.simplefilter("ignore")  # of variances that are rounded to zero
    pool = make_landscape(seed, args.pool) if landscape == "made up" else read_avgfp(args, seed)
    return {strategy: run(*pool, strategy, seed) for strategy in STRATEGIES}


def summarize(repeats: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means over repeats after each round, and of the last round bootstrap intervals."""
    rng, summary = np.random.default_rng(0), {}
    for strategy in STRATEGIES:
        summary[strategy] = {}
        for metric in ("best", "rank", "recall"):
            values = np.array([one[strategy][metric] for one in repeats])
            draws = values[rng.integers(0, len(values), (2000, len(values))), -1].mean(axis=1)
            low, high = np.quantile(draws, [0.025, 0.975])
            summary[strategy][metric] = values.mean(axis=0).tolist()
            summary[strategy][f"{metric}, 95 %"] = [float(low), float(high)]
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--avgfp", required=True)
    parser.add_argument("--wild-type", required=True, help="FASTA file of avGFP")
    parser.add_argument("--pool", type=int, default=5000, help="variants of a repeat")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="two repeats; nothing is written")
    args = parser.parse_args()
    if args.quick:
        args.repeats, args.pool = 2, 2000
    landscapes = {}
    for landscape in ("avGFP", "made up"):
        jobs = (delayed(repeat)(args, landscape, seed) for seed in range(args.repeats))
        landscapes[landscape] = summarize(Parallel(args.n_jobs)(jobs))
    settings = {"pool": args.pool, "repeats": args.repeats, "round": ROUND, "rounds": N_ROUNDS}
    result = {"machine": machine(), "settings": settings, "landscapes": landscapes}
    write_result("campaign", result, quick=args.quick)


if __name__ == "__main__":
    main()
