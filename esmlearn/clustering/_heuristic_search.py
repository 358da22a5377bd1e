"""Search by a program, and exactly for the proteins that programs do not find.

Programs start from words of a few residues that two proteins share. Short proteins have few, those
of low complexity have words that occur everywhere and are left out, and X belongs to none. Such
proteins are aligned exactly with all others, and so is a protein that a program did not even find
itself with.
"""

import logging

import numpy as np
from numpy.typing import NDArray

from esmlearn.clustering._engines.base import Engine
from esmlearn.clustering._engines.exact import ExactSearch
from esmlearn.clustering._engines.hits import Hits, lengths_of
from esmlearn.clustering._engines.peptides import LONGEST_PEPTIDE
from esmlearn.exceptions import EngineError
from esmlearn.utils._warn import warn

_LOGGER = logging.getLogger(__name__)

# Shannon entropy of the residues, the complexity of Wootton & Federhen (Methods Enzymol. 266,
# 554-571, 1996), taken over the whole protein. 1.6 % of UniProt's proteins are below, with 0.5 % of
# its residues.
LEAST_ENTROPY = 3.6
MOST_UNKNOWN = 0.1
# A larger share that is not found is no blind spot: the program or its output is broken.
_MOST_MISSING = 0.01


def entropies(sequences: list[str]) -> NDArray[np.float64]:
    """Return the Shannon entropy of the residues of each sequence in bits, X left out."""
    counts = np.zeros((len(sequences), 128))
    for row, sequence in zip(counts, sequences, strict=True):
        row[:] = np.bincount(np.frombuffer(sequence.encode("ascii"), np.uint8), minlength=128)
    counts[:, ord("X")] = 0
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return -(share * np.log2(share, where=share > 0, out=np.zeros_like(share))).sum(axis=1)


def hard_to_find(sequences: list[str]) -> NDArray[np.bool_]:
    """Return which sequences are peptides, of low complexity, or have many X."""
    unknown = np.array([sequence.count("X") for sequence in sequences], dtype=np.int64)
    lengths = lengths_of(sequences)
    simple = entropies(sequences) < LEAST_ENTROPY
    return (lengths <= LONGEST_PEPTIDE) | simple | (unknown > MOST_UNKNOWN * lengths)


def search_heuristically(
    engine: Engine, queries: list[str], targets: list[str] | None, *, evalue: float, n_threads: int
) -> Hits:
    """Return the alignments that an engine finds, and all of the proteins that it would not find.

    Parameters
    ----------
    engine : Engine
        The engine that searches.
    queries : list of str
        Canonical sequences in the common alphabet.
    targets : list of str or None
        The same; None searches the queries against themselves.
    evalue : float
        Largest E-value.
    n_threads : int
        Number of threads; does not change the result.

    Returns
    -------
    hits : Hits
        In any order; a pair may be there twice.

    Raises
    ------
    EngineError
        If more than 1 % of the proteins that are queries and targets did not find themselves.
    """
    everyone = queries if targets is None else targets
    if ExactSearch.available() is None:
        hits = engine.search(queries, targets, evalue=evalue, n_threads=n_threads)
        missing = _not_found(engine, hits, queries, everyone, ~hard_to_find(queries))
        warn(
            f"{engine.name} searches alone, since the library 'pyopal' is not installed (there are "
            f"no wheels for Python 3.14 and later). Not aligned exactly are "
            f"{int((hard_to_find(queries) | missing).sum())} proteins that are peptides, of low "
            f"complexity or with many X, and pairs that a homolog joins: some homologs are "
            f"overlooked. Install pyopal on Python 3.13 or earlier."
        )
        return hits
    exactly = hard_to_find(queries)
    exactly_targets = exactly if targets is None else hard_to_find(targets)
    of_queries, of_targets = np.flatnonzero(~exactly), np.flatnonzero(~exactly_targets)
    parts = []
    if len(of_queries) and len(of_targets):
        texts = [queries[i] for i in of_queries]
        others = None if targets is None else [targets[i] for i in of_targets]
        found = engine.search(texts, others, evalue=evalue, n_threads=n_threads)
        parts.append(_renumbered(found, of_queries, of_targets))
        exactly |= _not_found(engine, parts[0], queries, everyone, ~exactly)
    message = "%d proteins are peptides, of low complexity or not found: aligned exactly"
    _LOGGER.debug(message, int(exactly.sum()))
    every = np.arange(len(everyone))
    pairs_of = [(np.flatnonzero(exactly), every)]
    if targets is not None:
        pairs_of.append((np.flatnonzero(~exactly), np.flatnonzero(exactly_targets)))
    for some, against in pairs_of:
        if len(some) and len(against):
            texts, others = [queries[i] for i in some], [everyone[j] for j in against]
            found = ExactSearch().search(texts, others, evalue=evalue, n_threads=n_threads)
            parts.append(_renumbered(found, some, against))
    return Hits.concatenate(parts)


def _renumbered(hits: Hits, queries: NDArray[np.intp], targets: NDArray[np.intp]) -> Hits:
    return Hits(**{**vars(hits), "query": queries[hits.query], "target": targets[hits.target]})


def _not_found(
    engine: Engine,
    hits: Hits,
    queries: list[str],
    targets: list[str],
    expected: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return which of the expected queries are targets, too, and have no hit with themselves.

    Raises
    ------
    EngineError
        If these are so many that the program did not do its work.
    """
    number = {text: i for i, text in enumerate(dict.fromkeys([*queries, *targets]))}
    query, target = (np.array([number[t] for t in texts]) for texts in (queries, targets))
    expected = expected & np.isin(query, target)
    own = query[hits.query] == target[hits.target]
    missing = expected.copy()
    missing[hits.query[own]] = False
    if missing.sum() > _MOST_MISSING * expected.sum():
        raise EngineError(
            f"{engine.name} ({engine.version}) ended without an error, and did not find "
            f"{int(missing.sum())} of {int(expected.sum())} proteins with themselves, the first is "
            f"number {int(missing.argmax())}; expected all of them. Its output is empty or cut "
            f"short, or the program is broken: check the disk for space, install another version, "
            f"or choose another engine.",
            version=engine.version,
        )
    return missing
