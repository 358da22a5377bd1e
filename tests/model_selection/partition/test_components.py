import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

from esmlearn.exceptions import EngineNotFoundError
from esmlearn.model_selection._partition import components, separator
from esmlearn.model_selection._partition.components import (
    Cut,
    cut_component,
    cut_with_metis,
    cut_with_numpy,
)
from esmlearn.model_selection._partition.separator import (
    crossing_edges,
    greedy_vertex_cover,
    minimum_vertex_cover,
)
from tests.model_selection._graphs import modular_graph


def metis(adjacency, rows, n_parts):
    pytest.importorskip("pymetis", reason="pymetis is not installed")
    return cut_with_metis(adjacency, rows, n_parts, seed=0)


def agreement(a, b):
    """Return the share of nodes on which two labellings agree, up to names."""
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    i, j = linear_sum_assignment(-table)
    return table[i, j].sum() / len(a)


@pytest.mark.parametrize("cut", [metis, cut_with_numpy])
def test_modules_are_found_and_parts_are_even(cut):
    adjacency, module = modular_graph(240, 4, inside=0.3, across=0.001)
    part = cut(adjacency, np.ones(240, dtype=np.int64), 4)
    assert agreement(module, part) > 0.85
    assert np.bincount(part, minlength=4).max() <= 60 * 1.07


@pytest.mark.parametrize("cut", [metis, cut_with_numpy])
def test_parts_are_even_in_rows_not_nodes(cut):
    adjacency, _ = modular_graph(200, 10, inside=0.4, across=0.01)
    rows = np.where(np.arange(200) < 50, 5, 1)
    part = cut(adjacency, rows, 2)
    load = np.bincount(part, weights=rows)
    assert load.max() <= rows.sum() / 2 * 1.1


@pytest.mark.parametrize("n", [3, 50, 300])
def test_the_numpy_cut_copes_with_a_star_and_a_clique(n):
    star = np.zeros((n, n), dtype=bool)
    star[0, 1:] = star[1:, 0] = True
    for matrix in (star, ~np.eye(n, dtype=bool)):
        part = cut_with_numpy(csr_array(matrix), np.ones(n, dtype=np.int64), 2)
        assert set(part) == {0, 1}


def test_cuts_repeat():
    adjacency, _ = modular_graph(200, 5, inside=0.2, across=0.01)
    rows = np.ones(200, dtype=np.int64)
    first, method = cut_component(adjacency, rows, 3, seed=1)
    assert (first == cut_component(adjacency, rows, 3, seed=1)[0]).all()
    assert method in ("metis", "numpy")


@pytest.fixture
def without_metis(monkeypatch):
    def absent(*args, **kwargs):
        raise EngineNotFoundError("no pymetis")

    monkeypatch.setattr(components, "import_optional", absent)


@pytest.mark.usefixtures("without_metis")
def test_without_metis_the_fallback_is_recorded():
    adjacency, _ = modular_graph(60, 3, inside=0.4, across=0.02)
    assert cut_component(adjacency, np.ones(60, dtype=np.int64), 3)[1] == "numpy"


def check_uneven_parts():
    adjacency, _ = modular_graph(240, 4, inside=0.3, across=0.001)
    rows, shares = np.ones(240, dtype=np.int64), np.array([0.75, 0.25])
    part, method = cut_component(adjacency, rows, 2, shares=shares, tolerance=0.05)
    assert 0.6 * 240 < np.bincount(part).max() <= 0.75 * 240 * 1.05
    return method


def test_parts_may_be_uneven():
    pytest.importorskip("pymetis", reason="pymetis is not installed")
    assert check_uneven_parts() == "metis"


@pytest.mark.usefixtures("without_metis")
def test_parts_may_be_uneven_without_metis():
    assert check_uneven_parts() == "numpy"


@pytest.mark.parametrize(("size", "shares"), [(30, [0.7, 0.15, 0.15]), (20, None)])
def test_a_first_part_fills_a_fold(size, shares):
    found = Cut(fill_first=True).shares(size, 21, 3)
    assert found is shares or found.tolist() == pytest.approx(shares)


def test_groups_are_components_and_parts_of_the_large_ones():
    adjacency, module = modular_graph(120, 2, inside=0.3, across=0)
    group, record = Cut(2.0).groups(adjacency, np.ones(120, dtype=np.int64), module, limit=80)
    assert record["n_components"] == record["n_cut"] == 2
    assert record["n_pieces"] == len(set(group)) == 4
    assert all(len(set(module[group == part])) == 1 for part in set(group))


def test_one_part_needs_no_cut():
    adjacency, _ = modular_graph(20, 2, inside=0.5, across=0.1)
    part, method = cut_component(adjacency, np.ones(20, dtype=np.int64), 1)
    assert method == "none"
    assert not part.any()


def test_the_cover_of_a_star_is_its_centre():
    edges = np.array([[0, leaf] for leaf in range(1, 8)])
    cover, method = minimum_vertex_cover(edges, np.ones(8, dtype=np.int64))
    assert cover.tolist() == [0]
    assert method == "optimal"


def test_the_cover_counts_rows_not_nodes():
    edges = np.array([[0, 1], [0, 2]])
    cover, _ = minimum_vertex_cover(edges, np.array([9, 1, 1]))
    assert cover.tolist() == [1, 2]


def test_an_integer_program_beats_greed():
    # Bipartite trap: one hub per degree on the right draws greed away from the six on the left.
    left = range(6)
    edges, right = [], 6
    for degree in (2, 3, 4, 5, 6):
        for start in range(0, 6 - degree + 1, degree):
            edges += [(v, right) for v in list(left)[start : start + degree]]
            right += 1
    edges = np.array(edges)
    cover, method = minimum_vertex_cover(edges, np.ones(right, dtype=np.int64))
    assert method == "optimal"
    assert len(cover) <= 6
    assert np.isin(edges, cover).any(axis=1).all()


def test_greedy_covers_every_edge_and_is_the_fallback(monkeypatch):
    rng = np.random.default_rng(0)
    edges = np.unique(np.sort(rng.integers(0, 40, (100, 2)), axis=1), axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    greedy = greedy_vertex_cover(edges, np.ones(40))
    assert np.isin(edges, greedy).any(axis=1).all()

    class Nothing:
        x = None

    monkeypatch.setattr(separator, "milp", lambda *args, **kwargs: Nothing())
    cover, method = minimum_vertex_cover(edges, np.ones(40, dtype=np.int64))
    assert method == "greedy"
    assert np.isin(edges, cover).any(axis=1).all()


def test_no_edges_no_cover():
    cover, method = minimum_vertex_cover(np.zeros((0, 2), dtype=int), np.ones(3, dtype=np.int64))
    assert (len(cover), method) == (0, "none")


def test_crossing_edges_leave_out_what_is_set_aside():
    path = csr_array(np.eye(4, k=1, dtype=bool) | np.eye(4, k=-1, dtype=bool))
    assert crossing_edges(path, np.array([0, 0, 1, 1])).tolist() == [[1, 2]]
    assert crossing_edges(path, np.array([0, -1, 1, 1])).tolist() == []
