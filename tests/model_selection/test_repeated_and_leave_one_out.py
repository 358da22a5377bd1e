import numpy as np
import pytest
from sklearn.base import clone

from esmlearn.exceptions import DataError, InsufficientComponentsError
from esmlearn.model_selection import LeaveOneComponentOut, RepeatedCDHitGroupSplitter
from tests._proteins import make_families

# Sets drawn at random are so small that a part may be balanced by size alone, with a warning.
pytestmark = pytest.mark.filterwarnings("ignore:.* strata are too many for parts of")


@pytest.fixture(scope="module")
def proteins():
    sequences, family = make_families(12, [1, 1, 2, 3] * 3, seed=1)
    return sequences, np.random.default_rng(0).normal(size=len(sequences)), family


def test_repetitions_differ_and_each_is_complete(proteins):
    sequences, y, family = proteins
    splitter = RepeatedCDHitGroupSplitter(3, n_repeats=4, random_state=0)
    pairs = list(splitter.split(sequences, y))
    assert len(pairs) == splitter.get_n_splits() == 12
    repeats = [tuple(tuple(test) for _, test in pairs[i : i + 3]) for i in range(0, 12, 3)]
    assert len(set(repeats)) > 1
    for repeat in repeats:
        assert sorted(row for test in repeat for row in test) == list(range(len(sequences)))
    for train, test in pairs:
        assert not set(family[train]) & set(family[test])
    assert splitter.summary()["repeat"].tolist() == np.repeat(range(4), 3).tolist()
    assert [len(aside) for aside in splitter.set_aside_] == [0] * 4


def test_repetitions_repeat_by_seed(proteins):
    sequences, y, _ = proteins
    splitter = RepeatedCDHitGroupSplitter(3, n_repeats=2, random_state=5)
    first = [test.tolist() for _, test in splitter.split(sequences, y)]
    assert [test.tolist() for _, test in clone(splitter).split(sequences, y)] == first


def test_a_summary_needs_a_split():
    with pytest.raises(DataError, match="call split"):
        RepeatedCDHitGroupSplitter().summary()


def test_each_component_is_tested_once(proteins):
    sequences, y, family = proteins
    splitter = LeaveOneComponentOut()
    tests = [test for _, test in splitter.split(sequences, y)]
    assert splitter.get_n_splits(sequences) == len(tests) == 12
    assert sorted(tuple(np.unique(family[test])) for test in tests) == [(i,) for i in range(12)]


def test_small_components_always_train(proteins):
    sequences, y, family = proteins
    splitter = LeaveOneComponentOut(min_size=2)
    pairs = list(splitter.split(np.zeros((len(sequences), 2)), y, groups=sequences))
    assert len(pairs) == 6
    assert splitter.untested_.tolist() == np.flatnonzero(np.bincount(family)[family] == 1).tolist()
    assert all(set(splitter.untested_) <= set(train) for train, _ in pairs)


def test_one_component_is_refused():
    sequences, _ = make_families(1, 5, identity=0.95)
    with pytest.raises(InsufficientComponentsError, match="expected at least 2"):
        LeaveOneComponentOut().split(sequences)


def test_no_component_to_test_is_refused(proteins):
    with pytest.raises(InsufficientComponentsError, match=r"min_size is 4, .* has 3 rows"):
        LeaveOneComponentOut(min_size=4).split(proteins[0])
