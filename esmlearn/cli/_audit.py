"""``esmlearn audit``."""

import argparse
import re
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
    read_input,
    show,
    table_path,
)
from esmlearn.exceptions import DataError
from esmlearn.io import Proteins, write_table
from esmlearn.utils._parts import PART_NAMES, SET_ASIDE
from esmlearn.utils._sequences import remove_gaps


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = new_command(commands, "audit", "measure how leaky a split is, whoever made it")
    parser.add_argument(
        "input",
        nargs="+",
        metavar="FILE",
        help="table with sequences and parts; or a FASTA file or table for each part",
    )
    add_input(parser, target=False)
    parser.add_argument(
        "--column",
        default=None,
        metavar="COL",
        help="column of folds, or of train/valid/test ('fold' or 'split' if there)",
    )
    parser.add_argument(
        "--set-aside", default=f"{SET_ASIDE},-1", metavar="A,B", help="values that are in no part"
    )
    parser.add_argument(
        "--engine",
        default="auto",
        help="auto, exact, mmseqs, diamond, or another search engine that `esmlearn info` shows",
    )
    parser.add_argument(
        "--sample", type=at_least(1), default=None, help="number of test rows to search"
    )
    parser.add_argument("-o", "--output", type=table_path, default=None, help="CSV of the table")
    parser.add_argument(
        "--nearest", type=table_path, default=None, help="CSV of each test row's nearest relative"
    )
    # The audit always reports several coverages, side by side.
    add_homology(parser, coverage=False)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Audit a split and say how much leaks."""
    from esmlearn.model_selection import audit_leakage

    table = _read_parts(args)
    aside = set(args.set_aside.split(","))
    report = audit_leakage(
        table["sequence"].to_numpy(),
        _splits(table["part"], aside),
        identity=args.identity,
        engine=args.engine,
        n_sample=args.sample,
        n_jobs=args.jobs,
    )
    if args.output:
        write_table(args.output, report.table)
    if args.nearest:
        write_table(args.nearest, report.nearest)
    copies = _crossing_copies(table, aside)
    lines = [report.summary()]
    if copies:
        lines.append(f"  {len(copies)} sequences occur in more than one part:")
        lines += ["    " + ", ".join(f"{i} ({part})" for i, part in rows) for rows in copies[:10]]
        lines += ["    ..."] if len(copies) > 10 else []
    show(args, {"copies": copies, **report.to_dict()}, "\n".join(lines))
    return 0


def _read_parts(args: argparse.Namespace) -> pd.DataFrame:
    """Return id, sequence and part of every protein, from one table or a file per part."""
    files, tables = args.input, []
    for file in files:
        proteins = read_input(args, path=file, min_sequences=2 if len(files) == 1 else 1)
        table = pd.DataFrame({"id": proteins.ids, "sequence": proteins.sequences})
        if len(files) == 1:
            return table.assign(part=_parts_column(args.column, proteins, file).to_numpy())
        tables.append(table)
    if args.column:
        raise DataError(
            f"Got --column {args.column} and {len(files)} files; expected one table with that "
            f"column, or a file for each part."
        )
    names = _part_names(files)
    return pd.concat(
        [table.assign(part=name) for name, table in zip(names, tables, strict=True)],
        ignore_index=True,
    )


def _part_names(files: list[str]) -> list[str]:
    """Name each file's part: train, validation or test where the file names say so."""
    stems = [Path(file).name.split(".")[0] for file in files]
    words = [[w for w in re.split(r"[\W_]+", stem.lower()) if w in PART_NAMES] for stem in stems]
    parts = [
        PART_NAMES[found[0]] if found else stem for found, stem in zip(words, stems, strict=True)
    ]
    names = parts if len(set(parts)) == len(parts) else stems
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"Two files are named {twice!r}; expected a name of its own for each part.")
    return names


def _crossing_copies(table: pd.DataFrame, aside: set[str]) -> list[list[tuple[str, str]]]:
    """Return id and part of the rows of each sequence that lies in more than one part.

    Copies cost nothing to find, so all rows are looked at, also where the search takes a sample.
    """
    table = table.assign(sequence=[remove_gaps(sequence) for sequence in table["sequence"]])
    table = table[~table["part"].isin(aside)]
    crossing = table[table.groupby("sequence")["part"].transform("nunique") > 1]
    return [
        list(zip(rows["id"], rows["part"], strict=True))
        for _, rows in crossing.groupby("sequence", sort=False)
    ]


def _parts_column(column: str | None, proteins: Proteins, file: str) -> pd.Series:
    """Return the part of each row, as text."""
    frame = proteins.frame
    known = ", ".join(map(repr, frame.columns))
    names = [column] if column else ["fold", "split"]
    name = next((n for n in names if n in frame.columns), None)
    if name is None:
        raise DataError(
            f"{file} has no column {' or '.join(map(repr, names))}; it has {known}. Name "
            f"the column of folds or parts with --column."
        )
    missing = np.flatnonzero(frame[name].isna())
    if len(missing):
        raise DataError(f"{file}: row {missing[0]} has no {name!r}; fill it.")
    return frame[name].astype(str)


def _splits(values: pd.Series, aside: set[str]) -> Any:
    """Return parts as `audit_leakage` takes them: named parts, or a number per fold."""
    used = values[~values.isin(aside)]
    parts = used.str.lower().map(PART_NAMES)
    if parts.notna().all() and "train" in set(parts):
        return {str(name): np.asarray(rows) for name, rows in parts.groupby(parts).groups.items()}
    codes = pd.Series(-1, index=values.index)
    codes[used.index] = pd.factorize(used, sort=True)[0]
    return codes.to_numpy()
