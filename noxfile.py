"""Test against the oldest and the newest supported dependencies, and what is to be released.

``nox -s oldest``, ``nox -s newest`` and ``nox -s wheel``, or ``nox`` for all of them.

The lower bounds are read from pyproject.toml, so that what is promised is what is tested.
"""

import re
import shutil
import tomllib
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What old releases need of packages that they name without an upper bound.
COMPANIONS = ("pyparsing<3.3",)  # matplotlib 3.10.1
TEST_EXTRAS = ("metis", "hdf5", "parquet", "plot", "study", "demo", "test")

nox.options.sessions = ["oldest", "newest", "wheel"]
nox.options.default_venv_backend = "venv"


def requirements() -> list[str]:
    """List what the package and its tests need, without the references of extras to each other."""
    extras = PROJECT["optional-dependencies"]
    listed = PROJECT["dependencies"] + [item for name in TEST_EXTRAS for item in extras[name]]
    return [item for item in listed if not item.startswith("esmlearn[")]


def at_lower_bound(requirement: str) -> str:
    return re.sub(r">=\s*([\w.]+)", r"==\1", requirement)


def run_suite(session: nox.Session, installed: list[str]) -> None:
    session.install(*installed)
    # Without dependencies: pip must not raise what was just installed.
    session.install("--no-deps", "-e", ".")
    session.run("python", "-m", "pip", "list")
    session.run(
        "python",
        "-m",
        "pytest",
        *session.posargs,
        env={"ESMLEARN_CACHE": session.create_tmp(), "OMP_NUM_THREADS": "1"},
    )


@nox.session(python="3.11")
def oldest(session: nox.Session) -> None:
    """Run the suite with every dependency at the lower bound that pyproject.toml states."""
    # Only the demo pins torch; the package's own range is what is tested here.
    wanted = [item for item in requirements() if not item.startswith("torch==")]
    run_suite(session, [*map(at_lower_bound, wanted), *COMPANIONS])


@nox.session
def newest(session: nox.Session) -> None:
    """Run the suite with the newest releases that pip finds."""
    wanted = [item for item in requirements() if not item.startswith("torch==")]
    run_suite(session, ["--upgrade", *wanted])


@nox.session
def wheel(session: nox.Session) -> None:
    """Build sdist and wheel, check them, and run the tests of the sdist against the wheel."""
    session.install("build", "twine", *requirements())
    built = Path(session.create_tmp()) / "dist"
    # The wheel is built from the sdist: what is missing there is missing here.
    session.run("python", "-m", "build", "--outdir", str(built), str(ROOT))
    (sdist,) = built.glob("*.tar.gz")
    (wheel,) = built.glob("*.whl")
    session.run("python", "-m", "twine", "check", "--strict", str(sdist), str(wheel))
    session.install("--no-deps", "--force-reinstall", str(wheel))
    elsewhere = built.parent / "elsewhere"
    shutil.rmtree(elsewhere, ignore_errors=True)
    shutil.unpack_archive(sdist, elsewhere, filter="data")
    (source,) = elsewhere.iterdir()
    shutil.rmtree(source / "esmlearn")  # the tests must see the installed one
    session.chdir(source)
    test = ["python", "-m", "pytest", "tests", "--pyargs", "esmlearn", *session.posargs]
    session.run(*test, env={"ESMLEARN_CACHE": session.create_tmp(), "OMP_NUM_THREADS": "1"})
