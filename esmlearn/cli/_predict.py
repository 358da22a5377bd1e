"""``esmlearn predict``."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from esmlearn.cli._common import (
    Commands,
    add_input,
    level,
    new_command,
    read_input,
    show,
    table_path,
    write_or_print,
)
from esmlearn.exceptions import DataError, EsmlearnError
from esmlearn.utils._sequence_column import SEQUENCE


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = new_command(commands, "predict", "predict with a saved model")
    parser.add_argument("saved", metavar="MODEL", help="model.esmlearn of a study")
    parser.add_argument("input", metavar="FASTA", help="FASTA file, or table of sequences")
    parser.add_argument("-o", "--output", type=table_path, default=None, help="CSV (or stdout)")
    add_input(parser, target=False)
    parser.add_argument("--model", default=None, help="where the language model's weights are")
    parser.add_argument("--digest", default=None, help="refuse any other model than this one")
    parser.add_argument(
        "--confidence",
        type=level,
        default=None,
        metavar="LEVEL",
        help="share of proteins (0-1) whose target shall lie in the interval (default: 0.9)",
    )
    parser.add_argument(
        "--allow-download",
        action="store_true",
        help="fetch the language model if it is not on this machine",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Predict and write ids and predictions."""
    from esmlearn.persistence import load
    from esmlearn.study._training import Training

    proteins = read_input(args)
    model = load(
        args.saved, digest=args.digest, model=args.model, allow_download=args.allow_download
    )
    training = Training.beside(Path(args.saved))
    if args.confidence is not None:
        if not hasattr(model, "predict_set"):
            raise DataError(f"{args.saved} has no intervals; leave out --confidence.")
        model.set_params(confidence_level=args.confidence)
    try:
        table = _predict(model, proteins.ids, _inputs(model, proteins))
    except EsmlearnError:
        raise
    except Exception as error:  # of a file that was made by hand, or of another version
        raise DataError(
            f"The model {args.saved} cannot predict ({type(error).__name__}: {error}); expected "
            f"one that this version of esmlearn saved after fitting."
        ) from error
    if training is not None:
        if training.unit:
            table.insert(2, "unit", training.unit)
        judged = training.judge(proteins.sequences, n_jobs=-1)
        table = pd.concat([table, judged], axis=1)
    if args.json:
        show(args, {"predictions": table.to_dict("records")}, "")
    if args.output or not args.json:
        write_or_print(args, table)
    return 0


def _inputs(model: Any, proteins: Any) -> Any:
    """Return the sequences, with their table where the model uses other columns of it."""
    from esmlearn.study._covariates import covariates_of

    wanted = covariates_of(model)
    if not wanted:
        return proteins.sequences
    for name in wanted:
        if name not in proteins.frame:
            raise DataError(
                f"There is no column {name!r} beside the sequences, and the model was trained with "
                f"it; expected a table with the column(s) {', '.join(wanted)}."
            )
    return proteins.frame.assign(**{SEQUENCE: proteins.sequences})


def _predict(model: Any, ids: Any, inputs: Any) -> pd.DataFrame:
    """Return ids and predictions; intervals, sets of classes and probabilities where there are."""
    table = pd.DataFrame({"id": ids, "prediction": model.predict(inputs)})
    if hasattr(model, "predict_interval"):
        table[["low", "high"]] = model.predict_interval(inputs)
    elif hasattr(model, "predict_set"):
        names = np.array([str(label) for label in model.classes_], dtype=object)
        possible = model.predict_set(inputs)
        table["possible"] = ["|".join(names[row]) for row in possible]
    if hasattr(model, "predict_proba"):
        scores = model.predict_proba(inputs)
        for column, label in enumerate(model.classes_):
            table[f"p({label})"] = scores[:, column]
    return table
