"""Read proteins out of a BLAST database of version 4 (``.pin``, ``.psq`` and ``.phr`` files)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

# Residue code of the .psq file -> letter (NCBIstdaa).
LETTERS = np.frombuffer(b"-ABCDEFGHIKLMNPQRSTVWXYZU*OJ", dtype=np.uint8)


def _sequence_offsets(index: Path) -> np.ndarray:
    """Offsets of the sequences in the ``.psq`` file: the last array of the ``.pin`` file."""
    raw = index.read_bytes()
    version, kind, title_length = struct.unpack_from(">iii", raw)
    if (version, kind) != (4, 1):
        raise ValueError(
            f"{index}: got format version {version} and type {kind}; "
            "expected 4 and 1, a protein database of version 4."
        )
    position = 12 + title_length
    (date_length,) = struct.unpack_from(">i", raw, position)
    position += 4 + date_length
    (n_sequences,) = struct.unpack_from(">i", raw, position)
    position += 4 + 8 + 4  # the counts of sequences, of residues, and of the longest sequence
    header_table = 4 * (n_sequences + 1)
    return np.frombuffer(raw, dtype=">i4", count=n_sequences + 1, offset=position + header_table)


def read_blast_proteins(database: str | Path) -> Iterator[str]:
    """Yield the sequences of a protein database given as the path of its ``.pin`` file."""
    index = Path(database)
    offsets = _sequence_offsets(index)
    codes = np.frombuffer(index.with_suffix(".psq").read_bytes(), dtype=np.uint8)
    letters = LETTERS[codes].tobytes().decode("ascii")
    for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        yield letters[start : stop - 1]  # a NUL byte ends each sequence


# A title in the .phr file: ASN.1's tags, then a length of one to three bytes, then the text.
_TITLE = re.compile(rb"0\x80\xa0\x80\x1a(?:[\x00-\x7f]|\x81.|\x82..)([A-Z0-9]+)\|", re.DOTALL)


def read_accessions(database: str | Path) -> list[str]:
    """Names of the sequences: what stands before the first bar of their titles."""
    titles = Path(database).with_suffix(".phr").read_bytes()
    return [name.decode("ascii") for name in _TITLE.findall(titles)]
