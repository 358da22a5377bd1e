"""Leakage, balance, cost and scale of homology splits, against random folds and published tools.

    python benchmarks/splits.py leakage --data proteins.fasta.gz --n 5000 --seeds 3
    python benchmarks/splits.py leakage --data proteins.fasta.gz --n 20000 --judge-sample 500
    python benchmarks/splits.py balance --data labelled.csv.gz
    python benchmarks/splits.py representatives --data proteins.fasta.gz --n 5000 --engine diamond
    python benchmarks/splits.py peers   --data labelled.csv.gz --n 5000 --venvs DIRECTORY
    python benchmarks/splits.py scale   --data proteins.fasta.gz --sizes 7500 15000 30000 60000

The judge is exhaustive Smith-Waterman: of all pairs, or of a random sample of test rows against all
training rows. ``--quick`` tries every step on 300 proteins; its figures mean nothing.
"""

import argparse
import gzip
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _report import machine, spread, write_result
from _split_peers import PEERS, run_peer

from esmlearn.clustering import (
    HomologyGraph,
    available_engines,
    cluster_sequences,
    exact_search,
    homology_graph,
)
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.model_selection._strata import make_strata

N_SPLITS = 5
COLUMNS = ("tested", "training_kept", "size_deviation", "share_points")
Pairs = list[tuple[np.ndarray, np.ndarray]]


def read(path: Path, n: int | None, seed: int = 0) -> tuple[list[str], np.ndarray | None]:
    """Return distinct proteins, n of them at random, and their targets where the file has any."""
    if ".csv" in path.name:
        table = pd.read_csv(path).drop_duplicates("sequence")
    else:
        text = (gzip.open if path.suffix == ".gz" else open)(path, "rt").read()
        records = text.split(">")[1:]
        table = pd.DataFrame({"sequence": ["".join(r.split("\n")[1:]) for r in records]})
        table = table.drop_duplicates("sequence")
    if n is not None and n < len(table):
        table = table.sample(n, random_state=seed)
    y = table["target"].to_numpy() if "target" in table else None
    return table["sequence"].tolist(), y


def measured(function: Callable[..., Any], *arguments: Any) -> tuple[Any, dict[str, float]]:
    """Run a function in a new process; return its result, wall and CPU seconds and peak memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, function, arguments).result()


def _measure(
    function: Callable[..., Any], arguments: Sequence[Any]
) -> tuple[Any, dict[str, float]]:
    with tempfile.TemporaryDirectory() as cache:
        os.environ["ESMLEARN_CACHE"] = cache  # what the judge searched must not save us the search
        start = time.perf_counter()
        result = function(*arguments)
        wall = time.perf_counter() - start
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    peak = max(u.ru_maxrss for u in usage) / 1024
    return result, {"wall_s": wall, "cpu_s": cpu_seconds(), "peak_mb": peak}


def cpu_seconds() -> float:
    """Return what this process and its finished children have computed so far."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def split(sequences: list[str], y: Any, parameters: dict[str, Any]) -> tuple[Pairs, dict[str, Any]]:
    """Return folds, with the time of search and of partition apart."""
    start, cpu = time.perf_counter(), cpu_seconds()
    splitter = CDHitGroupSplitter(N_SPLITS, **parameters)
    splitter._graph(sequences)
    searched, cpu_searched = time.perf_counter(), cpu_seconds()
    pairs = list(splitter.split(sequences, y))
    about = splitter.description_
    keep = ("n_components", "largest_component", "n_cut", "n_pieces", "cut_method", "cover_method")
    return pairs, {
        "engine": about["graph"]["engine"],
        "graph_s": searched - start,
        "graph_cpu_s": cpu_searched - cpu,
        "partition_s": time.perf_counter() - searched,
        "partition_cpu_s": cpu_seconds() - cpu_searched,
        "set_aside": len(splitter.set_aside_),
        **{name: about[name] for name in keep if name in about},
    }


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


def candidates(engines: Sequence[str], n_jobs: int) -> dict[str, dict[str, Any]]:
    """Return the settings of our splitter that are compared."""
    everything = {"identity": 0.0, "coverage": 0.0, "coverage_mode": "any", "margin": 0.0}
    cases: dict[str, dict[str, Any]] = {}
    for engine in engines:
        if engine == "exact":
            cases["exact, margin 0"] = {"engine": engine, "margin": 0.0}
            cases["exact, any hit, purge"] = {"engine": engine, **everything}
            drop = {"on_large_component": "drop"}
            cases["exact, any hit, drop"] = {"engine": engine, **everything, **drop}
        elif available_engines()[engine]:
            for margin in (0.0, 0.02, 0.05):
                cases[f"{engine}, margin {margin}"] = {"engine": engine, "margin": margin}
            for margin in (0.0, 0.01, 0.02):
                case = {"engine": engine, "purge_margin": margin}
                cases[f"{engine}, margin 0.05, purge {margin}"] = case
            cases[f"{engine}, drop"] = {"engine": engine, "on_large_component": "drop"}
    return {name: {**case, "random_state": 0, "n_jobs": n_jobs} for name, case in cases.items()}


