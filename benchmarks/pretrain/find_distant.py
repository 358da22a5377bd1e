"""Find sequences that have no homolog in the data sets of the evaluation.

    python -m benchmarks.pretrain.find_distant $(find metastudent -name '*.pin') \\
        --apart topt.csv.gz meltome.csv.gz scl2205.csv.gz --share 0.4 --output distant.fasta

A homolog is what DIAMOND (--sensitive) aligns at E <= 1e-3 with 25 % identity over 40 % of the
shorter sequence: a margin below the 30 % and 50 % by which the evaluation's folds are separated.
``--share`` of the sequences are searched with, chosen by their checksum.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.pretrain.prepare_data import distinct_sequences, write_fasta

logger = logging.getLogger("find_distant")

IDENTITY, COVERAGE = 25, 0.4


def with_homologs(
    sequences: list[str],
    rows: np.ndarray,
    tables: Iterable[Path],
    *,
    sensitivity: str,
    threads: int,
) -> np.ndarray:
    """Those of the rows of ``sequences`` that have a homolog in one of the tables."""
    apart = sorted({s for path in tables for s in pd.read_csv(path)["sequence"]})
    with tempfile.TemporaryDirectory() as name:
        queries, targets, hits = (Path(name) / part for part in ("queries", "targets", "hits"))
        queries.write_text("".join(f">{i}\n{sequences[i]}\n" for i in rows))
        targets.write_text("".join(f">{i}\n{s}\n" for i, s in enumerate(apart)))
        command = ["diamond", "blastp", sensitivity, "-q", queries, "-d", targets, "-o", hits]
        command += ["-k", "25", "-e", "1e-3", "--id", IDENTITY, "--masking", "0", "-p", threads]
        command += ["--outfmt", "6", "qseqid", "length", "qlen", "slen"]
        subprocess.run([str(part) for part in command], check=True, stderr=subprocess.DEVNULL)
        found = np.array(hits.read_text().split(), dtype=np.int64).reshape(-1, 4)
    return np.unique(found[found[:, 1] >= COVERAGE * found[:, 2:].min(axis=1), 0])


def without_homologs(
    sequences: list[str], rows: np.ndarray, tables: list[Path], threads: int
) -> np.ndarray:
    """Those of the rows without a homolog; a fast search spares the sensitive one most of them."""
    for sensitivity in ("--fast", "--sensitive"):
        near = with_homologs(sequences, rows, tables, sensitivity=sensitivity, threads=threads)
        logger.info("%s: %d of %d have a homolog", sensitivity, len(near), len(rows))
        rows = np.setdiff1d(rows, near)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="+", help=".pin files of BLAST databases, or FASTA files")
    parser.add_argument("--apart", type=Path, nargs="+", required=True, help="CSV files")
    parser.add_argument("--share", type=float, default=1.0, help="default: 1, all")
    parser.add_argument("--output", type=Path, required=True, help="the FASTA file to write")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    sequences = distinct_sequences(args.sources)
    chosen = [zlib.crc32(s.encode("ascii")) < args.share * 2**32 for s in sequences]
    rows = without_homologs(sequences, np.flatnonzero(chosen), args.apart, args.threads)
    write_fasta(args.output, sequences, rows)


if __name__ == "__main__":
    main()
