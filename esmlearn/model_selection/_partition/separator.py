"""Vertex separators between folds: rows set aside such that no edge joins two folds.

A first separator is a minimum weighted vertex cover of the edges between folds, found by an integer
program, or the greedy cover of Chvátal (Math. Oper. Res. 4, 233-235, 1979) where that takes too
long. It is then refined by moves of single nodes, which change the folds as well: the refinement of
vertex separators by Fiduccia and Mattheyses (Proc. 19th Design Automation Conference, 175-181,
1982), with a penalty on imbalance of the folds.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from esmlearn.model_selection._partition.assignment import (
    Tolerances,
    distinct_rows,
    rows_per_label,
)

DEFAULT_TIME_LIMIT = 10.0
MAX_PASSES = 10
MAX_LOSING_MOVES = 50
# A row of imbalance costs as much as so many rows that are set aside. Above 1 rows are rather set
# aside than left uneven; the separator moves farther while that is cheap.
FINAL_PENALTY = 2.0
PENALTIES = (0.5, FINAL_PENALTY, FINAL_PENALTY)
_LEAST_GAIN = 1e-6
_DIGITS = 6  # of gains, so that ties are not decided by how they are rounded

# Takes the rows of each stratum (n_strata, n_cases), the fold of each case (n_cases,) and the
# number of rows that are kept in all; returns the rows of each case that are too many or missing.
ImbalanceFunction = Callable[[NDArray[np.float64], NDArray[np.intp], float], NDArray[np.float64]]
# Takes the component of each node that is kept and its counts; returns its fold.
Assign = Callable[[NDArray[np.intp], NDArray[np.int64]], NDArray[np.intp]]


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


@dataclass(frozen=True)
class Imbalance:
    """Rows of a fold beyond the tolerances, of its size and of each stratum.

    Attributes
    ----------
    fractions : ndarray of shape (n_folds,)
        Share of the rows that each fold is to hold.
    whole : ndarray of shape (n_strata,)
        Share of each stratum that each fold is to hold.
    tolerances : Tolerances
        Tolerated imbalance; no tolerance is less than one row.
    """

    fractions: NDArray[np.float64]
    whole: NDArray[np.float64]
    tolerances: Tolerances

    def __call__(
        self, held: NDArray[np.float64], fold: NDArray[np.intp], kept: float
    ) -> NDArray[np.float64]:
        """Return the rows of each case that are too many or missing."""
        size, wanted = held.sum(axis=0), self.fractions[fold] * kept
        beyond = np.abs(size - wanted) - np.maximum(self.tolerances.size * wanted, 1)
        beyond = np.maximum(beyond, 0)
        if len(held) > 1:
            of_strata = np.abs(held - np.multiply.outer(self.whole, size))
            of_strata -= np.maximum(self.tolerances.share * size, 1)
            beyond += np.maximum(of_strata, 0).sum(axis=0)
        return beyond


def rows_above(limit: float) -> ImbalanceFunction:
    """Return a function that counts the rows of a fold above a limit."""
    return lambda held, fold, kept: np.maximum(held.sum(axis=0) - limit, 0)


def cost(
    fold: NDArray[np.intp],
    counts: NDArray[np.int64],
    n_folds: int,
    imbalance: ImbalanceFunction,
    penalty: float,
) -> float:
    """Return the rows set aside plus the penalty on imbalance; infinite if a fold is empty."""
    kept = fold >= 0
    held = rows_per_label(counts[kept], fold[kept], n_folds).astype(float)
    if not held.sum(axis=1).all():
        return np.inf
    uneven = imbalance(held.T, np.arange(n_folds), held.sum()).sum()
    return float(counts[~kept].sum() + penalty * uneven)


class SeparatorRefiner:
    """Refine separators of one graph.

    Parameters
    ----------
    adjacency : csr_array of shape (n_nodes, n_nodes)
        Symmetric.
    counts : ndarray of shape (n_nodes, n_strata)
        Rows of each stratum that each node stands for.
    n_folds : int
        Number of folds.
    """

    def __init__(self, adjacency: csr_array, counts: NDArray[np.int64], n_folds: int) -> None:
        self.adjacency, self.counts, self.n_folds = adjacency, counts, n_folds
        self.component = connected_components(adjacency, directed=False)[1]
        self.active = np.zeros(len(counts), dtype=bool)

    def refine(
        self, fold: NDArray[np.intp], imbalance: ImbalanceFunction, penalty: float
    ) -> NDArray[np.intp]:
        """Return folds that cost less in rows set aside and in imbalance.

        A node that is set aside goes to a fold, and its neighbours in other folds are set aside in
        its place. The best of these moves is made repeatedly, for a while at a loss too, each node
        once; the best folds of a pass are the start of the next, until a pass finds none better.

        Parameters
        ----------
        fold : ndarray of shape (n_nodes,)
            Folds without an edge between two of them; -1 is set aside.
        imbalance : callable
            Counts the rows of each fold that are too many or missing.
        penalty : float
            Rows set aside that one row of imbalance is worth.

        Returns
        -------
        fold : ndarray of shape (n_nodes,)
            Without an edge between two folds.
        """
        if not (fold < 0).any():
            return fold
        self._activate(fold)
        outside = ~self.active & (fold >= 0)
        held = rows_per_label(self.counts[outside], fold[outside], self.n_folds).T
        best = fold[self.active]
        for _ in range(MAX_PASSES):
            better = _Separator(self.nodes, best, held, imbalance, penalty).improve()
            if better is None:
                break
            best = better
        fold = fold.copy()
        fold[self.active] = best
        return fold

    def _activate(self, fold: NDArray[np.intp]) -> None:
        """Select the components with nodes set aside; moves touch no others."""
        active = np.isin(self.component, self.component[fold < 0])
        if not np.array_equal(active, self.active):
            self.active = active
            inside = csr_array(self.adjacency[active][:, active]).astype(float)
            self.nodes = _Nodes(inside, self.counts[active].astype(float))


class _Nodes:
    """Nodes, the number of rows of each stratum that they stand for, and types of equal nodes."""

    def __init__(self, adjacency: csr_array, counts: NDArray[np.float64]) -> None:
        self.adjacency, self.counts, self.rows = adjacency, counts, counts.sum(axis=1)
        types, self.type_of = distinct_rows(counts)
        self.types = types.T
        self.node, self.stratum = counts.nonzero()

    def per_fold(self, fold: NDArray[np.intp], n_folds: int) -> csr_array:
        """Return the rows of each node that is kept, (n_nodes, n_strata * n_folds)."""
        kept = fold[self.node] >= 0
        node, stratum = self.node[kept], self.stratum[kept]
        return csr_array(
            (self.counts[node, stratum], (node, stratum * n_folds + fold[node])),
            shape=(len(fold), self.counts.shape[1] * n_folds),
        )

    def neighbours(self, v: int) -> NDArray[np.intp]:
        """Return the neighbours of a node."""
        return self.adjacency.indices[self.adjacency.indptr[v] : self.adjacency.indptr[v + 1]]


class _Separator:
    """Folds, the nodes set aside between them, and the gain of each move.

    `held` are the rows of each stratum in each fold, `links` those of a node's neighbours.
    """

    def __init__(
        self,
        nodes: _Nodes,
        fold: NDArray[np.intp],
        held: NDArray[np.int64],
        imbalance: ImbalanceFunction,
        penalty: float,
    ) -> None:
        self.nodes, self.fold = nodes, fold.copy()
        self.imbalance, self.penalty = imbalance, penalty
        per_fold = nodes.per_fold(fold, held.shape[1])
        self.held = held + per_fold.sum(axis=0).reshape(held.shape)
        links = (nodes.adjacency @ per_fold).toarray().T
        self.links = np.ascontiguousarray(links).reshape(*held.shape, -1)
        self.linked = self.links.sum(axis=0)
        self.locked = np.zeros(len(fold), dtype=bool)

    def improve(self) -> NDArray[np.intp] | None:
        """Make moves until too many in a row lose; return the best folds, None if no better."""
        least, losing, best = self._cost() - _LEAST_GAIN, 0, None
        while losing < MAX_LOSING_MOVES:
            found = self._best_move()
            if found is None:
                break
            self._move(*found)
            losing += 1
            if self._cost() < least:
                least, losing, best = self._cost() - _LEAST_GAIN, 0, self.fold.copy()
        return best

    def _cost(self) -> float:
        """Return the rows set aside plus the penalty on imbalance, up to a constant."""
        return float(self.penalty * self._imbalance(self.held).sum() - self.held.sum())

    def _imbalance(
        self, held: NDArray[np.float64], fold: NDArray[np.intp] | None = None
    ) -> NDArray[np.float64]:
        """Return the rows that are too many or missing; `fold` None is all folds."""
        fold = np.arange(self.held.shape[1]) if fold is None else fold
        return self.imbalance(held, fold, self.held.sum())

    def _best_move(self) -> tuple[int, int] | None:
        """Return the node set aside and the fold of the move with the largest gain."""
        aside = np.flatnonzero((self.fold < 0) & ~self.locked)
        if not len(aside):
            return None
        now = self._imbalance(self.held)
        joining = self._joining(now)[:, self.nodes.type_of[aside]]
        gain = self.nodes.rows[aside] - self.penalty * joining
        leaving = self.linked[:, aside]
        fold, i = leaving.nonzero()
        left = self.held[:, fold] - self.links[:, fold, aside[i]]
        leaving[fold, i] += self.penalty * (self._imbalance(left, fold) - now[fold])
        gain = np.round(gain + leaving - leaving.sum(axis=0), _DIGITS)
        goal, v = np.unravel_index(int(np.argmax(gain)), gain.shape)
        return int(aside[v]), int(goal)

    def _joining(self, now: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the increase of each fold's imbalance `now` by a node of each type."""
        types = self.nodes.types
        (n_strata, n_folds), n_types = self.held.shape, types.shape[1]
        joined = (self.held[:, :, None] + types[:, None]).reshape(n_strata, -1)
        fold = np.repeat(np.arange(n_folds), n_types)
        return self._imbalance(joined, fold).reshape(n_folds, n_types) - now[:, None]

    def _move(self, v: int, goal: int) -> None:
        """Give a node to a fold, and set its neighbours elsewhere aside."""
        neighbours = self.nodes.neighbours(v)
        for other in neighbours[(self.fold[neighbours] >= 0) & (self.fold[neighbours] != goal)]:
            self._count(other, self.fold[other], -1)
            self.fold[other] = -1
        self._count(v, goal, 1)
        self.fold[v], self.locked[v] = goal, True

    def _count(self, v: int, fold: int, sign: int) -> None:
        neighbours = self.nodes.neighbours(v)
        self.links[:, fold, neighbours] += sign * self.nodes.counts[v][:, None]
        self.linked[fold, neighbours] += sign * self.nodes.rows[v]
        self.held[:, fold] += sign * self.nodes.counts[v]


