"""``esmlearn suggest``."""

import argparse
from typing import Any

import numpy as np
import pandas as pd

from esmlearn.cli._common import (
    Commands,
    at_least,
    level,
    new_command,
    show,
    table_path,
    write_or_print,
)
from esmlearn.exceptions import DataError
from esmlearn.io import read_fasta, read_table


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = new_command(commands, "suggest", "rank the variants of a protein to make next")
    parser.add_argument("saved", metavar="MODEL", help="saved model that predicts from sequences")
    parser.add_argument(
        "--wild-type", required=True, metavar="FASTA", help="file with the protein to mutate"
    )
    parser.add_argument(
        "--measured",
        default=None,
        metavar="TABLE",
        help="variants made before: they are left out, and their mutations are combined",
    )
    parser.add_argument(
        "--mutations", default="mutant", metavar="COL", help="column of the mutations in TABLE"
    )
    parser.add_argument(
        "--target", default=None, metavar="COL", help="column of TABLE with the measured values"
    )
    parser.add_argument(
        "--offset",
        type=int,
        default=0,
        metavar="N",
        help="position before the first residue of the wild type",
    )
    parser.add_argument(
        "--n-mutations",
        type=at_least(1),
        default=1,
        metavar="N",
        help="mutations of each variant; with more than one, those of TABLE are combined",
    )
    parser.add_argument(
        "--by",
        default="mean",
        choices=["mean", "upper_bound", "expected_improvement"],
        help="what is largest first: prediction, upper bound of the interval, or how much the best "
        "measured value is expected to be exceeded by",
    )
    parser.add_argument(
        "--max-candidates",
        type=at_least(1),
        default=10_000,
        metavar="N",
        help="most variants that are predicted; where there are more, so many are drawn at random",
    )
    parser.add_argument("--n", type=at_least(1), default=96, help="number of variants")
    parser.add_argument(
        "--max-per-position",
        type=at_least(1),
        default=None,
        metavar="N",
        help="most variants that mutate the same position (default: no limit)",
    )
    parser.add_argument(
        "--confidence",
        type=level,
        default=None,
        metavar="LEVEL",
        help="level (0-1) of the intervals (default: that of the model)",
    )
    parser.add_argument("-o", "--output", type=table_path, default=None, help="CSV (or stdout)")
    parser.add_argument("--model", default=None, help="where the language model's weights are")
    parser.add_argument("--digest", default=None, help="refuse any other model than this one")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Rank candidates and write the best ones."""
    from esmlearn.persistence import load
    from esmlearn.variants import apply_mutations, propose_variants, rank_variants

    if args.target is not None and args.measured is None:
        raise DataError("Got --target without --measured; expected the table that holds it.")
    if args.n_mutations > 1 and args.measured is None:
        raise DataError(
            f"Got --n-mutations {args.n_mutations} without --measured; expected a table of the "
            f"variants whose mutations are to be combined."
        )
    if args.by == "expected_improvement" and args.target is None:
        raise DataError(
            "Got --by expected_improvement without --target; expected the column of --measured "
            "whose best value is to be exceeded."
        )
    wild_type = _wild_type(args.wild_type)
    measured, best = _measured(args)
    candidates = propose_variants(
        wild_type,
        mutations=measured if args.n_mutations > 1 else None,
        n_mutations=args.n_mutations,
        exclude=measured,
        max_variants=args.max_candidates,
        offset=args.offset,
    )
    model = load(args.saved, digest=args.digest, model=args.model)
    if args.confidence is not None:
        if not hasattr(model, "predict_interval"):
            raise DataError(f"{args.saved} has no intervals; leave out --confidence.")
        model.set_params(confidence_level=args.confidence)
    sequences = apply_mutations(wild_type, candidates, offset=args.offset)
    table = rank_variants(
        model,
        sequences,
        by=args.by,
        best=best,
        n_variants=args.n,
        max_per_position=args.max_per_position,
        wild_type=wild_type,
        offset=args.offset,
    )
    table["sequence"] = sequences[table["row"]]
    table = table.drop(columns="row")
    if args.json:
        show(args, {"n_candidates": len(candidates), "variants": table.to_dict("records")}, "")
    if args.output or not args.json:
        write_or_print(args, table)
    return 0


def _wild_type(path: str) -> str:
    sequences = read_fasta(path)["sequence"]
    if len(sequences) != 1:
        raise DataError(f"{path} has {len(sequences)} records; expected one, the wild type.")
    return sequences[0]


def _measured(args: argparse.Namespace) -> tuple[list[str], float | None]:
    """Return the measured variants and the best value among them."""
    if args.measured is None:
        return [], None
    table = read_table(args.measured)
    mutations = _column(table, args.mutations, args.measured)
    best = None
    if args.target is not None:
        values = pd.to_numeric(_column(table, args.target, args.measured), errors="coerce")
        if values.isna().any():
            row = int(np.flatnonzero(values.isna())[0])
            raise DataError(
                f"{args.measured}: row {row} has {table[args.target].iloc[row]!r} in "
                f"{args.target!r}; expected a number. Correct or remove the row."
            )
        best = float(values.max())
    return mutations.tolist(), best


def _column(table: pd.DataFrame, name: str, path: str) -> Any:
    if name not in table:
        raise DataError(
            f"{path} has no column {name!r}; it has {', '.join(map(repr, table.columns))}. Name "
            f"the right one."
        )
    return table[name]
