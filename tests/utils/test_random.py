import numpy as np
from sklearn.ensemble import BaggingRegressor, RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVR

from esmlearn.utils._random import random_generator, seed_unseeded


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


def test_only_missing_seeds_are_set_and_inner_ones_too():
    model = make_pipeline(
        BaggingRegressor(RandomForestRegressor()), RandomForestRegressor(random_state=7)
    )
    assert seed_unseeded(model, 0) is model
    outer, inner = model[0].random_state, model[0].estimator.random_state
    assert isinstance(outer, int)
    assert isinstance(inner, int)
    assert outer != inner
    assert model[1].random_state == 7
    again = seed_unseeded(make_pipeline(BaggingRegressor(RandomForestRegressor())), 0)
    assert (outer, inner) == (again[0].random_state, again[0].estimator.random_state)


def test_nothing_is_drawn_for_an_estimator_that_needs_no_seed():
    generator = np.random.RandomState(0)
    seed_unseeded(SVR(), generator)
    assert generator.randint(2**31) == np.random.RandomState(0).randint(2**31)
