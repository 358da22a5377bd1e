"""Homology of peptides: identity of the whole, where nothing can be significant.

No local alignment of about 15 residues reaches an E-value of 0.001. Two peptides are therefore also
compared as a whole, by the edits that turn one into the other: a global alignment (Needleman &
Wunsch, J. Mol. Biol. 48, 443-453, 1970) with unit costs (Levenshtein, Sov. Phys. Dokl. 10, 707-710,
1966). The least identity is that from which on alignments of about 20 residues tell of homology
(72 % in Rost, "Twilight zone of protein sequence alignments", Protein Eng. 12, 85-94, 1999).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from esmlearn.clustering._engines.exact import align_pairs
from esmlearn.clustering._engines.hits import Hits, lengths_of

# From about here on local alignments of that identity are significant.
LONGEST_PEPTIDE = 30
LEAST_IDENTITY = 0.7


def peptide_hits(queries: list[str], targets: list[str] | None) -> Hits:
    """Return the pairs of peptides that are alike as a whole.

    Identity is one minus the edits (substituted, inserted and deleted residues) over the length of
    the longer. X is no residue's equal, nor that of another X.

    Parameters
    ----------
    queries : list of str
        Canonical sequences in the common alphabet, of any length.
    targets : list of str or None
        The same; None compares the queries with each other, each pair once.

    Returns
    -------
    hits : Hits
        Pairs of peptides of at most `LONGEST_PEPTIDE` residues with at least `LEAST_IDENTITY`. They
        cover both, and their E-value is 0; their score is that of the local alignment.
    """
    everyone = queries if targets is None else targets
    rows, columns = _peptides(queries), _peptides(everyone)
    if not len(rows) or not len(columns):
        return Hits.concatenate([])
    texts = [everyone[j] for j in columns]
    lengths = lengths_of(texts)
    aligner, database = _edits(texts)
    found: list[tuple[int, int, float]] = []
    for place, i in enumerate(rows.tolist()):
        query = queries[i]
        # Edits are at least the difference in length.
        start = int(np.searchsorted(lengths, len(query) * LEAST_IDENTITY))
        end = int(np.searchsorted(lengths, len(query) / LEAST_IDENTITY, side="right"))
        if targets is None:
            start = max(start, place + 1)
        if start >= end:
            continue
        options = {"mode": "score", "algorithm": "nw", "start": start, "end": end}
        for each in aligner.align(query, database, **options):
            j = each.target_index
            identity = 1 + each.score / max(len(query), int(lengths[j]))
            if identity >= LEAST_IDENTITY:
                found.append((i, int(columns[j]), identity))
    pairs = np.array([pair[:2] for pair in found], dtype=np.int64).reshape(-1, 2)
    ones = np.ones(len(found))
    return Hits(
        query=pairs[:, 0],
        target=pairs[:, 1],
        score=align_pairs(queries, everyone, pairs).score,
        identity=np.array([identity for *_, identity in found]),
        coverage_query=ones,
        coverage_target=ones,
        evalue=np.zeros(len(found)),
    )


def _peptides(sequences: list[str]) -> NDArray[np.intp]:
    """Return the indices of the peptides, shortest first."""
    lengths = lengths_of(sequences)
    short = np.flatnonzero(lengths <= LONGEST_PEPTIDE)
    return short[np.argsort(lengths[short], kind="stable")]


def _edits(texts: list[str]) -> tuple[Any, Any]:
    """Return an aligner whose scores are edits, less than zero, and a database."""
    from pyopal import Aligner, Database
    from scoring_matrices import ScoringMatrix

    alphabet = ScoringMatrix.from_name("BLOSUM62").alphabet
    costs = np.eye(len(alphabet)) - 1
    costs[alphabet.index("X")] = -1
    matrix = ScoringMatrix(costs.tolist(), alphabet=alphabet)
    return Aligner(matrix, gap_open=1, gap_extend=1), Database(texts, alphabet)
