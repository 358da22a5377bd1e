"""What holds for the package as a whole: light to import, complete in its API page."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import esmlearn

ROOT = Path(__file__).parents[1]
ROOMS = [name for name in esmlearn.__all__ if name != "__version__"]
HEAVY = ["torch", "esm", "skorch", "matplotlib", "sklearn", "pandas", "scipy"]


def modules_after(statement):
    code = f"import sys; {statement}; print(*sorted(m for m in sys.modules if '.' not in m))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_import_loads_nothing_heavy():
    assert not set(HEAVY) & set(modules_after("import esmlearn"))


@pytest.mark.parametrize(
    "room", ["clustering", "model_selection", "over_sampling", "metrics", "pipeline", "io"]
)
def test_rooms_without_networks_do_not_load_torch(room):
    assert not {"torch", "esm", "matplotlib"} & set(modules_after(f"import esmlearn.{room}"))


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_exist_are_sorted_and_documented(room):
    module = importlib.import_module(f"esmlearn.{room}")
    assert list(module.__all__) == sorted(module.__all__)
    for name in module.__all__:
        public = getattr(module, name)
        assert not callable(public) or public.__doc__, f"esmlearn.{room}.{name} has no docstring"


@pytest.mark.parametrize("room", ROOMS)
def test_api_page_lists_every_public_name(room):
    page = (ROOT / "docs" / "api.md").read_text()
    missing = [
        name
        for name in importlib.import_module(f"esmlearn.{room}").__all__
        if f"   ~esmlearn.{room}.{name}\n" not in page
    ]
    assert not missing


def test_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'no_such_room'"):
        esmlearn.no_such_room  # noqa: B018


def test_rooms_are_listed():
    assert set(esmlearn.__all__) <= set(dir(esmlearn))
