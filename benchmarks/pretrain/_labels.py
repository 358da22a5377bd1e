"""Which genome the sequences of a corpus come from, where that is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

UNKNOWN = -1


@dataclass(frozen=True)
class GenomeLabels:
    """The genome of each sequence of a corpus, row by row; many rows have none.

    Attributes
    ----------
    genomes : int32 array of n_sequences
        A number per genome, counted from 0; `UNKNOWN` where there is none.
    description : dict
        How the labels were made.
    """

    genomes: np.ndarray
    description: dict[str, object]

    def __len__(self) -> int:
        return len(self.genomes)

    @property
    def n_genomes(self) -> int:
        return int(self.genomes.max(initial=UNKNOWN)) + 1

    @property
    def labelled(self) -> np.ndarray:
        """Rows with a genome."""
        return np.flatnonzero(self.genomes != UNKNOWN)

    def save(self, path: str | Path) -> None:
        """Write everything into one ``.npz`` file."""
        np.savez(path, genomes=self.genomes, description=np.array(json.dumps(self.description)))

    @classmethod
    def load(cls, path: str | Path) -> GenomeLabels:
        """Read a file written by `save`."""
        with np.load(path) as file:
            return cls(file["genomes"], json.loads(str(file["description"])))


def number_genomes(groups: Sequence[str | None], *, smallest: int) -> np.ndarray:
    """Numbers, int32, of the groups that at least ``smallest`` sequences have."""
    known, sizes = np.unique([g for g in groups if g is not None], return_counts=True)
    number = {name: i for i, name in enumerate(known[sizes >= smallest].tolist())}
    return np.array([number.get(g, UNKNOWN) for g in groups], dtype=np.int32)
