"""Proteins in and out: FASTA, CSV, TSV and parquet, checked on the way in."""

from esmlearn.io._fasta import FastaRecord, iter_fasta, read_fasta, write_fasta
from esmlearn.io._proteins import Proteins, is_fasta, read_proteins
from esmlearn.io._tables import read_table, write_table
from esmlearn.io._targets import check_target

__all__ = [
    "FastaRecord",
    "Proteins",
    "check_target",
    "is_fasta",
    "iter_fasta",
    "read_fasta",
    "read_proteins",
    "read_table",
    "write_fasta",
    "write_table",
]
