"""Leakage, balance and cost of homology splits, against random folds and published tools.

    python benchmarks/splits.py leakage --data proteins.fasta.gz --n 5000 --seeds 3
    python benchmarks/splits.py leakage --data proteins.fasta.gz --n 20000 --judge-sample 500
    python benchmarks/splits.py balance --data labelled.csv.gz
    python benchmarks/splits.py representatives --data proteins.fasta.gz --n 5000 --engine diamond
    python benchmarks/splits.py peers   --data labelled.csv.gz --n 5000 --venvs DIRECTORY

The judge is exhaustive Smith-Waterman: of all pairs, or of a random sample of test rows against all
training rows. ``--quick`` tries every step on 300 proteins; its figures mean nothing.
"""

import argparse
import gzip
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from _report import machine, spread, write_result
from _split_judges import (
    N_SPLITS,
    ExhaustiveJudge,
    Judge,
    Pairs,
    SampledJudge,
    judged,
    kept,
    pairs_of,
    unevenness,
)
from _split_peers import GRAPHPART_SAME_EDGES, PEERS, Peer, run_peer

from esmlearn.clustering import (
    available_engines,
    cluster_sequences,
    count_searches,
    homology_graph,
)
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.model_selection._partition.planner import FoldPlanner
from esmlearn.utils._optional import import_optional

ANY_HIT = {"identity": 0.0, "coverage": 0.0, "coverage_mode": "any", "margin": 0.0}
OURS: dict[str, dict[str, Any]] = {
    "purge": {"random_state": 0},
    "drop": {"on_large_component": "drop", "random_state": 0},
    "drop, balanced by size alone": {
        "on_large_component": "drop",
        "stratify": False,
        "random_state": 0,
    },
}
# Named, since "auto" takes what the judge searched.
ENGINES = ["mmseqs", "diamond", "exact"]
COLUMNS = ("tested", "training_kept", "size_deviation", "share_points")


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


def measured(
    function: Callable[..., Any], *arguments: Any, cache: Path | None = None
) -> tuple[Any, dict[str, float]]:
    """Run a function in a new process; return its result, wall and CPU seconds and peak memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, function, arguments, cache).result()


def _measure(
    function: Callable[..., Any], arguments: Sequence[Any], cache: Path | None
) -> tuple[Any, dict[str, float]]:
    with tempfile.TemporaryDirectory() as empty:
        os.environ["ESMLEARN_CACHE"] = str(cache or empty)
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


@contextmanager
def timed_partition() -> Iterator[dict[str, float]]:
    """Time the partition of a graph apart from looking it up, as it is timed inside GraphPart."""
    import_optional("pymetis", extra="metis", purpose="Cutting with METIS")  # GraphPart's are, too
    inner, spent = FoldPlanner.plan, dict[str, float]()

    def timed(self: FoldPlanner, *arguments: Any) -> Any:
        cpu, wall = time.process_time(), time.perf_counter()
        plan = inner(self, *arguments)
        # A plan may call for another; the outer one ends last.
        spent["partition_s"] = time.perf_counter() - wall
        spent["partition_cpu_s"] = time.process_time() - cpu
        return plan

    with patch.object(FoldPlanner, "plan", timed):
        yield spent


def split(sequences: list[str], y: Any, parameters: dict[str, Any]) -> tuple[Pairs, dict[str, Any]]:
    """Return folds, with the time of search, of the whole split and of its partition apart."""
    start, cpu, n_searches = time.perf_counter(), cpu_seconds(), count_searches()
    splitter = CDHitGroupSplitter(N_SPLITS, **parameters)
    splitter._graph(sequences)
    searched, cpu_searched = time.perf_counter(), cpu_seconds()
    search = {"graph_s": searched - start, "graph_cpu_s": cpu_searched - cpu}
    with timed_partition() as partition:
        pairs = list(splitter.split(sequences, y))
    about = splitter.description_
    keep = ("n_components", "largest_component", "n_cut", "n_pieces", "cut_method", "cover_method")
    return pairs, {
        "engine": about["graph"]["engine"],
        "settings": about["graph"]["settings"],
        **(search if count_searches() > n_searches else {}),
        "split_s": time.perf_counter() - searched,
        "split_cpu_s": cpu_seconds() - cpu_searched,
        **partition,
        "set_aside": len(splitter.set_aside_),
        **{name: about[name] for name in keep if name in about},
    }


def candidates(engines: Sequence[str], n_jobs: int) -> dict[str, dict[str, Any]]:
    """Return the settings of our splitter that are compared."""
    cases: dict[str, dict[str, Any]] = {}
    for engine in engines:
        if engine == "exact":
            cases["exact, margin 0"] = {"engine": engine, "margin": 0.0}
            cases["exact, any hit, purge"] = {"engine": engine, **ANY_HIT}
            drop = {"on_large_component": "drop"}
            cases["exact, any hit, drop"] = {"engine": engine, **ANY_HIT, **drop}
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


def make_judge(sequences: list[str], options: argparse.Namespace, seed: int = 0) -> Judge:
    """Return a judge of all rows, or of a random sample."""
    if options.judge_sample:
        return SampledJudge(sequences, options.judge_sample, options.n_jobs, seed)
    return ExhaustiveJudge(sequences, options.n_jobs)


def judged_rows(options: argparse.Namespace) -> str:
    """Say how many rows are judged."""
    return f"{options.judge_sample} random rows" if options.judge_sample else "all rows"


def leakage(options: argparse.Namespace) -> dict[str, Any]:
    """Judge random folds, greedy clusters and our settings."""
    rows: list[dict[str, Any]] = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        sequences, y = read(options.data, options.n, seed)
        judge = make_judge(sequences, options, seed)
        found: dict[str, tuple[Pairs, dict[str, Any]]] = {
            name: (pairs, {}) for name, pairs in greedy(sequences, options.methods, seed).items()
        }
        for name, case in candidates(options.engines, options.n_jobs).items():
            found[name] = split(sequences, y, case)
        for name, (pairs, about) in found.items():
            rows.append({"seed": seed, "split": name, **judged(pairs, y, len(sequences), judge)})
            rows[-1].update(about)
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    summary = {
        name: {c: spread(part[c].tolist()) for c in (*"ABCD", *COLUMNS)}
        for name, part in table.groupby("split", sort=False)
    }
    about = {"data": options.data.name, "judged": judged_rows(options)}
    return {**about, "summary": summary, "runs": rows}


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
        line = {"representatives": identity, **judged(pairs, y, len(sequences), judge)}
        rows.append({**line, **about, "n_edges": graph.n_edges, "graph_cpu_s": cpu})
        print(rows[-1], flush=True)
    return {"data": options.data.name, "n": len(sequences), "runs": rows}


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
    """Compare leakage, rows kept, balance and cost with published tools on the same proteins.

    With ``--any-hit`` every significant pair is an edge of ours: a giant component must be cut.
    """
    sequences, y = read(options.data, options.n)
    judge, n = make_judge(sequences, options), len(sequences)
    base = {"engine": options.engine, "n_jobs": options.n_jobs}
    base |= ANY_HIT if options.any_hit else {}
    rows: list[dict[str, Any]] = []

    def ours(name: str, case: dict[str, Any]) -> None:
        case = {**base, **case}
        (pairs, about), cost = measured(split, sequences, y, case, cache=options.cache)
        rows.append({"tool": f"esmlearn, {name}", **judged(pairs, y, n, judge), **about, **cost})
        print(rows[-1], flush=True)

    for name, case in OURS.items():
        ours(name, case)
    graph = homology_graph(sequences, **base)
    first, second = np.argsort(graph.node_of(sequences))[graph.edges].T
    edges = pd.DataFrame({"first": first, "second": second, "identity": graph.identity})
    with tempfile.TemporaryDirectory() as scratch:
        venvs = options.venvs or Path(scratch)
        for peer in (p for p in PEERS if any(tool in p.name for tool in options.tools)):
            row = judged_peer(peer, sequences, y, edges, judge, venvs, options)
            rows.append(row)
            print(row, flush=True)
            if peer is GRAPHPART_SAME_EDGES and "size_deviation" in row:
                ours("drop, as uneven as GraphPart", as_uneven_as(row))
                ours("purge, again", OURS["purge"])  # its time, before and after GraphPart's
    about = {"data": options.data.name, "n": n, "judged": judged_rows(options)}
    return {**about, "any_hit": options.any_hit, "runs": rows}


def as_uneven_as(row: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of ours that may be as uneven as a peer's folds, to lose fewer rows."""
    return {
        **OURS["drop"],
        "size_tolerance": min(row["size_deviation"], 0.99),
        "share_tolerance": row["share_points"] / 100,
    }


