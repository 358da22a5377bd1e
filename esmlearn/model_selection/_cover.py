"""The fewest rows to set aside so that no edge joins two folds: a minimum vertex cover.

A cover is the least for folds as they are. `shrink_cover` changes the folds as well: it is the
refinement of vertex separators by Fiduccia and Mattheyses (Proc. 19th Design Automation Conference,
175-181, 1982).
"""

import heapq

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from esmlearn.model_selection._cutting import membership

DEFAULT_TIME_LIMIT = 10.0
MAX_PASSES = 10
MAX_LOSING_MOVES = 100


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


def shrink_cover(
    adjacency: csr_array,
    fold: NDArray[np.intp],
    rows: NDArray[np.int64],
    weight: NDArray[np.float64],
    limit: float,
) -> NDArray[np.intp]:
    """Return folds of which less is set aside, and which still no edge joins.

    A node that is set aside goes to a fold, and its neighbours in other folds are set aside in its
    place. The best of these moves is made over and over, for a while at a loss too, each node once;
    the best folds seen are the start of the next pass, until a pass finds none better.

    Parameters
    ----------
    adjacency : csr_array of shape (n_nodes, n_nodes)
        Symmetric.
    fold : ndarray of shape (n_nodes,)
        Folds without an edge between two of them; -1 is set aside.
    rows : ndarray of shape (n_nodes,)
        Rows that each node stands for.
    weight : ndarray of shape (n_nodes,)
        What it costs to set each node aside.
    limit : float
        The most rows of a fold.

    Returns
    -------
    fold : ndarray of shape (n_nodes,)
    """
    best = fold
    for _ in range(MAX_PASSES):
        better = _Seam(adjacency, best, rows, weight, limit).improve()
        if better is None:
            break
        best = better
    return best


class _Seam:
    """Folds, what is set aside between them, and what each move would gain."""

    def __init__(
        self,
        adjacency: csr_array,
        fold: NDArray[np.intp],
        rows: NDArray[np.int64],
        weight: NDArray[np.float64],
        limit: float,
    ) -> None:
        self.adjacency, self.rows, self.weight, self.limit = adjacency, rows, weight, limit
        self.fold = fold.copy()
        kept = np.flatnonzero(fold >= 0)
        inside = membership(fold[kept], int(fold.max()) + 1)
        self.load = inside.T @ rows[kept].astype(float)
        inside.data = np.asarray(weight[kept], dtype=float)
        self.ties = (adjacency[:, kept].astype(float) @ inside).toarray()
        self.locked = np.zeros(len(fold), dtype=bool)

    def improve(self) -> NDArray[np.intp] | None:
        """Make moves as long as they pay now and then; return the best folds, None if no better."""
        gain, most, losing, best = 0.0, 1e-9, 0, None
        while losing < MAX_LOSING_MOVES:
            found = self._best_move()
            if found is None:
                break
            v, goal, gained = found
            self._move(v, goal)
            gain, losing = gain + gained, losing + 1
            if gain > most:
                most, losing, best = gain, 0, self.fold.copy()
        return best

    def _best_move(self) -> tuple[int, int, float] | None:
        aside = np.flatnonzero((self.fold < 0) & ~self.locked)
        if not len(aside):
            return None
        expelled = self.ties[aside].sum(axis=1, keepdims=True) - self.ties[aside]
        gain = self.weight[aside][:, None] - expelled
        gain[self.load + self.rows[aside][:, None] > self.limit] = -np.inf
        v, goal = np.unravel_index(int(np.argmax(gain)), gain.shape)
        if np.isinf(gain[v, goal]):
            return None
        return int(aside[v]), int(goal), float(gain[v, goal])

    def _move(self, v: int, goal: int) -> None:
        """Give a node to a fold, and set its neighbours elsewhere aside."""
        neighbours = self._neighbours(v)
        for other in neighbours[(self.fold[neighbours] >= 0) & (self.fold[neighbours] != goal)]:
            self._count(other, self.fold[other], -1)
            self.fold[other] = -1
        self._count(v, goal, 1)
        self.fold[v], self.locked[v] = goal, True

    def _count(self, v: int, fold: int, sign: int) -> None:
        self.ties[self._neighbours(v), fold] += sign * self.weight[v]
        self.load[fold] += sign * self.rows[v]

    def _neighbours(self, v: int) -> NDArray[np.intp]:
        return self.adjacency.indices[self.adjacency.indptr[v] : self.adjacency.indptr[v + 1]]
