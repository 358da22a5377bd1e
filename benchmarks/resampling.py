"""Compare region over-sampling with imbalanced-learn and with libraries for imbalanced regression.

Three things are measured: the error of synthetic targets where the truth is a straight line; CPU
time and memory, one thread, each task in a process of its own, tasks taking turns; and what a grid
of nine candidates costs. Peers run in environments of their own, named by their Python:

    python benchmarks/resampling.py --peer resreg=VENV/bin/python --peer imbreg=VENV/bin/python

Parts that are not run (``--parts``) keep what an earlier run has written; each ratio is of tasks of
one part.

Pins: resreg 0.2, imbreg 0.1.3, denseweight 0.1.2, smogn 0.1.2 (needs
pandas<2 and numpy<2).
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from _report import RESULTS, machine, spread, write_result

WORKER = Path(__file__).with_name("resampling_tasks.py")
OURS = ("random", "smote", "adasyn", "borderline", "svm", "kmeans")
# These look at all pairs, and are measured at sizes that they can be waited for, and extrapolated.
QUADRATIC = {"imbreg": (1000, 2000, 4000), "smogn": (250, 500, 1000)}
SPEED = {
    "smote": ("imblearn SMOTE", "esmlearn smote", "resreg", "esmlearn random"),
    "adasyn": ("imblearn ADASYN", "esmlearn adasyn", "esmlearn grid"),
    "density": ("esmlearn density", "denseweight"),
}
PARTS = ("line", *SPEED, "extrapolated")
PATIENCE = 600  # seconds for one task
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}


def make_line(dtype):
    """Twenty rare rows on a line through feature space, on which the target is linear."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 3)), rng.normal(37, 3, 200)
    along = np.sort(rng.uniform(-3, 3, 20))
    X[:20] = along[:, np.newaxis] + 0.001 * rng.normal(size=(20, 3))
    y[:20] = 100 + 10 * along
    return X.astype(dtype), y.astype(dtype)


