"""Build homology graphs: look up, restrict, or search."""

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from joblib import effective_n_jobs

from esmlearn.clustering._completion import INTERMEDIATE_THRESHOLDS, search_intermediates
from esmlearn.clustering._engines.base import Engine
from esmlearn.clustering._engines.exact import ExactSearch
from esmlearn.clustering._engines.hits import Hits, lengths_of, never_significant
from esmlearn.clustering._graph import HomologyGraph, graph_of_hits, union
from esmlearn.clustering._graph_cache import GraphCache, record_search
from esmlearn.clustering._nodes import UniqueSequences
from esmlearn.clustering._redundancy import Redundancy, share_edges
from esmlearn.clustering._search import choose_engine, engines_of, run_engine
from esmlearn.exceptions import DataError

_LOGGER = logging.getLogger(__name__)
# Part of the key of cached graphs: one more makes earlier graphs be searched again.
_FORMAT = 3
_DEFINITION = (
    "best local alignment, BLOSUM62, gap costs 11 (open) and 1 (per residue); identity: identical "
    "residues over alignment columns; coverage: residues between the ends of the alignment over "
    "the protein's length; X counts in none; E = 0.041 * length of the shorter * 1e6 * "
    "exp(-0.267 * score). Two peptides of up to 30 residues also by the whole: one minus edits "
    "over the length of the longer >= 0.7"
)

_NUMBER = (int, float, np.integer, np.floating)


def check_share(name: str, value: Any) -> float:
    """Return a number between 0 and 1 as float, or raise."""
    if not isinstance(value, _NUMBER) or isinstance(value, bool) or not 0 <= value <= 1:
        hint = f" Did you mean {value / 100}?" if isinstance(value, _NUMBER) and value > 1 else ""
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
    representatives: float | None = None,
    known: Any = None,
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
        alignments short, and an audit may align a little differently.
    engine : {"auto", "mmseqs", "diamond", "exact"}, default="auto"
        ``"auto"`` is exact Smith-Waterman where that takes some minutes at most (3e12 residue
        pairs, about 5,000 enzymes), else DIAMOND where it is installed, else MMseqs2. With
        ``"auto"`` a cached graph of any engine that holds all the sequences serves. DIAMOND
        searches in its mode ``ultra-sensitive`` up to 7e13 residue pairs (about 35,000 proteins),
        and ``very-sensitive`` beyond.
    representatives : float, default=None
        Identity (0-1, above `identity`; 0.7 to 0.95 are usual) from which on one protein stands for
        others: they match it over 90 % of both, by CD-HIT where it is installed, else MMseqs2's
        ``linclust``. Representatives alone are searched, and the others share their edges with the
        same values. This saves time on redundant sets; None searches every protein.
    known : array-like of str, default=None
        Proteins whose graph was made before. Where `sequences` are not in the cache, only pairs
        with a protein that is not among these are searched.
    cache : {"default"}, path-like or None, default="default"
        Directory of cached graphs; None keeps them in this process's memory alone.
    n_jobs : int, default=None
        Number of threads; -1 for all cores. The result does not depend on it.
    verbose : int, default=0
        1 logs an exact search with its time at level INFO, as those by programs always are; 0 at
        level DEBUG. Where the log is at level INFO, as that of the command line on a terminal,
        exact alignment shows a bar there.

    Returns
    -------
    graph : HomologyGraph
        ``graph.description`` holds engine, version, thresholds, ``searched`` (whether this call
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
    Peptides are rarely significant with anything (never below about 15 residues at 1e-3;
    ``description["n_never_significant"]`` counts such proteins). Two peptides of up to 30 residues
    are therefore compared as a whole, too: they are homologs where 1 - edits / length of the longer
    is at least 0.7. Copies share their node. X counts in no identity and no coverage.

    Search programs are blind to some proteins. Whatever the engine, peptides, proteins of low
    complexity or with many X, and those that the program does not find with themselves are aligned
    exactly with all others.

    MMseqs2 and DIAMOND overlook some pairs of other proteins, too. Those of which one protein is a
    homolog of a third (at the default thresholds) and the other has a significant alignment with it
    are aligned exactly after the search, until nothing more is found [1]_.

    References
    ----------
    .. [1] Park, J., Teichmann, S. A., Hubbard, T. & Chothia, C. Intermediate sequences increase the
       detection of homology between sequences. J. Mol. Biol. 273, 349-354 (1997).

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
        "evalue": check_evalue(evalue),
    }
    margin = check_share("margin", margin)
    nodes = UniqueSequences.of(sequences)
    redundancy = _redundancy(representatives, thresholds["identity"])
    finder = _GraphFinder(
        engine, float(evalue), cache, effective_n_jobs(n_jobs), verbose, redundancy
    )
    graph, source = finder.find(nodes, known=None if known is None else UniqueSequences.of(known))
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
            "n_never_significant": int(never_significant(nodes.sequences, float(evalue)).sum()),
            "source": source,
            "searched": source == "search",
        },
    )


