"""The index of the cache: an SQLite file of a known format, opened with what the disk allows."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from esmlearn.embedding._file_system import network_file_system
from esmlearn.exceptions import CacheError

APPLICATION_ID = 0x45534D4C
VERSION = 2
_BUSY_SECONDS = 120

# sqlite3 fails to decode its own message when that quotes damaged text
DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)
DAMAGE_OR_DISK = (sqlite3.Error, UnicodeDecodeError, OSError)

_SCHEMA = [
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
    "CREATE TABLE space (id INTEGER PRIMARY KEY, fingerprint TEXT UNIQUE NOT NULL,"
    " description TEXT NOT NULL, n_floats INTEGER NOT NULL DEFAULT 0,"
    " n_computed INTEGER NOT NULL DEFAULT 0, file TEXT NOT NULL DEFAULT '')",
    "CREATE TABLE vector (space INTEGER NOT NULL, digest BLOB NOT NULL, first INTEGER NOT NULL,"
    " size INTEGER NOT NULL, checksum INTEGER NOT NULL, used INTEGER NOT NULL DEFAULT 0,"
    " PRIMARY KEY (space, digest)) WITHOUT ROWID",
    "CREATE TABLE claim (space INTEGER NOT NULL, digest BLOB NOT NULL, owner TEXT NOT NULL,"
    " expires REAL NOT NULL, PRIMARY KEY (space, digest)) WITHOUT ROWID",
]
# No part of the format: an esmlearn that knows no notes may use the cache, and leaves them alone.
_NOTES = (
    "CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, key BLOB UNIQUE NOT NULL,"
    " file TEXT NOT NULL, content BLOB NOT NULL)"
)
_COLUMNS = {
    "space": "id, fingerprint, description, n_floats, n_computed, file",
    "vector": "space, digest, first, size, checksum, used",
    "claim": "space, digest, owner, expires",
}
# Format 1 named a space's file after its fingerprint and did not note when a vector was used.
_FROM_1 = [
    "ALTER TABLE space ADD COLUMN file TEXT NOT NULL DEFAULT ''",
    "UPDATE space SET file = fingerprint || '.f32'",
    "ALTER TABLE vector ADD COLUMN used INTEGER NOT NULL DEFAULT 0",
    f"PRAGMA user_version = {VERSION}",
]


def open_index(directory: Path) -> tuple[sqlite3.Connection, bool]:
    """Open, or make, the index in a folder.

    Parameters
    ----------
    directory : Path
        Folder of the cache; made where it is missing.

    Returns
    -------
    connection : sqlite3.Connection
        In autocommit mode.
    read_only : bool
        True where nothing can be written.

    Raises
    ------
    CacheError
        If the file is damaged, of another program, or of a format of the future.
    """
    index = directory / "index.sqlite"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = _connect(os.fspath(index))
        _prepare(connection, index)
        _check_tables(connection)
    except DAMAGE_OR_DISK as error:
        if _is_read_only(error, directory):
            return _open_read_only(index), True
        raise CacheError(
            f"The embedding cache {index} cannot be used ({error}). If it is damaged, delete the "
            f"folder {directory}: everything in it can be computed again."
        ) from error
    return connection, False


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Hold the write lock of the index from the start, so that what was read stays true."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _connect(target: str) -> sqlite3.Connection:
    return sqlite3.connect(
        target,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        uri=target.startswith("file:"),
        check_same_thread=False,  # each is used by one thread, but may be closed by another
    )


def _prepare(connection: sqlite3.Connection, index: Path) -> None:
    if not _is_empty(connection):
        _check_format(connection, index, known=(1, VERSION))  # before anything in it is touched
    # Write-ahead logging shares memory between processes, which two machines do not have.
    _set_journal(connection, "DELETE" if network_file_system(index.parent) else "WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if _is_empty(connection):
        with transaction(connection):
            if _is_empty(connection):  # another process may have been faster
                for statement in _SCHEMA:
                    connection.execute(statement)
    elif _format(connection) == (APPLICATION_ID, 1):
        with transaction(connection):
            if _format(connection) == (APPLICATION_ID, 1):
                for statement in _FROM_1:
                    connection.execute(statement)
    _check_format(connection, index)
    with suppress(sqlite3.OperationalError):  # a full disk, where there were none before
        connection.execute(_NOTES)


def _set_journal(connection: sqlite3.Connection, mode: str) -> None:
    """Choose the way of logging, waiting for other processes that open the same new file."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute(f"PRAGMA journal_mode = {mode}")
            return
        except sqlite3.OperationalError as error:
            # SQLite's own waiting does not cover this statement.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _is_empty(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0)


def _open_read_only(index: Path) -> sqlite3.Connection:
    if not index.exists():
        connection = _connect(":memory:")
        _prepare(connection, index)
        return connection
    try:
        # sees what a writer under another account has logged, where the log's files are there
        connection = _connect(f"{index.resolve().as_uri()}?mode=ro")
        _check_format(connection, index)
    except sqlite3.OperationalError:
        connection = _connect(f"{index.resolve().as_uri()}?mode=ro&immutable=1")
        _check_format(connection, index)
    return connection


def _format(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the numbers of program and version that the file carries."""
    names = ("application_id", "user_version")
    application, version = (connection.execute(f"PRAGMA {n}").fetchone()[0] for n in names)
    return int(application), int(version)


def _check_format(
    connection: sqlite3.Connection, index: Path, known: tuple[int, ...] = (VERSION,)
) -> None:
    application, version = _format(connection)
    if application != APPLICATION_ID:
        raise CacheError(
            f"{index} is a database of another program; pass cache= another folder. It was left "
            f"as it is."
        )
    if version not in known:
        raise CacheError(
            f"{index} has format {version}, this esmlearn reads and writes {VERSION}. Pass cache= "
            f"another folder, or delete {index.parent}; it was left as it is."
        )


def _check_tables(connection: sqlite3.Connection) -> None:
    """Ask for every column: a damaged schema should show here, not in the middle of the work."""
    for table, columns in _COLUMNS.items():
        connection.execute(f"SELECT {columns} FROM {table} LIMIT 1").fetchall()


def _is_read_only(error: Exception, directory: Path) -> bool:
    if isinstance(error, sqlite3.OperationalError) and "readonly" in str(error):
        return True
    # not Path.exists, which raises where a folder above may not be entered
    return os.path.exists(directory) and not os.access(directory, os.W_OK)
