"""HomologyGraph: proteins and the pairs of them that are homologs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from esmlearn.clustering._engines.hits import Hits, known_lengths
from esmlearn.clustering._nodes import UniqueSequences, row_digests
from esmlearn.exceptions import DataError

EDGE_ARRAYS = ("edges", "identity", "coverage_shorter", "coverage_longer", "evalue", "score")


@dataclass(frozen=True, eq=False)
class HomologyGraph:
    """Distinct proteins and the significant alignments between them.

    Nodes are distinct canonical sequences (upper case, gaps removed), sorted by digest: the graph
    does not depend on the order of the input, and copies of a sequence share one node. It is
    immutable; make one with :func:`homology_graph` or :meth:`from_edges`.

    The edges are those found with a margin below the stated thresholds, so that a homolog whose
    alignment an engine cut a little short still counts: with the defaults, identity 0.25 over 40 %
    of the shorter protein. :meth:`nominal` gives the graph at the stated thresholds themselves.

    Attributes
    ----------
    digests : ndarray of bytes of shape (n_nodes,)
        Hexadecimal BLAKE2b digests of the sequences, ascending.
    edges : ndarray of int of shape (n_edges, 2)
        Node pairs, first < second, ascending, each once.
    identity : ndarray of float of shape (n_edges,)
        Identical residues over alignment columns, 0-1.
    coverage_shorter, coverage_longer : ndarray of float of shape (n_edges,)
        Share of the residues of the shorter and of the longer protein inside the alignment, 0-1.
    evalue : ndarray of float of shape (n_edges,)
        Expected number of chance hits, in a search space of one million residues.
    score : ndarray of int of shape (n_edges,)
        Raw alignment score.
    description : mapping
        How it was made: engine, version, settings, thresholds, counts.

    See Also
    --------
    homology_graph : Look the graph up, or search.

    Examples
    --------
    >>> from esmlearn.clustering import homology_graph
    >>> protein = "MKVLATGGARQWEDSTHNPYFCIMKVLRTGGAEQ"
    >>> graph = homology_graph([protein, protein[3:], "W" * 40, protein])
    >>> graph.n_nodes, graph.n_edges
    (3, 1)
    >>> sorted(graph.components().tolist())
    [0, 0, 1]
    """

    digests: NDArray[np.bytes_]
    edges: NDArray[np.int64]
    identity: NDArray[np.float64]
    coverage_shorter: NDArray[np.float64]
    coverage_longer: NDArray[np.float64]
    evalue: NDArray[np.float64]
    score: NDArray[np.int64]
    description: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("digests", *EDGE_ARRAYS):
            view = getattr(self, name).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)
        object.__setattr__(self, "description", MappingProxyType(dict(self.description)))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "description": dict(self.description)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    def __repr__(self) -> str:
        engine = self.description.get("engine", "unknown engine")
        return f"<HomologyGraph of {self.n_nodes} proteins, {self.n_edges} edges, by {engine}>"

    @property
    def n_nodes(self) -> int:
        """Number of distinct proteins."""
        return len(self.digests)

    @property
    def n_edges(self) -> int:
        """Number of pairs that are joined."""
        return len(self.edges)

    @classmethod
    def from_edges(
        cls,
        sequences: Any,
        edges: ArrayLike,
        *,
        identity: ArrayLike = 1.0,
        coverage_shorter: ArrayLike = 1.0,
        coverage_longer: ArrayLike = 1.0,
        evalue: ArrayLike = 0.0,
        score: ArrayLike = 0,
        description: Mapping[str, Any] | None = None,
    ) -> "HomologyGraph":
        """Return a graph of precomputed edges.

        Parameters
        ----------
        sequences : array-like of str of shape (n_sequences,)
            Proteins; copies share a node.
        edges : array-like of int of shape (n_edges, 2)
            Pairs of rows of `sequences`, in any order and direction; of parallel edges the one
            with the lowest E-value, then the highest identity is kept.
        identity, coverage_shorter, coverage_longer, evalue, score : scalar or array-like
            Values of the edges, see the attributes.
        description : mapping, default=None
            Where the edges come from.

        Returns
        -------
        graph : HomologyGraph
            With ``description["engine"] == "precomputed"`` unless `description` says otherwise.
        """
        rows = row_digests(sequences)
        digests, node = np.unique(rows, return_inverse=True)
        pairs = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
        bad = np.flatnonzero(((pairs < 0) | (pairs >= len(rows))).any(axis=1))
        if len(bad):
            raise DataError(
                f"edges[{bad[0]}] is {pairs[bad[0]].tolist()}; expected two rows of the "
                f"{len(rows)} sequences (0-{len(rows) - 1})."
            )
        values = {
            "identity": identity,
            "coverage_shorter": coverage_shorter,
            "coverage_longer": coverage_longer,
            "evalue": evalue,
            "score": score,
        }
        return graph_from_pairs(
            digests,
            node[pairs],
            {name: np.broadcast_to(value, len(pairs)) for name, value in values.items()},
            {"engine": "precomputed", **(description or {})},
        )

    def node_of(self, sequences: Any) -> NDArray[np.int64]:
        """Return the node of each sequence.

        Parameters
        ----------
        sequences : array-like of str of shape (n_sequences,)
            Proteins; case and gaps do not matter.

        Returns
        -------
        nodes : ndarray of int of shape (n_sequences,)
            Indices into `digests`.

        Raises
        ------
        DataError
            If a sequence is not in the graph; the message names its index.
        """
        rows = row_digests(sequences)
        nodes = np.searchsorted(self.digests, rows)
        known = self.digests[np.minimum(nodes, self.n_nodes - 1)] == rows
        if not known.all():
            index = int(np.argmin(known))
            raise DataError(
                f"sequences[{index}] is not in the graph ({int((~known).sum())} of {len(rows)} are "
                f"not). Build the graph of all sequences, or pass them all as reference."
            )
        return nodes

    def restrict(self, sequences: Any) -> "HomologyGraph":
        """Return the induced subgraph of some of the sequences; nothing is searched.

        Parameters
        ----------
        sequences : array-like of str of shape (n_sequences,)
            Proteins of this graph, in any order and number of copies.

        Returns
        -------
        graph : HomologyGraph
            With the edges between these proteins.
        """
        return self.induced(np.unique(self.node_of(sequences)))

    def induced(self, nodes: NDArray[np.int64]) -> "HomologyGraph":
        """Return the subgraph of ascending node indices."""
        if len(nodes) == self.n_nodes:
            return self
        position = np.full(self.n_nodes, -1)
        position[nodes] = np.arange(len(nodes))
        edges = position[self.edges]
        kept = self._take_edges(np.flatnonzero((edges >= 0).all(axis=1)))
        described = {**self.description, "restricted_from": self.n_nodes}
        described.update(n_nodes=len(nodes), n_edges=kept.n_edges)
        return replace(
            kept,
            digests=self.digests[nodes],
            edges=position[kept.edges].reshape(-1, 2),
            description=described,
        )

    def _take_edges(self, selection: NDArray) -> "HomologyGraph":
        taken = {name: getattr(self, name)[selection] for name in EDGE_ARRAYS}
        described = {**self.description, "n_edges": len(taken["edges"])}
        return replace(self, **taken, description=described)

    def filter(
        self,
        *,
        identity: float = 0.0,
        coverage: float = 0.0,
        coverage_mode: str = "shorter",
        evalue: float = np.inf,
    ) -> "HomologyGraph":
        """Return the graph with the edges that reach these thresholds.

        Parameters
        ----------
        identity : float, default=0.0
            Least identity, 0-1.
        coverage : float, default=0.0
            Least coverage, 0-1.
        coverage_mode : {"shorter", "both", "any"}, default="shorter"
            Which protein must be covered; ``"any"`` ignores coverage.
        evalue : float, default=inf
            Largest E-value.

        Returns
        -------
        graph : HomologyGraph
            The same nodes, fewer edges.
        """
        covered = self.coverage(coverage_mode)
        passing = (self.identity >= identity, covered >= coverage, self.evalue <= evalue)
        keep = np.flatnonzero(np.logical_and.reduce(passing))
        return self._take_edges(keep)

    def coverage(self, mode: str) -> NDArray[np.float64]:
        """Return the coverage of each edge in the sense of `mode`.

        Parameters
        ----------
        mode : {"shorter", "both", "any"}
            Coverage of the shorter protein, the lesser of both, or 1 for every edge.

        Returns
        -------
        coverage : ndarray of float of shape (n_edges,)
            Values 0-1.
        """
        if mode == "shorter":
            return self.coverage_shorter
        if mode == "both":
            return np.minimum(self.coverage_shorter, self.coverage_longer)
        if mode == "any":
            return np.ones(self.n_edges)
        raise DataError(f"coverage_mode is {mode!r}; expected 'shorter', 'both' or 'any'.")

    def nominal(self) -> "HomologyGraph":
        """Return the graph at the stated thresholds, without the edges of the margin.

        Returns
        -------
        graph : HomologyGraph
            The same nodes; the graph itself where nothing is known of thresholds.
        """
        stated = self.description.get("thresholds")
        return self if stated is None else self.filter(**stated)

    def adjacency(self) -> csr_matrix:
        """Return the edges as a symmetric sparse matrix.

        Returns
        -------
        adjacency : scipy.sparse.csr_matrix of bool of shape (n_nodes, n_nodes)
            True where two proteins are joined; the diagonal is empty.
        """
        i, j = self.edges.T
        ones = np.ones(2 * self.n_edges, dtype=bool)
        rows, columns = np.concatenate([i, j]), np.concatenate([j, i])
        return coo_matrix((ones, (rows, columns)), shape=(self.n_nodes, self.n_nodes)).tocsr()

    def components(self) -> NDArray[np.int64]:
        """Return the connected component of each node.

        Returns
        -------
        labels : ndarray of int of shape (n_nodes,)
            Numbered from 0 in the order of their first node.
        """
        _, labels = connected_components(self.adjacency(), directed=False)
        _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def graph_from_pairs(
    digests: NDArray[np.bytes_],
    pairs: NDArray[np.int64],
    values: Mapping[str, NDArray],
    description: Mapping[str, Any],
) -> HomologyGraph:
    """Return a graph of node pairs: loops dropped, directions and parallel edges merged."""
    low, high = pairs.min(axis=1, initial=len(digests)), pairs.max(axis=1, initial=-1)
    arrays = {name: np.asarray(value) for name, value in values.items()}
    # The lowest E-value comes first; the other keys make the choice independent of the input order.
    keys = [-arrays[k] for k in ("coverage_longer", "coverage_shorter", "identity", "score")]
    order = np.lexsort((*keys, arrays["evalue"], high, low))
    low, high = low[order], high[order]
    first = low != high
    first[1:] &= (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    kept = order[first]
    edges = np.column_stack([low[first], high[first]]).astype(np.int64)
    described = {**description, "n_nodes": len(digests), "n_edges": len(edges)}
    return HomologyGraph(
        digests=digests,
        edges=edges,
        identity=arrays["identity"][kept].astype(np.float64),
        coverage_shorter=arrays["coverage_shorter"][kept].astype(np.float64),
        coverage_longer=arrays["coverage_longer"][kept].astype(np.float64),
        evalue=arrays["evalue"][kept].astype(np.float64),
        score=arrays["score"][kept].astype(np.int64),
        description=described,
    )


def graph_of_hits(nodes: UniqueSequences, hits: Hits) -> HomologyGraph:
    """Return the graph of alignments between nodes."""
    lengths = known_lengths(nodes.sequences)
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
    values = {n: np.concatenate([getattr(first, n), getattr(second, n)]) for n in EDGE_ARRAYS[1:]}
    return graph_from_pairs(first.digests, np.vstack([first.edges, second.edges]), values, {})
