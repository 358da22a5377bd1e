import os
import pickle
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esmlearn.embedding import EmbeddingCache, ESMEmbedder
from esmlearn.embedding._cache.vectors import checksums, gather_rows
from esmlearn.exceptions import CacheError
from esmlearn.utils._sequences import sequence_digest

DIGESTS = [sequence_digest(s) for s in ("MKV", "GSHM", "AAAA")]


@pytest.fixture
def cache(tmp_path):
    with EmbeddingCache(tmp_path / "cache") as cache:
        yield cache


@pytest.fixture
def vectors():
    return np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)


def test_what_is_put_is_got(cache, vectors):
    assert cache.put("space", DIGESTS[:2], vectors[:2], description={"model": "x"})
    found, read = cache.get("space", DIGESTS[::-1], width=8)
    assert found.tolist() == [False, True, True]
    np.testing.assert_array_equal(read[[2, 1]], vectors[:2])
    assert not cache.get("other", DIGESTS, width=8)[0].any()
    assert cache.contains("space", DIGESTS).tolist() == [True, True, False]


def test_arrays_of_any_length_are_kept(cache):
    arrays = [np.full((n, 3), n, dtype=np.float32) for n in (1, 5, 2)]
    cache.put("space", DIGESTS, arrays)
    found, read = cache.get("space", DIGESTS, width=None)
    assert found.all()
    for array, flat in zip(arrays, read, strict=True):
        np.testing.assert_array_equal(flat.reshape(-1, 3), array)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.integers(0, 300), unique=True),
    asked=st.lists(st.integers(0, 400), unique=True, min_size=1),
    many=st.booleans(),
)
def test_any_subset_in_any_order_comes_back(tmp_path_factory, monkeypatch, rows, asked, many):
    monkeypatch.setattr("esmlearn.embedding._cache.index._ASKED_AT_ONCE", 1 if many else 1000)
    digests = [sequence_digest("A" * (i + 1)) for i in range(401)]
    values = np.arange(401 * 5, dtype=np.float32).reshape(401, 5)
    with EmbeddingCache(tmp_path_factory.mktemp("c")) as cache:
        if rows:
            cache.put("space", [digests[i] for i in rows], values[rows])
        found, read = cache.get("space", [digests[i] for i in asked], width=5)
    assert found.tolist() == [i in rows for i in asked]
    np.testing.assert_array_equal(read[found], values[asked][found])


@pytest.mark.parametrize("n_processors", [1, 2, 3, 64])
def test_any_number_of_threads_reads_the_same(n_processors, monkeypatch):
    monkeypatch.setattr("esmlearn.embedding._cache.vectors.n_processors", lambda: n_processors)
    monkeypatch.setattr("esmlearn.embedding._cache.vectors._BLOCK_BYTES", 3 * 5 * 4)
    monkeypatch.setattr("esmlearn.embedding._cache.vectors._BLOCKS_PER_THREAD", 2)
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 5)).astype(np.float32)
    words = rng.integers(0, 1 << 60, size=40, dtype=np.uint64)
    sums = checksums(values, words)
    sums[7] += 1
    for order in (np.arange(40), rng.permutation(40), rng.permutation(40)[:29], np.arange(3)):
        table = np.column_stack([5 * order, np.full(len(order), 5), sums[order]])
        out = np.empty((len(order), 5), dtype=np.float32)
        stored = values.reshape(-1)
        good = gather_rows(stored, table, words[order], np.arange(len(order)), out)
        np.testing.assert_array_equal(out, values[order])
        assert good.tolist() == [row != 7 for row in order]


def test_figures(cache, vectors):
    cache.put("a", DIGESTS, vectors, description={"name": "tiny"})
    cache.put("b", DIGESTS[:1], vectors[:1])
    stats = cache.stats()
    assert (stats["n_spaces"], stats["n_vectors"], stats["n_computed"]) == (2, 4, 4)
    assert stats["spaces"][0]["name"] == "tiny"
    assert stats["n_bytes"] > 4 * 8 * 4
    cache.clear()
    assert cache.n_computed == 0
    assert not list(cache.directory.glob("*.f32"))
    assert not cache.get("a", DIGESTS, width=8)[0].any()


