"""Intermediate-sequence search: exact alignment of pairs that a heuristic search overlooked.

Search programs align the pairs that their seeds lead to. Two members of a family that share no seed
mostly have a third member in common that both were found with. Such pairs are few enough to be
aligned exactly (Park, Teichmann, Hubbard & Chothia, J. Mol. Biol. 273, 349-354, 1997).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from esmlearn.clustering._engines.base import to_common_alphabet
from esmlearn.clustering._engines.exact import PairSearch, alignment_bar
from esmlearn.clustering._engines.hits import Hits
from esmlearn.clustering._graph import HomologyGraph, graph_of_hits, union
from esmlearn.clustering._nodes import UniqueSequences

# Homologs of an intermediate sequence: the default thresholds. Part of the key of cached graphs.
INTERMEDIATE_THRESHOLDS: dict[str, Any] = {"identity": 0.3, "coverage": 0.5}

# Number of paths from protein to protein that are held in memory at once.
_PATHS_AT_ONCE = 5_000_000


class _Steps(NamedTuple):
    """The two steps of a path by an intermediate: to a homolog, and to any significant hit of it.

    Both are symmetric matrices (n_nodes, n_nodes) of zeros and ones.
    """

    homologs: csr_array
    significant: csr_array

    def n_paths(self) -> NDArray[np.int64]:
        """Return the number of paths of both steps, in either order, from each protein."""
        n_homologs, n_significant = (np.diff(matrix.indptr).astype(np.int64) for matrix in self)
        return self.homologs @ n_significant + self.significant @ n_homologs

    def paths(self, rows: NDArray[np.intp]) -> csr_array:
        """Return the number of paths from some proteins to each protein."""
        return self.homologs[rows] @ self.significant + self.significant[rows] @ self.homologs


def search_intermediates(
    graph: HomologyGraph, nodes: UniqueSequences, *, evalue: float, n_threads: int
) -> HomologyGraph:
    """Return a graph with the significant alignments of all pairs joined by an intermediate.

    These are the pairs of which one protein is a homolog of a third, by the definition at the
    default thresholds, and the other has any significant alignment with it. The hits join more
    pairs, which are aligned too, until there are no more hits.

    Parameters
    ----------
    graph : HomologyGraph
        Significant alignments of a heuristic search.
    nodes : UniqueSequences
        Its proteins.
    evalue : float
        Largest E-value.
    n_threads : int
        Number of threads; does not change the result.

    Returns
    -------
    graph : HomologyGraph
        The same nodes, and as many edges or more.
    """
    search = PairSearch(to_common_alphabet(nodes.sequences), evalue)
    nothing = csr_array((graph.n_nodes, graph.n_nodes), dtype=np.int64)
    before = _Steps(nothing, nothing)
    while True:
        steps = _Steps(_matrix(graph.filter(**INTERMEDIATE_THRESHOLDS)), _matrix(graph))
        n_paths, parts = steps.n_paths(), []
        rows = np.flatnonzero(n_paths > before.n_paths())
        with alignment_bar("Aligning pairs joined by a homolog", total=len(rows)) as bar:
            for some in _blocks(rows, n_paths[rows]):
                pairs = _untried(some, steps, before)
                pairs = pairs[search.rank[pairs[:, 0]] < search.rank[pairs[:, 1]]]
                parts.append(search.hits(pairs, n_threads, bar.update))
                bar.update(len(some) - len(np.unique(pairs[:, 0])))  # the others have no pair
        hits = Hits.concatenate(parts)
        if len(hits) == 0:
            return graph
        graph, before = union(graph, graph_of_hits(nodes, hits)), steps


def _blocks(rows: NDArray[np.intp], n_paths: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Return proteins in blocks from which there are not too many paths."""
    block = np.cumsum(n_paths) // _PATHS_AT_ONCE
    return np.split(rows, np.flatnonzero(np.diff(block)) + 1) if len(rows) else []


def _untried(some: NDArray[np.intp], steps: _Steps, before: _Steps) -> NDArray[np.int64]:
    """Return the pairs from some proteins that two steps join, and that were not joined before.

    Pairs with an alignment are left out. All pairs in which a protein is the first are included.
    """
    joined = _pattern(steps.paths(some))
    tried = _pattern(before.paths(some) + steps.significant[some])
    row, target = (joined - joined.multiply(tried)).nonzero()
    return np.column_stack([some[row], target])


def _matrix(graph: HomologyGraph) -> csr_array:
    return csr_array(graph.adjacency()).astype(np.int64)


def _pattern(matrix: csr_array) -> csr_array:
    """Return ones where a matrix has entries."""
    return csr_array((np.ones_like(matrix.data), matrix.indices, matrix.indptr), matrix.shape)
