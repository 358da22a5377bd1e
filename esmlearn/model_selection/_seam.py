"""Move the seam between folds, the rows set aside such that no edge joins two folds, to lose fewer.

This is the refinement of vertex separators by Fiduccia and Mattheyses (Proc. 19th Design Automation
Conference, 175-181, 1982), with a price on folds that are not even.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from esmlearn.model_selection._assignment import Tolerances, distinct_rows, rows_per_label

MAX_PASSES = 10
MAX_LOSING_MOVES = 50
_LEAST_GAIN = 1e-6
_DIGITS = 6  # of gains, so that ties are not decided by how they are rounded

# Takes the rows of each stratum (n_strata, n_cases), the fold of each case (n_cases,) and how many
# rows are kept in all; returns how many rows of each case (n_cases,) are too many or missing.
Excess = Callable[[NDArray[np.float64], NDArray[np.intp], float], NDArray[np.float64]]


@dataclass(frozen=True)
class Unevenness:
    """How many rows of a fold are beyond what is tolerated, of its size and of each stratum.

    Attributes
    ----------
    fractions : ndarray of shape (n_folds,)
        Share of the rows that each fold is to hold.
    whole : ndarray of shape (n_strata,)
        Share of each stratum that each fold is to hold.
    tolerances : Tolerances
        How even the folds are to be; no tolerance is less than one row.
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


def above(limit: float) -> Excess:
    """Return what counts the rows of a fold above a limit."""
    return lambda held, fold, kept: np.maximum(held.sum(axis=0) - limit, 0)


def cost(
    fold: NDArray[np.intp], counts: NDArray[np.int64], n_folds: int, excess: Excess, price: float
) -> float:
    """Return the rows set aside, and the price of what is uneven; infinite if a fold is empty."""
    kept = fold >= 0
    held = rows_per_label(counts[kept], fold[kept], n_folds).astype(float)
    if not held.sum(axis=1).all():
        return np.inf
    uneven = excess(held.T, np.arange(n_folds), held.sum()).sum()
    return float(counts[~kept].sum() + price * uneven)


class SeamMover:
    """Move seams of one graph, again and again.

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
        self.near = np.zeros(len(counts), dtype=bool)

    def move(self, fold: NDArray[np.intp], excess: Excess, price: float) -> NDArray[np.intp]:
        """Return folds that cost less in rows set aside and beyond what is tolerated.

        A node that is set aside goes to a fold, and its neighbours in other folds are set aside in
        its place. The best of these moves is made over and over, for a while at a loss too, each
        node once; the best folds seen are the start of the next pass, until a pass finds none
        better.

        Parameters
        ----------
        fold : ndarray of shape (n_nodes,)
            Folds without an edge between two of them; -1 is set aside.
        excess : callable
            Counts the rows of each fold that are too many or missing.
        price : float
            How many rows set aside one of these is worth.

        Returns
        -------
        fold : ndarray of shape (n_nodes,)
            Without an edge between two folds.
        """
        if not (fold < 0).any():
            return fold
        self._come_near(fold)
        outside = ~self.near & (fold >= 0)
        held = rows_per_label(self.counts[outside], fold[outside], self.n_folds).T
        best = fold[self.near]
        for _ in range(MAX_PASSES):
            better = _Seam(self.proteins, best, held, excess, price).improve()
            if better is None:
                break
            best = better
        fold = fold.copy()
        fold[self.near] = best
        return fold

    def _come_near(self, fold: NDArray[np.intp]) -> None:
        """Keep the components with nodes set aside at hand; no others are ever touched."""
        near = np.isin(self.component, self.component[fold < 0])
        if not np.array_equal(near, self.near):
            self.near = near
            inside = csr_array(self.adjacency[near][:, near]).astype(float)
            self.proteins = _Proteins(inside, self.counts[near].astype(float))


class _Proteins:
    """Nodes, how many rows of each stratum they stand for, and types of nodes that are alike."""

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


class _Seam:
    """Folds, what is set aside between them, and what each move would gain.

    `held` are the rows of each stratum in each fold, `ties` those of a node's neighbours.
    """

    def __init__(
        self,
        proteins: _Proteins,
        fold: NDArray[np.intp],
        held: NDArray[np.int64],
        excess: Excess,
        price: float,
    ) -> None:
        self.proteins, self.fold = proteins, fold.copy()
        self.excess, self.price = excess, price
        per_fold = proteins.per_fold(fold, held.shape[1])
        self.held = held + per_fold.sum(axis=0).reshape(held.shape)
        ties = (proteins.adjacency @ per_fold).toarray().T
        self.ties = np.ascontiguousarray(ties).reshape(*held.shape, -1)
        self.tied = self.ties.sum(axis=0)
        self.locked = np.zeros(len(fold), dtype=bool)

    def improve(self) -> NDArray[np.intp] | None:
        """Make moves as long as they pay now and then; return the best folds, None if no better."""
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
        """Return the rows set aside and the price of what is uneven, up to a constant."""
        return float(self.price * self._beyond(self.held).sum() - self.held.sum())

    def _beyond(
        self, held: NDArray[np.float64], fold: NDArray[np.intp] | None = None
    ) -> NDArray[np.float64]:
        """Return how many rows are too many or missing; `fold` None is all folds."""
        fold = np.arange(self.held.shape[1]) if fold is None else fold
        return self.excess(held, fold, self.held.sum())

    def _best_move(self) -> tuple[int, int] | None:
        """Return a node that is set aside, and the fold that it is to go to."""
        aside = np.flatnonzero((self.fold < 0) & ~self.locked)
        if not len(aside):
            return None
        now = self._beyond(self.held)
        joining = self._joining(now)[:, self.proteins.type_of[aside]]
        gain = self.proteins.rows[aside] - self.price * joining
        leaving = self.tied[:, aside]
        fold, i = leaving.nonzero()
        left = self.held[:, fold] - self.ties[:, fold, aside[i]]
        leaving[fold, i] += self.price * (self._beyond(left, fold) - now[fold])
        gain = np.round(gain + leaving - leaving.sum(axis=0), _DIGITS)
        goal, v = np.unravel_index(int(np.argmax(gain)), gain.shape)
        return int(aside[v]), int(goal)

    def _joining(self, now: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what each fold would have more beyond what is tolerated with a node of each type.

        `now` is what each fold has beyond it now.
        """
        types = self.proteins.types
        (n_strata, n_folds), n_types = self.held.shape, types.shape[1]
        joined = (self.held[:, :, None] + types[:, None]).reshape(n_strata, -1)
        fold = np.repeat(np.arange(n_folds), n_types)
        return self._beyond(joined, fold).reshape(n_folds, n_types) - now[:, None]

    def _move(self, v: int, goal: int) -> None:
        """Give a node to a fold, and set its neighbours elsewhere aside."""
        neighbours = self.proteins.neighbours(v)
        for other in neighbours[(self.fold[neighbours] >= 0) & (self.fold[neighbours] != goal)]:
            self._count(other, self.fold[other], -1)
            self.fold[other] = -1
        self._count(v, goal, 1)
        self.fold[v], self.locked[v] = goal, True

    def _count(self, v: int, fold: int, sign: int) -> None:
        neighbours = self.proteins.neighbours(v)
        self.ties[:, fold, neighbours] += sign * self.proteins.counts[v][:, None]
        self.tied[fold, neighbours] += sign * self.proteins.rows[v]
        self.held[:, fold] += sign * self.proteins.counts[v]
