"""Exact Smith-Waterman search with SIMD instructions, through pyopal.

Smith, T. F. & Waterman, M. S. Identification of common molecular subsequences. J. Mol. Biol. 147,
195-197 (1981), with affine gap costs (Gotoh, J. Mol. Biol. 162, 705-708, 1982).
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.metadata import version as package_version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esmlearn.clustering._engines.base import Engine
from esmlearn.clustering._engines.hits import Hits, known_lengths, least_score, lengths_of
from esmlearn.clustering._engines.long_alignment import LongAlignment
from esmlearn.exceptions import EngineNotFoundError
from esmlearn.utils._progress import progress_bar

_LOGGER = logging.getLogger(__name__)
# pyopal charges gap_open for the first residue of a gap where BLAST charges 11 + 1.
_GAP_OPEN, _GAP_EXTEND = 12, 1
# pyopal needs 12 bytes per residue pair to trace an alignment: 240 MB up to here.
_LARGE = 20_000_000
# Residue pairs per second and thread, and from how many seconds on a search is told beforehand.
_CELLS_PER_SECOND, _LONG = 5e9, 10.0


class ExactSearch(Engine):
    """Smith-Waterman alignment of every pair."""

    name = "exact"
    exact = True

    def __init__(self) -> None:
        if self.available() is None:
            raise EngineNotFoundError(
                "Exact alignment needs the library 'pyopal', which is not installed. Install it "
                "with python -m pip install pyopal, on Python 3.13 or earlier (no wheels are there "
                "for later ones), or pass engine='mmseqs' or 'diamond', which overlook some "
                "homologs."
            )

    @classmethod
    def available(cls) -> str | None:
        """Return the version of pyopal, or None where it is not installed."""
        try:
            import_module("pyopal")
        except ImportError:
            return None
        return f"pyopal {package_version('pyopal')}"

    @property
    def version(self) -> str:
        """Version of pyopal."""
        return f"pyopal {package_version('pyopal')}"

    @property
    def settings(self) -> dict[str, object]:
        """Scoring, which alone changes the result."""
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
    starts = every + 1 if targets is None else np.zeros(len(queries), dtype=np.int64)
    after = np.append(np.cumsum(lengths_of(search.targets)[::-1])[::-1], 0)
    cells = lengths_of(queries) * after[starts]  # of each query
    seconds = cells.sum() / _CELLS_PER_SECOND / n_threads
    if seconds > _LONG:
        message = "aligning %d proteins with %d exactly: about %.0f s on %d thread(s)"
        _LOGGER.info(message, len(queries), len(every), seconds, n_threads)

    def align(query: int) -> list[tuple[int, ...]]:
        start = int(starts[query])
        return search.rows(query, search.database, every, start) if start < len(every) else []

    with alignment_bar("Aligning", total=int(cells.sum()), unit="residue pair") as bar:
        return search.hits(align, range(len(queries)), n_threads, lambda i: bar.update(cells[i]))


def alignment_bar(description: str, *, total: int, unit: str = "protein") -> Any:
    """Return a progress bar, shown on a terminal where the log is at level INFO."""
    shown = int(_LOGGER.isEnabledFor(logging.INFO))
    return progress_bar(total=total, description=description, unit=unit, verbose=shown)


class PairSearch:
    """Smith-Waterman alignment of given pairs of some sequences.

    Parameters
    ----------
    sequences : list of str
        Canonical sequences in the common alphabet.
    evalue : float
        Largest E-value.

    Attributes
    ----------
    rank : ndarray of int of shape (n_sequences,)
        The place of each sequence when they are sorted, shortest first.
    """

    def __init__(self, sequences: list[str], evalue: float) -> None:
        self._search = _Search(sequences, sequences, evalue)
        ascending = sorted(range(len(sequences)), key=lambda i: (len(sequences[i]), sequences[i]))
        self.rank = np.argsort(ascending)

    def hits(self, pairs: NDArray[np.int64], n_threads: int, advance: Callable[[], object]) -> Hits:
        """Return the significant ones of the alignments of pairs.

        Parameters
        ----------
        pairs : ndarray of int of shape (n_pairs, 2)
            Indices of a query and a target. It is fastest where queries have many targets, and rank
            before them.
        n_threads : int
            Number of threads; does not change the result.
        advance : callable
            Called whenever the pairs of one more query are aligned.

        Returns
        -------
        hits : Hits
            Sorted by query.
        """
        query, target = pairs.T
        order = np.lexsort((self.rank[target], query))
        query, target = query[order], target[order]
        queries, starts = np.unique(query, return_index=True)
        targets = np.split(target, starts[1:])

        def align(row: int) -> list[tuple[int, ...]]:
            some = self._search.database.extract(targets[row].tolist())
            return self._search.rows(int(queries[row]), some, targets[row])

        return self._search.hits(align, range(len(queries)), n_threads, lambda _: advance())


class _Search:
    """Scores of queries with targets, and the alignments of those that are significant."""

    def __init__(self, queries: list[str], targets: list[str], evalue: float) -> None:
        from pyopal import Database
        from scoring_matrices import ScoringMatrix

        self.queries, self.targets, self.evalue = queries, targets, evalue
        self.query_lengths, self.target_lengths = known_lengths(queries), known_lengths(targets)
        self.matrix = ScoringMatrix.from_name("BLOSUM62")
        self.database = Database(targets, self.matrix.alphabet)

    def rows(
        self, query: int, database: Any, targets: NDArray[np.intp], start: int = 0
    ) -> list[tuple[int, ...]]:
        """Return query, target, score, matches, columns and spans of each significant alignment.

        `targets` are the indices of the sequences of the database.
        """
        from pyopal import Aligner

        aligner = Aligner(self.matrix, gap_open=_GAP_OPEN, gap_extend=_GAP_EXTEND)
        text, length = self.queries[query], int(self.query_lengths[query])
        significant = []
        for found in aligner.align(text, database, mode="score", algorithm="sw", start=start):
            target = int(targets[found.target_index])
            shorter = min(length, int(self.target_lengths[target]))
            if found.score >= least_score(self.evalue, shorter):
                significant.append(target)
        traced = self._trace_together(aligner, text, significant)
        return [
            (query, t, *(traced[t] if t in traced else _trace(aligner, text, self.targets[t])))
            for t in significant
        ]

    def _trace_together(
        self, aligner: Any, text: str, targets: list[int]
    ) -> dict[int, tuple[int, ...]]:
        """Return what `_trace` would of the targets that are the longer; a fourth of the time."""
        longer = [
            target
            for target in targets
            if _in_order(text, self.targets[target])
            and len(text) * len(self.targets[target]) <= _LARGE
        ]
        if not longer:
            return {}
        every = aligner.align(text, self.database.extract(longer), mode="full", algorithm="sw")
        traced = ((longer[found.target_index], found) for found in every)
        return {target: _counts(found, text, self.targets[target]) for target, found in traced}

    def hits(
        self,
        align: Callable[[int], list[tuple[int, ...]]],
        numbers: Sequence[int],
        n_threads: int,
        advance: Callable[[int], object],
    ) -> Hits:
        """Return the rows that a function gives for each of some numbers, as hits.

        `advance` is called with each number when its rows are there.
        """
        rows = []
        with ThreadPoolExecutor(n_threads) as pool:
            for number, part in zip(numbers, pool.map(align, numbers), strict=True):
                rows += part
                advance(number)
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
        *table, query_lengths=known_lengths(queries), target_lengths=known_lengths(targets)
    )


def _trace(aligner: Any, query: str, target: str) -> tuple[int, int, int, int, int]:
    """Return score, matches, columns, query span and target span of one pair's best alignment.

    Neither X nor columns that hold one are counted.

    The shorter is always aligned to the longer: of several best alignments the same one is then
    found, whichever is the query.
    """
    from pyopal import Database

    ordered = _in_order(query, target)
    first, second = (query, target) if ordered else (target, query)
    if len(first) * len(second) > _LARGE:
        first, second = _part_that_is_aligned(aligner, first, second)
    if len(first) * len(second) > _LARGE:
        *counts, first_span, second_span = _trace_long(aligner, first, second)
    else:
        database = Database([second], aligner.alphabet)
        (found,) = aligner.align(first, database, mode="full", algorithm="sw")
        *counts, first_span, second_span = _counts(found, first, second)
    spans = (first_span, second_span) if ordered else (second_span, first_span)
    return (counts[0], counts[1], counts[2], *spans)


def _part_that_is_aligned(aligner: Any, first: str, second: str) -> tuple[str, str]:
    """Return the parts between the ends of a best alignment, which take less to trace it."""
    from pyopal import Database

    for _ in range(2):  # what comes after the end goes away, and then, reversed, what comes before
        database = Database([second], aligner.alphabet)
        (found,) = aligner.align(first, database, mode="end", algorithm="sw")
        first, second = first[found.query_end :: -1], second[found.target_end :: -1]
    return first, second


def _in_order(first: str, second: str) -> bool:
    """Return whether the first is the one that is aligned to the other."""
    return (len(first), first) <= (len(second), second)


def _counts(found: Any, first: str, second: str) -> tuple[int, int, int, int, int]:
    """Return score, matches, columns and spans of an alignment by pyopal, without X."""
    operations = found.alignment
    first = first[found.query_start : found.query_end + 1]
    second = second[found.target_start : found.target_end + 1]
    matches, columns, spans = operations.count("M"), len(operations), (len(first), len(second))
    if "X" in first or "X" in second:
        top = _with_gaps(first, operations, "I")
        bottom = _with_gaps(second, operations, "D")
        known = [a != "X" != b for a, b in zip(top, bottom, strict=True)]
        matches = sum(a == b for a, b, both in zip(top, bottom, known, strict=True) if both)
        columns, spans = (
            sum(known),
            (len(first) - first.count("X"), len(second) - second.count("X")),
        )
    return (found.score, matches, columns, *spans)


def _with_gaps(sequence: str, operations: str, gap: str) -> str:
    """Return the aligned part of a sequence, with gaps where the operation is `gap`."""
    residues = iter(sequence)
    return "".join("-" if operation == gap else next(residues) for operation in operations)


def _trace_long(aligner: Any, first: str, second: str) -> tuple[int, int, int, int, int]:
    letters = str(aligner.alphabet)
    code = np.full(128, letters.index("X"))
    code[[ord(letter) for letter in letters]] = np.arange(len(letters))
    found = LongAlignment(
        code[np.frombuffer(first.encode("ascii"), np.uint8)],
        code[np.frombuffer(second.encode("ascii"), np.uint8)],
        np.array(aligner.scoring_matrix).astype(np.int32),
        gap_open=_GAP_OPEN,
        gap_extend=_GAP_EXTEND,
        unknown=letters.index("X"),
    )
    return (found.score, found.matches, found.columns, found.first_span, found.second_span)
