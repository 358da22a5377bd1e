"""What a cache has found out about whole requests, so that another process need not again.

A note is a shortcut: all that it says can be found out without it. One that is missing, damaged or
of an earlier state of the cache costs the time of doing so and nothing else.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256

import numpy as np

from esmlearn.embedding._cache_folder import CacheFolder
from esmlearn.embedding._index import DAMAGE, transaction

MANY = 5000  # sequences in a request, from which a note pays
MAX_BYTES = 1 << 26  # of all notes; those of 60,000 proteins take 3 MB
_SEAL_BYTES = 16
_HEAD_BYTES = 8  # of columns: which are there; numbers behind it stay aligned

_FORGET_OLDEST = (
    "DELETE FROM note WHERE id IN (SELECT id FROM"
    " (SELECT id, sum(length(content)) OVER (ORDER BY id DESC) AS total FROM note) WHERE total > ?)"
)


class CacheNotes(CacheFolder):
    """The notes in a cache's folder."""

    def recall_note(self, key: bytes) -> memoryview | None:
        """Return a note as it was written.

        Parameters
        ----------
        key : bytes
            A digest of all that decides what it says.

        Returns
        -------
        content : memoryview of bytes or None
            None where there is none, or it is damaged.
        """
        connection, row = self._connection(), None
        with suppress(*DAMAGE):  # a cache that may not be written may be of before there were notes
            query = "SELECT content FROM note WHERE key = ?"
            row = connection.execute(query, (key,)).fetchone()
        if row is None or not isinstance(row[0], bytes):
            return None
        sealed = memoryview(row[0])  # a copy would take as long as the checking
        content = sealed[_SEAL_BYTES:]
        return content if sealed[:_SEAL_BYTES] == _seal(key, content) else None

    def note(self, key: bytes, content: bytes, *, file: str = "") -> None:
        """Keep a note, and of the earlier ones the last.

        Parameters
        ----------
        key : bytes
            A digest of all that decides what it says.
        content : bytes
            What it says.
        file : str, default=""
            File of vectors without which it says nothing.
        """

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO note (key, file, content) VALUES (?, ?, ?)",
                (key, file, _seal(key, content) + content),
            )
            connection.execute(_FORGET_OLDEST, (MAX_BYTES,))

        self._change_at_once(write)

    def forget_note(self, key: bytes) -> None:
        """Drop a note that is no longer true.

        Parameters
        ----------
        key : bytes
            As it was kept.
        """
        query = "DELETE FROM note WHERE key = ?"
        self._change_at_once(lambda connection: connection.execute(query, (key,)))

    def _change_at_once(self, change: Callable[[sqlite3.Connection], object]) -> bool:
        """Change the index if it can be written and nobody else is writing just now."""
        connection = self._connection()
        if self._read_only:
            return False
        patience = connection.execute("PRAGMA busy_timeout").fetchone()[0]
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            with transaction(connection):
                change(connection)
        except DAMAGE:
            return False
        finally:
            connection.execute(f"PRAGMA busy_timeout = {patience}")
        return True


def _seal(key: bytes, content: bytes | memoryview) -> bytes:
    digest = sha256(key)
    digest.update(content)
    return digest.digest()[:_SEAL_BYTES]


def pack_columns(columns: Sequence[np.ndarray]) -> bytes:
    """Return columns one behind the other; of one that is all zero, that it is.

    Parameters
    ----------
    columns : sequence of ndarray of shape (n,)
        At most eight.

    Returns
    -------
    content : bytes
    """
    texts = [column.tobytes() for column in columns]
    texts = [text if text.count(0) < len(text) else b"" for text in texts]
    return bytes(map(bool, texts)).ljust(_HEAD_BYTES, b"\0") + b"".join(texts)


def unpack_columns(content: memoryview, n: int, types: Sequence[str]) -> list[np.ndarray]:
    """Return columns that were packed, some of which share the memory of `content`.

    Parameters
    ----------
    content : memoryview of bytes
        As pack_columns returned it.
    n : int
        Rows.
    types : sequence of str
        Of each column.

    Returns
    -------
    columns : list of ndarray of shape (n,)
    """
    columns, start = [], _HEAD_BYTES
    for is_there, dtype in zip(content, map(np.dtype, types), strict=False):
        columns.append(np.frombuffer(content, dtype, n, start) if is_there else np.zeros(n, dtype))
        start += is_there * n * dtype.itemsize
    return columns
