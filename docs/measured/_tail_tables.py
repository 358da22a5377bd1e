"""Tables of what finds the proteins with rare targets."""

import re

from measured._results import FOLDER, register, result, signed

TABLES = {}
table = register(TABLES)

TAIL = {
    "none": "nothing",
    "random +300 %": "random copies, +300 %",
    "smote +300 %": "SMOTE, +300 %",
    "adasyn +300 %": "ADASYN, +300 %",
    "random +1000 %": "random copies, +1000 %",
    "DenseWeight 1.0": "DenseWeight",
    "ensemble of balanced sets": "ensemble of balanced sets (REBAGG)",
    "two stages, break-even": "`TwoStageRegressor` (default)",
    "two stages, beta 0.5": "`TwoStageRegressor`, beta 0.5",
    "two stages, beta 1.0": "`TwoStageRegressor`, beta 1",
    "two stages + random, beta 0.5": "`TwoStageRegressor`, beta 0.5, and copies +300 %",
}


def tail_rows(kept, model):
    for name, words in TAIL.items():
        if f"{model}, {name}" in kept["results"]:
            run = kept["results"][f"{model}, {name}"]
            pooled, difference = run["pooled"], run.get("difference", {})
            interval = difference.get("balanced_mae")
            rare = pooled["precision"] if pooled["recall"] else None
            yield [
                words,
                f"{pooled['mae']:.1f}",
                f"{pooled['balanced_mae']:.1f}",
                f"{signed(interval[1])} to {signed(interval[2])}" if interval else "",
                f"{pooled['recall']:.2f}",
                "–" if rare is None else f"{rare:.2f}",
            ]


TAIL_HEAD = ["treatment", "error", "balanced error", "change (95 %)", "recall", "precision"]


@table
def long_tail_ridge():
    """What treatments do to ridge regression on optimum temperatures."""
    return TAIL_HEAD, list(tail_rows(result("long_tail_topt_composition"), "ridge"))


@table
def long_tail_svr():
    """The same with a support vector machine."""
    return TAIL_HEAD, list(tail_rows(result("long_tail_topt_composition"), "svr"))


@table
def long_tail_network():
    """The same with a network."""
    return TAIL_HEAD, list(tail_rows(result("long_tail_topt_composition"), "mlp"))


REGRESSORS = {
    "ridge": "ridge",
    "svr": "support vectors",
    "mlp": "network",
    "boosting": "boosted trees",
    "forest": "forest",
}
ON_SEEDS = {
    "none": "nothing",
    "smote +300 %": "SMOTE, +300 %",
    "random +300 %": "copies, +300 %",
    "random +1000 %": "copies, +1000 %",
    "balanced squared error": "balanced squared error",
    "quantile 0.75": "quantile loss, 0.75",
    "quantile 0.9": "quantile loss, 0.9",
    "two stages, break-even": "`TwoStageRegressor`",
    "two stages, histogram, break-even": "`TwoStageRegressor`, boosted classifier",
    "two stages, histogram, ensemble, break-even": "the same, `ensemble=3`",
    "two stages, histogram, beta 1.0": "boosted classifier, beta 1",
    "two stages, histogram, beta 0.5": "boosted classifier, beta 0.5",
    "two stages + random, break-even": "`TwoStageRegressor` and copies, +300 %",
}


def spread_of(values, form):
    """Return the least and the largest of values as they are written, or the one that both are."""
    low, high = (form(value) for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def seed_row(pairs):
    """Return spans of what a treatment changes, given results without and with it."""
    for key in ("mae", "balanced_mae"):
        if all(old is new for old, new in pairs):
            yield f"{spread_of([new[key] for _, new in pairs], '{:.1f}'.format)} °C"
        else:
            changes = [100 * (new[key] / old[key] - 1) for old, new in pairs]
            yield f"{spread_of(changes, lambda change: signed(change, 0))} %"
    for key in ("recall", "precision"):
        yield spread_of([new[key] for _, new in pairs], "{:.2f}".format)


def pairs_of(runs, model, treatment):
    """Return the results without and with a treatment, of each run that has it."""
    found = [run["results"] for run in runs if f"{model}, {treatment}" in run["results"]]
    names = [f"{model}, {each}" for each in ("none", treatment)]
    return [tuple(results[name]["pooled"] for name in names) for results in found]


def seed_rows(runs):
    """Return a row for each model and treatment, from the least to the largest over runs."""
    for model, model_words in REGRESSORS.items():
        for name, words in ON_SEEDS.items():
            pairs = pairs_of(runs, model, name)
            if pairs:
                yield [model_words, words, len(pairs), *seed_row(pairs)]


SEED_HEAD = ["model", "treatment", "folds", "error", "balanced error", "recall", "precision"]


def runs_of(*names):
    """Return the runs of each name on each fold seed that there is."""
    return [
        result(path.stem)
        for name in names
        for path in sorted(FOLDER.glob(f"long_tail_{name}*.json"))
        if re.fullmatch(rf"long_tail_{name}(_\d)?", path.stem)
    ]


@table
def long_tail_seeds():
    """Optimum temperatures from shares of residues, over foldings."""
    return SEED_HEAD, list(seed_rows(runs_of("topt_residues", "topt_residues_refold")))


@table
def long_tail_melting():
    """Melting temperatures from shares of residues, all proteins."""
    return SEED_HEAD, list(seed_rows(runs_of("meltome_residues")))


@table
def long_tail_melting_sample():
    """The same of a random sample."""
    return SEED_HEAD, list(seed_rows(runs_of("meltome_residues_6000")))


@table
def long_tail_families():
    """What partners inside or outside of the family change, against plain SMOTE."""
    rows = []
    for fold_seed, kept in enumerate(runs_of("topt_residues_refold")):
        for model in ("ridge", "svr"):
            row = [f"{REGRESSORS[model]}, fold seed {fold_seed}"]
            for kind in ("within", "between"):
                found = kept["results"][f"{model}, smote {kind} families +300 %"]
                mean, low, high = found["difference_to_smote"]["balanced_mae"]
                row.append(f"{signed(mean, 2)} ({signed(low, 2)} to {signed(high, 2)})")
            rows.append(row)
    return ["model", "within families", "between families"], rows
