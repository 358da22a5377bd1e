"""What is known of whole training sequences: GO terms, and which genome a protein belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

UNKNOWN = -1


@dataclass(frozen=True)
class SequenceLabels:
    """Labels of the sequences of a corpus, row by row; many rows have none.

    Attributes
    ----------
    term_names : list of str
        The GO terms that are predicted; a term is a position in this list.
    terms : int32 array
        The terms of all rows, end to end.
    offsets : int64 array of n_sequences + 1
        Row i has the terms ``terms[offsets[i]:offsets[i + 1]]``; none: not annotated.
    genomes : int32 array of n_sequences
        A number per genome, counted from 0; `UNKNOWN` where there is none.
    description : dict
        How the labels were made.
    """

    term_names: list[str]
    terms: np.ndarray
    offsets: np.ndarray
    genomes: np.ndarray
    description: dict[str, object]

    def __len__(self) -> int:
        return len(self.genomes)

    @property
    def n_terms(self) -> int:
        return len(self.term_names)

    @property
    def n_genomes(self) -> int:
        return int(self.genomes.max(initial=UNKNOWN)) + 1

    @property
    def term_frequencies(self) -> np.ndarray:
        """Share of the annotated rows that have each term."""
        n_annotated = np.count_nonzero(np.diff(self.offsets))
        return np.bincount(self.terms, minlength=self.n_terms) / max(1, n_annotated)

    @property
    def labelled(self) -> np.ndarray:
        """Rows with a term or a genome."""
        return np.flatnonzero((np.diff(self.offsets) > 0) | (self.genomes != UNKNOWN))

    def indicators(self, rows: np.ndarray) -> np.ndarray:
        """Zeros and ones (n_rows, n_terms), float32; a row without terms is not annotated."""
        table = np.zeros((len(rows), self.n_terms), dtype=np.float32)
        for i, row in enumerate(rows):
            table[i, self.terms[self.offsets[row] : self.offsets[row + 1]]] = 1
        return table

    def save(self, path: str | Path) -> None:
        """Write everything into one ``.npz`` file."""
        np.savez(
            path,
            terms=self.terms,
            offsets=self.offsets,
            genomes=self.genomes,
            term_names=np.array(self.term_names),
            description=np.array(json.dumps(self.description)),
        )

    @classmethod
    def load(cls, path: str | Path) -> SequenceLabels:
        """Read a file written by `save`."""
        with np.load(path) as file:
            return cls(
                term_names=file["term_names"].tolist(),
                terms=file["terms"],
                offsets=file["offsets"],
                genomes=file["genomes"],
                description=json.loads(str(file["description"])),
            )


def label_sequences(
    annotations: Sequence[Iterable[str]],
    groups: Sequence[str | None],
    *,
    rarest_term: int,
    smallest_group: int,
) -> SequenceLabels:
    """Number the terms and the groups that enough sequences have.

    Parameters
    ----------
    annotations : sequence of iterables of str
        Every term of each sequence, the more general ones included.
    groups : sequence of str or None
        Genome of each sequence.
    rarest_term, smallest_group : int
        Fewest sequences that a term or a genome must have.
    """
    names, counts = np.unique([t for terms in annotations for t in terms], return_counts=True)
    term_names = names[counts >= rarest_term].tolist()
    number = {name: i for i, name in enumerate(term_names)}
    rows = [sorted(number[t] for t in terms if t in number) for terms in annotations]
    known, sizes = np.unique([g for g in groups if g is not None], return_counts=True)
    genome = {name: i for i, name in enumerate(known[sizes >= smallest_group].tolist())}
    return SequenceLabels(
        term_names=term_names,
        terms=np.array([t for row in rows for t in row], dtype=np.int32),
        offsets=np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64),
        genomes=np.array([genome.get(g, UNKNOWN) for g in groups], dtype=np.int32),
        description={},
    )
