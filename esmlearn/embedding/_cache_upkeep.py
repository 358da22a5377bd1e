"""Looking after a cache: check it, shrink it, copy it; other processes may use it meanwhile."""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from esmlearn.embedding._cache_spaces import new_file
from esmlearn.embedding._digests import Digests
from esmlearn.embedding._index import transaction
from esmlearn.embedding._lookup import Lookup
from esmlearn.embedding._store import map_numbers
from esmlearn.exceptions import CacheError

if TYPE_CHECKING:
    from esmlearn.embedding._cache import EmbeddingCache

_BLOCK = 4096  # vectors in memory at once
_FLOAT = 4  # bytes
_ASTRAY = 0.1  # share of steps back in a file from which rewriting it pays

_MOVE = "UPDATE vector SET first = ? WHERE space = ? AND digest = ?"

Entry = tuple[bytes, int, int, int]  # digest, first, size, checksum


def n_bytes(cache: "EmbeddingCache") -> int:
    """Return the bytes of all files of vectors, as the index knows them."""
    query = "SELECT coalesce(sum(n_floats), 0) FROM space"
    return _FLOAT * int(cache._connection().execute(query).fetchone()[0])


# Checking ----------------------------------------------------------------------------------------


def verify(cache: "EmbeddingCache") -> dict[str, int]:
    """See EmbeddingCache.verify."""
    connection = cache._connection()
    problems = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if problems != "ok":
        raise sqlite3.DatabaseError(problems)
    report = {"n_vectors": 0, "n_damaged": 0, "n_orphans": 0}
    spaces = connection.execute("SELECT fingerprint FROM space").fetchall()
    for (fingerprint,) in spaces:
        space = cache._space(fingerprint)
        if space is None:
            continue
        for block in _blocks(connection, space.id):
            # through the reading that everybody uses, which discards what is damaged
            digests = [digest for digest, *_ in block]
            same_size = len({size for _, _, size, _ in block}) == 1
            width = block[0][2] if same_size else None
            found, _ = cache.get(fingerprint, digests, width=width)
            report["n_vectors"] += len(block)
            report["n_damaged"] += int((~found).sum())
    if not cache._read_only:
        report["n_orphans"] = _sweep(cache)
    return report


def _blocks(connection: sqlite3.Connection, space: int) -> Iterator[list[Entry]]:
    """Yield the entries of a space in the order of their digests, some at a time.

    Each block is asked for anew, so that no reading lock is held and no other change is missed.
    """
    query = (
        "SELECT digest, first, size, checksum FROM vector WHERE space = ? AND digest > ?"
        f" ORDER BY digest LIMIT {_BLOCK}"
    )
    last = b""
    while block := connection.execute(query, (space, last)).fetchall():
        yield block
        last = block[-1][0]


def _sweep(cache: "EmbeddingCache") -> int:
    """Delete files of vectors that the index does not name; the lock keeps new ones away."""
    with transaction(cache._connection()) as connection:
        known = {cache._numbers(f).name for (f,) in connection.execute("SELECT file FROM space")}
        orphans = [path for path in cache.directory.glob("*.f32") if path.name not in known]
        for path in orphans:
            with suppress(OSError):  # where it is mapped and cannot be deleted: the next time
                path.unlink()
        _forget_notes(connection)
    return len(orphans)


def _forget_notes(connection: sqlite3.Connection) -> None:
    """Delete what was noted of files of vectors that are no longer there."""
    with suppress(sqlite3.OperationalError):
        connection.execute(
            "DELETE FROM note WHERE file <> '' AND file NOT IN (SELECT file FROM space)"
        )


# Shrinking ---------------------------------------------------------------------------------------


def prune(cache: "EmbeddingCache", max_bytes: int) -> dict[str, int]:
    """See EmbeddingCache.prune."""
    before = n_bytes(cache)
    with transaction(cache._connection()) as connection:
        removed = _forget_oldest(connection, max_bytes)
        for space, fingerprint, file in _with_gaps(connection):
            with _new_numbers(cache, connection, space, fingerprint) as target:
                _rewrite(connection, space, cache._numbers(file), target)
    _sweep(cache)
    left = n_bytes(cache)
    return {"n_removed": removed, "n_bytes": left, "n_freed": before - left}


@contextmanager
def _new_numbers(
    cache: "EmbeddingCache", connection: sqlite3.Connection, space: int, fingerprint: str
) -> Iterator[BinaryIO]:
    """Open a new file of numbers for a space, which the index names when it is on disk."""
    name = new_file(fingerprint)
    try:
        with open(cache._numbers(name), "xb", opener=_private) as target:
            yield target
            target.flush()
            os.fsync(target.fileno())  # the old file is deleted next
            n_floats = target.tell() // _FLOAT
        connection.execute(
            "UPDATE space SET file = ?, n_floats = ? WHERE id = ?", (name, n_floats, space)
        )
    except BaseException:
        with suppress(OSError):
            cache._numbers(name).unlink(missing_ok=True)
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _forget_oldest(connection: sqlite3.Connection, max_bytes: int) -> int:
    """Delete the entries that were not used for longest, until the others fit."""
    total = connection.execute("SELECT coalesce(sum(size), 0) FROM vector").fetchone()[0]
    surplus = total - max_bytes // _FLOAT
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS old (space INTEGER, digest BLOB)")
    connection.execute("DELETE FROM old")
    cursor = connection.execute("SELECT space, digest, size FROM vector ORDER BY used, digest")
    while surplus > 0 and (rows := cursor.fetchmany(_BLOCK)):
        sizes = np.cumsum([size for _, _, size in rows])
        number = int(np.searchsorted(sizes, surplus)) + 1
        connection.executemany("INSERT INTO old VALUES (?, ?)", [r[:2] for r in rows[:number]])
        surplus -= int(sizes[min(number, len(rows)) - 1])
    cursor.close()
    query = "DELETE FROM vector WHERE (space, digest) IN (SELECT space, digest FROM old)"
    return connection.execute(query).rowcount


