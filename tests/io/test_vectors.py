import numpy as np
import pandas as pd
import pytest

from esmlearn.exceptions import DataError, EngineNotFoundError
from esmlearn.io._vectors import (
    VECTOR_SUFFIXES,
    IdFile,
    check_vector_path,
    ids_path,
    open_vectors,
)

IDS = ["P1", 'a,b"c', "=cmd", "x" * 10_000, "é"]
FEATURES = ["f0", "f1", "f2"]


@pytest.fixture
def vectors():
    return np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def write(path, vectors, ids=IDS, n_rows=5):
    with open_vectors(path, n_rows=n_rows, features=FEATURES) as writer:
        for start in range(0, len(ids), 2):
            writer.write(ids[start : start + 2], vectors[start : start + 2])


def read(path):
    """Return ids and vectors by the libraries that users have."""
    if path.suffix == ".npy":
        return pd.read_csv(ids_path(path))["id"].tolist(), np.load(path)
    if path.suffix == ".h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path) as file:
            return [i.decode() for i in file["id"][:]], file["embedding"][:]
    readers = {".parquet": pd.read_parquet, ".csv": pd.read_csv}
    table = readers[path.suffix](path) if path.suffix in readers else pd.read_csv(path, sep="\t")
    return table["id"].tolist(), table[FEATURES].to_numpy(np.float32)


@pytest.mark.parametrize("suffix", VECTOR_SUFFIXES)
def test_blocks_become_one_file(suffix, vectors, tmp_path):
    if suffix == ".h5":
        pytest.importorskip("h5py")
    write(tmp_path / f"x{suffix}", vectors)
    ids, found = read(tmp_path / f"x{suffix}")
    assert ids == IDS
    np.testing.assert_array_equal(found, vectors)


@pytest.mark.parametrize("suffix", [s for s in VECTOR_SUFFIXES if s != ".h5"])
def test_what_is_not_complete_does_not_appear(suffix, vectors, tmp_path):
    with pytest.raises(DataError, match="5 proteins came, 6 were announced"):
        write(tmp_path / f"x{suffix}", vectors, n_rows=6)
    assert not list(tmp_path.iterdir())


def test_ids_are_read_from_their_table(vectors, tmp_path):
    write(tmp_path / "x.npy", vectors)
    ids = IdFile(ids_path(tmp_path / "x.npy"), 5)
    assert len(ids) == 5
    assert list(ids) == IDS
    assert [ids[i] for i in range(5)] == IDS
    assert ids[-1] == "é"
    assert ids[1:3] == IDS[1:3]
    assert "=cmd" in ids
    with pytest.raises(IndexError):
        ids[5]


def test_formats_are_refused_before_the_work(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"no known suffix; expected \.npy"):
        check_vector_path(tmp_path / "x.txt")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(EngineNotFoundError, match=r"esmlearn\[hdf5\]"):
        check_vector_path(tmp_path / "x.h5")
