import gzip
import subprocess
import sys

import numpy as np
import pytest

from esmlearn.embedding import ESMEmbedder, embed_fasta
from esmlearn.embedding._fasta import chunks
from esmlearn.exceptions import DataError
from tests._proteins import random_protein


@pytest.fixture
def fasta(tmp_path, proteins):
    path = tmp_path / "proteins.fasta.gz"
    with gzip.open(path, "wt") as file:
        for i, sequence in enumerate(proteins):
            file.write(f">p{i} some words\n{sequence[:60]}\n{sequence[60:]}\n")
    return path


@pytest.mark.parametrize("chunk_size", [1, 7, 4096])
def test_a_file_gives_what_a_list_gives(chunk_size, fasta, proteins, checkpoint, tmp_path):
    expected = ESMEmbedder(checkpoint).transform(proteins)
    names, vectors = embed_fasta(fasta, model=checkpoint, chunk_size=chunk_size)
    assert names == [f"p{i}" for i in range(len(proteins))]
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    output = tmp_path / "vectors.npy"
    names, mapped = embed_fasta(
        fasta, output, embedder=ESMEmbedder(checkpoint), chunk_size=chunk_size
    )
    assert isinstance(mapped, np.memmap)
    np.testing.assert_allclose(np.load(output), expected, atol=1e-5)


def test_an_error_leaves_no_output(tmp_path, checkpoint):
    path, output = tmp_path / "bad.fasta", tmp_path / "out.npy"
    path.write_text(">a\nMKV\n>b\nMK1\n")
    with pytest.raises(DataError, match="line 4"):
        embed_fasta(path, output, model=checkpoint, chunk_size=1)
    assert list(tmp_path.iterdir()) == [path]


def test_one_report_tells_of_all_chunks(tmp_path, checkpoint, proteins):
    path = tmp_path / "twice.fasta"
    both = [*proteins, *proteins[:5]]
    path.write_text("".join(f">p{i}\n{s}\n" for i, s in enumerate(both)))
    whole = ESMEmbedder(checkpoint, cache=tmp_path / "a")
    whole.transform(both)
    parts = ESMEmbedder(checkpoint, cache=tmp_path / "b")
    names, vectors = embed_fasta(path, tmp_path / "x.npy", embedder=parts, chunk_size=7)
    assert list(names) == [f"p{i}" for i in range(len(both))]
    np.testing.assert_array_equal(vectors[-5:], vectors[:5])
    read = {"n_cached"}  # what an earlier chunk computed comes from the cache
    assert {k: v for k, v in parts.report_.items() if k not in read} == {
        k: v for k, v in whole.report_.items() if k not in read
    }
    assert parts.n_computed_ == len(set(both))


def test_an_id_that_comes_twice_is_refused_before_the_work(tmp_path, checkpoint):
    path = tmp_path / "x.fasta"
    path.write_text(">a\nMKV\n>b\nMST\n>a\nMAL\n")
    embedder = ESMEmbedder(checkpoint, cache=tmp_path / "cache")
    with pytest.raises(DataError, match="line 5: the id 'a' was already used in line 1"):
        embed_fasta(path, tmp_path / "x.npy", embedder=embedder)
    assert not (tmp_path / "x.npy").exists()
    assert not hasattr(embedder, "report_")


def test_chunks_are_bounded_in_number_and_in_residues():
    proteins = [(str(i), "M" * n) for i, n in enumerate([5, 5, 100, 1, 1, 1, 4])]
    parts = list(chunks(proteins, 3, max_residues=10))
    assert [[len(s) for s in sequences] for _, sequences in parts] == [
        [5, 5],
        [100],
        [1, 1, 1],
        [4],
    ]
    assert [name for names, _ in parts for name in names] == [str(i) for i in range(7)]


_PEAK = """
import resource, sys
from esmlearn.embedding import embed_fasta
embed_fasta(sys.argv[1], sys.argv[2], model=sys.argv[3], chunk_size=128, cache=None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is asked of the system")
def test_memory_does_not_grow_with_the_file(tmp_path, checkpoint):
    rng = np.random.default_rng(0)
    peaks = []
    for number in (2_000, 40_000):
        path, output = tmp_path / f"{number}.fasta", tmp_path / f"{number}.npy"
        with path.open("w") as file:
            file.writelines(f">p{i}\n{random_protein(30, rng)}\n" for i in range(number))
        command = [sys.executable, "-c", _PEAK, str(path), str(output), str(checkpoint)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    assert np.load(output, mmap_mode="r").shape == (40_000, 32)
    assert peaks[1] < 1.05 * peaks[0]


def test_contradictions_are_refused(fasta, checkpoint):
    with pytest.raises(DataError, match=r"Both embedder and \['layer'\]"):
        embed_fasta(fasta, embedder=ESMEmbedder(checkpoint), layer=1)
    with pytest.raises(DataError, match="needs an embedder that pools"):
        embed_fasta(fasta, model=checkpoint, pooling=None)
