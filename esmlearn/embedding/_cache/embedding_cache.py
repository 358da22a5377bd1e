"""Embeddings on disk, found by content and shared by processes.

An index in SQLite (WAL) names where the vector of each sequence lies; the vectors lie in flat
float32 files beside it, one per namespace (weights and settings), because reading them back is then
one gather at the speed of memory. A vector is written before the index names it, and every read
compares its checksum: a kill, a full disk or a damaged file costs a recompute, not a wrong number.
"""

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
from filelock import BaseFileLock, FileLock

from esmlearn.embedding._cache import maintenance
from esmlearn.embedding._cache.index import Index, make_namespace
from esmlearn.embedding._cache.vectors import VectorReader, append
from esmlearn.exceptions import CacheError, DataError

_TRIM = 0.9  # a limit that is reached leaves room, or every batch would rewrite the files


class EmbeddingCache:
    """Vectors of sequences on disk, found by content: weights, settings and sequence.

    Any number of processes may read and fill one cache. While a process computes it holds locks
    that end with it, so that each sequence is computed once and the others wait.

    Parameters
    ----------
    path : path-like, default=None
        Folder of the cache, made when first written to. None is ``embeddings`` in esmlearn's cache
        folder (``$ESMLEARN_CACHE``, or the platform's).
    max_bytes : int, default=None
        Most bytes of vectors that what is stored through this object may grow the cache to; beyond,
        the least recently used ones are removed until a tenth of the limit is free. None sets no
        limit. The index comes on top, with about 100 bytes per vector.

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

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, max_bytes: int | None = None
    ) -> None:
        if max_bytes is not None and max_bytes < 1:
            raise DataError(f"max_bytes is {max_bytes}; expected at least 1, or None for no limit.")
        self.path = path
        self.max_bytes = max_bytes
        self._index = Index(path)

    def __repr__(self) -> str:
        given = [repr(os.fspath(self.path))] if self.path else []
        given += [] if self.max_bytes is None else [f"max_bytes={self.max_bytes}"]
        return f"EmbeddingCache({', '.join(given)})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def directory(self) -> Path:
        """The folder that holds index and vectors."""
        return self._index.directory

    def close(self) -> None:
        """Close this thread's connection; the next use opens another."""
        self._index.close()

    # Vectors -------------------------------------------------------------------------------------

    def contains(self, fingerprint: str, digests: Sequence[bytes]) -> np.ndarray:
        """Return whether the index names a vector of each sequence.

        Parameters
        ----------
        fingerprint : str
            The namespace: weights and settings.
        digests : sequence of bytes
            Digests of the sequences.

        Returns
        -------
        cached : ndarray of bool of shape (n_digests,)
            True where a vector is stored.
        """
        namespace = self._index.namespace(fingerprint)
        stored = set() if namespace is None else set(self._index.entries(namespace, digests)[0])
        return np.array([digest in stored for digest in digests], dtype=bool)

    def get(
        self, fingerprint: str, digests: Sequence[bytes], *, width: int | None
    ) -> tuple[np.ndarray, Any]:
        """Read vectors.

        Parameters
        ----------
        fingerprint : str
            The namespace: weights and settings.
        digests : sequence of bytes
            Digests of the sequences.
        width : int or None
            Numbers per sequence; None where each has its own (n_residues, n) array, whose second
            dimension the namespace's description states.

        Returns
        -------
        found : ndarray of bool of shape (n_digests,)
            False where nothing is stored, or what is stored is damaged.
        vectors : ndarray of float32 of shape (n_digests, width) or list of ndarray
            Rows not found are undefined.
        """
        vectors: Any = [np.empty(0, np.float32)] * len(digests)
        if width is not None:
            vectors = np.empty((len(digests), width), dtype=np.float32)
        while (namespace := self._index.namespace(fingerprint)) is not None:
            reader = VectorReader(self._index, namespace)
            found, damaged = reader.read(digests, vectors)
            if not damaged.any():
                return found, vectors
            now = self._index.namespace(fingerprint)
            if now is None or now.file != namespace.file:
                continue  # another process has pruned or cleared meanwhile
            if self._index.read_only:
                self._warn_of_damage(damaged.sum())
                return found, vectors
            # looked up again after it, as another process may have stored them anew
            self._discard(reader, [digests[row] for row in np.flatnonzero(damaged).tolist()])
        return np.zeros(len(digests), dtype=bool), vectors

    def _discard(self, reader: VectorReader, digests: Sequence[bytes]) -> None:
        try:
            n_discarded = reader.discard(digests)
        except sqlite3.OperationalError as error:
            # going on would wait for ever for what the index calls finished
            raise CacheError(
                f"The embedding cache {self.directory} holds damaged vectors and cannot be written "
                f"({error}). Make room on the disk, pass cache= another folder, or delete it."
            ) from error
        if n_discarded:
            self._warn_of_damage(n_discarded)

    def _warn_of_damage(self, number: int) -> None:
        self._index.warn(
            f"{number} vector(s) in the embedding cache {self.directory} are damaged; they are "
            f"computed again."
        )

    def put(
        self,
        fingerprint: str,
        digests: Sequence[bytes],
        vectors: Sequence[np.ndarray],
        *,
        description: Mapping[str, Any] | None = None,
    ) -> bool:
        """Store vectors, and keep within the limit.

        Parameters
        ----------
        fingerprint : str
            The namespace: weights and settings.
        digests : sequence of bytes
            Digests of the sequences.
        vectors : sequence of ndarray of float32
            One array per sequence, stored flat.
        description : mapping, default=None
            Weights and settings in words, kept for people.

        Returns
        -------
        stored : bool
            False where the cache is read-only or the disk is full; a warning has said so.
        """
        index = self._index

        def store(connection: sqlite3.Connection) -> None:
            # inside, because another process may clear the cache at any moment
            namespace = make_namespace(connection, fingerprint, description)
            append(connection, index, namespace, digests, vectors)

        index.connection()
        if index.read_only:
            return False
        try:
            index.change(store)
        except (sqlite3.OperationalError, OSError) as error:
            index.warn(
                f"The embedding cache {self.directory} cannot be written ({error}); going on "
                f"without storing."
            )
            return False
        self._keep_within_limit()
        return True

    def _keep_within_limit(self) -> None:
        if self.max_bytes is None or maintenance.count_bytes(self._index) <= self.max_bytes:
            return
        try:
            maintenance.prune(self._index, int(_TRIM * self.max_bytes))
        except (sqlite3.OperationalError, OSError) as error:
            self._index.warn(f"The embedding cache {self.directory} cannot be pruned ({error}).")

    def compute_lock(self, fingerprint: str, part: int) -> BaseFileLock | None:
        """Return the lock of the process that computes a part of a namespace's sequences.

        Parameters
        ----------
        fingerprint : str
            The namespace: weights and settings.
        part : int
            Number of the part.

        Returns
        -------
        lock : filelock.BaseFileLock or None
            None where nothing can be stored, so that waiting for others would be in vain.
        """
        self._index.connection()
        if self._index.read_only:
            return None
        folder = self.directory / "locks"
        try:
            folder.mkdir(exist_ok=True, mode=0o700)
        except OSError:
            return None
        # taken in joblib's thread, which asks for the next batch, and released in this one
        name = f"{os.path.basename(fingerprint)}-{part}.lock"
        return FileLock(folder / name, thread_local=False)

    # Figures -------------------------------------------------------------------------------------

    @property
    def n_computed(self) -> int:
        """Vectors ever stored here: one per distinct sequence and namespace if none was wasted."""
        query = "SELECT coalesce(sum(n_computed), 0) FROM namespace"
        return int(self._index.run(lambda c: c.execute(query).fetchone()[0]))

    def stats(self) -> dict[str, Any]:
        """Return what the cache holds.

        Returns
        -------
        stats : dict
            ``path``; ``n_spaces``, ``n_vectors`` now there, ``n_computed`` ever stored, ``n_bytes``
            on disk; ``spaces``: a dict per space with ``fingerprint``, ``n_vectors``,
            ``n_computed`` and what it was computed from (a "space" is a namespace).
        """
        query = (
            "SELECT fingerprint, description, n_computed, (SELECT count(*) FROM vector"
            " WHERE vector.namespace = namespace.id) FROM namespace ORDER BY id"
        )
        rows = self._index.run(lambda connection: connection.execute(query).fetchall())
        spaces = [
            {**_described(about), "fingerprint": name, "n_vectors": n, "n_computed": computed}
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

    # Maintenance ---------------------------------------------------------------------------------

    def verify(self) -> dict[str, int]:
        """Compare every vector with its checksum and forget the damaged ones.

        Returns
        -------
        report : dict
            ``n_vectors`` that were looked at, ``n_damaged`` that are no longer in the index (or
            still are, where the cache is read-only), ``n_orphans`` files that the index does not
            know, left by a kill and now deleted.

        Raises
        ------
        CacheError
            If the index itself is damaged.
        """
        return maintenance.verify(self)

    def prune(self, max_bytes: int) -> dict[str, int]:
        """Remove the least recently used vectors, and rewrite files without what was removed.

        Processes that read meanwhile find everything that stays. The time of use is kept to the
        hour. While files are rewritten they are on disk twice.

        Parameters
        ----------
        max_bytes : int
            Bytes of vectors to keep at most; 0 keeps none.

        Returns
        -------
        report : dict
            ``n_removed`` vectors, ``n_bytes`` of vectors that are left, ``n_freed`` bytes.

        Raises
        ------
        CacheError
            If the cache is read-only, or its index damaged.
        """
        if max_bytes < 0:
            raise DataError(f"max_bytes is {max_bytes}; expected 0 or more.")
        self._refuse_read_only("pruned")
        return maintenance.prune(self._index, max_bytes)

    def export_to(self, folder: str | os.PathLike[str]) -> int:
        """Copy every undamaged vector into a new cache, while others may write here.

        Parameters
        ----------
        folder : path-like
            Folder to make; it appears when it is complete.

        Returns
        -------
        n_vectors : int
            Vectors copied.

        Raises
        ------
        CacheError
            If the folder exists or cannot be written, or the index is damaged.
        """
        return maintenance.export_to(self, folder, type(self))

    def import_from(self, folder: str | os.PathLike[str]) -> int:
        """Take over every undamaged vector of another cache that this one does not have.

        Vectors count as computed here, and as used now. Whoever wrote the other cache is trusted:
        a checksum tells damage, not malice.

        Parameters
        ----------
        folder : path-like
            Folder of the other cache.

        Returns
        -------
        n_vectors : int
            Vectors taken over.

        Raises
        ------
        CacheError
            If the folder holds no cache, or this one is read-only or full.
        """
        self._refuse_read_only("imported to")
        source = Path(folder)
        if not (source / "index.sqlite").is_file():
            raise CacheError(
                f"{source} holds no embedding cache (there is no index.sqlite); expected a folder "
                f"that export_to wrote."
            )
        with type(self)(source) as other:
            return maintenance.copy_vectors(other, self)

    def clear(self) -> None:
        """Delete every vector; the counters start again at zero."""

        def forget(connection: sqlite3.Connection) -> list[Path]:
            files = connection.execute("SELECT file FROM namespace").fetchall()
            for table in ("vector", "namespace"):
                connection.execute(f"DELETE FROM {table}")
            return [self._index.numbers(file) for (file,) in files]

        files = self._index.change(forget)
        for file in [*files, *self.directory.glob("index.damaged-*")]:
            with suppress(OSError):  # where it is mapped and cannot be deleted; see verify
                file.unlink(missing_ok=True)

    def _refuse_read_only(self, done: str) -> None:
        self._index.connection()
        if self._index.read_only:
            raise CacheError(
                f"The embedding cache {self.directory} is read-only and cannot be {done}. Make it "
                f"writable, or pass another folder."
            )


def _described(text: str) -> dict[str, Any]:
    """Return a namespace's description; it is for people, so one that is damaged stops nothing."""
    try:
        return dict(json.loads(text))
    except (TypeError, ValueError):
        return {}
