"""Speed and exactness of the embedder beside fair-esm's own extraction and other programs.

Every program runs the same proteins in a process of its own, one after the other, and again in the
next round; the ceiling, the speed of a large matrix product, is measured in each round too. The
weights are untrained and in the shape of the release: speed and rounding do not depend on training.
fair-esm profits from malloc settings, so it runs with and without them.

Large models take hours. A round may therefore be a part of the proteins (every k-th batch of each
program's own plan, so that lengths are those of the whole), and rounds are added to the result of
an earlier call with the same settings: call again until there are enough.

    python benchmarks/embed_speed.py --data proteins.fasta.gz --model 8M --rounds 3
    python benchmarks/embed_speed.py --data proteins.fasta.gz --model 150M --parts 6 --minutes 10
    python benchmarks/embed_speed.py --data proteins.fasta.gz --model 8M \\
        --peer transformers=/venv/of/transformers/bin/python
    python benchmarks/embed_speed.py --data proteins.fasta.gz --quick
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from _report import RESULTS, machine, spread, write_result

from esmlearn.embedding import write_untrained_checkpoint

SCRIPT = Path(__file__).with_name("_embed_runners.py")
MODELS = {
    "tiny": ("esm2", 2, 64, 4),
    "8M": ("esm2", 6, 320, 20),
    "35M": ("esm2", 12, 480, 20),
    "150M": ("esm2", 30, 640, 20),
    "ESM-1v": ("esm1v", 33, 1280, 20),
}
MALLOC_TUNED = {
    "MALLOC_MMAP_THRESHOLD_": str(8 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "MALLOC_TOP_PAD_": str(512 << 20),
}
TUNED = ", malloc tuned"
OURS = ["esmlearn float32", "esmlearn bfloat16"]
DEFAULT = ["fair-esm", f"fair-esm{TUNED}", *OURS]
ORDERS = ["esmlearn float32 sorted", "esmlearn float32 shuffled"]
PEERS = {
    "transformers": ["transformers float32", "transformers bfloat16"],
    "esm-cpp": ["esm-cpp float32", "esm-cpp int8"],
}
CEILINGS = ("float32", "bfloat16")


def read_sequences(path, number, seed=0):
    """Return `number` real sequences of at most 1022 residues from a CSV or FASTA file."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as file:
        if ".fa" in path.name:
            text = file.read().split(">")[1:]
            sequences = ["".join(record.split("\n")[1:]) for record in text]
        else:
            header = file.readline().strip().split(",")
            column = header.index("sequence")
            sequences = [line.strip().split(",")[column] for line in file]
    sequences = sorted({s for s in sequences if s and len(s) <= 1022 and s.isalpha()})
    order = np.random.default_rng(seed).permutation(len(sequences))[:number]
    return [sequences[i] for i in order]


def describe_processor():
    """Return what decides the speed beside what every benchmark tells of its machine."""
    return {
        **machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "amx": bool(torch.cpu._is_amx_tile_supported()),
        "load_before": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }


def model_flop(lengths, n_layers, width):
    """Return the operations that proteins need, padding left out."""
    tokens = np.asarray(lengths, dtype=float) + 2
    return float(n_layers * (24 * width**2 * tokens.sum() + 4 * width * (tokens**2).sum()))


# Running -----------------------------------------------------------------------------------------


