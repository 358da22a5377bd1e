"""External programs: find them, run them, and read the tables that they write.

Programs run without a shell and without user text in the command, and leave nothing behind. A bad
line in their output is an error, never skipped.
"""

import logging
import os
import re
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from esmlearn.exceptions import EngineError, EngineNotFoundError

_LOGGER = logging.getLogger(__name__)
_KEPT_OUTPUT = 10_000
# A program that takes longer hangs: the slowest mode of the slowest one searches 3e10 residue pairs
# per second and core.
_LEAST_SECONDS, _CELLS_PER_SECOND = 120.0, 1e9
_INT64 = re.compile(r"-?\d{1,18}", re.ASCII)  # of nineteen digits not all numbers fit


@dataclass(frozen=True)
class Program:
    """An external program.

    Attributes
    ----------
    name : str
        Name of the executable on the search path.
    install : str
        How to install it, for the error.
    version_pattern : str
        Regular expression whose first group is the version in the output of `version_arguments`.
    version_arguments : tuple of str, default=("version",)
        Arguments that make the program state its version.
    version_codes : tuple of int, default=(0,)
        Exit codes of that.
    bundled : callable, default=None
        Finds the program where it is not on the search path; returns its path or None.
    """

    name: str
    install: str
    version_pattern: str
    version_arguments: tuple[str, ...] = ("version",)
    version_codes: tuple[int, ...] = (0,)
    bundled: Callable[[], Path | None] | None = None

    def find(self) -> Path | None:
        """Return the path of the program, or None."""
        found = shutil.which(self.name)
        if found is not None:
            return Path(found)
        return self.bundled() if self.bundled is not None else None

    def usable(self) -> Path | None:
        """Return the path of a program that states its version; log why a broken one does not."""
        path = self.find()
        if path is None:
            return None
        try:
            self.version(path)
        except EngineError as error:
            _LOGGER.warning("%s is left out because it does not run: %s", path, error)
            return None
        return path

    def require(self) -> Path:
        """Return the path of the program, or say how to install it."""
        path = self.find()
        if path is None:
            raise EngineNotFoundError(
                f"The program {self.name!r} is not installed (not on PATH). Install it with: "
                f"{self.install}."
            )
        return path

    def version(self, path: Path) -> str:
        """Return the version that the program at `path` states."""
        return _program_version(self, path, path.stat().st_mtime_ns)

    def available(self) -> str | None:
        """Return the version and path of a program that runs, or None."""
        path = self.usable()
        return None if path is None else f"{self.version(path)} ({path})"


@lru_cache
def _program_version(program: Program, path: Path, changed: int) -> str:
    words = [os.fspath(path), *program.version_arguments]
    output = run_program(words, accept=program.version_codes, limit_s=_LEAST_SECONDS / 4)
    match = re.search(program.version_pattern, output)
    return match[1] if match else "unknown"


def write_fasta(sequences: Sequence[str], path: Path) -> None:
    """Write sequences under their integer indices, so that no user text reaches a program."""
    with path.open("w", encoding="ascii") as file:
        file.writelines(f">{i}\n{sequence}\n" for i, sequence in enumerate(sequences))


# Waits until the other end of its standard input is closed, which the system does when Python dies
# however it dies, and then kills its process group: itself, the program and what that started.
_GUARD = ["/bin/sh", "-c", "read -r _; kill -KILL 0"]


@contextmanager
def _process_group() -> Iterator[int | None]:
    """Yield a process group of which nothing outlives the block, nor this process."""
    if os.name != "posix":
        yield None
        return
    with subprocess.Popen(
        _GUARD,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as guard:
        try:
            yield guard.pid
        finally:
            # The guard is not reaped yet, so that the number is still that of its group. Where all
            # in it have ended, macOS says that signalling them is not permitted.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(guard.pid, signal.SIGKILL)


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _KEPT_OUTPUT))
    return file.read().decode("utf-8", errors="replace").strip()


def seconds_for(cells: float) -> float:
    """Return how long a program may take for so many residue pairs: ten times the usual."""
    return _LEAST_SECONDS + cells / _CELLS_PER_SECOND


