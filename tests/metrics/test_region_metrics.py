import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.metrics import confusion_matrix, mean_absolute_error, precision_recall_fscore_support

from esmlearn.exceptions import DataError
from esmlearn.metrics import (
    balanced_mean_absolute_error,
    region_confusion_matrix,
    region_errors,
    region_precision_recall_fscore,
    region_report,
)
from esmlearn.over_sampling import TargetRegions

EDGES = [30.0, 50.0]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y_true = rng.gamma(4, 10, 400)
    return y_true, y_true + rng.normal(0, 12, 400)


def test_classification_metrics_are_those_of_the_binned_values(data):
    y_true, y_pred = data
    binned = np.digitize(y_true, EDGES), np.digitize(y_pred, EDGES)
    assert_array_equal(
        region_confusion_matrix(y_true, y_pred, regions=EDGES), confusion_matrix(*binned)
    )
    given = region_precision_recall_fscore(y_true, y_pred, regions=EDGES, beta=2.0)
    for ours, theirs in zip(given, precision_recall_fscore_support(*binned, beta=2.0), strict=True):
        assert_array_equal(ours, theirs)


def test_confusion_matrix_has_all_regions_and_can_be_normalized():
    matrix = region_confusion_matrix([20, 20], [20, 40], regions=EDGES, normalize="true")
    assert_allclose(matrix, [[0.5, 0.5, 0], [0, 0, 0], [0, 0, 0]])


def test_errors_of_each_region(data):
    y_true, y_pred = data
    errors = region_errors(y_true, y_pred, regions=EDGES)
    for region in range(3):
        inside = np.digitize(y_true, EDGES) == region
        error = (y_pred - y_true)[inside]
        assert errors["support"][region] == inside.sum()
        assert_allclose(errors["mae"][region], np.abs(error).mean())
        assert_allclose(errors["rmse"][region], np.sqrt((error**2).mean()))
        assert_allclose(errors["bias"][region], error.mean())


def test_region_without_targets():
    errors = region_errors([20.0], [60.0], regions=EDGES)
    assert_array_equal(np.isnan(errors["mae"]), [False, True, True])
    report = region_report([20.0], [60.0], regions=EDGES)
    assert report["support"].tolist() == [1, 0, 0]
    assert report["predicted"].tolist() == [0, 0, 1]
    assert np.isnan(report.loc[1, "precision"])
    assert report.loc[2, "precision"] == 0
    assert balanced_mean_absolute_error([20.0], [60.0], regions=EDGES) == 40


def test_sample_weights_count_like_repetitions(data):
    y_true, y_pred = (values[:50] for values in data)
    weights = np.arange(50) % 3
    repeated = np.repeat(y_true, weights), np.repeat(y_pred, weights)
    for metric in (region_confusion_matrix, balanced_mean_absolute_error):
        weighted = metric(y_true, y_pred, regions=EDGES, sample_weight=weights)
        assert_allclose(weighted, metric(*repeated, regions=EDGES))


def test_rare_regions_can_be_chosen(data):
    y_true, y_pred = data
    regions = TargetRegions("edges", edges=EDGES, rare=[2]).fit(y_true)
    everything = region_precision_recall_fscore(y_true, y_pred, regions=regions)
    for labels in ("rare", [2], [-1]):
        chosen = region_precision_recall_fscore(y_true, y_pred, regions=regions, labels=labels)
        assert chosen[1] == everything[1][2]
    with pytest.raises(DataError, match="needs regions of which some are marked rare"):
        region_precision_recall_fscore(y_true, y_pred, regions=EDGES, labels="rare")


def test_report(data):
    y_true, y_pred = data
    regions = TargetRegions("edges", edges=EDGES).fit(y_true)
    report = region_report(y_true, y_pred, regions=regions)
    precision, recall, fscore, support = region_precision_recall_fscore(
        y_true, y_pred, regions=regions
    )
    assert_array_equal(report[["precision", "recall", "fscore"]].T, [precision, recall, fscore])
    assert_array_equal(report["support"], support)
    assert report["predicted"].sum() == 400
    assert_array_equal(report["rare"], regions.rare_)
    assert report["low"].tolist() == [-np.inf, *EDGES]


@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([1.0, np.nan], [1.0, 2.0], r"y_true\[1\] is nan"),
        ([1.0, 2.0], [1.0, np.inf], r"y_pred\[1\] is inf"),
        ([1.0, 2.0], [1.0], "inconsistent numbers of samples"),
        ([], [], "empty"),
    ],
)
def test_bad_values(y_true, y_pred, message):
    with pytest.raises(ValueError, match=message):
        region_errors(y_true, y_pred, regions=EDGES)


def test_bad_regions():
    with pytest.raises(NotFittedError):
        region_errors([1.0], [1.0], regions=TargetRegions())
    with pytest.raises(DataError, match=r"regions\[1\]"):
        region_errors([1.0], [1.0], regions=[2, 1])
    with pytest.raises(DataError, match="labels must be"):
        region_precision_recall_fscore([1.0], [1.0], regions=EDGES, labels="hot")
    with pytest.raises(DataError, match="sample_weight"):
        region_errors([1.0], [1.0], regions=EDGES, sample_weight=[-1])


values = hnp.arrays(np.float64, 30, elements=st.floats(-100, 100))


@settings(deadline=None)
@given(values, values, st.lists(st.integers(-90, 90), min_size=1, max_size=5, unique=True))
def test_invariants(y_true, y_pred, edges):
    edges = sorted(edges)
    matrix = region_confusion_matrix(y_true, y_pred, regions=edges)
    report = region_report(y_true, y_pred, regions=edges)
    assert matrix.sum() == 30
    assert_array_equal(matrix.sum(axis=1), report["support"])
    assert_array_equal(matrix.sum(axis=0), report["predicted"])
    known = report["support"] > 0
    total = (report["mae"] * report["support"])[known].sum() / 30
    assert_allclose(total, mean_absolute_error(y_true, y_pred), atol=1e-9)
    assert (report["rmse"][known] >= report["mae"][known] - 1e-9).all()
    assert (report["mae"][known] >= report["bias"][known].abs() - 1e-9).all()
