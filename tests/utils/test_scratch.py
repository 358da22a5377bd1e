"""Temporary directories: gone with their process, and never taken from one that lives."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from esmlearn.utils import _scratch
from esmlearn.utils._scratch import remove_abandoned, working_directory

pytestmark = pytest.mark.skipif(os.name != "posix", reason="locks are POSIX")
OWNER = """
import sys
from esmlearn.utils._scratch import working_directory
with working_directory() as folder:
    (folder / "data").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    remove_abandoned.cache_clear()
    yield tmp_path
    remove_abandoned.cache_clear()


@pytest.fixture
def owner(temporary):
    """A process that holds a directory, and the directory, which looks an hour old."""
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        folder = Path(process.stdout.readline().strip())
        age(folder)
        yield process, folder
        process.kill()


def age(folder):
    marker = folder / _scratch._LOCK
    before = marker.stat().st_mtime - 3600
    os.utime(marker, (before, before))


def test_it_is_removed_when_the_block_ends(temporary):
    def work():
        with working_directory() as folder:
            (folder / "data").write_text("x")
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert not list(temporary.iterdir())


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_uses_is_not(owner, temporary):
    process, folder = owner
    with working_directory():
        assert (folder / "data").exists()
    process.kill()
    process.wait()
    remove_abandoned.cache_clear()
    with working_directory():
        assert not folder.exists()


def test_directories_that_may_be_in_use_or_of_others_are_left(temporary):
    foreign = temporary / "esmlearn-without-lock"
    foreign.mkdir()
    young = temporary / "esmlearn-young"
    young.mkdir()
    (young / _scratch._LOCK).touch()
    link = temporary / "esmlearn-link"
    link.symlink_to(young, target_is_directory=True)
    with working_directory():
        pass
    assert sorted(temporary.iterdir()) == sorted([foreign, link, young])


def test_without_locks_nothing_looks_abandoned(temporary, monkeypatch):
    def refuse(*_):
        raise OSError("no locks here")

    monkeypatch.setattr("esmlearn.utils._scratch.fcntl.flock", refuse)
    with working_directory() as folder:
        assert not list(folder.iterdir())