def set_aside(
    refiner: SeparatorRefiner, fold: NDArray[np.intp], limit: float
) -> tuple[NDArray[np.intp], str]:
    """Return folds without an edge between two of them, few rows set aside (-1), and the method.

    Parameters
    ----------
    refiner : SeparatorRefiner
        For rows of a single stratum.
    fold : ndarray of shape (n_nodes,)
        A fold for every node.
    limit : float
        The most rows of a fold.

    Returns
    -------
    fold : ndarray of shape (n_nodes,)
    method : str
        Method of the first cover, see `minimum_vertex_cover`.
    """
    edges = crossing_edges(refiner.adjacency, fold)
    cover, method = minimum_vertex_cover(edges, refiner.counts[:, 0])
    fold = fold.copy()
    fold[cover] = -1
    return refiner.refine(fold, rows_above(limit), FINAL_PENALTY), method


def lost_rows(
    adjacency: csr_array, rows: NDArray[np.int64], fold: NDArray[np.intp], limit: float
) -> float:
    """Return the rows set aside, and those of a component that no fold can hold in addition."""
    kept, component = _kept_components(adjacency, fold)
    largest = np.bincount(component, weights=rows[kept]).max()
    return float(rows[~kept].sum() + max(largest - limit, 0))


def rebalance_separator(
    refiner: SeparatorRefiner, fold: NDArray[np.intp], assign: Assign, imbalance: Imbalance
) -> tuple[NDArray[np.intp], float]:
    """Return folds within the tolerances where possible, and their cost, see `cost`.

    The separator that loses fewest rows may enclose parts unlike the whole set. So the components
    of the nodes that are kept are assigned to folds and the separator is refined, at first with a
    low penalty on imbalance, and both are done again.

    Parameters
    ----------
    refiner : SeparatorRefiner
        For the rows of each stratum.
    fold : ndarray of shape (n_nodes,)
        Folds without an edge between two of them; -1 is set aside.
    assign : callable
        Assigns components of the nodes that are kept to folds.
    imbalance : Imbalance
        Tolerated imbalance of the folds.

    Returns
    -------
    fold : ndarray of shape (n_nodes,)
    cost : float
    """
    best, least = fold, cost(fold, refiner.counts, refiner.n_folds, imbalance, FINAL_PENALTY)
    for penalty in PENALTIES:
        kept, component = _kept_components(refiner.adjacency, fold)
        assigned = np.full(len(fold), -1, dtype=np.intp)
        assigned[kept] = assign(component, refiner.counts[kept])
        fold = refiner.refine(assigned, imbalance, penalty)
        for found in (assigned, fold):
            found_cost = cost(found, refiner.counts, refiner.n_folds, imbalance, FINAL_PENALTY)
            if found_cost < least:
                best, least = found, found_cost
    return best, least


def _kept_components(
    adjacency: csr_array, fold: NDArray[np.intp]
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Return the mask of the nodes that are kept, and their components."""
    kept = fold >= 0
    return kept, connected_components(adjacency[kept][:, kept], directed=False)[1]
