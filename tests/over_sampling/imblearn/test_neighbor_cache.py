import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from esmlearn.over_sampling import RegionOverSampler
from esmlearn.over_sampling._imblearn import proxies
from esmlearn.over_sampling._imblearn.neighbor_cache import (
    NeighborCache,
    content_digest,
    neighbor_cache,
)
from tests.over_sampling._data import make_long_tail

pytestmark = pytest.mark.filterwarnings("ignore::esmlearn.exceptions.ResamplingWarning")


@pytest.fixture
def searches(monkeypatch):
    """Count the neighbour searches that are really made."""
    neighbor_cache.clear()
    made = []
    search = proxies._search
    monkeypatch.setattr(proxies, "_search", lambda *args: made.append(1) or search(*args))
    return made


def resample(X, y, sampler, level):
    params = {"regions": [48.0], "rare": [1], "random_state": 0}
    return RegionOverSampler(sampler, level=level, **params).fit_resample(X, y)


def test_levels_of_a_grid_share_their_searches(searches):
    X, y, _ = make_long_tail(400)
    for level in (100, 200, 300):
        for sampler in ("random", "smote", "adasyn"):
            resample(X, y, sampler, level)
    assert len(searches) == 2  # SMOTE and ADASYN share the search among members


def test_shared_tables_do_not_change_results(searches):
    X, y, _ = make_long_tail(400)
    first = resample(X, y, "adasyn", 100)
    again = resample(X.copy(), y, "adasyn", 100)
    assert_array_equal(first[0], again[0])
    assert len(searches) == 2


def test_other_rows_are_searched_again(searches):
    X, y, _ = make_long_tail(400)
    resample(X, y, "smote", 100)
    X = X.copy()
    X[np.argmax(y), 0] = np.nextafter(X[np.argmax(y), 0], np.float32(np.inf))
    resample(X, y, "smote", 100)
    assert len(searches) == 2


def test_memory_is_bounded_and_oldest_goes_first():
    cache = NeighborCache(max_bytes=800)
    for key in "abc":
        cache.get(key, lambda: np.zeros(50))
        cache.get("a", lambda: np.zeros(50))
    assert len(cache) == 2
    assert cache.get("a", lambda: pytest.fail("was dropped")).size == 50
    cache.get("big", lambda: np.zeros(1000))
    assert len(cache) == 2


def test_tables_cannot_be_written_to():
    table = NeighborCache().get("a", lambda: np.zeros(3))
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 1


def test_threads_get_the_same_results():
    X, y, _ = make_long_tail(400)
    expected = {level: resample(X, y, "adasyn", level)[0] for level in (100, 200, 300)}
    neighbor_cache.clear()
    wrong = []

    def work(level):
        if not np.array_equal(resample(X, y, "adasyn", level)[0], expected[level]):
            wrong.append(level)

    threads = [threading.Thread(target=work, args=(level,)) for level in (100, 200, 300) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_digest_sees_shape_type_and_content():
    X = np.arange(6.0)
    different = [
        X.reshape(2, 3),
        X.reshape(3, 2),
        X.reshape(3, 2).astype(np.float32),
        X.reshape(3, 2)[::-1],
        sparse.csr_matrix(X.reshape(3, 2)),
        sparse.csc_matrix(X.reshape(3, 2)),
    ]
    assert len({content_digest(matrix) for matrix in different}) == len(different)
    assert content_digest(np.asfortranarray(X.reshape(2, 3))) == content_digest(X.reshape(2, 3))
