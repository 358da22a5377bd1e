"""Tables, figures and numbers of the docs can be made from the results that are kept."""

import re
import sys

import pytest

from tests.docs._blocks import PAGES, ROOT


@pytest.fixture(scope="module")
def measured():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import measured

        yield measured
    finally:
        sys.path.remove(str(ROOT / "docs"))


@pytest.fixture(scope="module")
def drawn(measured, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    measured.write_all(folder)
    return folder


def pages():
    return {page: (ROOT / page).read_text() for page in PAGES if page.startswith("docs/")}


def test_all_that_pages_include_is_made(drawn):
    named = {name for text in pages().values() for name in re.findall(r"_drawn/([\w.]+)", text)}
    assert named == {path.name for path in drawn.iterdir()}


def test_tables_are_rectangular_and_full(measured):
    for name, make in measured.TABLES.items():
        header, rows = make()
        assert rows, name
        assert {len(row) for row in rows} == {len(header)}, name


def test_numbers_are_those_that_pages_name(measured):
    named = {name for text in pages().values() for name in re.findall(r"\{\{ *(\w+) *\}\}", text)}
    assert named == set(measured.numbers())


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0"), (0.0004, "0.04"), (0.004, "0.4"), (0.61, "61.0"), (1.0, "100.0")]
)
def test_only_a_zero_is_written_as_one(measured, share, text):
    from measured._results import percent

    assert percent(share) == text
