import gzip

import numpy as np
import pytest

from esmlearn.embedding import ESMEmbedder, embed_fasta
from esmlearn.exceptions import DataError


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


def test_contradictions_are_refused(fasta, checkpoint):
    with pytest.raises(DataError, match=r"Both embedder and \['layer'\]"):
        embed_fasta(fasta, embedder=ESMEmbedder(checkpoint), layer=1)
    with pytest.raises(DataError, match="needs an embedder that pools"):
        embed_fasta(fasta, model=checkpoint, pooling=None)
