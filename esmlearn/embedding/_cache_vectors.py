"""Vectors of a cache by what was computed and of which sequence: read, checked and written."""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from esmlearn.embedding._cache_spaces import CacheSpaces, Space
from esmlearn.embedding._digests import Digests
from esmlearn.embedding._index import transaction
from esmlearn.embedding._lookup import Lookup, NotedLookup, memory
from esmlearn.embedding._store import checksums, read_arrays, read_rows, write_numbers
from esmlearn.exceptions import CacheError

_MANY = 5000  # beyond, reading the whole index of a space may beat asking for each digest
_ASKING = 20  # how much dearer asking for one is than reading one of all
_MOST = 1 << 23  # SQLite's texts end at a thousand million characters
# The time of a vector's last use is kept to the hour: reading must not write each time.
USE_SECONDS = 3600


class CacheVectors(CacheSpaces):
    """The vectors in a cache's folder."""

    # Reading -------------------------------------------------------------------------------------

    def contains(self, fingerprint: str, digests: Sequence[bytes] | Digests) -> np.ndarray:
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
        if space is None:
            return np.zeros(len(digests), dtype=bool)
        asked = Digests.of(digests)
        return self._look_up(space, asked).find(asked) >= 0

    def _look_up(self, space: Space, digests: Digests) -> Lookup:
        """Return where these vectors lie according to the index, perhaps with others."""
        if len(digests) > max(_MANY, space.n_computed // _ASKING) and space.n_computed <= _MOST:
            return Lookup.of_space(self._connection(), space.id)
        return Lookup.of_rows(_asked(self._connection(), space.id, digests.tolist()))

    def _recall(self, space: Space, digests: Digests) -> Lookup:
        """Return where these vectors lie, remembered where the whole index of a space was read."""
        path = self._numbers(space.file)
        lookup = memory.recall(path, space.n_computed)
        if lookup is None:
            lookup = self._look_up(space, digests)
            if lookup.is_whole:
                memory.remember(path, space.n_computed, lookup)
        return lookup

    def _recall_noted(self, space: Space, digests: Digests) -> NotedLookup | None:
        """Return where a note says that the vectors of a request lie, if it has to be asked."""
        path = self._numbers(space.file)
        lookup = memory.recall_noted(path, digests)
        if lookup is not None or not digests.request or memory.recall(path, space.n_computed):
            return lookup
        content = self.recall_note(_places_key(space, digests))
        if content is not None:
            lookup = NotedLookup.unpack(content, digests)
            memory.remember_noted(path, digests, lookup)
        return lookup

    def note_places(self, fingerprint: str, digests: Digests) -> None:
        """Note where the vectors of a request lie, so that the next process need not look.

        Parameters
        ----------
        fingerprint : str
            The space: what was computed.
        digests : Digests
            Those of the request; nothing is noted where it has no digest itself, or not all of its
            vectors are stored.
        """
        with self._refuse_damage():
            space = self._space(fingerprint) if digests.request else None
            if space is not None:
                lookup = self._recall(space, digests)
                self._note_places(space, lookup, lookup.find(digests), digests)

    def _note_places(
        self, space: Space, lookup: Lookup | NotedLookup, places: np.ndarray, digests: Digests
    ) -> None:
        entries = lookup.entries[places]
        if (places >= 0).all() and (entries[:, 1] == entries[0, 1]).all():
            noted = NotedLookup(digests, entries)
            memory.remember_noted(self._numbers(space.file), digests, noted)
            self.note(_places_key(space, digests), noted.pack(), file=space.file)

    def get(
        self, fingerprint: str, digests: Sequence[bytes] | Digests, *, width: int | None
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
        asked = Digests.of(digests)
        vectors: Any = [np.empty(0, np.float32)] * len(digests)
        if width is not None:
            vectors = np.empty((len(digests), width), dtype=np.float32)
        found = np.zeros(len(digests), dtype=bool)
        notes_are_right = True
        while True:
            lookup: Lookup | NotedLookup | None = None
            with self._refuse_damage():
                space = self._space(fingerprint)
                if space is not None:
                    noted = self._recall_noted(space, asked) if notes_are_right else None
                    lookup = noted or self._recall(space, asked)
            if space is None or lookup is None:
                return found, vectors
            places = lookup.find(asked)
            rows = np.flatnonzero(places >= 0)
            good = self._gather(space, lookup, places[rows], rows, vectors)
            if noted is not None and not good.all():  # the index knows better
                notes_are_right = False
                memory.forget_noted(asked)
                continue
            now = space if good.all() else self._space(fingerprint)
            if now is not None and now.file == space.file:
                break  # else another process has pruned or cleared meanwhile; look again
        found[rows[good]] = True
        is_newly_used = self._note_use(space, lookup, places[found], asked, found)
        if not good.all():
            self._discard(space, lookup, places[rows[~good]], asked[rows[~good]])
        elif asked.request and found.all() and (noted is None or is_newly_used):
            self._note_places(space, lookup, places, asked)
        return found, vectors

    def _gather(
        self,
        space: Space,
        lookup: Lookup | NotedLookup,
        places: np.ndarray,
        rows: np.ndarray,
        vectors: Any,
    ) -> np.ndarray:
        """Read the vectors at these places of a lookup into rows, and tell which are good."""
        read = read_arrays if isinstance(vectors, list) else read_rows
        stored = memory.numbers(self._numbers(space.file))
        table, words = (np.take(array, places, axis=0) for array in (lookup.entries, lookup.words))
        return read(stored, table, words, rows, vectors)

    def _note_use(
        self,
        space: Space,
        lookup: Lookup | NotedLookup,
        places: np.ndarray,
        digests: Digests,
        found: np.ndarray,
    ) -> bool:
        """Remember when vectors were used, if nobody else is writing just now."""
        now = int(time.time())
        old = lookup.entries[places, 3] < now - USE_SECONDS
        if self._read_only or not old.any():
            return False
        used = digests[np.flatnonzero(found)[old]]
        query = "UPDATE vector SET used = ? WHERE space = ? AND digest = ?"
        values = [(now, space.id, digest) for digest in used]
        if not self._change_at_once(lambda connection: connection.executemany(query, values)):
            return False
        lookup.entries[places[old], 3] = now
        return True

    def _discard(
        self,
        space: Space,
        lookup: Lookup | NotedLookup,
        places: np.ndarray,
        digests: Digests,
    ) -> None:
        """Forget vectors whose bytes are not what was written."""
        self._warn(
            f"{len(digests)} vector(s) in the embedding cache {self.directory} are damaged; they "
            f"are computed again."
        )
        memory.forget(self._numbers(space.file))
        if self._read_only:
            return
        firsts = lookup.entries[places, 0].tolist()
        try:
            with transaction(self._connection()) as connection:
                connection.executemany(
                    # where it was read: meanwhile another process may have stored it anew
                    "DELETE FROM vector WHERE space = ? AND digest = ? AND first = ?",
                    [(space.id, d, f) for d, f in zip(digests, firsts, strict=True)],
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
        digests: Sequence[bytes] | Digests,
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
                self._append(connection, space, Digests.of(digests), vectors)
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
        digests: Digests,
        vectors: Sequence[np.ndarray],
    ) -> None:
        """Write the numbers behind the last ones that the index knows, then name them in it."""
        query = "SELECT n_floats, file FROM space WHERE id = ?"
        first, file = connection.execute(query, (space,)).fetchone()
        names, flat = digests.tolist(), [np.asarray(v, dtype="<f4").reshape(-1) for v in vectors]
        sums = [checksums(v[None], w[None])[0] for v, w in zip(flat, digests.words, strict=True)]
        entries, end, now = [], int(first), int(time.time())
        for name, values, checksum in zip(names, flat, sums, strict=True):
            entries.append((space, name, end, len(values), int(checksum), now))
            end += len(values)
        write_numbers(self._numbers(file), int(first), np.concatenate(flat))
        connection.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?, ?, ?, ?, ?)", entries)
        connection.execute(
            "UPDATE space SET n_floats = ?, n_computed = n_computed + ? WHERE id = ?",
            (end, len(entries), space),
        )
        connection.executemany(
            "DELETE FROM claim WHERE space = ? AND digest = ?", [(space, name) for name in names]
        )


def _places_key(space: Space, digests: Digests) -> bytes:
    return sha256(b"places 2 %b %b" % (space.file.encode(), digests.request)).digest()


def _asked(connection: sqlite3.Connection, space: int, digests: Sequence[bytes]) -> Iterator[Any]:
    """Yield the rows of the index for these digests."""
    columns = "SELECT digest, first, size, checksum, used FROM vector WHERE space = ?"
    for start in range(0, len(digests), 500):
        block = digests[start : start + 500]
        marks = ",".join("?" * len(block))
        yield from connection.execute(f"{columns} AND digest IN ({marks})", (space, *block))
