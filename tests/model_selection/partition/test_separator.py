"""Rows set aside so that no edge joins two folds: how few, and of which strata."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from esmlearn.model_selection._partition.assignment import Tolerances
from esmlearn.model_selection._partition.planner import FoldPlanner
from esmlearn.model_selection._partition.separator import (
    Imbalance,
    SeparatorRefiner,
    cost,
    crossing_edges,
    lost_rows,
    minimum_vertex_cover,
    rebalance_separator,
    rows_above,
    set_aside,
)
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


def shrunk(adjacency, fold, rows, n_folds, limit):
    return SeparatorRefiner(adjacency, rows[:, None], n_folds).refine(
        fold, rows_above(limit), penalty=100.0
    )


def test_a_separator_moves_to_where_it_is_thin():
    # Two cliques of 5 with one bridge (4-5); the folds cut through the second clique.
    cliques = [(i, j) for start in (0, 5) for i in range(start, start + 5) for j in range(i)]
    edges = [(i, j) for i, j in cliques if j >= 5 * (i // 5)] + [(4, 5)]
    adjacency, rows = from_edges(10, edges), np.ones(10, dtype=np.int64)
    fold = covered(adjacency, np.array([0] * 7 + [1] * 3), rows)
    assert (fold < 0).sum() == 2
    better = shrunk(adjacency, fold, rows, 2, limit=6)
    assert (better < 0).sum() == 1
    assert not len(crossing_edges(adjacency, better))


def test_no_fold_grows_beyond_its_limit():
    adjacency = from_edges(4, [(0, 1), (1, 2), (2, 3)])
    fold, rows = np.array([0, 0, -1, 1]), np.ones(4, dtype=np.int64)
    assert (shrunk(adjacency, fold, rows, 2, limit=2) < 0).sum() == 1
    # Nothing is lost with room for all in one fold.
    room = shrunk(adjacency, np.array([0, 0, -1, 0]), rows, 1, limit=4)
    assert room.tolist() == [0, 0, 0, 0]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(20, 80))
def test_covers_stay_covers_and_never_grow(seed, n_folds, n_nodes):
    adjacency, module = modular_graph(n_nodes, 5, inside=0.3, across=0.03, seed=seed)
    rows = np.random.default_rng(seed).integers(1, 4, n_nodes)
    fold = covered(adjacency, module % n_folds, rows)
    limit = float(max(np.bincount(fold[fold >= 0], weights=rows[fold >= 0])))
    better = shrunk(adjacency, fold, rows, n_folds, limit)
    assert not len(crossing_edges(adjacency, better))
    assert rows[better < 0].sum() <= rows[fold < 0].sum()
    assert np.bincount(better[better >= 0], weights=rows[better >= 0]).max() <= limit
    again = shrunk(adjacency, fold, rows, n_folds, limit)
    np.testing.assert_array_equal(better, again)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(20, 80))
def test_a_separator_never_moves_to_where_it_costs_more(seed, n_folds, n_nodes):
    adjacency, module = modular_graph(n_nodes, 5, inside=0.3, across=0.03, seed=seed)
    counts = np.random.default_rng(seed).integers(0, 3, (n_nodes, 3)) + 1
    whole = counts.sum(axis=0) / counts.sum()
    imbalance = Imbalance(np.full(n_folds, 1 / n_folds), whole, Tolerances(0.05, 0.02))
    fold = covered(adjacency, module % n_folds, counts.sum(axis=1))
    before = cost(fold, counts, n_folds, imbalance, 2.0)
    moved = SeparatorRefiner(adjacency, counts, n_folds).refine(fold, imbalance, 2.0)
    assert not len(crossing_edges(adjacency, moved))
    assert cost(moved, counts, n_folds, imbalance, 2.0) <= before + 1e-6


def test_rows_are_counted_beyond_what_is_tolerated():
    # Two folds of 60 and 40 rows; the first has 40 of a stratum that makes up 60 % of all.
    held = np.array([[40.0, 20.0], [20.0, 20.0]])
    folds = np.arange(2)
    loose = Imbalance(np.full(2, 0.5), np.array([0.6, 0.4]), Tolerances(0.2, 0.1))
    assert loose(held, folds, 100.0).tolist() == pytest.approx([0, 0])
    strict = Imbalance(np.full(2, 0.5), np.array([0.6, 0.4]), Tolerances(0.1, 0.05))
    # Size: 10 less 5. Strata: 40 - 36 and 20 - 24 less 3; 20 - 24 and 20 - 16 less 2.
    assert strict(held, folds, 100.0).tolist() == pytest.approx([5 + 2, 5 + 4])
    exact = Imbalance(np.full(2, 0.5), np.array([0.6, 0.4]), Tolerances(0.0, 0.0))
    one_row = np.array([[31.0, 29.0], [20.0, 20.0]])  # no tolerance is less than one row
    assert exact(one_row, folds, 100.0).tolist() == pytest.approx([0, 0])


def test_an_empty_fold_has_infinite_cost():
    imbalance = Imbalance(np.full(2, 0.5), np.ones(1), Tolerances())
    assert (
        cost(np.zeros(4, dtype=np.intp), np.ones((4, 1), dtype=np.int64), 2, imbalance, 1) == np.inf
    )


def test_rows_of_a_separator_are_like_the_whole():
    # Pairs across the cut, each of a common and a rare protein: either of the two will do.
    n_pairs = 40
    adjacency = from_edges(2 * n_pairs, [(i, n_pairs + i) for i in range(n_pairs)])
    rare = np.arange(2 * n_pairs) < n_pairs
    counts = np.column_stack([~rare, rare]).astype(np.int64)
    counts[~rare, 0] = 2  # so that the first cover takes the rare ones, and all of these
    rows = counts.sum(axis=1, keepdims=True)
    start, _ = set_aside(SeparatorRefiner(adjacency, rows, 2), rare.astype(np.intp), 60.0)
    imbalance = Imbalance(np.full(2, 0.5), np.array([2 / 3, 1 / 3]), Tolerances(0.1, 0.05))
    before = cost(start, counts, 2, imbalance, 2.0)
    refiner = SeparatorRefiner(adjacency, counts, 2)
    fold, after = rebalance_separator(refiner, start, lambda group, held: group % 2, imbalance)
    assert not len(crossing_edges(adjacency, fold))
    assert after == cost(fold, counts, 2, imbalance, 2.0) <= before


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
