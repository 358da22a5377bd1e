"""Proteins in, vectors in a file: chunk after chunk, with one report of all."""

from collections.abc import Iterable, Iterator
from typing import Any

from esmlearn.embedding._embedder import ESMEmbedder
from esmlearn.embedding._known import known_sequences
from esmlearn.io._vectors import VectorWriter

Chunk = tuple[list[str], list[str]]  # ids, sequences
MAX_RESIDUES = 1 << 22  # of a chunk, however many sequences it may have


def chunks(
    proteins: Iterable[tuple[str, str]], size: int, max_residues: int = MAX_RESIDUES
) -> Iterator[Chunk]:
    """Yield proteins together, bounded in number and in residues."""
    ids: list[str] = []
    sequences: list[str] = []
    residues = 0
    for name, sequence in proteins:
        if ids and (len(ids) == size or residues + len(sequence) > max_residues):
            yield ids, sequences
            ids, sequences, residues = [], [], 0
        ids.append(name)
        sequences.append(sequence)
        residues += len(sequence)
    if ids:
        yield ids, sequences


def embed_chunks(
    embedder: ESMEmbedder,
    parts: Iterable[Chunk],
    writer: VectorWriter,
    *,
    n_distinct: int | None = None,
) -> None:
    """Embed chunks into a file, and let the embedder's report tell of all of them.

    Parameters
    ----------
    embedder : ESMEmbedder
        Its ``report_`` and ``n_computed_`` become those of the whole.
    parts : iterable of (list of str, list of str)
        Ids and sequences.
    writer : VectorWriter
        Takes ids and vectors.
    n_distinct : int, default=None
        Distinct sequences in all chunks together; a chunk knows only its own. None where there is
        one chunk.
    """
    report: dict[str, Any] = {}
    for ids, sequences in parts:
        writer.write(ids, embedder.transform(sequences))
        for name, value in embedder.report_.items():
            # numbers are counts, the rest says how it was done and is the same each time
            before = report.get(name, 0)
            counted = isinstance(value, int) and isinstance(before, int)
            report[name] = before + value if counted else value
        if n_distinct is not None:
            known_sequences.forget()  # a file's chunks do not come again, and would pile up
    if n_distinct is not None:
        report |= {"n_distinct": n_distinct, "n_duplicates": report["n_sequences"] - n_distinct}
    embedder.report_ = report
    embedder.n_computed_ = report["n_computed"]
