"""Exact Smith-Waterman search with SIMD instructions, through pyopal."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version as package_version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esmlearn.clustering._engine import Engine
from esmlearn.clustering._hits import Hits, least_score, lengths_of
from esmlearn.clustering._traceback import LongAlignment

# pyopal charges gap_open for the first residue of a gap where BLAST charges 11 + 1.
_GAP_OPEN, _GAP_EXTEND = 12, 1
# pyopal needs 12 bytes per residue pair to trace an alignment: 240 MB up to here.
_LARGE = 20_000_000


class ExactSearch(Engine):
    """Smith-Waterman alignment of every pair."""

    name = "exact"
    exact = True

    @property
    def version(self) -> str:
        """Version of pyopal."""
        return f"pyopal {package_version('pyopal')}"

    @property
    def settings(self) -> dict[str, object]:
        """Nothing but the scoring changes what is found."""
        return {"matrix": "BLOSUM62", "gaps": "11+1"}

    def search(
        self, queries: list[str], targets: list[str] | None, *, evalue: float, n_threads: int
    ) -> Hits:
        """Return all significant alignments; against themselves each pair once."""
        if targets is None:
            # Ascending lengths let one SIMD batch hold targets of nearly the same length.
            order = np.argsort(lengths_of(queries), kind="stable")
            hits = _search([queries[i] for i in order], None, evalue, n_threads)
            positions = {"query": order[hits.query], "target": order[hits.target]}
        else:
            order = np.argsort(lengths_of(targets), kind="stable")
            hits = _search(queries, [targets[i] for i in order], evalue, n_threads)
            positions = {"query": hits.query, "target": order[hits.target]}
        return Hits(**{**vars(hits), **positions})


def _search(queries: list[str], targets: list[str] | None, evalue: float, n_threads: int) -> Hits:
    search = _Search(queries, queries if targets is None else targets, evalue)
    every = np.arange(len(search.targets))

    def align(query: int) -> list[tuple[int, ...]]:
        start = query + 1 if targets is None else 0
        return search.rows(query, search.database, every, start) if start < len(every) else []

    return search.hits(align, range(len(queries)), n_threads)


def search_pairs(
    sequences: list[str], pairs: NDArray[np.int64], *, evalue: float, n_threads: int
) -> Hits:
    """Return the significant ones of the alignments of given pairs.

    Parameters
    ----------
    sequences : list of str
        Canonical sequences in the common alphabet.
    pairs : ndarray of int of shape (n_pairs, 2)
        Indices of a query and a target. It is fastest where queries have many targets.
    evalue : float
        Largest E-value.
    n_threads : int
        Number of threads; does not change the result.

    Returns
    -------
    hits : Hits
        Sorted by query.
    """
    search = _Search(sequences, sequences, evalue)
    query, target = pairs.T
    order = np.lexsort((search.target_lengths[target], query))
    query, target = query[order], target[order]
    queries, starts = np.unique(query, return_index=True)
    targets = np.split(target, starts[1:])

    def align(row: int) -> list[tuple[int, ...]]:
        some = search.database.extract(targets[row].tolist())
        return search.rows(int(queries[row]), some, targets[row])

    return search.hits(align, range(len(queries)), n_threads)


class _Search:
    """Scores of queries with targets, and the alignments of those that are significant."""

    def __init__(self, queries: list[str], targets: list[str], evalue: float) -> None:
        from pyopal import Database
        from scoring_matrices import ScoringMatrix

        self.queries, self.targets, self.evalue = queries, targets, evalue
        self.query_lengths, self.target_lengths = lengths_of(queries), lengths_of(targets)
        self.matrix = ScoringMatrix.from_name("BLOSUM62")
        self.database = Database(targets, self.matrix.alphabet)

    def rows(
        self, query: int, database: Any, targets: NDArray[np.intp], start: int = 0
    ) -> list[tuple[int, ...]]:
        """Return query, target, score, matches, columns and spans of each significant alignment.

        `targets` says which sequences those of the database are.
        """
        from pyopal import Aligner

        aligner = Aligner(self.matrix, gap_open=_GAP_OPEN, gap_extend=_GAP_EXTEND)
        text, length = self.queries[query], int(self.query_lengths[query])
        rows: list[tuple[int, ...]] = []
        for found in aligner.align(text, database, mode="score", algorithm="sw", start=start):
            target = int(targets[found.target_index])
            shorter = min(length, int(self.target_lengths[target]))
            if found.score >= least_score(self.evalue, shorter):
                rows.append((query, target, *_trace(aligner, text, self.targets[target])))
        return rows

    def hits(
        self,
        align: Callable[[int], list[tuple[int, ...]]],
        numbers: Iterable[int],
        n_threads: int,
    ) -> Hits:
        """Return the rows that a function gives for each of some numbers, as hits."""
        with ThreadPoolExecutor(n_threads) as pool:
            rows = [row for part in pool.map(align, numbers) for row in part]
        table = np.array(rows, dtype=np.int64).reshape(-1, 7).T
        lengths = {"query_lengths": self.query_lengths, "target_lengths": self.target_lengths}
        return Hits.from_alignments(*table, **lengths)


def align_pairs(
    queries: list[str],
    targets: list[str],
    pairs: NDArray[np.int64],
) -> Hits:
    """Return the best local alignment of each pair, whatever its significance.

    Parameters
    ----------
    queries, targets : list of str
        Canonical sequences in the common alphabet.
    pairs : ndarray of int of shape (n_pairs, 2)
        Indices of a query and a target.

    Returns
    -------
    hits : Hits
        One per pair, in their order.
    """
    from pyopal import Aligner
    from scoring_matrices import ScoringMatrix

    matrix = ScoringMatrix.from_name("BLOSUM62")
    aligner = Aligner(matrix, gap_open=_GAP_OPEN, gap_extend=_GAP_EXTEND)
    rows = [(q, t, *_trace(aligner, queries[q], targets[t])) for q, t in pairs.tolist()]
    table = np.array(rows, dtype=np.int64).reshape(-1, 7).T
    return Hits.from_alignments(
        *table, query_lengths=lengths_of(queries), target_lengths=lengths_of(targets)
    )


def _trace(aligner: Any, query: str, target: str) -> tuple[int, int, int, int, int]:
    """Return score, matches, columns, query span and target span of one pair's best alignment.

    The shorter is always aligned to the longer: of several best alignments the same one is then
    found, whoever is the query.
    """
    from pyopal import Database

    first, second = sorted((query, target), key=lambda s: (len(s), s))
    if len(first) * len(second) > _LARGE:
        counts, spans = _trace_long(aligner, first, second)
    else:
        database = Database([second], aligner.alphabet)
        (found,) = aligner.align(first, database, mode="full", algorithm="sw")
        operations = found.alignment
        counts = (found.score, operations.count("M"), len(operations))
        spans = (found.query_end - found.query_start + 1, found.target_end - found.target_start + 1)
    return (*counts, *spans) if first is query else (*counts, *spans[::-1])


def _trace_long(
    aligner: Any, first: str, second: str
) -> tuple[tuple[int, int, int], tuple[int, int]]:
    letters = str(aligner.alphabet)
    code = np.full(128, letters.index("X"))
    code[[ord(letter) for letter in letters]] = np.arange(len(letters))
    found = LongAlignment(
        code[np.frombuffer(first.encode("ascii"), np.uint8)],
        code[np.frombuffer(second.encode("ascii"), np.uint8)],
        np.array(aligner.scoring_matrix).astype(np.int32),
        gap_open=_GAP_OPEN,
        gap_extend=_GAP_EXTEND,
    )
    return (found.score, found.matches, found.columns), (found.first_span, found.second_span)
