"""Measure the leakage of any split with a search that is independent of how it was made."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from esmlearn.clustering._engines.exact import ExactSearch
from esmlearn.clustering._homology_graph import check_evalue, check_share
from esmlearn.clustering._search import choose_engine
from esmlearn.exceptions import DataError
from esmlearn.model_selection._crossings import NodeHits, Proteins, named_splits
from esmlearn.model_selection._leakage_report import DEFINITIONS, OVERALL, LeakageReport
from esmlearn.utils._random import repeatable_generator
from esmlearn.utils._sequence_column import read_sequences

# About a minute of exact search on one core.
AFFORDABLE_CELLS = 3e11
LEAST_SAMPLE = 200
CURVE = np.round(np.arange(0.2, 1.0001, 0.05), 2)
HALF_OF_SHORTER = 0.5
NEAR_IDENTITY, NEAR_COVERAGE = 0.95, 0.9


def audit_leakage(
    sequences: Any,
    splits: Any,
    *,
    y: ArrayLike | None = None,
    identity: float = 0.3,
    evalue: float = 1e-3,
    engine: str = "auto",
    n_sample: int | None = None,
    random_state: Any = None,
    n_jobs: int | None = None,
    sequence_column: str | None = None,
) -> LeakageReport:
    """Find the homologs of each test row in its training part.

    Works for any split of any origin. By default every pair is aligned by Smith-Waterman, so the
    audit finds pairs that the heuristic search behind a split may have missed.

    Parameters
    ----------
    sequences : array-like of str of shape (n_rows,), or table
        Proteins, or a table with a column of them.
    splits : array-like, list, dict or splitter
        One label per row: the number or name of its test fold, or, where all labels are, the part
        ``"train"``, ``"validation"`` or ``"test"`` (negative or ``"set_aside"``: in none);
        (train, test) row indices or masks of each split, as ``split`` returns them, or those of a
        single split; a dict or :class:`TrainValidationTestSplit` with the rows of ``"train"``,
        ``"validation"``, ``"test"``; or a splitter, whose ``split(sequences, y)`` is called.
    y : array-like of shape (n_rows,), default=None
        The target: copies of a sequence with different targets are reported.
    identity : float, default=0.3
        Identity from which on a pair counts in definitions A, B and C, 0-1.
    evalue : float, default=1e-3
        Largest E-value of a significant alignment.
    engine : {"auto", "exact", "mmseqs", "diamond"}, default="auto"
        ``"auto"`` is exact: of all test rows where that takes about a minute, else of a random
        sample of them. ``"exact"`` takes all rows, as long as it may take.
    n_sample : int, default=None
        Number of test rows to search, drawn at random from all test rows.
    random_state : int, RandomState instance or None, default=None
        Seed of the sample; None is a fixed seed.
    n_jobs : int, default=None
        Number of threads.
    sequence_column : str, default=None
        Column of the sequences where a table is given; see :class:`CDHitGroupSplitter`.

    Returns
    -------
    report : LeakageReport
        Tables, and ``summary()`` in words.

    Raises
    ------
    DataError
        If the splits are not of one of these forms, or a sequence is invalid.

    Examples
    --------
    >>> from esmlearn.model_selection import audit_leakage
    >>> ancestors = ["MKVLATGGARQWEDSTHNPYFCIM", "WWHHPPGGAACCDDEEFFKKLLMM"]
    >>> sequences = [a[i:] for a in ancestors for i in range(3)]
    >>> audit_leakage(sequences, [0, 0, 0, 1, 1, 1]).overall("A")
    0.0
    >>> audit_leakage(sequences, [0, 1, 0, 1, 0, 1]).overall("A")
    1.0
    """
    identity, evalue = check_share("identity", identity), check_evalue(evalue)
    known = read_sequences(sequences, sequence_column, name="sequences")
    proteins = Proteins(known)
    named = named_splits(splits, known, y)
    tested = np.unique(np.concatenate([test for _, _, test in named]))
    trained = np.unique(np.concatenate([train for _, train, _ in named]))
    targets = np.unique(proteins.node[trained])
    size = _sample_size(proteins, tested, targets, engine, n_sample)
    rng = repeatable_generator(random_state)
    audited = np.sort(rng.choice(tested, size, replace=False)) if size < len(tested) else tested
    chosen = engine
    if engine == "auto":  # where nothing is exact, a warning tells so
        chosen = "exact" if ExactSearch.available() else choose_engine(engine, cells=np.inf).name
    hits = proteins.search(
        np.unique(proteins.node[audited]), targets, engine=chosen, evalue=evalue, n_jobs=n_jobs
    )
    audit = _Audit(proteins, audited, hits, identity)
    parts = [audit.of_split(*split) for split in named]
    description = {
        "engine": chosen,
        "identity": identity,
        "evalue": evalue,
        "n_rows": len(known),
        "n_test_rows": len(tested),
        "n_audited": len(audited),
        "sampled": len(audited) < len(tested),
    }
    return _report(parts, audit, _conflicts(proteins, y), description)


def _sample_size(
    proteins: Proteins,
    tested: NDArray[np.intp],
    targets: NDArray[np.intp],
    engine: str,
    n_sample: int | None,
) -> int:
    """Return how many test rows are searched."""
    if n_sample is not None:
        if isinstance(n_sample, bool) or not isinstance(n_sample, int | np.integer) or n_sample < 1:
            raise DataError(f"n_sample is {n_sample!r}; expected a number of rows, or None.")
        return min(int(n_sample), len(tested))
    residues = proteins.length[np.unique(proteins.node[tested])].sum()
    cells = float(residues) * float(proteins.length[targets].sum())
    if engine != "auto" or cells <= AFFORDABLE_CELLS:
        return len(tested)
    return min(len(tested), max(LEAST_SAMPLE, int(len(tested) * AFFORDABLE_CELLS / cells)))


@dataclass(frozen=True)
class _SplitAudit:
    """The findings of one split; `rows` are its audited test rows, the arrays go with them."""

    name: str
    n_train: int
    n_test: int
    rows: NDArray[np.intp]
    leaks: dict[str, NDArray[np.bool_]]
    max_identity: NDArray[np.float64]
    nearest: pd.DataFrame
    identical: pd.DataFrame
    leaking: NodeHits


class _Audit:
    """Reads the hits of one search split by split."""

    def __init__(
        self, proteins: Proteins, audited: NDArray[np.intp], hits: NodeHits, identity: float
    ) -> None:
        self.proteins, self.audited, self.hits, self.identity = proteins, audited, hits, identity

    def of_split(self, name: str, train: NDArray[np.intp], test: NDArray[np.intp]) -> _SplitAudit:
        """Return the findings of one split."""
        node, n_nodes = self.proteins.node, len(self.proteins.sequences)
        rows = np.intersect1d(test, self.audited)
        is_test, train_row = np.zeros(n_nodes, dtype=bool), np.full(n_nodes, -1)
        is_test[node[rows]] = True
        train_row[node[train[::-1]]] = train[::-1]
        crossing = is_test[self.hits.query] & (train_row[self.hits.target] >= 0)
        hits = self.hits.take(np.flatnonzero(crossing))
        matches = self._matches(hits)
        leaks = {key: _any(hits.query[m], n_nodes)[node[rows]] for key, m in matches.items()}
        best = np.zeros(n_nodes)
        half = hits.shorter >= HALF_OF_SHORTER
        np.maximum.at(best, hits.query[half], hits.identity[half])
        copies = rows[train_row[node[rows]] >= 0]
        return _SplitAudit(
            name=name,
            n_train=len(train),
            n_test=len(test),
            rows=rows,
            leaks=leaks,
            max_identity=best[node[rows]],
            nearest=self._nearest(name, rows, hits, train_row, best),
            identical=pd.DataFrame(
                {"split": name, "test_row": copies, "train_row": train_row[node[copies]]}
            ),
            leaking=hits.take(np.flatnonzero(matches["A"])),
        )

    def _matches(self, hits: NodeHits) -> dict[str, NDArray[np.bool_]]:
        """Return which hits count by each definition."""
        matches = {"identical": hits.query == hits.target}
        near = (hits.identity >= NEAR_IDENTITY) & (hits.shorter >= NEAR_COVERAGE)
        matches["near_identical"] = near
        for name, coverage in DEFINITIONS.items():
            if coverage is None:
                matches[name] = np.ones(len(hits.query), dtype=bool)
            else:
                covered = (hits.shorter >= coverage[0]) & (hits.longer >= coverage[1])
                matches[name] = (hits.identity >= self.identity) & covered
        return matches

    def _nearest(
        self,
        name: str,
        rows: NDArray[np.intp],
        hits: NodeHits,
        train_row: NDArray[np.intp],
        best: NDArray[np.float64],
    ) -> pd.DataFrame:
        """Return the most significant training row of each test row."""
        order = np.lexsort((hits.target, -hits.identity, hits.evalue, hits.query))
        queries, first = np.unique(hits.query[order], return_index=True)
        top = hits.take(order[first])
        position = np.searchsorted(queries, self.proteins.node[rows])
        found = np.isin(self.proteins.node[rows], queries)
        at = position[found]
        columns: dict[str, NDArray[Any]] = {"train_row": np.full(len(rows), -1)}
        columns["train_row"][found] = train_row[top.target[at]]
        sources = {"identity": top.identity, "coverage_shorter": top.shorter}
        sources |= {"coverage_longer": top.longer, "evalue": top.evalue}
        for column, values in sources.items():
            columns[column] = np.full(len(rows), np.nan)
            columns[column][found] = values[at]
        table = pd.DataFrame({"split": name, "test_row": rows, **columns})
        return table.assign(max_identity=best[self.proteins.node[rows]])


def _any(nodes: NDArray[np.intp], n_nodes: int) -> NDArray[np.bool_]:
    flags = np.zeros(n_nodes, dtype=bool)
    flags[nodes] = True
    return flags


def _report(
    parts: list[_SplitAudit],
    audit: _Audit,
    conflicts: pd.DataFrame,
    description: dict[str, Any],
) -> LeakageReport:
    """Put the splits' findings together."""
    lines = [_line(p.name, p.n_train, p.n_test, p.leaks, p.max_identity) for p in parts]
    pooled = {key: np.concatenate([p.leaks[key] for p in parts]) for key in parts[0].leaks}
    highest = np.concatenate([p.max_identity for p in parts])
    n_train, n_test = sum(p.n_train for p in parts), sum(p.n_test for p in parts)
    lines.append(_line(OVERALL, n_train, n_test, pooled, highest))
    curve = pd.DataFrame({"identity": CURVE})
    for name, values in [*((p.name, p.max_identity) for p in parts), (OVERALL, highest)]:
        curve[name] = [float(np.mean(values >= x)) if len(values) else np.nan for x in CURVE]
    pairs = np.vstack([np.column_stack([p.leaking.query, p.leaking.target]) for p in parts])
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    texts = np.array(audit.proteins.sequences, dtype=object)
    return LeakageReport(
        table=pd.DataFrame(lines),
        curve=curve,
        nearest=pd.concat([p.nearest for p in parts], ignore_index=True),
        identical=pd.concat([p.identical for p in parts], ignore_index=True),
        conflicts=conflicts,
        extra_edges=texts[pairs[pairs[:, 0] != pairs[:, 1]]],
        description=description,
    )


