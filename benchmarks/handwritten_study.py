"""The whole method by hand and with esmlearn: lines of code, time and leakage of the folds.

``handwritten/glue.py`` and ``handwritten/with_esmlearn.py`` do the same: embed, five folds by
homology, two models with ten ways of over-sampling each, scores of the rare region, the best one
refitted and saved. They take turns as programs of their own, on one thread; the second run of each
finds the vectors of the first. What leaks from the folds is judged by exhaustive Smith-Waterman.
The weights are untrained, as speed does not depend on training; so scores mean nothing here.

    python benchmarks/handwritten_study.py --help
"""

import argparse
import ast
import os
import resource
import subprocess
import sys
import time
import tokenize
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from _report import machine, spread, write_result

from esmlearn.clustering._engines.mmseqs import MMseqs
from esmlearn.datasets import load_optimum_temperature
from esmlearn.embedding import write_untrained_checkpoint
from esmlearn.model_selection import audit_leakage

HERE = Path(__file__).parent
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
PROGRAMS = {"by hand": "glue.py", "esmlearn": "with_esmlearn.py"}


def count_lines(path):
    """Return the number of lines that hold code: no blank ones, no comments, no docstring."""
    docstring = ast.parse(path.read_text()).body[0]
    with tokenize.open(path) as file:
        tokens = [t for t in tokenize.generate_tokens(file.readline) if t.type not in NO_CODE]
    lines = {line for t in tokens for line in range(t.start[0], t.end[0] + 1)}
    return len(lines - set(range(1, docstring.end_lineno + 1)))


def run(program, table, checkpoint, out):
    """Run a program in a fresh process; return wall and CPU seconds."""
    out.mkdir(parents=True, exist_ok=True)
    options = ["--table", table, "--checkpoint", checkpoint, "--out", out]
    if program == "glue.py":
        options += ["--mmseqs", MMseqs.program.require()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ESMLEARN_CACHE": str(out / "cache")}
    command = [sys.executable, str(HERE / "handwritten" / program), *map(str, options)]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, env=environment)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_seconds": wall, "cpu_seconds": cpu}


def leakage(path):
    """Return what an exhaustive search finds across folds, by definition."""
    folds = pd.read_csv(path)
    report = audit_leakage(folds["sequence"], folds["fold"].to_numpy(), engine="exact")
    return {name: report.overall(name) for name in "ABCD"}


def measure(table, checkpoint, folder, repeats):
    runs = []
    for repeat in range(repeats):
        for state in ("cold", "warm"):
            for name, program in PROGRAMS.items():
                out = Path(folder, f"{name.replace(' ', '_')}_{repeat}")
                runs.append(
                    {"program": name, "cache": state, **run(program, table, checkpoint, out)}
                )
    return runs


def summarise(runs):
    times = {
        f"{name}, {state}": spread(
            [r["cpu_seconds"] for r in runs if (r["program"], r["cache"]) == (name, state)]
        )
        for name in PROGRAMS
        for state in ("cold", "warm")
    }
    ratios = {
        state: times[f"esmlearn, {state}"]["median"] / times[f"by hand, {state}"]["median"]
        for state in ("cold", "warm")
    }
    return {"cpu_seconds": times, "esmlearn_over_by_hand_cpu": ratios}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=600, help="number of enzymes (default: 600)")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each (default: 2)")
    parser.add_argument("--quick", action="store_true", help="show the result, do not keep it")
    arguments = parser.parse_args()

    sequences, target = load_optimum_temperature(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(sequences))[: arguments.n]
    with TemporaryDirectory() as folder:
        table = Path(folder, "table.csv")
        frame = pd.DataFrame({"sequence": np.asarray(sequences)[rows], "target": target[rows]})
        frame.to_csv(table, index=False)
        checkpoint = write_untrained_checkpoint(folder)
        runs = measure(table, checkpoint, folder, arguments.repeats)
        leaks = {
            name: leakage(Path(folder, f"{name.replace(' ', '_')}_0", "folds.csv"))
            for name in PROGRAMS
        }
    lines = {name: count_lines(HERE / "handwritten" / file) for name, file in PROGRAMS.items()}
    result = {
        "n_sequences": len(frame),
        "checkpoint": "untrained, shape of esm2_t6_8M_UR50D",
        "lines_of_code": lines,
        **summarise(runs),
        "leakage": leaks,
        "runs": runs,
        "machine": machine(),
    }
    write_result("handwritten_study", result, quick=arguments.quick)


if __name__ == "__main__":
    main()
