import logging
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esmlearn.clustering import _completion, _homology_graph, count_searches, homology_graph
from esmlearn.clustering._completion import INTERMEDIATE_THRESHOLDS, search_intermediates
from esmlearn.clustering._engines import exact as exact_module
from esmlearn.clustering._nodes import UniqueSequences
from tests._proteins import make_families

PROTEINS = make_families(4, [9, 6, 3, 2], length=70, identity=0.65, seed=3)[0]
NODES = UniqueSequences.of(PROTEINS)
EVERY_HIT = {"identity": 0.0, "coverage": 0.0, "coverage_mode": "any", "margin": 0.0}
VALUES = ("identity", "coverage_shorter", "coverage_longer", "evalue", "score")


@pytest.fixture(scope="module")
def exact():
    return homology_graph(PROTEINS, engine="exact", cache=None, **EVERY_HIT)


def completed(graph, n_threads=1):
    return search_intermediates(graph, NODES, evalue=1e-3, n_threads=n_threads)


def edges_of(graph):
    """What is known of each pair."""
    values = zip(*(getattr(graph, name) for name in VALUES), strict=True)
    return dict(zip(map(tuple, graph.edges.tolist()), values, strict=True))


def without(graph, dropped):
    return graph._take_edges(np.flatnonzero(~np.asarray(dropped, dtype=bool)))


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_what_a_third_protein_joins_is_found_as_exact_search_finds_it(exact, data):
    lists = st.lists(st.booleans(), min_size=exact.n_edges, max_size=exact.n_edges)
    partial = without(exact, data.draw(lists))
    found, truth = edges_of(completed(partial)), edges_of(exact)
    assert edges_of(partial).items() <= found.items() <= truth.items()
    homologs = completed(partial).filter(**INTERMEDIATE_THRESHOLDS).adjacency().toarray()
    significant = completed(partial).adjacency().toarray()
    for i, j in combinations(range(len(NODES.sequences)), 2):
        joined = (homologs[i] & significant[j]) | (significant[i] & homologs[j])
        if joined.any() and (i, j) in truth:
            assert (i, j) in found


def test_a_chain_is_followed_to_its_end(exact):
    family = exact.filter(**INTERMEDIATE_THRESHOLDS)
    labels = family.components()
    largest = np.flatnonzero(labels == np.bincount(labels).argmax())
    steps = set(zip(largest[:-1].tolist(), largest[1:].tolist(), strict=True))
    chain = without(exact, [tuple(edge) not in steps for edge in exact.edges.tolist()])
    assert chain.n_edges >= 5
    assert completed(chain).n_edges > 2 * chain.n_edges  # more than one round gives


def test_threads_and_blocks_change_nothing(exact, monkeypatch):
    partial = without(exact, np.arange(exact.n_edges) % 2)
    expected = edges_of(completed(partial))
    monkeypatch.setattr(_completion, "_PATHS_AT_ONCE", 1)
    assert edges_of(completed(partial, n_threads=3)) == expected


def test_a_complete_graph_and_an_empty_one_stay_as_they_are(exact):
    assert completed(exact) is exact
    nothing = without(exact, np.ones(exact.n_edges))
    assert completed(nothing) is nothing


def test_a_heuristic_search_is_completed(monkeypatch):
    search = _homology_graph.run_engine

    def overlooking(*arguments, **options):
        hits = search(*arguments, **options)
        return hits.take(np.arange(len(hits)) % 3 > 0)

    monkeypatch.setattr(_homology_graph, "run_engine", overlooking)
    graph = homology_graph(PROTEINS, engine="mmseqs", cache=None, **EVERY_HIT)
    monkeypatch.setattr(
        _homology_graph, "search_intermediates", lambda graph, *arguments, **options: graph
    )
    searched = homology_graph(PROTEINS[::-1], engine="mmseqs", evalue=2e-3, cache=None, **EVERY_HIT)
    assert graph.description["completion"] == INTERMEDIATE_THRESHOLDS
    assert graph.n_edges > searched.filter(evalue=1e-3).n_edges


def test_exact_search_needs_no_completion(exact, monkeypatch):
    monkeypatch.setattr(_homology_graph, "search_intermediates", None)
    graph = homology_graph(PROTEINS, engine="exact", evalue=5e-4, cache=None)
    assert graph.description["completion"] is None


def test_a_search_is_not_lost_when_its_completion_is_stopped(monkeypatch, private_cache):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    settings = {"engine": "mmseqs", "evalue": 9e-4, **EVERY_HIT}
    with monkeypatch.context() as patch:
        patch.setattr(_homology_graph, "search_intermediates", stop)
        with pytest.raises(KeyboardInterrupt):
            homology_graph(PROTEINS, **settings)
    graph = homology_graph(PROTEINS, **settings)
    assert count_searches() == 1
    assert edges_of(graph) == edges_of(homology_graph(PROTEINS, cache=None, **settings))
    assert len(list(private_cache.rglob("*.npz"))) == 1  # the finished one


def kept(function, results):
    """Return a function that keeps what it returns."""

    def call(*arguments, **options):
        results.append(function(*arguments, **options))
        return results[-1]

    return call


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_progress_is_shown_where_steps_are_logged(level, exact, monkeypatch, capsys, caplog):
    bars = []
    for module in (_completion, exact_module):
        monkeypatch.setattr(module, "alignment_bar", kept(module.alignment_bar, bars))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with caplog.at_level(level, logger="esmlearn"):
        completed(without(exact, np.arange(exact.n_edges) % 2))
        homology_graph(PROTEINS, engine="exact", cache=None)
    shown = capsys.readouterr().err
    if level == logging.INFO:
        assert [bar.n for bar in bars] == [bar.total for bar in bars]
        assert "Aligning pairs joined by a homolog" in shown
        assert "Aligning:" in shown
    else:
        assert shown == ""
