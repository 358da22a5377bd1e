"""``esmlearn predict``."""

import argparse
from typing import Any

import pandas as pd

from esmlearn.cli._common import (
    Commands,
    add_input,
    new_command,
    read_input,
    show,
    table_path,
    write_or_print,
)
from esmlearn.exceptions import DataError, EsmlearnError


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
        "--allow-download",
        action="store_true",
        help="fetch the language model if it is not on this machine",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Predict and write ids and predictions."""
    from esmlearn.persistence import load

    proteins = read_input(args)
    model = load(
        args.saved, digest=args.digest, model=args.model, allow_download=args.allow_download
    )
    try:
        table = _predict(model, proteins)
    except EsmlearnError:
        raise
    except Exception as error:  # of a file that was made by hand, or of another version
        raise DataError(
            f"The model {args.saved} cannot predict ({type(error).__name__}: {error}); expected "
            f"one that this version of esmlearn saved after fitting."
        ) from error
    if args.json:
        show(args, {"predictions": table.to_dict("records")}, "")
    if args.output or not args.json:
        write_or_print(args, table)
    return 0


def _predict(model: Any, proteins: Any) -> pd.DataFrame:
    """Return ids and predictions, and probabilities where the model has any."""
    table = pd.DataFrame({"id": proteins.ids, "prediction": model.predict(proteins.sequences)})
    if hasattr(model, "predict_proba"):
        scores = model.predict_proba(proteins.sequences)
        for column, label in enumerate(model.classes_):
            table[f"p({label})"] = scores[:, column]
    return table
