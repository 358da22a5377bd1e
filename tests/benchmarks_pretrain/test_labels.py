import dataclasses

import numpy as np
import pytest
import torch

from benchmarks.pretrain import prepare_labels
from benchmarks.pretrain._labels import UNKNOWN, SequenceLabels, label_sequences
from benchmarks.pretrain._model import SequenceHeads

TERMS = [{"GO:1", "GO:2"}, (), {"GO:1"}, {"GO:1", "GO:3"}, {"GO:3"}]
GENOMES = ["A5IL", None, "A5IL", "Q5SH", "A5IL"]


@pytest.fixture
def labels():
    return label_sequences(TERMS, GENOMES, rarest_term=2, smallest_group=2)


def test_rare_terms_and_small_genomes_are_left_out(labels):
    assert labels.term_names == ["GO:1", "GO:3"]
    assert labels.genomes.tolist() == [0, UNKNOWN, 0, UNKNOWN, 0]
    assert labels.n_genomes == 1
    assert labels.labelled.tolist() == [0, 2, 3, 4]
    expected = [[1, 0], [0, 0], [1, 0], [1, 1], [0, 1]]
    np.testing.assert_array_equal(labels.indicators(np.arange(5)), expected)
    np.testing.assert_allclose(labels.term_frequencies, [3 / 4, 2 / 4])


def test_labels_survive_the_disk(tmp_path, labels):
    dataclasses.replace(labels, description={"n": 5}).save(tmp_path / "labels.npz")
    loaded = SequenceLabels.load(tmp_path / "labels.npz")
    assert (loaded.term_names, loaded.description) == (labels.term_names, {"n": 5})
    for name in ("terms", "offsets", "genomes"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(labels, name))


def test_rows_without_labels_count_in_no_loss(labels):
    torch.manual_seed(0)
    frequencies = torch.tensor(labels.term_frequencies).float()
    heads = SequenceHeads(8, frequencies, labels.n_genomes).eval()
    pooled = torch.randn(5, 8)

    def losses(rows):
        indicators = torch.from_numpy(labels.indicators(rows))
        genomes = torch.from_numpy(labels.genomes[rows]).long()
        return heads.losses(pooled[rows], indicators, genomes)

    everything, annotated = losses(np.arange(5)), losses(np.array([0, 2, 3, 4]))
    torch.testing.assert_close(everything, annotated)
    assert all(loss == 0 for loss in losses(np.array([1])))
    by_hand = [losses(np.array([row]))[0] for row in (0, 2, 3, 4)]
    torch.testing.assert_close(torch.stack(by_hand).mean(), everything[0])


def test_terms_imply_the_more_general_ones(tmp_path):
    closure = tmp_path / "closure.txt"
    lines = ["GO:1\tOBO_REL:is_a\tGO:2\t1", "GO:1\tOBO_REL:is_a\tGO:3\t2"]
    closure.write_text("\n".join([*lines, "GO:1\tOBO_REL:part_of\tGO:4\t1"]) + "\n")
    assert prepare_labels.read_closure(closure) == {"GO:1": ["GO:2", "GO:3"]}


def test_cellular_components_are_never_read(tmp_path, monkeypatch):
    (tmp_path / "fullTransitiveClosureGO.txt").write_text("GO:1\tOBO_REL:is_a\tGO:2\t1\n")
    for name, term in (("MFO", "GO:1"), ("BPO", "GO:5"), ("CCO", "GO:7")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "goasp.fasta.pin").touch()
        (folder / "goasp_annot.dat").write_text(f"Q1\t{term}\t{term}\n")
    monkeypatch.setattr(prepare_labels, "read_accessions", lambda _: ["Q1", "P9"])
    monkeypatch.setattr(prepare_labels, "read_blast_proteins", lambda _: iter(["MKV", "MKV"]))
    terms, accession = prepare_labels.read_metastudent(tmp_path)
    assert terms == {"MKV": {"GO:1", "GO:2", "GO:5"}}
    assert accession == {"MKV": "P9"}
