"""Time and yield of the embedding cache, beside reading the same bytes with NumPy.

Warm: a transform that finds every vector, against ``np.load`` of a .npy file of as many bytes into
new memory, both with the file's pages in memory, in turns in one process; several processes, with
malloc as it comes and tuned so that it keeps its memory. The first transform of a process hashes
each sequence and reads the index. Later ones have both in memory, also for folds that come for the
first time (four fifths of the proteins; the time is given per as many as all).

Cold: computing with an empty cache against computing without one, in turns.

    python benchmarks/embed_cache.py --data proteins.fasta.gz
    python benchmarks/embed_cache.py --data proteins.fasta.gz --quick
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from _embed_cache_reader import timed
from _report import spread, write_result
from embed_speed import MALLOC_TUNED, describe_processor, read_sequences

from esmlearn.embedding import EmbeddingCache, ESMEmbedder, write_untrained_checkpoint
from esmlearn.embedding._cache.vectors import n_processors
from esmlearn.utils._sequences import sequence_digest

READER = Path(__file__).with_name("_embed_cache_reader.py")


def fill(folder, model, sequences, width):
    """Write vectors into a cache as computing does, and into a .npy file."""
    vectors = np.random.default_rng(0).normal(size=(len(sequences), width)).astype(np.float32)
    np.save(folder / "plain.npy", vectors)
    (folder / "sequences.json").write_text(json.dumps(sequences))
    space = ESMEmbedder(model).fingerprint()
    order = np.argsort([-len(s) for s in sequences], kind="stable")
    with EmbeddingCache(folder / "warm") as cache:
        for start in range(0, len(order), 1000):
            block = order[start : start + 1000]
            cache.put(space, [sequence_digest(sequences[i]) for i in block], vectors[block])
    for file in [folder / "plain.npy", *(folder / "warm").glob("*.f32")]:
        _read_from_disk(file)


def _read_from_disk(path):
    """Have the pages of a file in memory as reading brings them, not as writing left them."""
    with open(path, "r+b") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while file.read(1 << 20):
            pass


def warm(folder, sequences, width, repeats, processes):
    """Time processes that find everything, with either malloc in turns."""
    model = write_untrained_checkpoint(folder, n_layers=1, width=width, n_heads=20)
    fill(folder, model, sequences, width)
    names = ("warm", "sequences.json", "plain.npy")
    command = [sys.executable, READER, model, *(folder / name for name in names), str(repeats)]
    settings, times, torch_imported = {"malloc": {}, "malloc tuned": MALLOC_TUNED}, {}, False
    for _ in range(processes):
        for setting, variables in settings.items():
            done = subprocess.run(
                list(map(str, command)),
                env={**os.environ, **variables},
                stdout=subprocess.PIPE,
                check=True,
            )
            result = json.loads(done.stdout)
            torch_imported |= result["torch_imported"]
            for name, values in result["times"].items():
                times.setdefault(setting, {}).setdefault(name, []).extend(values)
    return {
        "torch_imported": torch_imported,
        **{setting: compare(values, "numpy") for setting, values in times.items()},
    }


def cold(folder, sequences, repeats):
    """Time computing with and without a cache, and with each protein twice; ESM-2 8M's shape."""
    path = write_untrained_checkpoint(folder)
    times = {"no cache": [], "cold cache": [], "each twice": []}
    ESMEmbedder(path, cache=None).transform(sequences[:2])
    for repeat in range(repeats):
        none = ESMEmbedder(path, cache=None)
        some = ESMEmbedder(path, cache=folder / f"cold{repeat}")
        for name, embedder, X in (
            ("no cache", none, sequences),
            ("cold cache", some, sequences),
            ("each twice", none, sequences * 2),
        ):
            times[name].append(timed(lambda e=embedder, X=X: e.transform(X))[:2])
            if embedder.n_computed_ != len(set(sequences)):
                raise AssertionError("a duplicate was computed")
    return compare(times, "no cache")


def compare(times, base):
    """Return spreads of clock and processor times, and ratios of medians to those of `base`."""
    table = {
        name: {
            kind: spread([value[column] for value in values])
            for column, kind in enumerate(("clock", "processor"))
        }
        for name, values in times.items()
    }
    ratios = {
        name: {kind: figures[kind]["median"] / table[base][kind]["median"] for kind in figures}
        for name, figures in table.items()
    }
    return {"seconds": table, f"times_{base.replace(' ', '_')}": ratios}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="CSV or FASTA of real proteins")
    parser.add_argument("--n-warm", type=int, default=60_000)
    parser.add_argument("--n-cold", type=int, default=60)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.n_warm, arguments.n_cold, arguments.repeats = 6000, 5, 2
    sequences = read_sequences(arguments.data, max(arguments.n_warm, arguments.n_cold))
    with tempfile.TemporaryDirectory() as name:
        chosen = sequences[: arguments.n_warm]
        result = {
            "machine": describe_processor(),
            "processors_used": n_processors(),
            "n_warm": len(chosen),
            "width": arguments.width,
            "megabytes": 4e-6 * len(chosen) * arguments.width,
            "warm": warm(
                Path(name), chosen, arguments.width, arguments.repeats, arguments.processes
            ),
            "n_cold": arguments.n_cold,
            "cold": cold(Path(name), sequences[: arguments.n_cold], arguments.repeats),
        }
    write_result("embed_cache", result, quick=arguments.quick)


if __name__ == "__main__":
    main()
