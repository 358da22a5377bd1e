"""Caches that are checked, shrunk, copied, of an earlier format, or on a network disk."""

import os
import sqlite3
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from esmlearn.embedding import EmbeddingCache, ESMEmbedder
from esmlearn.embedding._cache import index as cache_index
from esmlearn.embedding._cache.index import network_file_system, transaction
from esmlearn.embedding._cache.vectors import USE_SECONDS
from esmlearn.exceptions import CacheError, DataError
from esmlearn.utils._sequences import sequence_digest

WIDTH = 8
BYTES = 4 * WIDTH


def digests(*numbers):
    return [sequence_digest("A" * (n + 1)) for n in numbers]


def rows(*numbers):
    return np.array([np.full(WIDTH, n) + np.arange(WIDTH) / 10 for n in numbers], dtype=np.float32)


@pytest.fixture
def cache(tmp_path):
    with EmbeddingCache(tmp_path / "cache") as cache:
        yield cache


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests turn."""
    now = [1_000_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


def held(cache, numbers):
    found, read = cache.get("space", digests(*numbers), width=WIDTH)
    np.testing.assert_array_equal(read[found], rows(*numbers)[found])
    return [n for n, there in zip(numbers, found, strict=True) if there]


# Verify ------------------------------------------------------------------------------------------


def test_verify_finds_what_is_damaged_and_what_is_left_over(cache):
    cache.put("space", digests(*range(10)), rows(*range(10)))
    cache.put("arrays", digests(0, 1), [rows(0), rows(0, 1)])
    assert cache.verify() == {"n_vectors": 12, "n_damaged": 0, "n_orphans": 0}
    (file,) = cache.directory.glob("space-*.f32")
    data = np.fromfile(file, dtype=np.uint32)
    data[3 * WIDTH] ^= 1
    data.tofile(file)
    (cache.directory / "left.f32").write_bytes(b"x" * 100)
    with pytest.warns(UserWarning, match=r"1 vector\(s\).*damaged"):
        assert cache.verify() == {"n_vectors": 12, "n_damaged": 1, "n_orphans": 1}
    assert held(cache, range(10)) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert not (cache.directory / "left.f32").exists()
    assert cache.verify()["n_damaged"] == 0


def test_verify_mends_a_damaged_index(cache):
    for n in range(0, 3000, 500):
        cache.put("space", digests(*range(n, n + 500)), np.ones((500, WIDTH), np.float32))
    cache._index.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    cache.close()
    index = cache.directory / "index.sqlite"
    good = index.read_bytes()
    index.write_bytes(good[: 6 * 4096] + bytes(4096) + good[7 * 4096 :])
    with pytest.warns(UserWarning, match=r"(?s)was damaged.*were recovered"):
        report = cache.verify()
    assert 2000 < report["n_vectors"] < 3000
    assert report["n_damaged"] == 0


# Prune -------------------------------------------------------------------------------------------


def test_prune_removes_what_was_not_used_for_longest(cache, clock):
    for n in range(6):
        cache.put("space", digests(n), rows(n))
        clock[0] += 2 * USE_SECONDS
    assert held(cache, [0]) == [0]  # used just now
    report = cache.prune(3 * BYTES)
    assert report == {"n_removed": 3, "n_bytes": 3 * BYTES, "n_freed": 3 * BYTES}
    assert held(cache, range(6)) == [0, 4, 5]
    (file,) = cache.directory.glob("*.f32")
    assert file.stat().st_size == 3 * BYTES
    cache.put("space", digests(7), rows(7))
    assert held(cache, range(8)) == [0, 4, 5, 7]
    assert cache.n_computed == 7


def test_prune_to_nothing_and_to_more_than_there_is(cache):
    cache.put("space", digests(0, 1), rows(0, 1))
    cache.put("arrays", digests(0, 1), [rows(0), rows(0, 1)])
    assert cache.prune(10**9)["n_removed"] == 0
    assert cache.prune(0) == {"n_removed": 4, "n_bytes": 0, "n_freed": 5 * BYTES}
    assert held(cache, [0, 1]) == []
    with pytest.raises(DataError, match="max_bytes is -1; expected 0 or more"):
        cache.prune(-1)


def test_a_use_is_noted_to_the_hour_only(cache, clock):
    cache.put("space", digests(0), rows(0))
    query = "SELECT used FROM vector"
    used = []
    for seconds in (USE_SECONDS - 1, 2):
        clock[0] += seconds
        assert held(cache, [0]) == [0]
        used.append(cache._index.connection().execute(query).fetchone()[0])
    assert used == [1_000_000_000, 1_000_000_000 + USE_SECONDS + 1]


def test_reading_does_not_wait_for_a_writer_to_note_the_use(cache, clock, tmp_path):
    cache.put("space", digests(0), rows(0))
    clock[0] += 2 * USE_SECONDS
    other = EmbeddingCache(tmp_path / "cache")
    with transaction(other._index.connection()):
        assert held(cache, [0]) == [0]
    assert cache._index.connection().execute("PRAGMA busy_timeout").fetchone()[0] > 0
    other.close()


def test_what_damage_cut_off_is_not_carried_along(cache):
    cache.put("space", digests(*range(4)), rows(*range(4)))
    (file,) = cache.directory.glob("*.f32")
    os.truncate(file, 3 * BYTES - 4)
    cache.prune(3 * BYTES)
    left = cache.stats()["n_vectors"]
    assert left < 4
    assert len(held(cache, range(4))) == left


def test_a_reader_finds_what_stays_while_another_prunes(cache, tmp_path):
    numbers = list(range(40))
    cache.put("space", digests(*numbers), rows(*numbers))
    stop = threading.Event()
    errors = []

    def prune_on():
        try:
            with EmbeddingCache(tmp_path / "cache") as other:
                for n in range(1000, 1060):
                    other.put("space", digests(n), rows(n))
                    with transaction(other._index.connection()) as connection:  # a gap to close
                        connection.execute("DELETE FROM vector WHERE digest = ?", digests(n))
                    other.prune(10**9)
        except Exception as error:
            errors.append(error)
        finally:
            stop.set()

    thread = threading.Thread(target=prune_on)
    thread.start()
    rounds = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while not stop.is_set():
            assert held(cache, numbers) == numbers
            rounds += 1
    thread.join()
    assert not errors
    assert rounds > 0
    assert len(list(cache.directory.glob("*.f32"))) == 1


def test_a_limit_is_kept_and_results_stay_right(checkpoint, proteins, tmp_path):
    limit = 10 * 32 * 4
    with EmbeddingCache(tmp_path, max_bytes=limit) as cache:
        embedder = ESMEmbedder(checkpoint, cache=cache, batch_residues=100)
        expected = ESMEmbedder(checkpoint, cache=None).transform(proteins)
        for _ in range(2):
            np.testing.assert_allclose(embedder.transform(proteins), expected, atol=1e-5)
            assert sum(f.stat().st_size for f in tmp_path.glob("*.f32")) <= limit
        assert embedder.n_computed_ > 0
        assert cache.stats()["n_vectors"] > 0
        assert repr(cache).endswith(f"max_bytes={limit})")
    with pytest.raises(DataError, match="max_bytes is 0; expected at least 1"):
        EmbeddingCache(tmp_path, max_bytes=0)


# Export and import -------------------------------------------------------------------------------


def test_a_cache_travels(cache, tmp_path):
    cache.put("space", digests(0, 1), rows(0, 1), description={"name": "tiny"})
    cache.put("arrays", digests(0, 1), [rows(0), rows(0, 1)])
    assert cache.export_to(tmp_path / "copy") == 4
    assert {f.suffix for f in (tmp_path / "copy").iterdir()} == {".sqlite", ".f32"}
    with EmbeddingCache(tmp_path / "new") as new:
        new.put("space", digests(1, 2), rows(1, 2))
        assert new.import_from(tmp_path / "copy") == 3
        assert held(new, range(4)) == [0, 1, 2]
        assert (
            new.get("arrays", digests(1), width=None)[1][0].tolist() == rows(0, 1).ravel().tolist()
        )
        assert new.import_from(tmp_path / "copy") == 0
    with pytest.raises(CacheError, match=r"copy exists; expected the name of a folder to make"):
        cache.export_to(tmp_path / "copy")
    with pytest.raises(CacheError, match="holds no embedding cache"):
        cache.import_from(tmp_path)


def test_damage_is_not_exported(cache, tmp_path):
    cache.put("space", digests(0, 1, 2), rows(0, 1, 2))
    (file,) = cache.directory.glob("*.f32")
    with open(file, "r+b") as handle:
        handle.seek(BYTES)
        handle.write(b"\xff")
    with pytest.warns(UserWarning, match="damaged"):
        assert cache.export_to(tmp_path / "copy") == 2
    with EmbeddingCache(tmp_path / "copy") as copy:
        assert held(copy, [0, 1, 2]) == [0, 2]


# Formats and disks -------------------------------------------------------------------------------

_EARLIER = """
PRAGMA application_id = 0x45534D4C; PRAGMA user_version = 2; PRAGMA journal_mode = WAL;
CREATE TABLE space (id INTEGER PRIMARY KEY, fingerprint TEXT UNIQUE NOT NULL, file TEXT);
"""


def test_a_cache_of_an_earlier_format_is_set_aside_whole(tmp_path):
    (tmp_path / "space-1.f32").write_bytes(rows(0).tobytes())
    connection = sqlite3.connect(tmp_path / "index.sqlite")
    connection.executescript(_EARLIER)
    connection.close()
    with EmbeddingCache(tmp_path) as cache:
        with pytest.warns(UserWarning, match="has an earlier format and was moved to"):
            assert held(cache, [0]) == []
        cache.put("space", digests(0), rows(0))
        assert held(cache, [0]) == [0]
    (aside,) = tmp_path.glob("earlier-format-*")
    assert (aside / "space-1.f32").read_bytes() == rows(0).tobytes()
    assert (aside / "index.sqlite").is_file()


def test_an_index_cannot_lead_out_of_the_folder(cache, tmp_path):
    cache.put("space", digests(0), rows(0))
    (tmp_path / "secret.f32").write_bytes(rows(0).tobytes())
    cache._index.connection().execute("UPDATE namespace SET file = '../secret.f32'")
    with pytest.warns(UserWarning, match="damaged"):
        assert held(cache, [0]) == []
    cache.put("space", digests(1), rows(1))
    assert (tmp_path / "secret.f32").read_bytes() == rows(0).tobytes()


def test_a_foreign_database_keeps_every_byte(tmp_path):
    connection = sqlite3.connect(tmp_path / "index.sqlite")
    connection.execute("CREATE TABLE precious (x)")
    connection.commit()
    connection.close()
    before = (tmp_path / "index.sqlite").read_bytes()
    with pytest.raises(CacheError, match="of another program"):
        EmbeddingCache(tmp_path).stats()
    assert (tmp_path / "index.sqlite").read_bytes() == before


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ("/dev/sda / ext4 rw 0 0\nhost:/x {} nfs4 rw 0 0\n", "nfs4"),
        ("host:/x / nfs rw 0 0\n/dev/sda {} ext4 rw 0 0\n", None),
        ("host:/x {}/elsewhere nfs rw 0 0\n/dev/sda / ext4 rw 0 0\n", None),
        ("", None),
    ],
)
def test_network_file_systems_are_told_apart(mounts, expected, tmp_path, monkeypatch):
    table = tmp_path / "mounts"
    folder = tmp_path / "a b"
    folder.mkdir()
    table.write_text(mounts.format(str(tmp_path).replace(" ", "\\040")))
    monkeypatch.setattr("esmlearn.embedding._cache.index._MOUNTS", table)
    assert network_file_system(folder) == expected


def test_a_cache_on_a_network_file_system_warns_and_works(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_index, "network_file_system", lambda _: "nfs4")
    monkeypatch.setattr(cache_index, "_warned_of", set())
    with EmbeddingCache(tmp_path) as cache:
        with pytest.warns(UserWarning, match=r"network file system \(nfs4\)"):
            cache.put("space", digests(0), rows(0))
        assert held(cache, [0]) == [0]
        mode = cache._index.connection().execute("PRAGMA journal_mode").fetchone()[0]
        assert mode == "delete"


_LIMITED = """
import resource, sys, warnings
import numpy as np
from esmlearn.embedding import EmbeddingCache
from esmlearn.utils._sequences import sequence_digest
limit = int(sys.argv[2])
cache = EmbeddingCache(sys.argv[1])
cache.stats()
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
warnings.simplefilter("ignore")
stored = [
    cache.put("space", [sequence_digest("A" * (n + 1))], np.full((1, 8), n, np.float32))
    for n in range(100)
]
print(sum(stored))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of files are a matter of POSIX")
@pytest.mark.parametrize("limit", [40 * BYTES, 40_000])
def test_what_a_full_disk_let_through_is_right(limit, cache):
    """The system itself refuses to let a file grow: of the vectors, or of the log first."""
    process = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(cache.directory), str(limit)],
        capture_output=True,
        text=True,
        check=True,
    )
    stored = int(process.stdout)
    assert stored < 100
    found, read = cache.get("space", digests(*range(100)), width=WIDTH)
    assert found.sum() == stored
    assert (read[found] == np.arange(100)[found][:, None]).all()
    assert cache.verify()["n_damaged"] == 0


_READING = """
import os, sys, warnings
import numpy as np
from esmlearn.embedding import EmbeddingCache
from esmlearn.utils._sequences import sequence_digest
os.setgid(65534); os.setuid(65534)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    cache = EmbeddingCache(sys.argv[1])
    found, read = cache.get("space", [sequence_digest("A")], width=8)
    stored = cache.put("space", [sequence_digest("AA")], read)
assert found.all() and not stored, (found, stored)
assert "is read-only: nothing new is stored" in str(caught[0].message), caught
print(read[0].tolist())
"""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another account to read as"
)
def test_another_account_reads_what_it_may_not_write(cache, tmp_path):
    cache.put("space", digests(0), rows(0))
    cache.close()
    for path in [cache.directory, *cache.directory.iterdir()]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    parents = [p for p in tmp_path.parents if p.stat().st_mode & 0o005 != 0o005]
    for parent in [tmp_path, *parents]:
        parent.chmod(0o755)
    process = subprocess.run(
        [sys.executable, "-c", _READING, str(cache.directory)], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == str(rows(0)[0].tolist())
