import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esmlearn.clustering import HomologyGraph, count_searches, homology_graph
from esmlearn.clustering._nodes import row_digests
from esmlearn.exceptions import DataError
from tests._proteins import make_families

FAMILIES, LABELS = make_families(6, [1, 2, 3, 3, 4, 2], length=60, identity=0.8, seed=7)


def edge_set(graph):
    """Edges as pairs of digests, with all their values."""
    names = ("identity", "coverage_shorter", "coverage_longer", "evalue", "score")
    values = zip(*(getattr(graph, name) for name in names), strict=True)
    return {
        (graph.digests[i], graph.digests[j], *value)
        for (i, j), value in zip(graph.edges, values, strict=True)
    }


@pytest.fixture
def graph():
    return homology_graph(FAMILIES)


def test_components_are_the_families(graph):
    labels = graph.components()[graph.node_of(FAMILIES)]
    assert len(set(zip(labels, LABELS, strict=True))) == len(set(LABELS)) == len(set(labels))


def test_arrays_are_consistent(graph):
    assert graph.n_nodes == len(FAMILIES)
    assert sorted(graph.digests) == graph.digests.tolist()
    assert (graph.edges[:, 0] < graph.edges[:, 1]).all()
    assert sorted(map(tuple, graph.edges.tolist())) == list(map(tuple, graph.edges.tolist()))
    for values in (graph.identity, graph.coverage_shorter, graph.coverage_longer):
        assert values.shape == (graph.n_edges,)
        assert ((values > 0) & (values <= 1)).all()
    adjacency = graph.adjacency()
    assert (adjacency != adjacency.T).nnz == 0
    assert adjacency.diagonal().sum() == 0
    assert adjacency.nnz == 2 * graph.n_edges


def test_is_immutable(graph):
    with pytest.raises(ValueError, match="read-only"):
        graph.edges[0, 0] = 5
    with pytest.raises(AttributeError):
        graph.edges = None
    with pytest.raises(TypeError):
        graph.description["engine"] = "other"


def test_pickle_keeps_everything(graph):
    copy = pickle.loads(pickle.dumps(graph))
    assert edge_set(copy) == edge_set(graph)
    assert copy.description == graph.description
    with pytest.raises(ValueError, match="read-only"):
        copy.edges[0, 0] = 5


@given(st.permutations(range(len(FAMILIES))), st.data())
@settings(max_examples=25, deadline=None)
def test_order_copies_case_and_gaps_do_not_matter(order, data):
    reference = homology_graph(FAMILIES, cache=None)
    copies = data.draw(st.lists(st.sampled_from(order), max_size=5))
    shuffled = [FAMILIES[i] for i in order] + [FAMILIES[i].lower() + "-" for i in copies]
    graph = homology_graph(shuffled, cache=None)
    np.testing.assert_array_equal(graph.digests, reference.digests)
    assert edge_set(graph) == edge_set(reference)


@given(st.sets(st.integers(0, len(FAMILIES) - 1), min_size=1))
@settings(max_examples=40, deadline=None)
def test_restrict_is_the_induced_subgraph_and_the_graph_of_the_subset(rows):
    whole = homology_graph(FAMILIES, cache=None)
    subset = [FAMILIES[i] for i in sorted(rows)]
    part = whole.restrict(subset)
    inside = set(row_digests(subset))
    assert set(part.digests) == inside
    assert edge_set(part) == {e for e in edge_set(whole) if {e[0], e[1]} <= inside}
    assert (part.edges[:, 0] < part.edges[:, 1]).all()
    # Significance does not depend on the size of the set: searching the subset alone is the same.
    pairs = FAMILIES.index(subset[0]), FAMILIES.index(subset[-1])
    alone = homology_graph([FAMILIES[i] for i in pairs], cache=None)
    assert edge_set(alone) <= edge_set(whole)


def test_copies_share_a_node():
    sequence = FAMILIES[0]
    graph = homology_graph([sequence, sequence.lower(), sequence[:9] + "-" + sequence[9:]])
    assert graph.n_nodes == 1
    assert graph.n_edges == 0
    assert graph.node_of([sequence, sequence.lower()]).tolist() == [0, 0]
    assert graph.components().tolist() == [0]


