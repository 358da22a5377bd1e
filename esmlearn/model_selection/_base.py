"""Base classes of the homology splitters: parameters, graph, random draw, summary."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
    validate_parameter_constraints,
)

from esmlearn.clustering import HomologyGraph, cluster_sequences, homology_graph
from esmlearn.clustering._engines.registry import ENGINE_NAMES
from esmlearn.clustering._nodes import row_digests
from esmlearn.exceptions import DataError, InsufficientComponentsError
from esmlearn.model_selection._partition.planner import REMEDIES, FoldPlan
from esmlearn.model_selection._strata import Strata, make_strata
from esmlearn.utils._random import repeatable_generator
from esmlearn.utils._sequence_column import table_sequences
from esmlearn.utils._sequences import check_sequences, is_sequence_like, remove_gaps
from esmlearn.utils._warn import warn

FEW_TRAINING_ROWS = 0.5

Pair = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class HomologyRows:
    """Rows, the distinct sequences (nodes) they stand for, and the pairs of homologs.

    `adjacency` holds the edges with the whole margin, `purge` those that keep a row from training.
    """

    node: NDArray[np.intp]
    adjacency: csr_array
    purge: csr_array
    description: dict[str, Any]

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.node)

    @property
    def n_nodes(self) -> int:
        """Number of distinct sequences."""
        return self.adjacency.shape[0]

    def counts(self, strata: Strata) -> NDArray[np.int64]:
        """Return how many rows of each stratum each node stands for."""
        return strata.counts_per_node(self.node, self.n_nodes)


class HomologySplitter(BaseEstimator, BaseCrossValidator):
    """Base of the splitters; see `CDHitGroupSplitter` for the parameters."""

    # With metadata routing, `groups` (the sequences, where X is numeric) come without being asked.
    __metadata_request__split = {"groups": True}

    _parameter_constraints: dict[str, list[Any]] = {
        "identity": [Interval(Real, 0, 1, closed="both")],
        "coverage": [Interval(Real, 0, 1, closed="both")],
        "coverage_mode": [StrOptions({"shorter", "both", "any"})],
        "evalue": [Interval(Real, 0, None, closed="neither")],
        "margin": [Interval(Real, 0, 1, closed="both")],
        "purge_margin": [Interval(Real, 0, 1, closed="both"), None],
        "engine": [StrOptions(set(ENGINE_NAMES))],
        "stratify": [StrOptions({"auto"}), "boolean", "array-like", HasMethods("region")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "reference": ["array-like", HasMethods("restrict"), None],
        "extra_edges": ["array-like", None],
        "sequence_column": [str, None],
    }

    # The splitters that offer a choice have these as parameters.
    method: str = "components"
    purge_margin: float | None = None
    identity: float
    coverage: float
    coverage_mode: str
    evalue: float
    margin: float
    engine: str
    stratify: Any
    random_state: Any
    n_jobs: int | None
    reference: Any
    extra_edges: Any
    sequence_column: str | None

    def _check_parameters(self) -> None:
        validate_parameter_constraints(
            self._parameter_constraints,
            self.get_params(deep=False),
            caller_name=type(self).__name__,
        )

    def _generator(self) -> np.random.RandomState:
        """Return the source of chance; None stands for a fixed seed, so that splits repeat."""
        return repeatable_generator(self.random_state)

    def _rows(self, X: Any, groups: Any) -> HomologyRows:
        """Return the rows' nodes and their homology."""
        sequences = sequences_of(X, groups, self.sequence_column)
        if self.method != "components":
            return self._cluster_rows(sequences)
        graph = self._graph(sequences)
        adjacency, purge = (
            _with_extra_edges(csr_array(g.adjacency()), g.digests, self.extra_edges)
            for g in (graph, self._purge_graph(graph))
        )
        return HomologyRows(graph.node_of(sequences), adjacency, purge, dict(graph.description))

    def _purge_graph(self, graph: HomologyGraph) -> HomologyGraph:
        """Return the graph with the edges within `purge_margin` of the thresholds."""
        if self.purge_margin is None or self.purge_margin >= self.margin:
            return graph
        return graph.filter(
            identity=max(0.0, self.identity - self.purge_margin),
            coverage=max(0.0, self.coverage - 2 * self.purge_margin),
            coverage_mode=self.coverage_mode,
            evalue=self.evalue,
        )

    def _cluster_rows(self, sequences: list[str]) -> HomologyRows:
        """Return greedy clusters as nodes of their own, without any homology between them."""
        if isinstance(self.reference, HomologyGraph) or self.extra_edges is not None:
            raise DataError(
                f"method is {self.method!r}, and reference is a graph or extra_edges are given; "
                f"expected method='components' with these."
            )
        known = sequences if self.reference is None else check_sequences(self.reference)
        labels = cluster_sequences(
            known,
            identity=self.identity,
            coverage=self.coverage,
            coverage_mode=self.coverage_mode,
            method=self.method,
            n_jobs=self.n_jobs,
        )
        node = _canonical_labels(row_digests(known), labels, row_digests(sequences))
        n_nodes = int(node.max()) + 1
        description = {"method": self.method, "n_clusters": n_nodes}
        nothing = csr_array((n_nodes, n_nodes), dtype=bool)
        return HomologyRows(node, nothing, nothing, description)

    def _graph(self, sequences: list[str]) -> HomologyGraph:
        if isinstance(self.reference, HomologyGraph):
            self._check_reach(self.reference)
            return self.reference.restrict(sequences)
        graph = homology_graph(
            sequences if self.reference is None else self.reference,
            identity=self.identity,
            coverage=self.coverage,
            coverage_mode=self.coverage_mode,
            evalue=self.evalue,
            margin=self.margin,
            engine=self.engine,
            n_jobs=self.n_jobs,
        )
        return graph if self.reference is None else graph.restrict(sequences)

    def _check_reach(self, graph: HomologyGraph) -> None:
        """Refuse a graph that lacks some of the homologs by this splitter's thresholds."""
        made = graph.description.get("lowered_thresholds")
        if made is None:  # precomputed edges are taken as they are
            return
        strictness = ("any", "shorter", "both").index
        any_coverage = made["coverage_mode"] == "any" or made["coverage"] == 0
        reaches = (
            made["identity"] <= self.identity,
            made["evalue"] >= self.evalue,
            any_coverage or made["coverage"] <= self.coverage,
            any_coverage or strictness(made["coverage_mode"]) <= strictness(self.coverage_mode),
        )
        if not all(reaches):
            wanted = {name: getattr(self, name) for name in made}
            raise DataError(
                f"reference is a graph of the pairs that reach {made}; expected one that holds "
                f"those of {wanted}. Make the graph with these thresholds, or pass the sequences "
                f"as reference."
            )

    def _strata(self, y: Any, n_rows: int, min_rows: int) -> Strata:
        return make_strata(y, n_rows=n_rows, stratify=self.stratify, min_rows=min_rows)


