"""The folder of a cache: opened by each thread and process for itself, warned about once."""

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from esmlearn.embedding._file_system import network_file_system
from esmlearn.embedding._index import DAMAGE, open_index
from esmlearn.exceptions import CacheError
from esmlearn.utils._paths import cache_directory
from esmlearn.utils._warn import warn

logger = logging.getLogger(__name__)

# SQLite forbids using, even closing, a connection on the other side of a fork: they are kept.
_inherited: list[sqlite3.Connection] = []
# Folders on network file systems that this process has warned of.
_warned_of: set[Path] = set()


class CacheFolder:
    """A folder with an index, which travels to other processes as its name.

    Parameters
    ----------
    path : path-like or None
        The folder; None is ``embeddings`` in esmlearn's cache folder.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = path
        self._reset()

    def _reset(self) -> None:
        self._local = threading.local()
        self._read_only = False
        self._warned = False

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if not k.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._reset()

    @property
    def directory(self) -> Path:
        """The folder that holds index and vectors."""
        return cache_directory("embeddings") if self.path is None else Path(self.path).expanduser()

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's connection; one that was made before a fork is left alone."""
        directory = self.directory
        key = (os.getpid(), directory)
        if getattr(self._local, "key", None) != key:
            if hasattr(self._local, "connection") and self._local.key[0] != key[0]:
                _inherited.append(self._local.connection)
            self._local.connection, self._read_only = open_index(directory)
            self._local.key = key
            self._tell_of(directory)
        return self._local.connection

    def _tell_of(self, directory: Path) -> None:
        """Warn of a folder that does less than others."""
        if self._read_only:
            self._warn(f"The embedding cache {directory} is read-only: nothing new is stored.")
        kind = network_file_system(directory)
        if kind is not None and directory not in _warned_of:
            _warned_of.add(directory)
            warn(
                f"The embedding cache {directory} lies on a network file system ({kind}), whose "
                f"locks may fail between machines. Vectors are checked when they are read, but let "
                f"one machine at a time write there, or set ESMLEARN_CACHE to a local disk."
            )

    def _warn(self, message: str) -> None:
        logger.warning(message)
        if not self._warned:
            self._warned = True
            warn(message)

    @contextmanager
    def _refuse_damage(self) -> Iterator[None]:
        """Turn what SQLite says of a damaged index into one clear error."""
        try:
            yield
        except sqlite3.OperationalError:
            raise  # the disk's fault, or another process's
        except DAMAGE as error:
            raise CacheError(
                f"The index of the embedding cache {self.directory} is damaged ({error}). Delete "
                f"the folder: everything in it can be computed again."
            ) from error

    def close(self) -> None:
        """Close this thread's connection; the next use opens another."""
        if getattr(self._local, "key", None) is not None:
            if self._local.key[0] == os.getpid():
                self._local.connection.close()
            del self._local.key, self._local.connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
