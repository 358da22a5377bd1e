"""What the embedding cache costs and gives, beside reading the same bytes with NumPy.

python benchmarks/embed_cache.py --data proteins.fasta.gz
python benchmarks/embed_cache.py --data proteins.fasta.gz --quick
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from _report import write_result
from embed_speed import describe_processor, read_sequences

from esmlearn.embedding import EmbeddingCache, ESMEmbedder, write_untrained_checkpoint
from esmlearn.utils._sequences import sequence_digest


def timed(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def warm(folder, sequences, width, repeats):
    """Time a transform that finds everything, and NumPy reading as many bytes, in turns."""
    path = write_untrained_checkpoint(folder, n_layers=1, width=width, n_heads=20)
    cache = EmbeddingCache(folder / "warm")
    embedder = ESMEmbedder(path, cache=cache)
    vectors = np.random.default_rng(0).normal(size=(len(sequences), width)).astype(np.float32)
    for start in range(0, len(sequences), 1000):
        block = slice(start, start + 1000)
        digests = [sequence_digest(s) for s in sequences[block]]
        cache.put(embedder.fingerprint(), digests, vectors[block])
    plain = folder / "plain.npy"
    np.save(plain, vectors)
    times = {"transform": [], "numpy": []}
    for _ in range(repeats):
        seconds, read = timed(lambda: np.load(plain))
        times["numpy"].append(seconds)
        seconds, ours = timed(lambda: embedder.transform(sequences))
        times["transform"].append(seconds)
    if embedder.n_computed_ or not np.array_equal(ours, read):
        raise AssertionError("the warm transform computed something or read it wrong")
    return times


def cold(folder, sequences, repeats):
    """Time computing with and without a cache, in turns; the model is that of ESM-2 8M."""
    path = write_untrained_checkpoint(folder)
    times = {"no cache": [], "cold cache": []}
    ESMEmbedder(path, cache=None).transform(sequences[:2])
    for repeat in range(repeats):
        none = ESMEmbedder(path, cache=None)
        some = ESMEmbedder(path, cache=folder / f"cold{repeat}")
        times["no cache"].append(timed(lambda e=none: e.transform(sequences))[0])
        times["cold cache"].append(timed(lambda e=some: e.transform(sequences))[0])
    return times


def ratio(times, a, b):
    medians = {key: float(np.median(values)) for key, values in times.items()}
    return {"seconds": times, "medians": medians, "ratio": medians[a] / medians[b]}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="CSV or FASTA of real proteins")
    parser.add_argument("--n-warm", type=int, default=60_000)
    parser.add_argument("--n-cold", type=int, default=100)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.n_warm, arguments.n_cold, arguments.repeats = 2000, 5, 2
    sequences = read_sequences(arguments.data, max(arguments.n_warm, arguments.n_cold))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = {
            "machine": describe_processor(),
            "n_warm": min(arguments.n_warm, len(sequences)),
            "warm": ratio(
                warm(folder, sequences[: arguments.n_warm], arguments.width, arguments.repeats),
                "transform",
                "numpy",
            ),
            "n_cold": arguments.n_cold,
            "cold": ratio(
                cold(folder, sequences[: arguments.n_cold], arguments.repeats),
                "cold cache",
                "no cache",
            ),
        }
    for key in ("warm", "cold"):
        print(key, json.dumps(result[key]["medians"]), f"ratio {result[key]['ratio']:.3f}")
    write_result("embed_cache", result, quick=arguments.quick)


if __name__ == "__main__":
    main()
