"""Folds that no homology joins, at the cost of rows that are set aside."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from esmlearn.model_selection._cover import crossing_edges, minimum_vertex_cover
from esmlearn.model_selection._seam import SeamMover, Unevenness, above, cost

# A row beyond what is tolerated costs as much as so many that are set aside. Above 1 rows are
# rather set aside than left uneven; the seam moves farther while that is cheap.
FINAL_PRICE = 2.0
PRICES = (0.5, FINAL_PRICE, FINAL_PRICE)

Deal = Callable[[NDArray[np.intp], NDArray[np.int64]], NDArray[np.intp]]


def set_aside(
    mover: SeamMover, fold: NDArray[np.intp], limit: float
) -> tuple[NDArray[np.intp], str]:
    """Return folds without an edge between two of them, -1 for few rows, and how these were found.

    Parameters
    ----------
    mover : SeamMover
        Of rows of a single stratum.
    fold : ndarray of shape (n_nodes,)
        A fold for every node.
    limit : float
        The most rows of a fold.

    Returns
    -------
    fold : ndarray of shape (n_nodes,)
    method : str
        How the first cover was found, see `minimum_vertex_cover`.
    """
    edges = crossing_edges(mover.adjacency, fold)
    cover, method = minimum_vertex_cover(edges, mover.counts[:, 0])
    fold = fold.copy()
    fold[cover] = -1
    return mover.move(fold, above(limit), FINAL_PRICE), method


def lost_rows(
    adjacency: csr_array, rows: NDArray[np.int64], fold: NDArray[np.intp], limit: float
) -> float:
    """Return the rows set aside, and those of a component that no fold can hold in addition."""
    kept, component = _kept_components(adjacency, fold)
    largest = np.bincount(component, weights=rows[kept]).max()
    return float(rows[~kept].sum() + max(largest - limit, 0))


def settle(
    mover: SeamMover, fold: NDArray[np.intp], deal: Deal, excess: Unevenness
) -> tuple[NDArray[np.intp], float]:
    """Return folds that are as even as is tolerated, and what they cost, see `cost`.

    The seam of a large component cannot be where fewest rows are lost if what it encloses is unlike
    the whole set. So the components of what is kept are dealt, the seam moves, at first while
    uneven folds are cheap, and both are done again.

    Parameters
    ----------
    mover : SeamMover
        Of the rows of each stratum.
    fold : ndarray of shape (n_nodes,)
        Folds without an edge between two of them; -1 is set aside.
    deal : callable
        Takes the component of each node that is kept and its counts; returns its fold.
    excess : Unevenness
        How even the folds are to be.

    Returns
    -------
    fold : ndarray of shape (n_nodes,)
    cost : float
    """
    best, least = fold, cost(fold, mover.counts, mover.n_folds, excess, FINAL_PRICE)
    for price in PRICES:
        dealt = _dealt_again(mover.adjacency, mover.counts, fold, deal)
        fold = mover.move(dealt, excess, price)
        for found in (dealt, fold):
            found_cost = cost(found, mover.counts, mover.n_folds, excess, FINAL_PRICE)
            if found_cost < least:
                best, least = found, found_cost
    return best, least


def _dealt_again(
    adjacency: csr_array, counts: NDArray[np.int64], fold: NDArray[np.intp], deal: Deal
) -> NDArray[np.intp]:
    """Return folds of the components of what is kept."""
    kept, component = _kept_components(adjacency, fold)
    fold = np.full(len(fold), -1, dtype=np.intp)
    fold[kept] = deal(component, counts[kept])
    return fold


def _kept_components(
    adjacency: csr_array, fold: NDArray[np.intp]
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Return which nodes are kept, and the components of these."""
    kept = fold >= 0
    return kept, connected_components(adjacency[kept][:, kept], directed=False)[1]