def _redundancy(representatives: float | None, identity: float) -> Redundancy | None:
    if representatives is None:
        return None
    least = check_share("representatives", representatives)
    if least <= identity:
        raise DataError(
            f"representatives is {representatives!r}; expected None or an identity above that of "
            f"homologs ({identity:g}), such as 0.9."
        )
    return Redundancy.at(least)


def check_evalue(evalue: Any) -> float:
    """Return a number above 0, up to 1000, as float, or raise."""
    if not isinstance(evalue, _NUMBER) or isinstance(evalue, bool) or not 0 < evalue <= 1000:
        raise DataError(f"evalue is {evalue!r}; expected a number above 0, up to 1000.")
    return float(evalue)


@dataclass(frozen=True)
class _GraphFinder:
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
        Grouping of proteins of which representatives alone are searched.
    """

    engine: str
    evalue: float
    cache: str | os.PathLike[str] | None
    n_threads: int
    verbose: int
    redundancy: Redundancy | None = None

    def find(
        self, nodes: UniqueSequences, *, known: UniqueSequences | None = None
    ) -> tuple[HomologyGraph, str]:
        """Return the graph and its source: ``"memory"``, ``"disk"`` or ``"search"``.

        Parameters
        ----------
        nodes : UniqueSequences
            The proteins.
        known : UniqueSequences, default=None
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

    def _store(self, engine: Engine, *, completed: bool = True) -> GraphCache:
        parts: list[Any] = [
            _FORMAT,
            engine.name,
            engine.version,
            engine.settings,
            repr(self.evalue),
            *([INTERMEDIATE_THRESHOLDS] if completed and not engine.exact else []),
            *(["alone"] if ExactSearch.available() is None else []),
        ]
        if self.redundancy is not None:
            parts.append(asdict(self.redundancy))
        return GraphCache(json.dumps(parts, sort_keys=True), self.cache)

    def _look_up(self, nodes: UniqueSequences, chosen: Engine) -> tuple[HomologyGraph, str] | None:
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

    def _search(self, nodes: UniqueSequences, engine: Engine) -> HomologyGraph:
        if self.redundancy is None:
            return self._search_all(nodes, engine)
        stands_for, hits = self.redundancy.group(
            nodes.sequences, evalue=self.evalue, n_threads=self.n_threads
        )
        searched = nodes.take(np.unique(stands_for))
        between = self._search_all(searched, engine)
        return share_edges(between, graph_of_hits(nodes, hits), stands_for)

    def _search_all(self, nodes: UniqueSequences, engine: Engine) -> HomologyGraph:
        def search() -> HomologyGraph:
            return graph_of_hits(nodes, self._run(engine, nodes.sequences, None))

        return self._completed(nodes, engine, search)

    def _completed(
        self, nodes: UniqueSequences, engine: Engine, search: Callable[[], HomologyGraph]
    ) -> HomologyGraph:
        """Return the graph of a search, for a heuristic engine with the pairs by intermediates.

        These may take as long as the search, whose graph is kept until they are done.
        """
        if engine.exact or ExactSearch.available() is None:
            return search()
        store = self._store(engine, completed=False)
        found = store.find(nodes.digests)  # by a process that was killed since
        if found is None:
            graph = search()
            store.write(graph)
        else:
            graph, _ = found
        start = time.perf_counter()
        completed = search_intermediates(graph, nodes, evalue=self.evalue, n_threads=self.n_threads)
        message = "aligned pairs joined by a homolog: %d more alignments in %.1f s"
        what = (completed.n_edges - graph.n_edges, time.perf_counter() - start)
        _LOGGER.log(self._level(engine), message, *what)
        store.remove(nodes.digests)
        return completed

    def _extend(
        self, nodes: UniqueSequences, known: UniqueSequences, engine: Engine
    ) -> HomologyGraph:
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
                back = self._run(engine, nodes.sequences, fresh)
                parts.append(replace(back, target=new[back.target]))
            added = graph_of_hits(nodes, Hits.concatenate(parts))
            return union(replace(base, digests=nodes.digests, edges=old[base.edges]), added)

        return self._completed(nodes, engine, search)

    def _level(self, engine: Engine) -> int:
        """Return the level of log messages of a search; exact ones are many and mostly short."""
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
        "completion": None
        if engine.exact or ExactSearch.available() is None
        else INTERMEDIATE_THRESHOLDS,
    }
    about["representatives"] = None if redundancy is None else asdict(redundancy)
    return replace(graph, description={**graph.description, **about})
