"""Rows come back in the container, with the names and the types, in which they were brought."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from esmlearn.over_sampling import (
    GaussianNoiseOverSampler,
    RegionOverSampler,
    RegionUnderSampler,
    RelevanceSampler,
)
from tests.over_sampling._data import make_long_tail

SAMPLERS = [
    RegionOverSampler("smote", random_state=0),
    RegionOverSampler("random", random_state=0),
    RegionOverSampler(None),
    GaussianNoiseOverSampler(random_state=0),
    RegionUnderSampler(random_state=0),
    RelevanceSampler(random_state=0),
]
NAMES = [f"feature {i}" for i in range(4)]


@pytest.fixture(scope="module")
def data():
    X, y, _ = make_long_tail(200, 4)
    return X, y


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
class TestContainers:
    def test_pandas(self, sampler, data):
        X, y = data
        frame = pd.DataFrame(X, columns=NAMES, index=np.arange(200) + 1000)
        X_given, y_given = sampler.fit_resample(frame, pd.Series(y, name="Tm", index=frame.index))
        X_array, y_array = sampler.fit_resample(X, y)
        assert X_given.columns.tolist() == NAMES
        assert (X_given.dtypes == np.float32).all()
        assert y_given.name == "Tm"
        assert_array_equal(X_given.index, y_given.index)
        assert_array_equal(X_given, X_array)
        assert_array_equal(y_given, y_array)

    def test_polars(self, sampler, data):
        X, y = data
        X_given, y_given = sampler.fit_resample(pl.DataFrame(X, schema=NAMES), pl.Series("Tm", y))
        X_array, y_array = sampler.fit_resample(X, y)
        assert X_given.columns == NAMES
        assert set(X_given.dtypes) == {pl.Float32}
        assert y_given.name == "Tm"
        assert_array_equal(X_given.to_numpy(), X_array)
        assert_array_equal(y_given.to_numpy(), y_array)

    def test_lists(self, sampler, data):
        X, y = data
        X_given, y_given = sampler.fit_resample(X.tolist(), y.tolist())
        assert isinstance(X_given, list)
        assert isinstance(y_given, list)
        assert len(X_given) == len(y_given)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_types_of_features(self, sampler, data, dtype):
        X, y = data
        X_given, _ = sampler.fit_resample(X.astype(dtype), y)
        assert X_given.dtype == dtype
        assert np.isin(X_given[:5], X.astype(dtype)).all()

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_types_of_targets(self, sampler, data, dtype):
        X, y = data
        assert sampler.fit_resample(X, y.astype(dtype))[1].dtype == dtype

    def test_a_target_in_a_column_stays_one(self, sampler, data):
        """A skorch net compares a flat target with a column of outputs, each with each."""
        X, y = data
        expected = sampler.fit_resample(X, y)[1]
        column = y[:, None]
        for brought in (column, column.tolist(), pd.DataFrame(column), pl.DataFrame(column)):
            given = sampler.fit_resample(X, brought)[1]
            assert isinstance(given, type(brought))
            assert_array_equal(np.asarray(given, dtype=y.dtype), expected[:, None])

    def test_feature_names_are_learned(self, sampler, data):
        X, y = data
        sampler.fit_resample(pd.DataFrame(X, columns=NAMES), y)
        assert sampler.feature_names_in_.tolist() == NAMES
        assert sampler.n_features_in_ == 4


@pytest.mark.parametrize("dtype", [np.int64, np.int16])
def test_whole_number_targets_are_a_quantity(data, dtype):
    """Temperatures are often whole numbers; imbalanced-learn would take them for classes."""
    X, y = data
    whole = y.round().astype(dtype)
    assert len(np.unique(whole)) > 20
    sampler = RegionOverSampler("smote", random_state=0)
    _, y_given = sampler.fit_resample(X, whole)
    assert sampler.regions_ is not None
    assert y_given.dtype == np.float64
    assert (y_given % 1 != 0).any()
    assert RegionOverSampler("random").fit_resample(X, whole)[1].dtype == dtype


def test_floating_point_targets_are_never_classes(data):
    X, y = data
    coarse = np.where(y > 50, 60.0, np.round(y, -1))
    assert len(np.unique(coarse)) < 10
    sampler = RegionOverSampler("smote", regions=[55.0], rare=[1], random_state=0)
    _, y_given = sampler.fit_resample(X, coarse)
    assert sampler.regions_ is not None
    assert_allclose(y_given[200:], 60)


def test_target_can_be_told(data):
    X, y = data
    few = np.digitize(y, [35, 50]) * 10
    assert RegionOverSampler().fit(X, few).regions_ is None
    assert RegionOverSampler(target="continuous", rare=[0]).fit(X, few).regions_ is not None
    assert RegionOverSampler(target="classes").fit(X, few.astype(float)).regions_ is None


def test_whole_number_columns_become_floats_where_rows_are_interpolated(data):
    X, y = data
    frame = pd.DataFrame({"length": (X[:, 0] * 100).astype(int), "value": X[:, 1]})
    interpolated = RegionOverSampler("smote", random_state=0).fit_resample(frame, y)[0]
    copied = RegionOverSampler("random", random_state=0).fit_resample(frame, y)[0]
    assert interpolated.dtypes.tolist() == [np.float64, np.float32]
    assert copied.dtypes.tolist() == frame.dtypes.tolist()


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_numbers_in_a_column_of_type_object_are_a_quantity(sampler, data):
    X, y = data
    y = y.astype(np.float64)
    expected = sampler.fit_resample(X, y)
    given = sampler.fit_resample(X, pd.Series(y, dtype=object))
    assert sampler.regions_ is not None
    for ours, theirs in zip(given, expected, strict=True):
        assert_array_equal(np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64))
