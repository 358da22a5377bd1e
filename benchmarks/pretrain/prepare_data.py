"""Turn public Swiss-Prot sequences into a training corpus without the held-out families.

    apt-get download metastudent-data                 # Debian package, 225 MB
    dpkg -x metastudent-data_*.deb metastudent
    python -m benchmarks.pretrain.prepare_data $(find metastudent -name '*.pin') --output corpus.npz

FASTA files (plain or gzipped) are read too. The sequences are those of UniProtKB/Swiss-Prot
(CC BY 4.0). Needs the ``mmseqs`` program.

Held-out families: one member each of randomly chosen 30 % clusters (linclust). Every sequence that
a sensitive MMseqs2 search aligns with one of them at E <= 1e-3 over at least half of either of the
two is left out of the training part, whatever the identity: families are left out whole, and only
sequences that share no more than a smaller domain with a held-out one are trained on.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.pretrain._blast_database import read_blast_proteins
from benchmarks.pretrain._corpus import Corpus, encode

logger = logging.getLogger("prepare_data")


def read_fasta(path: str | Path) -> Iterator[str]:
    """Yield the sequences of a FASTA file, gzipped or not."""
    opener = gzip.open if str(path).endswith(".gz") else open
    lines: list[str] = []
    with opener(path, "rt") as file:
        for line in file:
            if line.startswith(">"):
                if lines:
                    yield "".join(lines)
                lines = []
            else:
                lines.append(line.strip())
    if lines:
        yield "".join(lines)


def distinct_sequences(
    paths: Iterable[str | Path], *, shortest: int = 30, longest: int = 1022
) -> list[str]:
    """Sorted distinct sequences of all files, so that the result does not depend on their order."""
    found: set[str] = set()
    for path in paths:
        read = read_blast_proteins if str(path).endswith(".pin") else read_fasta
        found.update(s for s in read(path) if shortest <= len(s) <= longest)
        logger.info("%s: %d distinct sequences so far", path, len(found))
    return sorted(found)


def write_fasta(path: Path, sequences: list[str], rows: Iterable[int]) -> None:
    """Write the chosen rows, named by their row number."""
    path.write_text("".join(f">{row}\n{sequences[row]}\n" for row in rows))


def _run(*command: str | Path) -> None:
    logger.info("%s", " ".join(map(str, command)))
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def cluster_representatives(fasta: Path, folder: Path, threads: int) -> np.ndarray:
    """Rows that represent their 30 % cluster."""
    options = ["--min-seq-id", "0.3", "-c", "0.5", "--cov-mode", "1", "--threads", str(threads)]
    _run("mmseqs", "easy-linclust", fasta, folder / "clusters", folder / "tmp", *options)
    table = (folder / "clusters_cluster.tsv").read_text().split("\n")
    return np.unique([int(line.split("\t")[0]) for line in table if line])


def homologs(queries: Path, targets: Path, folder: Path, threads: int) -> np.ndarray:
    """Rows of ``targets`` aligned with a query at E <= 1e-3 over half of either."""
    options = ["-s", "5.7", "-e", "1e-3", "--max-seqs", "20000", "--threads", str(threads)]
    options += ["--format-output", "target,qcov,tcov"]
    _run("mmseqs", "easy-search", queries, targets, folder / "hits", folder / "tmp", *options)
    hits = np.loadtxt(folder / "hits", ndmin=2)
    return np.unique(hits[hits[:, 1:].max(axis=1) >= 0.5, 0].astype(np.int64))


def hold_out_families(
    sequences: list[str], *, n_families: int, seed: int, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return held-out rows (one per family) and the rows to train on."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        everything, queries = folder / "all.fasta", folder / "held_out.fasta"
        write_fasta(everything, sequences, range(len(sequences)))
        representatives = cluster_representatives(everything, folder, threads)
        held_out = np.sort(rng.choice(representatives, size=n_families, replace=False))
        write_fasta(queries, sequences, held_out)
        excluded = homologs(queries, everything, folder, threads)
    excluded = np.union1d(excluded, held_out)
    return held_out, np.setdiff1d(np.arange(len(sequences)), excluded)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="+", help=".pin files of BLAST databases, or FASTA files")
    parser.add_argument("--output", type=Path, required=True, help="the .npz file to write")
    parser.add_argument("--n-families", type=int, default=500, help="default: 500")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    sequences = distinct_sequences(args.sources)
    held_out, training = hold_out_families(
        sequences, n_families=args.n_families, seed=args.seed, threads=args.threads
    )
    description = {
        "sources": [Path(source).name for source in args.sources],
        "n_distinct": len(sequences),
        "n_held_out": len(held_out),
        "n_excluded_homologs": len(sequences) - len(held_out) - len(training),
        "n_training": len(training),
        "seed": args.seed,
    }
    Corpus(
        training=encode(sequences[row] for row in training),
        held_out=encode(sequences[row] for row in held_out),
        description=description,
    ).save(args.output)
    logger.info("%s", json.dumps(description))


if __name__ == "__main__":
    main()
