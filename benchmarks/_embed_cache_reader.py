"""One process that finds every vector in the cache, timed beside NumPy reading as many bytes.

Called by embed_cache.py. It begins as a user's program does, in a new process.
"""

import json
import sys
import time

import numpy as np

from esmlearn.embedding import ESMEmbedder


def timed(call):
    """Return seconds on the clock and of the processor, and the result."""
    clock, processor = time.perf_counter(), time.process_time()
    result = call()
    return time.perf_counter() - clock, time.process_time() - processor, result


def main():
    model, cache, sequences, plain, repeats = sys.argv[1:]
    with open(sequences) as file:
        sequences = json.load(file)
    embedder = ESMEmbedder(model, cache=cache)
    # the file's pages are in memory from here on, and the host has given more than is needed
    _ = [np.load(plain) for _ in range(4)]
    del _
    times = {"numpy": [], "first": [], "again": [], "folds": []}
    for repeat in range(int(repeats) + 1):
        *seconds, expected = timed(lambda: np.load(plain))
        times["numpy"].append(seconds)
        *seconds, vectors = timed(lambda: embedder.transform(sequences))
        times["again" if repeat else "first"].append(seconds)
        if embedder.n_computed_ or not np.array_equal(vectors, expected):
            raise AssertionError("the warm transform computed something or read it wrong")
        del vectors, expected
    rng = np.random.default_rng(0)
    for _ in range(int(repeats)):  # four fifths, in a combination that is new
        fold = np.sort(rng.permutation(len(sequences))[: len(sequences) * 4 // 5])
        chosen = [sequences[i] for i in fold]
        *seconds, _ = timed(lambda chosen=chosen: embedder.transform(chosen))
        times["folds"].append([5 / 4 * s for s in seconds])
        del _
    print(json.dumps({"times": times, "torch_imported": "torch" in sys.modules}))


if __name__ == "__main__":
    main()
