"""Make homology graphs of alignments, and one of two."""

import numpy as np

from esmlearn.clustering._graph import HomologyGraph, graph_from_pairs
from esmlearn.clustering._hits import Hits, lengths_of
from esmlearn.clustering._nodes import Nodes

_VALUES = ("identity", "coverage_shorter", "coverage_longer", "evalue", "score")


def graph_of_hits(nodes: Nodes, hits: Hits) -> HomologyGraph:
    """Return the graph of alignments between nodes."""
    lengths = lengths_of(nodes.sequences)
    of_query, of_target = hits.coverage_query, hits.coverage_target
    n, m = lengths[hits.query], lengths[hits.target]
    least, most = np.minimum(of_query, of_target), np.maximum(of_query, of_target)
    # Of two equally long proteins the better covered one counts as the shorter.
    shorter = np.where(n == m, most, np.where(n < m, of_query, of_target))
    longer = np.where(n == m, least, np.where(n < m, of_target, of_query))
    values = {
        "identity": hits.identity,
        "coverage_shorter": shorter,
        "coverage_longer": longer,
        "evalue": hits.evalue,
        "score": hits.score,
    }
    return graph_from_pairs(nodes.digests, np.column_stack([hits.query, hits.target]), values, {})


def union(first: HomologyGraph, second: HomologyGraph) -> HomologyGraph:
    """Return the graph with the edges of two graphs of the same nodes, the better of parallels."""
    values = {n: np.concatenate([getattr(first, n), getattr(second, n)]) for n in _VALUES}
    return graph_from_pairs(first.digests, np.vstack([first.edges, second.edges]), values, {})
