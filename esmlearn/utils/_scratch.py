"""Private temporary directories, all below one folder."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# A process that lives writes to its files more often than that.
_ABANDONED_SECONDS = 86_400.0


def _scratch_folder() -> Path | None:
    """Return the user's folder of temporary directories, or None where it is not theirs alone."""
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    folder = Path(tempfile.gettempdir()) / f"esmlearn{user}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    # Anyone may make a folder or link of that name where all users share the temporary folder.
    if folder.is_symlink() or (user and folder.stat().st_uid != os.getuid()):
        return None
    return folder


@contextmanager
def working_directory() -> Iterator[Path]:
    """Yield a private directory that is removed with all it holds, however the block ends.

    After SIGKILL it stays in the user's folder ``esmlearn-<number>`` below the system's temporary
    folder, which :func:`remove_abandoned` empties.
    """
    with tempfile.TemporaryDirectory(dir=_scratch_folder(), ignore_cleanup_errors=True) as name:
        yield Path(name)


def remove_abandoned() -> int:
    """Remove temporary directories in which nothing changed for a day; return their number."""
    folder, before = _scratch_folder(), time.time() - _ABANDONED_SECONDS
    abandoned = [
        directory
        for directory in (folder.iterdir() if folder is not None else ())
        if all(path.lstat().st_mtime < before for path in (directory, *directory.rglob("*")))
    ]
    for directory in abandoned:
        shutil.rmtree(directory, ignore_errors=True)
    return len(abandoned)