class PlannedSplitter(HomologySplitter):
    """Base of the splitters that plan folds and then summarize them."""

    _kept: Any
    set_aside_: Any
    description_: Any

    def _remember(
        self,
        rows: HomologyRows,
        pairs: list[Pair],
        set_aside: list[NDArray[np.intp]],
        plan: FoldPlan,
        strata: Strata,
        y: Any,
    ) -> None:
        """Check the splits and keep them for `summary`; `set_aside` goes with `pairs`."""
        n_planned = [rows.n_rows - len(indices) for indices in set_aside]
        _check_training_parts(pairs, n_planned)
        self._kept = pairs, n_planned, strata, y
        self.set_aside_ = set_aside[-1]
        self.description_ = {"graph": rows.description, **plan.description}

    def summary(self) -> Any:
        """Return one line per split of the last call of `split`.

        Returns
        -------
        table : pandas.DataFrame
            Columns ``fold``, ``n_train``, ``n_test``, ``n_purged`` (rows left out of the training
            part because a test row is their homolog), ``share_<stratum>`` of the test rows and, for
            a numeric target, ``target_mean``; of a repeated splitter also ``repeat``.
        """
        if not hasattr(self, "_kept"):
            raise DataError(
                f"this {type(self).__name__} has not split anything yet; call split(X, y) first."
            )
        return self._table()

    def _table(self) -> pd.DataFrame:
        return _summarize(*self._kept)


