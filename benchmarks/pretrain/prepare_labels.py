"""Label a corpus's training sequences with GO terms and genomes.

    python -m benchmarks.pretrain.prepare_labels corpus.npz --metastudent metastudent \\
        --distant distant.fasta --output labels.npz

``--metastudent`` is the folder that ``dpkg -x metastudent-data_*.deb metastudent`` made. Only
sequences of ``--distant`` (see find_distant) get a label, so that none is had from a homolog of the
evaluation's proteins.

*GO terms*: molecular function and biological process, with every term they imply (is_a). Cellular
components are never read: they are what scl2205's labels say. *Genomes*: UniProtKB numbered
proteins by deposit, so that the first characters of an accession stand for a genome (four of them)
or a few (three, the default, which leaves enough sequences in a class).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.pretrain._blast_database import read_accessions, read_blast_proteins
from benchmarks.pretrain._corpus import Corpus, decode
from benchmarks.pretrain._labels import label_sequences
from benchmarks.pretrain.prepare_data import read_fasta

logger = logging.getLogger("prepare_labels")

ONTOLOGIES = ("MFO", "BPO")  # never CCO


def read_annotations(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield accession and GO terms of each line."""
    with open(path) as file:
        for line in file:
            accession, *terms = line.split()
            yield accession, terms


def read_closure(path: Path) -> dict[str, list[str]]:
    """Every term that a term implies by is_a."""
    implied = defaultdict(list)
    with open(path) as file:
        for line in file:
            term, relation, other, _ = line.split("\t")
            if relation == "OBO_REL:is_a":
                implied[term].append(other)
    return implied


def read_metastudent(folder: Path) -> tuple[dict[str, set[str]], dict[str, str]]:
    """GO terms of each sequence, and the first of its accessions."""
    implied = read_closure(folder / "fullTransitiveClosureGO.txt")
    terms: dict[str, set[str]] = defaultdict(set)
    accession: dict[str, str] = {}
    for database in sorted(folder.glob("*/goasp.fasta.pin")):
        named: dict[str, list[str]] = {}
        if database.parent.name in ONTOLOGIES:
            named = dict(read_annotations(database.parent / "goasp_annot.dat"))
        names = read_accessions(database)
        for name, sequence in zip(names, read_blast_proteins(database), strict=True):
            accession[sequence] = min(name, accession.get(sequence, name))
            for term in named.get(name, ()):
                terms[sequence].update((term, *implied[term]))
    return terms, accession


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--metastudent", type=Path, required=True)
    parser.add_argument("--distant", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="the .npz file to write")
    parser.add_argument("--rarest-term", type=int, default=30)
    parser.add_argument("--smallest-genome", type=int, default=10)
    parser.add_argument("--accession-characters", type=int, default=3)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    sequences = decode(Corpus.load(args.corpus).training)
    (closure,) = args.metastudent.rglob("fullTransitiveClosureGO.txt")
    terms, accession = read_metastudent(closure.parent)
    distant = set(read_fasta(args.distant))
    annotations: list[Iterable[str]] = [()] * len(sequences)
    genomes: list[str | None] = [None] * len(sequences)
    for row, sequence in enumerate(sequences):
        if sequence in distant:
            annotations[row] = terms.get(sequence, ())
            genomes[row] = accession[sequence][: args.accession_characters]
    labels = label_sequences(
        annotations,
        genomes,
        rarest_term=args.rarest_term,
        smallest_group=args.smallest_genome,
    )
    description = {
        "n_sequences": len(sequences),
        "n_distant": sum(sequence in distant for sequence in sequences),
        "n_annotated": int(np.count_nonzero(np.diff(labels.offsets))),
        "n_terms": labels.n_terms,
        "n_with_genome": int((labels.genomes >= 0).sum()),
        "n_genomes": labels.n_genomes,
    }
    dataclasses.replace(labels, description=description).save(args.output)
    logger.info("%s", json.dumps(description))


if __name__ == "__main__":
    main()
