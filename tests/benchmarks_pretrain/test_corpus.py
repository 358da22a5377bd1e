import dataclasses
import struct

import numpy as np
import pytest

from benchmarks.pretrain._blast_database import (
    LETTERS,
    read_accessions,
    read_blast_proteins,
)
from benchmarks.pretrain._corpus import (
    MASK,
    VOCABULARY,
    BatchPlan,
    Corpus,
    Position,
    TokenSequences,
    decode,
    encode,
    mask_all,
    mask_tokens,
)
from benchmarks.pretrain.prepare_data import distinct_sequences, read_fasta
from tests._proteins import random_protein


@pytest.fixture(scope="module")
def proteins():
    rng = np.random.default_rng(0)
    return encode(random_protein(int(length), rng) for length in rng.integers(20, 90, 70))


@pytest.fixture
def plan(proteins):
    return BatchPlan(proteins, crop=60, tokens_per_batch=300, sequences_per_shard=32, seed=3)


def take(plan, n, position=None):
    return [pair for pair, _ in zip(plan.iterate(position or Position()), range(n), strict=False)]


def test_the_vocabulary_is_that_of_fair_esm():
    esm = pytest.importorskip("esm")
    assert list(VOCABULARY) == esm.Alphabet.from_architecture("ESM-1b").all_toks


def test_sequences_are_encoded_as_fair_esm_does():
    esm = pytest.importorskip("esm")
    convert = esm.Alphabet.from_architecture("ESM-1b").get_batch_converter()
    sequences = ["MKTAYIAKQR", "BJOUXZGG"]
    expected = [convert([("", s.replace("J", "X"))])[2][0].tolist() for s in sequences]
    encoded = encode(sequences)
    assert [encoded[i].tolist() for i in range(2)] == expected
    assert encoded.n_residues == 18


def test_decoding_gives_the_sequences_back():
    assert decode(encode(["MKTAYIAKQR", "BJOUXZGG"])) == ["MKTAYIAKQR", "BXOUXZGG"]


def test_a_corpus_survives_the_disk(tmp_path, proteins):
    description = {"seed": 0}
    Corpus(proteins, proteins, description).save(tmp_path / "corpus.npz")
    corpus = Corpus.load(tmp_path / "corpus.npz")
    assert corpus.description == description
    np.testing.assert_array_equal(corpus.training.tokens, proteins.tokens)
    np.testing.assert_array_equal(corpus.held_out.offsets, proteins.offsets)


def test_an_epoch_takes_one_window_of_every_sequence(plan, proteins):
    windows = [
        row.astype(np.uint8).tobytes()
        for shard in range(plan.n_shards)
        for batch in plan.shard(0, shard)
        for row in batch.tokens
    ]
    assert len(windows) == len(proteins)
    unused = [proteins[i].tobytes() for i in range(len(proteins))]
    for window in sorted(windows, key=len, reverse=True):
        unused.remove(next(sequence for sequence in unused if window in sequence))


def test_an_epoch_of_chosen_rows_has_them_once_and_no_other(plan):
    rows = np.arange(0, 70, 3)
    chosen = dataclasses.replace(plan, rows=rows, sequences_per_shard=10)
    seen = [row for n in range(chosen.n_shards) for b in chosen.shard(0, n) for row in b.rows]
    assert sorted(seen) == rows.tolist()


def test_two_windows_of_a_sequence_do_not_overlap():
    distinct = np.arange(90, dtype=np.uint8)  # every token names its position
    sequences = TokenSequences(np.tile(distinct, 50), np.arange(0, 51 * 90, 90))
    plan = BatchPlan(sequences, crop=40, tokens_per_batch=400, n_windows=2)
    firsts = []
    for batch in plan.shard(0, 0):
        n = len(batch.rows) // 2
        np.testing.assert_array_equal(batch.rows[:n], batch.rows[n:])
        for one, other in zip(batch.tokens[:n], batch.tokens[n:], strict=True):
            assert len(one) == len(other) == 40
            assert not np.intersect1d(one, other).size
            firsts.append(one[0] < other[0])
    assert len(firsts) == 50
    assert 10 < sum(firsts) < 40  # either may be the one that comes first in the sequence


def test_rows_may_be_seen_more_often_than_others(plan):
    repeated = dataclasses.replace(plan, rows=np.array([3, 3, 3, 5]), n_windows=2)
    (seen,) = [np.concatenate([batch.rows for batch in repeated.shard(0, 0)])]
    assert sorted(seen) == [3] * 6 + [5] * 2


def test_batches_keep_to_the_budget_and_the_crop(plan):
    for _, batch in take(plan, 60):
        assert batch.tokens.size <= 300
        assert batch.tokens.shape[1] <= 60


def test_a_batch_tells_where_its_windows_come_from(plan, proteins):
    for _, batch in take(plan, 20):
        for row, window in zip(batch.rows, batch.tokens, strict=True):
            assert window.tobytes() in proteins[row].tobytes()


