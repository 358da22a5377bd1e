"""Build homology graphs: look up, restrict, or search."""

import json
import logging
import os
import time
from dataclasses import replace
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray

from esmlearn.clustering._engine import Engine
from esmlearn.clustering._graph import HomologyGraph, graph_from_pairs
from esmlearn.clustering._hits import Hits, lengths_of, never_significant
from esmlearn.clustering._nodes import sorted_nodes
from esmlearn.clustering._search import choose_engine, engines_of, run_engine
from esmlearn.clustering._store import GraphStore, record_search
from esmlearn.exceptions import DataError

_LOGGER = logging.getLogger(__name__)
_FORMAT = 1
_DEFINITION = (
    "best local alignment, BLOSUM62, gap costs 11 (open) and 1 (per residue); identity: identical "
    "residues over alignment columns; coverage: residues between the ends of the alignment over "
    "the protein's length; E = 0.041 * length of the shorter * 1e6 * exp(-0.267 * score)"
)


def check_share(name: str, value: Any) -> float:
    """Return a number between 0 and 1 as float, or raise."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        hint = (
            f" Did you mean {value / 100}?" if isinstance(value, int | float) and value > 1 else ""
        )
        raise DataError(f"{name} is {value!r}; expected a number from 0 to 1.{hint}")
    return float(value)


def homology_graph(
    sequences: Any,
    *,
    identity: float = 0.3,
    coverage: float = 0.5,
    coverage_mode: str = "shorter",
    evalue: float = 1e-3,
    margin: float = 0.05,
    engine: str = "auto",
    cache: str | os.PathLike[str] | None = "default",
    n_jobs: int | None = None,
    verbose: int = 0,
) -> HomologyGraph:
    """Return the homology graph of proteins, from the cache where it is known.

    Two proteins are joined when their best local alignment (BLOSUM62, gap costs 11 and 1) is
    significant and reaches `identity` over `coverage`, both lowered by the margin. What is cached
    are all significant alignments of a set of sequences, by content: other thresholds, subsets
    (inner folds, validation parts) and other processes search nothing.

    Parameters
    ----------
    sequences : array-like of str of shape (n_sequences,)
        Proteins; case, gap characters, order and copies do not matter.
    identity : float, default=0.3
        Identical residues over alignment columns from which on two proteins are homologs, 0-1.
    coverage : float, default=0.5
        Share of the protein that the alignment must cover, 0-1.
    coverage_mode : {"shorter", "both", "any"}, default="shorter"
        Which protein must be covered: the shorter, both, or none (significance and identity
        decide).
    evalue : float, default=1e-3
        Largest E-value, in a search space of one million residues.
    margin : float, default=0.05
        Edges are kept from ``identity - margin`` and ``coverage - 2 * margin`` on: engines cut some
        alignments short, and a judge may align a little differently.
    engine : {"auto", "mmseqs", "diamond", "exact"}, default="auto"
        ``"auto"`` is exact Smith-Waterman where that takes seconds (2e10 residue pairs, about 600
        proteins), else DIAMOND where it is installed, else MMseqs2. With ``"auto"`` a cached graph
        of any engine that holds all the sequences serves.
    cache : {"default"}, path-like or None, default="default"
        Directory of cached graphs; None keeps them in this process's memory alone.
    n_jobs : int, default=None
        Number of threads; -1 for all cores. The result does not depend on it.
    verbose : int, default=0
        1 logs the search at level INFO with its time; 0 at level DEBUG.

    Returns
    -------
    graph : HomologyGraph
        ``graph.description`` tells engine, version, thresholds, ``searched`` (whether this call
        searched) and ``source`` (``"search"``, ``"memory"``, ``"disk"``, with ``restricted_from``
        where it is a subgraph).

    Raises
    ------
    DataError
        If a sequence or threshold is invalid.
    EngineNotFoundError
        If the engine is not installed.
    EngineError
        If the program fails.

    Notes
    -----
    Proteins too short to be significant with anything (below about 15 residues at 1e-3) are joined
    to nothing but their copies, which share their node; ``description["n_never_significant"]``
    counts them.

    Examples
    --------
    >>> from esmlearn.clustering import homology_graph
    >>> protein = "MKVLATGGARQWEDSTHNPYFCIMKVLRTGGAEQ"
    >>> graph = homology_graph([protein, protein[:28], "ACDEFGHIKLMNPQRSTVWY" * 2])
    >>> graph.n_edges, graph.description["engine"]
    (1, 'exact')
    """
    thresholds: dict[str, Any] = {
        "identity": check_share("identity", identity),
        "coverage": check_share("coverage", coverage),
        "coverage_mode": coverage_mode,
        "evalue": _check_evalue(evalue),
    }
    margin = check_share("margin", margin)
    digests, nodes = sorted_nodes(sequences)
    graph, source = _significant_graph(
        digests, nodes, engine, float(evalue), cache, effective_n_jobs(n_jobs), verbose
    )
    lowered = {
        **thresholds,
        "identity": max(0.0, thresholds["identity"] - margin),
        "coverage": max(0.0, thresholds["coverage"] - 2 * margin),
    }
    filtered = graph.filter(**lowered)
    return replace(
        filtered,
        description={
            **filtered.description,
            "thresholds": thresholds,
            "margin": margin,
            "lowered_thresholds": lowered,
            "definition": _DEFINITION,
            "n_never_significant": int(never_significant(nodes, float(evalue)).sum()),
            "source": source,
            "searched": source == "search",
        },
    )


def _check_evalue(evalue: Any) -> float:
    if not isinstance(evalue, int | float) or isinstance(evalue, bool) or not 0 < evalue <= 1000:
        raise DataError(f"evalue is {evalue!r}; expected a number above 0, up to 1000.")
    return float(evalue)


def _significant_graph(
    digests: NDArray[np.bytes_],
    nodes: list[str],
    engine: str,
    evalue: float,
    cache: str | os.PathLike[str] | None,
    n_threads: int,
    verbose: int,
) -> tuple[HomologyGraph, str]:
    """Return the graph of all significant alignments, and where it came from."""
    chosen = choose_engine(engine, cells=float(lengths_of(nodes).sum()) ** 2 / 2)
    store = GraphStore(_key(chosen, evalue), cache)
    found = _look_up(store, digests, chosen, engine, evalue, cache)
    if found is not None:
        return found
    with store.lock(digests):
        # Another process may have searched while this one waited for the lock.
        found = _look_up(store, digests, chosen, engine, evalue, cache)
        if found is not None:
            return found
        graph = _search_all(digests, nodes, chosen, evalue, n_threads, verbose)
        store.add(graph)
    return _described(graph, chosen), "search"


def _look_up(
    store: GraphStore,
    digests: NDArray[np.bytes_],
    chosen: Engine,
    engine: str,
    evalue: float,
    cache: str | os.PathLike[str] | None,
) -> tuple[HomologyGraph, str] | None:
    found = store.find(digests)
    if found is not None:
        return _described(found[0], chosen), found[1]
    for candidate in engines_of(engine):
        found = GraphStore(_key(candidate, evalue), cache).find_superset(digests)
        if found is not None:
            return _described(found[0], candidate), found[1]
    return None


def _described(graph: HomologyGraph, engine: Engine) -> HomologyGraph:
    about = {"engine": engine.name, "version": engine.version, "settings": engine.settings}
    return replace(graph, description={**graph.description, **about})


def _key(engine: Engine, evalue: float) -> str:
    parts = [_FORMAT, engine.name, engine.version, engine.settings, repr(evalue)]
    return json.dumps(parts, sort_keys=True)


def _search_all(
    digests: NDArray[np.bytes_],
    nodes: list[str],
    engine: Engine,
    evalue: float,
    n_threads: int,
    verbose: int,
) -> HomologyGraph:
    level = logging.INFO if verbose else logging.DEBUG
    _LOGGER.log(level, "searching %d proteins with %s %s", len(nodes), engine.name, engine.version)
    start = time.perf_counter()
    hits = run_engine(engine, nodes, None, evalue=evalue, n_threads=n_threads)
    seconds = time.perf_counter() - start
    _LOGGER.log(level, "found %d alignments in %.1f s", len(hits), seconds)
    record_search(engine.name, len(nodes), len(nodes), seconds)
    return graph_of_hits(digests, nodes, hits)


def graph_of_hits(digests: NDArray[np.bytes_], nodes: list[str], hits: Hits) -> HomologyGraph:
    """Return the graph of alignments between nodes."""
    lengths = lengths_of(nodes)
    of_query, of_target = hits.coverage_query, hits.coverage_target
    n, m = lengths[hits.query], lengths[hits.target]
    least, most = np.minimum(of_query, of_target), np.maximum(of_query, of_target)
    # Of two equally long proteins the better covered one counts as the shorter.
    shorter = np.where(n == m, most, np.where(n < m, of_query, of_target))
    longer = np.where(n == m, least, np.where(n < m, of_target, of_query))
    values = {
        "identity": hits.identity,
        "coverage_shorter": shorter,
        "coverage_longer": longer,
        "evalue": hits.evalue,
        "score": hits.score,
    }
    return graph_from_pairs(digests, np.column_stack([hits.query, hits.target]), values, {})
