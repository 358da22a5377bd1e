"""Temporary directories: gone with their block, and never taken from a process that lives."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from esmlearn.utils._scratch import remove_abandoned, working_directory

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
    return tmp_path


@pytest.fixture
def left_behind(temporary):
    """The directory of a process that was killed."""
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        folder = Path(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)
    return folder


def age(path, seconds=2 * 86_400):
    before = path.stat().st_mtime - seconds
    os.utime(path, (before, before))


def test_it_is_removed_when_the_block_ends(temporary):
    def work():
        with working_directory() as folder:
            (folder / "data").write_text("x")
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert not list(temporary.glob("*/*"))


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_what_a_killed_process_left_is_removed_after_a_day(left_behind, temporary):
    assert left_behind.parent.parent == temporary
    assert remove_abandoned() == 0
    age(left_behind)
    assert remove_abandoned() == 0  # the file in it is young
    age(left_behind / "data")
    age(left_behind)
    with working_directory() as used:
        assert remove_abandoned() == 1
        assert used.exists()
    assert not left_behind.exists()


@pytest.mark.skipif(os.name != "posix", reason="Windows has a temporary folder per user")
def test_a_folder_of_another_is_not_used(temporary, monkeypatch):
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (temporary / f"esmlearn-{os.getuid()}").symlink_to(elsewhere, target_is_directory=True)
    with working_directory() as folder:
        assert folder.parent == temporary
        assert not list(elsewhere.iterdir())
    stranger = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: stranger)
    (temporary / f"esmlearn-{stranger}").mkdir()
    with working_directory() as folder:
        assert folder.parent == temporary
    assert remove_abandoned() == 0
