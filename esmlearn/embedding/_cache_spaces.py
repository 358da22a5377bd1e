"""The spaces of a cache: what was computed, and in which file its vectors lie."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from esmlearn.embedding._cache_notes import CacheNotes


class Space(NamedTuple):
    """What is known of a space: its number, its file, and how many vectors it has ever held."""

    id: int
    file: str
    n_computed: int


class CacheSpaces(CacheNotes):
    """The spaces in a cache's folder."""

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


def new_file(fingerprint: str) -> str:
    """Return a name for a file of vectors that no file has or had."""
    return f"{os.path.basename(fingerprint)}-{secrets.token_hex(4)}.f32"
