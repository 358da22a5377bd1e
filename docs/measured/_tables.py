"""One function per table: its header and its rows."""

from measured._results import leakage_of_5000, percent, register, result, span

TABLES = {}
table = register(TABLES)


DEFINITIONS = "ABCD"
SPLITS = {
    "random": "random folds",
    "linclust 0.3": "linclust clusters, 30 %",
    "cdhit 0.4": "CD-HIT clusters, 40 %",
    "mmseqs 0.3": "MMseqs2 clusters, 30 %",
    "diamond, margin 0.0": "esmlearn, DIAMOND, no margin",
    "diamond, margin 0.05": "esmlearn, DIAMOND (default)",
    "mmseqs, margin 0.05": "esmlearn, MMseqs2 (default without DIAMOND)",
    "exact, margin 0": "esmlearn, exact search",
    "exact, any hit, purge": "esmlearn, exact search, any significant hit",
}


def leakage_rows(summary, digits):
    """Return a row for each kind of folds that was judged."""
    for name, words in SPLITS.items():
        if name in summary:
            leaks = [span(summary[name][definition]) for definition in DEFINITIONS]
            yield [words, *leaks, span(summary[name]["training_kept"], digits)]


LEAKAGE_HEAD = ["folds", *DEFINITIONS, "training rows kept"]


@table
def leakage():
    """What leaks from folds of 5,000 proteins, by how the folds were made."""
    summary = leakage_of_5000()
    return LEAKAGE_HEAD, list(leakage_rows(summary, 1))


@table
def leakage_large():
    """The same for 20,000 proteins."""
    summary = result("splits_leakage_swissprot60k_20000_diamond")["summary"]
    return LEAKAGE_HEAD, list(leakage_rows(summary, 2))


HARD_SETS = {
    "lowest entropy": "lowest entropy, below 300 residues",
    "entropy from 3.6 bits on": "lowest entropy from 3.6 bits on, below 300 residues",
    "made-up repeats": "made-up repeats, 60 families that share letters",
    "made-up repeats, own letters": "made-up repeats, 8 families with letters of their own",
    "made-up peptides": "made-up peptides of 5 to 20 residues",
    "up to 50 residues": "proteins of 30 to 50 residues",
    "enzymes": "enzymes, default engine",
    "900 enzymes": "enzymes, default engine, a sample",
}


@table
def hard_proteins():
    """What leaks (A) of the proteins that programs are blind to, by engine."""
    sets = result("hard_proteins")["sets"]
    rows = []
    for name, words in HARD_SETS.items():
        if name not in sets:
            continue
        runs = {run.get("engine", key): run for key, run in sets[name]["engines"].items()}
        leaks = [
            "–"
            if engine not in runs
            else "refused"
            if "refused" in runs[engine]
            else percent(runs[engine]["A"], 2)
            for engine in ("exact", "mmseqs", "diamond")
        ]
        kept = [run["training_kept"] for run in runs.values() if "training_kept" in run]
        rows.append([words, f"{sets[name]['n']:,}", *leaks, percent(min(kept)) if kept else "–"])
    head = ["proteins", "number", "exact", "MMseqs2", "DIAMOND", "training rows kept"]
    return head, rows


@table
def split_peers():
    """Folds of other tools, on the set that all of them were tried on."""
    kept = result("splits_peers_scl2205_3000")
    rows = []
    for run in kept["runs"]:
        name = " ".join([run["tool"], run.get("version", "")]).strip()
        if "error" in run:
            rows.append([f"{name}: {run['error']}", *[""] * 7])
            continue
        rows.append(
            [
                name,
                percent(run["A"]),
                percent(run["B"]),
                run["set_aside"],
                percent(run["training_kept"]),
                percent(run["size_deviation"]),
                f"{run['share_points']:.2f}",
                f"{run['cpu_s']:.0f}",
            ]
        )
    head = ["tool", "A", "B", "set aside", "training kept", "worst size", "worst share", "CPU s"]
    return head, rows


@table
def random_and_homology():
    """What random folds promise, and what new families give."""
    models = result("pitfalls")["split"]
    rows = [
        [
            name,
            f"{folds['random']['r2']:.2f}",
            f"{folds['homology']['r2']:.2f}",
            f"{folds['random']['mae']:.1f}",
            f"{folds['homology']['mae']:.1f}",
        ]
        for name, folds in models.items()
        if isinstance(folds, dict)
    ]
    head = ["model", "R², random", "R², homology", "error °C, random", "error °C, homology"]
    return head, rows


@table
def relatives():
    """Error by identity of the closest training protein, in random folds."""
    by_model = result("pitfalls")["relatives"]
    bands = by_model["trees"]
    rows = [
        [
            band,
            bands[band]["rows"],
            *(f"{by_model[m][band]['mae']:.1f}" for m in ("ridge", "trees", "nearest neighbour")),
            f"{bands[band]['mae_of_median']:.1f}",
        ]
        for band in bands
    ]
    head = ["closest training protein", "proteins", "ridge", "trees", "nearest neighbour", "median"]
    return head, rows


