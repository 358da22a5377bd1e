"""Build homology graphs: look up, restrict, or search."""

import os
from dataclasses import replace
from typing import Any

import numpy as np
from joblib import effective_n_jobs

from esmlearn.clustering._finder import GraphFinder
from esmlearn.clustering._graph import HomologyGraph
from esmlearn.clustering._hits import never_significant
from esmlearn.clustering._nodes import Nodes
from esmlearn.clustering._redundancy import Redundancy
from esmlearn.exceptions import DataError

_DEFINITION = (
    "best local alignment, BLOSUM62, gap costs 11 (open) and 1 (per residue); identity: identical "
    "residues over alignment columns; coverage: residues between the ends of the alignment over "
    "the protein's length; E = 0.041 * length of the shorter * 1e6 * exp(-0.267 * score)"
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
        alignments short, and a judge may align a little differently.
    engine : {"auto", "mmseqs", "diamond", "exact"}, default="auto"
        ``"auto"`` is exact Smith-Waterman where that takes seconds (2e10 residue pairs, about 600
        proteins), else DIAMOND where it is installed, else MMseqs2. With ``"auto"`` a cached graph
        of any engine that holds all the sequences serves. DIAMOND searches in its mode
        ``ultra-sensitive`` up to 7e13 residue pairs (about 35,000 proteins), and
        ``very-sensitive`` beyond.
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

    MMseqs2 and DIAMOND overlook some pairs. Those of which one protein is a homolog of a third (at
    the default thresholds) and the other has a significant alignment with it are aligned exactly
    after the search, until nothing more is found [1]_.

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
    nodes = Nodes.of(sequences)
    redundancy = _redundancy(representatives, thresholds["identity"])
    finder = GraphFinder(
        engine, float(evalue), cache, effective_n_jobs(n_jobs), verbose, redundancy
    )
    graph, source = finder.find(nodes, known=None if known is None else Nodes.of(known))
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
