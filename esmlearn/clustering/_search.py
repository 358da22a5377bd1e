"""Choose an engine and search proteins against proteins."""

from dataclasses import replace
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray

from esmlearn.clustering._engines.base import Engine, to_common_alphabet
from esmlearn.clustering._engines.cdhit import CDHIT
from esmlearn.clustering._engines.exact import ExactSearch
from esmlearn.clustering._engines.hits import Hits, lengths_of, never_significant
from esmlearn.clustering._engines.peptides import peptide_hits
from esmlearn.clustering._engines.registry import ENGINE_NAMES, ENGINES
from esmlearn.clustering._heuristic_search import search_heuristically
from esmlearn.clustering._nodes import canonical_sequences
from esmlearn.exceptions import DataError
from esmlearn.utils._warn import warn

# Up to here, about 5,000 enzymes, exact search takes some minutes: it finds everything and gives
# the same result on every machine. The number of threads is no part of it, since results do not
# depend on that.
AFFORDABLE_CELLS = 3e12


def available_engines() -> dict[str, str | None]:
    """Return the search and clustering programs that this machine has.

    Returns
    -------
    engines : dict of str to (str or None)
        For ``"exact"``, ``"mmseqs"``, ``"diamond"`` and ``"cd-hit"`` the version and path, or None
        where it is not installed or does not run (the log then says why).

    Examples
    --------
    >>> from esmlearn.clustering import available_engines
    >>> sorted(available_engines())
    ['cd-hit', 'diamond', 'exact', 'mmseqs']
    """
    engines = {name: engine.available() for name, engine in ENGINES.items()}
    return {**engines, "cd-hit": CDHIT.available()}


def choose_engine(engine: str, *, cells: float) -> Engine:
    """Return the engine of that name, or the one that ``"auto"`` stands for.

    ``"auto"`` is exact search up to `AFFORDABLE_CELLS` residue pairs, else the first engine of the
    registry that runs: DIAMOND where it is installed, else MMseqs2. One that is installed and does
    not run costs a warning. The engine adapts its sensitivity to the number of pairs.
    """
    if engine != "auto":
        if engine not in ENGINES:
            raise DataError(f"engine is {engine!r}; expected one of {', '.join(ENGINE_NAMES)}.")
        return ENGINES[engine].for_size(cells)
    if cells <= AFFORDABLE_CELLS and ExactSearch.available():
        return ExactSearch()
    *preferred, last = (found for found in ENGINES.values() if not found.exact)
    for candidate in preferred:
        if candidate.available():
            return candidate.for_size(cells)
        broken = candidate.found()
        if broken is not None:
            warn(
                f"{broken} does not run, so that engine='auto' stands for another engine. Repair "
                f"it, take it off PATH, or pass engine={last.name!r}.",
            )
    return last.for_size(cells)


def engines_of(engine: str) -> list[Engine]:
    """Return the engines whose graphs may serve a request for `engine`, best first."""
    if engine != "auto":
        return list(ENGINES[engine].variants())
    return [each for found in ENGINES.values() if found.available() for each in found.variants()]


def run_engine(
    engine: Engine, queries: list[str], targets: list[str] | None, *, evalue: float, n_threads: int
) -> Hits:
    """Search canonical sequences by an engine, and compare peptides as a whole.

    Sequences that cannot be significant are left out of the engine's search.

    Parameters
    ----------
    engine : Engine
        The engine that searches.
    queries : list of str
        Canonical sequences.
    targets : list of str or None
        The same; None searches the queries against themselves.
    evalue : float
        Largest E-value.
    n_threads : int
        Number of threads.

    Returns
    -------
    hits : Hits
        With indices into `queries` and `targets`.
    """
    queries = to_common_alphabet(queries)
    of_queries = of_targets = np.flatnonzero(~never_significant(queries, evalue))
    if targets is not None:
        targets = to_common_alphabet(targets)
        of_targets = np.flatnonzero(~never_significant(targets, evalue))
    hits = Hits.concatenate([])
    if len(of_queries) and len(of_targets):
        some = [queries[i] for i in of_queries]
        others = None if targets is None else [targets[i] for i in of_targets]
        options: dict[str, Any] = {"evalue": evalue, "n_threads": n_threads}
        if engine.exact:
            hits = engine.search(some, others, **options)
        else:
            hits = search_heuristically(engine, some, others, **options)
        hits = replace(hits, query=of_queries[hits.query], target=of_targets[hits.target])
    if ExactSearch.available() is None:
        return hits
    alike = peptide_hits(queries, targets)
    if targets is None:  # the engine may have found a pair in either direction
        alike = Hits.concatenate([alike, alike.reversed()])
    n_targets = len(queries if targets is None else targets)
    as_a_whole = np.isin(_pairs(hits, n_targets), _pairs(alike, n_targets))
    return Hits.concatenate([hits.take(~as_a_whole), alike])


