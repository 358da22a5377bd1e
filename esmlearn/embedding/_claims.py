"""Who computes what: claims of living processes on sequences, in the cache's index."""

import os
import socket
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def _process_start(pid: int) -> str:
    """Return when a process started, in the kernel's ticks: numbers of processes come again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "?"


# Pieces of work under way in this process; what an ended one still claims is free again.
_under_way: set[str] = {""}


def owner_name(work: str = "") -> str:
    """Return a name of a piece of work in this process that no other has or will have."""
    return f"{socket.gethostname()}|{os.getpid()}|{_process_start(os.getpid())}|{work}"


@contextmanager
def begin_work() -> Iterator[str]:
    """Yield the name of a new owner of claims, who lives as long as the block."""
    work = uuid.uuid4().hex
    _under_way.add(work)
    try:
        yield owner_name(work)
    finally:
        _under_way.discard(work)


def is_alive(owner: str) -> bool:
    """Tell whether the owner of that name may still be at work.

    Of another machine that cannot be known; its claims lapse when it stops renewing them.
    """
    host, pid, start, work = owner.split("|")
    if host != socket.gethostname():
        return True
    if int(pid) == os.getpid():
        return start == _process_start(os.getpid()) and work in _under_way
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return start in ("?", _process_start(int(pid)))


class ClaimTable:
    """The claims on sequences of one space.

    Parameters
    ----------
    connection : sqlite3.Connection
        Connection to the index.
    space : int
        Number of the space in the index.
    owner : str
        Who claims.
    """

    LEASE_SECONDS = 120.0
    RENEW_SECONDS = 20.0

    def __init__(self, connection: sqlite3.Connection, space: int, owner: str) -> None:
        self._connection, self._space, self._owner = connection, space, owner

    def take(self, digest: bytes) -> bool:
        """Claim a sequence unless a living process has; call it inside a write transaction."""
        row = self._connection.execute(
            "SELECT owner, expires FROM claim WHERE space = ? AND digest = ?", (self._space, digest)
        ).fetchone()
        if row is not None:
            owner, expires = row
            if owner != self._owner and expires > time.time() and is_alive(owner):
                return False
        self._connection.execute(
            "INSERT OR REPLACE INTO claim VALUES (?, ?, ?, ?)",
            (self._space, digest, self._owner, time.time() + self.LEASE_SECONDS),
        )
        return True

    def release(self, digests: Sequence[bytes]) -> None:
        """Remove the owner's claims on sequences."""
        self._connection.executemany(
            "DELETE FROM claim WHERE space = ? AND digest = ? AND owner = ?",
            [(self._space, digest, self._owner) for digest in digests],
        )

    @classmethod
    def renew(cls, connection: sqlite3.Connection, owner: str) -> None:
        """Prolong every claim of an owner."""
        connection.execute(
            "UPDATE claim SET expires = ? WHERE owner = ?",
            (time.time() + cls.LEASE_SECONDS, owner),
        )
