"""Remove redundancy: near-identical proteins are replaced by one of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from numpy.typing import NDArray

from esmlearn.clustering._clusters import check_choice
from esmlearn.clustering._engines.cdhit import CDHIT, LEAST_IDENTITY
from esmlearn.clustering._engines.exact import ExactSearch
from esmlearn.clustering._engines.hits import lengths_of
from esmlearn.clustering._engines.mmseqs import MMseqs
from esmlearn.clustering._graph import HomologyGraph
from esmlearn.clustering._homology_graph import check_share, homology_graph
from esmlearn.clustering._nodes import UniqueSequences, row_digests
from esmlearn.clustering._redundancy import length_order, node_representatives
from esmlearn.exceptions import DataError
from esmlearn.utils._targets import is_continuous

ENGINES = ("auto", "exact", "cdhit", "mmseqs")
MERGE_RULES = ("auto", "median", "mean", "majority", "representative")
_PROGRAMS = {"cdhit": CDHIT, "mmseqs": MMseqs.program}
# Up to here exact search takes seconds, and finds what greedy programs overlook.
AFFORDABLE_CELLS = 2e10


@dataclass(frozen=True, eq=False)
class Deduplication:
    """Rows that :func:`deduplicate` kept, and the kept row that stands for each row.

    Attributes
    ----------
    indices : ndarray of int of shape (n_kept,)
        Rows that are kept, ascending.
    representative : ndarray of int of shape (n_sequences,)
        The kept row that stands for each row; a kept row stands for itself.
    y : ndarray of shape (n_kept,) or None
        Merged targets of the kept rows.
    conflicts : pandas.DataFrame
        One line per kept row whose rows had different targets: ``representative``, ``n_rows``,
        ``rows``, ``targets``, ``merged``, ``spread`` and ``tied`` (the majority had to decide
        between equally common targets).
    description : mapping
        Engine, version, thresholds, rules and counts.
    """

    indices: NDArray[np.int64]
    representative: NDArray[np.int64]
    y: NDArray | None = None
    conflicts: pd.DataFrame = field(default_factory=pd.DataFrame)
    description: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Deduplication: {len(self.indices)} of {len(self.representative)} sequences kept>"

    def summary(self) -> pd.DataFrame:
        """Return the counts as a table.

        Returns
        -------
        table : pandas.DataFrame
            One column ``value``; rows ``sequences``, ``distinct``, ``kept``, ``removed``,
            ``largest group`` and ``conflicting targets``.
        """
        sizes = np.bincount(self.representative)
        counts = {
            "sequences": len(self.representative),
            "distinct": self.description["n_distinct"],
            "kept": len(self.indices),
            "removed": len(self.representative) - len(self.indices),
            "largest group": int(sizes.max()),
            "conflicting targets": len(self.conflicts),
        }
        return pd.DataFrame({"value": counts})


def deduplicate(
    sequences: Any,
    y: Any = None,
    *,
    identity: float = 0.95,
    coverage: float = 0.9,
    engine: str = "auto",
    merge: str = "auto",
    n_jobs: int | None = None,
) -> Deduplication:
    """Keep one protein of each group of near-identical ones.

    Longest first (equally long ones by digest), a protein joins the group of a kept one that it
    matches at `identity` over `coverage` of its own length, or is kept itself: every removed row is
    similar to the row that stands for it, which is at least as long. Of identical rows the first
    stands for the others.

    Parameters
    ----------
    sequences : array-like of str of shape (n_sequences,)
        Proteins; case and gap characters do not matter.
    y : array-like of shape (n_sequences,), default=None
        Targets to merge.
    identity : float, default=0.95
        Least identity (identical residues over alignment columns), 0-1.
    coverage : float, default=0.9
        Share of the shorter protein that the alignment must cover, 0-1.
    engine : {"auto", "exact", "cdhit", "mmseqs"}, default="auto"
        ``"exact"`` aligns every pair; ``"cdhit"`` needs the program and ``identity >= 0.4``.
        ``"auto"`` is exact up to 2e10 residue pairs (about 600 proteins), else CD-HIT where it can
        serve, else MMseqs2.
    merge : {"auto", "median", "mean", "majority", "representative"}, default="auto"
        Target of a kept row: the median or mean of its rows' targets; the commonest (the kept row's
        own, then the least, of equally common ones); or its own. ``"auto"`` is the median of
        measurements (floats, and integers of more than 20 different values, which become floats)
        and the majority of other integers, booleans and text.
    n_jobs : int, default=None
        Number of threads; -1 for all cores.

    Returns
    -------
    deduplication : Deduplication
        ``indices``, ``representative``, ``y``, ``conflicts``, ``description``, ``summary()``.

    Raises
    ------
    DataError
        If a sequence, target or parameter is invalid.
    EngineNotFoundError
        If the program is not installed.

    References
    ----------
    .. [1] W. Li, A. Godzik. "Cd-hit: a fast program for clustering and comparing large sets of
       protein or nucleotide sequences". Bioinformatics 22, 1658-1659, 2006.

    Examples
    --------
    >>> from esmlearn.clustering import deduplicate
    >>> protein = "MKVLATGGARQWEDSTHNPYFCIMKVLRTGGAEQ"
    >>> result = deduplicate(
    ...     [protein[:-1], "ACDEFGHIKLMNPQRSTVWY" * 2, protein], y=[50.0, 37.0, 60.0]
    ... )
    >>> result.indices.tolist(), result.representative.tolist(), result.y.tolist()
    ([1, 2], [2, 1, 2], [37.0, 55.0])
    >>> result.conflicts[["representative", "spread"]].values.tolist()
    [[2.0, 10.0]]
    """
    identity, coverage = check_share("identity", identity), check_share("coverage", coverage)
    check_choice("engine", engine, ENGINES)
    check_choice("merge", merge, MERGE_RULES)
    rows = row_digests(sequences)
    targets = None if y is None else _check_targets(y, len(rows))
    nodes = UniqueSequences.of(sequences)
    chosen, version = _choose_engine(engine, identity, nodes.sequences)
    of_node = _representatives(nodes.sequences, chosen, identity, coverage, n_jobs)
    node = np.searchsorted(nodes.digests, rows)
    _, first_row = np.unique(node, return_index=True)
    representative = first_row[of_node[node]]
    indices = np.unique(representative)
    description = {
        "engine": chosen,
        "version": version,
        "identity": identity,
        "coverage": coverage,
        "representative": "the longest; of equally long ones the least digest; of copies the first",
        "n_distinct": len(nodes.sequences),
    }
    if targets is None:
        return Deduplication(indices, representative, description=description)
    rule = _choose_rule(merge, targets)
    merged, conflicts = _merge_targets(targets, indices, representative, rule)
    described = {**description, "merge": rule}
    return Deduplication(indices, representative, merged, conflicts, described)


def _choose_engine(engine: str, identity: float, nodes: list[str]) -> tuple[str, str]:
    """Return the engine's name and version."""
    if engine == "auto":
        cells = float(lengths_of(nodes).sum()) ** 2 / 2
        if cells <= AFFORDABLE_CELLS and ExactSearch.available():
            engine = "exact"
        else:
            fits = identity >= LEAST_IDENTITY and CDHIT.usable() is not None
            engine = "cdhit" if fits else "mmseqs"
    program = _PROGRAMS.get(engine)
    path = program.find() if program else None
    return engine, program.version(path) if program and path else "pyopal"


