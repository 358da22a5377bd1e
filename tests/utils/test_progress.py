"""Where a progress bar shows."""

import sys

import pytest
from tqdm import auto

from esmlearn.utils._progress import progress_bar


@pytest.mark.parametrize("verbose", [0, 1, 2])
@pytest.mark.parametrize("where", ["terminal", "notebook", "pipe"])
def test_a_bar_shows_on_a_terminal_and_in_a_notebook(where, verbose, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: where == "terminal", raising=False)
    if where == "notebook":  # tqdm then brings a class of its own
        monkeypatch.setattr(auto, "tqdm", type("Notebook", (auto.tqdm,), {}))
    bar = progress_bar(total=3, description="Working", unit="step", verbose=verbose)
    assert bar.disable == (verbose == 0 or (verbose == 1 and where == "pipe"))
    bar.close()