def _pairs(hits: Hits, n_targets: int) -> NDArray[np.int64]:
    """Return a number for each pair of query and target."""
    return hits.query * n_targets + hits.target


def search(
    queries: Any,
    targets: Any,
    *,
    engine: str = "auto",
    evalue: float = 1e-3,
    n_jobs: int | None = None,
) -> Hits:
    """Find the significant local alignments of queries with targets.

    Local alignment under BLOSUM62 with gap costs 11 (open) and 1 (per residue); the best alignment
    of each pair is reported. Of two peptides that are alike as a whole (see
    :func:`esmlearn.clustering.homology_graph`) that identity is reported instead.

    Parameters
    ----------
    queries, targets : array-like of str
        Protein sequences; case and gap characters do not matter. A query that is also a target
        finds itself.
    engine : {"auto", "mmseqs", "diamond", "exact"}, default="auto"
        ``"exact"`` is Smith-Waterman on every pair. ``"auto"`` is exact up to 3e12 residue pairs,
        else DIAMOND where it is installed, else MMseqs2. DIAMOND searches in its mode
        ``ultra-sensitive`` up to 7e13 residue pairs, and ``very-sensitive`` beyond.
    evalue : float, default=1e-3
        Largest E-value, in a search space of one million residues.
    n_jobs : int, default=None
        Number of threads; -1 for all cores, None for one unless in a joblib context. The result
        does not depend on it.

    Returns
    -------
    hits : Hits
        Arrays ``query`` and ``target`` (indices of the rows given here), ``score``, ``identity``,
        ``coverage_query``, ``coverage_target`` (0-1) and ``evalue``, sorted by query and target.

    Raises
    ------
    DataError
        If a sequence is invalid.
    EngineNotFoundError
        If the engine is not installed.
    EngineError
        If the program fails.

    See Also
    --------
    exact_search : The same with the exact engine.

    Examples
    --------
    >>> from esmlearn.clustering import search
    >>> protein = "MKVLATGGARQWEDSTHNPYFCIMKVLRTGGAEQ"
    >>> hits = search([protein], ["W" * 30, protein[4:]])
    >>> hits.target.tolist(), hits.identity.tolist(), hits.coverage_target.tolist()
    ([1], [1.0], [1.0])
    """
    query_list = canonical_sequences(queries, name="queries")
    target_list = canonical_sequences(targets, name="targets")
    cells = float(lengths_of(query_list).sum()) * float(lengths_of(target_list).sum())
    chosen = choose_engine(engine, cells=cells)
    n_threads = effective_n_jobs(n_jobs)
    searched = target_list
    if not chosen.exact:  # so that each query has to find itself
        searched = [*target_list, *_others(query_list, target_list)]
    hits = run_engine(chosen, query_list, searched, evalue=evalue, n_threads=n_threads)
    return hits.take(hits.target < len(target_list)).best_per_pair()


def _others(queries: list[str], targets: list[str]) -> list[str]:
    """Return the queries that are no targets, each once."""
    known = set(targets)
    return [query for query in dict.fromkeys(queries) if query not in known]


def exact_search(
    queries: Any,
    targets: Any,
    *,
    evalue: float = 1e-3,
    min_identity: float = 0.0,
    n_jobs: int | None = None,
) -> Hits:
    """Find every significant local alignment of queries with targets by Smith-Waterman.

    About 4 to 10 billion residue pairs per second and core: 500 queries of 350 residues against
    20,000 such targets take two to five minutes on one core.

    Parameters
    ----------
    queries, targets : array-like of str
        Protein sequences; case and gap characters do not matter.
    evalue : float, default=1e-3
        Largest E-value, in a search space of one million residues. ``np.inf`` gives the best
        alignment of every pair that has one.
    min_identity : float, default=0.0
        Least identity, 0-1.
    n_jobs : int, default=None
        Number of threads; -1 for all cores.

    Returns
    -------
    hits : Hits
        Arrays ``query``, ``target``, ``score``, ``identity``, ``coverage_query``,
        ``coverage_target`` and ``evalue``, sorted by query and target.

    See Also
    --------
    search : The same with any engine.

    Examples
    --------
    >>> from esmlearn.clustering import exact_search
    >>> hits = exact_search(["MKVLATGGARQWEDSTHNPYF"], ["MKVLATGGAKQWEDSTHNPYF"])
    >>> round(float(hits.identity[0]), 3)
    0.952
    """
    hits = search(queries, targets, engine="exact", evalue=evalue, n_jobs=n_jobs)
    return hits.take(np.flatnonzero(hits.identity >= min_identity))
