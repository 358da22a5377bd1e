"""Notes of whole requests: a new process is answered as without them, whatever happened since."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esmlearn.embedding import EmbeddingCache, ESMEmbedder
from esmlearn.embedding._cache_notes import pack_columns, unpack_columns
from esmlearn.embedding._index import transaction
from esmlearn.embedding._known import KnownSequences, known_sequences
from esmlearn.embedding._lookup import Lookup, NotedLookup, memory
from esmlearn.embedding._request import request_key
from esmlearn.exceptions import DataError
from esmlearn.utils._sequences import check_sequences, count_sequence_features, sequence_digest

few = st.text("AKbx-", min_size=1, max_size=3)  # of which some come twice, in other spellings


@pytest.fixture(autouse=True)
def every_request_is_noted(monkeypatch):
    monkeypatch.setattr("esmlearn.embedding._known.MANY", 1)
    monkeypatch.setattr("esmlearn.embedding._compute.MANY", 1)


@pytest.fixture
def cache(tmp_path):
    with EmbeddingCache(tmp_path / "cache") as cache:
        yield cache


def begin_anew():
    """Forget what a new process does not know."""
    known_sequences.reset()
    memory.reset()


def notes(cache):
    query = "SELECT count(*) FILTER (WHERE file = ''), count(*) FILTER (WHERE file <> '') FROM note"
    return cache._connection().execute(query).fetchone()


@pytest.fixture
def filled(cache, checkpoint, proteins):
    """An embedder whose cache has noted a request, and what it returned."""
    embedder = ESMEmbedder(checkpoint, cache=cache)
    begin_anew()
    expected = embedder.transform(proteins)
    assert notes(cache) == (1, 1)
    begin_anew()
    return embedder, expected


def assert_nothing_is_computed(embedder, X, expected):
    begin_anew()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(embedder.transform(X), expected)
    assert embedder.n_computed_ == 0


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(requests=st.lists(st.lists(few, min_size=1), min_size=1, max_size=4))
def test_a_new_process_is_answered_as_if_there_were_no_notes(tmp_path_factory, requests):
    with EmbeddingCache(tmp_path_factory.mktemp("c")) as cache:
        for X in requests * 2:
            table = KnownSequences()  # as of another process
            for Y in (X, requests[0], X[::-1]):
                request = table.ask(Y, notes=cache)
                upper = check_sequences(Y)
                assert request.sequences == list(dict.fromkeys(upper))
                assert request.digests.tolist() == [sequence_digest(s) for s in request.sequences]
                assert request.lengths.tolist() == [len(s) for s in request.sequences]
                assert request.counts == count_sequence_features(Y)
                rows = range(len(Y)) if request.rows is None else request.rows
                assert [request.sequences[row] for row in rows] == upper


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    stored=st.lists(st.integers(0, 30), unique=True, min_size=1),
    asked=st.lists(st.lists(st.integers(0, 30), unique=True, min_size=1), min_size=1, max_size=4),
)
def test_any_subset_in_any_order_is_read_as_one_by_one(tmp_path_factory, stored, asked):
    proteins = ["A" * (n + 1) for n in range(31)]
    values = np.arange(31 * 5, dtype=np.float32).reshape(31, 5)
    with EmbeddingCache(tmp_path_factory.mktemp("c")) as cache:
        cache.put("space", [sequence_digest(proteins[n]) for n in stored], values[stored])
        for numbers in asked * 2:
            memory.reset()
            table = KnownSequences()
            for part in (numbers, numbers[::2]):
                digests = table.ask([proteins[n] for n in part], notes=cache).digests
                for _ in range(2):
                    found, vectors = cache.get("space", digests, width=5)
                    assert found.tolist() == [n in stored for n in part]
                    np.testing.assert_array_equal(vectors[found], values[part][found])


def test_what_is_noted_is_not_looked_up(filled, cache, proteins, monkeypatch):
    embedder, expected = filled

    def refuse(*args, **kwargs):
        raise AssertionError("this was noted")

    with monkeypatch.context() as patch:
        for name in ("_known.scan_sequences", "_known.sequence_digests", "_cache_vectors._asked"):
            patch.setattr(f"esmlearn.embedding.{name}", refuse)
        patch.setattr(Lookup, "of_space", refuse)
        for X in (proteins, tuple(proteins), np.array(proteins)):
            assert_nothing_is_computed(embedder, X, expected)
            np.testing.assert_array_equal(embedder.transform(X), expected)
        begin_anew()
        embedder.fit_transform(proteins)
        assert embedder.report_["n_sequences"] == len(proteins)
        folds = proteins[3:], proteins[::-1]
        with pytest.raises(AssertionError, match="this was noted"):
            embedder.transform(folds[0])
    for fold, rows in zip(folds, (slice(3, None), slice(None, None, -1)), strict=True):
        np.testing.assert_array_equal(embedder.transform(fold), expected[rows])
    assert notes(cache) == (1, 1)  # of what this process knew nothing is noted


def test_a_request_has_the_key_of_its_text_and_of_where_items_end():
    keys = [
        request_key(X) for X in (["MKV", "GSHM"], ["MK", "VGSHM"], ["MKVGSHM"], ["GSHM", "MKV"])
    ]
    assert len({*keys, request_key(["MKV\nGSHM"]), request_key(["mkv", "GSHM"])}) == 6
    assert request_key(["MKV", "A", "C"]) != request_key(["MKV", "A\nC"])
    assert request_key(("MKV", np.str_("GSHM"))) == keys[0]
    assert request_key(["MKV", None]) == request_key(["MKV", "ß"]) == b""


@pytest.mark.parametrize("bad", ["MKV\nGSHM", "", None, "MK1"])
def test_what_is_refused_is_not_noted(bad, cache):
    KnownSequences().ask(["MKV", "GSHM"], notes=cache)
    for _ in range(2):
        with pytest.raises(DataError, match=r"X\[1\]"):
            KnownSequences().ask(["AAA", bad], notes=cache)
    assert notes(cache) == (1, 0)


def test_arrays_per_residue_are_looked_up_one_by_one(cache, checkpoint, proteins):
    embedder = ESMEmbedder(checkpoint, cache=cache, pooling=None)
    expected = embedder.transform(proteins)
    begin_anew()
    for ours, theirs in zip(embedder.transform(proteins), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert embedder.n_computed_ == 0


# What happened since -----------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["bit", "cut", "swapped", "text", "gone", "table"])
def test_a_damaged_note_is_none(damage, filled, cache, proteins):
    embedder, expected = filled
    connection = cache._connection()
    (one, a), (two, b) = connection.execute("SELECT id, content FROM note").fetchall()
    flipped = bytearray(a)
    flipped[len(a) // 2] ^= 1
    changes = {"bit": (flipped, b[::-1]), "cut": (a[:-1], b[:9]), "swapped": (b, a)}
    for number, content in zip((one, two), changes.get(damage, ("", "x")), strict=True):
        connection.execute("UPDATE note SET content = ? WHERE id = ?", (content, number))
    if damage == "gone":
        connection.execute("DELETE FROM note")
    if damage == "table":
        connection.execute("DROP TABLE note")
    assert_nothing_is_computed(embedder, proteins, expected)
    if damage != "table":
        assert notes(cache) == (1, 1)


def test_vectors_that_were_damaged_since_are_computed_once(filled, cache, proteins, monkeypatch):
    embedder, expected = filled
    monkeypatch.setattr("esmlearn.embedding._compute.MANY", 5000)  # so few are not noted at once
    (file,) = cache.directory.glob("*.f32")
    data = np.fromfile(file, dtype=np.uint32)
    data[3 * 32] ^= 1
    data.tofile(file)
    with pytest.warns(UserWarning, match=r"1 vector\(s\).*damaged; they are computed again"):
        np.testing.assert_allclose(embedder.transform(proteins), expected, atol=1e-5)
    assert embedder.n_computed_ == 1
    again = embedder.transform(proteins)
    for _ in range(2):  # in processes that have warned of nothing yet
        other = ESMEmbedder(embedder.model, cache=cache.path)
        assert_nothing_is_computed(other, proteins, again)


@pytest.mark.parametrize("by_whom", ["this process", "another"])
@pytest.mark.parametrize("change", ["arranged", "pruned", "cleared", "extended", "gone"])
def test_a_cache_that_was_changed_since_is_read_as_it_is(
    change, by_whom, filled, cache, proteins, tmp_path
):
    embedder, expected = filled
    np.testing.assert_array_equal(embedder.transform(proteins), expected)
    other = cache if by_whom == "this process" else EmbeddingCache(tmp_path / "cache")
    space = embedder.fingerprint()
    backwards = [sequence_digest(p) for p in dict.fromkeys(proteins[::-1])]
    if change == "arranged":
        assert other.arrange(space, backwards)
    elif change == "pruned":
        other.prune(32 * 4 * len(backwards) // 2)
    elif change == "cleared":
        other.clear()
    elif change == "extended":
        other.put(space, [sequence_digest("WWW")], np.ones((1, 32), np.float32))
    else:
        (file,) = cache.directory.glob("*.f32")
        file.unlink()
    if other is not cache:
        other.close()
    if change != "gone":
        assert notes(cache)[1] == (change == "extended")  # what is said of old files is forgotten
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ours = embedder.transform(proteins)
    else:
        with pytest.warns(UserWarning, match="damaged"):
            ours = embedder.transform(proteins)
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert (embedder.n_computed_ > 0) == (change in ("pruned", "cleared", "gone"))
    assert_nothing_is_computed(embedder, proteins, ours)


def test_what_is_used_by_a_note_counts_as_used(filled, cache, proteins, monkeypatch):
    embedder, expected = filled
    query = "SELECT min(used), max(used) FROM vector"
    before = cache._connection().execute(query).fetchone()[1]
    monkeypatch.setattr("time.time", lambda: before + 1e6)
    assert_nothing_is_computed(embedder, proteins, expected)
    assert cache._connection().execute(query).fetchone() == (before + 1e6, before + 1e6)
    changes = cache._connection().total_changes
    assert_nothing_is_computed(embedder, proteins, expected)  # once an hour, whoever it is
    assert cache._connection().total_changes == changes


def test_the_last_notes_are_kept(cache, monkeypatch):
    monkeypatch.setattr("esmlearn.embedding._cache_notes.MAX_BYTES", 400)
    for n in range(10):
        cache.note(bytes([n]) * 32, bytes([n]) * 100)
    kept = [n for n in range(10) if cache.recall_note(bytes([n]) * 32) is not None]
    assert kept == [7, 8, 9]
    assert bytes(cache.recall_note(bytes([8]) * 32)) == bytes([8]) * 100
    cache.note(bytes([10]) * 32, bytes(1000))
    assert notes(cache) == (0, 0)


# Others ------------------------------------------------------------------------------------------


def test_noting_does_not_wait_for_a_writer(filled, cache, proteins, tmp_path):
    embedder, expected = filled
    with (
        EmbeddingCache(tmp_path / "cache") as other,
        transaction(other._connection()),
    ):
        fold = proteins[5:]
        assert_nothing_is_computed(embedder, fold, expected[5:])
    assert notes(cache) == (1, 1)
    assert_nothing_is_computed(embedder, fold, expected[5:])
    assert notes(cache) == (2, 2)


@pytest.mark.parametrize("has_notes", [True, False])
def test_notes_of_a_read_only_cache_are_read(has_notes, filled, cache, proteins, monkeypatch):
    embedder, expected = filled
    if not has_notes:
        cache._connection().execute("DROP TABLE note")
    cache.close()

    def refuse(connection, index):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr("esmlearn.embedding._index._prepare", refuse)  # root may write anywhere
    index = cache.directory / "index.sqlite"
    before = index.read_bytes()
    with EmbeddingCache(cache.path) as reader:
        embedder = ESMEmbedder(embedder.model, cache=reader)
        with pytest.warns(UserWarning, match="read-only"):
            np.testing.assert_array_equal(embedder.transform(proteins), expected)
        assert_nothing_is_computed(embedder, proteins, expected)
        assert_nothing_is_computed(embedder, proteins[4:], expected[4:])
    assert index.read_bytes() == before


DIES = """
import os, signal, sys
from esmlearn.embedding import EmbeddingCache
from esmlearn.embedding._index import transaction
cache = EmbeddingCache(sys.argv[1])
with transaction(cache._connection()) as connection:
    connection.execute("UPDATE note SET content = zeroblob(3000000)")
    connection.execute("PRAGMA cache_spill = 1")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")
