import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator

from esmlearn.exceptions import DataError
from esmlearn.model_selection._strata import make_strata
from esmlearn.utils._targets import is_continuous


class Halves(BaseEstimator):
    """A stand-in for TargetRegions: below and above the mean of what it was fitted on."""

    def fit(self, y):
        self.edge_ = np.mean(y)
        return self

    def region(self, y):
        return (np.asarray(y) > self.edge_).astype(int)


def strata(y, stratify="auto", min_rows=2):
    n_rows = len(y) if y is not None else 5
    return make_strata(y, n_rows=n_rows, stratify=stratify, min_rows=min_rows)


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (["a", "b"], False),
        ([0, 1, 1], False),
        ([0.5, 1.0], True),
        ([30.0, 37.0, 37.0], False),
        (np.arange(21.0), True),
        (np.arange(21), True),
        ([True, False], False),
    ],
)
def test_numbers_with_many_or_fractional_values_are_continuous(y, expected):
    assert is_continuous(np.asarray(y)) is expected


def test_auto_takes_classes_as_they_are():
    result = strata(["b", "a", "b"])
    assert result.kind == "classes"
    assert result.names == ("a", "b")
    assert result.codes.tolist() == [1, 0, 1]


@pytest.mark.parametrize("y", [["a", "b", "a"], pd.Series(["a", "b", "a"], dtype=object)])
def test_string_targets_of_any_container(y):
    assert strata(y).codes.tolist() == [0, 1, 0]


def test_numbers_of_type_object_are_numbers():
    y = np.random.default_rng(0).lognormal(size=200)
    for numbers in (y, np.arange(200), np.arange(200) % 3):
        expected, given = strata(numbers), strata(np.array(numbers.tolist(), dtype=object))
        assert given.kind == expected.kind
        assert given.names == expected.names
        assert given.codes.tolist() == expected.codes.tolist()
    assert strata(np.array([True, False], dtype=object)).kind == "classes"


def test_a_continuous_target_gets_finer_bins_in_its_tails():
    y = np.random.default_rng(0).lognormal(size=2000)
    result = strata(y, min_rows=10)
    counts = np.bincount(result.codes)
    assert result.kind == "bins"
    assert counts.sum() == 2000
    assert counts[0] == pytest.approx(20, abs=1)
    assert counts[-1] == pytest.approx(20, abs=1)


def test_bins_below_the_least_size_are_joined():
    y = np.random.default_rng(0).normal(size=100)
    assert np.bincount(strata(y, min_rows=8).codes).min() >= 8


def test_heaped_values_make_no_empty_bin():
    y = np.repeat([30.0, 37.0, 37.5, 60.0], [50, 900, 30, 20])
    assert np.bincount(strata(y, min_rows=5).codes).min() >= 5


def test_regions_are_fitted_when_they_are_not():
    y = np.array([0.0, 0.1, 5.0, 6.0])
    assert strata(y, stratify=Halves()).codes.tolist() == [0, 0, 1, 1]
    assert strata(y, stratify=Halves().fit([100.0])).codes.tolist() == [0, 0, 0, 0]


def test_labels_are_taken_instead_of_y():
    result = make_strata(None, n_rows=3, stratify=["x", "y", "x"], min_rows=1)
    assert result.codes.tolist() == [0, 1, 0]


@pytest.mark.parametrize("stratify", [False, "auto"])
def test_without_a_target_there_is_one_stratum(stratify):
    assert strata(None, stratify=stratify).n_strata == 1


def test_false_does_not_look_at_y():
    assert strata(np.full((5, 2), np.nan), stratify=False).n_strata == 1


@pytest.mark.parametrize(
    ("y", "stratify", "message"),
    [
        (None, True, "stratify=True needs y"),
        (None, Halves(), "needs y, but y is None"),
        ([1.5, np.nan, 2.0], "auto", r"y\[1\] is nan;"),
        (["a", None, "b"], "auto", r"y\[1\] is None"),
        (pd.Series(["a", pd.NA], dtype="string"), "auto", r"y\[1\] is <NA>"),
        ([1.5, np.inf, 2.0], "auto", r"y\[1\] is inf;"),
        (np.zeros((3, 2)), True, "stratify=False for several targets"),
        (np.array([1.5, np.inf], np.float32), "auto", r"y\[1\] is inf;"),
        ([1.5, 2.5], ["a"], r"stratify has shape \(1,\); expected \(2,\)"),
    ],
)
def test_messages_name_what_is_wrong(y, stratify, message):
    with pytest.raises(DataError, match=message):
        strata(y, stratify=stratify)


def test_a_target_of_another_length_is_not_taken_for_several():
    with pytest.raises(DataError, match=r"\(2,\); expected \(3,\), one value per sequence\.$"):
        make_strata([1.5, 2.5], n_rows=3, stratify="auto", min_rows=1)