def _line(
    name: str,
    n_train: int,
    n_test: int,
    leaks: dict[str, NDArray[np.bool_]],
    max_identity: NDArray[np.float64],
) -> dict[str, Any]:
    """Return one line of the report's table."""
    n_audited = len(max_identity)
    line = {"split": name, "n_train": n_train, "n_test": n_test, "n_audited": n_audited}
    columns = (*DEFINITIONS, "identical", "near_identical")
    shares = {key: float(leaks[key].mean()) if n_audited else np.nan for key in columns}
    return {**line, **shares, "max_identity": float(max_identity.max(initial=0.0))}


def _conflicts(proteins: Proteins, y: ArrayLike | None) -> pd.DataFrame:
    """Return the sequences whose copies have different targets."""
    found: list[dict[str, Any]] = []
    if y is not None:
        target = np.asarray(y)
        if len(target) != len(proteins.node):
            raise DataError(f"y has {len(target)} values; expected {len(proteins.node)}.")
        counts = np.bincount(proteins.node)
        for node in np.flatnonzero(counts > 1):
            rows = np.flatnonzero(proteins.node == node)
            if len(pd.DataFrame(target[rows]).drop_duplicates()) > 1:
                found.append({"rows": rows.tolist(), "targets": target[rows].tolist()})
    return pd.DataFrame(found, columns=["rows", "targets"])
