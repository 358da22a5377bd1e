"""Embeddings on disk, known by content, shared by processes.

An index in SQLite (WAL) says which sequence's vector lies where; the vectors themselves lie in flat
float32 files beside it, one per *space* (weights and settings), because reading them back is then
one gather at the speed of the disk. A vector is written before the index names it, and every read
compares its checksum: a kill, a full disk or a damaged file costs a recompute, not a wrong number.
"""

import json
import logging
import os
import sqlite3
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from esmlearn.embedding._claims import ClaimTable, begin_work
from esmlearn.embedding._index import open_index, transaction
from esmlearn.embedding._store import (
    checksums,
    digest_key,
    map_numbers,
    read_arrays,
    read_rows,
    write_numbers,
)
from esmlearn.exceptions import CacheError
from esmlearn.utils._paths import cache_directory

logger = logging.getLogger(__name__)

_MANY = 5000  # beyond, reading the whole index of a space beats asking for each digest

# SQLite forbids using, even closing, a connection on the other side of a fork: they are kept.
_inherited: list[sqlite3.Connection] = []


class EmbeddingCache:
    """Vectors of sequences on disk, found by what was computed and not by when or by whom.

    Any number of processes may read and fill one cache; each sequence is computed by one of them
    while the others wait for it, and a process that dies gives back what it had begun.

    Parameters
    ----------
    path : path-like, default=None
        Folder of the cache, made when first written to. None is ``embeddings`` in esmlearn's cache
        folder (``$ESMLEARN_CACHE``, or the platform's).

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from esmlearn.embedding import EmbeddingCache
    >>> with TemporaryDirectory() as folder:
    ...     cache = EmbeddingCache(folder)
    ...     cache.stats()["n_vectors"]
    ...     cache.close()
    0
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = path
        self._reset()

    def _reset(self) -> None:
        self._local = threading.local()
        self._read_only = False
        self._warned = False

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path = state["path"]
        self._reset()

    def __repr__(self) -> str:
        return f"EmbeddingCache({os.fspath(self.path)!r})" if self.path else "EmbeddingCache()"

    @property
    def directory(self) -> Path:
        """The folder that holds index and vectors."""
        return cache_directory("embeddings") if self.path is None else Path(self.path).expanduser()

    # Connection ----------------------------------------------------------------------------------

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's connection; one that was made before a fork is left alone."""
        directory = self.directory
        key = (os.getpid(), directory)
        if getattr(self._local, "key", None) != key:
            if hasattr(self._local, "connection") and self._local.key[0] != key[0]:
                _inherited.append(self._local.connection)
            self._local.connection, self._read_only = open_index(directory)
            self._local.key = key
            if self._read_only:
                self._warn(f"The embedding cache {directory} is read-only: nothing new is stored.")
        return self._local.connection

    def _warn(self, message: str) -> None:
        logger.warning(message)
        if not self._warned:
            self._warned = True
            warnings.warn(message, stacklevel=4)

    def close(self) -> None:
        """Close this thread's connection; the next use opens another."""
        if getattr(self._local, "key", None) is not None:
            if self._local.key[0] == os.getpid():
                self._local.connection.close()
            del self._local.key, self._local.connection

    def __enter__(self) -> "EmbeddingCache":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # Spaces --------------------------------------------------------------------------------------

    def _space(self, fingerprint: str) -> int | None:
        query = "SELECT id FROM space WHERE fingerprint = ?"
        row = self._connection().execute(query, (fingerprint,)).fetchone()
        return None if row is None else int(row[0])

    def _make_space(self, fingerprint: str, description: Mapping[str, Any] | None) -> int:
        """Return the number of a space, which is made if it is new; inside a transaction."""
        known = self._space(fingerprint)
        if known is not None:
            return known
        made = self._connection().execute(
            "INSERT INTO space (fingerprint, description) VALUES (?, ?)",
            (fingerprint, json.dumps(dict(description or {}))),
        )
        return int(made.lastrowid or 0)

    def _file(self, fingerprint: str) -> Path:
        return self.directory / f"{fingerprint}.f32"

    # Reading -------------------------------------------------------------------------------------

    def contains(self, fingerprint: str, digests: Sequence[bytes]) -> np.ndarray:
        """Tell which sequences the index knows.

        Parameters
        ----------
        fingerprint : str
            The space: what was computed.
        digests : sequence of bytes
            Digests of the sequences.

        Returns
        -------
        known : ndarray of bool of shape (n_digests,)
            True where a vector is stored.
        """
        entries = self._entries(fingerprint, digests)
        return np.fromiter((d in entries for d in digests), dtype=bool, count=len(digests))

    @contextmanager
    def _refuse_damage(self) -> Iterator[None]:
        """Turn what SQLite says of a damaged index into one clear error."""
        try:
            yield
        except sqlite3.OperationalError:
            raise  # the disk's fault, or another process's
        except sqlite3.DatabaseError as error:
            raise CacheError(
                f"The index of the embedding cache {self.directory} is damaged ({error}). Delete "
                f"the folder: everything in it can be computed again."
            ) from error

    def _entries(
        self, fingerprint: str, digests: Sequence[bytes]
    ) -> dict[bytes, tuple[int, int, int]]:
        space = self._space(fingerprint)
        if space is None:
            return {}
        columns = "SELECT digest, first, size, checksum FROM vector WHERE space = ?"
        connection = self._connection()
        if len(digests) > _MANY:
            rows = connection.execute(columns, (space,)).fetchall()
        else:
            rows = []
            for start in range(0, len(digests), 500):
                block = digests[start : start + 500]
                marks = ",".join("?" * len(block))
                query = f"{columns} AND digest IN ({marks})"
                rows += connection.execute(query, (space, *block)).fetchall()
        return {digest: (first, size, checksum) for digest, first, size, checksum in rows}

    def get(
        self, fingerprint: str, digests: Sequence[bytes], *, width: int | None
    ) -> tuple[np.ndarray, Any]:
        """Read vectors.

        Parameters
        ----------
        fingerprint : str
            The space: what was computed.
        digests : sequence of bytes
            Digests of the sequences.
        width : int or None
            Numbers per sequence; None where each has its own (n_residues, n) array, whose second
            dimension the space's description states.

        Returns
        -------
        found : ndarray of bool of shape (n_digests,)
            False where nothing is stored, or what is stored is damaged.
        vectors : ndarray of float32 of shape (n_digests, width) or list of ndarray
            Rows not found are undefined.
        """
        with self._refuse_damage():
            entries = self._entries(fingerprint, digests)
        found = np.fromiter((d in entries for d in digests), dtype=bool, count=len(digests))
        rows = np.flatnonzero(found)
        names = [d for d in digests if d in entries]
        stored = map_numbers(self._file(fingerprint))
        table = np.array([entries[d] for d in names], dtype=np.int64).reshape(-1, 3)
        keys = np.array([digest_key(d) for d in names], dtype=np.uint64)
        if width is None:
            vectors: Any = [np.empty(0, np.float32)] * len(digests)
            good = read_arrays(stored, table, keys, rows, vectors)
        else:
            vectors = np.empty((len(digests), width), dtype=np.float32)
            good = read_rows(stored, table, keys, rows, vectors)
        if not good.all():
            found[rows[~good]] = False
            self._discard(fingerprint, [digests[i] for i in rows[~good].tolist()])
        return found, vectors

    def _discard(self, fingerprint: str, digests: Sequence[bytes]) -> None:
        """Forget vectors whose bytes are not what was written."""
        self._warn(
            f"{len(digests)} vector(s) in the embedding cache {self.directory} are damaged; they "
            f"are computed again."
        )
        space = self._space(fingerprint)
        if self._read_only or space is None:
            return
        try:
            with transaction(self._connection()) as connection:
                connection.executemany(
                    "DELETE FROM vector WHERE space = ? AND digest = ?",
                    [(space, d) for d in digests],
                )
        except sqlite3.OperationalError as error:
            # going on would wait for ever for what the index calls finished
            raise CacheError(
                f"The embedding cache {self.directory} holds damaged vectors and cannot be written "
                f"({error}). Make room on the disk, pass cache= another folder, or delete it."
            ) from error

    # Writing -------------------------------------------------------------------------------------

    def put(
        self,
        fingerprint: str,
        digests: Sequence[bytes],
        vectors: Sequence[np.ndarray],
        *,
        description: Mapping[str, Any] | None = None,
    ) -> bool:
        """Store vectors and give back the claims on them.

        Parameters
        ----------
        fingerprint : str
            The space: what was computed.
        digests : sequence of bytes
            Digests of the sequences.
        vectors : sequence of ndarray of float32
            One array per sequence, stored flat.
        description : mapping, default=None
            What the fingerprint stands for, kept for people.

        Returns
        -------
        stored : bool
            False where the cache is read-only or the disk is full; a warning has said so.
        """
        connection = self._connection()
        if self._read_only:
            return False
        try:
            with self._refuse_damage(), transaction(connection):
                # inside, because another process may clear the cache at any moment
                space = self._make_space(fingerprint, description)
                self._append(connection, space, fingerprint, digests, vectors)
        except (sqlite3.OperationalError, OSError) as error:
            self._warn(
                f"The embedding cache {self.directory} cannot be written ({error}); going on "
                f"without storing."
            )
            return False
        return True

    def _append(
        self,
        connection: sqlite3.Connection,
        space: int,
        fingerprint: str,
        digests: Sequence[bytes],
        vectors: Sequence[np.ndarray],
    ) -> None:
        """Write the numbers behind the last ones that the index knows, then name them in it."""
        query = "SELECT n_floats FROM space WHERE id = ?"
        first = int(connection.execute(query, (space,)).fetchone()[0])
        flat = [np.ascontiguousarray(v, dtype="<f4").reshape(-1) for v in vectors]
        entries, end = [], first
        for digest, values in zip(digests, flat, strict=True):
            key = np.array([digest_key(digest)], dtype=np.uint64)
            checksum = int(checksums(values[None], key)[0])
            entries.append((space, digest, end, len(values), checksum))
            end += len(values)
        write_numbers(self._file(fingerprint), first, np.concatenate(flat))
        connection.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?, ?, ?, ?)", entries)
        connection.execute(
            "UPDATE space SET n_floats = ?, n_computed = n_computed + ? WHERE id = ?",
            (end, len(entries), space),
        )
        connection.executemany(
            "DELETE FROM claim WHERE space = ? AND digest = ?", [(space, d) for d in digests]
        )

    # Claims --------------------------------------------------------------------------------------

    def claim(
        self,
        fingerprint: str,
        digests: Sequence[bytes],
        *,
        owner: str,
        description: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        """Claim sequences in order to compute them.

        Parameters
        ----------
        fingerprint : str
            The space: what will be computed.
        digests : sequence of bytes
            Digests of the sequences.
        owner : str
            Who claims, as keep_claims() named it.
        description : mapping, default=None
            What the fingerprint stands for.

        Returns
        -------
        mine : ndarray of bool of shape (n_digests,)
            True where the owner is now the one who computes; False where a vector is there
            already, or another living owner is at it.
        """
        connection = self._connection()
        if self._read_only:
            return np.ones(len(digests), dtype=bool)
        try:
            with self._refuse_damage(), transaction(connection):
                space = self._make_space(fingerprint, description)
                known = self.contains(fingerprint, digests)
                claims = ClaimTable(connection, space, owner)
                return np.array(
                    [
                        not there and claims.take(digest)
                        for digest, there in zip(digests, known, strict=True)
                    ],
                    dtype=bool,
                )
        except sqlite3.OperationalError as error:
            self._warn(f"The embedding cache {self.directory} cannot be written ({error}).")
            return ~self.contains(fingerprint, digests)

    def release(self, fingerprint: str, digests: Sequence[bytes], *, owner: str) -> None:
        """Give back claims without a result, after an error.

        Parameters
        ----------
        fingerprint : str
            The space.
        digests : sequence of bytes
            Digests that were claimed; claims of others are left alone.
        owner : str
            Who claimed them.
        """
        try:
            space = self._space(fingerprint)
            if self._read_only or space is None:
                return
            ClaimTable(self._connection(), space, owner).release(digests)
        except sqlite3.Error:
            logger.warning("claims could not be released; they lapse with their owner")

    @contextmanager
    def keep_claims(self) -> Iterator[str]:
        """Yield a new owner, whose claims stay alive while the block runs, and end with it."""
        stop = threading.Event()

        def renew() -> None:
            while not stop.wait(ClaimTable.RENEW_SECONDS):
                try:
                    ClaimTable.renew(self._connection(), owner)
                except (sqlite3.Error, CacheError):
                    logger.warning("claims in the embedding cache could not be renewed")
            self.close()

        with begin_work() as owner:
            if self._read_only:
                yield owner
                return
            thread = threading.Thread(target=renew, name="esmlearn-claims", daemon=True)
            thread.start()
            try:
                yield owner
            finally:
                stop.set()
                thread.join()

    # Figures -------------------------------------------------------------------------------------

    @property
    def n_computed(self) -> int:
        """Vectors ever stored here: one per distinct sequence and space if nothing was wasted."""
        return int(self.stats()["n_computed"])

    def stats(self) -> dict[str, Any]:
        """Return what the cache holds.

        Returns
        -------
        stats : dict
            ``path``; ``n_spaces``, ``n_vectors`` now there, ``n_computed`` ever stored, ``n_bytes``
            on disk; ``spaces``: a dict per space with ``fingerprint``, ``n_vectors``,
            ``n_computed`` and what it was computed from.
        """
        rows = self._connection().execute(
            "SELECT fingerprint, description, n_computed,"
            " (SELECT count(*) FROM vector WHERE vector.space = space.id) FROM space ORDER BY id"
        )
        spaces = [
            {**json.loads(about), "fingerprint": name, "n_vectors": n, "n_computed": computed}
            for name, about, computed, n in rows
        ]
        files = [f for f in self.directory.glob("*") if f.is_file()]
        return {
            "path": os.fspath(self.directory),
            "n_spaces": len(spaces),
            "n_vectors": sum(s["n_vectors"] for s in spaces),
            "n_computed": sum(s["n_computed"] for s in spaces),
            "n_bytes": sum(f.stat().st_size for f in files),
            "spaces": spaces,
        }

    def clear(self) -> None:
        """Delete every vector; the counters start again at zero."""
        with transaction(self._connection()) as connection:
            names = [name for (name,) in connection.execute("SELECT fingerprint FROM space")]
            for table in ("vector", "claim", "space"):
                connection.execute(f"DELETE FROM {table}")
        for name in names:
            self._file(name).unlink(missing_ok=True)
