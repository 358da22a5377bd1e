import pytest

from esmlearn.exceptions import EngineNotFoundError
from esmlearn.utils._optional import import_optional
from esmlearn.utils._paths import atomic_write, cache_directory


def test_cache_directory_follows_the_environment(private_cache):
    assert cache_directory("graphs") == private_cache / "graphs"
    assert (private_cache / "graphs").is_dir()


def test_atomic_write_replaces_whole_or_not_at_all(tmp_path):
    target = tmp_path / "a" / "result.csv"
    with atomic_write(target) as temporary:
        temporary.write_text("first")
    assert target.read_text() == "first"

    def fail():
        with atomic_write(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail()
    assert target.read_text() == "first"
    assert [p.name for p in target.parent.iterdir()] == ["result.csv"]


def test_missing_library_names_the_extra():
    with pytest.raises(EngineNotFoundError, match=r'pip install "esmlearn\[plot\]"'):
        import_optional("no_such_library_here", extra="plot", purpose="Plotting")