def _summarize(pairs: list[Pair], n_planned: list[int], strata: Strata, y: Any) -> pd.DataFrame:
    """Return a table with one line per split, of which the plan has `n_planned` rows in folds."""
    numeric = _numeric_target(y)
    lines = []
    for fold, (train, test) in enumerate(pairs):
        line: dict[str, Any] = {
            "fold": fold,
            "n_train": len(train),
            "n_test": len(test),
            "n_purged": n_planned[fold] - len(train) - len(test),
        }
        if strata.n_strata > 1:
            shares = np.bincount(strata.codes[test], minlength=strata.n_strata) / max(len(test), 1)
            line |= {f"share_{name}": s for name, s in zip(strata.names, shares, strict=True)}
        if numeric is not None:
            line["target_mean"] = float(np.mean(numeric[test]))
        lines.append(line)
    return pd.DataFrame(lines)


def _numeric_target(y: Any) -> NDArray[np.float64] | None:
    if y is None:
        return None
    target = np.asarray(y)
    return target.astype(float) if target.dtype.kind in "iuf" and target.ndim == 1 else None


def _check_training_parts(pairs: list[Pair], n_planned: list[int]) -> None:
    """Refuse splits with nothing to train on; warn when a purge left little."""
    for fold, (train, test) in enumerate(pairs):
        available = n_planned[fold] - len(test)
        message = (
            f"the test rows of split {fold} have homologs nearly everywhere: {len(train)} of "
            f"{available} other rows are left to train on. {REMEDIES}"
        )
        if not len(train):
            raise InsufficientComponentsError(message)
        if len(train) < FEW_TRAINING_ROWS * available:
            warn(message)


def sequences_of(X: Any, groups: Any, column: str | None = None) -> list[str]:
    """Return the sequences: X itself, a column of it or, where X is numeric, `groups`."""
    if is_sequence_like(X):
        sequences = check_sequences(X)
        if groups is not None and not _same_proteins(sequences, groups):
            raise DataError(
                "X are sequences and groups are given too, and they differ; expected groups only "
                "where X is numeric (they are then the sequences). Leave groups out."
            )
        return sequences
    if groups is None:
        found = table_sequences(X, column)
        if found is not None:
            return found
        try:
            check_sequences(X)
        except DataError as error:
            raise DataError(
                f"X holds no sequences and groups is None; expected sequences as X, or any other X "
                f"with groups=sequences. {error}"
            ) from error
    sequences = check_sequences(groups, name="groups")
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    if len(sequences) != n_rows:
        raise DataError(
            f"groups has {len(sequences)} sequences; expected {n_rows}, one for each row of X."
        )
    return sequences


def _same_proteins(sequences: list[str], groups: Any) -> bool:
    if not is_sequence_like(groups):
        return False
    given = check_sequences(groups, name="groups")
    return [remove_gaps(s) for s in sequences] == [remove_gaps(g) for g in given]


def _canonical_labels(
    known: NDArray[np.bytes_], labels: NDArray[np.int64], digests: NDArray[np.bytes_]
) -> NDArray[np.intp]:
    """Return the clusters of some rows, numbered by their first digest, whatever their order."""
    known, first = np.unique(known, return_index=True)
    position = np.minimum(np.searchsorted(known, digests), len(known) - 1)
    missing = np.flatnonzero(known[position] != digests)
    if len(missing):
        raise DataError(
            f"sequences[{missing[0]}] is not in reference ({len(missing)} of {len(digests)} are "
            f"not); expected reference to hold every sequence that is split."
        )
    label = labels[first][position]
    order = np.argsort(position, kind="stable")
    distinct, at = np.unique(label[order], return_index=True)
    return np.argsort(np.argsort(at))[np.searchsorted(distinct, label)]


def _with_extra_edges(
    adjacency: csr_array, digests: NDArray[np.bytes_], extra_edges: Any
) -> csr_array:
    """Join pairs of sequences; pairs with a sequence that is not among the nodes are not needed."""
    if extra_edges is None or not len(extra_edges):
        return adjacency
    pairs = np.asarray(extra_edges, dtype=object).reshape(-1, 2)
    wanted = row_digests(pairs.ravel().tolist())
    node = np.minimum(np.searchsorted(digests, wanted), len(digests) - 1)
    known = (digests[node] == wanted).reshape(-1, 2).all(axis=1)
    i, j = node.reshape(-1, 2)[known].T
    proper = i != j
    i, j = i[proper], j[proper]
    extra = csr_array(
        (np.ones(2 * len(i), dtype=bool), (np.append(i, j), np.append(j, i))),
        shape=adjacency.shape,
    )
    return csr_array(adjacency + extra)
