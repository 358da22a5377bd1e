"""What holds for the package as a whole: light to import, complete in its API page."""

import importlib
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

import esmlearn
from esmlearn.embedding import ESMEmbedder

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


# Without torch -----------------------------------------------------------------------------------

WITHOUT_TORCH = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "esm", "skorch"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from esmlearn.embedding import ESMEmbedder
from esmlearn.exceptions import EngineNotFoundError
from esmlearn.metrics import region_report
from esmlearn.model_selection import CDHitGroupSplitter, audit_leakage
from esmlearn.neural_network import MLPRegressor
from esmlearn.over_sampling import RegionOverSampler
from esmlearn.pipeline import make_pipeline

sequences = sys.argv[1:]
y = np.arange(len(sequences)) * 1.0
embedder = ESMEmbedder("esmlearn_mini_v3")
X = embedder.fit_transform(sequences)
assert embedder.n_computed_ == 0
model = make_pipeline(
    embedder, RegionOverSampler("random", regions=[50.0], rare=[1], random_state=0), Ridge()
)
folds = CDHitGroupSplitter(3, random_state=0)
assert len(cross_val_score(model, sequences, y, cv=folds)) == 3
region_report(y, model.fit(sequences, y).predict(sequences), regions=[50.0])
for act in (
    lambda: embedder.transform(["MKTAYIAKQR"]),
    lambda: MLPRegressor().fit(X, y),
    lambda: ESMEmbedder("esm2_t6_8M_UR50D").fit(sequences),
):
    try:
        act()
    except EngineNotFoundError as error:
        assert "needs torch" in str(error), error
    else:
        raise AssertionError("torch was not needed")
"""


def test_what_runs_no_network_needs_no_torch(families, tmp_path):
    sequences, _ = families
    ESMEmbedder("esmlearn_mini_v3").fit_transform(sequences)
    environment = {**os.environ, "TORCH_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *sequences], check=True, env=environment)


def test_the_install_page_names_all_dependencies_but_those_of_networks():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
    (line,) = re.findall(r"install (filelock .*)", (ROOT / "docs" / "install.md").read_text())
    assert line.split() == sorted(names - {"torch", "fair-esm", "skorch"})


# Types -------------------------------------------------------------------------------------------


def test_a_users_script_sees_our_types(tmp_path):
    pytest.importorskip("mypy")
    script = """\
        from esmlearn.embedding import ESMEmbedder
        from esmlearn.model_selection import CDHitGroupSplitter

        reveal_type(ESMEmbedder().fingerprint())
        CDHitGroupSplitter(n_splits="five")
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "script.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert 'Revealed type is "str"' in run.stdout, run.stdout
    assert 'incompatible type "str"; expected "int"' in run.stdout, run.stdout
