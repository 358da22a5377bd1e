"""The work folder of a study: one file per finished piece, so that a kill costs little."""

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

from esmlearn.utils._paths import atomic_write

_log = logging.getLogger(__name__)


class WorkFolder:
    """Finished pieces of one study, by name.

    Parameters
    ----------
    folder : path-like
        Parent folder; pieces go into a folder below it that is named after `settings`.
    settings : dict
        Everything that decides the results. Other settings, other folder: pieces are never mixed.

    Attributes
    ----------
    path : pathlib.Path
        Where the pieces lie.
    """

    def __init__(self, folder: str | os.PathLike[str], settings: dict[str, Any]) -> None:
        text = json.dumps(settings, sort_keys=True, default=str)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.path = Path(folder) / key
        self.path.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path / "settings.json") as temporary:
            temporary.write_text(json.dumps(settings, indent=1, sort_keys=True, default=str))

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def read(self, name: str) -> dict[str, Any] | None:
        """Return a finished piece, or None if it has to be computed.

        Parameters
        ----------
        name : str
            Name of the piece.

        Returns
        -------
        piece : dict or None
            As it was written. A damaged file counts as missing.
        """
        path = self.path / f"{name}.json"
        try:
            return json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            _log.warning("%s is damaged (%s) and is computed again.", path, error)
            return None

    def write(self, name: str, piece: dict[str, Any]) -> None:
        """Keep a finished piece; it stands under its name whole or not at all.

        Parameters
        ----------
        name : str
            Name of the piece.
        piece : dict
            JSON-able; floats come back bit for bit.
        """
        with atomic_write(self.path / f"{name}.json") as temporary:
            temporary.write_text(json.dumps(piece))
