"""Rows of sequences to nodes: canonical form, digests, order."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esmlearn.utils._sequences import check_sequences, remove_gaps, sequence_digest


def canonical_sequences(sequences: Any, *, name: str = "sequences") -> list[str]:
    """Return sequences in upper case without gaps; one that holds gaps alone is refused."""
    return [remove_gaps(sequence) for sequence in check_sequences(sequences, name=name)]


def _digests(canonical: list[str]) -> NDArray[np.bytes_]:
    # Hexadecimal: NumPy would drop trailing zero bytes of raw digests.
    return np.array([sequence_digest(s).hex().encode() for s in canonical], dtype="S32")


def row_digests(sequences: Any) -> NDArray[np.bytes_]:
    """Return the digest of each row's canonical sequence."""
    return _digests(canonical_sequences(sequences))


@dataclass(frozen=True, eq=False)
class UniqueSequences:
    """Distinct canonical sequences, sorted by digest.

    Attributes
    ----------
    digests : ndarray of bytes of shape (n_nodes,)
        Ascending digests.
    sequences : list of str
        The sequences in that order.
    """

    digests: NDArray[np.bytes_]
    sequences: list[str]

    @classmethod
    def of(cls, sequences: Any) -> "UniqueSequences":
        """Return the nodes of rows of sequences, whatever their order and number of copies."""
        canonical = canonical_sequences(sequences)
        digests, first = np.unique(_digests(canonical), return_index=True)
        return cls(digests, [canonical[i] for i in first])

    def take(self, indices: NDArray[np.int64]) -> "UniqueSequences":
        """Return some of the nodes, by ascending indices."""
        return UniqueSequences(self.digests[indices], [self.sequences[i] for i in indices])
