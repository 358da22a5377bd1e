"""Folder of files that esmlearn may compute again, and writing of whole files."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs


def cache_directory(*parts: str) -> Path:
    """Return (and create) a directory below esmlearn's cache.

    The root is ``$ESMLEARN_CACHE`` where that is set, else the platform's cache directory.

    Parameters
    ----------
    *parts : str
        Names of nested directories.

    Returns
    -------
    directory : pathlib.Path
        An existing directory, readable by its owner only when it was created here.
    """
    root = Path(os.environ.get("ESMLEARN_CACHE") or platformdirs.user_cache_dir("esmlearn"))
    directory = root.joinpath(*parts)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return directory


def file_name(text: str) -> str:
    """Return text of a user as a part of a file name, not longer than 80 characters."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text)[:80]


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it when the block ends well.

    A reader sees the old file or the whole new one; after an error or a kill nothing half-written
    stands under the final name.

    Parameters
    ----------
    path : path-like
        The final name.

    Yields
    ------
    temporary : pathlib.Path
        Write here.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not mkstemp: its files are the owner's alone, and a report is made to be shown to others.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}{path.suffix}")
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
