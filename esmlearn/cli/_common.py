"""Arguments and output that commands share."""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import pandas as pd

from esmlearn.exceptions import DataError
from esmlearn.io import Proteins, read_proteins, write_table
from esmlearn.io._tables import table_kind
from esmlearn.utils._paths import cache_directory
from esmlearn.utils._scratch import working_directory
from esmlearn.utils._warn import warn

Commands = Any  # argparse has no public name for what add_subparsers returns


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help with defaults, where they are informative."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or isinstance(action.default, bool) or action.nargs == 0:
            return action.help
        return super()._get_help_string(action)


def new_command(commands: Commands, name: str, summary: str, **options: Any) -> Any:
    """Add a command with ``-v``, ``-q`` and ``--json``."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[:1].upper()}{summary[1:]}.",
        formatter_class=_HelpFormatter,
        **options,
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    loud = parser.add_mutually_exclusive_group()
    loud.add_argument(
        "-v", "--verbose", action="store_const", const=1, default=0, help="show every step"
    )
    loud.add_argument(
        "-q", "--quiet", dest="verbose", action="store_const", const=-1, help="show errors only"
    )
    return parser


def add_input(parser: argparse.ArgumentParser, *, target: bool) -> None:
    """Add the arguments that say where the proteins are."""
    parser.add_argument("--sequence", default="sequence", metavar="COL", help="column of sequences")
    parser.add_argument("--id", default=None, metavar="COL", help="column of ids ('id' if there)")
    parser.add_argument(
        "--separator",
        type=_separator,
        default=None,
        metavar="SIGN",
        help="separator of a text table, such as ';' or tab (default: by suffix and header)",
    )
    parser.add_argument(
        "--sheet", default=None, metavar="NAME", help="sheet of an Excel workbook (default: first)"
    )
    parser.add_argument(
        "--fasta", default=None, metavar="FILE", help="FASTA file with the table's sequences, by id"
    )
    if target:
        parser.add_argument("--target", default=None, metavar="COL", help="column to predict")
        parser.add_argument(
            "--task",
            default="auto",
            choices=["auto", "regression", "classification"],
            help="numbers or classes; auto looks at the column",
        )
        parser.add_argument(
            "--decimal",
            default=".",
            choices=[".", ","],
            metavar="SIGN",
            help="decimal sign of the target, . or ,",
        )
        parser.add_argument(
            "--censored",
            default="refuse",
            choices=["refuse", "drop", "bound"],
            help="targets such as >60: refuse them, leave their rows out, or take the bound itself",
        )


def add_no_cache(parser: argparse.ArgumentParser) -> None:
    """Add the argument that turns the cache off."""
    parser.add_argument(
        "--no-cache", action="store_true", help="keep nothing for later runs, and use nothing kept"
    )


def add_homology(parser: argparse.ArgumentParser, *, coverage: bool = True) -> None:
    """Add the arguments that define homologs, and the number of processes."""
    parser.add_argument(
        "--identity",
        type=share,
        default=0.3,
        help="identity (0-1) from which on proteins are homologs",
    )
    if coverage:
        parser.add_argument(
            "--coverage", type=share, default=0.5, help="share (0-1) of the shorter that must align"
        )
    add_jobs(parser)


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """Add the number of processes."""
    parser.add_argument(
        "--jobs", type=jobs, default=-1, metavar="N", help="processes or threads; -1 for all cores"
    )


def _separator(text: str) -> str:
    """Parse a separator, which a shell hardly types if it is a tab."""
    return "\t" if text in ("tab", "\\t") else text


def share(text: str) -> float:
    """Parse a number between 0 and 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        hint = f" (did you mean {value / 100:g}?)" if 1 < value <= 100 else ""
        raise argparse.ArgumentTypeError(f"{text!r} is no number between 0 and 1{hint}")
    return value


def level(text: str) -> float:
    """Parse a confidence level."""
    value = share(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no level above 0 and below 1")
    return value


def jobs(text: str) -> int:
    """Parse a number of processes."""
    value = at_least(-1)(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 is no number of processes; -1 is all cores")
    return value


def at_least(least: int) -> Callable[[str], int]:
    """Return a parser of whole numbers that are not below a least one."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of {least} or more")
        return value

    return parse


def read_input(
    args: argparse.Namespace, *, path: str | None = None, min_sequences: int = 1
) -> Proteins:
    """Read the proteins that the arguments name; `path` is one of several inputs.

    What a target is taken for is printed on stderr.
    """
    options = {n: getattr(args, n) for n in ("target", "task", "decimal", "censored") if n in args}
    proteins = read_proteins(
        path or args.input,
        sequence=args.sequence,
        id=args.id,
        fasta=args.fasta,
        min_sequences=min_sequences,
        separator=args.separator,
        sheet=args.sheet,
        **options,
    )
    if proteins.task is not None and args.verbose >= 0:
        other = {"regression": "classification", "classification": "regression"}[proteins.task]
        print(
            f"Task: {proteins.task} of {args.target!r} ({proteins.reason}). If that is wrong, pass "
            f"--task {other}.",
            file=sys.stderr,
        )
    return proteins


@contextmanager
def cache_where_possible(args: argparse.Namespace) -> Iterator[bool]:
    """Let a command use the cache, or an empty one that is removed after it.

    Yields
    ------
    kept : bool
        False where no cache is wanted, or none can be written; a warning then says why.
    """
    if not args.no_cache:
        try:
            with TemporaryFile(dir=cache_directory()) as probe:
                probe.write(bytes(1 << 16))
        except OSError as error:
            warn(
                f"The cache cannot be written ({error}); this run keeps nothing for later ones. "
                f"Name a folder that can be written in the variable ESMLEARN_CACHE, or pass "
                f"--no-cache."
            )
        else:
            yield True
            return
    name, before = "ESMLEARN_CACHE", os.environ.get("ESMLEARN_CACHE")
    with working_directory() as folder:
        os.environ[name] = str(folder)
        try:
            yield False
        finally:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before


def show(args: argparse.Namespace, result: dict[str, Any], text: str) -> None:
    """Print a result, as JSON where asked."""
    print(json.dumps(plain(result), indent=1) if args.json else text)


def write_or_print(args: argparse.Namespace, table: pd.DataFrame) -> None:
    """Write a table to the output file, or to stdout where none is named."""
    if args.output:
        write_table(args.output, table)
    else:
        table.to_csv(sys.stdout, index=False, lineterminator="\n")


def plain(value: Any) -> Any:
    """Return NumPy and path values as JSON types; numbers that are not finite become null."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def device(text: str) -> str:
    """Parse the name of a device; whether it is there is seen when something is computed."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no device; expected auto, cpu, mps, cuda or cuda:N"
        )
    return text


def output_path(text: str) -> Path:
    """Parse the name of a file to write."""
    return Path(text)


def table_path(text: str) -> Path:
    """Parse the name of a table to write; an unknown format is refused before the work."""
    try:
        table_kind(text)
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Path(text)
