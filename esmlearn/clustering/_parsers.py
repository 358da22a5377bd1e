"""Read what search and clustering programs write; a bad line is an error, never skipped."""

import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from esmlearn.exceptions import EngineError

_INT64 = re.compile(r"-?\d{1,18}", re.ASCII)  # of nineteen digits not all numbers fit
_CLUSTER_LINE = re.compile(r"^\d+\t\d+(?:aa|nt), >(\S+?)\.\.\. (\*|at .+)$")


def _check_complete(path: Path, what: str) -> bool:
    """Tell whether the file holds anything; refuse one that is missing or ends in mid-line."""
    if not path.is_file():
        raise EngineError(f"{what} wrote no output file {path.name}.")
    size = path.stat().st_size
    if size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            raise EngineError(
                f"{what}: {path.name} ends in the middle of a line ({size} bytes); the program was "
                f"interrupted or the disk is full."
            )
    return True


def read_table(
    path: str | os.PathLike[str], columns: Sequence[str], *, what: str
) -> dict[str, NDArray]:
    """Read a tab-separated table of whole numbers, such as BLAST's tabular format.

    Parameters
    ----------
    path : path-like
        The file; an empty one is a table without rows.
    columns : sequence of str
        Names of the columns, in order.
    what : str
        Who wrote it, for messages.

    Returns
    -------
    table : dict of str to ndarray of int64
        One array per column.

    Raises
    ------
    EngineError
        If the file is missing, cut short, or a line has other columns or no whole number.
    """
    path = Path(path)
    if not _check_complete(path, what):
        return {name: np.zeros(0, dtype=np.int64) for name in columns}
    try:
        with warnings.catch_warnings():
            # pandas only warns of columns that it drops, and of numbers that do not fit
            warnings.simplefilter("error")
            frame = pd.read_csv(
                path,
                sep="\t",
                header=None,
                names=list(columns),
                index_col=False,
                dtype=np.int64,
                engine="c",
                quoting=3,
                skip_blank_lines=False,
            )
    except (ValueError, OverflowError, Warning) as error:
        raise EngineError(f"{what}: {_first_bad_line(path, len(columns))}") from error
    return {name: frame[name].to_numpy() for name in columns}


def _first_bad_line(path: Path, n_columns: int) -> str:
    """Say which line is no row of `n_columns` whole numbers."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            words = line.rstrip("\n").split("\t")
            if len(words) != n_columns or not all(map(_INT64.fullmatch, words)):
                return (
                    f"line {number} of {path.name} is {line.rstrip()[:200]!r}; expected "
                    f"{n_columns} whole numbers separated by tabs."
                )
    return f"{path.name} cannot be read as a table of {n_columns} whole numbers."


def _check_index(text: str, n_sequences: int, where: str) -> int:
    index = int(text) if _INT64.fullmatch(text) else -1
    if not 0 <= index < n_sequences:
        raise EngineError(f"{where}: unknown sequence {text!r}; expected 0-{n_sequences - 1}.")
    return index


def read_clstr(
    path: str | os.PathLike[str], n_sequences: int, *, what: str = "cd-hit"
) -> NDArray[np.int64]:
    """Read a CD-HIT ``.clstr`` file whose sequences are called 0, 1, 2, ...

    Parameters
    ----------
    path : path-like
        The file.
    n_sequences : int
        How many sequences went in; each must be in exactly one cluster.
    what : str, default="cd-hit"
        Who wrote it, for messages.

    Returns
    -------
    representatives : ndarray of int of shape (n_sequences,)
        Index of the sequence that represents each one's cluster.

    Raises
    ------
    EngineError
        If a line is malformed, a sequence is unknown, missing or listed twice, or a cluster has
        not exactly one representative.
    """
    path = Path(path)
    _check_complete(path, what)
    representatives = np.full(n_sequences, -1, dtype=np.int64)
    members: list[int] = []
    chosen: list[int] = []
    seen = np.zeros(n_sequences, dtype=bool)

    def close(where: str) -> None:
        if members and len(chosen) != 1:
            raise EngineError(f"{where}: a cluster has {len(chosen)} representatives; expected 1.")
        if members:
            representatives[members] = chosen[0]
        members.clear()
        chosen.clear()

    number = 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            where = f"{what}: line {number} of {path.name}"
            if line.startswith(">Cluster "):
                close(where)
                continue
            match = _CLUSTER_LINE.match(line.rstrip("\n"))
            if match is None:
                raise EngineError(f"{where} is {line.rstrip()[:200]!r}; expected a .clstr line.")
            index = _check_index(match[1], n_sequences, where)
            if seen[index]:
                raise EngineError(f"{where}: sequence {index} is listed twice.")
            seen[index] = True
            members.append(index)
            if match[2] == "*":
                chosen.append(index)
    close(f"{what}: end of {path.name}")
    _check_all_listed(seen, what, path)
    return representatives


def read_cluster_pairs(
    path: str | os.PathLike[str], n_sequences: int, *, what: str = "mmseqs"
) -> NDArray[np.int64]:
    """Read lines ``representative <tab> member`` over sequences called 0, 1, 2, ...

    Parameters
    ----------
    path : path-like
        The file, as MMseqs2's ``createtsv`` writes it.
    n_sequences : int
        How many sequences went in; each must be a member exactly once.
    what : str, default="mmseqs"
        Who wrote it, for messages.

    Returns
    -------
    representatives : ndarray of int of shape (n_sequences,)
        Index of the sequence that represents each one's cluster.

    Raises
    ------
    EngineError
        If a line is malformed or a sequence is unknown, missing or listed twice.
    """
    path = Path(path)
    table = read_table(path, ("representative", "member"), what=what)
    for name, values in table.items():
        bad = np.flatnonzero((values < 0) | (values >= n_sequences))
        if len(bad):
            raise EngineError(
                f"{what}: line {bad[0] + 1} of {path.name}: unknown {name} {values[bad[0]]}; "
                f"expected 0-{n_sequences - 1}."
            )
    counts = np.bincount(table["member"], minlength=n_sequences)
    if (counts > 1).any():
        raise EngineError(
            f"{what}: sequence {int(counts.argmax())} is listed twice in {path.name}."
        )
    _check_all_listed(counts == 1, what, path)
    representatives = np.full(n_sequences, -1, dtype=np.int64)
    representatives[table["member"]] = table["representative"]
    return representatives


def _check_all_listed(seen: NDArray[np.bool_], what: str, path: Path) -> None:
    if not seen.all():
        raise EngineError(
            f"{what}: {path.name} misses {int((~seen).sum())} of {len(seen)} sequences, the first "
            f"is {int(np.argmin(seen))}."
        )
