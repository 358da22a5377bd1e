"""Graphs are found again: in memory, on disk, as a part of a larger one, by other processes."""

import logging
import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from esmlearn.clustering import _graph_cache as cache_module
from esmlearn.clustering import _homology_graph as graph_module
from esmlearn.clustering import _search as search_module
from esmlearn.clustering import available_engines, count_searches, homology_graph
from esmlearn.clustering._engines import diamond as diamond_module
from tests._proteins import make_families

SEQUENCES, _ = make_families(8, 3, length=60, identity=0.8, seed=1)


@pytest.fixture
def forget():
    """Forget the graphs of this process, as another process would never have known them."""
    cache_module._MEMORY.clear()
    return cache_module._MEMORY.clear


def sources(*graphs):
    return [graph.description["source"] for graph in graphs]


def test_memory_then_disk(forget):
    first, second = homology_graph(SEQUENCES), homology_graph(SEQUENCES[::-1])
    forget()
    third = homology_graph(SEQUENCES)
    assert sources(first, second, third) == ["search", "memory", "disk"]
    assert [g.description["searched"] for g in (first, second, third)] == [True, False, False]
    np.testing.assert_array_equal(first.edges, third.edges)
    np.testing.assert_array_equal(first.identity, third.identity)
    assert count_searches() == 1


@pytest.mark.parametrize("process", ["same", "other"])
def test_subsets_are_restricted_not_searched(forget, process):
    whole = homology_graph(SEQUENCES)
    if process == "other":
        forget()
    part = homology_graph(SEQUENCES[3:15])
    assert part.description["restricted_from"] == len(SEQUENCES)
    assert part.description["source"] == ("memory" if process == "same" else "disk")
    np.testing.assert_array_equal(part.edges, whole.restrict(SEQUENCES[3:15]).edges)
    assert count_searches() == 1


def test_other_thresholds_search_nothing():
    for identity in (0.3, 0.5, 0.9):
        for mode in ("shorter", "both", "any"):
            homology_graph(SEQUENCES, identity=identity, coverage_mode=mode)
    assert count_searches() == 1


def test_another_evalue_or_engine_is_another_graph():
    graphs = [
        homology_graph(SEQUENCES),
        homology_graph(SEQUENCES, evalue=1e-5),
        homology_graph([*SEQUENCES, "MKVLATGGARQWEDSTHNPYF"]),
    ]
    assert sources(*graphs) == ["search"] * 3


def test_without_a_directory_memory_serves(forget, private_cache):
    first = homology_graph(SEQUENCES, cache=None)
    second = homology_graph(SEQUENCES[:5], cache=None)
    forget()
    third = homology_graph(SEQUENCES, cache=None)
    assert sources(first, second, third) == ["search", "memory", "search"]
    assert not list(private_cache.rglob("*.npz"))


def test_a_directory_of_ones_own(tmp_path, forget):
    homology_graph(SEQUENCES, cache=tmp_path / "graphs")
    forget()
    assert sources(homology_graph(SEQUENCES, cache=tmp_path / "graphs")) == ["disk"]
    assert not list(tmp_path.rglob("*.lock"))


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "flip", "foreign"])
def test_damaged_file_is_searched_again(forget, private_cache, caplog, damage):
    reference = homology_graph(SEQUENCES)
    (path,) = private_cache.rglob("*.npz")
    content = path.read_bytes()
    if damage == "foreign":
        homology_graph([*SEQUENCES[:-1], "MKVLATGGARQWEDSTHNPYF"])
        (other,) = (p for p in private_cache.rglob("*.npz") if p != path)
        content = other.read_bytes()
    half = len(content) // 2
    path.write_bytes(
        {
            "empty": b"",
            "cut": content[:half],
            "text": b"no graph",
            "flip": content[:half] + bytes([content[half] ^ 255]) + content[half + 1 :],
            "foreign": content,
        }[damage]
    )
    forget()
    with caplog.at_level(logging.WARNING):
        graph = homology_graph(SEQUENCES)
    assert sources(graph) == ["search"]
    assert "is damaged" in caplog.text
    np.testing.assert_array_equal(graph.edges, reference.edges)
    forget()
    assert sources(homology_graph(SEQUENCES)) == ["disk"]


