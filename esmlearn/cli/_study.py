"""``esmlearn study``."""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from esmlearn.cli._common import (
    Commands,
    add_homology,
    add_input,
    add_no_cache,
    at_least,
    cache_where_possible,
    new_command,
    read_input,
    share,
    show,
)
from esmlearn.exceptions import DataError
from esmlearn.persistence import file_digest
from esmlearn.utils._optional import import_optional
from esmlearn.utils._sequence_column import SEQUENCE

BUNDLED = "esmlearn_mini_v3"
BUNDLED_WARNING = (
    f"The language model is {BUNDLED}, the small one that comes with esmlearn. It holds more than "
    "amino acid composition and far less than ESM: good for a first look, not for results. Pass "
    "--model esm2_t33_650M_UR50D (or another ESM release, or a checkpoint file) for those."
)
#: The bins of the published work on these enzymes, in degrees Celsius.
TOPT_EDGES = [30.0, 50.0, 65.0, 85.0]


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = new_command(commands, "study", "run the whole method on a table and write a report")
    parser.add_argument(
        "input", nargs="?", metavar="TABLE", help="CSV, TSV, parquet or Excel table"
    )
    parser.add_argument(
        "--demo",
        nargs="?",
        const="topt",
        choices=["topt", "locations"],
        help="real proteins instead of a table: enzyme optimum temperatures, or locations",
    )
    parser.add_argument(
        "--sample",
        type=at_least(2),
        default=None,
        metavar="N",
        help="study only so many proteins, drawn at random; every class keeps its share",
    )
    parser.add_argument(
        "--out", default=None, metavar="DIR", help="folder (default: esmlearn-NAME of the table)"
    )
    add_input(parser, target=True)
    _add_candidates(parser)
    _add_evaluation(parser)
    parser.add_argument(
        "--features",
        type=_names,
        default=None,
        metavar="A,B",
        help="columns of the table to use beside the sequence, such as growth temperature",
    )
    parser.add_argument("--name", default=None, help="what the target is called")
    parser.add_argument(
        "--no-training-sequences",
        action="store_true",
        help="keep no sequences beside the model; predict then tells no nearest protein",
    )
    parser.add_argument("--unit", default=None, help="unit of the target, such as °C")
    parser.add_argument("--seed", type=at_least(0), default=0, help="seed of everything that draws")
    parser.set_defaults(run=run)


