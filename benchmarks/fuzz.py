"""Feed readers and cache with damaged files: nothing but our own errors may come out.

    python benchmarks/fuzz.py --quick
    python benchmarks/fuzz.py --inputs 110000

Hypothesis makes the files: good ones with some damage, pieces of the format in any order, and any
bytes. The cache is opened, read, verified, pruned and written to with a damaged index or damaged
vectors; a vector that it gives out must be the one that was stored. Defects are listed with an
input that shows them; the script then ends with exit code 1.
"""

import argparse
import json
import logging
import math
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from _fuzz_targets import TARGETS, Target, damaged
from _report import RESULTS, machine, write_result
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed

from esmlearn.exceptions import EsmlearnError


def main() -> int:
    options = parse_arguments()
    logging.disable()  # of damage that is expected
    warnings.simplefilter("error", RuntimeWarning)  # a number that does not fit
    weights = sum(TARGETS[name].weight for name in options.targets)
    kept = RESULTS / "fuzz.json"
    found: dict[str, Any] = {}
    if kept.exists() and not options.quick:  # of targets that are not run now
        found = json.loads(kept.read_text())["targets"]
    for name in options.targets:
        number = math.ceil(options.inputs * TARGETS[name].weight / weights)
        found[name] = fuzz(TARGETS[name], number, options.seed)
        print(name, found[name], flush=True)
    n_inputs = sum(line["inputs"] for line in found.values())
    result = {"machine": machine(), "seed": options.seed, "inputs": n_inputs, "targets": found}
    write_result("fuzz", result, quick=options.quick)
    return int(any(line["defects"] for line in found.values()))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=110_000, help="over all targets")
    parser.add_argument("--targets", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="few inputs; nothing is kept")
    options = parser.parse_args()
    if options.quick:
        options.inputs = 300 * len(options.targets)
    return options


def fuzz(target: Target, n_inputs: int, seed: int) -> dict[str, Any]:
    """Run a target on many files and count what came of it."""
    counts = {"inputs": 0, "taken": 0, "refused": 0}
    defects: dict[str, dict[str, Any]] = {}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        while counts["inputs"] < n_inputs:
            _round(target, Path(temporary), n_inputs - counts["inputs"], seed, counts, defects)
            seed += 1
    return {**counts, "seconds": round(time.perf_counter() - start, 1), "defects": defects}


def _round(
    target: Target, folder: Path, number: int, seed: int, counts: dict[str, int], defects: Any
) -> None:
    """Let hypothesis make files; it may stop early when it knows no new ones."""

    @with_seed(seed)
    @settings(
        max_examples=max(1, number // 2),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged(target))
    def run(files: list[bytes]) -> None:
        for data in files:
            counts["inputs"] += 1
            try:
                target.run(data, folder)
                counts["taken"] += 1
            except EsmlearnError:
                counts["refused"] += 1
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                name = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
                first = {"message": str(error)[:300], "input": repr(data)[:2000], "times": 0}
                defects.setdefault(name, first)["times"] += 1

    run()


if __name__ == "__main__":
    sys.exit(main())