def greedy(sequences: list[str], methods: Sequence[str], seed: int) -> dict[str, Pairs]:
    """Return random folds, and folds of whole greedy clusters."""
    rng = np.random.default_rng(seed)
    found = {"random": pairs_of(rng.permutation(len(sequences)) % N_SPLITS)}
    for method in methods:
        if available_engines()["cd-hit" if method == "cdhit" else "mmseqs"]:
            identity = 0.4 if method == "cdhit" else 0.3
            labels = cluster_sequences(sequences, method=method, identity=identity)
            order = rng.permutation(int(labels.max()) + 1)
            found[f"{method} {identity}"] = pairs_of(order[labels] % N_SPLITS)
    return found


def _judged(
    pairs: Pairs, y: Any, n: int, judge: Callable[[Pairs], dict[str, float]]
) -> dict[str, float]:
    return {**judge(pairs), **kept(pairs, n), **unevenness(pairs, y, n)}


def leakage(options: argparse.Namespace) -> dict[str, Any]:
    """Judge random folds, greedy clusters and our settings."""
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        sequences, y = read(options.data, options.n, seed)
        judge: Callable[[Pairs], dict[str, float]]
        if options.judge_sample:
            judge = SampledJudge(sequences, options.judge_sample, options.n_jobs, seed)
        else:
            judge = ExhaustiveJudge(sequences, options.n_jobs)
        found: dict[str, tuple[Pairs, dict[str, Any]]] = {
            name: (pairs, {}) for name, pairs in greedy(sequences, options.methods, seed).items()
        }
        for name, case in candidates(options.engines, options.n_jobs).items():
            found[name] = split(sequences, y, case)
        for name, (pairs, about) in found.items():
            rows.append({"seed": seed, "split": name, **_judged(pairs, y, len(sequences), judge)})
            rows[-1].update(about)
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    summary = {
        name: {c: spread(part[c].tolist()) for c in (*"ABCD", *COLUMNS)}
        for name, part in table.groupby("split", sort=False)
    }
    judged = f"{options.judge_sample} random rows" if options.judge_sample else "all rows"
    return {"data": options.data.name, "judged": judged, "summary": summary, "runs": rows}


def representatives(options: argparse.Namespace) -> dict[str, Any]:
    """Judge folds from graphs for which representatives alone were searched."""
    sequences, y = read(options.data, options.n)
    judge = ExhaustiveJudge(sequences, options.n_jobs)
    rows = []
    for identity in (None, 0.95, 0.9, 0.7):
        with tempfile.TemporaryDirectory() as cache:  # a graph of all proteins would serve
            cpu = cpu_seconds()
            graph = homology_graph(
                sequences,
                engine=options.engine,
                representatives=identity,
                cache=cache,
                n_jobs=options.n_jobs,
            )
            cpu = cpu_seconds() - cpu
        pairs, about = split(sequences, y, {"reference": graph, "random_state": 0})
        line = {"representatives": identity, **_judged(pairs, y, len(sequences), judge)}
        rows.append({**line, **about, "n_edges": graph.n_edges, "graph_cpu_s": cpu})
        print(rows[-1], flush=True)
    return {"data": options.data.name, "n": len(sequences), "runs": rows}


def unevenness(pairs: Pairs, y: Any, n: int) -> dict[str, float]:
    """Return the worst deviation of size (share) and of a stratum's share (points)."""
    strata = make_strata(y, n_rows=n, stratify="auto", min_rows=2 * N_SPLITS)
    held = np.array([np.bincount(strata.codes[t], minlength=strata.n_strata) for _, t in pairs])
    size = held.sum(axis=1)
    whole = np.bincount(strata.codes, minlength=strata.n_strata) / n
    share = held / size[:, None] - whole
    worst = np.abs(size / size.mean() - 1).max()
    return {"size_deviation": float(worst), "share_points": float(100 * np.abs(share).max())}


