"""Run a command as a child process and measure what it and its descendants cost."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_SAMPLE_SECONDS = 0.25


def run_measured(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> tuple[str, dict[str, Any]]:
    """Run a command to its end.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    environment : mapping, default=None
        Variables on top of this process's.

    Returns
    -------
    output : str
        What it wrote to stdout.
    cost : dict
        ``wall_s``; ``cpu_s`` of it and all its descendants; ``peak_mb``, the larger of two: the
        most memory of all of them together as it was sampled (shared pages counted once), and the
        most that any single one of them ever had. ``load``: how busy the machine was before.
    """
    load = os.getloadavg()[0]
    start = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    ) as process:
        sampler = _Sampler(process.pid)
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    cost = {
        "wall_s": round(time.perf_counter() - start, 3),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_mb": round(sampler.stop(), 1),
        "load": round(load, 2),
    }
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    return output, cost


class _Sampler:
    """Adds up the memory of a process and its descendants, again and again."""

    def __init__(self, root: int) -> None:
        self._root, self._peak = root, 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            tree = _tree(self._root)
            together = sum(megabytes(pid, "smaps_rollup", "Pss:") for pid in tree)
            # not rusage's figure, which holds the memory of who started the process, too
            alone = max(megabytes(pid, "status", "VmHWM:") for pid in tree)
            self._peak = max(self._peak, together, alone)

    def stop(self) -> float:
        self._ended.set()
        self._thread.join()
        return self._peak


def _tree(root: int) -> list[int]:
    """Return a process and its descendants."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue  # ended meanwhile
        children.setdefault(parent, []).append(int(folder.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def megabytes(pid: int, file: str, name: str) -> float:
    """Return a figure of a process from a file of /proc, 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:
        return 0.0  # ended meanwhile
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(name)), 0.0)