def test_it_pickles_as_its_path(cache, vectors):
    cache.put("space", DIGESTS, vectors)
    copy = pickle.loads(pickle.dumps(cache))
    assert copy.get("space", DIGESTS, width=8)[0].all()
    assert repr(copy) == f"EmbeddingCache({os.fspath(cache.path)!r})"
    copy.close()


# Damage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["bit", "zeros", "cut", "swapped", "gone"])
@pytest.mark.parametrize("remembered", [True, False])
def test_damaged_vectors_are_computed_again(damage, remembered, checkpoint, proteins, cache):
    embedder = ESMEmbedder(checkpoint, cache=cache)
    expected = embedder.fit_transform(proteins)
    if remembered:
        np.testing.assert_array_equal(embedder.transform(proteins), expected)
    (file,) = cache.directory.glob("*.f32")
    data = np.fromfile(file, dtype=np.uint32)
    row = 32
    if damage == "bit":
        data[3 * row + 5] ^= 1 << 20
    elif damage == "zeros":
        data[2 * row : 4 * row] = 0
    elif damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "swapped":
        data[:row], data[row : 2 * row] = data[row : 2 * row].copy(), data[:row].copy()
    data.tofile(file)
    if damage == "gone":
        file.unlink()
    with pytest.warns(UserWarning, match="damaged; they are computed again"):
        again = embedder.transform(proteins)
    np.testing.assert_allclose(again, expected, atol=1e-5)
    assert 0 < embedder.n_computed_ <= len(set(proteins))
    embedder.transform(proteins)
    assert embedder.n_computed_ == 0


def test_what_is_written_is_seen_by_who_has_read_before(cache, vectors):
    for number in (1, 2, 3):
        cache.put("space", DIGESTS[number - 1 : number], vectors[number - 1 : number])
        for _ in range(2):
            found, read = cache.get("space", DIGESTS, width=8)
            assert found.tolist() == [number > i for i in range(3)]
            np.testing.assert_array_equal(read[:number], vectors[:number])
    cache.prune(2 * 8 * 4)
    assert cache.get("space", DIGESTS, width=8)[0].sum() == 2
    cache.clear()
    cache.put("space", DIGESTS[:1], vectors[2:])
    found, read = cache.get("space", DIGESTS, width=8)
    np.testing.assert_array_equal(read[found], vectors[2:])


@pytest.mark.parametrize("column", ["digest", "first", "checksum"])
def test_a_malformed_entry_is_dropped_and_computed_again(column, cache, vectors):
    cache.put("space", DIGESTS, vectors)
    value = DIGESTS[0][:-1] if column == "digest" else "1e"
    cache._index.connection().execute(
        f"UPDATE vector SET {column} = ? WHERE digest = ?", (value, DIGESTS[0])
    )
    if column == "digest":
        assert cache.get("space", DIGESTS, width=8)[0].tolist() == [False, True, True]
        return
    with pytest.warns(UserWarning, match=r"malformed index entry.*2 vector\(s\) were recovered"):
        found, read = cache.get("space", DIGESTS, width=8)
    assert found.tolist() == [False, True, True]
    np.testing.assert_array_equal(read[1:], vectors[1:])


def test_a_checksum_belongs_to_one_sequence():
    values = np.ones((2, 4), dtype=np.float32)
    a, b = checksums(values, np.array([1, 2], dtype=np.uint64))
    assert a != b


def test_a_new_index_may_be_opened_by_many_at_once(tmp_path):
    def first_look(folder):
        return EmbeddingCache(folder).n_computed

    with ThreadPoolExecutor(8) as pool:
        for i in range(30):
            assert list(pool.map(first_look, [tmp_path / str(i)] * 8)) == [0] * 8