class Bench:
    """The programs, the proteins and the checkpoint of one model."""

    def __init__(self, arguments, folder, sequences):
        self.arguments, self.folder, self.sequences = arguments, folder, sequences
        self.shape = MODELS[arguments.model]
        architecture, n_layers, width, n_heads = self.shape
        self.checkpoint = write_untrained_checkpoint(
            folder, architecture=architecture, n_layers=n_layers, width=width, n_heads=n_heads
        )
        self.pythons = dict(pair.split("=", 1) for pair in arguments.peer)
        (folder / "sequences.json").write_text(json.dumps(sequences))
        if self.pythons:
            self._call("convert", self.pythons["transformers"])

    def _call(self, runner, python=sys.executable, malloc=None, part=(0, 1)):
        arguments = [f"--checkpoint={self.checkpoint}", f"--folder={self.folder / 'converted'}"]
        arguments += [f"--sequences={self.folder / 'sequences.json'}"]
        arguments += [f"--out={self.folder / 'vectors.npz'}", "--part", *map(str, part)]
        arguments += [f"--threads={self.arguments.threads}"]
        threads = {"OMP_NUM_THREADS": str(self.arguments.threads)}
        done = subprocess.run(
            [python, os.fspath(SCRIPT), runner, *arguments],
            env={**os.environ, **threads, **(malloc or {})},
            stdout=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{runner} ended with {done.returncode}; see above")
        lines = done.stdout.splitlines()
        return json.loads(lines[-1]) if runner != "convert" else None

    def run(self, name, part):
        """Return figures and vectors of one program's pass over a part."""
        runner = name.removesuffix(TUNED)
        python = self.pythons.get(runner.split()[0], sys.executable)
        result = self._call(runner, python, MALLOC_TUNED if name.endswith(TUNED) else None, part)
        with np.load(self.folder / "vectors.npz") as file:
            vectors = dict(zip(file["indices"].tolist(), file["vectors"], strict=True))
        lengths = [len(self.sequences[i]) for i in result.pop("proteins")]
        flop = model_flop(lengths, self.shape[1], self.shape[2])
        return {
            **result,
            "n_proteins": len(lengths),
            "residues_per_second": sum(lengths) / result["cpu_seconds"],
            "gflops": flop / result["cpu_seconds"] / 1e9,
        }, vectors

    def round(self, names, part):
        """Let every program run a part, and measure the ceiling."""
        runs, vectors = {}, {}
        for name in names:
            runs[name], vectors[name] = self.run(name, part)
            print(f"  {name:32s} {json.dumps(runs[name])}", file=sys.stderr, flush=True)
        ceilings = {p: self._call(f"ceiling {p}")["flops"] / 1e9 for p in CEILINGS}
        return {
            "part": part[0],
            "load": os.getloadavg()[0],
            "runs": runs,
            "ceiling_gflops": ceilings,
            "errors": errors(vectors),
        }


def errors(vectors):
    """Compare each program's vectors with fair-esm's, where both ran the same proteins."""
    exact, report = vectors["fair-esm"], {}
    for name, found in vectors.items():
        both = sorted(set(exact) & set(found))
        if name.startswith("fair-esm") or not both:
            continue
        a, b = (np.stack([side[i] for i in both]).astype(float) for side in (exact, found))
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        report[name] = {
            "n_proteins": len(both),
            "max_absolute": float(np.abs(a - b).max()),
            "relative": float(np.linalg.norm(a - b) / np.linalg.norm(a)),
            "min_cosine": float(cosine.min()),
        }
    return report


# Reporting ---------------------------------------------------------------------------------------


def summarise(rounds):
    """Return each program's speed as a multiple of fair-esm's and as a share of the ceiling."""
    names = list(dict.fromkeys(name for r in rounds for name in r["runs"]))
    speeds = {n: [r["runs"][n]["gflops"] for r in rounds if n in r["runs"]] for n in names}
    ceilings = {p: [r["ceiling_gflops"][p] for r in rounds] for p in CEILINGS}
    medians = {name: float(np.median(values)) for name, values in speeds.items()}
    table = {}
    for name in names:
        precision = "bfloat16" if "bfloat16" in name else "float32"
        table[name] = {
            "gflops": spread(speeds[name]),
            "times_fair_esm": medians[name] / medians["fair-esm"],
            "times_fair_esm_tuned": medians[name] / medians[f"fair-esm{TUNED}"],
            "share_of_ceiling": medians[name] / float(np.median(ceilings[precision])),
        }
    gflops = {p: spread(values) for p, values in ceilings.items()}
    # what a program at the ceiling itself would reach, in the same terms
    limits = {
        p: {
            "times_fair_esm": gflops[p]["median"] / medians["fair-esm"],
            "times_fair_esm_tuned": gflops[p]["median"] / medians[f"fair-esm{TUNED}"],
        }
        for p in CEILINGS
    }
    return {"programs": table, "ceiling_gflops": gflops, "ceiling": limits}


def worst_errors(rounds):
    """Return the largest errors of all rounds, and the number of proteins they are over."""
    table = {}
    for name in dict.fromkeys(name for r in rounds for name in r["errors"]):
        found = [r["errors"][name] for r in rounds if name in r["errors"]]
        table[name] = {
            "max_absolute": max(f["max_absolute"] for f in found),
            "relative": max(f["relative"] for f in found),
            "min_cosine": min(f["min_cosine"] for f in found),
        }
    return table


def settings(arguments, sequences):
    """Return what rounds must agree in to be put together."""
    architecture, n_layers, width, n_heads = MODELS[arguments.model]
    lengths = [len(s) for s in sequences]
    return {
        "model": arguments.model,
        "weights": "untrained, in the release's shape",
        "shape": {"architecture": architecture, "layers": n_layers, "width": width},
        "heads": n_heads,
        "threads": arguments.threads,
        "n_proteins": len(sequences),
        "mean_length": float(np.mean(lengths)),
        "teraflop_of_all": model_flop(lengths, n_layers, width) / 1e12,
        "parts": arguments.parts,
    }


def earlier_rounds(name, told, cpu):
    """Return the rounds of a result with these settings and this processor."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return []
    result = json.loads(path.read_text())
    same = all(result.get(key) == value for key, value in told.items())
    return result["rounds"] if same and result["machine"]["cpu"] == cpu else []


def measure(arguments, sequences):
    """Add rounds until there are enough, or another would take too long."""
    start, name = time.monotonic(), f"embed_speed_{arguments.model}"
    told, here = settings(arguments, sequences), describe_processor()
    new = arguments.restart or arguments.quick
    rounds = [] if new else earlier_rounds(name, told, here["cpu"])
    names = arguments.programs or DEFAULT
    if arguments.programs is None:
        names = [*names, *(n for pair in arguments.peer for n in PEERS[pair.split("=")[0]])]
    with tempfile.TemporaryDirectory() as folder:
        bench, longest = Bench(arguments, Path(folder), sequences), 0.0
        for _ in range(arguments.rounds):
            before = time.monotonic()
            if before - start + longest > 60 * arguments.minutes:
                break
            part = (len(rounds) % arguments.parts, arguments.parts)
            print(f"round {len(rounds)}, part {part}", file=sys.stderr, flush=True)
            rounds.append(bench.round(names, part))
            longest = max(longest, time.monotonic() - before)
            seen = len({r["part"] for r in rounds})
            result = {
                "machine": here,
                **told,
                "parts_run": seen,
                "cannot_be_installed": dict(p.split("=", 1) for p in arguments.absent),
                **summarise(rounds),
                "errors": worst_errors(rounds),
                "rounds": rounds,
            }
            write_result(name, result, quick=arguments.quick)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="CSV or FASTA of real proteins")
    parser.add_argument("--model", choices=list(MODELS), default="8M")
    parser.add_argument("--n", type=int, default=300, help="proteins")
    parser.add_argument("--parts", type=int, default=1, help="parts that the proteins come in")
    parser.add_argument("--rounds", type=int, default=1, help="rounds to add, at most")
    parser.add_argument("--minutes", type=float, default=600, help="time to stay within")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--programs", nargs="+", help="which programs run; default: all")
    parser.add_argument("--peer", nargs="+", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--absent", nargs="+", default=[], metavar="NAME=REASON")
    parser.add_argument("--restart", action="store_true", help="forget earlier rounds")
    parser.add_argument("--quick", action="store_true", help="a tiny model, to try the script")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.model, arguments.n, arguments.rounds = "tiny", 20, 2
    measure(arguments, read_sequences(arguments.data, arguments.n))


if __name__ == "__main__":
    main()
