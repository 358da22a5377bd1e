"""How well are effects of mutations predicted on what a split keeps out of training?

    python benchmarks/variant_splits.py --data avgfp.csv.gz --wild-type avgfp_wt.fasta \
        --published proteingym_supervised_spearman.csv

Two parts. "singles": all single mutants, in the schemes of ProteinGym (random, modulo, contiguous),
beside its published figures of this scan. These are of single mutants, too: the code that made
them (ProteinNPT, `train.py`) reads `substitutions_singles` unless told otherwise, and modulo and
contiguous folds exist of nothing else. Rows of the random folds are other ones, as its seed is not
ours. "multiples": all single mutants, doubles, and variants of more mutations, `--rows` in all, in
the same schemes (a variant is tested where all of its positions are in a fold), from at most two
mutations to four and more, and from the lower half of the target to the upper.

Candidates are ridge regressions (of one-hot mutations, of properties, of embeddings of the bundled
model, of their changes at the mutated residues, and of one-hot mutations with the zero-shot score),
a kernel ridge of the properties, and the zero-shot score of the bundled model, which is not
trained. "chosen" is the candidate that has the best Spearman in inner folds of the same scheme
within the training part. `pooled` is Spearman of the predictions of all folds together, as
`train.py` has it, whose figures ProteinGym publishes; a model that is constant in each fold then
ranks the folds by the means of their training parts, and need not have 0. `spearman`, `ndcg` and
`top_k_recall` (both of the top 10 %) are means over the folds. The differences of pooled embeddings
to the wild type are left out: ridge regression with an intercept predicts from them what it
predicts from the embeddings.

Embedding is what costs: `residues_per_second` is the speed of the bundled model on this machine,
`hours_for_all` what the whole table takes. All sequences of a scan are equally long, so that no
batch holds padding.
"""

import argparse
import time
import warnings
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from _report import machine, write_result
from joblib import Memory
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from esmlearn.embedding import ESMEmbedder, ESMVariantScorer
from esmlearn.io import read_fasta
from esmlearn.metrics import ndcg_score, ranking_scorers, spearman, top_k_recall
from esmlearn.variants import (
    MutationOneHotEncoder,
    MutationPropertyEncoder,
    VariantEmbedder,
    VariantSplitter,
    apply_mutations,
    augmented_ridge,
    check_variants,
)

MODEL = "esmlearn_mini_v3"
ALPHAS = np.logspace(-1, 3, 9)
SCHEMES = ("random", "modulo", "contiguous")


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="table with columns variant and fitness")
    parser.add_argument("--wild-type", required=True, help="FASTA file")
    parser.add_argument("--published", required=True, help="Spearman by fold, assay and method")
    parser.add_argument("--assay", default="GFP_AEQVI_Sarkisyan_2016", help="its name there")
    parser.add_argument("--rows", type=int, default=3000, help="variants of the second part")
    parser.add_argument("--memory", help="folder in which embeddings are kept for another run")
    parser.add_argument("--quick", action="store_true", help="300 variants; nothing is kept")
    args = parser.parse_args()
    if args.quick:
        args.rows = 300
    return args


class Lookup(TransformerMixin, BaseEstimator):
    """Features that were computed before, by variant."""

    def __init__(self, features: pd.DataFrame) -> None:
        self.features = features

    def fit(self, X: Any, y: Any = None) -> "Lookup":
        return self

    def transform(self, X: Any) -> np.ndarray:
        return self.features.loc[X].to_numpy()

    def __sklearn_clone__(self) -> "Lookup":
        return self  # the table is only read

    def __sklearn_is_fitted__(self) -> bool:
        return True


class ZeroShot(RegressorMixin, Lookup):
    """A score that was computed before, which needs no training."""

    def predict(self, X: Any) -> np.ndarray:
        return self.transform(X)[:, 0]


def read(args: argparse.Namespace) -> tuple[pd.DataFrame, str]:
    """Return the scan and its wild type."""
    (wild_type,) = read_fasta(args.wild_type)["sequence"]
    table = pd.read_csv(args.data, sep=None, engine="python")
    variants = check_variants(table["variant"], wild_type)
    table["n_mutations"] = [len(mutations) for mutations in variants]
    return table, wild_type


