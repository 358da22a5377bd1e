"""Run an external program: no shell, no user text in the command, nothing left behind."""

import logging
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from esmlearn.exceptions import EngineError

_LOGGER = logging.getLogger(__name__)
_KEPT_OUTPUT = 10_000


@contextmanager
def working_directory() -> Iterator[Path]:
    """Yield a private directory that is removed with all it holds, however the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="esmlearn-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def write_fasta(sequences: Sequence[str], path: Path) -> None:
    """Write sequences under their integer indices, so that no user text reaches a program."""
    with path.open("w", encoding="ascii") as file:
        file.writelines(f">{i}\n{sequence}\n" for i, sequence in enumerate(sequences))


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Kill the program and whatever it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, ProcessLookupError, PermissionError):
        process.kill()
    process.wait()


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _KEPT_OUTPUT))
    return file.read().decode("utf-8", errors="replace").strip()


def run_program(
    command: Sequence[str | os.PathLike[str]],
    *,
    version: str | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    accept: tuple[int, ...] = (0,),
) -> str:
    """Run a program to its end and return the end of what it wrote.

    The program gets its own process group, which is killed when the wait is interrupted.

    Parameters
    ----------
    command : sequence of str or path-like
        Program and arguments; never passed through a shell.
    version : str, default=None
        Version of the program, for the error.
    cwd : pathlib.Path, default=None
        Working directory of the program.
    timeout : float, default=None
        Seconds after which it is killed; None waits for ever.
    accept : tuple of int, default=(0,)
        Exit codes that mean success.

    Returns
    -------
    output : str
        The last 10,000 bytes of standard output and standard error together.

    Raises
    ------
    EngineError
        If it cannot be started, fails, is killed or runs out of time; carries command, version,
        exit code and output.
    """
    words = [os.fspath(word) for word in command]
    _LOGGER.debug("running %s", words)
    environment = {**os.environ, "LC_ALL": "C"}
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(
                f"{words[0]} cannot be started: {error}.", command=words, version=version
            ) from error
        try:
            returncode = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            _stop(process)
            raise EngineError(
                f"{words[0]} ran longer than {timeout} s and was stopped.",
                command=words,
                version=version,
                stderr=_tail(output),
            ) from error
        except BaseException:
            _stop(process)
            raise
        text = _tail(output)
    if returncode not in accept:
        raise _failure(words, version, returncode, text)
    return text


def _failure(words: list[str], version: str | None, returncode: int, text: str) -> EngineError:
    how = f"exit code {returncode}" if returncode > 0 else f"signal {-returncode}"
    hint = " It may have run out of memory." if returncode == -signal.SIGKILL else ""
    return EngineError(
        f"{words[0]} (version {version or 'unknown'}) failed with {how}.{hint}\n"
        f"command: {' '.join(words)}\noutput: {text or '(none)'}",
        command=words,
        version=version,
        returncode=returncode,
        stderr=text,
    )
