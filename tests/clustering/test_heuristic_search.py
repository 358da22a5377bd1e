"""Programs are blind to X, low complexity and short proteins; the graph is not."""

import logging

import numpy as np
import pytest

from esmlearn.clustering import _search as search_module
from esmlearn.clustering import available_engines, homology_graph
from esmlearn.clustering._heuristic_search import entropies, hard_to_find
from esmlearn.model_selection import CDHitGroupSplitter, audit_leakage
from tests._proteins import make_families, random_protein

ENGINES = ["exact", "mmseqs", "diamond"]


@pytest.fixture(params=ENGINES)
def engine(request):
    if available_engines()[request.param] is None:
        pytest.skip(f"{request.param} is not installed")
    return request.param


def _simple_families(rng, n_families):
    """Families of repeats of two or three letters, of which a tenth are mutated."""
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    sequences = []
    for _ in range(n_families):
        parent = np.resize(rng.choice(letters, rng.integers(2, 4), replace=False), 90)
        for _ in range(3):
            child = parent.copy()
            places = rng.random(90) < 0.1
            child[places] = rng.choice(letters, places.sum())
            sequences.append("".join(child))
    return sequences


def test_families_of_low_complexity_do_not_leak(engine):
    sequences = _simple_families(np.random.default_rng(0), 30)
    folds = list(CDHitGroupSplitter(4, engine=engine, random_state=0).split(sequences))
    assert audit_leakage(sequences, folds, engine="exact").overall("A") <= 0.005


def test_x_counts_in_no_coverage(engine):
    rng = np.random.default_rng(0)
    sequences = make_families(10, 2, length=120, seed=1)[0]
    for _ in range(4):
        head, tail = random_protein(90, rng), random_protein(90, rng)
        sequences += [head + "X" * 300 + tail, head + "X" * 280 + tail]
    graph = homology_graph(sequences, engine=engine, cache=None)
    labels = graph.filter(identity=0.3, coverage=0.8).components()[graph.node_of(sequences)]
    assert (labels[20::2] == labels[21::2]).all()
    folds = list(CDHitGroupSplitter(4, engine=engine, random_state=0).split(sequences))
    assert audit_leakage(sequences, folds, engine="exact").overall("A") == 0


def test_entropy_is_in_bits_without_x():
    np.testing.assert_allclose(entropies(["AAAA", "ACAC", "ACDE", "ACXXXX"]), [0, 1, 2, 1])
    rng = np.random.default_rng(0)
    usual = random_protein(200, rng)
    assert hard_to_find([usual, "AG" * 100, usual[:100] + "X" * 60, usual[:20]]).tolist() == [
        False,
        True,
        True,
        True,
    ]


def test_auto_is_exact_where_that_is_affordable_and_tells_the_time(monkeypatch, caplog):
    sequences = make_families(20, 2, length=80, seed=4)[0]
    assert search_module.AFFORDABLE_CELLS == 3e12
    assert homology_graph(sequences, cache=None).description["engine"] == "exact"
    monkeypatch.setattr(search_module, "AFFORDABLE_CELLS", 1e6)
    others = make_families(20, 2, length=80, seed=5)[0]  # no graph of which is remembered
    assert homology_graph(others, cache=None).description["engine"] in ("mmseqs", "diamond")
    monkeypatch.undo()
    monkeypatch.setattr("esmlearn.clustering._engines.exact._LONG", 0.0)
    with caplog.at_level(logging.INFO, logger="esmlearn"):
        homology_graph(make_families(20, 2, length=80, seed=6)[0], cache=None)
    assert "aligning 40 proteins with 40 exactly: about" in caplog.text
