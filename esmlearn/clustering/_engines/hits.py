"""Local alignments as arrays, and the one definition of their significance.

Karlin, S. & Altschul, S. F. Methods for assessing the statistical significance of molecular
sequence features by using general scoring schemes. Proc. Natl. Acad. Sci. USA 87, 2264-2268 (1990).
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Karlin-Altschul parameters of BLOSUM62 with gap costs 11 (first residue: 12) and 1, as in BLAST.
LAMBDA = 0.267
K = 0.041

# Significance is judged as if one protein were searched in this many residues, whatever the size of
# the set: an edge then depends on its two proteins alone, and a subset's graph is the subgraph.
SEARCH_SPACE_RESIDUES = 1_000_000


def expect_values(scores: ArrayLike, shorter_lengths: ArrayLike) -> NDArray[np.float64]:
    """Return E-values of local alignments.

    ``E = K * m * N * exp(-lambda * score)`` with BLOSUM62's gapped parameters, ``m`` the length of
    the shorter protein and ``N`` one million residues.

    Parameters
    ----------
    scores : array-like of int of shape (n_hits,)
        Raw Smith-Waterman scores under BLOSUM62, gap costs 11 + 1.
    shorter_lengths : array-like of int of shape (n_hits,)
        Length of the shorter protein of each pair, in residues.

    Returns
    -------
    evalues : ndarray of shape (n_hits,)
        Expected number of chance hits.
    """
    scores = np.asarray(scores, dtype=np.float64)
    space = K * SEARCH_SPACE_RESIDUES * np.asarray(shorter_lengths, dtype=np.float64)
    return space * np.exp(-LAMBDA * scores)


def least_score(evalue: float, shorter_length: float) -> float:
    """Return the score, at least 1, from which on a hit of a protein of that length counts."""
    if np.isinf(evalue):
        return 1.0
    return max(1.0, float(np.log(K * SEARCH_SPACE_RESIDUES * shorter_length / evalue) / LAMBDA))


def known_lengths(sequences: list[str]) -> NDArray[np.int64]:
    """Return the lengths of sequences in residues other than X, which are unknown."""
    known = (len(sequence) - sequence.count("X") for sequence in sequences)
    return np.fromiter(known, dtype=np.int64, count=len(sequences))


def lengths_of(sequences: list[str]) -> NDArray[np.int64]:
    """Return the lengths of sequences in residues."""
    return np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))


@dataclass(frozen=True, eq=False)
class Hits:
    """Local alignments of queries with targets, one entry per alignment.

    Attributes
    ----------
    query, target : ndarray of int of shape (n_hits,)
        Indices into the lists that were searched.
    score : ndarray of int of shape (n_hits,)
        Raw score: BLOSUM62, gap costs 11 + 1.
    identity : ndarray of float of shape (n_hits,)
        Identical residues over alignment columns without X, 0-1.
    coverage_query, coverage_target : ndarray of float of shape (n_hits,)
        Share of the query's and the target's residues other than X between the ends of the
        alignment, 0-1.
    evalue : ndarray of float of shape (n_hits,)
        Expected number of chance hits, see :func:`expect_values`; 0 for two peptides that are alike
        as a whole.
    """

    query: NDArray[np.int64]
    target: NDArray[np.int64]
    score: NDArray[np.int64]
    identity: NDArray[np.float64]
    coverage_query: NDArray[np.float64]
    coverage_target: NDArray[np.float64]
    evalue: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.query)

    def take(self, selection: NDArray) -> "Hits":
        """Return the hits that an index array or mask selects."""
        return Hits(**{f.name: getattr(self, f.name)[selection] for f in fields(self)})

    def reversed(self) -> "Hits":
        """Return the same alignments with query and target exchanged."""
        return Hits(
            query=self.target,
            target=self.query,
            score=self.score,
            identity=self.identity,
            coverage_query=self.coverage_target,
            coverage_target=self.coverage_query,
            evalue=self.evalue,
        )

    def best_per_pair(self) -> "Hits":
        """Return the highest-scoring hit of every (query, target), sorted by both."""
        order = np.lexsort(
            (
                -self.coverage_target,
                -self.coverage_query,
                -self.identity,
                -self.score,
                self.target,
                self.query,
            )
        )
        query, target = self.query[order], self.target[order]
        first = np.ones(len(order), dtype=bool)
        first[1:] = (query[1:] != query[:-1]) | (target[1:] != target[:-1])
        return self.take(order[first])

    @classmethod
    def concatenate(cls, parts: "list[Hits]") -> "Hits":
        """Return all hits of several searches."""
        if not parts:
            integers, floats = np.zeros(0, dtype=np.int64), np.zeros(0)
            return cls(integers, integers, integers, floats, floats, floats, floats)
        names = [f.name for f in fields(cls)]
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})

    @classmethod
    def from_alignments(
        cls,
        query: ArrayLike,
        target: ArrayLike,
        score: ArrayLike,
        matches: ArrayLike,
        columns: ArrayLike,
        query_span: ArrayLike,
        target_span: ArrayLike,
        *,
        query_lengths: NDArray[np.int64],
        target_lengths: NDArray[np.int64],
    ) -> "Hits":
        """Return hits from the counts of an aligner.

        Parameters
        ----------
        query, target : array-like of int of shape (n_hits,)
            Indices of the sequences.
        score : array-like of int of shape (n_hits,)
            Raw scores.
        matches, columns : array-like of int of shape (n_hits,)
            Identical residues and columns of the alignments, without columns that hold an X.
        query_span, target_span : array-like of int of shape (n_hits,)
            Residues other than X between the ends of the alignments, ends included.
        query_lengths, target_lengths : ndarray of int
            Length of every query and every target, see :func:`known_lengths`.

        Returns
        -------
        hits : Hits
            In the given order.
        """
        query = np.asarray(query, dtype=np.int64)
        target = np.asarray(target, dtype=np.int64)
        n, m = query_lengths[query], target_lengths[target]
        return cls(
            query=query,
            target=target,
            score=np.asarray(score, dtype=np.int64),
            identity=np.asarray(matches, dtype=np.float64) / np.maximum(columns, 1),
            coverage_query=np.asarray(query_span, dtype=np.float64) / n,
            coverage_target=np.asarray(target_span, dtype=np.float64) / m,
            evalue=expect_values(score, np.minimum(n, m)),
        )


# BLOSUM62's score of each residue with itself: the most that a sequence can score. B J O U Z score
# as the residues that replace them in a search.
_SELF_SCORES = {"A": 4, "R": 5, "N": 6, "D": 6, "C": 9, "Q": 5, "E": 5, "G": 6, "H": 8, "I": 4}
_SELF_SCORES |= {"L": 4, "K": 5, "M": 5, "F": 6, "P": 7, "S": 4, "T": 5, "W": 11, "Y": 7, "V": 4}
_SELF_SCORES |= {"B": 6, "J": 4, "O": 5, "U": 9, "Z": 5}


def never_significant(sequences: list[str], evalue: float) -> NDArray[np.bool_]:
    """Return which sequences are too short to be significant even against their own residues."""
    scores = [
        sum(score * sequence.count(residue) for residue, score in _SELF_SCORES.items())
        for sequence in sequences
    ]
    # X scores nothing, so the best match is a protein of the other residues alone.
    return expect_values(scores, np.maximum(known_lengths(sequences), 1)) > evalue
