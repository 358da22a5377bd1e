import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks.pretrain import prepare_labels
from benchmarks.pretrain._labels import UNKNOWN, GenomeLabels, number_genomes
from benchmarks.pretrain._model import GenomeHead

GENOMES = ["A5IL", None, "A5IL", "Q5SH", "A5IL"]


@pytest.fixture
def labels():
    return GenomeLabels(number_genomes(GENOMES, smallest=2), {"n": 5})


def test_small_genomes_are_left_out(labels):
    assert labels.genomes.tolist() == [0, UNKNOWN, 0, UNKNOWN, 0]
    assert labels.n_genomes == 1
    assert labels.labelled.tolist() == [0, 2, 4]


def test_labels_survive_the_disk(tmp_path, labels):
    labels.save(tmp_path / "labels.npz")
    loaded = GenomeLabels.load(tmp_path / "labels.npz")
    assert loaded.description == {"n": 5}
    np.testing.assert_array_equal(loaded.genomes, labels.genomes)


def test_rows_without_a_genome_count_in_no_loss():
    head = GenomeHead(8, 3).eval()
    pooled = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    genomes = torch.tensor([0, UNKNOWN, 2, UNKNOWN, 1])
    known = [0, 2, 4]
    scores = head.genomes(head.standardise(pooled[known]))
    expected = functional.cross_entropy(scores, genomes[known])
    torch.testing.assert_close(head.loss(pooled, genomes), expected)
    assert head.loss(pooled[[1, 3]], genomes[[1, 3]]) == 0


def test_a_sequence_of_several_databases_has_the_first_of_its_accessions(tmp_path, monkeypatch):
    for name in ("MFO", "BPO"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "goasp.fasta.pin").touch()
    named = {"MFO": ["Q1", "P9"], "BPO": ["O2", "P9"]}
    monkeypatch.setattr(prepare_labels, "read_accessions", lambda path: named[path.parent.name])
    monkeypatch.setattr(prepare_labels, "read_blast_proteins", lambda _: iter(["MKV", "MAA"]))
    databases = [tmp_path / name / "goasp.fasta.pin" for name in named]
    assert prepare_labels.first_accessions(databases) == {"MKV": "O2", "MAA": "P9"}
