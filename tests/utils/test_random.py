import numpy as np

from esmlearn.utils._random import random_generator


def test_none_is_no_global_generator():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()  # noqa: NPY002
    first, second = (random_generator(None).randint(2**31, size=4) for _ in range(2))
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert np.random.get_state()[2] == before[2]  # noqa: NPY002
    assert not np.array_equal(first, second)


def test_seeds_and_generators_are_what_scikit_learn_takes_them_for():
    expected = np.random.RandomState(3).randint(100, size=4)
    np.testing.assert_array_equal(random_generator(3).randint(100, size=4), expected)
    given = np.random.RandomState(3)
    assert random_generator(given) is given
