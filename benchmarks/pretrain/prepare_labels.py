"""Tell which genome a corpus's training sequences may come from.

    python -m benchmarks.pretrain.prepare_labels corpus.npz $(find metastudent -name '*.pin') \\
        --distant distant.fasta --output labels.npz

Only sequences of ``--distant`` (see find_distant) get a label, so that none is had from a homolog
of the evaluation's proteins. UniProtKB numbered proteins by deposit, so that the first characters
of an accession stand for a genome (four of them) or a few (three, the default, which leaves enough
sequences in a class).
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterable
from pathlib import Path

from benchmarks.pretrain._blast_database import read_accessions, read_blast_proteins
from benchmarks.pretrain._corpus import Corpus, decode
from benchmarks.pretrain._labels import GenomeLabels, number_genomes
from benchmarks.pretrain.prepare_data import read_fasta

logger = logging.getLogger("prepare_labels")


def first_accessions(databases: Iterable[Path]) -> dict[str, str]:
    """The first, by the alphabet, of each sequence's accessions."""
    accession: dict[str, str] = {}
    for database in databases:
        names = read_accessions(database)
        for name, sequence in zip(names, read_blast_proteins(database), strict=True):
            accession[sequence] = min(name, accession.get(sequence, name))
    return accession


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("databases", type=Path, nargs="+", help=".pin files of BLAST databases")
    parser.add_argument("--distant", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="the .npz file to write")
    parser.add_argument("--smallest-genome", type=int, default=10)
    parser.add_argument("--accession-characters", type=int, default=3)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    sequences = decode(Corpus.load(args.corpus).training)
    accession, distant = first_accessions(args.databases), set(read_fasta(args.distant))
    groups = [
        accession[sequence][: args.accession_characters] if sequence in distant else None
        for sequence in sequences
    ]
    genomes = number_genomes(groups, smallest=args.smallest_genome)
    labels = GenomeLabels(
        genomes,
        {
            "n_sequences": len(sequences),
            "n_distant": sum(group is not None for group in groups),
            "n_with_genome": int((genomes >= 0).sum()),
            "n_genomes": int(genomes.max()) + 1,
        },
    )
    labels.save(args.output)
    logger.info("%s", json.dumps(labels.description))


if __name__ == "__main__":
    main()
