"""Arguments in, exit code out."""

import argparse
import logging
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from esmlearn._version import __version__
from esmlearn.cli import _audit, _embed, _homology, _maintenance, _predict, _study, _suggest
from esmlearn.exceptions import EsmlearnError

USER_ERROR = 2
INTERRUPTED = 130
TERMINATED = 143  # as shells report SIGTERM
OUTPUT_CLOSED = 141  # as shells report SIGPIPE
_EXAMPLES = """\
examples:
  esmlearn study --demo                          the whole method on 2,898 real enzymes
  esmlearn study table.csv --target tm --unit °C --out report
  esmlearn embed proteins.fasta -o vectors.parquet
  esmlearn split table.csv --target tm --folds 5 -o folds.csv
  esmlearn audit folds.csv --column fold         how leaky is a split?
  esmlearn audit train.fasta test.fasta          the same, from a file for each part
  esmlearn predict report/model.esmlearn new.fasta -o predictions.csv
  esmlearn suggest scan.esmlearn --wild-type wt.fasta --measured scan.csv -o next.csv

exit codes: 0 done, 2 input that cannot be used, 130 interrupted, 141 whoever read the output
closed it, as head does, 143 terminated
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str or None, default=None
        Arguments; None takes those of the process.

    Returns
    -------
    code : int
        0 when done, 2 for input that cannot be used, 130 when interrupted, 141 when the reader of
        the output closed it, 143 when terminated.

    Examples
    --------
    >>> from esmlearn.cli import main
    >>> main(["cluster", "no-such-file.fasta"])
    2
    """
    args = build_parser().parse_args(argv)
    _start_logging(args.verbose)
    try:
        with _terminable(), _plain_warnings(args.verbose):
            code = int(args.run(args) or 0)
        sys.stdout.flush()  # here, where a closed pipe is understood
        return code
    except EsmlearnError as error:
        return _fail(_as_options(str(error), vars(args)))
    except BrokenPipeError:
        # Whoever read our output has enough of it, as `head` does; nothing is left to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED
    except OSError as error:
        name = f" ({error.filename})" if error.filename else ""
        return _fail(f"{error.strerror or error}{name}.")
    except _Terminated:
        print("Terminated; what was finished is kept.", file=sys.stderr)
        return TERMINATED
    except KeyboardInterrupt:
        print("Interrupted; what was finished is kept.", file=sys.stderr)
        return INTERRUPTED


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="esmlearn",
        description="Learn from protein language-model features, tested on unseen families.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"esmlearn {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (_study, _embed, _homology, _audit, _predict, _suggest, _maintenance):
        module.add_commands(commands)
    return parser


def _start_logging(verbose: int) -> None:
    """Log steps on a terminal, warnings in a pipe; with -v all, with -q nothing but errors."""
    shown = verbose + (1 if sys.stderr.isatty() else 0)
    level = logging.ERROR if verbose < 0 else logging.INFO if shown > 0 else logging.WARNING
    logger = logging.getLogger("esmlearn")
    logger.setLevel(level)
    if not any(isinstance(handler, _Stderr) for handler in logger.handlers):
        handler = _Stderr()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.propagate = False


@contextmanager
def _plain_warnings(verbose: int) -> Iterator[None]:
    """Show a warning as one line without code; with -q none."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_: f"esmlearn: warning: {message}\n"
    try:
        with warnings.catch_warnings():
            if verbose < 0:
                warnings.simplefilter("ignore")
            yield
    finally:
        warnings.formatwarning = before


class _Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def _terminable() -> Iterator[None]:
    """End at SIGTERM as at Ctrl-C: temporary files are removed and helpers stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return

    def stop(number: int, frame: Any) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Stderr(logging.StreamHandler):
    """Writes to what stderr is now, not to what it was at import."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _as_options(message: str, known: Collection[str]) -> str:
    """Name parameters as the options they are here: ``--model X`` for ``model=X``."""

    def rename(match: re.Match[str]) -> str:
        name, after = match[1], match[2]
        if name not in known:
            return match[0]
        return f"--{name.replace('_', '-')}{'' if after in ' .,;:)' else ' '}{after}"

    return re.sub(r"(?<![^\s(])([a-z_]+)=(.|$)", rename, message)


def _fail(message: str) -> int:
    print(f"esmlearn: error: {message}", file=sys.stderr)
    return USER_ERROR
