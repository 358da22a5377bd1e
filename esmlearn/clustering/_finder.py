"""Find the graph of all significant alignments: cached, part of a cached one, or searched."""

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from esmlearn.clustering._completion import COMPLETION, complete
from esmlearn.clustering._engine import Engine
from esmlearn.clustering._graph import HomologyGraph
from esmlearn.clustering._graph_parts import graph_of_hits, union
from esmlearn.clustering._hits import Hits, lengths_of
from esmlearn.clustering._nodes import Nodes
from esmlearn.clustering._redundancy import Redundancy, share_edges
from esmlearn.clustering._search import choose_engine, engines_of, run_engine
from esmlearn.clustering._store import GraphStore, record_search

_LOGGER = logging.getLogger(__name__)
_FORMAT = 2


@dataclass(frozen=True)
class GraphFinder:
    """Look graphs up by content and search where none is known.

    Parameters
    ----------
    engine : str
        Name of an engine, or ``"auto"``.
    evalue : float
        Largest E-value.
    cache : path-like, "default" or None
        Directory of cached graphs; None for memory alone.
    n_threads : int
        Number of threads of a search.
    verbose : int
        Whether exact searches are logged at level INFO, as the others are.
    redundancy : Redundancy or None, default=None
        How proteins are grouped, so that representatives alone are searched.
    """

    engine: str
    evalue: float
    cache: str | os.PathLike[str] | None
    n_threads: int
    verbose: int
    redundancy: Redundancy | None = None

    def find(self, nodes: Nodes, *, known: Nodes | None = None) -> tuple[HomologyGraph, str]:
        """Return the graph and its source: ``"memory"``, ``"disk"`` or ``"search"``.

        Parameters
        ----------
        nodes : Nodes
            The proteins.
        known : Nodes, default=None
            Proteins whose graph is extended where that of `nodes` is unknown.

        Returns
        -------
        graph : HomologyGraph
            All significant alignments, whatever their identity and coverage.
        source : str
            Where it came from.
        """
        chosen = choose_engine(self.engine, cells=float(lengths_of(nodes.sequences).sum()) ** 2 / 2)
        store = self._store(chosen)
        found = self._look_up(nodes, chosen)
        if found is not None:
            return found
        with store.lock(nodes.digests):
            # Another process may have searched while this one waited for the lock.
            found = self._look_up(nodes, chosen)
            if found is not None:
                return found
            if known is None:
                graph = self._search(nodes, chosen)
            else:
                graph = self._extend(nodes, known, chosen)
            store.add(graph)
        return _described(graph, chosen, self.redundancy), "search"

    def _store(self, engine: Engine, *, completed: bool = True) -> GraphStore:
        parts: list[Any] = [
            _FORMAT,
            engine.name,
            engine.version,
            engine.settings,
            repr(self.evalue),
            *([COMPLETION] if completed and not engine.exact else []),
        ]
        if self.redundancy is not None:
            parts.append(asdict(self.redundancy))
        return GraphStore(json.dumps(parts, sort_keys=True), self.cache)

    def _look_up(self, nodes: Nodes, chosen: Engine) -> tuple[HomologyGraph, str] | None:
        found = self._store(chosen).find(nodes.digests)
        if found is not None:
            return _described(found[0], chosen, self.redundancy), found[1]
        for candidate in engines_of(self.engine):
            # What was searched without representatives is at least as good.
            for finder in dict.fromkeys((self, replace(self, redundancy=None))):
                found = finder._store(candidate).find_superset(nodes.digests)
                if found is not None:
                    return _described(found[0], candidate, finder.redundancy), found[1]
        return None

    def _search(self, nodes: Nodes, engine: Engine) -> HomologyGraph:
        if self.redundancy is None:
            return self._search_all(nodes, engine)
        stands_for, hits = self.redundancy.group(
            nodes.sequences, evalue=self.evalue, n_threads=self.n_threads
        )
        searched = nodes.take(np.unique(stands_for))
        between = self._search_all(searched, engine)
        return share_edges(between, graph_of_hits(nodes, hits), stands_for)

    def _search_all(self, nodes: Nodes, engine: Engine) -> HomologyGraph:
        def search() -> HomologyGraph:
            return graph_of_hits(nodes, self._run(engine, nodes.sequences, None))

        return self._completed(nodes, engine, search)

    def _completed(
        self, nodes: Nodes, engine: Engine, search: Callable[[], HomologyGraph]
    ) -> HomologyGraph:
        """Return what a search finds, and what a heuristic engine overlooks among it.

        The latter may take as long, so the former is kept until it is done.
        """
        if engine.exact:
            return search()
        store = self._store(engine, completed=False)
        found = store.find(nodes.digests)  # by a process that was killed since
        if found is None:
            graph = search()
            store.write(graph)
        else:
            graph, _ = found
        start = time.perf_counter()
        completed = complete(graph, nodes, evalue=self.evalue, n_threads=self.n_threads)
        message = "aligned what is joined by a homolog: %d more alignments in %.1f s"
        what = (completed.n_edges - graph.n_edges, time.perf_counter() - start)
        _LOGGER.log(self._level(engine), message, *what)
        store.remove(nodes.digests)
        return completed

    def _extend(self, nodes: Nodes, known: Nodes, engine: Engine) -> HomologyGraph:
        """Search pairs with a new protein alone, and take the others from the known graph."""
        is_old = np.isin(nodes.digests, known.digests)
        old, new = np.flatnonzero(is_old), np.flatnonzero(~is_old)
        if len(old) == 0 or len(new) == 0:
            return self._search(nodes, engine)
        base, _ = replace(self, engine=engine.name).find(nodes.take(old))
        fresh = [nodes.sequences[i] for i in new]

        def search() -> HomologyGraph:
            hits = self._run(engine, fresh, nodes.sequences)
            parts = [replace(hits, query=new[hits.query])]
            if not engine.exact:
                # A heuristic search may find a pair from one side alone.
                back = self._run(engine, [nodes.sequences[i] for i in old], fresh)
                parts.append(replace(back, query=old[back.query], target=new[back.target]))
            added = graph_of_hits(nodes, Hits.concatenate(parts))
            return union(replace(base, digests=nodes.digests, edges=old[base.edges]), added)

        return self._completed(nodes, engine, search)

    def _level(self, engine: Engine) -> int:
        """Return the level at which a search is told; exact ones are many and mostly short."""
        return logging.DEBUG if engine.exact and not self.verbose else logging.INFO

    def _run(self, engine: Engine, queries: list[str], targets: list[str] | None) -> Hits:
        n_targets = len(queries if targets is None else targets)
        what = (len(queries), n_targets, engine.name, engine.version)
        _LOGGER.log(self._level(engine), "searching %d proteins against %d with %s %s", *what)
        start = time.perf_counter()
        hits = run_engine(engine, queries, targets, evalue=self.evalue, n_threads=self.n_threads)
        seconds = time.perf_counter() - start
        _LOGGER.log(self._level(engine), "found %d alignments in %.1f s", len(hits), seconds)
        record_search(engine.name, len(queries), n_targets, seconds)
        return hits


def _described(
    graph: HomologyGraph, engine: Engine, redundancy: Redundancy | None
) -> HomologyGraph:
    about: dict[str, Any] = {
        "engine": engine.name,
        "version": engine.version,
        "settings": engine.settings,
        "completion": None if engine.exact else COMPLETION,
    }
    about["representatives"] = None if redundancy is None else asdict(redundancy)
    return replace(graph, description={**graph.description, **about})
