"""Align the homologs of homologs, which a heuristic search overlooks.

Search programs align the pairs that their seeds lead to. Two members of a family that share no seed
mostly have a third member in common that both were found with. Such pairs are few enough to be
aligned exactly, as in searches by way of intermediate sequences (Park et al., J. Mol. Biol. 273,
349-354, 1997).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from esmlearn.clustering._alignment import search_pairs
from esmlearn.clustering._engine import to_common_alphabet
from esmlearn.clustering._graph import HomologyGraph
from esmlearn.clustering._graph_parts import graph_of_hits, union
from esmlearn.clustering._hits import Hits
from esmlearn.clustering._nodes import Nodes

# A protein joins two others that are its homologs at the default thresholds and margin. Part of the
# key of cached graphs.
COMPLETION: dict[str, Any] = {"identity": 0.25, "coverage": 0.4}

# So many paths from protein to protein are held at once.
_PATHS_AT_ONCE = 5_000_000


def complete(graph: HomologyGraph, nodes: Nodes, *, evalue: float, n_threads: int) -> HomologyGraph:
    """Return a graph with the significant alignments of all pairs that are joined by a third.

    What is found joins more pairs, which are aligned too, until nothing more is found.

    Parameters
    ----------
    graph : HomologyGraph
        Significant alignments of a heuristic search.
    nodes : Nodes
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
    prepared = to_common_alphabet(nodes.sequences)
    before = csr_array((graph.n_nodes, graph.n_nodes), dtype=np.int32)
    while True:
        joined = csr_array(graph.filter(**COMPLETION).adjacency()).astype(np.int32)
        known = csr_array(graph.adjacency()).astype(np.int32)
        hits = Hits.concatenate(
            [
                search_pairs(prepared, pairs, evalue=evalue, n_threads=n_threads)
                for pairs in _untried(joined, before, known)
            ]
        )
        if len(hits) == 0:
            return graph
        graph, before = union(graph, graph_of_hits(nodes, hits)), joined


def _untried(joined: csr_array, before: csr_array, known: csr_array) -> Iterator[NDArray[np.int64]]:
    """Yield pairs at two steps in `joined` that are not `known`, nor at two steps in `before`.

    The protein with more neighbours comes first: it is aligned to many others at once.
    """
    new = joined - before
    new.eliminate_zeros()
    degree = np.diff(joined.indptr)
    n_paths = new @ degree + before @ np.diff(new.indptr)
    rows = np.flatnonzero(n_paths)
    block = np.cumsum(n_paths[rows]) // _PATHS_AT_ONCE
    for some in np.split(rows, np.flatnonzero(np.diff(block)) + 1):
        found = _pattern(new[some] @ joined + before[some] @ new)
        tried = _pattern(known[some] + before[some] @ before)
        left = found - found.multiply(tried)
        row, target = left.nonzero()
        query = some[row]
        first = (degree[query] > degree[target]) | (
            (degree[query] == degree[target]) & (query > target)
        )
        yield np.column_stack([query, target])[first]


def _pattern(matrix: csr_array) -> csr_array:
    """Return ones where a matrix has entries."""
    return csr_array((np.ones_like(matrix.data), matrix.indices, matrix.indptr), matrix.shape)