def judged_peer(
    peer: Peer,
    sequences: list[str],
    y: Any,
    edges: pd.DataFrame,
    judge: Judge,
    venvs: Path,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Return what a peer's split is worth and cost, or why it gave none."""
    limits = {"n_splits": N_SPLITS, "n_jobs": options.n_jobs, "limit_s": options.limit}
    result = run_peer(peer, sequences, y, edges, venvs=venvs, **limits)
    fold = result.pop("fold", None)
    if fold is not None:
        fold = np.asarray(fold)
        pairs = pairs_of(fold)[1:] if peer.holdout else pairs_of(fold)
        result |= {"set_aside": int((fold < 0).sum())}
        result |= judged(pairs, y, len(sequences), judge)
    return {"tool": peer.name, "version": peer.version, **result}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tasks = {"leakage": leakage, "balance": balance, "representatives": representatives}
    tasks["peers"] = peers
    parser.add_argument("task", choices=tasks)
    parser.add_argument("--data", type=Path, required=True, help="FASTA or CSV (sequence, target)")
    parser.add_argument("--n", type=int, help="number of proteins, drawn at random")
    parser.add_argument("--seeds", type=int, default=1, help="number of draws (leakage)")
    parser.add_argument("--first-seed", type=int, default=0, help="of the draws (leakage)")
    parser.add_argument("--judge-sample", type=int, help="judge so many test rows instead of all")
    parser.add_argument("--engine", default="mmseqs", help="of all tasks but leakage")
    parser.add_argument("--engines", nargs="*", default=ENGINES, help="task leakage")
    parser.add_argument(
        "--methods", nargs="*", default=["linclust", "mmseqs", "cdhit"], help="task leakage"
    )
    parser.add_argument("--venvs", type=Path, help="where the peers are or will be installed")
    parser.add_argument("--limit", type=int, default=3600, help="seconds of a peer's optimiser")
    parser.add_argument("--tools", nargs="*", default=[""], help="peers with this in their name")
    parser.add_argument("--any-hit", action="store_true", help="task peers: cut a giant component")
    parser.add_argument("--cache", type=Path, help="keep searches here, and time only new ones")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.n, options.seeds = 300, 1
    with tempfile.TemporaryDirectory() as cache:
        os.environ["ESMLEARN_CACHE"] = str(options.cache or cache)
        result = {"machine": machine(), "task": options.task, **tasks[options.task](options)}
    name = f"splits_{options.task}_{options.data.name.split('.')[0]}"
    name = f"{name}_{options.n or 'all'}" + ("_any_hit" if options.any_hit else "")
    if options.task == "leakage" and options.engines != ENGINES:
        name = "_".join([name, *options.engines])
    write_result(name, result, quick=options.quick)


if __name__ == "__main__":
    main()
