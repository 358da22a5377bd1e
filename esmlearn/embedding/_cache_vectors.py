"""Vectors of a cache by what was computed and of which sequence: read, checked and written."""

import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from esmlearn.embedding._cache_folder import CacheFolder
from esmlearn.embedding._index import transaction
from esmlearn.embedding._store import (
    checksums,
    digest_key,
    map_numbers,
    read_arrays,
    read_rows,
    write_numbers,
)
from esmlearn.exceptions import CacheError

_MANY = 5000  # beyond, reading the whole index of a space may beat asking for each digest
_ASKING = 20  # how much dearer asking for one is than reading one of all
# The time of a vector's last use is kept to the hour: reading must not write each time.
USE_SECONDS = 3600


class Space(NamedTuple):
    """What is known of a space: its number, its file, and how many vectors it has ever held."""

    id: int
    file: str
    n_computed: int


class CacheVectors(CacheFolder):
    """The vectors in a cache's folder."""

    # Spaces --------------------------------------------------------------------------------------

    def _space(self, fingerprint: str) -> Space | None:
        query = "SELECT id, file, n_computed FROM space WHERE fingerprint = ?"
        row = self._connection().execute(query, (fingerprint,)).fetchone()
        return None if row is None else Space(*row)

    def _make_space(self, fingerprint: str, description: Mapping[str, Any] | None) -> int:
        """Return the number of a space, which is made if it is new; inside a transaction."""
        known = self._space(fingerprint)
        if known is not None:
            return known.id
        made = self._connection().execute(
            "INSERT INTO space (fingerprint, description, file) VALUES (?, ?, ?)",
            (fingerprint, json.dumps(dict(description or {})), new_file(fingerprint)),
        )
        return int(made.lastrowid or 0)

    def _numbers(self, file: str) -> Path:
        """Return the path of a space's file; a name in the index never leads out of the folder."""
        return self.directory / Path(file).name

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
        space = self._space(fingerprint)
        entries = {} if space is None else self._entries(space, digests)
        return np.fromiter((d in entries for d in digests), dtype=bool, count=len(digests))

    def _entries(
        self, space: Space, digests: Sequence[bytes]
    ) -> dict[bytes, tuple[int, int, int, int]]:
        columns = "SELECT digest, first, size, checksum, used FROM vector WHERE space = ?"
        connection = self._connection()
        if len(digests) > max(_MANY, space.n_computed // _ASKING):
            rows: Iterator[Any] = iter(connection.execute(columns, (space.id,)).fetchall())
        else:
            rows = _asked(connection, columns, space.id, digests)
        return {digest: entry for digest, *entry in rows}

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
        vectors: Any = [np.empty(0, np.float32)] * len(digests)
        if width is not None:
            vectors = np.empty((len(digests), width), dtype=np.float32)
        while True:
            with self._refuse_damage():
                space = self._space(fingerprint)
                entries = {} if space is None else self._entries(space, digests)
            found = np.fromiter((d in entries for d in digests), dtype=bool, count=len(digests))
            if space is None or not entries:
                return found, vectors
            rows = np.flatnonzero(found)
            names = [d for d in digests if d in entries]
            table = np.array([entries[d] for d in names], dtype=np.int64).reshape(-1, 4)
            keys = np.array([digest_key(d) for d in names], dtype=np.uint64)
            stored = map_numbers(self._numbers(space.file))
            read = read_arrays if width is None else read_rows
            good = read(stored, table, keys, rows, vectors)
            if good.all():
                break
            now = self._space(fingerprint)
            if now is not None and now.file == space.file:
                break  # else another process has pruned or cleared meanwhile; look again
        self._note_use(space, names, table, good)
        if not good.all():
            found[rows[~good]] = False
            bad = [names[i] for i in np.flatnonzero(~good)]
            self._discard(space, bad, table[~good])
        return found, vectors

    def _note_use(
        self, space: Space, digests: Sequence[bytes], table: np.ndarray, good: np.ndarray
    ) -> None:
        """Remember when vectors were used, if nobody else is writing just now."""
        now = int(time.time())
        old = np.flatnonzero(good & (table[:, 3] < now - USE_SECONDS))
        if self._read_only or not len(old):
            return
        connection = self._connection()
        patience = connection.execute("PRAGMA busy_timeout").fetchone()[0]
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            with suppress(sqlite3.Error), transaction(connection):
                connection.executemany(
                    "UPDATE vector SET used = ? WHERE space = ? AND digest = ?",
                    [(now, space.id, digests[i]) for i in old.tolist()],
                )
        finally:
            connection.execute(f"PRAGMA busy_timeout = {patience}")

    def _discard(self, space: Space, digests: Sequence[bytes], table: np.ndarray) -> None:
        """Forget vectors whose bytes are not what was written."""
        self._warn(
            f"{len(digests)} vector(s) in the embedding cache {self.directory} are damaged; they "
            f"are computed again."
        )
        if self._read_only:
            return
        try:
            with transaction(self._connection()) as connection:
                connection.executemany(
                    # where it was read: meanwhile another process may have stored it anew
                    "DELETE FROM vector WHERE space = ? AND digest = ? AND first = ?",
                    [(space.id, d, int(row[0])) for d, row in zip(digests, table, strict=True)],
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
                self._append(connection, space, digests, vectors)
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
        digests: Sequence[bytes],
        vectors: Sequence[np.ndarray],
    ) -> None:
        """Write the numbers behind the last ones that the index knows, then name them in it."""
        query = "SELECT n_floats, file FROM space WHERE id = ?"
        first, file = connection.execute(query, (space,)).fetchone()
        flat = [np.ascontiguousarray(v, dtype="<f4").reshape(-1) for v in vectors]
        entries, end, now = [], int(first), int(time.time())
        for digest, values in zip(digests, flat, strict=True):
            key = np.array([digest_key(digest)], dtype=np.uint64)
            checksum = int(checksums(values[None], key)[0])
            entries.append((space, digest, end, len(values), checksum, now))
            end += len(values)
        write_numbers(self._numbers(file), int(first), np.concatenate(flat))
        connection.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?, ?, ?, ?, ?)", entries)
        connection.execute(
            "UPDATE space SET n_floats = ?, n_computed = n_computed + ? WHERE id = ?",
            (end, len(entries), space),
        )
        connection.executemany(
            "DELETE FROM claim WHERE space = ? AND digest = ?", [(space, d) for d in digests]
        )


def new_file(fingerprint: str) -> str:
    """Return a name for a file of vectors that no file has or had."""
    return f"{os.path.basename(fingerprint)}-{secrets.token_hex(4)}.f32"


def _asked(
    connection: sqlite3.Connection, columns: str, space: int, digests: Sequence[bytes]
) -> Iterator[Any]:
    """Yield the entries of these digests."""
    for start in range(0, len(digests), 500):
        block = digests[start : start + 500]
        marks = ",".join("?" * len(block))
        yield from connection.execute(f"{columns} AND digest IN ({marks})", (space, *block))