def _representatives(
    nodes: list[str], engine: str, identity: float, coverage: float, n_jobs: int | None
) -> NDArray[np.int64]:
    """Return the node that represents each node, longest first."""
    if engine == "exact":
        graph = homology_graph(
            nodes, identity=identity, coverage=coverage, margin=0, engine="exact", n_jobs=n_jobs
        )
        return _greedy_cover(graph, length_order(nodes))
    return node_representatives(
        nodes,
        identity=identity,
        coverage=coverage,
        coverage_mode="shorter",
        method=engine,
        greedy=True,
        n_threads=effective_n_jobs(n_jobs),
    )


def _greedy_cover(graph: HomologyGraph, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give each node, in that order, to the first kept neighbour, or keep it."""
    adjacency = graph.adjacency()
    representatives = np.full(graph.n_nodes, -1, dtype=np.int64)
    for node in order:
        if representatives[node] >= 0:
            continue
        representatives[node] = node
        neighbours = adjacency.indices[adjacency.indptr[node] : adjacency.indptr[node + 1]]
        free = neighbours[representatives[neighbours] < 0]
        representatives[free] = node
    return representatives


def _check_targets(y: Any, n_rows: int) -> NDArray:
    """Return targets as a 1-D array without missing values."""
    targets = np.asarray(y)
    if targets.shape != (n_rows,):
        raise DataError(f"y has shape {targets.shape}; expected ({n_rows},), one per sequence.")
    missing = np.flatnonzero(pd.isna(targets))
    if len(missing):
        raise DataError(
            f"y[{missing[0]}] is missing ({len(missing)} are); remove or fill missing targets "
            f"before rows are merged."
        )
    if targets.dtype == object:  # a number in a mixed table is a number all the same
        numbers = (int, float, np.integer, np.floating)
        if all(isinstance(v, numbers) and not isinstance(v, bool) for v in targets):
            return np.array(targets.tolist())
    return targets


def _choose_rule(rule: str, targets: NDArray) -> str:
    """Return what ``"auto"`` means: the median of measurements, the majority of anything else.

    Measurements are floats, and whole numbers of more than 20 different values: the majority of two
    would be one of them by chance.
    """
    numeric = targets.dtype.kind in "iuf"
    if rule == "auto":
        measured = targets.dtype.kind == "f" or is_continuous(targets)
        return "median" if measured else "majority"
    if rule in ("median", "mean") and not numeric:
        raise DataError(
            f"merge={rule!r} needs numeric targets, got dtype {targets.dtype}; use 'majority' or "
            f"'representative'."
        )
    return rule


def _commonest(values: NDArray) -> NDArray:
    """Return the commonest value, or all that are equally common."""
    distinct, counts = np.unique(values, return_counts=True)
    return distinct[counts == counts.max()]


def _majority(values: NDArray, own: Any) -> Any:
    """Return the commonest value; of equally common ones the representative's, else the least."""
    commonest = _commonest(values)
    return own if own in commonest else commonest[0]


def _merge_targets(
    targets: NDArray, indices: NDArray[np.int64], representative: NDArray[np.int64], rule: str
) -> tuple[NDArray, pd.DataFrame]:
    """Return one target per kept row, and the table of kept rows whose targets disagree.

    Parameters
    ----------
    targets : ndarray of shape (n_rows,)
        Targets of all rows.
    indices : ndarray of int of shape (n_kept,)
        Rows that are kept, ascending.
    representative : ndarray of int of shape (n_rows,)
        The kept row that stands for each row.
    rule : {"median", "mean", "majority", "representative"}
        How targets merge.

    Returns
    -------
    merged : ndarray of shape (n_kept,)
        Merged targets.
    conflicts : pandas.DataFrame
        ``representative`` (row), ``n_rows``, ``rows``, ``targets``, ``merged``, ``spread`` (largest
        minus smallest; NaN unless they are numbers) and ``tied`` (whether the majority decided
        between equally common targets).
    """
    order = np.argsort(representative, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(representative[order])) + 1)
    merged, conflicts = [], []
    for row, members in zip(indices, groups, strict=True):
        values = targets[members]
        value = _merge(values, targets[row], rule)
        merged.append(value)
        if len(members) > 1 and (values != values[0]).any():
            conflict = [int(row), len(members), members.tolist(), values.tolist(), value]
            tied = rule == "majority" and len(_commonest(values)) > 1
            conflicts.append([*conflict, _spread(values), tied])
    columns = ["representative", "n_rows", "rows", "targets", "merged", "spread", "tied"]
    table = pd.DataFrame(conflicts, columns=columns)
    whole = rule in ("majority", "representative")
    dtype = targets.dtype if whole else np.result_type(targets.dtype, np.float64)
    return np.array(merged, dtype=dtype), table


def _merge(values: NDArray, own: Any, rule: str) -> Any:
    if rule == "representative" or len(values) == 1:
        return own
    if rule == "majority":
        return _majority(values, own)
    return np.median(values) if rule == "median" else np.mean(values)


def _spread(values: NDArray) -> float:
    return float(values.max() - values.min()) if values.dtype.kind in "iuf" else np.nan