def _add_candidates(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is compared."""
    parser.add_argument(
        "--model",
        default=None,
        help=f"name of an ESM release or checkpoint file; {BUNDLED} comes with the package "
        f"(default: esm2_t6_8M_UR50D, or {BUNDLED} for the demo)",
    )
    parser.add_argument(
        "--models",
        type=_names,
        default=None,
        metavar="A,B",
        help="out of logistic, sgd, ridge, svm, forest, network (default: all); a dummy is always "
        "there to compare with",
    )
    parser.add_argument(
        "--resamplers",
        type=_names,
        default="random,smote,adasyn",
        metavar="A,B",
        help="ways of over-sampling, each at every level; '' for none",
    )
    parser.add_argument(
        "--levels",
        type=_levels,
        default="100,200,300",
        metavar="N,N",
        help="rows that over-sampling adds to rare regions or classes, in %% of their rows",
    )
    parser.add_argument(
        "--regions",
        type=_edges,
        default=None,
        metavar="X,X",
        help="values that part a continuous target into regions (default: learned)",
    )
    parser.add_argument(
        "--metric",
        default=None,
        help="what decides: a metric of the study, such as r2 or macro_f1, or the name of a scorer "
        "of scikit-learn (default: balanced_mae, or macro_f1 for classes)",
    )
    parser.add_argument(
        "--keep",
        default=None,
        metavar="CANDIDATE",
        help="save this candidate, such as ridge or network-smote-200, whatever the folds say",
    )
    parser.add_argument("--tuned", action="store_true", help="also tune resampling inside folds")


def _add_evaluation(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is tested on what."""
    parser.add_argument(
        "--folds",
        type=at_least(2),
        default=None,
        metavar="N",
        help="homology folds (default: 5, in the demo 3)",
    )
    add_homology(parser)
    parser.add_argument(
        "--redundancy",
        type=share,
        default=0.95,
        help="identity (0-1) from which on proteins are merged into one",
    )
    parser.add_argument("--no-random-split", action="store_true", help="skip the random folds")
    add_no_cache(parser)


def run(args: argparse.Namespace) -> int:
    """Run a study and write its folder."""
    if (args.input is None) == (args.demo is None):
        got = "no table" if args.input is None else "both a table and --demo"
        raise DataError(f"Got {got}; expected a TABLE, or --demo.")
    for module in ("jinja2", "matplotlib", "skops"):  # now, not after minutes of work
        import_optional(module, extra="study", purpose="A study's report")
    given = _draw(_demo(args) if args.demo else _table(args), args)
    model, warning = _model(args)
    if warning:
        print(f"\n*** {warning}\n", file=sys.stderr)
    folder = Path(args.out or f"esmlearn-{given['label']}")
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; expected a folder. Name another one with --out.")
    from esmlearn.study import Study

    if args.regions and given["task"] == "classification":
        raise DataError("Got --regions for classes; expected it for a continuous target only.")
    study = Study(
        model,
        task=given["task"],
        models=args.models or "all",
        resamplers=tuple(args.resamplers),
        levels=tuple(args.levels),
        regions=given["regions"],
        n_splits=args.folds or (3 if args.demo else 5),
        identity=args.identity,
        coverage=args.coverage,
        redundancy=args.redundancy,
        tuned=args.tuned,
        features=args.features,
        metric=args.metric,
        keep=args.keep,
        random_split=not args.no_random_split,
        name=args.name or given["name"],
        unit=args.unit or given["unit"],
        work=folder / "work",
        random_state=args.seed,
        n_jobs=args.jobs,
        verbose=1 + args.verbose if args.verbose >= 0 else 0,
    )
    # Every fold asks for the same vectors: without a cache, one lives as long as the run.
    with cache_where_possible(args):
        study.fit(_inputs(given, args), given["y"], ids=given["ids"])
        report = study.write(
            folder,
            source={**given["source"], "warning": warning},
            training_sequences=not args.no_training_sequences,
        )
    from esmlearn.study import flattery, headline

    text, random = headline(study), flattery(study)
    result = {"report": str(report), "headline": text, "flattery": random, "warning": warning}
    result |= {"task": given["task"], "task_reason": given["reason"]}
    show(args, result, "\n\n".join(filter(None, [text, random, f"Report: {report}"])))
    return 0


def _inputs(given: dict[str, Any], args: argparse.Namespace) -> Any:
    """Return the sequences, or a table of them and the columns that are used beside them."""
    if args.features is None:
        return given["sequences"]
    if given["frame"] is None:
        raise DataError("Got --features with --demo; expected them with a TABLE.")
    return given["frame"].assign(**{SEQUENCE: given["sequences"]})


def _table(args: argparse.Namespace) -> dict[str, Any]:
    """Return the proteins of the user's table."""
    if args.target is None:
        raise DataError("Got no --target; expected the name of the column to predict.")
    proteins = read_input(args, min_sequences=2)
    source = {"name": Path(args.input).name, "sha256": file_digest(args.input)}
    return {
        "sequences": proteins.sequences,
        "y": proteins.y,
        "ids": proteins.ids,
        "frame": proteins.frame,
        "task": proteins.task,
        "reason": proteins.reason,
        "regions": args.regions,
        "name": args.target,
        "unit": None,
        "label": Path(args.input).name.split(".")[0],
        "source": source,
    }


def _demo(args: argparse.Namespace) -> dict[str, Any]:
    """Return the proteins of a demo data set."""
    from esmlearn.datasets import load_optimum_temperature, load_subcellular_location
    from esmlearn.over_sampling import TargetRegions

    if args.demo == "topt":
        data: Any = load_optimum_temperature()
        edges = args.regions or TOPT_EDGES
        about: dict[str, Any] = {
            "regions": TargetRegions(method="edges", edges=edges, rare=[-2, -1]),
            "name": "optimum temperature",
            "unit": "°C",
            "task": "regression",
        }
        title = "Optimum temperatures of enzymes (package tomer 1.0)"
    else:
        data = load_subcellular_location()
        about = {"regions": None, "name": "location", "unit": None, "task": "classification"}
        title = "Subcellular locations (package p-scldata 2025.6.0)"
    return {
        "sequences": data.data,
        "y": data.target,
        "ids": data.ids,
        "frame": None,
        "label": f"demo-{args.demo}",
        "reason": None,
        "source": {"name": title, "sha256": data.sha256},
        **about,
    }


def _draw(given: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """Return a random sample of the proteins where one is asked for, and say so in the source."""
    n, y = len(given["y"]), np.asarray(given["y"])
    if args.sample is None or args.sample >= n:
        return given
    labels = y if given["task"] == "classification" else np.zeros(n)
    place = pd.Series(np.random.default_rng(args.seed).permutation(n)).groupby(labels)
    # The rank in its class as a share of the class: the lowest are of all classes alike.
    share = (place.rank() - 0.5) / place.transform("size")
    rows = np.sort(np.argsort(share.to_numpy(), kind="stable")[: args.sample])
    name = f"{given['source']['name']}, a random sample of {len(rows)} of {n} proteins"
    return {
        **given,
        **{column: np.asarray(given[column])[rows] for column in ("sequences", "y", "ids")},
        "frame": None if given["frame"] is None else given["frame"].iloc[rows],
        "source": {**given["source"], "name": f"{name} (seed {args.seed})"},
    }


def _model(args: argparse.Namespace) -> tuple[str, str | None]:
    """Return the language model, and what to shout about it."""
    name = args.model or (BUNDLED if args.demo else "esm2_t6_8M_UR50D")
    return name, BUNDLED_WARNING if name == BUNDLED else None


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _levels(text: str) -> list[int]:
    return [at_least(1)(number) for number in _names(text)]


def _edges(text: str) -> list[float]:
    try:
        return [float(number) for number in _names(text)]
    except ValueError:
        message = f"{text!r} is no list of numbers, such as 30,65"
        raise argparse.ArgumentTypeError(message) from None
