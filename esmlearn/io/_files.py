"""Opening text files, plain or compressed, with errors that name the file."""

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

from esmlearn.exceptions import DataError
from esmlearn.io._compressed import open_bytes
from esmlearn.utils._paths import atomic_write


@contextmanager
def open_text(
    path: str | os.PathLike[str], *, max_line: int | None = None, newline: str | None = None
) -> Iterator[IO[str]]:
    """Open a UTF-8 text file, unpacking it when its first bytes say that it is compressed.

    Parameters
    ----------
    path : path-like
        The file; its content decides about gzip and zstd, not its name.
    max_line : int or None, default=None
        Longest line in bytes; None sets no limit.
    newline : str or None, default=None
        As of `open`: None reads every kind of line break as a line feed, an empty string leaves
        them, which matters inside the cells of a table.

    Yields
    ------
    handle : text file
        The open file, a byte order mark removed.

    Raises
    ------
    DataError
        If there is no such file, it is a directory, unreadable, no UTF-8 text, or unpacks to
        hundreds of times its size.
    """
    path = check_file(path)
    try:
        with (
            open_bytes(path, max_line=max_line) as raw,
            TextIOWrapper(raw, encoding="utf-8-sig", newline=newline) as handle,
        ):
            yield handle
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is no UTF-8 text (byte {error.start}: {error.reason}); expected a text file, "
            f"plain or compressed with gzip or zstd. Save it as UTF-8."
        ) from error


@contextmanager
def write_text(path: str | os.PathLike[str]) -> Iterator[IO[str]]:
    """Open a UTF-8 text file that appears under its name when the block ends well.

    Parameters
    ----------
    path : path-like
        The file to write or replace; gzipped if its name ends in ``.gz``. The same text gives the
        same bytes: no name and no time goes into the gzip header.

    Yields
    ------
    handle : text file
        Write here.
    """
    if Path(path).suffix.lower() == ".zst":
        raise DataError(f"{path} would be a zstd file; expected a name without .zst, or with .gz.")
    with atomic_write(path) as temporary, open(temporary, "wb") as raw:
        if Path(path).suffix.lower() == ".gz":
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
                yield from _text(packed)
        else:
            yield from _text(raw)


def _text(binary: Any) -> Iterator[IO[str]]:
    """Yield a text layer over an open binary file, and flush it."""
    handle = TextIOWrapper(binary, encoding="utf-8", newline="")
    yield handle
    handle.flush()
    handle.detach()


def check_file(path: str | os.PathLike[str]) -> Path:
    """Return the path of an existing, non-empty file.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    path : pathlib.Path
        The same.

    Raises
    ------
    DataError
        If it is missing, a directory or empty.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"There is no file {path}; check the path.")
    if path.is_dir():
        raise DataError(f"{path} is a directory; expected a file.")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty; expected protein sequences.")
    return path