def test_a_kill_while_notes_are_written_leaves_the_old_ones(filled, cache, proteins, monkeypatch):
    embedder, expected = filled
    killed = subprocess.run([sys.executable, "-c", DIES, os.fspath(cache.path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    monkeypatch.setattr("esmlearn.embedding._known.scan_sequences", None)
    assert_nothing_is_computed(embedder, proteins, expected)


ASKS = """
import json, sys
import numpy as np
import esmlearn.embedding._known as known
from esmlearn.embedding import ESMEmbedder
from esmlearn.embedding._lookup import memory
known.MANY = 1
model, folder, proteins, expected, seed = sys.argv[1:]
proteins, expected = json.load(open(proteins)), np.load(expected)
embedder, rng = ESMEmbedder(model, cache=folder), np.random.default_rng(int(seed) % 2)
for i in range(30):
    rows = rng.permutation(len(proteins))[: rng.integers(1, len(proteins))]
    known.known_sequences.reset()
    memory.reset()
    ours = embedder.transform([proteins[row] for row in rows])
    assert np.array_equal(ours, expected[rows]) and not embedder.n_computed_
"""


def test_processes_may_note_and_read_at_once(filled, cache, proteins, tmp_path):
    embedder, expected = filled
    np.save(tmp_path / "expected.npy", expected)
    (tmp_path / "proteins.json").write_text(json.dumps(proteins))
    names = [embedder.model, cache.path, tmp_path / "proteins.json", tmp_path / "expected.npy"]
    command = [sys.executable, "-c", ASKS, *map(os.fspath, names)]
    running = [subprocess.Popen([*command, str(seed)]) for seed in range(4)]
    assert [process.wait(300) for process in running] == [0] * 4
    assert notes(cache)[1] > 10


@given(columns=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), max_size=8))
def test_columns_are_what_was_packed(columns):
    types = ["<i8", "?", "V3", "<i4"] * 2
    sizes = [np.dtype(kind).itemsize for kind in types]
    packed = [
        np.repeat(np.array(column, np.uint8), size).view(kind)
        for column, size, kind in zip(columns, sizes, types, strict=False)
    ]
    content = memoryview(pack_columns(packed))
    unpacked = unpack_columns(content, 4, types[: len(columns)])
    assert [column.dtype for column in unpacked] == [column.dtype for column in packed]
    assert [column.tobytes() for column in unpacked] == [column.tobytes() for column in packed]


def test_columns_of_zeros_take_no_bytes():
    assert len(pack_columns([np.zeros(1000, "<i8"), np.zeros(1000, bool)])) == 8


def test_a_note_of_places_is_what_was_packed():
    entries = np.array([[16, 8, -5, 70], [0, 8, 1 << 40, 60]])
    digests = KnownSequences().ask(["MKV", "GSHM"]).digests
    packed = NotedLookup(digests, entries).pack()
    lookup = NotedLookup.unpack(memoryview(packed), digests)
    np.testing.assert_array_equal(lookup.entries[:, :3], entries[:, :3])
    assert set(lookup.entries[:, 3]) == {60}
    assert lookup.find(digests).tolist() == [0, 1]