def test_a_foreign_database_is_left_alone(tmp_path):
    connection = sqlite3.connect(tmp_path / "index.sqlite")
    connection.execute("CREATE TABLE precious (x)")
    connection.commit()
    connection.close()
    with pytest.raises(CacheError, match="database of another program"):
        EmbeddingCache(tmp_path).get("space", DIGESTS, width=8)
    connection = sqlite3.connect(tmp_path / "index.sqlite")
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("precious",)]
    connection.close()


def test_a_cache_of_the_future_is_left_alone(cache, vectors):
    cache.put("space", DIGESTS, vectors)
    cache._index.connection().execute("PRAGMA user_version = 99")
    cache.close()
    with pytest.raises(CacheError, match="has format 99, this esmlearn reads and writes 3"):
        cache.get("space", DIGESTS, width=8)


def filled(folder):
    """A cache of 3,000 vectors whose index has many pages."""
    digests = [sequence_digest("A" * i) for i in range(1, 3001)]
    values = np.random.default_rng(0).normal(size=(3000, 4)).astype(np.float32)
    with EmbeddingCache(folder) as cache:
        for start in range(0, 3000, 500):
            cache.put("space", digests[start : start + 500], values[start : start + 500])
        cache._index.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "index.sqlite", digests, values


def test_an_index_of_garbage_is_set_aside_and_begun_anew(checkpoint, proteins, tmp_path):
    (tmp_path / "index.sqlite").write_bytes(b"SQLite format 3\0" + b"garbage" * 1000)
    embedder = ESMEmbedder(checkpoint, cache=tmp_path)
    with pytest.warns(UserWarning, match=r"was damaged .*set aside as index.damaged-.* 0 vector"):
        embedder.transform(proteins)
    assert embedder.n_computed_ == len(set(proteins))
    embedder.transform(proteins)
    assert embedder.n_computed_ == 0
    (aside,) = tmp_path.glob("index.damaged-*")
    assert aside.read_bytes().startswith(b"SQLite format 3\0garbage")


@pytest.mark.parametrize("opened", [True, False])
def test_an_index_with_damaged_pages_is_rebuilt_from_the_others(opened, tmp_path):
    index, digests, values = filled(tmp_path)
    with EmbeddingCache(tmp_path) as cache:
        if opened:
            assert cache.n_computed == 3000
        good = index.read_bytes()
        middle = len(good) // 2 // 4096 * 4096
        with open(index, "r+b") as file:
            file.seek(middle)
            file.write(b"\x7f" * 4096)
        with pytest.warns(UserWarning, match=r"was damaged.*\d+ vector\(s\) were recovered"):
            cache.verify()
        found, read = cache.get("space", digests, width=4)
        assert 2000 < found.sum() < 3000
        np.testing.assert_array_equal(read[found], values[found])
        cache.put("space", digests, values)  # no vector is written over one that was recovered
        found, read = cache.get("space", digests, width=4)
        assert found.all()
        np.testing.assert_array_equal(read, values)
        assert cache.verify()["n_damaged"] == 0


def test_an_index_that_stays_damaged_is_one_clear_error(cache, vectors, monkeypatch):
    cache.put("space", DIGESTS, vectors)

    def fail(connection):
        raise sqlite3.DatabaseError("database disk image is malformed")

    with (
        pytest.warns(UserWarning, match=r"3 vector\(s\) were recovered"),
        pytest.raises(CacheError, match=r"cannot be used .*malformed.*delete the folder"),
    ):
        cache._index.run(fail)
    assert cache.get("space", DIGESTS, width=8)[0].all()


def test_an_index_that_is_deleted_in_use_is_begun_anew(cache, vectors):
    cache.put("space", DIGESTS, vectors)
    for file in cache.directory.glob("index.sqlite*"):
        file.unlink()
    assert not cache.get("space", DIGESTS, width=8)[0].any()
    assert cache.put("space", DIGESTS, vectors)
    assert EmbeddingCache(cache.directory).get("space", DIGESTS, width=8)[0].all()


