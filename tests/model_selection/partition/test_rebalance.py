import numpy as np
from scipy.sparse import block_diag, csr_array

from esmlearn.model_selection._partition.planner import FoldPlanner
from esmlearn.model_selection._partition.rebalance import rebalance
from tests.model_selection._graphs import modular_graph

HALVES = np.array([0.5, 0.5])


def one_hot(labels, n):
    return np.eye(n, dtype=np.int64)[labels]


def test_the_loosest_nodes_of_a_cut_component_move():
    n = 400
    path = csr_array(np.eye(n, k=1, dtype=bool) | np.eye(n, k=-1, dtype=bool))
    fold = (np.arange(n) >= 210).astype(int)
    moved = rebalance(path, fold, np.ones((n, 1), dtype=np.int64), HALVES)
    assert abs((moved == 0).sum() - 200) <= 2
    assert (moved[:150] == 0).all()  # only the nodes at the cut moved
    assert (moved[210:] == 1).all()


def test_even_folds_and_whole_components_are_left_alone():
    pairs = csr_array(block_diag([np.array([[0, 1], [1, 0]])] * 50).tocsr().astype(bool))
    counts = np.ones((100, 1), dtype=np.int64)
    even, uneven = np.repeat([0, 1], 50), np.repeat([0, 1], [60, 40])
    assert (rebalance(pairs, even, counts, HALVES) == even).all()
    assert (rebalance(pairs, uneven, counts, HALVES) == uneven).all()


def test_a_class_that_lives_in_the_large_component_is_spread():
    adjacency, module = modular_graph(600, 4, inside=0.05, across=0.001)
    adjacency = csr_array(block_diag([adjacency, csr_array((600, 600), dtype=bool)]).tocsr())
    label = np.concatenate([np.where(module == 0, 1, 0), np.zeros(600, dtype=int)])
    plan = FoldPlanner(np.full(5, 0.2)).plan(adjacency, one_hot(label, 2))
    assert plan.description["n_pieces"]
    assert plan.deviation(one_hot(label, 2), np.full(5, 0.2)) <= 3