def test_one_sequence():
    graph = homology_graph(["M"])
    assert (graph.n_nodes, graph.n_edges) == (1, 0)
    assert graph.adjacency().shape == (1, 1)
    assert graph.description["n_never_significant"] == 1


def test_unknown_sequence_is_named(graph):
    with pytest.raises(DataError, match=r"sequences\[1\] is not in the graph \(1 of 2"):
        graph.node_of([FAMILIES[0], "MKV"])


def test_margin_edges_and_nominal_edges():
    sequences, _ = make_families(10, 4, length=150, identity=0.55, seed=2)
    everything = homology_graph(sequences, identity=0, coverage=0, coverage_mode="any", margin=0)
    graph = homology_graph(sequences, identity=0.35, coverage=0.6, margin=0.05)
    strict = homology_graph(sequences, identity=0.35, coverage=0.6, margin=0)
    assert edge_set(graph.nominal()) == edge_set(strict)
    assert edge_set(strict) < edge_set(graph) < edge_set(everything)
    assert (graph.identity >= 0.3).all()
    assert (graph.coverage_shorter >= 0.4).all()
    assert edge_set(everything.filter(identity=0.35, coverage=0.6)) == edge_set(strict)
    assert count_searches() == 1


def test_coverage_modes():
    long = "MKVLATGGARQWEDSTHNPYFCIMKVLRTGGAEQ" * 3
    parameters = {"identity": 0.9, "coverage": 0.8, "margin": 0}
    sequences = [long[:50], long[:102]]
    assert homology_graph(sequences, coverage_mode="shorter", **parameters).n_edges == 1
    assert homology_graph(sequences, coverage_mode="both", **parameters).n_edges == 0
    assert homology_graph(sequences, coverage_mode="any", **parameters).n_edges == 1
    with pytest.raises(DataError, match="coverage_mode is 'half'"):
        homology_graph(sequences, coverage_mode="half")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("identity", 30, r"identity is 30; expected a number from 0 to 1. Did you mean 0.3\?"),
        ("coverage", -0.1, "coverage is -0.1"),
        ("margin", "5", "margin is '5'"),
        ("evalue", 0, "evalue is 0"),
        ("engine", "blast", "engine is 'blast'"),
    ],
)
def test_bad_parameters(name, value, message):
    with pytest.raises(DataError, match=message):
        homology_graph(FAMILIES, **{name: value})


@pytest.mark.parametrize("number", [np.float32, np.float64])
def test_thresholds_of_any_float_type(number):
    graph = homology_graph(FAMILIES, identity=number(0.25), evalue=number(1e-3))
    assert graph.description["thresholds"]["identity"] == 0.25


def test_precomputed_edges():
    graph = HomologyGraph.from_edges(
        ["MKV", "AAA", "mkv", "CCC"],
        [[3, 0], [2, 3], [0, 2], [1, 1]],
        identity=[0.5, 0.9, 1.0, 1.0],
        evalue=[1e-5, 1e-5, 0, 0],
    )
    assert graph.description["engine"] == "precomputed"
    assert graph.n_nodes == 3
    assert graph.identity.tolist() == [0.9]
    assert sorted(graph.edges[0]) == sorted(graph.node_of(["MKV", "CCC"]))
    assert graph.nominal() is graph


def test_precomputed_edges_without_any():
    graph = HomologyGraph.from_edges(["MKV", "AAA"], [])
    assert graph.n_edges == 0
    assert len(set(graph.components())) == 2


def test_precomputed_edges_out_of_range():
    with pytest.raises(DataError, match=r"edges\[1\] is \[0, 2\]; expected two rows of the 2"):
        HomologyGraph.from_edges(["MKV", "AAA"], [[0, 1], [0, 2]])


def test_repr_and_description(graph):
    assert repr(graph) == f"<HomologyGraph of 15 proteins, {graph.n_edges} edges, by exact>"
    about = graph.description
    assert about["version"].startswith("pyopal")
    assert about["thresholds"]["identity"] == 0.3
    assert about["lowered_thresholds"]["identity"] == 0.25
    assert about["n_edges"] == graph.n_edges
