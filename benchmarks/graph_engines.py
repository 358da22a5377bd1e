"""Recall and cost of the search engines against exhaustive alignment.

Each heuristic engine is told twice: its search alone, and with the alignments of homologs of
homologs that follow it.

    python benchmarks/graph_engines.py --data proteins.fasta.gz --n 3000

``--quick`` tries every step on a few hundred proteins; its figures mean nothing.
"""

import argparse
import gzip
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from _report import machine, write_result

from esmlearn.clustering import HomologyGraph, _homology_graph, available_engines, homology_graph

DEFINITIONS: dict[str, dict[str, Any]] = {
    "A": {"identity": 0.3, "coverage": 0.5},
    "B": {"identity": 0.3, "coverage": 0.8},
    "C": {"identity": 0.3, "coverage": 0.8, "coverage_mode": "both"},
    "D": {},
}
MARGIN = 0.05


def read_proteins(path: Path, n: int | None, seed: int) -> list[str]:
    """Return distinct proteins of a FASTA file, perhaps a random sample."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as file:
        records = file.read().split(">")[1:]
    proteins = list(dict.fromkeys("".join(record.split("\n")[1:]) for record in records))
    if n is None or n >= len(proteins):
        return proteins
    rows = np.random.default_rng(seed).choice(len(proteins), n, replace=False)
    return [proteins[i] for i in rows]


def search_everything(
    proteins: list[str], engine: str, alone: bool, n_jobs: int
) -> tuple[HomologyGraph, dict[str, float]]:
    """Return the graph of all significant pairs, and what it cost, in this process."""
    start = time.perf_counter()
    as_found = patch.object(
        _homology_graph, "search_intermediates", lambda graph, nodes, **options: graph
    )
    with as_found if alone else nullcontext():
        graph = homology_graph(
            proteins,
            identity=0,
            coverage=0,
            coverage_mode="any",
            margin=0,
            engine=engine,
            cache=None,
            n_jobs=n_jobs,
        )
    wall = time.perf_counter() - start
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return graph, {
        "wall_s": wall,
        "cpu_s": sum(u.ru_utime + u.ru_stime for u in usage),
        "peak_mb": max(u.ru_maxrss for u in usage) / 1024,
    }


def measured(*arguments: Any) -> tuple[Any, dict[str, float]]:
    """Search in a new process, so that time and memory are its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(search_everything, *arguments).result()


def edges_of(graph: HomologyGraph, definition: dict[str, Any], margin: float = 0.0) -> set[Any]:
    """Return the pairs that a definition joins, perhaps with a margin."""
    lowered = dict(definition)
    if "identity" in definition:
        lowered["identity"] -= margin
        lowered["coverage"] -= 2 * margin
    return set(map(tuple, graph.filter(**lowered).edges.tolist()))


def recall(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare every engine's edges with those of exhaustive alignment."""
    proteins = read_proteins(arguments.data, arguments.n, arguments.seed)
    truth, cost = measured(proteins, "exact", False, arguments.n_jobs)
    result: dict[str, Any] = {"n": len(proteins), "exact": {**cost, "n_edges": truth.n_edges}}
    for engine, alone in product(arguments.engines, (True, False)):
        graph, cost = measured(proteins, engine, alone, arguments.n_jobs)
        rows: dict[str, Any] = {**cost, "n_edges": graph.n_edges}
        rows["version"] = graph.description["version"]
        for name, definition in DEFINITIONS.items():
            true = edges_of(truth, definition)
            strict = edges_of(graph, definition)
            wide = edges_of(graph, definition, MARGIN)
            rows[name] = {
                "true": len(true),
                "recall": len(true & strict) / max(len(true), 1),
                "recall_with_margin": len(true & wide) / max(len(true), 1),
                "not_in_exact": len(strict - true),
            }
        result[f"{engine}, search alone" if alone else engine] = rows
    return result


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="FASTA file, perhaps gzipped")
    parser.add_argument("--n", type=int, default=3000, help="proteins")
    parser.add_argument("--engines", nargs="+", default=None, help="default: those installed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="tiny; figures mean nothing")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.n = 200
    if arguments.engines is None:
        installed = available_engines()
        arguments.engines = [name for name in ("diamond", "mmseqs") if installed[name]]
    return arguments


def main() -> None:
    """Measure, and keep the figures."""
    arguments = parse()
    # Without the paths of the programs.
    engines = {name: (found or "").split(" (")[0] for name, found in available_engines().items()}
    about = {"machine": machine(), "engines": engines, "data": arguments.data.name}
    result = {**about, "n_jobs": arguments.n_jobs, **recall(arguments)}
    write_result("graph_engines", result, quick=arguments.quick)


if __name__ == "__main__":
    main()
