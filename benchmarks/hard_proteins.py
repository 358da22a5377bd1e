"""Leakage of folds of the proteins that search programs are blind to, by engine.

Programs start from words that two proteins share. Peptides have few, and proteins of low
complexity have words that occur everywhere. Folds of such sets by each engine are judged by the
exact audit and, where the families are made up, also by these: an audit that shares the engines'
alignments would share their mistakes. The enzymes are split by the default engine.

    python benchmarks/hard_proteins.py --proteins swissprot.fasta.gz --enzymes topt.csv.gz
    python benchmarks/hard_proteins.py --proteins ... --enzymes ... --only enzymes "900 enzymes"

Proteins from 3.6 bits on, which are searched by programs alone, stand beside the simplest ones.
``--only`` runs some sets, and keeps the other figures. ``--quick`` tries every step on few
proteins; its figures mean nothing.
"""

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import log2
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from _proteins import RESIDUES, read_table
from _report import RESULTS, machine, write_result
from _split_judges import N_SPLITS, Pairs, kept
from graph_engines import read_proteins

from esmlearn.clustering import available_engines
from esmlearn.exceptions import InsufficientComponentsError
from esmlearn.model_selection import CDHitGroupSplitter, audit_leakage

ENGINES = ("exact", "mmseqs", "diamond")
LEAST_ENTROPY = 3.6  # bits; below, the package aligns exactly whatever the engine
LONGEST_SIMPLE, LONGEST_SHORT = 299, 50
LEVELS = ("A", "B", "C", "D", "identical", "near_identical")


@dataclass(frozen=True)
class Proteins:
    """Some proteins, their made-up families if they have any, and the engines that split them."""

    sequences: list[str]
    families: list[int] | None = None
    engines: tuple[str, ...] = ENGINES


def entropy(sequence: str) -> float:
    """Return the Shannon entropy of the residues in bits, X left out."""
    known = sequence.replace("X", "")
    return -sum(n / len(known) * log2(n / len(known)) for n in Counter(known).values())


def repeats(units: list[list[str]], size: int, rng: np.random.Generator) -> Proteins:
    """Return families of repeats of some letters, whose members have 10 to 20 % other residues."""
    sequences, families = [], []
    for family, unit in enumerate(units):
        ancestor = np.resize(unit, rng.integers(60, 151))
        for _ in range(size):
            sequences.append(mutated(ancestor, rng.uniform(0.1, 0.2), rng))
            families.append(family)
    return Proteins(sequences, families)


def mutated(ancestor: np.ndarray, share: float, rng: np.random.Generator) -> str:
    """Return a sequence with a share of its residues replaced by any."""
    member = ancestor.copy()
    places = rng.choice(len(member), round(share * len(member)), replace=False)
    member[places] = rng.choice(list(RESIDUES), len(places))
    return "".join(member)


def peptides(n: int, rng: np.random.Generator) -> Proteins:
    """Return peptides of 5 to 20 residues: families by one substitution, and singletons."""
    found: dict[str, int] = {}
    family = 0
    while len(found) < n:
        ancestor = rng.choice(list(RESIDUES), rng.integers(5, 21))
        size = 5 if family % 3 == 0 else 1
        for _ in range(size):
            found.setdefault("".join(ancestor if size == 1 else substituted(ancestor, rng)), family)
        if size > 1:  # through which all members are one edit apart
            found.setdefault("".join(ancestor), family)
        family += 1
    return Proteins(list(found)[:n], list(found.values())[:n])


