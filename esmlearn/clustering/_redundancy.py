"""Search representatives alone: near-copies join them and take over their neighbours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esmlearn.clustering._engines.base import to_common_alphabet
from esmlearn.clustering._engines.cdhit import CDHIT, LEAST_IDENTITY, cdhit_representatives
from esmlearn.clustering._engines.exact import align_pairs
from esmlearn.clustering._engines.hits import Hits, lengths_of
from esmlearn.clustering._engines.mmseqs import MMseqs, mmseqs_representatives
from esmlearn.clustering._graph import HomologyGraph, graph_from_pairs

# Of both proteins: a fragment has homologs to which the whole protein is no homolog.
COVERAGE = 0.9


def length_order(nodes: list[str]) -> NDArray[np.int64]:
    """Return the order longest first, equally long ones as given (by digest)."""
    return np.argsort(-lengths_of(nodes), kind="stable")


def node_representatives(
    nodes: list[str],
    *,
    identity: float,
    coverage: float,
    coverage_mode: str,
    method: str,
    greedy: bool = False,
    n_threads: int = 1,
) -> NDArray[np.int64]:
    """Return the node that represents each node's cluster, by CD-HIT or MMseqs2.

    With `greedy` the representative is the longest of its cluster, whatever the method.
    """
    order = length_order(nodes)
    prepared = to_common_alphabet([nodes[i] for i in order])
    thresholds = {"identity": identity, "coverage": coverage}
    if method == "cdhit":
        found = cdhit_representatives(
            prepared, **thresholds, coverage_mode=coverage_mode, accurate=greedy
        )
    else:
        found = mmseqs_representatives(
            prepared,
            **thresholds,
            coverage_mode=coverage_mode,
            workflow="cluster" if method == "mmseqs" else "linclust",
            longest_first=greedy,
            n_threads=n_threads,
        )
    representatives = np.empty(len(nodes), dtype=np.int64)
    representatives[order] = order[found]
    return representatives


@dataclass(frozen=True)
class Redundancy:
    """Grouping of proteins before they are searched.

    Attributes
    ----------
    identity : float
        Least identity of a protein and its representative, 0-1.
    method : {"cdhit", "linclust"}
        Program that groups them.
    version : str
        Version of that program.
    """

    identity: float
    method: str
    version: str

    @classmethod
    def at(cls, identity: float) -> "Redundancy":
        """Return the grouping by CD-HIT where it can serve, else by MMseqs2's linear clustering."""
        path = CDHIT.usable() if identity >= LEAST_IDENTITY else None
        if path is not None:
            return cls(identity, "cdhit", CDHIT.version(path))
        return cls(identity, "linclust", MMseqs().version)

    def group(
        self, sequences: list[str], *, evalue: float, n_threads: int
    ) -> tuple[NDArray[np.int64], Hits]:
        """Return the representative of each sequence, and the alignments of the others with it.

        A protein that its program's representative does not match significantly, at `identity` over
        90 % of both by the best local alignment, stands for itself.
        """
        stands_for = node_representatives(
            sequences,
            identity=self.identity,
            coverage=COVERAGE,
            coverage_mode="both",
            method=self.method,
            greedy=True,
            n_threads=n_threads,
        )
        members = np.flatnonzero(stands_for != np.arange(len(sequences)))
        prepared = to_common_alphabet(sequences)
        hits = align_pairs(prepared, prepared, np.column_stack([members, stands_for[members]]))
        covered = np.minimum(hits.coverage_query, hits.coverage_target) >= COVERAGE
        alike = covered & (hits.identity >= self.identity) & (hits.evalue <= evalue)
        stands_for[members[~alike]] = members[~alike]
        return stands_for, hits.take(alike)


_WORSE = {
    "identity": np.minimum,
    "coverage_shorter": np.minimum,
    "coverage_longer": np.minimum,
    "evalue": np.maximum,
    "score": np.minimum,
}


def share_edges(
    between: HomologyGraph, within: HomologyGraph, stands_for: NDArray[np.int64]
) -> HomologyGraph:
    """Return the graph of all proteins, given that of the representatives.

    Parameters
    ----------
    between : HomologyGraph
        The graph of the representatives.
    within : HomologyGraph
        All proteins, and an edge from each to its representative.
    stands_for : ndarray of int of shape (n_nodes,)
        The representative of each node of `within`; its own one's is itself.

    Returns
    -------
    graph : HomologyGraph
        Every pair of proteins whose representatives are joined or the same. Edges have the values
        of those of their representatives; within a group, the worse of the two that lead to the
        representative.
    """
    _, group = np.unique(stands_for, return_inverse=True)
    size = np.bincount(group)
    loops = np.flatnonzero(size > 1)
    groups = np.vstack([between.edges, np.column_stack([loops, loops])])
    edge, pairs = _member_pairs(groups, group, size)
    in_one = edge >= between.n_edges
    member = np.where(stands_for[within.edges[:, 0]] != within.edges[:, 0], *within.edges.T)
    values = {}
    for name, worse in _WORSE.items():
        to_own = np.full(within.n_nodes, 0.0 if name == "evalue" else np.inf)
        to_own[member] = getattr(within, name)
        values[name] = worse(to_own[pairs[:, 0]], to_own[pairs[:, 1]])
        values[name][~in_one] = getattr(between, name)[edge[~in_one]]
    distinct = pairs[:, 0] != pairs[:, 1]
    values = {name: value[distinct] for name, value in values.items()}
    return graph_from_pairs(within.digests, pairs[distinct], values, {})


def _member_pairs(
    groups: NDArray[np.int64], group: NDArray[np.int64], size: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all pairs of members of joined groups, and which row of `groups` each is of."""
    members, start = np.argsort(group, kind="stable"), np.cumsum(size) - size
    n_pairs = size[groups].prod(axis=1)
    row = np.repeat(np.arange(len(groups)), n_pairs)
    rank = np.arange(len(row)) - np.repeat(np.cumsum(n_pairs) - n_pairs, n_pairs)
    first, second = groups[row].T
    left = members[start[first] + rank // size[second]]
    right = members[start[second] + rank % size[second]]
    return row, np.column_stack([left, right])
