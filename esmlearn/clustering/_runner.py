"""Run an external program: no shell, no user text in the command, nothing left behind."""

import logging
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from esmlearn.exceptions import EngineError

_LOGGER = logging.getLogger(__name__)
_KEPT_OUTPUT = 10_000


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


def _wait(process: "subprocess.Popen[bytes]", timeout: float | None) -> int | None:
    """Return the exit code, or None if the program was killed after `timeout` seconds."""
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        return None
    finally:
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

    The program runs in a process group of its own, which is killed when the wait ends, is
    interrupted, or this process dies.

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
            with _process_group() as group:
                process = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=cwd,
                    env=environment,
                    process_group=group,
                )
                returncode = _wait(process, timeout)
        except OSError as error:
            raise EngineError(
                f"{words[0]} cannot be started: {error}.", command=words, version=version
            ) from error
        text = _tail(output)
    if returncode is None:
        raise EngineError(
            f"{words[0]} ran longer than {timeout} s and was stopped.",
            command=words,
            version=version,
            stderr=text,
        )
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