def _with_gaps(connection: sqlite3.Connection) -> list[tuple[int, str, str]]:
    """Return the spaces whose files hold more than the index names."""
    return connection.execute(
        "SELECT id, fingerprint, file FROM space WHERE n_floats >"
        " (SELECT coalesce(sum(size), 0) FROM vector WHERE vector.space = space.id)"
    ).fetchall()


def _rewrite(connection: sqlite3.Connection, space: int, source: Path, target: BinaryIO) -> None:
    """Copy what the index names, without gaps, and tell the index where it is now."""
    stored, end = map_numbers(source), 0
    # sorted as a whole before the first comes, so that what is changed meanwhile is not met
    query = "SELECT digest, first, size FROM vector WHERE space = ? ORDER BY first"
    cursor = connection.execute(query, (space,))
    while block := cursor.fetchmany(_BLOCK):
        moved = []
        for digest, first, size in block:
            values = stored[first : first + size]
            if len(values) < size:  # cut off: reading it would show it as damaged
                connection.execute(
                    "DELETE FROM vector WHERE space = ? AND digest = ?", (space, digest)
                )
                continue
            target.write(memoryview(np.ascontiguousarray(values)).cast("B"))
            moved.append((end, space, digest))
            end += size
        connection.executemany(_MOVE, moved)


# Arranging ---------------------------------------------------------------------------------------


def arrange(cache: "EmbeddingCache", fingerprint: str, digests: Digests) -> bool:
    """See EmbeddingCache.arrange."""
    with transaction(cache._connection()) as connection:
        space = cache._space(fingerprint)
        if space is None:
            return False
        lookup = Lookup.of_space(connection, space.id)
        order = _order(lookup, digests)
        stored = map_numbers(cache._numbers(space.file))
        if order is None or lookup.entries[:, :2].sum(axis=1).max() > len(stored):
            return False  # what is cut off is for reading to find
        width = int(lookup.entries[0, 1])
        rows = stored[: len(stored) // width * width].reshape(-1, width)
        starts = lookup.entries[order, 0] // width
        with _new_numbers(cache, connection, space.id, fingerprint) as target:
            for begin in range(0, len(starts), _BLOCK):
                target.write(memoryview(rows[starts[begin : begin + _BLOCK]]).cast("B"))
        names = lookup.digests[order].tolist()
        moved = ((width * place, space.id, name) for place, name in enumerate(names))
        connection.executemany(_MOVE, moved)
    _sweep(cache)
    return True


def _order(lookup: Lookup, digests: Digests) -> np.ndarray | None:
    """Return entries in the order in which they are asked for, None where little is astray."""
    asked = lookup.find(digests)
    asked = asked[asked >= 0]
    firsts, sizes = lookup.entries[:, 0], lookup.entries[:, 1]
    if len(asked) < 2 or 2 * len(asked) < len(lookup):
        return None
    if (sizes != sizes[0]).any() or (firsts % sizes[0]).any():
        return None
    if (np.diff(firsts[asked]) < 0).mean() < _ASTRAY:
        return None
    others = np.setdiff1d(np.arange(len(lookup)), asked)
    return np.concatenate([asked, others[np.argsort(firsts[others])]])


# Copying -----------------------------------------------------------------------------------------


def export_to(cache: "EmbeddingCache", folder: str | os.PathLike[str]) -> int:
    """See EmbeddingCache.export_to."""
    target = Path(folder)
    if target.exists():
        raise CacheError(f"{target} exists; expected the name of a folder to make.")
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with type(cache)(temporary) as copy:
            number = _copy(cache, copy)
            # the log goes into the index, so that the folder is complete however it is copied
            copy._connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        temporary.replace(target)
    except OSError as error:
        raise CacheError(
            f"The embedding cache cannot be exported to {target} ({error})."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return number


def import_from(cache: "EmbeddingCache", folder: str | os.PathLike[str]) -> int:
    """See EmbeddingCache.import_from."""
    source = Path(folder)
    if not (source / "index.sqlite").is_file():
        raise CacheError(
            f"{source} holds no embedding cache (there is no index.sqlite); expected a folder that "
            f"export_to wrote."
        )
    with type(cache)(source) as other:
        return _copy(other, cache)


def _copy(source: "EmbeddingCache", target: "EmbeddingCache") -> int:
    """Store what `target` does not have, block by block; damaged vectors stay behind."""
    connection, number = source._connection(), 0
    query = "SELECT id, fingerprint, description FROM space ORDER BY id"
    for space, fingerprint, description in connection.execute(query).fetchall():
        for block in _blocks(connection, space):
            known = target.contains(fingerprint, [digest for digest, *_ in block])
            missing = [entry for entry, there in zip(block, known, strict=True) if not there]
            number += _copy_block(source, target, fingerprint, description, missing)
    return number


def _copy_block(
    source: "EmbeddingCache",
    target: "EmbeddingCache",
    fingerprint: str,
    description: str,
    entries: list[Entry],
) -> int:
    if not entries:
        return 0
    digests = [digest for digest, *_ in entries]
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
            f"The embedding cache {target.directory} cannot be written: its disk may be full. What "
            f"was copied so far is kept."
        )
    return len(good)