def balance(options: argparse.Namespace) -> dict[str, Any]:
    """Measure how even folds are on a labelled set, and how many rows they keep."""
    sequences, y = read(options.data, options.n)
    rows, n = [], len(sequences)
    for mode, margin in (("purge", None), ("purge", 0.01), ("purge", 0.0), ("drop", None)):
        case = {"on_large_component": mode, "purge_margin": margin, "engine": options.engine}
        pairs, about = split(sequences, y, {**case, "random_state": 0, "n_jobs": options.n_jobs})
        line = {"mode": mode, "purge_margin": margin, **unevenness(pairs, y, n)}
        rows.append({**line, **kept(pairs, n), **about})
        print(rows[-1], flush=True)
    return {"data": options.data.name, "n": len(sequences), "runs": rows}


def peers(options: argparse.Namespace) -> dict[str, Any]:
    """Compare leakage, rows kept, balance and cost with published tools on the same proteins."""
    sequences, y = read(options.data, options.n)
    judge = ExhaustiveJudge(sequences, options.n_jobs)
    rows = []
    n, base = len(sequences), {"engine": options.engine, "n_jobs": options.n_jobs}
    for mode in ("purge", "drop"):
        case = {**base, "on_large_component": mode, "random_state": 0}
        (pairs, about), cost = measured(split, sequences, y, case)
        rows.append({"tool": f"esmlearn, {mode}", **_judged(pairs, y, n, judge), **about, **cost})
        print(rows[-1], flush=True)
    graph = homology_graph(sequences, **base)
    first, second = np.argsort(graph.node_of(sequences))[graph.edges].T
    edges = pd.DataFrame({"first": first, "second": second, "identity": graph.identity})
    with tempfile.TemporaryDirectory() as scratch:
        venvs = options.venvs or Path(scratch)
        for peer in PEERS:
            result = run_peer(
                peer,
                sequences,
                y,
                edges,
                n_splits=N_SPLITS,
                venvs=venvs,
                n_jobs=options.n_jobs,
                limit_s=options.limit,
            )
            fold = result.pop("fold", None)
            if fold is not None:
                fold = np.asarray(fold)
                pairs = pairs_of(fold)[1:] if peer.holdout else pairs_of(fold)
                result |= {"set_aside": int((fold < 0).sum()), **_judged(pairs, y, n, judge)}
            rows.append({"tool": peer.name, "version": peer.version, **result})
            print(rows[-1], flush=True)
    return {"data": options.data.name, "n": len(sequences), "runs": rows}


def scale(options: argparse.Namespace) -> dict[str, Any]:
    """Time graph and folds at growing size; report the exponent of growth."""
    rows = []
    for n in options.sizes:
        sequences, y = read(options.data, n)
        case = {"engine": options.engine, "random_state": 0, "n_jobs": options.n_jobs}
        (pairs, about), cost = measured(split, sequences, y, case)
        rows.append({"n": len(sequences), **kept(pairs, len(sequences)), **about, **cost})
        print(rows[-1], flush=True)
    sizes, seconds = [r["n"] for r in rows], [r["wall_s"] for r in rows]
    slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0] if len(rows) > 1 else float("nan")
    return {"engine": options.engine, "exponent": float(slope), "runs": rows}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tasks = {"leakage": leakage, "balance": balance, "representatives": representatives}
    tasks |= {"peers": peers, "scale": scale}
    parser.add_argument("task", choices=tasks)
    parser.add_argument("--data", type=Path, required=True, help="FASTA or CSV (sequence, target)")
    parser.add_argument("--n", type=int, help="number of proteins, drawn at random")
    parser.add_argument("--seeds", type=int, default=1, help="number of draws (leakage)")
    parser.add_argument("--judge-sample", type=int, help="judge so many test rows instead of all")
    parser.add_argument("--sizes", type=int, nargs="+", default=[7500, 15000, 30000, 60000])
    parser.add_argument("--engine", default="mmseqs", help="engine of all tasks but leakage")
    parser.add_argument(
        "--engines", nargs="*", default=["mmseqs", "diamond", "exact"], help="task leakage"
    )
    parser.add_argument(
        "--methods", nargs="*", default=["linclust", "mmseqs", "cdhit"], help="task leakage"
    )
    parser.add_argument("--venvs", type=Path, help="where the peers are or will be installed")
    parser.add_argument("--limit", type=int, default=3600, help="seconds of a peer's optimiser")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.n, options.seeds, options.sizes = 300, 1, [150, 300]
    with tempfile.TemporaryDirectory() as cache:
        os.environ["ESMLEARN_CACHE"] = cache  # every search is timed, none comes from a cache
        result = {"machine": machine(), "task": options.task, **tasks[options.task](options)}
    name = f"splits_{options.task}_{options.data.name.split('.')[0]}"
    if options.task == "scale":
        name = f"{name}_{options.engine}"
    write_result(f"{name}_{options.n or 'all'}", result, quick=options.quick)


if __name__ == "__main__":
    main()