def substituted(ancestor: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a sequence with one residue replaced by another."""
    member = ancestor.copy()
    place = rng.integers(len(member))
    member[place] = rng.choice([r for r in RESIDUES if r != member[place]])
    return member


def make_sets(options: argparse.Namespace) -> dict[str, Proteins]:
    """Return all sets by name."""
    proteins = read_proteins(options.proteins, None, 0)
    short_enough = [p for p in proteins if len(p) <= LONGEST_SIMPLE]
    by_entropy = sorted(short_enough, key=lambda p: (entropy(p), p))
    from_limit = [p for p in by_entropy if entropy(p) >= LEAST_ENTROPY]
    enzymes, few = (
        read_table(options.enzymes, n_rows=n, seed=0)[0].tolist()
        for n in (options.n_enzymes, options.n_few)
    )
    n, rng = options.n_simple, np.random.default_rng(0)
    letters = list(RESIDUES)
    shared = [rng.choice(letters, rng.integers(2, 4), replace=False).tolist() for _ in range(60)]
    own = [part.tolist() for part in np.array_split(rng.permutation(letters), 8)]
    return {
        "lowest entropy": Proteins(by_entropy[:n]),
        "entropy from 3.6 bits on": Proteins(from_limit[:n]),
        "made-up repeats": repeats(shared, 8, rng),
        # Of those many have letters in common; no two of these do.
        "made-up repeats, own letters": repeats(own, 40, rng),
        "made-up peptides": peptides(options.n_peptides, rng),
        "up to 50 residues": Proteins(
            [p for p in proteins if len(p) <= LONGEST_SHORT][: options.n_short]
        ),
        "enzymes": Proteins(enzymes, engines=("auto",)),
        "900 enzymes": Proteins(few, engines=("auto",)),
    }


def split(sequences: list[str], engine: str, n_jobs: int) -> dict[str, Any]:
    """Return folds, and what they took, with nothing in the cache."""
    with tempfile.TemporaryDirectory() as empty:
        os.environ["ESMLEARN_CACHE"] = empty
        splitter = CDHitGroupSplitter(N_SPLITS, engine=engine, random_state=0, n_jobs=n_jobs)
        start = time.perf_counter()
        splitter._graph(sequences)
        searched = time.perf_counter()
        pairs = list(splitter.split(sequences))
        end = time.perf_counter()
    about = splitter.description_
    graph = about["graph"]
    return {
        "pairs": pairs,
        "engine": graph["engine"],
        "version": graph["version"],
        "search_s": searched - start,
        "split_s": end - searched,
        "largest_component": about["largest_component"],
    }


def judged(proteins: Proteins, pairs: Pairs, n_jobs: int) -> dict[str, Any]:
    """Return what the exact audit, and the made-up families, tell of folds."""
    start = time.perf_counter()
    report = audit_leakage(proteins.sequences, pairs, engine="exact", n_jobs=n_jobs)
    result: dict[str, Any] = {level: report.overall(level) for level in LEVELS}
    result |= {"crossing_pairs": len(report.extra_edges), "audit_s": time.perf_counter() - start}
    result |= {"n_audited": report.description["n_audited"]}
    if proteins.families is not None:
        family = np.array(proteins.families)
        torn = [np.isin(family[test], family[train]).sum() for train, test in pairs]
        result["same_family"] = float(sum(torn) / sum(len(test) for _, test in pairs))
    return {**result, **kept(pairs, len(proteins.sequences))}


def measure(proteins: Proteins, n_jobs: int) -> dict[str, Any]:
    """Return the figures of one set by engine."""
    runs = {}
    installed = available_engines()
    for engine in proteins.engines:
        if engine != "auto" and not installed[engine]:
            continue
        # In a new process, since a graph in this one's memory would serve the next engine's.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            try:
                found = pool.submit(split, proteins.sequences, engine, n_jobs).result()
            except InsufficientComponentsError as error:
                runs[engine] = {"refused": str(error).split(";")[0]}
                print(engine, runs[engine], flush=True)
                continue
        pairs = found.pop("pairs")
        runs[engine] = {**found, **judged(proteins, pairs, n_jobs)}
        print(engine, runs[engine], flush=True)
    lengths = [len(sequence) for sequence in proteins.sequences]
    bits = [entropy(sequence) for sequence in proteins.sequences]
    return {
        "n": len(lengths),
        "lengths": [min(lengths), max(lengths)],
        "entropies": [min(bits), max(bits)],
        "residue_pairs": sum(lengths) ** 2 / 2,
        "engines": runs,
    }


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--proteins", type=Path, required=True, help="FASTA file, perhaps gzipped")
    parser.add_argument("--enzymes", type=Path, required=True, help="CSV (sequence, target)")
    parser.add_argument("--only", nargs="+", help="names of sets")
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="tiny; figures mean nothing")
    options = parser.parse_args()
    options.n_simple, options.n_peptides = 400, 700
    options.n_short, options.n_enzymes, options.n_few = None, None, 900
    if options.quick:
        options.n_simple, options.n_peptides = 40, 70
        options.n_short, options.n_enzymes, options.n_few = 40, 60, 40
    return options


def main() -> None:
    """Measure, and keep the figures."""
    options = parse()
    sets = {}
    for name, proteins in make_sets(options).items():
        if options.only is None or name in options.only:
            print(name, flush=True)
            sets[name] = measure(proteins, options.n_jobs)
    file = RESULTS / "hard_proteins.json"
    if options.only and file.exists():
        sets = {**json.loads(file.read_text())["sets"], **sets}
    about = {"machine": machine(), "n_jobs": options.n_jobs, "n_splits": N_SPLITS}
    about |= {"data": [options.proteins.name, options.enzymes.name]}
    write_result("hard_proteins", {**about, "sets": sets}, quick=options.quick)


if __name__ == "__main__":
    main()