@table
def representatives():
    """Folds from representatives alone: leakage and cost of the search."""
    rows = [
        [
            "all proteins" if run["representatives"] is None else run["representatives"],
            percent(run["A"], 2),
            percent(run["B"], 2),
            f"{run['graph_cpu_s']:.1f}",
        ]
        for run in result("splits_representatives_swissprot60k_5000")["runs"]
    ]
    return ["`representatives=`", "A", "B", "search, CPU s"], rows


@table
def mini_model():
    """What the bundled model's features tell beside composition and random weights."""
    kept = result("pretrain_evaluation")
    sets = {
        "topt": "optimum temperature, R²",
        "meltome": "melting temperature, R²",
        "scl2205": "location, MCC",
    }
    columns = ["checkpoint", "untrained", "composition", "both"]
    rows = [
        [
            f"{words}, {kept[name]['n_rows']:,} proteins",
            *(f"{kept[name]['means'][c][kept[name]['metric']]:.3f}" for c in columns),
        ]
        for name, words in sets.items()
        if name in kept
    ]
    head = ["target", "esmlearn_mini_v3", "same shape, random weights", "composition", "with both"]
    return head, rows


VARIANTS = {
    "a: resample, then random part": "over-sample, then a random part",
    "b: random part, then resample": "a random part, then over-sample",
    "c: homology part, then resample": "a part of other families, then over-sample (`validation=`)",
    "d: homology part, no resampling": "a part of other families, nothing over-sampled",
}


@table
def early_stopping():
    """How far the loss that stops the training is from the test loss."""
    kept = [result(f"early_stopping_leak_{name}") for name in ("topt", "scl2205")]
    rows = []
    for variant, words in VARIANTS.items():
        ratios = [f"{k['test_to_validation'][variant]:.2f}" for k in kept]
        epochs = [f"{k['variants'][variant]['epochs']['median']:.0f}" for k in kept]
        rows.append([words, *ratios, *epochs])
    head = ["validation part", "ratio, temperatures", "ratio, locations"]
    return [*head, "epochs, temperatures", "epochs, locations"], rows


@table
def baselines():
    """Networks beside the usual models, on homology folds."""
    temperatures = result("baselines_topt")["mean"]
    locations = result("baselines_scl2205")["mean"]
    rows = [
        [
            model,
            f"{scores['r2']:.3f}",
            f"{scores['mae']:.1f}",
            f"{locations[other]['macro_f1']:.3f}" if other in locations else "",
        ]
        for model, scores in temperatures.items()
        for other in [model.replace(" on quintiles", "")]
    ]
    return ["model", "temperatures, R²", "error °C", "locations, macro F1"], rows


@table
def handwritten():
    """The whole method by hand and with esmlearn."""
    kept = result("handwritten_study")
    rows = []
    for name in ("by hand", "esmlearn"):
        times = [f"{kept['cpu_seconds'][f'{name}, {s}']['median']:.0f}" for s in ("cold", "warm")]
        leaks = [percent(kept["leakage"][name][d]) for d in "AB"]
        rows.append([name, kept["lines_of_code"][name], *times, *leaks])
    head = ["program", "lines of code", "CPU s", "CPU s, vectors kept"]
    return [*head, "leak A, %", "leak B, %"], rows


CALIBRATED = {
    "one quantile": "one quantile of all errors",
    "random folds": "the same, random folds",
    "per region": "per region",
    "per region, base": 'per region, `method="base"`',
    "ensemble std, one seed": "ensemble of networks, ±1.645 std, one seed",
}


def coverage_rows(name, edges):
    """Return a row per way of calibrating, with the coverage of each region."""
    for key, words in CALIBRATED.items():
        parts = list(result(f"conformal_{name}")["coverage"][edges][key].values())
        shares = [f"{part['coverage']:.3f}" for part in parts]
        yield [words, *shares, f"{parts[0]['ratio']:.2f}"]


@table
def conformal_topt():
    """Coverage of intervals of optimum temperatures."""
    rows = []
    for edges, regions in (("85.0", "two regions"), ("30.0,50.0,65.0,85.0", "five regions")):
        for words, *shares, ratio in coverage_rows("topt", edges):
            if regions == "five regions" and words != "per region":
                continue
            rows.append(
                [
                    f"{words}, {regions}" if words == "per region" else words,
                    shares[0],
                    shares[-1],
                    ratio,
                ]
            )
    return ["intervals", "all", "85 °C and more", "width"], rows


@table
def conformal_meltome():
    """Coverage of intervals of melting temperatures."""
    head = ["intervals", "all", "below 65 °C", "65 °C and more", "width"]
    return head, list(coverage_rows("meltome", "65.0"))


