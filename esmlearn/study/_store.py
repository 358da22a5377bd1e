"""The work folder of a study: one file per finished piece, so that a kill costs little."""

import json
import logging
import os
from pathlib import Path
from typing import Any

from esmlearn.utils._paths import atomic_write

_log = logging.getLogger(__name__)


class WorkFolder:
    """Finished pieces by name; a name tells all that decides its piece, by a digest.

    Parameters
    ----------
    folder : path-like
        Where the pieces lie; it is made.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder)
        self.path.mkdir(parents=True, exist_ok=True)

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
