"""Maintenance of a cache: check it, shrink it, copy it; other processes may use it meanwhile."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Protocol

import numpy as np

from esmlearn.embedding._cache.index import Index, new_file
from esmlearn.embedding._cache.vectors import map_numbers
from esmlearn.exceptions import CacheError

_BLOCK = 4096  # vectors in memory at once
_FLOAT = 4  # bytes

Row = tuple[bytes, int]  # digest, number of numbers


class Store(Protocol):
    """A cache, as far as its maintenance uses it; see EmbeddingCache."""

    _index: Index

    def contains(self, fingerprint: str, digests: Sequence[bytes]) -> np.ndarray:
        """Return whether a vector of each sequence is stored."""

    def get(
        self, fingerprint: str, digests: Sequence[bytes], *, width: int | None
    ) -> tuple[np.ndarray, Any]:
        """Read vectors, and discard damaged ones."""

    def put(
        self,
        fingerprint: str,
        digests: Sequence[bytes],
        vectors: Sequence[np.ndarray],
        *,
        description: Mapping[str, Any] | None = None,
    ) -> bool:
        """Store vectors."""


def count_bytes(index: Index) -> int:
    """Return the bytes of all files of vectors according to the index."""
    query = "SELECT coalesce(sum(n_floats), 0) FROM namespace"
    return _FLOAT * int(index.run(lambda connection: connection.execute(query).fetchone()[0]))


# Checking ----------------------------------------------------------------------------------------


def verify(store: Store) -> dict[str, int]:
    """See EmbeddingCache.verify."""
    index = store._index
    index.run(_check_integrity)
    report = {"n_vectors": 0, "n_damaged": 0, "n_orphans": 0}
    for number, fingerprint, _ in _namespaces(index):
        for block in _blocks(index, number):
            # through the reading that everybody uses, which discards what is damaged
            width = block[0][1] if len({size for _, size in block}) == 1 else None
            found, _ = store.get(fingerprint, [digest for digest, _ in block], width=width)
            report["n_vectors"] += len(block)
            report["n_damaged"] += int((~found).sum())
    if not index.read_only:
        report["n_orphans"] = _delete_orphans(index)
    return report


def _check_integrity(connection: sqlite3.Connection) -> None:
    problem = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if problem != "ok":
        raise sqlite3.DatabaseError(problem)


def _namespaces(index: Index) -> list[tuple[int, str, str]]:
    query = "SELECT id, fingerprint, description FROM namespace ORDER BY id"
    return index.run(lambda connection: connection.execute(query).fetchall())


def _blocks(index: Index, namespace: int) -> Iterator[list[Row]]:
    """Yield the rows of a namespace in the order of their digests, some at a time.

    Each block is a query of its own, so that no reading lock is held and no other change is missed.
    """
    query = (
        "SELECT digest, size FROM vector WHERE namespace = ? AND digest > ?"
        f" ORDER BY digest LIMIT {_BLOCK}"
    )

    def read(last: bytes) -> list[Row]:
        return index.run(lambda c: c.execute(query, (namespace, last)).fetchall())

    block = read(b"")
    while block:
        yield block
        block = read(block[-1][0])


def _delete_orphans(index: Index) -> int:
    """Delete files of vectors that the index does not name; the lock keeps new ones away."""

    def delete(connection: sqlite3.Connection) -> int:
        names = connection.execute("SELECT file FROM namespace").fetchall()
        known = {index.numbers(name).name for (name,) in names}
        orphans = [path for path in index.directory.glob("*.f32") if path.name not in known]
        for path in orphans:
            with suppress(OSError):  # where it is mapped and cannot be deleted: the next time
                path.unlink()
        return len(orphans)

    return index.change(delete)


# Shrinking ---------------------------------------------------------------------------------------


def prune(index: Index, max_bytes: int) -> dict[str, int]:
    """See EmbeddingCache.prune."""
    before = count_bytes(index)

    def shrink(connection: sqlite3.Connection) -> int:
        n_removed = _remove_oldest(connection, max_bytes)
        for namespace, fingerprint, file in _with_gaps(connection):
            with _new_numbers(index, connection, namespace, fingerprint) as target:
                _rewrite(connection, namespace, index.numbers(file), target)
        return n_removed

    n_removed = index.change(shrink)
    _delete_orphans(index)
    left = count_bytes(index)
    return {"n_removed": n_removed, "n_bytes": left, "n_freed": before - left}


@contextmanager
def _new_numbers(
    index: Index, connection: sqlite3.Connection, namespace: int, fingerprint: str
) -> Iterator[BinaryIO]:
    """Open a new file of vectors for a namespace, which the index names when it is on disk."""
    name = new_file(fingerprint)
    try:
        with open(index.numbers(name), "xb", opener=_private) as target:
            yield target
            target.flush()
            os.fsync(target.fileno())  # the old file is deleted next
            n_floats = target.tell() // _FLOAT
        connection.execute(
            "UPDATE namespace SET file = ?, n_floats = ? WHERE id = ?", (name, n_floats, namespace)
        )
    except BaseException:
        with suppress(OSError):
            index.numbers(name).unlink(missing_ok=True)
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _remove_oldest(connection: sqlite3.Connection, max_bytes: int) -> int:
    """Remove the entries that were not used for longest, until the others fit."""
    total = connection.execute("SELECT coalesce(sum(size), 0) FROM vector").fetchone()[0]
    surplus = total - max_bytes // _FLOAT
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS old (namespace INTEGER, digest BLOB)")
    connection.execute("DELETE FROM old")
    cursor = connection.execute("SELECT namespace, digest, size FROM vector ORDER BY used, digest")
    while surplus > 0 and (rows := cursor.fetchmany(_BLOCK)):
        sizes = np.cumsum([size for _, _, size in rows])
        number = int(np.searchsorted(sizes, surplus)) + 1
        connection.executemany("INSERT INTO old VALUES (?, ?)", [r[:2] for r in rows[:number]])
        surplus -= int(sizes[min(number, len(rows)) - 1])
    cursor.close()
    query = "DELETE FROM vector WHERE (namespace, digest) IN (SELECT namespace, digest FROM old)"
    return connection.execute(query).rowcount


def _with_gaps(connection: sqlite3.Connection) -> list[tuple[int, str, str]]:
    """Return the namespaces whose files hold more than the index names."""
    return connection.execute(
        "SELECT id, fingerprint, file FROM namespace WHERE n_floats >"
        " (SELECT coalesce(sum(size), 0) FROM vector WHERE vector.namespace = namespace.id)"
    ).fetchall()


def _rewrite(
    connection: sqlite3.Connection, namespace: int, source: Path, target: BinaryIO
) -> None:
    """Copy the vectors that the index names, without gaps, and correct their places in it."""
    stored, end = map_numbers(source), 0
    # sorted as a whole before the first comes, so that what is changed meanwhile is not met
    query = "SELECT digest, first, size FROM vector WHERE namespace = ? ORDER BY first"
    cursor = connection.execute(query, (namespace,))
    while block := cursor.fetchmany(_BLOCK):
        moved = []
        for digest, first, size in block:
            values = stored[first : first + size]
            if len(values) < size:  # cut off: reading it would show it as damaged
                connection.execute(
                    "DELETE FROM vector WHERE namespace = ? AND digest = ?", (namespace, digest)
                )
                continue
            target.write(memoryview(np.ascontiguousarray(values)).cast("B"))
            moved.append((end, namespace, digest))
            end += size
        connection.executemany(
            "UPDATE vector SET first = ? WHERE namespace = ? AND digest = ?", moved
        )


# Copying -----------------------------------------------------------------------------------------


def export_to(
    store: Store,
    folder: str | os.PathLike[str],
    open_store: Callable[[Path], AbstractContextManager[Store]],
) -> int:
    """See EmbeddingCache.export_to; `open_store` opens, or makes, a cache in a folder."""
    target = Path(folder)
    if target.exists():
        raise CacheError(f"{target} exists; expected the name of a folder to make.")
    try:
        with TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as temporary:
            with open_store(Path(temporary, "copy")) as copy:
                number = copy_vectors(store, copy)
                # the log goes into the index, so that the folder is complete however it is copied
                copy._index.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            Path(temporary, "copy").replace(target)
    except OSError as error:
        raise CacheError(
            f"The embedding cache cannot be exported to {target} ({error})."
        ) from error
    return number


def copy_vectors(source: Store, target: Store) -> int:
    """Store what `target` does not have, block by block; damaged vectors stay behind."""
    number = 0
    for namespace, fingerprint, description in _namespaces(source._index):
        for block in _blocks(source._index, namespace):
            digests = [digest for digest, _ in block]
            is_cached = target.contains(fingerprint, digests)
            missing = [d for d, cached in zip(digests, is_cached, strict=True) if not cached]
            number += _copy_block(source, target, fingerprint, description, missing)
    return number


def _copy_block(
    source: Store, target: Store, fingerprint: str, description: str, digests: list[bytes]
) -> int:
    found, vectors = source.get(fingerprint, digests, width=None)
    good = np.flatnonzero(found).tolist()
    if not good:
        return 0
    stored = target.put(
        fingerprint,
        [digests[i] for i in good],
        [vectors[i] for i in good],
        description=json.loads(description),
    )
    if not stored:
        raise CacheError(
            f"The embedding cache {target._index.directory} cannot be written: its disk may be "
            f"full. What was copied so far is kept."
        )
    return len(good)
