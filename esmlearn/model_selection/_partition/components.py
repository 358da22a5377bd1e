"""Components of the homology graph, and cuts of those that are too large for a fold.

With METIS (Karypis & Kumar, SIAM J. Sci. Comput. 20, 359-392, 1998) a cut minimizes the
communication volume. Without it, clusters are joined by average linkage of reciprocal nearest
neighbours (Murtagh, Comput. J. 26, 354-359, 1983), packed into parts, and refined by greedy moves
of boundary nodes, as of Kernighan & Lin (Bell Syst. Tech. J. 49, 291-307, 1970).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from esmlearn.exceptions import EngineNotFoundError
from esmlearn.utils._optional import import_optional

BALANCE_TOLERANCE = 0.02
REFINEMENT_ROUNDS = 20
MAX_LEVELS = 300


def cut_component(
    adjacency: csr_array,
    rows: NDArray[np.int64],
    n_parts: int,
    *,
    seed: int = 0,
    shares: NDArray[np.float64] | None = None,
    tolerance: float = BALANCE_TOLERANCE,
) -> tuple[NDArray[np.intp], str]:
    """Cut a connected graph into parts of about a given size with few neighbours across.

    Parameters
    ----------
    adjacency : csr_array of shape (n_nodes, n_nodes)
        Symmetric, without a diagonal.
    rows : ndarray of shape (n_nodes,)
        Rows that each node stands for.
    n_parts : int
        Number of parts.
    seed : int, default=0
        Seed of METIS.
    shares : ndarray of shape (n_parts,), default=None
        Share of the rows that each part is to hold; None is the same for all. Without METIS, the
        largest alone counts.
    tolerance : float, default=0.02
        By how much of its size a part may be larger.

    Returns
    -------
    part : ndarray of shape (n_nodes,), dtype intp
    method : str
        "metis" (communication volume; the wheel `pymetis` is installed) or "numpy".
    """
    if n_parts < 2:
        return np.zeros(len(rows), dtype=np.intp), "none"
    try:
        part = cut_with_metis(
            adjacency, rows, n_parts, seed=seed, shares=shares, tolerance=tolerance
        )
        return part, "metis"
    except EngineNotFoundError:
        largest = 1 / n_parts if shares is None else shares.max()
        limit = largest * rows.sum() * (1 + tolerance)
        return cut_with_numpy(adjacency, rows, n_parts, limit), "numpy"


def cut_with_metis(
    adjacency: csr_array,
    rows: NDArray[np.int64],
    n_parts: int,
    *,
    seed: int,
    shares: NDArray[np.float64] | None = None,
    tolerance: float = BALANCE_TOLERANCE,
) -> NDArray[np.intp]:
    """Cut with METIS, for the least communication volume: the rows that a purge would remove."""
    pymetis = import_optional("pymetis", extra="metis", purpose="Cutting with METIS")
    options = pymetis.Options(
        objtype=pymetis.ObjType.VOL,
        seed=seed,
        ufactor=int(tolerance * 1000),
    )
    integer = pymetis.zero_copy_dtype()  # others are converted number by number, slowly
    partition = pymetis.part_graph(
        n_parts,
        pymetis.CSRAdjacency(adjacency.indptr.astype(integer), adjacency.indices.astype(integer)),
        vweights=rows.astype(integer),
        recursive=False,
        tpwgts=None if shares is None else shares.tolist(),
        options=options,
    )
    return np.asarray(partition[1], dtype=np.intp)


def cut_with_numpy(
    adjacency: csr_array, rows: NDArray[np.int64], n_parts: int, max_rows: float | None = None
) -> NDArray[np.intp]:
    """Cut without METIS: join the closest clusters, pack them, then move boundary nodes."""
    mean = rows.sum() / n_parts
    max_rows = mean * (1 + BALANCE_TOLERANCE) if max_rows is None else max_rows
    cluster = _agglomerate(adjacency, rows, max_rows=mean / 4)
    part = _pack(adjacency, rows, cluster, n_parts, max_rows=max_rows)
    return _refine_boundary(adjacency, rows, part, n_parts, max_rows=max_rows)


def membership(label: NDArray[np.intp], n_labels: int) -> csr_array:
    """Return the indicator matrix (n_nodes, n_labels) of a labelling."""
    n = len(label)
    return csr_array((np.ones(n), (np.arange(n), label)), shape=(n, n_labels))


def _agglomerate(
    adjacency: csr_array, rows: NDArray[np.int64], *, max_rows: float
) -> NDArray[np.intp]:
    """Join clusters that are each other's closest neighbour until none may grow.

    Close means many edges for the sizes of the two, which is average linkage, level by level.
    """
    cluster = np.arange(len(rows))
    links, size = adjacency.astype(float), rows.astype(float)
    for _ in range(MAX_LEVELS):
        pairs = _mutual_neighbours(links, size, max_rows)
        if not len(pairs):
            break
        joined = np.arange(len(size))
        joined[pairs[:, 1]] = pairs[:, 0]
        joined = np.unique(joined, return_inverse=True)[1]
        links, size = _contract(links, joined), np.bincount(joined, weights=size)
        cluster = joined[cluster]
    return cluster


def _contract(links: csr_array, label: NDArray[np.intp]) -> csr_array:
    """Add up the links between the nodes of each pair of labels."""
    n = int(label.max()) + 1
    source = np.repeat(label, np.diff(links.indptr))
    return coo_array((links.data, (source, label[links.indices])), shape=(n, n)).tocsr()


def _mutual_neighbours(
    links: csr_array, size: NDArray[np.float64], max_rows: float
) -> NDArray[np.intp]:
    """Return disjoint pairs (i < j) of clusters that prefer each other and may be joined."""
    n = len(size)
    n_links = np.diff(links.indptr)
    i, j = np.repeat(np.arange(n), n_links), links.indices.astype(np.int64)
    allowed = (i != j) & (size[i] + size[j] <= max_rows)
    closeness = np.where(allowed, links.data / (size[i] * size[j]), 0.0)
    linked = np.flatnonzero(n_links)
    starts = links.indptr[linked]
    # Ties go by the unordered pair, so that two clusters never disagree about which is closest.
    is_best = allowed & (
        closeness == np.repeat(np.maximum.reduceat(closeness, starts), n_links[linked])
    )
    pair = np.where(is_best, np.minimum(i, j) * n + np.maximum(i, j), n * n)
    first = np.minimum.reduceat(pair, starts)
    # A pair that is both clusters' first choice is there twice.
    chosen, votes = np.unique(first[first < n * n], return_counts=True)
    chosen = chosen[votes == 2]
    return np.column_stack([chosen // n, chosen % n])


def _pack(
    adjacency: csr_array,
    rows: NDArray[np.int64],
    cluster: NDArray[np.intp],
    n_parts: int,
    *,
    max_rows: float,
) -> NDArray[np.intp]:
    """Put clusters into parts, largest first, each where it has most links and still fits."""
    links = _contract(adjacency.astype(float), cluster)
    size = np.bincount(cluster, weights=rows)
    part = np.zeros(len(size), dtype=np.intp)
    load, linked = np.zeros(n_parts), np.zeros((len(size), n_parts))
    for c in np.argsort(-size, kind="stable"):
        fits = load + size[c] <= max_rows
        if not fits.any():
            fits = load == load.min()
        part[c] = np.lexsort((load, -linked[c], ~fits))[0]
        load[part[c]] += size[c]
        span = slice(links.indptr[c], links.indptr[c + 1])
        linked[links.indices[span], part[c]] += links.data[span]
    return part[cluster]


def _refine_boundary(
    adjacency: csr_array,
    rows: NDArray[np.int64],
    part: NDArray[np.intp],
    n_parts: int,
    *,
    max_rows: float,
) -> NDArray[np.intp]:
    """Move nodes with more neighbours in another part there, while it fits.

    Neighbours never move in the same round: their gains depend on each other.
    """
    part = part.copy()
    load = np.bincount(part, weights=rows, minlength=n_parts)
    every = np.arange(len(part))
    for _ in range(REFINEMENT_ROUNDS):
        links = (adjacency.astype(float) @ membership(part, n_parts)).toarray()
        goal = links.argmax(axis=1)
        gain = links[every, goal] - links[every, part]
        movers = np.flatnonzero(gain > 0)
        held, moved = np.zeros(len(part), dtype=bool), 0
        for v in movers[np.argsort(-gain[movers], kind="stable")]:
            if held[v] or load[goal[v]] + rows[v] > max_rows:
                continue
            load[part[v]] -= rows[v]
            load[goal[v]] += rows[v]
            part[v] = goal[v]
            held[adjacency.indices[adjacency.indptr[v] : adjacency.indptr[v + 1]]] = True
            moved += 1
        if not moved:
            break
    return part


@dataclass(frozen=True)
class Cut:
    """A way to cut a large component.

    Attributes
    ----------
    refinement : float, default=1.0
        A part holds at most a fold over this number; smaller parts balance better and cost more
        training rows.
    tolerance : float, default=0.02
        By how much of its size a part may be larger.
    fill_first : bool, default=False
        The first part fills a fold, and the others share the rest equally.
    draw : int, default=0
        Added to the seed of METIS.
    """

    refinement: float = 1.0
    tolerance: float = BALANCE_TOLERANCE
    fill_first: bool = False
    draw: int = 0

    def shares(self, size: float, limit: float, n_parts: int) -> NDArray[np.float64] | None:
        """Return the share of the rows of each part; None is the same for all."""
        first = limit / size
        if not self.fill_first or n_parts < 2 or first >= 1:
            return None
        return np.array([first] + [(1 - first) / (n_parts - 1)] * (n_parts - 1))

    def groups(
        self,
        adjacency: csr_array,
        rows: NDArray[np.int64],
        component: NDArray[np.intp],
        *,
        limit: float,
        smallest: float = 1.0,
        seed: int = 0,
    ) -> tuple[NDArray[np.intp], dict[str, Any]]:
        """Return components, and the parts of those that are too large.

        Parameters
        ----------
        adjacency : csr_array of shape (n_nodes, n_nodes)
            Symmetric, without a diagonal.
        rows : ndarray of shape (n_nodes,)
            Rows that each node stands for.
        component : ndarray of shape (n_nodes,)
            The component of each node.
        limit : float
            The most rows of a fold.
        smallest : float, default=1.0
            The smallest fold over the largest: a part is to fit the smallest.
        seed : int, default=0
            Seed of METIS.

        Returns
        -------
        group : ndarray of shape (n_nodes,)
        record : dict
            Number of components that were cut, number of their parts, and method.
        """
        size = np.bincount(component, weights=rows)
        limit /= self.refinement
        large = np.flatnonzero(size > limit)
        group, next_group, methods = component.copy(), len(size), set()
        for c in large:
            nodes = np.flatnonzero(component == c)
            n_parts = min(int(np.ceil(size[c] / (limit * smallest))), len(nodes))
            part, method = cut_component(
                csr_array(adjacency[nodes][:, nodes]),
                rows[nodes],
                n_parts,
                seed=(seed + self.draw) % (2**31 - 1),
                shares=self.shares(size[c], limit * smallest, n_parts),
                tolerance=self.tolerance,
            )
            group[nodes] = next_group + part
            next_group += n_parts
            methods.add(method)
        return group, {
            "n_components": len(size),
            "largest_component": float(size.max() / size.sum()),
            "n_cut": len(large),
            "n_pieces": len(np.unique(group[group >= len(size)])),
            "cut_method": "+".join(sorted(methods)) or "none",
        }


REFINEMENTS = (1.0, 1.5, 2.0, 3.0, 4.0, 8.0)
PURGE_CUTS = tuple(map(Cut, REFINEMENTS))
# A few loose cuts: where rows are set aside, the components left are assigned to folds afterwards.
DROP_CUTS = (
    Cut(tolerance=0.2),
    *(Cut(fill_first=True, draw=draw) for draw in range(3)),
    Cut(),
    Cut(1.5, 0.2),
    *map(Cut, (1.5, 2.0, 3.0, 4.0)),
)