def make_proteins(n, n_features, seed=0):
    """Low-rank float32 features of families, with a target that has a long upper tail."""
    rng = np.random.default_rng(seed)
    families = rng.integers(0, n // 10, n)
    latent = rng.standard_normal((n // 10, 48), dtype=np.float32)[families]
    latent += 0.3 * rng.standard_normal((n, 48), dtype=np.float32)
    X = 0.1 * (latent @ rng.standard_normal((48, n_features), dtype=np.float32))
    X += 0.02 * rng.standard_normal((n, n_features), dtype=np.float32)
    signal = latent[:, :6].sum(axis=1) / 2.5 + 0.25 * rng.standard_normal(n)
    return X, (37 + 6 * signal + 7 * np.log1p(np.exp(3 * (signal - 1.2)))).astype(np.float32)


def save(folder, X, y, edge, *, line=False):
    np.save(Path(folder, "X.npy"), X)
    np.save(Path(folder, "y.npy"), y)
    np.save(Path(folder, "edge.npy"), np.float64(edge))
    Path(folder, "line").touch() if line else Path(folder, "line").unlink(missing_ok=True)


def touch_memory(n_bytes):
    """Use memory and give it back.

    On a virtual machine the first use of a page costs the host's time, which counts as that of
    whoever is first: more than SMOTE takes.
    """
    np.ones(n_bytes // 8)


def measure(task, folder, peers):
    """Run one task in its own process; a failure is a result too."""
    python = peers.get(task.split()[0], sys.executable)
    command = [python, str(WORKER), task, str(folder)]
    environment = {**os.environ, **ONE_THREAD}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return {"error": f"took more than {PATIENCE} s"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def straight_line(folder, peers):
    tasks = [f"esmlearn {name}" for name in OURS if name != "random"]
    tasks += [name for name in ("resreg", "imbreg", "smogn") if name in peers]
    errors = {}
    for dtype in (np.float32, np.float64):
        save(folder, *make_line(dtype), 60.0, line=True)
        for task in tasks:
            result = measure(task, folder, peers)
            errors[f"{task} {dtype.__name__}"] = result.get("line_error", result.get("error"))
    return errors


def speed(folder, peers, part, repeats):
    """Take turns, each task first in turn: whatever else the machine does falls on all alike."""
    tasks = [name for name in SPEED[part] if "esmlearn" in name or "imblearn" in name]
    tasks += [name for name in SPEED[part] if name in peers]
    needed = 5 * Path(folder, "X.npy").stat().st_size
    runs = []
    for turn in range(repeats):
        first = turn % len(tasks)
        runs.append({})
        for task in tasks[first:] + tasks[:first]:
            touch_memory(needed)
            runs[-1][task] = measure(task, folder, peers)
    return {task: summary([run[task] for run in runs]) for task in tasks}


def summary(results):
    """Medians of a task's figures, or its first error."""
    failed = [result["error"] for result in results if "error" in result]
    if failed:
        return {"error": failed[0]}
    return {name: spread([result[name] for result in results]) for name in results[0]}


def extrapolated(folder, peers, n, n_features, quadratic):
    """Seconds at `n` rows of libraries that are too slow to be run there, from a power law."""
    found = {}
    for task, sizes in quadratic.items():
        if task not in peers:
            continue
        seconds = []
        for size in sizes:
            X, y = make_proteins(size, n_features)
            save(folder, X, y, np.quantile(y, 0.95))
            seconds.append(measure(task, folder, peers))
        if any("error" in result for result in seconds):
            found[task] = seconds
            continue
        measured = [result["cpu_s"] for result in seconds]
        slope, offset = np.polyfit(np.log(sizes), np.log(measured), 1)
        found[task] = {
            "measured_cpu_s": dict(zip(map(str, sizes), measured, strict=True)),
            "exponent": float(slope),
            "extrapolated_cpu_s": float(np.exp(offset + slope * np.log(n))),
        }
    return found


def ratios(table):
    """Ratios of medians that the goals are about."""

    def cpu(task):
        return table.get(task, {}).get("cpu_s", {}).get("median", float("nan"))

    return {
        "smote / imblearn": cpu("esmlearn smote") / cpu("imblearn SMOTE"),
        "adasyn / imblearn": cpu("esmlearn adasyn") / cpu("imblearn ADASYN"),
        "resreg / smote": cpu("resreg") / cpu("esmlearn smote"),
        "grid of nine / one adasyn": cpu("esmlearn grid") / cpu("esmlearn adasyn"),
        "grid of nine / imblearn": cpu("esmlearn grid") / cpu("imblearn ADASYN"),
        "denseweight / density": cpu("denseweight") / cpu("esmlearn density"),
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--features", type=int, default=1280)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS, help="all by default")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, nothing is written")
    args = parser.parse_args()
    peers = dict(peer.split("=", 1) for peer in args.peer)
    n, n_features, repeats = args.rows, args.features, args.repeats
    quadratic = QUADRATIC
    if args.quick:
        n, n_features, repeats = 3000, 64, 1
        quadratic = dict.fromkeys(QUADRATIC, (200, 400))
    path = RESULTS / "resampling.json"
    result = json.loads(path.read_text()) if path.exists() and not args.quick else {}
    timed = [part for part in SPEED if part in args.parts]
    if timed or "machine" not in result:
        result["machine"] = machine()
    result |= {"rows": n, "features": n_features}
    with TemporaryDirectory() as folder:
        if "line" in args.parts:
            result["straight_line_error"] = straight_line(folder, peers)
        if timed:
            X, y = make_proteins(n, n_features)
            save(folder, X, y, np.quantile(y, 0.95))
            del X
        for part in timed:
            result["speed"] = result.get("speed", {}) | speed(folder, peers, part, repeats)
            result["ratios"] = ratios(result["speed"])
        if "extrapolated" in args.parts:
            result["extrapolated"] = extrapolated(folder, peers, n, n_features, quadratic)
    write_result("resampling", result, quick=args.quick)


if __name__ == "__main__":
    main()
