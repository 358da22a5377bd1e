"""The link checker finds what is broken, and nothing else."""

import importlib.util

import pytest

from tests.docs._blocks import ROOT


@pytest.fixture(scope="module")
def check_site():
    spec = importlib.util.spec_from_file_location("check_links", ROOT / "docs" / "check_links.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.check_site


def write(folder, **pages):
    for name, body in pages.items():
        (folder / f"{name}.html").write_text(f"<html><body>{body}</body></html>")


def test_sound_site(check_site, tmp_path):
    (tmp_path / "plot 1.svg").write_text("<svg/>")
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", index='<h1 id="here">x</h1><a href="#here"></a>')
    write(
        tmp_path,
        index='<a href="sub/#here">x</a><img src="plot%201.svg"><a href="https://example.org">y</a>'
        '<img src="data:image/png;base64,AAAA"><a href="#">top</a>',
    )
    assert check_site(tmp_path) == ([], {"pages": 2, "internal": 4, "external": 1})


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ('<a href="gone.html">x</a>', "index.html: gone.html is not there"),
        ('<a href="#gone">x</a>', "index.html: #gone has no such anchor"),
        ('<img src="gone.png">', "index.html: gone.png is not there"),
        (
            '<script src="https://cdn.example.org/a.js"></script>',
            "index.html: https://cdn.example.org/a.js is loaded from another site",
        ),
        (
            '<link rel="stylesheet" href="//cdn.example.org/a.css">',
            "index.html: //cdn.example.org/a.css is loaded from another site",
        ),
    ],
)
def test_broken_references_are_named(check_site, tmp_path, body, complaint):
    write(tmp_path, index=body)
    assert check_site(tmp_path)[0] == [complaint]
