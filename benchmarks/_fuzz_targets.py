"""What fuzz.py feeds with damaged and made-up files, and what may come of it.

A target takes bytes and a folder. It may return, or raise one of esmlearn's own errors; anything
else that it raises is a defect, and so is a vector that is not the one that was stored.
"""

import gzip
import io
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from esmlearn.clustering._engines.cdhit import read_clstr
from esmlearn.clustering._engines.mmseqs import read_cluster_pairs
from esmlearn.clustering._engines.programs import read_table as read_hits
from esmlearn.embedding import EmbeddingCache
from esmlearn.exceptions import EsmlearnError
from esmlearn.io import read_fasta, read_proteins
from esmlearn.io._survey import survey_fasta
from esmlearn.utils._sequences import sequence_digest

N, WIDTH = 40, 16
DIGESTS = [sequence_digest("A" * (i + 1)) for i in range(N)]
VECTORS = np.random.default_rng(0).normal(size=(N, WIDTH)).astype(np.float32)


@dataclass(frozen=True)
class Target:
    """A reader under fire.

    Attributes
    ----------
    run : callable
        Takes bytes and a folder.
    seed : callable
        Returns a good file, which is damaged.
    words : tuple of bytes
        What files of this kind are made of.
    weight : float
        Share of inputs, relative to others; less where each takes long.
    """

    run: Callable[[bytes, Path], None]
    seed: Callable[[], bytes]
    words: tuple[bytes, ...]
    weight: float = 1.0


# Files -------------------------------------------------------------------------------------------


def damaged(target: Target) -> st.SearchStrategy[list[bytes]]:
    """Return files: a good one after one damage, two, and so on; words in any order; any bytes."""
    seed = target.seed()
    piece = st.one_of(st.sampled_from(target.words), st.binary(min_size=1, max_size=8))
    how = st.sampled_from(["over", "over", "insert", "cut"])
    edit = st.tuples(st.integers(0, len(seed)), how, piece)
    return st.one_of(
        st.lists(edit, min_size=1, max_size=6).map(lambda edits: _one_by_one(seed, edits)),
        st.lists(st.integers(0, len(seed)), min_size=1, max_size=4, unique=True).map(
            lambda ends: [seed[:end] for end in ends]
        ),
        st.lists(piece, max_size=30).map(lambda pieces: [b"".join(pieces), b"".join(pieces[1:])]),
        st.binary(max_size=200).map(lambda data: [data]),
    )


def _one_by_one(data: bytes, edits: list[tuple[int, str, bytes]]) -> list[bytes]:
    """Write over, insert, or cut out pieces; return the file after each."""
    files = []
    for start, how, piece in edits:
        stop = start if how == "insert" else start + len(piece)
        data = data[:start] + (b"" if how == "cut" else piece) + data[stop:]
        files.append(data)
    return files


def _write(data: bytes, folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


# Proteins ----------------------------------------------------------------------------------------


def fasta(data: bytes, folder: Path) -> None:
    """Read FASTA whole, and survey it as streaming does."""
    path = _write(data, folder, "x.fasta")
    try:
        table = read_fasta(path, max_length=500)
    except EsmlearnError:
        survey_fasta(path, max_length=500)  # refuses it, too
        raise AssertionError("survey_fasta takes what read_fasta refuses") from None
    assert table["id"].is_unique
    assert table["sequence"].str.len().min() > 0


def _fasta_seed() -> bytes:
    return b"".join(b">P%d about %d\nMKVLA\nTTGGX-*\n\n" % (i, i) for i in range(8))


def table_of(suffix: str) -> Callable[[bytes, Path], None]:
    """Return a target that reads a table of proteins with a target column."""

    def table(data: bytes, folder: Path) -> None:
        proteins = read_proteins(_write(data, folder, f"x{suffix}"), target="tm")
        assert len(proteins.sequences) == len(proteins.ids) == len(proteins.y) > 0

    return table


def _rows(separator: bytes) -> bytes:
    rows = [b"id,sequence,tm,name"] + [b'P%d,MKVLA,%d.5,"a, ""b"""' % (i, i) for i in range(8)]
    return b"\n".join(rows).replace(b",", separator) + b"\n"


@cache
def _parquet() -> bytes:
    frame = pd.DataFrame({"id": ["a", "b"], "sequence": ["MKV", "MKL"], "tm": [1.0, 2.0]})
    packed = io.BytesIO()
    frame.to_parquet(packed, index=False)
    return packed.getvalue()


def _zstd() -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(_fasta_seed())


# Programs' output --------------------------------------------------------------------------------


def clstr(data: bytes, folder: Path) -> None:
    """Read what CD-HIT writes."""
    found = read_clstr(_write(data, folder, "x.clstr"), 6)
    assert ((found >= 0) & (found < 6)).all()


_CLSTR = (
    b">Cluster 0\n0\t120aa, >0... *\n1\t118aa, >3... at 97.46%\n2\t60aa, >5... at 99.00%\n"
    b">Cluster 1\n0\t99aa, >1... *\n>Cluster 2\n0\t98aa, >2... at 91.00%\n1\t99aa, >4... *\n"
)


def pairs(data: bytes, folder: Path) -> None:
    """Read the clusters that MMseqs2 writes."""
    found = read_cluster_pairs(_write(data, folder, "x.tsv"), 6)
    assert ((found >= 0) & (found < 6)).all()


def hits(data: bytes, folder: Path) -> None:
    """Read hits in BLAST's tabular format."""
    table = read_hits(_write(data, folder, "x.m8"), COLUMNS, writer="search")
    assert len({len(column) for column in table.values()}) == 1


COLUMNS = ("query", "target", "score", "matches", "columns", "query_start", "query_end")
_NUMBERS = (b"\t", b"\n", b"0", b"-1", b"99999999999999999999", b"1.5", b"nan", b"1e3", b'"', b" ")


# The cache ---------------------------------------------------------------------------------------


@cache
def _cache() -> tuple[bytes, bytes]:
    """Return index and vectors of a good cache."""
    with tempfile.TemporaryDirectory() as folder:
        with EmbeddingCache(folder) as made:
            for start in range(0, N, 8):
                rows = slice(start, start + 8)
                made.put("space", DIGESTS[rows], VECTORS[rows], description={"name": "x"})
            made._index.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (vectors,) = Path(folder).glob("*.f32")
        return (Path(folder) / "index.sqlite").read_bytes(), vectors.read_bytes()


@cache
def _file_name() -> str:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "index.sqlite").write_bytes(_cache()[0])
        with EmbeddingCache(folder) as made:
            space = made._index.namespace("space")
    assert space is not None
    return space.file


