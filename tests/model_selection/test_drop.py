"""Rows set aside so that no edge joins two folds: how few, and of which strata."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from esmlearn.model_selection._assignment import Tolerances
from esmlearn.model_selection._cover import crossing_edges, minimum_vertex_cover, shrink_cover
from esmlearn.model_selection._drop import _missing, lost_rows, partitions, set_aside
from esmlearn.model_selection._plan import FoldPlanner
from tests.model_selection._graphs import modular_graph


def from_edges(n_nodes, edges):
    i, j = np.transpose(edges)
    upper = csr_array((np.ones(len(i), dtype=bool), (i, j)), shape=(n_nodes, n_nodes))
    return csr_array(upper + upper.T)


def covered(adjacency, fold, rows):
    cover, _ = minimum_vertex_cover(crossing_edges(adjacency, fold), rows)
    fold = fold.copy()
    fold[cover] = -1
    return fold


def test_a_seam_moves_to_where_it_is_thin():
    # Two cliques of 5 with one bridge (4-5); the folds cut through the second clique.
    cliques = [(i, j) for start in (0, 5) for i in range(start, start + 5) for j in range(i)]
    edges = [(i, j) for i, j in cliques if j >= 5 * (i // 5)] + [(4, 5)]
    adjacency, rows = from_edges(10, edges), np.ones(10, dtype=np.int64)
    fold = covered(adjacency, np.array([0] * 7 + [1] * 3), rows)
    assert (fold < 0).sum() == 2
    better = shrink_cover(adjacency, fold, rows, rows.astype(float), limit=6)
    assert (better < 0).sum() == 1
    assert not len(crossing_edges(adjacency, better))


def test_no_fold_grows_beyond_its_limit():
    adjacency = from_edges(4, [(0, 1), (1, 2), (2, 3)])
    fold, rows = np.array([0, 0, -1, 1]), np.ones(4, dtype=np.int64)
    assert (shrink_cover(adjacency, fold, rows, rows.astype(float), limit=2) < 0).sum() == 1
    # Nothing is lost with room for all in one fold.
    room = shrink_cover(adjacency, np.array([0, 0, -1, 0]), rows, rows.astype(float), limit=4)
    assert room.tolist() == [0, 0, 0, 0]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(20, 80))
def test_covers_stay_covers_and_never_grow(seed, n_folds, n_nodes):
    adjacency, module = modular_graph(n_nodes, 5, inside=0.3, across=0.03, seed=seed)
    rows = np.random.default_rng(seed).integers(1, 4, n_nodes)
    fold = covered(adjacency, module % n_folds, rows)
    limit = float(max(np.bincount(fold[fold >= 0], weights=rows[fold >= 0])))
    better = shrink_cover(adjacency, fold, rows, rows.astype(float), limit)
    assert not len(crossing_edges(adjacency, better))
    assert rows[better < 0].sum() <= rows[fold < 0].sum()
    assert np.bincount(better[better >= 0], weights=rows[better >= 0]).max() <= limit
    again = shrink_cover(adjacency, fold, rows, rows.astype(float), limit)
    np.testing.assert_array_equal(better, again)


def test_strata_of_the_seam_come_to_cost_more():
    # Pairs across the seam, each of a common and a rare protein: either of the two will do.
    n_pairs = 40
    edges = [(i, n_pairs + i) for i in range(n_pairs)]
    adjacency = from_edges(2 * n_pairs, edges)
    rare = np.arange(2 * n_pairs) < n_pairs
    counts = np.column_stack([~rare, rare]).astype(np.int64)
    counts[~rare, 0] = 2  # so that the first cover takes the rare ones, and all of these
    start, _ = set_aside(adjacency, counts.sum(axis=1), rare.astype(np.intp), 120.0)
    found = list(partitions(adjacency, counts, start, 120.0, lambda atom, held: atom % 2))
    shares = [np.abs(_missing(counts, fold >= 0)).max() for fold in found]
    assert (found[0] < 0).sum() <= n_pairs
    assert min(shares) <= shares[0]


def test_what_no_fold_can_hold_counts_as_lost():
    adjacency = from_edges(6, [(0, 1), (1, 2), (2, 3), (3, 4)])
    fold, rows = np.array([0, 0, 0, 0, -1, 1]), np.full(6, 2)
    assert lost_rows(adjacency, rows, fold, limit=8) == 2
    assert lost_rows(adjacency, rows, fold, limit=5) == 2 + 3


def test_folds_that_may_be_uneven_lose_fewer_rows():
    # Three cliques of 14 in a row, the first two joined by four edges and the others by one, and
    # 21 loose proteins: a fold of 21 holds one clique, and one that may be larger two.
    cliques = [(i, j) for a in (0, 14, 28) for i in range(a, a + 14) for j in range(a, i)]
    edges = [*cliques, *((i, 14 + i) for i in range(4)), (27, 28)]
    adjacency, counts = from_edges(63, edges), np.ones((63, 1), dtype=np.int64)
    lost, largest = [], []
    for size in (0.01, 0.5):
        planner = FoldPlanner(
            np.full(3, 1 / 3), on_large_component="drop", tolerances=Tolerances(size=size)
        )
        fold = planner.plan(adjacency, counts).fold
        lost.append(int((fold < 0).sum()))
        largest.append(int(np.bincount(fold[fold >= 0]).max()))
    assert lost == [5, 1]
    assert largest[0] <= 21 < largest[1] <= 1.5 * 21


def test_the_missing_are_told_in_units_of_the_tolerance():
    counts = np.array([[1, 0]] * 5 + [[0, 1]] * 5)
    kept = np.ones(10, dtype=bool)
    assert _missing(counts, kept).tolist() == [0, 0]
    kept[:1] = False
    assert _missing(counts, kept) == pytest.approx([(0.5 - 4 / 9) / 0.005, (0.5 - 5 / 9) / 0.005])