def test_little_is_lost_by_cutting_windows_to_one_length():
    lengths = np.random.default_rng(0).integers(30, 1000, 4096)
    plan = BatchPlan(encode("A" * int(length) for length in lengths))
    kept = sum(batch.tokens.size for batch in plan.shard(0, 0))
    assert kept > 0.98 * np.minimum(lengths + 2, 256).sum()


def test_any_position_gives_the_batches_that_follow_it(plan):
    whole = take(plan, 60)
    assert whole[-1][0].epoch >= 1
    for done in (1, 17, 40):
        rest = take(plan, 60 - done, whole[done - 1][0])
        for (position, batch), (expected_position, expected) in zip(
            rest, whole[done:], strict=True
        ):
            assert position == expected_position
            np.testing.assert_array_equal(batch.rows, expected.rows)
            np.testing.assert_array_equal(batch.tokens, expected.tokens)


def test_epochs_differ(plan):
    assert not np.array_equal(plan.shard(0, 0)[0].rows, plan.shard(1, 0)[0].rows)


def test_masking_has_the_published_shares():
    tokens = np.random.default_rng(1).integers(0, 33, (400, 500), dtype=np.uint8)
    tokens[tokens == MASK] = 5
    corrupted, chosen = mask_tokens(tokens, np.random.default_rng(0))
    standard = (tokens >= 4) & (tokens < 24)
    assert not chosen[~standard].any()
    assert chosen[standard].mean() == pytest.approx(0.15, abs=0.005)
    assert (corrupted == MASK)[chosen].mean() == pytest.approx(0.8, abs=0.01)
    assert (corrupted == tokens)[chosen].mean() == pytest.approx(0.1 + 0.1 / 20, abs=0.01)
    np.testing.assert_array_equal(corrupted[~chosen], tokens[~chosen])
    replaced = corrupted[chosen & (corrupted != MASK)]
    assert set(replaced.tolist()) == set(range(4, 24))


def test_mask_all_leaves_none_of_the_chosen():
    tokens = np.full((4, 100), 7, dtype=np.uint8)
    corrupted, chosen = mask_all(tokens, np.random.default_rng(0))
    np.testing.assert_array_equal(corrupted == MASK, chosen)


def write_blast_database(path, sequences, *, version=4):
    code = {letter: i for i, letter in enumerate(LETTERS.tobytes().decode())}
    residues = b"\0" + b"".join(bytes(code[c] for c in s) + b"\0" for s in sequences)
    offsets = np.cumsum([1] + [len(s) + 1 for s in sequences])
    title, date = b"test", b"Jan 1, 2026  1:00 PM"
    head = struct.pack(">iii", version, 1, len(title)) + title
    head += struct.pack(">i", len(date)) + date + struct.pack(">i", len(sequences))
    head += struct.pack("<q", sum(map(len, sequences))) + struct.pack(">i", 99)
    table = np.zeros(len(offsets), dtype=">i4").tobytes() + offsets.astype(">i4").tobytes()
    path.write_bytes(head + table)
    path.with_suffix(".psq").write_bytes(residues)


def test_blast_databases_are_read(tmp_path):
    sequences = ["MKTAYIAKQRX", "GSHMUOBZ", "W"]
    write_blast_database(tmp_path / "db.pin", sequences)
    assert list(read_blast_proteins(tmp_path / "db.pin")) == sequences


def test_accessions_are_read_from_titles_of_any_length(tmp_path):
    title = b"0\x800\x80\xa0\x80\x1a%b%b\x00\x00\xa1\x800\x80"
    terms = b",".join([b"GO:0000166"] * 40)
    texts = [b"B0RED7|GO:0046933", b"C6DJ78|" + terms[:150], b"Q58380|" + terms]
    lengths = [bytes([17]), b"\x81" + bytes([157]), b"\x82" + struct.pack(">H", 446)]
    titles = b"".join(title % pair for pair in zip(lengths, texts, strict=True))
    (tmp_path / "db.phr").write_bytes(titles)
    assert read_accessions(tmp_path / "db.pin") == ["B0RED7", "C6DJ78", "Q58380"]


def test_other_database_versions_are_refused(tmp_path):
    write_blast_database(tmp_path / "db.pin", ["MK"], version=5)
    with pytest.raises(ValueError, match="got format version 5"):
        list(read_blast_proteins(tmp_path / "db.pin"))


def test_sources_are_merged_and_filtered(tmp_path):
    kept, other = "M" * 30, "MK" * 20
    write_blast_database(tmp_path / "db.pin", [kept, "MKV"])
    (tmp_path / "more.fasta").write_text(f">a\n{kept}\n>b\n{other[:20]}\n{other[20:]}\n")
    assert list(read_fasta(tmp_path / "more.fasta")) == [kept, other]
    assert distinct_sequences([tmp_path / "more.fasta", tmp_path / "db.pin"]) == sorted(
        [kept, other]
    )