def test_every_flipped_bit_of_a_header_costs_one_search_at_most(forget, private_cache):
    # Bits of zip headers tell of encryption and compressions that zipfile does not have.
    reference = homology_graph(SEQUENCES)
    (path,) = private_cache.rglob("*.npz")
    content = path.read_bytes()
    end = content.index(b"PK\x01\x02")
    for position in [*range(60), *range(end, end + 60)]:
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 8]) + content[position + 1 :]
        )
        forget()
        graph = homology_graph(SEQUENCES)
        np.testing.assert_array_equal(graph.edges, reference.edges)
        np.testing.assert_array_equal(graph.identity, reference.identity)


@pytest.mark.parametrize("wanted", [SEQUENCES, SEQUENCES[:5]])
def test_a_damaged_file_is_set_aside(forget, private_cache, caplog, wanted):
    homology_graph(SEQUENCES)
    (path,) = private_cache.rglob("*.npz")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 10] = 99  # a compression method that does not exist
    path.write_bytes(content)
    forget()
    assert sources(homology_graph(wanted)) == ["search"]
    assert "is damaged" in caplog.text
    assert path.with_suffix(".damaged").exists()
    assert path.exists() == (wanted is SEQUENCES)


def test_unwritable_cache_costs_no_result(tmp_path, caplog):
    (tmp_path / "file").touch()
    graph = homology_graph(SEQUENCES, cache=tmp_path / "file" / "graphs")
    assert sources(graph) == ["search"]
    assert "cannot be cached" in caplog.text


def test_a_default_cache_that_cannot_be_made_costs_no_result(tmp_path, forget, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ESMLEARN_CACHE", str(tmp_path / "file" / "cache"))
    assert sources(homology_graph(SEQUENCES), homology_graph(SEQUENCES)) == ["search", "memory"]
    assert "cannot be cached" in caplog.text


def test_full_disk_costs_no_result(monkeypatch, caplog):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    graph = homology_graph(SEQUENCES)
    assert graph.n_nodes == len(SEQUENCES)
    assert "could not be cached" in caplog.text


def _search_slowly(barrier, queue):
    from esmlearn.clustering import _homology_graph

    search = _homology_graph.run_engine

    def slow(*args, **kwargs):
        time.sleep(0.5)
        return search(*args, **kwargs)

    _homology_graph.run_engine = slow
    barrier.wait()
    queue.put(homology_graph(SEQUENCES).description["source"])


def _die_with_the_lock(queue):
    from esmlearn.clustering import _homology_graph

    def killed(*args, **kwargs):
        queue.put(os.getpid())
        queue.close()
        queue.join_thread()
        time.sleep(60)

    _homology_graph.run_engine = killed
    homology_graph(SEQUENCES)


needs_fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="needs fork and flock"
)


