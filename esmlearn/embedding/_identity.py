"""What a checkpoint file is: its content's digest and its description, remembered per machine.

Hashing gigabytes takes seconds, and describing a network imports torch; a transform that finds
every vector in the cache should do neither. Both are remembered until the file is touched.
"""

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import blake2b, file_digest
from pathlib import Path

from esmlearn.embedding._registry import ModelInfo, Source, families, known_model, resolve_model
from esmlearn.utils._paths import cache_directory


@dataclass(frozen=True)
class Identity:
    """A checkpoint's content and shape.

    Attributes
    ----------
    digest : str
        BLAKE2b of the whole file, 32 hexadecimal digits.
    info : ModelInfo
        Layers, width, context.
    """

    digest: str
    info: ModelInfo


def identify(source: Source) -> Identity:
    """Return digest and description of a checkpoint, remembered while the file is untouched."""
    status = source.path.stat()
    stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    key = "|".join([source.family.name, str(source.path), *map(str, stamp)])
    # part of the memo's key: tests and users move the cache between calls
    return _identify(key, source.family.name, source.path, cache_directory("embeddings"))


def describe_without_fetching(model: str | os.PathLike[str]) -> ModelInfo:
    """Return the description of a checkpoint or, where it is not there yet, of its name."""
    known = known_model(model)
    if known is not None:
        place = families()[known.family].place(known.name)
        if place is None or not place.is_file():
            return known
    return identify(resolve_model(model)).info


@lru_cache(maxsize=32)
def _identify(key: str, family: str, path: Path, memory: Path) -> Identity:
    known = _recall(key, memory)
    if known is not None:
        return known
    with open(path, "rb") as file:
        digest = file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()
    identity = Identity(digest, families()[family].describe(path))
    _remember(key, identity, memory)
    return identity


def _connect(memory: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(os.fspath(memory / "checkpoints.sqlite"), timeout=60)
    connection.execute("CREATE TABLE IF NOT EXISTS identity (key TEXT PRIMARY KEY, value TEXT)")
    return connection


def _recall(key: str, memory: Path) -> Identity | None:
    try:
        with closing(_connect(memory)) as connection:
            row = connection.execute("SELECT value FROM identity WHERE key = ?", (key,)).fetchone()
        value = json.loads(row[0]) if row else None
        return None if value is None else Identity(value["digest"], ModelInfo(**value["info"]))
    except (sqlite3.Error, ValueError, TypeError, KeyError):
        return None  # an unreadable memory costs the time of hashing again, nothing else


def _remember(key: str, identity: Identity, memory: Path) -> None:
    try:
        with closing(_connect(memory)) as connection, connection:
            connection.execute(
                "INSERT OR REPLACE INTO identity VALUES (?, ?)", (key, json.dumps(asdict(identity)))
            )
    except sqlite3.Error:
        return  # as above: a read-only or full disk is no reason to fail here
