"""What the embedder's speed and memory do not depend on: the order and the number of proteins.

    python benchmarks/embed_order.py --data proteins.fasta.gz

Speed: ESM-2 8M's shape, untrained, on the same real proteins sorted by length and shuffled, in
turns, in residues per second of processor time. Memory: the most that a process ever had that
embeds a FASTA file into an array on disk, at growing token budgets and growing files; the network
is small there, so that what is not its weights shows.

``--quick`` tries every step on a few proteins; its figures mean nothing.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _child import megabytes, run_measured
from _report import machine, spread, write_result
from embed_speed import read_sequences

from esmlearn.embedding import ESMEmbedder, embed_fasta, write_untrained_checkpoint
from esmlearn.io import write_fasta

BUDGETS = (1024, 4096, 16384)


def main() -> None:
    options = parse_arguments()
    if options.file is not None:  # a child whose memory is measured
        embed_file(options)
        return
    torch.set_num_threads(1)
    sequences = read_sequences(options.data, options.n)
    result = {
        "machine": machine(),
        "n": len(sequences),
        "residues": sum(map(len, sequences)),
        "order": order(sequences, options.rounds),
        "memory": memory(options),
    }
    write_result("embed_order", result, quick=options.quick)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="FASTA or CSV of real proteins")
    parser.add_argument("--n", type=int, default=100, help="proteins whose speed is measured")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument(
        "--files", type=int, nargs="+", default=[500, 2000, 4000], help="proteins each"
    )
    parser.add_argument("--quick", action="store_true", help="tiny; figures mean nothing")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--budget", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.n, options.rounds, options.files = 10, 2, [20, 40]
    return options


def order(sequences: list[str], rounds: int) -> dict[str, Any]:
    """Time sorted and shuffled input in turns."""
    inputs = {
        "sorted": sorted(sequences, key=len, reverse=True),
        "shuffled": [sequences[i] for i in np.random.default_rng(0).permutation(len(sequences))],
    }
    residues = sum(map(len, sequences))
    speeds: dict[str, list[float]] = {name: [] for name in inputs}
    with tempfile.TemporaryDirectory() as folder:
        embedder = ESMEmbedder(write_untrained_checkpoint(folder), device="cpu", cache=None)
        embedder.transform(sequences[:2])
        for _ in range(rounds):
            for name, given in inputs.items():
                start = time.process_time()
                embedder.transform(given)
                speeds[name].append(residues / (time.process_time() - start))
    rows = {name: spread(values) for name, values in speeds.items()}
    ratio = rows["shuffled"]["median"] / rows["sorted"]["median"]
    return {"residues_per_second": rows, "shuffled_over_sorted": ratio}


def memory(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the peak of a process for each budget and file."""
    sequences = read_sequences(options.data, max(options.files))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        model = write_untrained_checkpoint(folder, n_layers=1, width=64, n_heads=4)
        for n in options.files:
            fasta = Path(folder) / f"{n}.fasta"
            write_fasta(fasta, sequences[:n])
            for budget in BUDGETS:
                command = [sys.executable, __file__, "--file", str(fasta), "--model", str(model)]
                output, cost = run_measured(
                    [*command, "--budget", str(budget)], environment={"OMP_NUM_THREADS": "1"}
                )
                found = json.loads(output.splitlines()[-1])
                rows.append({"n": n, "budget": budget, "peak_mb": cost["peak_mb"], **found})
                print(rows[-1], flush=True)
    return rows


def embed_file(options: argparse.Namespace) -> None:
    """Embed a file, and tell how much memory there was before."""
    before = megabytes(os.getpid(), "status", "VmRSS:")
    embedder = ESMEmbedder(options.model, device="cpu", cache=None, batch_residues=options.budget)
    embed_fasta(options.file, options.file.with_suffix(".npy"), embedder=embedder)
    print(json.dumps({"imported_mb": round(before, 1)}))


if __name__ == "__main__":
    main()
