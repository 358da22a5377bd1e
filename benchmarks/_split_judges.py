"""What a split is worth: who leaks by exhaustive alignment, how even folds are, what is kept."""

from collections.abc import Callable
from typing import Any

import numpy as np

from esmlearn.clustering import HomologyGraph, exact_search, homology_graph
from esmlearn.model_selection._strata import make_strata

N_SPLITS = 5
Pairs = list[tuple[np.ndarray, np.ndarray]]
Judge = Callable[[Pairs], dict[str, float]]


def pairs_of(fold: np.ndarray) -> Pairs:
    """Return the splits of fold labels; -1 is set aside."""
    return [
        (np.flatnonzero((fold >= 0) & (fold != f)), np.flatnonzero(fold == f))
        for f in range(int(fold.max()) + 1)
    ]


def kept(pairs: Pairs, n: int) -> dict[str, float]:
    """Return the share of rows that are tested, and of the other rows that train."""
    tested = sum(len(test) for _, test in pairs)
    training = np.mean([len(train) / (n - len(test)) for train, test in pairs])
    return {"tested": tested / n, "training_kept": float(training)}


def unevenness(pairs: Pairs, y: Any, n: int) -> dict[str, float]:
    """Return the worst deviation of size (share) and of a stratum's share (points)."""
    strata = make_strata(y, n_rows=n, stratify="auto", min_rows=2 * N_SPLITS)
    held = np.array([np.bincount(strata.codes[t], minlength=strata.n_strata) for _, t in pairs])
    size = held.sum(axis=1)
    whole = np.bincount(strata.codes, minlength=strata.n_strata) / n
    share = held / size[:, None] - whole
    worst = np.abs(size / size.mean() - 1).max()
    return {"size_deviation": float(worst), "share_points": float(100 * np.abs(share).max())}


class ExhaustiveJudge:
    """Leakage from the exact graph of all pairs, searched once."""

    def __init__(self, sequences: list[str], n_jobs: int) -> None:
        everything = {"identity": 0.0, "coverage": 0.0, "coverage_mode": "any", "margin": 0.0}
        graph = homology_graph(sequences, engine="exact", n_jobs=n_jobs, **everything)
        self.node = graph.node_of(sequences)
        definitions = {
            "A": (0.3, 0.5, "shorter"),
            "B": (0.3, 0.8, "shorter"),
            "C": (0.3, 0.8, "both"),
        }
        graphs: dict[str, HomologyGraph] = {
            name: graph.filter(identity=i, coverage=c, coverage_mode=mode)
            for name, (i, c, mode) in definitions.items()
        }
        self.adjacency = {name: g.adjacency() for name, g in {**graphs, "D": graph}.items()}

    def __call__(self, pairs: Pairs) -> dict[str, float]:
        leaks = {}
        for name, adjacency in self.adjacency.items():
            n_leaking = 0
            for train, test in pairs:
                trained = np.zeros(adjacency.shape[0], dtype=np.int64)
                trained[self.node[train]] = 1
                n_leaking += int(((adjacency @ trained)[self.node[test]] > 0).sum())
            leaks[name] = n_leaking / sum(len(test) for _, test in pairs)
        return leaks


class SampledJudge:
    """Leakage of a random sample of rows, each aligned once to all proteins.

    Every split tests every row, so that the same sample serves all of them; a row that a split sets
    aside is not counted.
    """

    def __init__(self, sequences: list[str], n_sample: int, n_jobs: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        n_sample = min(n_sample, len(sequences))
        self.rows = np.sort(rng.choice(len(sequences), n_sample, replace=False))
        hits = exact_search([sequences[i] for i in self.rows], sequences, n_jobs=n_jobs)
        hits = hits.take(self.rows[hits.query] != hits.target)
        length = np.array([len(s) for s in sequences])
        query_is_shorter = length[self.rows[hits.query]] <= length[hits.target]
        sides = hits.coverage_query, hits.coverage_target
        shorter, longer = np.where(query_is_shorter, sides, sides[::-1])
        passing = {
            "A": (hits.identity >= 0.3) & (shorter >= 0.5),
            "B": (hits.identity >= 0.3) & (shorter >= 0.8),
            "C": (hits.identity >= 0.3) & (shorter >= 0.8) & (longer >= 0.8),
            "D": np.ones(len(hits), dtype=bool),
        }
        self.hits = {name: hits.take(np.flatnonzero(keep)) for name, keep in passing.items()}

    def __call__(self, pairs: Pairs) -> dict[str, float]:
        n_tested = sum(int(np.isin(self.rows, test).sum()) for _, test in pairs)
        leaks = {}
        for name, hits in self.hits.items():
            leaking = 0
            for train, test in pairs:
                crossing = np.isin(self.rows[hits.query], test) & np.isin(hits.target, train)
                leaking += len(np.unique(hits.query[crossing]))
            leaks[name] = leaking / n_tested
        return leaks


def judged(pairs: Pairs, y: Any, n: int, judge: Judge) -> dict[str, float]:
    """Return leakage, rows kept and evenness."""
    return {**judge(pairs), **kept(pairs, n), **unevenness(pairs, y, n)}
