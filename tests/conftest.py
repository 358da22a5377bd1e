import logging
import os

import pytest
from hypothesis import settings

from tests._proteins import make_families

# How long an example takes depends on what else the machine does.
settings.register_profile("esmlearn", deadline=None)
settings.load_profile("esmlearn")

# One thread per test process: the suite may run in parallel, and results must not depend on it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory, monkeypatch):
    """Keep every test away from the user's cache and from other tests' caches."""
    path = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("ESMLEARN_CACHE", str(path))
    return path


@pytest.fixture(autouse=True)
def logging_as_it_was():
    """Take back what the command line does to the package's logger, which other tests listen to.

    Before the test as well: fixtures of a session run the command line outside of any test.
    """
    _reset_logging()
    yield
    _reset_logging()


def _reset_logging():
    logger = logging.getLogger("esmlearn")
    logger.setLevel(logging.NOTSET)
    logger.propagate, logger.handlers = True, []


@pytest.fixture(scope="session")
def families():
    """60 proteins in 20 families, with their family labels."""
    return make_families(20, 3, seed=0)
