"""Downloads from a local server: checksums, offline mode, and what FLIP's files hold."""

import hashlib
import io
import threading
import zipfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest

from esmlearn import datasets
from esmlearn.datasets import _flip, fetch_flip_aav, fetch_flip_gb1, fetch_flip_scl
from esmlearn.datasets._fetch import git_blob_id
from esmlearn.exceptions import DataError, DownloadError, EngineNotFoundError

pooch = pytest.importorskip("pooch")
GB1 = (
    "sequence,target,set,validation\n"
    "MKVA,1.0,train,\nMKVC,0.5,train,True\nMKVD,0.1,test,\nMKVE,,test,\nMKVF,0.2,,\n"
)
SCL = "sequence,target,set,validation,Classes\nMKVA,,train,,Nucleus;Plastid\nMKVC,,test,,Nucleus\n"


def packed(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("splits/.DS_Store", b"\0")
        for name, text in members.items():
            archive.writestr(f"splits/{name}.csv", text)
    return buffer.getvalue()


class QuietHandler(SimpleHTTPRequestHandler):
    asked = 0

    def log_message(self, *args):
        type(self).asked += 1


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of made files that stands in for FLIP's; their checksums are known."""
    contents = {
        "gb1": packed(two_vs_rest=GB1),
        "scl": packed(mixed_vs_human_2=SCL),
        "aav": packed(sampled="sequence,score,set\nMKV,1,train\n"),
    }
    monkeypatch.setattr(QuietHandler, "asked", 0)
    handler = partial(QuietHandler, directory=str(tmp_path / "remote"))
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    sets = dict(_flip._SETS)
    for name, content in contents.items():
        path = tmp_path / "remote" / name / "splits.zip"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        file = replace(
            sets[name].file,
            folder=f"http://127.0.0.1:{httpd.server_port}",
            blob=git_blob_id(content),
            sha256=hashlib.sha256(content).hexdigest() if name == "gb1" else None,
        )
        sets[name] = replace(sets[name], file=file)
    monkeypatch.setattr(_flip, "_SETS", sets)
    yield tmp_path / "remote"
    httpd.shutdown()
    httpd.server_close()


def test_a_file_is_downloaded_once_and_checked_each_time(server, tmp_path):
    home = tmp_path / "home"
    first = fetch_flip_gb1(data_home=home)
    again = fetch_flip_gb1(data_home=home)
    assert QuietHandler.asked == 1
    assert first.frame.equals(again.frame)
    assert first.sha256 == hashlib.sha256((home / "gb1/splits.zip").read_bytes()).hexdigest()
    (home / "gb1/splits.zip").write_bytes(b"damaged")
    assert fetch_flip_gb1(data_home=home).frame.equals(first.frame)
    assert QuietHandler.asked == 2


def test_rows_of_other_splits_are_left_out_and_counted(server, tmp_path):
    bunch = fetch_flip_gb1(data_home=tmp_path)
    assert bunch.frame["split"].tolist() == ["train", "validation", "test"]
    assert bunch.target.tolist() == [1.0, 0.5, 0.1]
    assert bunch.ids.tolist() == [f"gb1_two_vs_rest_{i}" for i in range(3)]
    assert "(2 here) are left out" in bunch.DESCR
    for subset, n in {"train": 1, "validation": 1, "test": 1, "all": 3}.items():
        data, target = fetch_flip_gb1(subset=subset, data_home=tmp_path, return_X_y=True)
        assert data.shape == target.shape == (n,)


def test_several_locations_are_one_class(server, tmp_path):
    bunch = fetch_flip_scl("mixed_vs_human_2", data_home=tmp_path, as_frame=True)
    assert isinstance(bunch.target, pd.Series)
    assert bunch.target_names == ["Nucleus", "Nucleus;Plastid"]


@pytest.mark.parametrize("fetch", [fetch_flip_gb1, partial(fetch_flip_scl, "mixed_vs_human_2")])
def test_other_content_is_refused_and_deleted(server, tmp_path, fetch):
    for path in server.rglob("splits.zip"):
        path.write_bytes(packed(two_vs_rest=GB1.replace("0.5", "0.9"), mixed_vs_human_2=SCL))
    with pytest.raises(DownloadError, match=r"hash|expected") as caught:
        fetch(data_home=tmp_path / "home")
    assert "copy it to" in str(caught.value)
    assert not list((tmp_path / "home").rglob("*.zip"))


def test_offline_nothing_is_asked_for(server, tmp_path):
    with pytest.raises(OSError, match=r"is not there, and downloads are off\. .*copy it to"):
        fetch_flip_gb1(data_home=tmp_path / "home", download_if_missing=False)
    path = tmp_path / "home" / "gb1" / "splits.zip"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"another")
    with pytest.raises(DownloadError, match="has another checksum, and downloads are off"):
        fetch_flip_gb1(data_home=tmp_path / "home", download_if_missing=False)
    assert path.read_bytes() == b"another"
    path.write_bytes((server / "gb1/splits.zip").read_bytes())
    assert len(fetch_flip_gb1(data_home=tmp_path / "home", download_if_missing=False).data) == 3
    assert QuietHandler.asked == 0


def test_a_missing_file_names_the_url(server, tmp_path):
    (server / "gb1/splits.zip").unlink()
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1.*cannot be downloaded \(404"):
        fetch_flip_gb1(data_home=tmp_path / "home")


def test_without_pooch_the_extra_is_named(server, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pooch", None)
    with pytest.raises(EngineNotFoundError, match=r"esmlearn\[fetch\]"):
        fetch_flip_gb1(data_home=tmp_path)


def test_by_default_data_lie_in_the_cache(server, tmp_path, monkeypatch):
    monkeypatch.setenv("ESMLEARN_CACHE", str(tmp_path / "cache"))
    path = fetch_flip_gb1().filename
    assert path == str(tmp_path / "cache" / "datasets" / "gb1" / "splits.zip")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fetch_flip_gb1("two"), "split is 'two'; expected one of one_vs_rest, two_vs"),
        (lambda: fetch_flip_gb1(subset="dev"), "subset is 'dev'; expected one of all, train"),
    ],
)
def test_unknown_names_are_refused_before_the_network(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_an_archive_of_another_form_is_named(server, tmp_path):
    with pytest.raises(DataError, match=r"has no splits/one_vs_rest\.csv; it has splits/\.DS_S"):
        fetch_flip_gb1("one_vs_rest", data_home=tmp_path)
    with pytest.raises(DataError, match="has no column 'target'"):
        fetch_flip_aav("sampled", data_home=tmp_path)


def test_the_id_is_gits():
    assert git_blob_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


@pytest.mark.network
@pytest.mark.parametrize("name", ["aav", "gb1", "meltome", "scl"])
def test_the_real_files(name, tmp_path):
    fetch = getattr(datasets, f"fetch_flip_{name}")
    for split in _flip._SETS[name].splits:
        bunch = fetch(split, data_home=tmp_path)
        assert {"train", "test"} <= set(bunch.frame["split"])
        assert len(bunch.data) > 1000
        if name != "scl":
            assert np.isfinite(bunch.target).all()
