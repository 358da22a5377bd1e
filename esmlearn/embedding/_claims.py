"""Who computes what: claims of living processes on sequences, in the cache's index."""

import os
import socket
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path


def _process_start(pid: int) -> str:
    """Return when a process started, in the kernel's ticks: numbers of processes come again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "?"


def owner_name() -> str:
    """Return a name of this process that no other process has or will have."""
    return f"{socket.gethostname()}|{os.getpid()}|{_process_start(os.getpid())}"


def is_alive(owner: str) -> bool:
    """Tell whether the process of that name may still be at work.

    Of another machine that cannot be known; its claims lapse when it stops renewing them.
    """
    host, pid, start = owner.split("|")
    if host != socket.gethostname():
        return True
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
    """

    LEASE_SECONDS = 120.0
    RENEW_SECONDS = 20.0

    def __init__(self, connection: sqlite3.Connection, space: int) -> None:
        self._connection, self._space = connection, space
        self._me = owner_name()

    def take(self, digest: bytes) -> bool:
        """Claim a sequence unless a living process has; call it inside a write transaction."""
        row = self._connection.execute(
            "SELECT owner, expires FROM claim WHERE space = ? AND digest = ?", (self._space, digest)
        ).fetchone()
        if row is not None:
            owner, expires = row
            if expires > time.time() and is_alive(owner):
                return False
        self._connection.execute(
            "INSERT OR REPLACE INTO claim VALUES (?, ?, ?, ?)",
            (self._space, digest, self._me, time.time() + self.LEASE_SECONDS),
        )
        return True

    def release(self, digests: Sequence[bytes], *, owner: str | None = None) -> None:
        """Remove claims, all of them or those of one owner."""
        self._connection.executemany(
            "DELETE FROM claim WHERE space = ? AND digest = ? AND owner = coalesce(?, owner)",
            [(self._space, digest, owner) for digest in digests],
        )

    @classmethod
    def renew(cls, connection: sqlite3.Connection) -> None:
        """Prolong every claim of this process."""
        connection.execute(
            "UPDATE claim SET expires = ? WHERE owner = ?",
            (time.time() + cls.LEASE_SECONDS, owner_name()),
        )
