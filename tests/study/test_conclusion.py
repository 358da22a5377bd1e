from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from esmlearn.metrics import balanced_mean_absolute_error
from esmlearn.over_sampling import TargetRegions
from esmlearn.study._candidates import Candidate
from esmlearn.study._conclusion import (
    _balanced_error,
    _macro_f1,
    _simplest,
    _useful,
    interval_of,
    shuffled_metric,
)
from esmlearn.study._metrics import classification_metrics, metrics_of, regression_metrics


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_macro_f1_of_weighted_rows_is_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    classes = ["Cytoplasm", "Membrane", "Nucleus", "Plastid"]
    y, prediction = rng.choice(classes, (2, 30))
    weights = rng.integers(0, 3, (2, 30)).astype(float)
    weights[:, 0] = 1
    data = SimpleNamespace(y=y, classes=classes)
    found = _macro_f1(data, prediction, np.arange(30))(weights)
    for value, row in zip(found, weights, strict=True):
        present = np.unique(y[row > 0]).tolist()
        expected = f1_score(y, prediction, labels=present, average="macro", sample_weight=row)
        assert value == pytest.approx(expected)


def test_balanced_error_of_equal_weights_is_the_metric():
    rng = np.random.default_rng(0)
    y = rng.gamma(3, 10, 50)
    prediction = y + rng.normal(0, 5, 50)
    regions = TargetRegions(method="edges", edges=[20.0, 60.0]).fit(y)
    data = SimpleNamespace(y=y, regions=regions)
    found = _balanced_error(data, prediction, np.arange(50))(np.ones((1, 50)))
    expected = balanced_mean_absolute_error(y, prediction, regions=regions)
    assert found[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ridge", "kept"),
    [
        ([10.1, 14.1, 19.9], "ridge"),  # as good as the best in hard and in easy folds
        ([11.1, 15.1, 21.1], "forest"),  # within the spread of folds, and worse in each of them
        ([8.0, 14.0, 32.0], "forest"),  # its own spread is not its merit
    ],
)
def test_the_simplest_is_kept_only_where_the_folds_do_not_tell_it_from_the_best(ridge, kept):
    metric = metrics_of("regression")[0]
    errors = {"dummy": [9.0, 14.0, 20.0], "ridge": ridge, "forest": [10.0, 14.0, 20.0]}
    results = pd.DataFrame(
        [
            {"fold": fold, "candidate": name, metric.column: value}
            for name, values in errors.items()
            for fold, value in enumerate(values)
        ]
    )
    candidates = [Candidate(name) for name in errors]
    assert _simplest(candidates, candidates[2], results, metric).name == kept


def make_predictions(task, *, seed=0, n=200, n_folds=4):
    """Rows, predictions and folds as a study holds them, and the metric of some rows."""
    rng = np.random.default_rng(seed)
    if task == "classification":
        classes = [f"class {i}" for i in range(10)]
        y, other = rng.choice(classes, (2, n), p=[0.55] + [0.05] * 9)
        prediction = np.where(rng.random(n) < 0.5, y, other)
        data = SimpleNamespace(y=y, classes=classes, regions=None, components=np.arange(n))

        def metric(rows, values):
            rare = np.ones(10, dtype=bool)
            return classification_metrics(y[rows], values, None, classes, rare)[0]["macro_f1"]

    else:
        y = rng.gamma(2, 10, n)
        prediction = 15 + 0.3 * y + rng.normal(0, 5, n)
        regions = TargetRegions("edges", edges=[45.0]).fit(y)
        data = SimpleNamespace(y=y, classes=None, regions=regions, components=np.arange(n))

        def metric(rows, values):
            return regression_metrics(y[rows], values, regions)[0]["balanced_mae"]

    return data, prediction, rng.integers(0, n_folds, n), metric


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_the_interval_is_that_of_the_mean_over_folds(task):
    data, prediction, fold, metric = make_predictions(task)
    rng, draws = np.random.default_rng(0), []
    for _ in range(300):
        drawn = rng.integers(0, len(fold), len(fold))
        # The metric of rows that are there as often as they were drawn.
        parts = [np.sort(drawn[fold[drawn] == k]) for k in range(4)]
        draws.append(np.mean([metric(rows, prediction[rows]) for rows in parts]))
    low, high = np.quantile(draws, [0.025, 0.975])
    assert interval_of(data, prediction, fold) == pytest.approx((low, high), rel=0.04)


def test_a_fold_of_one_family_is_not_in_every_draw():
    data, prediction, fold, _ = make_predictions("regression")
    data.components = fold
    low, high = interval_of(data, prediction, fold)
    assert low < high


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_shuffled_metric_is_the_mean_over_orders(task):
    data, prediction, fold, metric = make_predictions(task)
    rng = np.random.default_rng(0)
    for k, found in shuffled_metric(data, prediction, fold).items():
        rows = np.flatnonzero(fold == k)
        values = [metric(rows, rng.permutation(prediction[rows])) for _ in range(200)]
        assert found == pytest.approx(np.mean(values), abs=4 * np.std(values) / np.sqrt(200))


@pytest.mark.parametrize(("informed", "useful"), [(True, True), (False, False)])
def test_moving_all_predictions_towards_the_tail_is_no_use(informed, useful):
    """It lowers the balanced error below that of the dummy in every fold."""
    data, _, fold, metric = make_predictions("regression", n=2000)
    noise = np.random.default_rng(1).normal(0, 2, len(fold))
    moved = {
        "dummy": np.full(len(fold), data.y.mean()),
        "ridge-smote-300": 28 + noise + (0.3 * (data.y - data.y.mean()) if informed else 0),
    }
    decides = metrics_of("regression")[0]
    results = pd.DataFrame(
        [
            {
                "candidate": name,
                "fold": k,
                "n_train": 1500,
                "n_test": 500,
                decides.column: metric(fold == k, prediction[fold == k]),
            }
            for name, prediction in moved.items()
            for k in range(4)
        ]
    )
    errors = results.pivot(index="fold", columns="candidate", values=decides.column)
    assert (errors["ridge-smote-300"] < errors["dummy"]).all()
    shuffled = shuffled_metric(data, moved["ridge-smote-300"], fold)
    candidate = Candidate("ridge", "smote", 300)
    assert _useful(results, candidate, decides, shuffled) is useful
