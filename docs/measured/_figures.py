"""One function per figure."""

import matplotlib.pyplot as plt

from measured._results import leakage_of_5000, register, result
from measured._tables import DEFINITIONS, SPLITS, VARIANTS
from measured._tail_tables import TAIL

FIGURES = {}
figure = register(FIGURES)

OURS, OTHERS, THIRD = "#0072b2", "#b0b0b0", "#d55e00"  # told apart by colour-blind eyes


def bars(ax, words, values, colours, *, form, spread=None):
    """Draw labelled bars from top to bottom."""
    places = range(len(words))[::-1]
    ax.barh(places, values, color=colours, height=0.7, xerr=spread, ecolor="#404040")
    ax.set_yticks(places, words)
    limit = max(values)
    for place, value in zip(places, values, strict=True):
        ax.text(value + 0.02 * limit, place, form.format(value if value else 0), va="center")
    ax.set_xlim(0, 1.14 * limit)
    ax.tick_params(axis="y", length=0)


@figure
def leakage():
    """Test proteins with a homolog in training, by how the folds were made."""
    summary = leakage_of_5000()
    shown = [name for name in SPLITS if name in summary and name != "exact, any hit, purge"]
    fig, ax = plt.subplots(figsize=(7, 0.42 * len(shown) + 0.7))
    values = [100 * summary[name]["A"]["median"] for name in shown]
    colours = [OURS if SPLITS[name].startswith("esmlearn") else OTHERS for name in shown]
    bars(ax, [SPLITS[name] for name in shown], values, colours, form="{:.2g} %")
    ax.set_xlabel("test proteins with a homolog in training (%)")
    return fig


TAIL_MODELS = {"ridge": "o", "svr": "s", "mlp": "^"}
TAIL_KINDS = {
    "untreated": "black",
    "over-sampled, weighted or balanced": OTHERS,
    "TwoStageRegressor": OURS,
}
MODEL_WORDS = {"ridge": "ridge", "svr": "support vector machine", "mlp": "network"}


def tail_colour(treatment):
    kinds = {"none": "untreated", "two": "TwoStageRegressor"}
    return TAIL_KINDS[kinds.get(treatment.split(" ")[0], "over-sampled, weighted or balanced")]


