import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import block_diag, csr_array

from esmlearn.model_selection._partition.components import PURGE_CUTS
from esmlearn.model_selection._partition.planner import FoldPlan, FoldPlanner
from tests.model_selection._graphs import modular_graph

FIFTHS = np.full(5, 0.2)


@pytest.fixture
def assigned(monkeypatch):
    """Number of parts of each cut that was assigned to folds."""
    n_pieces, purged = [], FoldPlanner._purged

    def noted(self, problem, group, record):
        n_pieces.append(record["n_pieces"])
        return purged(self, problem, group, record)

    monkeypatch.setattr(FoldPlanner, "_purged", noted)
    return n_pieces


def with_loners(adjacency, label, n_loners):
    """Add proteins without homologs; return the pairs of homologs and the rows per class."""
    loners = csr_array((n_loners, n_loners), dtype=bool)
    adjacency = csr_array(block_diag([adjacency, loners]).tocsr())
    n_classes = label.max() + 1
    label = np.concatenate([label, np.arange(n_loners) % n_classes])
    return adjacency, np.eye(n_classes, dtype=np.int64)[label]


def test_parts_that_no_even_fold_can_hold_are_not_assigned(assigned):
    adjacency, module = modular_graph(600, 3, inside=0.05, across=0.001)
    adjacency, counts = with_loners(adjacency, module, 400)
    plan = FoldPlanner(FIFTHS).plan(adjacency, counts)
    assert assigned[0] > 3  # each of three parts is of a class of its own
    assert plan.deviation(counts, FIFTHS) <= 1


def test_parts_like_the_whole_set_are_assigned_at_once(assigned):
    adjacency, _ = modular_graph(600, 3, inside=0.05, across=0.001)
    FoldPlanner(FIFTHS).plan(*with_loners(adjacency, np.arange(600) % 3, 400))
    assert assigned == [3]


def test_where_no_parts_can_be_even_every_cut_is_assigned(assigned):
    path = csr_array(np.eye(800, k=1, dtype=bool) | np.eye(800, k=-1, dtype=bool))
    FoldPlanner(FIFTHS).plan(*with_loners(path, np.arange(800) // 40, 200))
    assert len(assigned) == len(PURGE_CUTS)


@given(seed=st.integers(0, 2**31), n_folds=st.integers(2, 4))
def test_the_loss_is_that_of_the_training_nodes(seed, n_folds):
    rng = np.random.default_rng(seed)
    adjacency, _ = modular_graph(40, 3, inside=0.1, across=0.02, seed=seed)
    fold = rng.integers(-1, n_folds, 40)
    fold[:n_folds] = np.arange(n_folds)
    counts = rng.integers(1, 4, (40, 2))
    plan, rows = FoldPlan(fold, adjacency), counts.sum(axis=1)
    kept = [rows[plan.training_nodes(f)].sum() / rows[fold != f].sum() for f in range(n_folds)]
    assert plan.loss(counts) == pytest.approx(1 - np.mean(kept))
