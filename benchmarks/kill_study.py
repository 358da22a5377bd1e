"""Kill a study at random moments and restart it: the results must be those of an undisturbed run.

    python benchmarks/kill_study.py --quick
    python benchmarks/kill_study.py --demo --sample 300 --kills 5

A study runs through once and is timed. The same study then runs in another folder with a cache of
its own; its whole process group is killed with SIGKILL at random moments of the time that the first
run took, and it is started again, until it ends. results.csv of both must be equal byte for byte.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _report import machine, write_result

from esmlearn.embedding import write_untrained_checkpoint
from esmlearn.io import write_table

COMPARED = ["results.csv", "predictions.csv", "regions.csv", "folds.csv", "random_results.csv"]


def main() -> None:
    args = parse_arguments()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        command = make_command(args, root)
        start = time.perf_counter()
        run(command, root / "whole").wait()
        seconds = time.perf_counter() - start
        kills = kill_and_restart(command, root / "killed", args.kills, seconds, rng)
        equal = {
            name: (root / "whole" / "out" / name).read_bytes()
            == (root / "killed" / "out" / name).read_bytes()
            for name in COMPARED
        }
        half_written = [str(p) for p in (root / "killed" / "out").glob("**/.*") if p.is_file()]
    result = {
        "study": " ".join(command[3:]).replace(f"{root}{os.sep}", ""),
        "seconds_undisturbed": seconds,
        "killed_after_seconds": kills,
        "equal": equal,
        "left_over_temporary_files": len(half_written),
        "machine": machine(),
    }
    assert all(equal.values()), "a killed and restarted study ended differently"
    assert len(kills) >= args.kills, "the study ended before it was killed often enough"
    write_result("kill_study", result, quick=args.quick)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="made-up proteins, two kills")
    parser.add_argument("--demo", action="store_true", help="the real demo instead")
    parser.add_argument("--sample", type=int, default=None, help="with --demo: so many proteins")
    parser.add_argument("--kills", type=int, default=5, help="how often to kill")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    args = parser.parse_args()
    args.kills = 2 if args.quick else args.kills
    return args


def make_command(args: argparse.Namespace, root: Path) -> list[str]:
    """Return the study to run, without its output folder."""
    command = [sys.executable, "-m", "esmlearn", "study", "-q"]
    if args.demo:
        return [*command, "--demo", *(["--sample", str(args.sample)] if args.sample else [])]
    import pandas as pd

    rng = np.random.default_rng(0)
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    families, members = (15, 3) if args.quick else (60, 3)
    ancestors = [rng.choice(letters, 80) for _ in range(families)]
    rows = [a.copy() for a in ancestors for _ in range(members)]
    for row in rows:
        changed = rng.random(80) < 0.25
        row[changed] = rng.choice(letters, changed.sum())
    y = np.repeat(rng.gamma(3, 10, families), members) + rng.normal(0, 1, len(rows))
    table = pd.DataFrame({"sequence": ["".join(row) for row in rows], "tm": y.round(2)})
    write_table(root / "table.csv", table)
    weights = write_untrained_checkpoint(root / "esm2_tiny.pt", n_layers=2, width=32, n_heads=4)
    command += [str(root / "table.csv"), "--target", "tm", "--model", str(weights), "--folds", "3"]
    command += ["--regions", "45"]
    return [*command, "--models", "dummy,ridge", "--levels", "100"] if args.quick else command


def run(command: list[str], folder: Path) -> subprocess.Popen:
    """Start a study in a process group, and with a cache, of its own."""
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "ESMLEARN_CACHE": str(folder / "cache")}
    return subprocess.Popen(
        [*command, "--out", str(folder / "out")], env=environment, start_new_session=True
    )


def kill_and_restart(
    command: list[str], folder: Path, n_kills: int, seconds: float, rng: random.Random
) -> list[float]:
    """Kill a study at random moments until it was killed often enough; let it end then."""
    kills: list[float] = []
    while True:
        process = run(command, folder)
        moment = rng.uniform(0.1, 0.9) * seconds if len(kills) < n_kills else None
        try:
            code = process.wait(moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills.append(round(moment or 0.0, 2))
            continue
        assert code == 0, f"the study ended with exit code {code}"
        if len(kills) >= n_kills:
            return kills
        seconds *= 0.5  # it went on so fast that it ended first: strike earlier, from scratch
        for path in sorted((folder / "out").rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()


if __name__ == "__main__":
    main()