CALIBRATIONS = {
    "logistic, {}, as it is": "logistic regression",
    "logistic, {}, temperature": "the same, temperature",
    "logistic, {}, random temperature": "the same, temperature of random folds",
    "logistic, {}, sigmoid": "the same, sigmoid",
    "logistic, {}, isotonic": "the same, isotonic regression",
    "network, {}, as it is": "network",
    "network, {}, temperature": "the same, temperature",
}


@table
def calibration():
    """Calibration of classes on unseen families, without and with over-sampling."""
    found, rows = result("calibration_scl2205")["models"], []
    for key, words in CALIBRATIONS.items():
        pair = [found[key.format(name)] for name in ("no over-sampling", "random +300 %")]
        rows.append([words, *(f"{one[m]:.3f}" for m in ("ece", "macro_f1") for one in pair)])
    head = ["probabilities", "error, plain", "error, +300 %", "macro F1, plain", "macro F1, +300 %"]
    return head, rows


TOMER_ROWS = {
    "forest": "random forest of 10 trees",
    "over-sampled, then bagged": "`RegionOverSampler`, then bagged trees",
    "trees x1": "bagged trees, rows weighted evenly over the ranges",
    "svm x1": "support vector machine, the same weights",
    "mean of trees x1 and svm x1": "mean of both",
    "chosen": "chosen inside each training part",
}
TOMER_METRICS = ("r2", "mse", ">=85")


def tomer_row(words, found):
    """Return a row of R2 and two errors."""
    r2, *errors = (found[metric] for metric in TOMER_METRICS)
    return [words, f"{r2:.3f}", *(f"{error:.0f}" for error in errors)]


@table
def tomer_protocol():
    """Optimum temperatures by the protocol of TOMER."""
    found = result("tomer_protocol")
    rows = [tomer_row(f"{name}, published", values) for name, values in found["published"].items()]
    settings = found["settings"]
    rows += [tomer_row(words, settings["random"]["test"][key]) for key, words in TOMER_ROWS.items()]
    for setting, words in {"purged": "without homologs", "same size": "as many rows"}.items():
        for key in ("forest", "chosen"):
            label = {"forest": "random forest", "chosen": "chosen"}[key]
            rows.append(tomer_row(f"{label}, {words}", settings[setting]["test"][key]))
    return ["model", "R2", "MSE", "MSE, 85 °C and more"], rows


PUBLISHED_SCORES = {"SCL2205": ("logistic", "accuracy"), "Seq2Topt": ("trees", "mae")}


@table
def published_splits():
    """What two published splits leak, and scores on the proteins that leak and on the others."""
    rows = []
    for name, found in result("published_splits")["splits"].items():
        model, metric = PUBLISHED_SCORES[name]
        scores = [found["scores"][model][part][metric] for part in ("homolog", "no homolog")]
        leaks = [percent(found[definition]) for definition in "ABCD"]
        digits = 1 if metric == "mae" else 2
        shown = [f"{score:.{digits}f}" + " °C" * (metric == "mae") for score in scores]
        rows.append([name, f"{found['n_test']:,.0f}", found["identical"], *leaks, *shown])
    head = ["split", "test proteins", "copies", *"ABCD", "score, homolog", "score, no homolog"]
    return head, rows


VARIANT_SCHEMES = ("random", "modulo", "contiguous")


@table
def variant_splits():
    """Rank correlation on the single mutants of avGFP, beside the published ones."""
    found = result("variant_splits")
    published = found["published"]
    rows = [
        [f"{words}, published", *(f"{published[s][key]:.2f}" for s in VARIANT_SCHEMES)]
        for key, words in {
            "One-Hot Encodings": "one-hot",
            "ESM-1v Embeddings": "ESM-1v embeddings",
            "ProteinNPT": "ProteinNPT",
        }.items()
    ]
    by_scheme = [found["singles"][scheme]["candidates"] for scheme in VARIANT_SCHEMES]
    for name in by_scheme[0]:
        rows.append([name, *(f"{one[name]['pooled']:.2f}" for one in by_scheme)])
    return ["model", *VARIANT_SCHEMES], rows


@table
def variant_shifts():
    """Rank correlation on 3,000 variants of avGFP, by scheme."""
    schemes = result("variant_splits")["multiples"]
    names = next(iter(schemes.values()))["candidates"]
    rows = [
        [name, *(f"{one['candidates'][name]['spearman']:.2f}" for one in schemes.values())]
        for name in names
    ]
    return ["model", *schemes], rows


@table
def campaign():
    """Best value and recall of the best 100 after four rounds of 96, by criterion."""
    landscapes = result("campaign")["landscapes"]
    rows = []
    for strategy in landscapes["avGFP"]:
        row = [strategy]
        for found in landscapes.values():
            low, high = found[strategy]["recall, 95 %"]
            row.append(f"{found[strategy]['rank'][-1]:.1f}")
            row.append(f"{found[strategy]['recall'][-1]:.2f} ({low:.2f} to {high:.2f})")
        rows.append(row)
    parts = [f"{what}, {name}" for name in landscapes for what in ("rank of the best", "recall")]
    return ["chosen by", *parts], rows
