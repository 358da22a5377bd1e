"""The index of a cache: an SQLite file that names, per namespace, where each vector lies.

A namespace is one combination of weights and settings. The index is opened once per thread and
process. One that is damaged is set aside and rebuilt from the entries that can still be read:
vectors carry checksums bound to their sequence, so a wrong entry is found when it is read.
"""

import json
import logging
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from filelock import FileLock

from esmlearn.exceptions import CacheError
from esmlearn.utils._paths import cache_directory
from esmlearn.utils._warn import warn

logger = logging.getLogger(__name__)

APPLICATION_ID = 0x45534D4C
VERSION = 3
_BUSY_SECONDS = 120

# sqlite3 fails to decode its own message when that quotes damaged text
INDEX_ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)

_SCHEMA = [
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
    "CREATE TABLE namespace (id INTEGER PRIMARY KEY, fingerprint TEXT UNIQUE NOT NULL,"
    " description TEXT NOT NULL, n_floats INTEGER NOT NULL DEFAULT 0,"
    " n_computed INTEGER NOT NULL DEFAULT 0, file TEXT NOT NULL)",
    "CREATE TABLE vector (namespace INTEGER NOT NULL, digest BLOB NOT NULL, first INTEGER NOT NULL,"
    " size INTEGER NOT NULL, checksum INTEGER NOT NULL, used INTEGER NOT NULL,"
    " PRIMARY KEY (namespace, digest)) WITHOUT ROWID",
]
_NAMESPACES = "SELECT id, fingerprint, description, n_floats, n_computed, file FROM namespace"
_VECTORS = "SELECT namespace, digest, first, size, checksum, used FROM vector"
_ASKED_AT_ONCE = 500  # SQLite's least limit on parameters is 999
_ASKING = 20  # times the cost of reading an entry is that of looking one up

