"""``esmlearn cluster`` and ``split``."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from esmlearn.cli._common import (
    Commands,
    add_homology,
    add_input,
    at_least,
    new_command,
    output_path,
    read_input,
    show,
    table_path,
    write_or_print,
)
from esmlearn.exceptions import DataError
from esmlearn.io import Proteins, write_fasta, write_table
from esmlearn.utils._parts import SET_ASIDE


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    _add_cluster(commands)
    _add_split(commands)


def _add_cluster(commands: Commands) -> None:
    parser = new_command(commands, "cluster", "cluster proteins by homology")
    parser.add_argument("input", metavar="FASTA", help="FASTA file, or table of sequences")
    parser.add_argument("-o", "--output", type=table_path, default=None, help="CSV (or stdout)")
    add_input(parser, target=False)
    parser.add_argument(
        "--method", default="components", choices=["components", "cdhit", "mmseqs", "linclust"]
    )
    add_homology(parser)
    parser.set_defaults(run=run_cluster)


def run_cluster(args: argparse.Namespace) -> int:
    """Cluster and write a table of ids and clusters."""
    from esmlearn.clustering import cluster_sequences

    proteins = read_input(args)
    labels = cluster_sequences(
        proteins.sequences,
        identity=args.identity,
        coverage=args.coverage,
        method=args.method,
        n_jobs=args.jobs,
    )
    if args.output or not args.json:
        write_or_print(args, pd.DataFrame({"id": proteins.ids, "cluster": labels}))
    sizes = np.bincount(labels)
    result: dict[str, Any] = {
        "n_sequences": len(labels),
        "n_clusters": len(sizes),
        "largest": int(sizes.max()),
        "singletons": int((sizes == 1).sum()),
    }
    if args.json:
        result["clusters"] = dict(zip(proteins.ids, labels.tolist(), strict=True))
    if args.json or args.output:
        show(args, result, f"{len(sizes)} clusters of {len(labels)} proteins in {args.output}")
    return 0


def _add_split(commands: Commands) -> None:
    parser = new_command(commands, "split", "split proteins so that no homology crosses")
    parser.add_argument("input", metavar="TABLE", help="table, or FASTA file")
    parser.add_argument("-o", "--output", type=table_path, required=True, help="CSV to write")
    add_input(parser, target=True)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        "--folds",
        type=at_least(2),
        default=5,
        metavar="N",
        help="number of folds; proteins that would join two folds are set aside",
    )
    kinds.add_argument(
        "--holdout",
        type=at_least(1),
        nargs=2,
        metavar=("VALID", "TEST"),
        help="instead of folds: train/validation/test, with so many proteins held out",
    )
    parser.add_argument(
        "--singletons-only",
        action="store_true",
        help="with --holdout: hold out only proteins without a relative",
    )
    parser.add_argument(
        "--fasta-out", type=output_path, metavar="DIR", help="also a FASTA file per part"
    )
    parser.add_argument("--seed", type=at_least(0), default=0, help="seed of the draw")
    add_homology(parser)
    parser.set_defaults(run=run_split)


def run_split(args: argparse.Namespace) -> int:
    """Split and write id, part (and target)."""
    if args.singletons_only and not args.holdout:
        raise DataError("Got --singletons-only without --holdout; folds test every family.")
    proteins = read_input(args, min_sequences=2)
    part, about = _holdout(args, proteins) if args.holdout else _folds(args, proteins)
    column = "split" if args.holdout else "fold"
    table = pd.DataFrame({"id": proteins.ids, column: part, "sequence": proteins.sequences})
    if args.target:
        # Under its own name, so that the file can be the input of a study as it is.
        table.insert(2, "target" if args.target in table else args.target, proteins.y)
    write_table(args.output, table)
    if args.fasta_out:
        for name in dict.fromkeys(part.tolist()):
            rows = part == name
            stem = f"fold_{name}" if column == "fold" and name != SET_ASIDE else name
            path = Path(args.fasta_out) / f"{stem}.fasta"
            write_fasta(path, proteins.sequences[rows], ids=proteins.ids[rows].tolist())
    names = sorted(set(part.tolist()), key=lambda name: (isinstance(name, str), name))
    sizes = {str(name): int((part == name).sum()) for name in names}
    shown = [f"{n} in {column} {name}" for name, n in sizes.items() if name != SET_ASIDE]
    if SET_ASIDE in sizes:
        shown.append(f"{sizes[SET_ASIDE]} set aside, as homologs of theirs lie in another part")
    text = f"{args.output}: " + ", ".join(shown)
    result = {"output": args.output, "sizes": sizes, "task": proteins.task}
    show(args, {**result, "task_reason": proteins.reason, **about}, text)
    return 0


def _folds(args: argparse.Namespace, proteins: Proteins) -> tuple[np.ndarray, dict[str, Any]]:
    from esmlearn.model_selection import CDHitGroupSplitter

    splitter = CDHitGroupSplitter(
        args.folds,
        identity=args.identity,
        coverage=args.coverage,
        # A column of folds cannot say whom a training part leaves out.
        on_large_component="drop",
        random_state=args.seed,
        n_jobs=args.jobs,
    )
    # Text, as scikit-learn's PredefinedSplit trains on rows of fold -1.
    fold = np.full(len(proteins.ids), SET_ASIDE, dtype=object)
    for number, (_, test) in enumerate(splitter.split(proteins.sequences, proteins.y)):
        fold[test] = number
    return fold, {"description": dict(splitter.description_)}


def _holdout(args: argparse.Namespace, proteins: Proteins) -> tuple[np.ndarray, dict[str, Any]]:
    from esmlearn.model_selection import train_validation_test_split

    n_validation, n_test = args.holdout
    found = train_validation_test_split(
        proteins.sequences,
        proteins.y,
        n_validation=n_validation,
        n_test=n_test,
        singletons_only=args.singletons_only,
        identity=args.identity,
        coverage=args.coverage,
        random_state=args.seed,
        n_jobs=args.jobs,
    )
    part = np.full(len(proteins.ids), SET_ASIDE, dtype=object)
    for name in ("train", "validation", "test"):
        part[getattr(found, name)] = name
    return part, {"summary": found.summary()}