@needs_fork
def test_two_processes_search_once(forget):
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_search_slowly, args=(barrier, queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = sorted(queue.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join()
    assert found == ["disk", "search"]
    assert count_searches() == 1


@needs_fork
def test_a_dead_owner_holds_no_lock(forget):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    worker = context.Process(target=_die_with_the_lock, args=(queue,))
    worker.start()
    os.kill(queue.get(timeout=60), signal.SIGKILL)
    worker.join()
    assert sources(homology_graph(SEQUENCES)) == ["search"]


@needs_fork
def test_a_file_system_without_locks_costs_no_result(forget, monkeypatch, caplog):
    import fcntl

    def unsupported(handle, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    assert sources(homology_graph(SEQUENCES), homology_graph(SEQUENCES)) == ["search", "memory"]
    assert "cannot be locked" in caplog.text
    assert "Operation not supported" in caplog.text
    forget()
    assert sources(homology_graph(SEQUENCES)) == ["disk"]


def test_an_error_under_the_lock_is_not_taken_for_one_of_the_lock(forget, monkeypatch):
    def broken(*args, **kwargs):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(graph_module, "run_engine", broken)
    with pytest.raises(OSError, match="Input/output error"):
        homology_graph(SEQUENCES)


def test_memory_is_bounded(forget):
    for end in range(2, 10):
        homology_graph([*SEQUENCES[1:end], "MKVLATGGARQWEDSTHNPYF"[:-end]], cache=None)
    assert len(cache_module._MEMORY) <= cache_module._IN_MEMORY


def test_threads_share_the_memory(forget):
    # Far more sets than are remembered: every look-up adds one and drops another.
    sets = [SEQUENCES[i : i + 2] for i in range(20)]
    expected = [homology_graph(pair, cache=None) for pair in sets]
    forget()

    def look_up(start):
        chosen = [(start + 7 * i) % len(sets) for i in range(100)]
        return [(i, homology_graph(sets[i], cache=None)) for i in chosen]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = [each for part in pool.map(look_up, range(4)) for each in part]
    finally:
        sys.setswitchinterval(interval)
    for i, graph in found:
        np.testing.assert_array_equal(graph.digests, expected[i].digests)
        np.testing.assert_array_equal(graph.edges, expected[i].edges)
        np.testing.assert_array_equal(graph.evalue, expected[i].evalue)
    assert {i for i, _ in found} == set(range(len(sets)))
    assert len(cache_module._MEMORY) <= cache_module._IN_MEMORY


@pytest.mark.parametrize("process", ["the same", "another"])
def test_auto_takes_the_same_graph_of_any_engine(forget, monkeypatch, process):
    if available_engines()["mmseqs"] is None:
        pytest.skip("there is no other engine")
    homology_graph(SEQUENCES, engine="exact")
    if process == "another":
        forget()
    monkeypatch.setattr(search_module, "AFFORDABLE_CELLS", 0)
    graph = homology_graph(SEQUENCES)
    assert graph.description["engine"] == "exact"
    assert not graph.description["searched"]


@pytest.mark.parametrize("engine", ["auto", "diamond"])
def test_a_part_of_a_large_set_is_not_searched_more_sensitively(monkeypatch, engine):
    if available_engines()["diamond"] is None:
        pytest.skip("diamond is not installed")
    monkeypatch.setattr(search_module, "AFFORDABLE_CELLS", 0)
    few = homology_graph(SEQUENCES[:10], engine=engine, cache=None)
    assert few.description["settings"]["mode"] == "ultra-sensitive"
    monkeypatch.setattr(diamond_module, "ULTRA_SENSITIVE_CELLS", 1e5)
    homology_graph(SEQUENCES, engine=engine)
    part = homology_graph(SEQUENCES[:10], engine=engine)
    assert part.description["settings"]["mode"] == "very-sensitive"
    assert not part.description["searched"]


@pytest.mark.parametrize("n_known", [0, 1, 10, len(SEQUENCES)])
def test_known_graph_is_extended(forget, private_cache, n_known):
    fresh = homology_graph(SEQUENCES, cache=private_cache / "other")
    forget()
    known = SEQUENCES[:n_known] or ["MKVLATGGARQWEDSTHNPYF"]
    homology_graph(known)
    searches = count_searches()
    graph = homology_graph(SEQUENCES, known=known)
    assert count_searches() - searches == (n_known < len(SEQUENCES))
    for name in cache_module.EDGE_ARRAYS:
        np.testing.assert_array_equal(getattr(graph, name), getattr(fresh, name))
    if 0 < n_known < len(SEQUENCES):
        last = (private_cache / "graphs" / "searches.tsv").read_text().splitlines()[-1]
        assert last.split("\t")[3:5] == [str(len(SEQUENCES) - n_known), str(len(SEQUENCES))]


def test_known_graph_is_extended_by_other_engines():
    if available_engines()["diamond"] is None:
        pytest.skip("diamond is not installed")
    homology_graph(SEQUENCES[:12], engine="diamond")
    graph = homology_graph(SEQUENCES, known=SEQUENCES[:12], engine="diamond")
    fresh = homology_graph(SEQUENCES, engine="diamond", cache=None)
    np.testing.assert_array_equal(graph.edges, fresh.edges)