@figure
def long_tail():
    """Recall of the hot enzymes against what it costs in overall error."""
    results = result("long_tail_topt_composition")["results"]
    fig, ax = plt.subplots(figsize=(5, 3.6))
    for model, marker in TAIL_MODELS.items():
        base = results[f"{model}, none"]["pooled"]["mae"]
        for name in TAIL:
            if f"{model}, {name}" in results:
                pooled = results[f"{model}, {name}"]["pooled"]
                cost = 100 * (pooled["mae"] / base - 1)
                ax.plot(cost, pooled["recall"], marker, color=tail_colour(name), markersize=8)
    styles = [(MODEL_WORDS[model], m, "#606060") for model, m in TAIL_MODELS.items()]
    styles += [(words, "D", colour) for words, colour in TAIL_KINDS.items()]
    handles = [plt.Line2D([], [], ls="", marker=m, color=c, label=w) for w, m, c in styles]
    ax.legend(handles=handles, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    ax.set_xlabel("growth of the error of all proteins (%)")
    ax.set_ylabel("share of hot enzymes found")
    ax.set_ylim(-0.02, None)
    return fig


@figure
def early_stopping():
    """Test loss over the validation loss that stopped the training."""
    fig, axes = plt.subplots(1, 2, figsize=(8.5, 2.2), sharey=True)
    for ax, (name, title) in zip(
        axes, {"topt": "temperatures", "scl2205": "locations"}.items(), strict=True
    ):
        ratios = result(f"early_stopping_leak_{name}")["test_to_validation"]
        words = [VARIANTS[v].replace(" (`validation=`)", "") for v in ratios]
        colours = [OURS if v.startswith("c") else OTHERS for v in ratios]
        bars(ax, words, list(ratios.values()), colours, form="{:.2f}")
        ax.axvline(1, color="black", linewidth=1, linestyle=":")
        ax.set_title(title, fontsize=10)
    fig.supxlabel("test loss / validation loss", fontsize=10, y=-0.06)
    return fig


@figure
def resampling_speed():
    """CPU time of over-samplers on 60,000 x 1280, relative to the reference."""
    speed = result("resampling")["speed"]
    words = {
        "esmlearn smote": "esmlearn, SMOTE",
        "imblearn SMOTE": "imbalanced-learn, SMOTE (labels)",
        "resreg": "resreg, SMOTE for regression",
        "esmlearn adasyn": "esmlearn, ADASYN",
        "imblearn ADASYN": "imbalanced-learn, ADASYN (labels)",
        "esmlearn grid": "esmlearn, nine candidates",
    }
    fig, ax = plt.subplots(figsize=(7, 2.8))
    shown = [name for name in words if name in speed]
    values = [speed[name]["cpu_s"]["median"] for name in shown]
    colours = [OURS if name.startswith("esmlearn") else OTHERS for name in shown]
    bars(ax, [words[name] for name in shown], values, colours, form="{:.1f}")
    ax.set_xlabel("CPU seconds")
    return fig


@figure
def epoch_time():
    """One epoch of a network, relative to esmlearn's."""
    ratios = result("epoch_time")["ratio_to_esmlearn"]
    fig, ax = plt.subplots(figsize=(7, 2))
    values = [ratios[name]["wall_s"] for name in ratios]
    colours = [OURS if name == "esmlearn" else OTHERS for name in ratios]
    bars(ax, list(ratios), values, colours, form="{:.2f}")
    ax.set_xlabel("time of one epoch, esmlearn = 1")
    return fig


EMBEDDERS = {
    "fair-esm": "fair-esm",
    "fair-esm, malloc tuned": "fair-esm, memory allocator tuned",
    "esm-cpp float32": "esm-cpp, float32",
    "transformers float32": "transformers, float32",
    "esmlearn float32": "esmlearn, float32",
    "transformers bfloat16": "transformers, bfloat16",
    "esmlearn bfloat16": "esmlearn, bfloat16",
}


@figure
def embed_speed():
    """Speed of embedding relative to fair-esm's extraction."""
    programs = result("embed_speed_8M")["programs"]
    shown = [name for name in EMBEDDERS if name in programs]
    fig, ax = plt.subplots(figsize=(7, 0.42 * len(shown) + 0.7))
    values = [programs[name]["times_fair_esm"] for name in shown]
    colours = [OURS if name.startswith("esmlearn") else OTHERS for name in shown]
    bars(ax, [EMBEDDERS[name] for name in shown], values, colours, form="{:.1f}")
    ax.set_xlabel("times as fast as fair-esm's extraction")
    return fig


@figure
def handwritten():
    """The whole method by hand and with esmlearn: lines, time, leakage."""
    kept = result("handwritten_study")
    programs = ["by hand", "esmlearn"]
    panels = {
        "lines of code": [kept["lines_of_code"][p] for p in programs],
        "CPU seconds": [kept["cpu_seconds"][f"{p}, cold"]["median"] for p in programs],
        "leaking test proteins (%)": [100 * kept["leakage"][p]["A"] for p in programs],
    }
    fig, axes = plt.subplots(1, 3, figsize=(8.5, 1.4), sharey=True)
    for ax, (title, values) in zip(axes, panels.items(), strict=True):
        bars(ax, programs, values, [OTHERS, OURS], form="{:.3g}")
        ax.set_title(title, fontsize=10)
    return fig


@figure
def leakage_by_definition():
    """What counts as a relative decides how much leaks."""
    summary = leakage_of_5000()
    shown = {
        "random": ("random folds", OTHERS),
        "mmseqs 0.3": ("MMseqs2 clusters", THIRD),
        "diamond, margin 0.05": ("esmlearn (default)", OURS),
    }
    fig, ax = plt.subplots(figsize=(6.5, 2.8))
    for place, (name, (words, colour)) in enumerate(shown.items()):
        heights = [100 * summary[name][d]["median"] for d in DEFINITIONS]
        x = [i + 0.27 * (place - 1) for i in range(len(DEFINITIONS))]
        ax.bar(x, heights, 0.25, color=colour, label=words)
        for left, height in zip(x, heights, strict=True):
            ax.text(left, height + 1, f"{height:.2g}", ha="center", fontsize=8)
    ax.set_xticks(
        range(len(DEFINITIONS)),
        [
            "A: 30 % over half\nof the shorter",
            "B: over 80 %\nof it",
            "C: over 80 %\nof both",
            "D: any\nsignificant",
        ],
    )
    ax.set_ylabel("leaking test proteins (%)")
    ax.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1.02))
    return fig
