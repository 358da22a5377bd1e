"""The fewest rows to set aside so that no edge joins two folds: a minimum vertex cover.

A cover is the least for folds as they are; `_seam.py` changes the folds as well.
"""

import heapq

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

DEFAULT_TIME_LIMIT = 10.0


def crossing_edges(adjacency: csr_array, fold: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the edges (i < j) between nodes of two different folds; fold -1 has no edges."""
    i, j = adjacency.tocoo().coords
    crossing = (i < j) & (fold[i] != fold[j]) & (fold[i] >= 0) & (fold[j] >= 0)
    return np.column_stack([i[crossing], j[crossing]])


def minimum_vertex_cover(
    edges: NDArray[np.intp], rows: NDArray[np.int64], *, time_limit: float = DEFAULT_TIME_LIMIT
) -> tuple[NDArray[np.intp], str]:
    """Return nodes that touch every edge and stand for as few rows as possible.

    Parameters
    ----------
    edges : ndarray of shape (n_edges, 2)
        Pairs of nodes.
    rows : ndarray of shape (n_nodes,)
        Rows that each node stands for.
    time_limit : float, default=10.0
        Seconds for the integer program.

    Returns
    -------
    cover : ndarray of shape (n_cover,)
        Sorted nodes.
    method : str
        "none" (no edges), "optimal", "milp, gap <g>" (the time limit was reached; the least
        possible is within the fraction g) or "greedy" (nothing better was found in time).
    """
    if not len(edges):
        return np.zeros(0, dtype=np.intp), "none"
    nodes, local = np.unique(edges, return_inverse=True)
    local, weight = local.reshape(edges.shape), rows[nodes].astype(float)
    greedy = greedy_vertex_cover(local, weight)
    constraint = csr_array(
        (np.ones(local.size), (np.repeat(np.arange(len(local)), 2), local.ravel())),
        shape=(len(local), len(nodes)),
    )
    result = milp(
        weight,
        constraints=LinearConstraint(constraint, lb=1),
        integrality=np.ones(len(nodes)),
        bounds=Bounds(0, 1),
        options={"time_limit": time_limit},
    )
    if result.x is None or weight[result.x > 0.5].sum() > weight[greedy].sum():
        return nodes[greedy], "greedy"
    method = "optimal" if result.status == 0 else f"milp, gap {result.mip_gap:.3f}"
    return nodes[result.x > 0.5], method


def greedy_vertex_cover(edges: NDArray[np.intp], weight: NDArray[np.float64]) -> NDArray[np.intp]:
    """Take the node with most open edges per row until no edge is open."""
    neighbours: list[set[int]] = [set() for _ in weight]
    for i, j in edges.tolist():
        neighbours[i].add(j)
        neighbours[j].add(i)
    queue = [(-len(open_) / weight[v], v) for v, open_ in enumerate(neighbours)]
    heapq.heapify(queue)
    cover = []
    while queue:
        priority, v = heapq.heappop(queue)
        current = -len(neighbours[v]) / weight[v]
        if priority != current:
            heapq.heappush(queue, (current, v))
        elif neighbours[v]:
            cover.append(v)
            for other in neighbours[v]:
                neighbours[other].discard(v)
            neighbours[v] = set()
    return np.array(sorted(cover), dtype=np.intp)