def sample(table: pd.DataFrame, n_rows: int) -> pd.DataFrame:
    """Return the single mutants (half of the rows at most), and as many doubles as others."""
    n_mutations = table["n_mutations"]
    singles = table[n_mutations == 1]
    singles = singles.sample(min(len(singles), n_rows // 2), random_state=0)
    each = (n_rows - len(singles)) // 2
    others = [table[n_mutations == 2], table[n_mutations > 2]]
    parts = [singles, *(part.sample(each, random_state=0) for part in others)]
    return pd.concat(parts).reset_index(drop=True)


def embed(sequences: list[str], wild_type: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Return embeddings, differences at the mutated residues, and residues per second."""
    start = time.perf_counter()
    pooled = ESMEmbedder(MODEL, cache=None).transform(sequences)
    seconds = time.perf_counter() - start
    changes = VariantEmbedder(ESMEmbedder(MODEL, cache=None), wild_type=wild_type)
    return pooled, changes.fit_transform(sequences), sum(map(len, sequences)) / seconds


def make_candidates(
    table: pd.DataFrame, wild_type: str, memory: Memory
) -> tuple[dict[str, BaseEstimator], dict[str, float]]:
    """Return models of variants by name, and figures of the language model."""
    variants = table["variant"].tolist()
    sequences = apply_mutations(wild_type, variants).tolist()
    pooled, changes, speed = memory.cache(embed)(sequences, wild_type)
    scorer = ESMVariantScorer(MODEL, wild_type=wild_type).fit()

    def frame(features: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(features.astype(np.float64), index=variants)

    def ridge(*steps: Any) -> Pipeline:
        return make_pipeline(*steps, RidgeCV(ALPHAS))

    scores = frame(scorer.transform(variants))
    # Priors, not tuned: a distance of ten scale units, and as much noise as signal.
    kernel = TransformedTargetRegressor(
        KernelRidge(kernel="rbf", gamma=0.005), transformer=StandardScaler()
    )
    candidates = {
        "one-hot ridge": ridge(MutationOneHotEncoder()),
        "properties ridge": ridge(MutationPropertyEncoder()),
        "properties kernel ridge": make_pipeline(MutationPropertyEncoder(), kernel),
        "embedding ridge": ridge(Lookup(frame(pooled)), StandardScaler()),
        "embedding change ridge": ridge(Lookup(frame(changes)), StandardScaler()),
        "augmented ridge": augmented_ridge(Lookup(scores), alphas=ALPHAS),
        "zero-shot": ZeroShot(scores),
    }
    model = {"pseudo_perplexity": scorer.pseudo_perplexity_, "residues_per_second": speed}
    return candidates, model


def evaluate(
    table: pd.DataFrame, splitter: VariantSplitter, candidates: dict[str, BaseEstimator]
) -> dict[str, Any]:
    """Return the figures of all candidates, and of the one that is chosen within training."""
    X, y = table["variant"].to_numpy(object), table["fitness"].to_numpy()
    inner = clone(splitter).set_params(n_splits=3, max_train_mutations=1, min_test_mutations=None)
    lines, choices = [], []
    for fold, (train, test) in enumerate(splitter.split(X, y)):
        search = GridSearchCV(
            Pipeline([("model", "passthrough")]),
            {"model": list(candidates.values())},
            scoring=ranking_scorers()["spearman"],
            cv=inner,
            refit=False,
            error_score="raise",
        ).fit(X[train], y[train])
        choices.append(list(candidates)[search.best_index_])
        predictions = {
            name: clone(model).fit(X[train], y[train]).predict(X[test])
            for name, model in candidates.items()
        }
        predictions["chosen"] = predictions[choices[-1]]
        lines.append(pd.DataFrame(predictions).assign(fold=fold, truth=y[test]))
    table = pd.concat(lines)
    return {
        "splits": splitter.summary().to_dict("records"),
        "choices": choices,
        "candidates": {name: figures(table, name) for name in [*candidates, "chosen"]},
    }


def figures(predictions: pd.DataFrame, name: str) -> dict[str, float]:
    """Return Spearman of all folds together, and the means of the metrics over folds."""
    metrics = {
        "spearman": spearman,
        "ndcg": partial(ndcg_score, k=0.1),
        "top_k_recall": partial(top_k_recall, k=0.1),
    }
    folds = [fold for _, fold in predictions.groupby("fold")]
    means = {
        metric: float(np.mean([score(fold["truth"], fold[name]) for fold in folds]))
        for metric, score in metrics.items()
    }
    return {"pooled": spearman(predictions["truth"], predictions[name]), **means}


def main() -> None:
    """Measure and write."""
    args = parse_arguments()
    warnings.filterwarnings("ignore", message=".* variants are tested in no fold")
    start = time.perf_counter()
    scan, wild_type = read(args)
    table = sample(scan, args.rows)
    candidates, model = make_candidates(table, wild_type, Memory(args.memory, verbose=0))
    model["hours_for_all"] = len(scan) * len(wild_type) / model["residues_per_second"] / 3600
    published = pd.read_csv(args.published).query("DMS_id == @args.assay").set_index("fold")
    singles = table[table["n_mutations"] == 1]
    splitters = {scheme: VariantSplitter(scheme=scheme) for scheme in SCHEMES}
    others = {
        "n_mutations": VariantSplitter(scheme="n_mutations", min_test_mutations=4),
        "low-vs-high": VariantSplitter(scheme="low-vs-high"),
    }
    result = {
        "machine": machine(),
        "data": {
            "rows": len(scan),
            "singles": len(singles),
            "sample": table["n_mutations"].value_counts().sort_index().to_dict(),
        },
        "model": {"name": MODEL, **model},
        "published": {
            "compare with": "singles, pooled: single mutants, predictions of all folds together",
            **published.drop(columns="DMS_id").to_dict("index"),
        },
        "singles": {
            scheme: evaluate(singles, splitter, candidates)
            for scheme, splitter in splitters.items()
        },
        "multiples": {
            scheme: evaluate(table, splitter, candidates)
            for scheme, splitter in (splitters | others).items()
        },
        "seconds": time.perf_counter() - start,
    }
    write_result("variant_splits", result, quick=args.quick)


if __name__ == "__main__":
    main()