def index(data: bytes, folder: Path) -> None:
    """Use a cache whose index is damaged."""
    _use_cache(data, _cache()[1], folder)


def vectors(data: bytes, folder: Path) -> None:
    """Use a cache whose vectors are damaged."""
    _use_cache(_cache()[0], data, folder)


def _use_cache(index_bytes: bytes, vector_bytes: bytes, folder: Path) -> None:
    target = folder / "cache"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    (target / "index.sqlite").write_bytes(index_bytes)
    (target / _file_name()).write_bytes(vector_bytes)
    with warnings.catch_warnings(), EmbeddingCache(target) as opened:
        warnings.simplefilter("ignore")
        try:
            _read(opened)
            opened.stats()
            lost = np.flatnonzero(~opened.contains("space", DIGESTS))
            if len(lost):
                opened.put("space", [DIGESTS[i] for i in lost], VECTORS[lost])
            _read(opened)
            opened.verify()
            opened.prune(4 * WIDTH * N // 2)
        finally:
            opened.close()


def _read(opened: EmbeddingCache) -> None:
    found, read = opened.get("space", DIGESTS, width=WIDTH)
    assert (read[found] == VECTORS[found]).all(), "a wrong vector was given out"


_SQL = (b"CREATE TABLE", b"vector", b"namespace", b"\x00" * 8, b"\xff" * 8, b"SQLite format 3\x00")
_PROTEIN = (
    b">",
    b">P1\n",
    b"\n",
    b"\r\n",
    b"MKV",
    b"-*.",
    b"\xc3\x9f",
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b";",
)
_CELLS = (
    b",",
    b"\t",
    b'"',
    b"\n",
    b"\r",
    b"id",
    b"sequence",
    b"tm",
    b"MKV",
    b"nan",
    b"1e999",
    b"0",
)

TARGETS = {
    "fasta": Target(fasta, _fasta_seed, _PROTEIN),
    "fasta.gz": Target(fasta, lambda: gzip.compress(_fasta_seed(), mtime=0), (b"\x1f\x8b\x08",)),
    "fasta.zst": Target(fasta, _zstd, (b"\x28\xb5\x2f\xfd",)),
    "csv": Target(table_of(".csv"), lambda: _rows(b","), _CELLS),
    "tsv": Target(table_of(".tsv"), lambda: _rows(b"\t"), _CELLS),
    "parquet": Target(table_of(".parquet"), _parquet, (b"PAR1", b"\x00" * 8), 0.5),
    "clstr": Target(
        clstr, lambda: _CLSTR, (b">Cluster 0\n", b"\t", b", >", b"... *", b"0aa", b"\n")
    ),
    "clusters.tsv": Target(pairs, lambda: b"0\t0\n0\t1\n2\t2\n2\t3\n4\t4\n4\t5\n", _NUMBERS),
    "hits.m8": Target(hits, lambda: b"0\t1\t55\t20\t30\t1\t30\n" * 5, _NUMBERS),
    "cache index": Target(index, lambda: _cache()[0], _SQL, 0.5),
    "cache vectors": Target(vectors, lambda: _cache()[1], (b"\x00" * 4, b"\xff" * 4), 0.3),
}
