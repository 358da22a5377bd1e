"""Private temporary directories, of which none outlives its process for long."""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows has no flock: what a killed process leaves, stays
    fcntl = None  # type: ignore[assignment]

_PREFIX = "esmlearn-"
_LOCK = ".alive"
_SETTLED_SECONDS = 60.0  # from then on a directory's owner has surely taken its lock


@contextmanager
def working_directory() -> Iterator[Path]:
    """Yield a private directory that is removed with all it holds, however the block ends.

    After SIGKILL, which nothing can answer, the next process of the same user removes it.
    """
    remove_abandoned(tempfile.gettempdir())
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = _open_locked(directory / _LOCK, create=True)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if lock is not None:
            lock.close()


@cache
def remove_abandoned(folder: str) -> None:
    """Remove what killed processes of this user have left, once per process.

    An owner holds a lock on a file inside, which the system takes back when it dies: unlike the
    number of a process it means the same in every container that shares the folder.
    """
    if fcntl is None:
        return
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX):
                with suppress(OSError):
                    _remove_if_abandoned(Path(entry.path))


def _remove_if_abandoned(directory: Path) -> None:
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return
    marker = directory / _LOCK
    if time.time() - marker.lstat().st_mtime < _SETTLED_SECONDS:
        return
    lock = _open_locked(marker, create=False)
    if lock is not None:
        with lock:
            shutil.rmtree(directory, ignore_errors=True)


def _open_locked(path: Path, *, create: bool) -> "IO[bytes] | None":
    """Return the file, locked until it is closed; None where another holds it or none can."""
    if fcntl is None:
        return None
    file = path.open("xb" if create else "rb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        if create:  # a file system without locks: nobody may take this for abandoned
            path.unlink()
        return None
    return file
