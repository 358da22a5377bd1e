"""One process that finds every vector in the cache, timed beside NumPy reading as many bytes.

Called by embed_cache.py. It begins as a user's program does: nothing imported, nothing known.
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
    np.load(plain)  # the file's pages are in memory from here on
    times = {"numpy": [], "first": [], "again": []}
    for repeat in range(int(repeats) + 1):
        *seconds, expected = timed(lambda: np.load(plain))
        times["numpy"].append(seconds)
        *seconds, vectors = timed(lambda: embedder.transform(sequences))
        times["again" if repeat else "first"].append(seconds)
        if embedder.n_computed_ or not np.array_equal(vectors, expected):
            raise AssertionError("the warm transform computed something or read it wrong")
        del vectors, expected
    print(json.dumps({"times": times, "torch_imported": "torch" in sys.modules}))


if __name__ == "__main__":
    main()