_MOUNTS = Path("/proc/self/mounts")
_NETWORK = {"9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "gpfs"}
_NETWORK |= {"lustre", "nfs", "nfs4", "orangefs", "pvfs2", "smb3", "smbfs", "wekafs"}

# SQLite forbids using, even closing, a connection on the other side of a fork: they are kept.
_inherited: list[sqlite3.Connection] = []
# Folders on network file systems that this process has warned of.
_warned_of: set[Path] = set()

Result = TypeVar("Result")


class Namespace(NamedTuple):
    """A namespace: its number in the index, the file of its vectors, how many it ever held."""

    id: int
    file: str
    n_computed: int


class Index:
    """The index in a folder; it pickles as the folder's name.

    Parameters
    ----------
    path : path-like or None
        The folder; None is ``embeddings`` in esmlearn's cache folder.

    Attributes
    ----------
    read_only : bool
        Whether nothing can be written, as found when the index was opened.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = path
        self._reset()

    def _reset(self) -> None:
        self._local = threading.local()
        self.read_only = False
        self._warned = False

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path = state["path"]
        self._reset()

    @property
    def directory(self) -> Path:
        """The folder that holds index and vectors."""
        return cache_directory("embeddings") if self.path is None else Path(self.path).expanduser()

    # Connections ---------------------------------------------------------------------------------

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection; one that was made before a fork is left alone."""
        file = self.directory / "index.sqlite"
        key = (os.getpid(), file, _inode(file))
        if getattr(self._local, "key", None) != key:
            if hasattr(self._local, "connection") and self._local.key[0] != key[0]:
                _inherited.append(self._local.connection)
            self._local.connection, self.read_only = _open(file)
            self._local.key = (os.getpid(), file, _inode(file))
            self._warn_of_limits(file.parent)
        return self._local.connection

    def run(self, operation: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run an operation on the index; where the index is damaged, mend it and run it again.

        Raises
        ------
        CacheError
            If the index is damaged and cannot be replaced.
        """
        try:
            return operation(self.connection())
        except INDEX_ERRORS as error:
            if not _is_damage(error):
                raise
            _, file, seen = self._local.key
            self.close()
            if self.read_only:
                raise _beyond_repair(file.parent, error) from error
            _recover(file, seen, error)
        try:
            return operation(self.connection())
        except INDEX_ERRORS as error:
            if not _is_damage(error):
                raise
            raise _beyond_repair(file.parent, error) from error

    def change(self, operation: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run an operation inside a write transaction; see run."""

        def change(connection: sqlite3.Connection) -> Result:
            with transaction(connection):
                return operation(connection)

        return self.run(change)

    def change_if_free(self, operation: Callable[[sqlite3.Connection], object]) -> bool:
        """Change the index unless somebody else is writing just now or it cannot be written."""
        connection = self.connection()
        if self.read_only:
            return False
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            with transaction(connection):
                operation(connection)
        except INDEX_ERRORS:
            return False
        finally:
            connection.execute(f"PRAGMA busy_timeout = {1000 * _BUSY_SECONDS}")
        return True

    def close(self) -> None:
        """Close this thread's connection; the next use opens another."""
        if getattr(self._local, "key", None) is not None:
            if self._local.key[0] == os.getpid():
                self._local.connection.close()
            del self._local.key, self._local.connection

    def warn(self, message: str) -> None:
        """Log a message, and warn the user of the first."""
        logger.warning(message)
        if not self._warned:
            self._warned = True
            warn(message)

    def _warn_of_limits(self, directory: Path) -> None:
        if self.read_only:
            self.warn(f"The embedding cache {directory} is read-only: nothing new is stored.")
        kind = network_file_system(directory)
        if kind is not None and directory not in _warned_of:
            _warned_of.add(directory)
            warn(
                f"The embedding cache {directory} lies on a network file system ({kind}), whose "
                f"locks may fail between machines. Vectors are checked when they are read, but let "
                f"one machine at a time write there, or set ESMLEARN_CACHE to a local disk."
            )

    # Namespaces and entries ----------------------------------------------------------------------

    def namespace(self, fingerprint: str) -> Namespace | None:
        """Return a namespace, None where nothing was ever stored in it."""
        query = "SELECT id, file, n_computed FROM namespace WHERE fingerprint = ?"
        row = self.run(lambda connection: connection.execute(query, (fingerprint,)).fetchone())
        return None if row is None else Namespace(*row)

    def entries(
        self, namespace: Namespace, digests: Sequence[bytes]
    ) -> tuple[list[bytes], np.ndarray]:
        """Return where vectors lie; of those that are stored, and perhaps of others.

        Parameters
        ----------
        namespace : Namespace
            The vectors' namespace.
        digests : sequence of bytes
            Digests of the sequences.

        Returns
        -------
        stored : list of bytes
            Digests of stored vectors.
        entries : ndarray of int64 of shape (n_stored, 4)
            First number, number of numbers, checksum and time of last use of each.
        """
        query = "SELECT digest, first, size, checksum, used FROM vector WHERE namespace = ?"

        def read(connection: sqlite3.Connection) -> tuple[list[bytes], np.ndarray]:
            rows: list[Any] = []
            if len(digests) > max(_ASKED_AT_ONCE, namespace.n_computed // _ASKING):
                rows = connection.execute(query, (namespace.id,)).fetchall()
            else:
                for start in range(0, len(digests), _ASKED_AT_ONCE):
                    block = digests[start : start + _ASKED_AT_ONCE]
                    asked = f"{query} AND digest IN ({','.join('?' * len(block))})"
                    rows += connection.execute(asked, (namespace.id, *block))
            stored, *columns = list(zip(*rows, strict=True)) or [()] * 5
            try:
                return list(stored), np.array(columns, dtype=np.int64).T
            except (TypeError, ValueError, OverflowError) as error:
                raise sqlite3.DatabaseError(f"malformed index entry: {error}") from error

        return self.run(read)

    def numbers(self, file: str) -> Path:
        """Return the path of a file of vectors; a name never leads out of the folder."""
        return self.directory / Path(file).name


def make_namespace(
    connection: sqlite3.Connection, fingerprint: str, description: Mapping[str, Any] | None
) -> int:
    """Return the number of a namespace, which is made if it is new; inside a transaction."""
    query = "SELECT id FROM namespace WHERE fingerprint = ?"
    row = connection.execute(query, (fingerprint,)).fetchone()
    if row is not None:
        return int(row[0])
    made = connection.execute(
        "INSERT INTO namespace (fingerprint, description, file) VALUES (?, ?, ?)",
        (fingerprint, json.dumps(dict(description or {})), new_file(fingerprint)),
    )
    return int(made.lastrowid or 0)


def new_file(fingerprint: str) -> str:
    """Return a name for a file of vectors that no file has or had."""
    return f"{os.path.basename(fingerprint)}-{secrets.token_hex(4)}.f32"


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


# Opening -----------------------------------------------------------------------------------------


def _open(file: Path) -> tuple[sqlite3.Connection, bool]:
    """Open, or make, an index; return the connection and whether it is read-only."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        seen = _inode(file)
        try:
            return _open_writable(file), False
        except INDEX_ERRORS as error:
            if not _is_damage(error) or _cannot_write(error, file.parent):
                raise
            _recover(file, seen, error)
            return _open_writable(file), False
    except (*INDEX_ERRORS, OSError) as error:
        if not _cannot_write(error, file.parent):
            raise _beyond_repair(file.parent, error) from error
    try:
        return _open_read_only(file), True
    except INDEX_ERRORS as error:
        raise _beyond_repair(file.parent, error) from error


def _open_writable(file: Path) -> sqlite3.Connection:
    connection = _connect(os.fspath(file))
    try:
        if _is_empty(connection):
            with transaction(connection):
                if _is_empty(connection):  # another process may have been faster
                    for statement in _SCHEMA:
                        connection.execute(statement)
        elif _version(connection, file) < VERSION:
            connection.close()
            _set_aside_old(file)
            return _open_writable(file)
        # Write-ahead logging shares memory between processes, which two machines do not have.
        _set_journal(connection, "DELETE" if network_file_system(file.parent) else "WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        _check(connection, file)
    except BaseException:
        connection.close()
        raise
    return connection


def _open_read_only(file: Path) -> sqlite3.Connection:
    if not file.exists():
        connection = _connect(":memory:")
        for statement in _SCHEMA:
            connection.execute(statement)
        return connection
    try:
        # sees what a writer under another account has logged, where the log's files are there
        connection = _connect(f"{file.resolve().as_uri()}?mode=ro")
        _check(connection, file)
    except sqlite3.OperationalError:
        connection = _connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1")
        _check(connection, file)
    return connection


def _connect(target: str) -> sqlite3.Connection:
    return sqlite3.connect(
        target,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        uri=target.startswith("file:"),
        check_same_thread=False,  # each is used by one thread, but may be closed by another
    )


def _check(connection: sqlite3.Connection, file: Path) -> None:
    """Check the format and ask for every column, so that damage of the schema shows here."""
    _version(connection, file)
    for query in (_NAMESPACES, _VECTORS):
        connection.execute(f"{query} LIMIT 1").fetchall()


def _version(connection: sqlite3.Connection, file: Path) -> int:
    names = ("application_id", "user_version")
    application, version = (connection.execute(f"PRAGMA {n}").fetchone()[0] for n in names)
    if application != APPLICATION_ID:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if {"namespace", "vector"} <= tables:
            raise sqlite3.DatabaseError("its header is damaged")
        raise CacheError(
            f"{file} is a database of another program; pass cache= another folder. It was left as "
            f"it is."
        )
    if version > VERSION:
        raise CacheError(
            f"{file} has format {version}, this esmlearn reads and writes {VERSION}. Pass cache= "
            f"another folder, or delete {file.parent}; it was left as it is."
        )
    return int(version)


def _is_damage(error: Exception) -> bool:
    """Tell a damaged file from a busy or full disk and from misuse."""
    if isinstance(error, sqlite3.OperationalError):
        return "no such" in str(error)  # table or column
    return not isinstance(error, sqlite3.ProgrammingError)


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


def _cannot_write(error: Exception, directory: Path) -> bool:
    if isinstance(error, sqlite3.OperationalError) and "readonly" in str(error):
        return True
    # not Path.exists, which raises where a folder above may not be entered
    return os.path.exists(directory) and not os.access(directory, os.W_OK)


def _inode(file: Path) -> int:
    """Return the number of a file on its disk: another one after a rebuild or a deletion."""
    try:
        return file.stat().st_ino
    except OSError:
        return 0


# Recovery ----------------------------------------------------------------------------------------


def _recover(file: Path, seen: int, error: Exception) -> None:
    """Set a damaged index aside and make a new one of the entries that can be read.

    `seen` is the inode of the damaged file: where another is there by now, another process was
    faster.
    """
    directory = file.parent
    aside = directory / f"index.damaged-{secrets.token_hex(4)}.sqlite"
    try:
        with FileLock(directory / "recovery.lock", timeout=_BUSY_SECONDS):
            if _inode(file) != seen:
                return
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    Path(f"{file}{suffix}").rename(f"{aside}{suffix}")
            n_vectors = _rebuild(file, aside)
    except (*INDEX_ERRORS, OSError) as failure:
        raise _beyond_repair(directory, error) from failure
    found = " ".join(str(error).split())
    message = (
        f"The index of the embedding cache {directory} was damaged ({found}). It was set aside as "
        f"{aside.name} and rebuilt: {n_vectors} vector(s) were recovered, all others are computed "
        f"again when they are asked for."
    )
    logger.warning(message)
    warn(message)


def _rebuild(file: Path, damaged: Path) -> int:
    """Make an index of what can be read of a damaged one; return the number of vectors."""
    namespaces = _readable_rows(damaged, f"{_NAMESPACES} ORDER BY id {{0}}")
    vectors = _readable_rows(damaged, f"{_VECTORS} ORDER BY namespace {{0}}, digest {{0}}")
    known = {row[0] for row in namespaces if list(map(type, row)) == [int, str, str, int, int, str]}
    good = [
        row
        for row in vectors
        if row[0] in known and list(map(type, row)) == [int, bytes, int, int, int, int]
    ]
    with closing(_open_writable(file)) as connection, transaction(connection):
        for number, fingerprint, description, _, n_computed, name in namespaces:
            if number in known:
                # from now on behind all that the file holds: entries that were not read may name it
                numbers = file.parent / Path(name).name
                n_floats = -(-numbers.stat().st_size // 4) if numbers.is_file() else 0
                row = (number, fingerprint, description, n_floats, n_computed, name)
                insert = "INSERT OR IGNORE INTO namespace VALUES (?, ?, ?, ?, ?, ?)"
                connection.execute(insert, row)
        connection.executemany("INSERT OR IGNORE INTO vector VALUES (?, ?, ?, ?, ?, ?)", good)
        return int(connection.execute("SELECT count(*) FROM vector").fetchone()[0])


def _readable_rows(file: Path, query: str) -> list[tuple[Any, ...]]:
    """Read a table from both ends: damage in the middle then costs the middle alone."""
    rows: dict[tuple[Any, ...], None] = {}
    for direction in ("ASC", "DESC"):
        with suppress(*INDEX_ERRORS), closing(_connect(os.fspath(file))) as connection:
            for row in connection.execute(query.format(direction)):
                rows[row] = None
    return list(rows)


def _set_aside_old(file: Path) -> None:
    """Move a cache of an earlier format, which was never released, out of the way."""
    with FileLock(file.parent / "recovery.lock", timeout=_BUSY_SECONDS):
        with suppress(*INDEX_ERRORS), closing(_connect(os.fspath(file))) as connection:
            if _version(connection, file) == VERSION:  # another process was faster
                return
        aside = file.parent / f"earlier-format-{secrets.token_hex(4)}"
        aside.mkdir(mode=0o700)
        for path in [*file.parent.glob("index.sqlite*"), *file.parent.glob("*.f32")]:
            path.rename(aside / path.name)
    warn(
        f"The embedding cache {file.parent} has an earlier format and was moved to {aside}; "
        f"vectors are computed again. Delete that folder to free its space."
    )


def _beyond_repair(directory: Path, error: Exception) -> CacheError:
    return CacheError(
        f"The embedding cache {directory} cannot be used ({error}). If it is damaged, delete the "
        f"folder: everything in it can be computed again."
    )


# Disks -------------------------------------------------------------------------------------------


def network_file_system(directory: Path) -> str | None:
    """Return the type of the network file system that a folder lies on, such as ``"nfs4"``.

    None for a local disk, and where the system does not tell. SQLite's write-ahead log is shared
    memory, and corrupts where two machines write.
    """
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    folder = os.path.join(os.path.realpath(directory), "")
    best, kind = "", ""
    for line in lines:
        _, mount, found, *_ = [*line.split(" "), "", "", ""]
        point = os.path.join(_unescape(mount), "")
        if folder.startswith(point) and len(point) >= len(best):
            best, kind = point, found
    return kind if kind in _NETWORK else None


def _unescape(mount: str) -> str:
    """Return a mount point as it is written; the kernel escapes what would end the field."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        mount = mount.replace(code, character)
    return mount
