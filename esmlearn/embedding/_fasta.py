"""Files of any size: sequences in, one array of vectors out."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from esmlearn.embedding._embedder import ESMEmbedder
from esmlearn.exceptions import DataError
from esmlearn.io import iter_fasta
from esmlearn.io._survey import Survey, survey_fasta
from esmlearn.io._vectors import IdFile, VectorWriter, ids_path, open_vectors
from esmlearn.utils._sequences import strip_stop

Chunk = tuple[list[str], list[str]]  # ids, sequences
MAX_RESIDUES = 1 << 22  # of a chunk, however many sequences it may have


def read_records(path: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """Yield id and sequence of each record, without a stop (``*``) at the end."""
    return ((record.id, strip_stop(record.sequence)) for record in iter_fasta(path))


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
        Distinct sequences in all chunks together; a chunk counts only its own. None where there is
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
        report |= {"n_distinct": n_distinct, "n_duplicates": report["n_sequences"] - n_distinct}
    embedder.report_ = report
    embedder.n_computed_ = report["n_computed"]


def embed_fasta(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    embedder: ESMEmbedder | None = None,
    chunk_size: int = 4096,
    **parameters: Any,
) -> tuple[Sequence[str], np.ndarray]:
    r"""Embed the sequences of a FASTA file.

    With `output` neither sequences nor vectors need fit into memory: it does not grow with their
    number. The file is read twice; the first time all of it is checked, before any of it is
    computed. A stop (``*``) at the end of a sequence, as gene predictors write it, is removed.

    Parameters
    ----------
    path : path-like
        FASTA, plain or compressed with gzip or zstd (extra ``zstd``).
    output : path-like, default=None
        A ``.npy`` file to write, with the ids in a table ``.ids.csv`` beside it. Both appear under
        their names when they are complete; after a kill, the cache holds what was computed.
    embedder : ESMEmbedder, default=None
        How to embed; None makes one of `parameters`. Its ``report_`` and ``n_computed_`` then tell
        of the whole file.
    chunk_size : int, default=4096
        Most sequences read at once. Each chunk is sorted by length on its own.
    **parameters
        Parameters of ESMEmbedder, where no `embedder` is given.

    Returns
    -------
    names : sequence of str
        First word of each header, in the order of the file: a list, or with `output` a sequence
        that reads them from the table.
    vectors : ndarray of float32 of shape (n_sequences, width)
        One row per sequence; a numpy.memmap of `output` where that is given.

    Raises
    ------
    DataError
        If the file is no FASTA file, holds a bad sequence, one of gaps alone or an id twice (named
        by its line), or the embedder does not pool.

    Warns
    -----
    UserWarning
        If a sequence holds a stop before its end, or looks like DNA or RNA among proteins.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from esmlearn.embedding import embed_fasta, write_untrained_checkpoint
    >>> with TemporaryDirectory() as folder:
    ...     model = write_untrained_checkpoint(folder, n_layers=1, width=16, n_heads=2)
    ...     fasta = Path(folder) / "two.fasta"
    ...     _ = fasta.write_text(">a first\nMKTAYIAKQR\n>b\nGSHM\n")
    ...     names, vectors = embed_fasta(fasta, model=model, cache=None)
    >>> names, vectors.shape
    (['a', 'b'], (2, 16))
    """
    if embedder is None:
        embedder = ESMEmbedder(**parameters)
    elif parameters:
        raise DataError(f"Both embedder and {sorted(parameters)} are given; expected one of them.")
    if embedder.pooling is None:
        raise DataError("embed_fasta needs an embedder that pools; got pooling=None.")
    if chunk_size < 1:
        raise DataError(f"chunk_size is {chunk_size}; expected at least 1.")
    features = [str(name) for name in embedder.get_feature_names_out()]
    survey = survey_fasta(path)
    if output is None:
        memory = _Memory(survey.n_records, len(features))
        _embed(Path(path), embedder, chunk_size, survey, memory)
        return memory.ids, memory.vectors
    target = Path(output)
    with open_vectors(target, n_rows=survey.n_records, features=features, kind=".npy") as writer:
        _embed(Path(path), embedder, chunk_size, survey, writer)
    return IdFile(ids_path(target), survey.n_records), np.load(target, mmap_mode="r")


def _embed(
    path: Path, embedder: ESMEmbedder, chunk_size: int, survey: Survey, writer: VectorWriter
) -> None:
    embed_chunks(
        embedder, chunks(read_records(path), chunk_size), writer, n_distinct=survey.n_distinct
    )


class _Memory:
    """Takes vectors into one array."""

    def __init__(self, n_rows: int, width: int) -> None:
        self.ids: list[str] = []
        self.vectors = np.empty((n_rows, width), dtype=np.float32)

    def write(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        self.vectors[len(self.ids) : len(self.ids) + len(ids)] = vectors
        self.ids += ids
