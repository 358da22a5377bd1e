"""Representatives searched alone, and large families searched again."""

import numpy as np
import pytest

from esmlearn.clustering import HomologyGraph, available_engines, homology_graph, search
from esmlearn.clustering._engines import mmseqs as mmseqs_module
from esmlearn.clustering._redundancy import Redundancy, share_edges
from esmlearn.exceptions import DataError
from esmlearn.model_selection import CDHitGroupSplitter, audit_leakage
from tests._proteins import make_families, mutate

FAMILIES, _ = make_families(6, 4, length=150, identity=0.6, seed=3)
RNG = np.random.default_rng(0)
PROTEINS = [*FAMILIES, *(mutate(s, 0.97, RNG) for s in FAMILIES for _ in range(3)), "MKV"]

needs_a_program = pytest.mark.skipif(
    available_engines()["mmseqs"] is None, reason="no program groups proteins"
)


def pairs_of(graph):
    return set(map(tuple, graph.edges.tolist()))


@needs_a_program
def test_a_graph_for_which_all_were_searched_serves():
    plain = homology_graph(PROTEINS, engine="exact", cache=None)
    grouped = homology_graph(PROTEINS[::-1], engine="exact", cache=None, representatives=0.9)
    assert grouped.description["representatives"] is None
    assert pairs_of(grouped) == pairs_of(plain)


@needs_a_program
def test_near_copies_are_not_searched(monkeypatch, tmp_path):
    from esmlearn.clustering import _homology_graph

    searched, run = [], _homology_graph.run_engine

    def record(engine, queries, *args, **kwargs):
        searched.append(len(queries))
        return run(engine, queries, *args, **kwargs)

    monkeypatch.setattr(_homology_graph, "run_engine", record)
    grouped = homology_graph(PROTEINS, cache=tmp_path / "grouped", representatives=0.9)
    assert homology_graph(PROTEINS, cache=tmp_path / "grouped", representatives=0.9) is not None
    plain = homology_graph(PROTEINS, cache=tmp_path / "plain")
    assert len(searched) == 2
    assert searched[0] < 0.5 * searched[1] == 0.5 * len(PROTEINS)
    assert grouped.description["representatives"]["identity"] == 0.9
    assert pairs_of(grouped) == pairs_of(plain)
    np.testing.assert_array_equal(grouped.components(), plain.components())
    assert (grouped.identity <= 1).all()
    assert (grouped.evalue <= 1e-3).all()


@needs_a_program
def test_folds_from_representatives_do_not_leak(tmp_path):
    graph = homology_graph(PROTEINS, cache=tmp_path, representatives=0.9)
    folds = CDHitGroupSplitter(3, reference=graph)
    assert audit_leakage(PROTEINS, folds).overall("A") == 0


def test_edges_are_shared_by_all_members():
    names = ["AAAA", "CCCC", "DDDD", "EEEE", "FFFF"]
    within = HomologyGraph.from_edges(names, [(0, 1), (0, 2), (3, 4)], identity=[0.9, 0.95, 0.92])
    node = within.node_of(names)
    stands_for = np.empty(5, dtype=np.int64)
    stands_for[node] = node[[0, 0, 0, 3, 3]]
    kept = [names[0], names[3]]
    between = HomologyGraph.from_edges(kept, [(0, 1)], identity=0.4, evalue=1e-5, score=100)
    graph = share_edges(between, within, stands_for)
    back = np.argsort(node)
    found = {
        frozenset(back[list(pair)].tolist()): value
        for pair, value in zip(graph.edges, graph.identity, strict=True)
    }
    assert len(found) == graph.n_edges == 10
    expected = {(0, 1): 0.9, (0, 2): 0.95, (1, 2): 0.9, (3, 4): 0.92, (0, 3): 0.4, (2, 4): 0.4}
    assert {pair: found[frozenset(pair)] for pair in expected} == expected


@needs_a_program
def test_who_does_not_match_its_representative_stands_for_itself():
    protein = FAMILIES[0]
    group = Redundancy.at(0.9).group
    alike, hits = group([protein, mutate(protein, 0.97, RNG)], evalue=1e-3, n_threads=1)
    assert alike[0] == alike[1]
    assert len(hits) == 1
    assert hits.identity[0] >= 0.9
    fragment, hits = group([protein, protein[:100]], evalue=1e-3, n_threads=1)
    assert fragment.tolist() == [0, 1]
    assert len(hits) == 0


@pytest.mark.parametrize("representatives", [0.3, 0.1, 1.5, "most"])
def test_representatives_are_closer_than_homologs(representatives):
    with pytest.raises(DataError, match="representatives is"):
        homology_graph(PROTEINS, representatives=representatives)


@needs_a_program
def test_large_families_are_searched_again(monkeypatch):
    family, _ = make_families(1, 40, length=120, identity=0.7, seed=5)

    def n_found(crowded):
        monkeypatch.setattr(mmseqs_module, "_CANDIDATES", 8)
        monkeypatch.setattr(mmseqs_module, "_CROWDED", crowded)
        return len(search(family, family, engine="mmseqs"))

    assert n_found(crowded=2.0) < len(family) ** 2
    assert n_found(crowded=0.5) == len(family) ** 2
