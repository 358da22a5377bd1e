"""Files of any size: sequences in, one array of vectors out."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from esmlearn.embedding._embedder import ESMEmbedder
from esmlearn.exceptions import DataError
from esmlearn.io import iter_fasta
from esmlearn.utils._paths import atomic_write


def embed_fasta(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    embedder: ESMEmbedder | None = None,
    chunk_size: int = 4096,
    **parameters: Any,
) -> tuple[list[str], np.ndarray]:
    r"""Embed the sequences of a FASTA file, in bounded memory.

    Parameters
    ----------
    path : path-like
        Plain or gzipped FASTA.
    output : path-like, default=None
        A ``.npy`` file to write. The result is then mapped from it and need not fit into memory; it
        appears under its name when it is complete.
    embedder : ESMEmbedder, default=None
        How to embed; None makes one of `parameters`.
    chunk_size : int, default=4096
        Sequences read at once. Each chunk is sorted by length on its own.
    **parameters
        Parameters of ESMEmbedder, where no `embedder` is given.

    Returns
    -------
    names : list of str
        First word of each header, in the order of the file.
    vectors : ndarray of float32 of shape (n_sequences, width)
        One row per sequence.

    Raises
    ------
    DataError
        If the file is no FASTA file or holds a bad sequence (named by its line), or the embedder
        does not pool.

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
    width = embedder.get_feature_names_out().size
    names: list[str] = []
    if output is None:
        parts = list(_embed_chunks(Path(path), embedder, chunk_size, names))
        return names, np.concatenate(parts)
    with atomic_write(Path(output)) as temporary, open(temporary, "wb") as file:
        _write_header(file, 0, width)
        for part in _embed_chunks(Path(path), embedder, chunk_size, names):
            file.write(memoryview(np.ascontiguousarray(part)).cast("B"))
        _write_header(file, len(names), width)
    return names, np.load(output, mmap_mode="r")


def _write_header(file: Any, rows: int, width: int) -> None:
    """Write the header of a .npy file, of one length whatever the number of rows."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}"
    file.seek(0)
    file.write(b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little"))
    file.write(text.ljust(117).encode("ascii") + b"\n")


def _embed_chunks(
    path: Path, embedder: ESMEmbedder, chunk_size: int, names: list[str]
) -> Iterator[np.ndarray]:
    """Yield the vectors of one chunk after the other; `names` grows along."""
    records = iter_fasta(path)
    while chunk := list(islice(records, chunk_size)):
        names += [record.id for record in chunk]
        yield embedder.transform([record.sequence for record in chunk])