def run_program(
    command: Sequence[str | os.PathLike[str]],
    *,
    version: str | None = None,
    accept: tuple[int, ...] = (0,),
    limit_s: float = _LEAST_SECONDS,
) -> str:
    """Run a program to its end and return the end of its output.

    The program runs in a process group of its own, which is killed when the program ends, the wait
    is interrupted, or this process dies.

    Parameters
    ----------
    command : sequence of str or path-like
        Program and arguments; never passed through a shell.
    version : str, default=None
        Version of the program, for the error.
    accept : tuple of int, default=(0,)
        Exit codes that mean success.
    limit_s : float, default=120.0
        Seconds after which the program is stopped.

    Returns
    -------
    output : str
        The last 10,000 bytes of standard output and standard error together.

    Raises
    ------
    EngineError
        If it cannot be started, fails, is killed or does not end in time; carries command, version,
        exit code and output.
    """
    words = [os.fspath(word) for word in command]
    _LOGGER.debug("running %s", words)
    environment = {**os.environ, "LC_ALL": "C"}
    with tempfile.TemporaryFile() as output:
        try:
            with _process_group() as group:
                process = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    process_group=group,
                )
                try:
                    returncode = process.wait(limit_s)
                except subprocess.TimeoutExpired as error:
                    raise EngineError(
                        f"{words[0]} (version {version or 'unknown'}) did not end within "
                        f"{limit_s:.0f} s, and was stopped. Expected is a tenth of that or less "
                        f"for this much work: try the command by itself, install another version, "
                        f"or choose another engine.\n"
                        f"command: {' '.join(words)}\noutput: {_tail(output) or '(none)'}",
                        command=words,
                        version=version,
                        stderr=_tail(output),
                    ) from error
                finally:
                    process.kill()
                    process.wait()
        except OSError as error:
            raise EngineError(
                f"{words[0]} cannot be started: {error}.", command=words, version=version
            ) from error
        text = _tail(output)
    if returncode in accept:
        return text
    how = f"exit code {returncode}" if returncode > 0 else f"signal {-returncode}"
    # The Linux kernel kills processes with SIGKILL when memory runs out.
    hint = " It may have run out of memory." if returncode == -signal.SIGKILL else ""
    raise EngineError(
        f"{words[0]} (version {version or 'unknown'}) failed with {how}.{hint}\n"
        f"command: {' '.join(words)}\noutput: {text or '(none)'}",
        command=words,
        version=version,
        returncode=returncode,
        stderr=text,
    )


def check_complete(path: Path, writer: str) -> bool:
    """Return whether the file holds anything; refuse one that is missing or ends in mid-line."""
    if not path.is_file():
        raise EngineError(f"{writer} wrote no output file {path.name}.")
    size = path.stat().st_size
    if size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            raise EngineError(
                f"{writer}: {path.name} ends in the middle of a line ({size} bytes); the program "
                f"was interrupted or the disk is full."
            )
    return True


def read_table(
    path: str | os.PathLike[str], columns: Sequence[str], *, writer: str
) -> dict[str, NDArray]:
    """Read a tab-separated table of whole numbers, such as BLAST's tabular format.

    Parameters
    ----------
    path : path-like
        The file; an empty one is a table without rows.
    columns : sequence of str
        Names of the columns, in order.
    writer : str
        The program that wrote it, for messages.

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
    if not check_complete(path, writer):
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
        raise EngineError(f"{writer}: {_first_bad_line(path, len(columns))}") from error
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


def check_range(
    name: str, values: NDArray[np.int64], least: int, most: Any, *, path: Path, writer: str
) -> None:
    """Refuse a column with a value below `least` or above `most` (one for all, or per line)."""
    bad = np.flatnonzero((values < least) | (values > most))
    if len(bad):
        limit = np.broadcast_to(most, values.shape)[bad[0]]
        raise EngineError(
            f"{writer}: line {bad[0] + 1} of {path.name}: unknown {name} {values[bad[0]]}; "
            f"expected {least}-{limit}."
        )


def check_all_listed(seen: NDArray[np.bool_], writer: str, path: Path) -> None:
    """Refuse an output file that misses sequences."""
    if not seen.all():
        raise EngineError(
            f"{writer}: {path.name} misses {int((~seen).sum())} of {len(seen)} sequences, the "
            f"first is {int(np.argmin(seen))}."
        )
