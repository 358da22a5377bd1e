import numpy as np
import pytest
from scipy.stats import beta

from esmlearn.conformal import coverage_report
from esmlearn.exceptions import DataError


def test_counts_intervals_and_unions_alike():
    y = [1.0, 5.0, 9.0, 20.0]
    intervals = np.array([[0, 2], [6, 8], [9, 9], [0, 30]])
    unions = [[[0, 1], [3, 4]], [[4, 6]], [[0, 1], [8, 10]], [[21, 22]]]
    table = coverage_report(y, intervals, regions=[6.0], confidence_level=0.8)
    assert table.index.tolist() == ["all", "[-inf, 6.0)", "[6.0, inf)"]
    assert table["coverage"].tolist() == [0.75, 0.5, 1.0]
    assert table["size"].tolist() == [34 / 4, 2, 15]
    assert (table["nominal"] == 0.8).all()
    other = coverage_report(y, unions)
    assert other.loc["all", ["coverage", "size"]].tolist() == [0.75, 8 / 4]


def test_interval_of_the_coverage_is_that_of_clopper_and_pearson():
    table = coverage_report(np.arange(20.0), np.column_stack([np.zeros(20), np.full(20, 16.5)]))
    low, high = table.loc["all", ["low", "high"]]
    assert low == pytest.approx(beta.ppf(0.025, 17, 4))
    assert high == pytest.approx(beta.ppf(0.975, 18, 3))


def test_classes_and_groups_are_parts():
    sets = [[True, False], [True, True], [False, True]]
    table = coverage_report(
        ["a", "b", "a"], sets, classes=["a", "b"], groups=["near", "far", "near"]
    )
    assert table["coverage"].to_dict() == {
        "all": pytest.approx(2 / 3),
        "a": 0.5,
        "b": 1,
        "near": 0.5,
        "far": 1,
    }
    assert table["size"].to_dict() == {
        "all": pytest.approx(4 / 3),
        "a": 1,
        "b": 2,
        "near": 1,
        "far": 2,
    }


def test_a_part_without_rows_has_no_coverage():
    table = coverage_report([1.0], [[0, 2]], regions=[5.0])
    assert table.loc["[5.0, inf)", "count"] == 0
    assert np.isnan(table.loc["[5.0, inf)", "coverage"])


def test_refuses():
    with pytest.raises(DataError, match="regions and classes"):
        coverage_report([1.0], [[0, 2]], regions=[5.0], classes=[1])
    with pytest.raises(DataError, match=r"sets has the shape \(1, 1\); expected \(1, 2\)"):
        coverage_report(["a"], [[True]], classes=["a", "b"])
    with pytest.raises(ValueError, match="inconsistent numbers"):
        coverage_report([1.0, 2.0], [[0, 2]])
