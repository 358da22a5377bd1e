"""Single numbers that sentences of the docs use, as {{ name }}."""

from measured._results import leakage_of_5000, percent, result, span
from measured._tail_tables import pairs_of, runs_of, seed_row, spread_of


def numbers():
    """Return every number that a page may name."""
    parts = (_folds, _tail, _resampling, _training, _embedding, _conformal, _tomer)
    return {name: value for part in parts for name, value in part().items()}


def _folds():
    small = leakage_of_5000()
    large = result("splits_leakage_swissprot60k_20000_diamond")["summary"]
    pitfalls = result("pitfalls")
    trees = pitfalls["relatives"]["trees"]
    near, far = trees["90 % and more"], trees["none at 30 %"]
    return {
        "leak_random": span(small["random"]["A"], 0),
        "leak_random_large": span(large["random"]["A"], 0),
        "leak_clusters": span(small["mmseqs 0.3"]["A"], 0),
        "leak_default": span(small["diamond, margin 0.05"]["A"]),
        "near_rows": near["rows"],
        "near_mae": f"{near['mae']:.1f}",
        "far_rows": f"{far['rows']:,}",
        "far_mae": f"{far['mae']:.1f}",
        "far_mae_median": f"{far['mae_of_median']:.1f}",
        "topt_random_leak": percent(pitfalls["split"]["leakage_random"], 0),
    }


def _tail():
    runs = runs_of("topt_residues", "topt_residues_refold")
    plain, two, smote = (
        list(seed_row(pairs_of(runs, "ridge", name)))
        for name in ("none", "two stages, break-even", "smote +300 %")
    )
    return {
        "hot_rows": runs[0]["rare"],
        "hot_edge": f"{runs[0]['edge']:.0f}",
        "topt_rows": f"{runs[0]['rows']:,}",
        "foldings": len(runs),
        "plain_recall": plain[2],
        "two_cost": two[0],
        "two_change": two[1],
        "two_recall": two[2],
        "two_precision": two[3],
        "smote_cost": smote[0],
        "smote_recall": smote[2],
    }


def _resampling():
    kept = result("resampling")
    ratio = {name: f"{value:.2f}" for name, value in kept["ratios"].items()}
    memory = [
        kept["speed"][f"esmlearn {name}"]["extra_memory_of_X"]["median"]
        for name in ("smote", "adasyn", "random", "grid")
    ]
    return {
        "smote_cpu": ratio["smote / imblearn"],
        "adasyn_cpu": ratio["adasyn / imblearn"],
        "resreg_cpu": ratio["resreg / smote"],
        "nine_cpu": ratio["grid of nine / one adasyn"],
        "nine_imblearn": ratio["grid of nine / imblearn"],
        "density_s": f"{kept['speed']['esmlearn density']['cpu_s']['median']:.3f}",
        "resampling_memory": spread_of(memory, "{:.2f}".format),
    }


def _training():
    topt, locations = (result(f"early_stopping_leak_{n}") for n in ("topt", "scl2205"))
    ratios = {}
    for letter, name in {"a": "leaky", "c": "clean"}.items():
        values = [
            value
            for kept in (topt, locations)
            for variant, value in kept["test_to_validation"].items()
            if variant.startswith(letter)
        ]
        ratios[f"{name}_topt"], ratios[f"{name}_locations"] = (f"{v:.2f}" for v in values)
    epoch = result("epoch_time")["ratio_to_esmlearn"]
    bits = result("last_bits")["rms difference"]["networks by epochs"]
    moved = {
        f"bits_{name}_{epochs}": f"{bits[epochs][key]:.2f}"
        for name, key in {
            "own": "MLPRegressor",
            "ensemble": "MLPRegressor, ensemble of 10",
            "sklearn": "scikit-learn's MLPRegressor",
        }.items()
        for epochs in ("1", "5", "20", "100")
    }
    return {
        **ratios,
        **moved,
        "epoch_skorch": f"{epoch['skorch default']['wall_s']:.2f}",
        "epoch_sklearn": f"{epoch['scikit-learn']['wall_s']:.2f}",
        "epoch_bare": f"{epoch['bare torch loop, fused Adam']['wall_s']:.2f}",
    }


def _embedding():
    grid = result("grid_search")
    return {
        "hand_rows": result("handwritten_study")["n_sequences"],
        "grid_distinct": grid["n_distinct"],
        "grid_computed": grid["n_computed_first_search"],
        "grid_again": grid["n_computed_second_search"],
        "grid_fits": grid["n_candidates"] * grid["n_folds"],
    }


def _conformal():
    spread = result("conformal_topt")["coverage"]["85.0"]["ensemble std, one seed"]
    sets = result("conformal_scl2205")["coverage"]["per class"]
    common = [p["coverage"] for name, p in sets.items() if name != "all" and p["count"] >= 300]
    melt = result("conformal_meltome")["coverage"]["65.0"]["per region"]["all"]
    return {
        "calibration_rows": f"{result('calibration_scl2205')['data']['rows']:,}",
        "calibration_classes": result("calibration_scl2205")["data"]["classes"],
        "std_all": f"{100 * spread['all']['coverage']:.0f} %",
        "std_tail": f"{100 * list(spread.values())[-1]['coverage']:.0f} %",
        "melt_ratio": f"{melt['ratio']:.1f}",
        "locations_classes": len(sets) - 1,
        "locations_size": f"{sets['all']['size']:.1f}",
        "locations_all": f"{sets['all']['coverage']:.2f}",
        "locations_least": f"{min(common):.2f}",
        "locations_most": f"{max(common):.2f}",
    }


def _tomer():
    chosen = result("tomer_protocol")["settings"]["random"]["test"]["chosen"]
    r2, hot = chosen["r2, 95 %"], chosen[">=85, 95 %"]
    return {
        "tomer_r2": f"{r2[0]:.3f} to {r2[1]:.3f}",
        "tomer_hot": f"{hot[0]:.0f} to {hot[1]:.0f}",
    }
