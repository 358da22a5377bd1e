"""Embeddings on disk, known by content, shared by processes.

An index in SQLite (WAL) says which sequence's vector lies where; the vectors themselves lie in flat
float32 files beside it, one per *space* (weights and settings), because reading them back is then
one gather at the speed of the disk. A vector is written before the index names it, and every read
compares its checksum: a kill, a full disk or a damaged file costs a recompute, not a wrong number.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from esmlearn.embedding import _cache_upkeep as upkeep
from esmlearn.embedding._cache_folder import logger
from esmlearn.embedding._cache_vectors import CacheVectors
from esmlearn.embedding._claims import ClaimTable, begin_work
from esmlearn.embedding._digests import Digests
from esmlearn.embedding._index import transaction
from esmlearn.exceptions import CacheError, DataError

_TRIM = 0.9  # a limit that is reached leaves room, or every batch would rewrite the files


class EmbeddingCache(CacheVectors):
    """Vectors of sequences on disk, found by what was computed and not by when or by whom.

    Any number of processes may read and fill one cache; each sequence is computed by one of them
    while the others wait for it, and a process that dies gives back what it had begun.

    Parameters
    ----------
    path : path-like, default=None
        Folder of the cache, made when first written to. None is ``embeddings`` in esmlearn's cache
        folder (``$ESMLEARN_CACHE``, or the platform's).
    max_bytes : int, default=None
        Most bytes of vectors that what is stored through this object may grow the cache to; beyond,
        the least recently used ones are removed until a tenth of the limit is free. None sets no
        limit. The index comes on top, with about 100 bytes per vector and at most 64 MiB of what
        was found out about large requests.

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
        super().__init__(path)
        self.max_bytes = max_bytes

    def __repr__(self) -> str:
        given = [repr(os.fspath(self.path))] if self.path else []
        given += [] if self.max_bytes is None else [f"max_bytes={self.max_bytes}"]
        return f"EmbeddingCache({', '.join(given)})"

    def put(
        self,
        fingerprint: str,
        digests: Sequence[bytes] | Digests,
        vectors: Sequence[np.ndarray],
        *,
        description: Mapping[str, Any] | None = None,
    ) -> bool:
        """Store vectors, give back the claims on them, and keep within the limit.

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
        stored = super().put(fingerprint, digests, vectors, description=description)
        if stored and self.max_bytes is not None and upkeep.n_bytes(self) > self.max_bytes:
            try:
                upkeep.prune(self, int(_TRIM * self.max_bytes))
            except (sqlite3.OperationalError, OSError) as error:
                self._warn(f"The embedding cache {self.directory} cannot be pruned ({error}).")
        return stored

    # Claims --------------------------------------------------------------------------------------

    def claim(
        self,
        fingerprint: str,
        digests: Sequence[bytes] | Digests,
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

    def release(self, fingerprint: str, digests: Sequence[bytes] | Digests, *, owner: str) -> None:
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
            ClaimTable(self._connection(), space.id, owner).release(list(digests))
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
        query = "SELECT coalesce(sum(n_computed), 0) FROM space"
        with self._refuse_damage():
            return int(self._connection().execute(query).fetchone()[0])

    def stats(self) -> dict[str, Any]:
        """Return what the cache holds.

        Returns
        -------
        stats : dict
            ``path``; ``n_spaces``, ``n_vectors`` now there, ``n_computed`` ever stored, ``n_bytes``
            on disk; ``spaces``: a dict per space with ``fingerprint``, ``n_vectors``,
            ``n_computed`` and what it was computed from.
        """
        query = (
            "SELECT fingerprint, description, n_computed,"
            " (SELECT count(*) FROM vector WHERE vector.space = space.id) FROM space ORDER BY id"
        )
        with self._refuse_damage():
            rows = self._connection().execute(query).fetchall()
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

    # Upkeep --------------------------------------------------------------------------------------

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
        with self._refuse_damage():
            return upkeep.verify(self)

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
        with self._refuse_damage():
            return upkeep.prune(self, max_bytes)

    def arrange(self, fingerprint: str, digests: Sequence[bytes] | Digests) -> bool:
        """Rewrite a space's file in the order in which it is asked for, where that pays.

        Vectors are computed longest protein first, and read best in the order in which they lie.
        Nothing is rewritten unless half of the space is asked for and a tenth of it lies astray.
        Processes that read meanwhile find everything; the file is on disk twice while it is
        rewritten.

        Parameters
        ----------
        fingerprint : str
            The space.
        digests : sequence of bytes
            Digests of distinct sequences, in the order in which they will be asked for.

        Returns
        -------
        rewritten : bool
            False where it does not pay, or the cache is read-only or the disk full.
        """
        self._connection()
        if self._read_only:
            return False
        try:
            with self._refuse_damage():
                return upkeep.arrange(self, fingerprint, Digests.of(digests))
        except (sqlite3.OperationalError, OSError) as error:
            logger.warning("the embedding cache was not rearranged (%s)", error)
            return False

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
        with self._refuse_damage():
            return upkeep.export_to(self, folder)

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
        with self._refuse_damage():
            return upkeep.import_from(self, folder)

    def clear(self) -> None:
        """Delete every vector; the counters start again at zero."""
        with transaction(self._connection()) as connection:
            files = [self._numbers(f) for (f,) in connection.execute("SELECT file FROM space")]
            for table in ("vector", "claim", "space", "note"):
                connection.execute(f"DELETE FROM {table}")
        for file in files:
            with suppress(OSError):  # where it is mapped and cannot be deleted; see verify
                file.unlink(missing_ok=True)

    def _refuse_read_only(self, done: str) -> None:
        self._connection()
        if self._read_only:
            raise CacheError(
                f"The embedding cache {self.directory} is read-only and cannot be {done}. Make it "
                f"writable, or pass another folder."
            )


def _described(text: str) -> dict[str, Any]:
    """Return a space's description; it is for people, so one that is damaged stops nothing."""
    try:
        return dict(json.loads(text))
    except (TypeError, ValueError):
        return {}
