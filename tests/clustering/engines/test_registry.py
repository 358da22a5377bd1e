"""One entry of the registry makes an engine available everywhere."""

import pytest

from esmlearn.clustering import _search, available_engines, homology_graph, search
from esmlearn.clustering._engines.exact import ExactSearch
from esmlearn.clustering._engines.registry import ENGINE_NAMES, ENGINES
from esmlearn.exceptions import DataError

SEQUENCES = ["MKVLATGGARQWEDSTHNPYFCIMKVLRTGGAEQ", "MKVLATGGARQWEDSTHNPYFCIMKVLRTGG"]


class Another(ExactSearch):
    name = "another"
    exact = False

    def search(self, queries, targets, **options):
        return super().search(queries, targets or queries, **options)


@pytest.fixture
def another(monkeypatch):
    # First of the engines for large sets.
    known = dict(ENGINES)
    monkeypatch.setattr(_search, "ENGINES", {"another": Another, **known})


def test_names_are_those_of_the_engines():
    assert set(ENGINE_NAMES) == {"auto", *ENGINES}
    assert all(engine.name == name for name, engine in ENGINES.items())


@pytest.mark.usefixtures("another")
def test_a_new_engine_is_found_by_name(monkeypatch):
    assert available_engines()["another"].startswith("pyopal")
    graph = homology_graph(SEQUENCES, engine="another", cache=None)
    assert (graph.n_edges, graph.description["engine"]) == (1, "another")
    assert len(search(SEQUENCES, SEQUENCES, engine="another")) == 4


@pytest.mark.usefixtures("another")
def test_auto_tries_the_engines_in_their_order(monkeypatch):
    if available_engines()["mmseqs"] is None:
        pytest.skip("there is no other engine for large sets")
    monkeypatch.setattr(_search, "AFFORDABLE_CELLS", 0)
    assert homology_graph(SEQUENCES, cache=None).description["engine"] == "another"
    monkeypatch.setattr(Another, "available", classmethod(lambda cls: None))
    assert homology_graph(SEQUENCES[:1], cache=None).description["engine"] != "another"


def test_an_unknown_engine_is_refused():
    with pytest.raises(DataError, match="expected one of auto, "):
        homology_graph(SEQUENCES, engine="blast")
