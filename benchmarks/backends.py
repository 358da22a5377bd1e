"""Embed on loky, Dask and Ray: the same vectors, what a dead worker costs, and the throughput.

    python benchmarks/backends.py --data proteins.fasta.gz

Two workers with one thread each stand against this process, first with one thread, whose vectors
theirs must equal bit for bit, then with two, whose time theirs is divided by. Workers have loaded
the model before a time is taken; what is compared takes turns, and ratios are of medians. Then one
worker is killed in the middle, and shards that were begun are counted.

``--quick`` tries every step on a few proteins; its figures mean nothing.
"""

import argparse
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from _report import machine, spread, write_result

from esmlearn.embedding import ESMEmbedder, write_untrained_checkpoint
from esmlearn.embedding._embedder import resolve_models
from esmlearn.embedding._inference.job import embed_shard
from esmlearn.embedding._inference.workers import run_shards
from esmlearn.io import read_fasta

Context = Callable[[], Any]


def main() -> None:
    options = parse_arguments()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        contexts = {name: stack.enter_context(make()) for name, make in CLUSTERS.items()}
        result: dict[str, Any] = {}
        for model, number in models(Path(folder), options):
            proteins = draw(options.data, number)
            embedder = ESMEmbedder(model, cache=None, device="cpu")
            name = model if isinstance(model, str) else "untrained, 6 layers of width 320"
            result[name] = {
                "n_proteins": number,
                "n_residues": sum(map(len, proteins)),
                "same_vectors": same_vectors(embedder, proteins, contexts),
                "throughput": throughput(embedder, proteins, contexts, options.repeats),
            }
            print(name, result[name], flush=True)
        embedder = ESMEmbedder("esmlearn_mini_v3", cache=None, device="cpu", batch_residues=1000)
        proteins = draw(options.data, options.n)
        result["dead_worker"] = dead_workers(embedder, proteins, contexts)
    write_result("backends", {"machine": machine(), **result}, quick=options.quick)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="FASTA file")
    parser.add_argument("--n", type=int, default=600, help="proteins for the small model")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="tiny; figures mean nothing")
    options = parser.parse_args()
    if options.quick:
        options.n, options.repeats = 60, 1
    return options


def models(folder: Path, options: argparse.Namespace) -> Iterator[tuple[str | Path, int]]:
    """Yield the models and how many proteins each embeds."""
    yield "esmlearn_mini_v3", options.n
    yield write_untrained_checkpoint(folder / "esm2_8M.pt"), options.n // 3


def draw(data: Path, number: int) -> list[str]:
    """Return distinct proteins, drawn at random."""
    sequences = read_fasta(data).drop_duplicates("sequence")["sequence"]
    return sequences.sample(number, random_state=0).tolist()


# Clusters of two workers -------------------------------------------------------------------------


@contextmanager
def loky() -> Iterator[Context]:
    yield lambda: joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=1)


@contextmanager
def dask() -> Iterator[Context]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield lambda: joblib.parallel_config("dask", client=client)


@contextmanager
def ray() -> Iterator[Context]:
    import ray
    from ray.util.joblib import register_ray

    register_ray()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        yield lambda: joblib.parallel_config("ray", n_jobs=2)
    finally:
        ray.shutdown()


CLUSTERS = {"loky": loky, "dask": dask, "ray": ray}


# What is measured --------------------------------------------------------------------------------


def same_vectors(
    embedder: ESMEmbedder, proteins: list[str], contexts: dict[str, Context]
) -> dict[str, Any]:
    """Compare the workers' vectors with those of one process with one thread."""
    torch.set_num_threads(1)
    alone = embedder.transform(proteins)
    found = {}
    for name, context in contexts.items():
        with context():
            there = embedder.transform(proteins)
            threads = set(run_shards(threads_of, range(8), n_jobs=None))
        found[name] = {
            "bit_identical": bool(np.array_equal(there, alone)),
            "largest_difference": float(np.abs(there - alone).max()),
            "threads_of_workers": sorted(threads),
        }
    return found


def threads_of(shard: int) -> int:
    """Return how many threads torch has where this runs."""
    time.sleep(0.05)
    return torch.get_num_threads()


def throughput(
    embedder: ESMEmbedder, proteins: list[str], contexts: dict[str, Context], repeats: int
) -> dict[str, Any]:
    """Time one process with two threads, and two workers with one, in turns."""
    torch.set_num_threads(2)
    seconds: dict[str, list[float]] = {name: [] for name in ("one process", *contexts)}
    for round_number in range(repeats + 1):
        for name in seconds:
            start = time.perf_counter()
            if name == "one process":
                embedder.transform(proteins)
            else:
                with contexts[name]():
                    embedder.transform(proteins)
            if round_number:  # the first loads the model
                seconds[name].append(time.perf_counter() - start)
    base = float(np.median(seconds["one process"]))
    rows = {name: spread(values) for name, values in seconds.items()}
    ratios = {name: base / rows[name]["median"] for name in contexts}
    return {"seconds": rows, "throughput_of_two_workers_over_one_process": ratios}


def dead_workers(
    embedder: ESMEmbedder, proteins: list[str], contexts: dict[str, Context]
) -> dict[str, Any]:
    """Kill a worker in the middle and count which shards were begun again."""
    torch.set_num_threads(1)
    member = resolve_models(embedder)[0]
    job = member.job(embedder, None)
    batches = job._plan(proteins, list(range(len(proteins))))
    alone = embedder.transform(proteins)
    found = {}
    for name, context in contexts.items():
        with tempfile.TemporaryDirectory() as marks, context():
            work = partial(marked, Path(marks), job.settings)
            shards = ((batch, [proteins[i] for i in batch]) for batch in batches)
            there = np.empty_like(alone)
            for done, (pid, batch, result) in enumerate(run_shards(work, shards, n_jobs=None)):
                there[batch] = result
                if done == len(batches) // 2:
                    os.kill(pid, signal.SIGKILL)
            begun = Counter(path.name.partition("-")[0] for path in Path(marks).iterdir())
        found[name] = {
            "shards": len(batches),
            "begun_again": sum(begun.values()) - len(batches),
            "bit_identical": bool(np.array_equal(there, alone)),
        }
    return found


def marked(folder: Path, settings: Any, shard: Any) -> tuple[int, list[int], list[np.ndarray]]:
    """Embed a shard, and leave a mark for each time that it was begun."""
    (folder / f"{shard[0][0]}-{time.time_ns()}").touch()
    return os.getpid(), *embed_shard(settings, shard)


if __name__ == "__main__":
    main()
