"""Cost of each stage of the method at growing size: time, processor time, memory, and growth.

    python benchmarks/scale.py --data proteins.fasta.gz --work DIRECTORY
    python benchmarks/scale.py --data proteins.fasta.gz --work DIRECTORY --stages embed --again

Distinct proteins are drawn once; smaller sets are parts of larger ones. All of them go through
redundancy removal, the all-against-all graph, folds, an exact audit of a sample of test rows, and
embedding into an array on disk with the bundled model (a second time from the cache). Beside that
stand what serves larger sets: folds of linear-time clusters, and folds from the graph of their
representatives alone, each audited as well. Each stage at each size runs in a process of its own,
whose descendants count. What was measured is kept in the working directory, so that the script goes
on where it was stopped.

``--quick`` tries every step on a few proteins; its figures mean nothing.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _child import run_measured
from _report import machine, write_result
from _scale_stages import STAGES

from esmlearn.io import read_fasta, write_fasta

STAGES_SCRIPT = Path(__file__).with_name("_scale_stages.py")
OF_ENGINE = ("graph", "folds", "audit", "representatives", "audit_representatives")
GOES_ON_FROM = {"folds": "graph", "embed_again": "embed"}  # finds in the cache what that one left


def main() -> None:
    options = parse_arguments()
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        draw(options.data, options.sizes, work)
        for stage in options.stages:
            for size in options.sizes:
                measure(options, work, stage, size)
        result = {"machine": machine(), "data": options.data.name, **summary(work)}
    write_result("scale", result, quick=options.quick)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="FASTA file")
    parser.add_argument("--work", type=Path, help="where figures and files are kept meanwhile")
    parser.add_argument("--sizes", type=int, nargs="+", default=[7500, 15000, 30000, 60000])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--engine", default="diamond", help="engine of the graph")
    parser.add_argument(
        "--mode",
        choices=["very-sensitive", "ultra-sensitive"],
        default="very-sensitive",
        help="mode of DIAMOND, at all sizes",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sample", type=int, default=100, help="test rows that are audited")
    parser.add_argument("--again", action="store_true", help="measure anew what was measured")
    parser.add_argument("--quick", action="store_true", help="tiny; figures mean nothing")
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.sample = [60, 120], 20
    return options


def draw(data: Path, sizes: list[int], work: Path) -> None:
    """Write the proteins of each size."""
    missing = [size for size in sizes if not (work / str(size) / "in.fasta").exists()]
    if not missing:
        return
    table = read_fasta(data).drop_duplicates("sequence")
    order = np.random.default_rng(0).permutation(len(table))
    for size in missing:
        rows = table.iloc[order[:size]]
        write_fasta(work / str(size) / "in.fasta", rows["sequence"], ids=rows["id"].tolist())


def measure(options: argparse.Namespace, work: Path, stage: str, size: int) -> None:
    """Run a stage in a process of its own and keep what it cost."""
    folder = work / str(size)
    engine = options.engine + (f"-{options.mode}" if options.engine == "diamond" else "")
    name = f"{stage}-{engine}" if stage in OF_ENGINE else stage
    kept = folder / f"{name}.json"
    if kept.exists() and not options.again:
        return
    cache = folder / f"cache-{name.replace(stage, GOES_ON_FROM.get(stage, stage))}"
    if stage not in GOES_ON_FROM:  # what it computes must not be there already
        shutil.rmtree(cache, ignore_errors=True)
    command = [sys.executable, str(STAGES_SCRIPT), stage, str(folder), "--engine", options.engine]
    command += [
        "--mode",
        options.mode,
        "--threads",
        str(options.threads),
        "--sample",
        str(options.sample),
    ]
    environment = {"OMP_NUM_THREADS": str(options.threads), "ESMLEARN_CACHE": str(cache)}
    output, cost = run_measured(command, environment=environment)
    line = {"n": size, "threads": options.threads, **cost, **json.loads(output.splitlines()[-1])}
    kept.write_text(json.dumps(line))
    print(name, line, flush=True)


def summary(work: Path) -> dict[str, Any]:
    """Return what was measured so far, and how it grows."""
    found: dict[str, Any] = {}
    for path in work.glob("*/*.json"):
        found.setdefault(path.stem, []).append(json.loads(path.read_text()))
    return {stage: growth(found[stage]) for stage in sorted(found)}


def growth(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return runs by size, the exponents of their times, and memory per thousand proteins."""
    runs = sorted(runs, key=lambda run: run["n"])
    sizes = np.array([run["n"] for run in runs], dtype=float)
    if len(runs) < 2:
        return {"runs": runs}
    exponents = {
        what: float(np.polyfit(np.log(sizes), np.log([run[what] for run in runs]), 1)[0])
        for what in ("wall_s", "cpu_s")
    }
    slope = float(np.polyfit(sizes / 1000, [run["peak_mb"] for run in runs], 1)[0])
    return {"exponents": exponents, "peak_mb_per_1000": slope, "runs": runs}


if __name__ == "__main__":
    main()
