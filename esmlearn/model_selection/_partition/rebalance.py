"""Move single proteins of components that were cut from fold to fold, until the folds are even."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from esmlearn.model_selection._partition.assignment import (
    DEFAULT_TOLERANCES,
    Tolerances,
    rows_per_label,
    signed_deviations,
)

MAX_MOVED_SHARE = 0.02


def rebalance(
    adjacency: csr_array,
    fold: NDArray[np.intp],
    counts: NDArray[np.int64],
    fractions: NDArray[np.float64],
    tolerances: Tolerances = DEFAULT_TOLERANCES,
) -> NDArray[np.intp]:
    """Return folds with fewer deviations, at the cost of a few more purged training rows.

    Whole parts of a large component rarely hold every stratum in proportion, and some strata occur
    nearly in that component alone. Only nodes of components that are cut already are moved, each
    once, those with fewest neighbours left behind first; nothing is moved once size and shares are
    within their tolerances.

    Parameters
    ----------
    adjacency : csr_array of shape (n_nodes, n_nodes)
        Pairs of homologs.
    fold : ndarray of shape (n_nodes,)
        A fold for every node.
    counts : ndarray of shape (n_nodes, n_strata)
        Rows of each stratum that a node stands for.
    fractions : ndarray of shape (n_folds,)
        Share of all rows that each fold is to hold.
    tolerances : Tolerances, default=DEFAULT_TOLERANCES
        Imbalance that need not be reduced.

    Returns
    -------
    fold : ndarray of shape (n_nodes,)
    """
    fold, n_folds = fold.copy(), len(fractions)
    links = adjacency.astype(float) @ (fold[:, None] == np.arange(n_folds))
    weight = np.asfortranarray(np.column_stack([counts, counts.sum(axis=1)]))
    has = weight > 0
    held = rows_per_label(counts, fold, n_folds).astype(float)
    movable = _in_cut_component(adjacency, links, fold)
    for _ in range(int(MAX_MOVED_SHARE * counts.sum())):
        deviation = signed_deviations(held, fractions, tolerances=tolerances)
        f, stratum = np.unravel_index(int(np.argmax(np.abs(deviation))), deviation.shape)
        if np.abs(deviation[f, stratum]) <= 1:
            break
        extreme = deviation[:, stratum]
        source, goal = (f, extreme.argmin()) if extreme[f] > 0 else (extreme.argmax(), f)
        nodes = np.flatnonzero(movable & (fold == source) & has[:, stratum])
        if not len(nodes):
            break
        left_behind = (links[nodes, source] - links[nodes, goal]) / weight[nodes, stratum]
        v = nodes[np.argmin(left_behind)]
        neighbours = adjacency.indices[adjacency.indptr[v] : adjacency.indptr[v + 1]]
        links[neighbours, source] -= 1
        links[neighbours, goal] += 1
        held[source] -= counts[v]
        held[goal] += counts[v]
        fold[v], movable[v] = goal, False
    return fold


def _in_cut_component(
    adjacency: csr_array, links: NDArray[np.float64], fold: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Return which nodes are in a component that lies in more than one fold."""
    component = connected_components(adjacency, directed=False)[1]
    on_boundary = (links > 0).sum(axis=1) - (links[np.arange(len(fold)), fold] > 0) > 0
    return np.isin(component, component[on_boundary])