def test_another_process_may_clear_the_cache_at_any_moment(cache, vectors, tmp_path):
    cache.put("space", DIGESTS[:1], vectors[:1])
    EmbeddingCache(tmp_path / "cache").clear()
    assert cache.put("space", DIGESTS[1:], vectors[1:])
    assert cache.get("space", DIGESTS, width=8)[0].tolist() == [False, True, True]


def test_a_path_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot be used"):
        EmbeddingCache(tmp_path / "file").stats()


# Disks -------------------------------------------------------------------------------------------


def test_a_full_disk_costs_the_storing_not_the_result(checkpoint, proteins, cache, monkeypatch):
    expected = ESMEmbedder(checkpoint, cache=None).transform(proteins)

    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("esmlearn.embedding._cache.vectors.write_numbers", full)
        embedder = ESMEmbedder(checkpoint, cache=cache)
        with pytest.warns(UserWarning, match="No space left.*going on without storing"):
            np.testing.assert_allclose(embedder.transform(proteins), expected, atol=1e-5)
    assert cache.n_computed == 0
    embedder.transform(proteins)
    assert cache.n_computed == len(set(proteins))


def test_a_disk_that_is_full_for_the_index_costs_the_storing_alone(checkpoint, proteins, cache):
    expected = ESMEmbedder(checkpoint, cache=None).transform(proteins)
    connection = cache._index.connection()
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with suppress(sqlite3.OperationalError):  # until not even a small row fits
        for i in range(10_000):
            connection.execute(
                "INSERT INTO namespace (fingerprint, description, file) VALUES (?, '{}', '')", (i,)
            )
    with pytest.warns(UserWarning, match="cannot be written .*full"):
        found = ESMEmbedder(checkpoint, cache=cache).transform(proteins)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_read_only_cache_is_read_and_not_written(checkpoint, proteins, tmp_path, monkeypatch):
    folder = tmp_path / "shared"
    writer = EmbeddingCache(folder)
    expected = ESMEmbedder(checkpoint, cache=writer).transform(proteins[:10])
    writer.close()
    reader = EmbeddingCache(folder)

    def refuse(file):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(
        "esmlearn.embedding._cache.index._open_writable", refuse
    )  # root may write anywhere
    embedder = ESMEmbedder(checkpoint, cache=reader)
    with pytest.warns(UserWarning, match="is read-only: nothing new is stored"):
        ours = embedder.transform(proteins)
    np.testing.assert_array_equal(ours[:10], expected)
    assert embedder.n_computed_ == len(set(proteins) - set(proteins[:10]))
    reader.close()


@pytest.mark.parametrize("damaged", ["vectors", "index"])
def test_damage_in_a_read_only_cache(damaged, checkpoint, proteins, tmp_path, monkeypatch):
    expected = ESMEmbedder(checkpoint, cache=tmp_path).transform(proteins)
    (file,) = tmp_path.glob("*.f32" if damaged == "vectors" else "index.sqlite")
    size = file.stat().st_size
    file.write_bytes(b"\x7f" * size)

    def refuse(file):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr("esmlearn.embedding._cache.index._open_writable", refuse)
    embedder = ESMEmbedder(checkpoint, cache=tmp_path)
    if damaged == "index":
        with pytest.raises(CacheError, match="cannot be used"):
            embedder.transform(proteins)
        return
    with pytest.warns(UserWarning, match="is read-only: nothing new is stored"):
        found = embedder.transform(proteins)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert embedder.n_computed_ == len(set(proteins))
    assert file.read_bytes() == b"\x7f" * size


@pytest.mark.skipif(os.name == "nt", reason="modes of files are a matter of POSIX")
def test_only_the_owner_may_look_inside(cache, vectors):
    cache.put("space", DIGESTS, vectors)
    for path in [cache.directory, *cache.directory.glob("*.f32")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
