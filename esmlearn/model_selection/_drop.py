"""Folds that no homology joins, at the cost of rows that are set aside."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from esmlearn.model_selection._assignment import USUAL, Tolerances
from esmlearn.model_selection._cover import crossing_edges, minimum_vertex_cover, shrink_cover

MAX_EMPHASES = 5
EMPHASIS = 1.4

Deal = Callable[[NDArray[np.intp], NDArray[np.int64]], NDArray[np.intp]]


def set_aside(
    adjacency: csr_array, rows: NDArray[np.int64], fold: NDArray[np.intp], limit: float
) -> tuple[NDArray[np.intp], str]:
    """Return folds without an edge between two of them, -1 for few rows, and how these were found.

    Parameters
    ----------
    adjacency : csr_array of shape (n_nodes, n_nodes)
        Who is a homolog of whom.
    rows : ndarray of shape (n_nodes,)
        Rows that a node stands for.
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
    cover, method = minimum_vertex_cover(crossing_edges(adjacency, fold), rows)
    fold = fold.copy()
    fold[cover] = -1
    return shrink_cover(adjacency, fold, rows, rows.astype(float), limit), method


def lost_rows(
    adjacency: csr_array, rows: NDArray[np.int64], fold: NDArray[np.intp], limit: float
) -> float:
    """Return the rows set aside, and those of a component that no fold can hold in addition."""
    kept = fold >= 0
    component = connected_components(adjacency[kept][:, kept], directed=False)[1]
    largest = np.bincount(component, weights=rows[kept]).max()
    return float(rows[~kept].sum() + max(largest - limit, 0))


def partitions(
    adjacency: csr_array,
    counts: NDArray[np.int64],
    fold: NDArray[np.intp],
    limit: float,
    deal: Deal,
    tolerances: Tolerances = USUAL,
) -> Iterator[NDArray[np.intp]]:
    """Yield ways to set rows aside so that no edge joins two folds.

    The first sets fewest rows aside. Those come from the seam of a large component, so that their
    strata may be missing from all folds alike; in each further way it costs more to set rows of
    these strata aside.

    Parameters
    ----------
    adjacency : csr_array of shape (n_nodes, n_nodes)
        Who is a homolog of whom.
    counts : ndarray of shape (n_nodes, n_strata)
        Rows of each stratum that a node stands for.
    fold : ndarray of shape (n_nodes,)
        Folds without an edge between two of them; -1 is set aside.
    limit : float
        The most rows of a fold.
    deal : callable
        Takes the component of each node that is kept and its counts; returns its fold.
    tolerances : Tolerances, default=USUAL
        What need not be made more even.

    Yields
    ------
    fold : ndarray of shape (n_nodes,)
    """
    rows, emphasis = counts.sum(axis=1), np.ones(counts.shape[1])
    for _ in range(MAX_EMPHASES):
        yield _dealt_again(adjacency, counts, fold, deal)
        missing = _missing(counts, fold >= 0, tolerances)
        if np.abs(missing).max() <= 1:
            break
        emphasis *= EMPHASIS ** np.clip(missing, -1, 1)
        emphasis /= emphasis.min()
        fold = shrink_cover(adjacency, fold, rows, counts @ emphasis, limit)


def _missing(
    counts: NDArray[np.int64], kept: NDArray[np.bool_], tolerances: Tolerances = USUAL
) -> NDArray[np.float64]:
    """Return by how much each stratum's share fell among what is kept, over what is tolerated."""
    whole, left = counts.sum(axis=0), counts[kept].sum(axis=0)
    return (whole / whole.sum() - left / left.sum()) / tolerances.share


def _dealt_again(
    adjacency: csr_array, counts: NDArray[np.int64], fold: NDArray[np.intp], deal: Deal
) -> NDArray[np.intp]:
    """Return folds of the components of what is kept, and of what may come back to them."""
    kept = fold >= 0
    component = connected_components(adjacency[kept][:, kept], directed=False)[1]
    fold = np.full(len(fold), -1, dtype=np.intp)
    fold[kept] = deal(component, counts[kept])
    return _take_back(adjacency, fold, counts.sum(axis=1))


def _take_back(
    adjacency: csr_array, fold: NDArray[np.intp], rows: NDArray[np.int64]
) -> NDArray[np.intp]:
    """Give set-aside nodes whose kept homologs are all in one fold back to that fold."""
    for v in np.flatnonzero(fold < 0):
        neighbours = fold[adjacency.indices[adjacency.indptr[v] : adjacency.indptr[v + 1]]]
        homes = np.unique(neighbours[neighbours >= 0])
        if len(homes) == 1:
            fold[v] = homes[0]
        elif not len(homes):
            fold[v] = np.bincount(fold[fold >= 0], weights=rows[fold >= 0]).argmin()
    return fold
