from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, get_scorer

from esmlearn.exceptions import DataError
from esmlearn.over_sampling import TargetRegions
from esmlearn.study._metrics import Predicted, StudyScorer, class_scores, find_metric, measure


def make_data(task, n=150):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4))
    about = {"task": task, "regions": None, "classes": None, "rare": None}
    if task == "regression":
        y = 40 + 5 * X[:, 0] + rng.normal(0, 2, n)
        about["regions"] = TargetRegions("edges", edges=[45.0], rare=[1]).fit(y)
    else:
        about["classes"] = ["cold", "hot", "warm"]
        y = np.array(about["classes"])[np.digitize(X[:, 0] + rng.normal(0, 0.5, n), [0, 1])]
        about["rare"] = np.array([False, True, False])
    return X, SimpleNamespace(y=y, **about)


def predict(model, X, data):
    model.fit(X, data.y)
    return Predicted(data.y, model.predict(X), class_scores(model, X, data), data)


@pytest.mark.parametrize("name", ["r2", "neg_max_error", "neg_root_mean_squared_error"])
def test_a_scorer_on_kept_predictions_is_the_scorer_on_the_regressor(name):
    X, data = make_data("regression")
    model = Ridge()
    predicted = predict(model, X, data)
    expected = get_scorer(name)(model, X, data.y)
    assert find_metric(name, data).value(predicted) == pytest.approx(expected)


@pytest.mark.parametrize(
    "name", ["f1_weighted", "neg_log_loss", "roc_auc_ovr", "matthews_corrcoef", "top_k_accuracy"]
)
def test_a_scorer_on_kept_predictions_is_the_scorer_on_the_classifier(name):
    X, data = make_data("classification")
    model = LogisticRegression()
    predicted = predict(model, X, data)
    expected = get_scorer(name)(model, X, data.y)
    assert find_metric(name, data).value(predicted) == pytest.approx(expected)


def test_a_metric_of_probabilities_is_undefined_without_them():
    X, data = make_data("classification")
    predicted = predict(RidgeClassifier(), X, data)
    assert np.isnan(find_metric("neg_log_loss", data).value(predicted))
    assert np.isnan(measure(predicted)[0]["ece"])


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("nonsense", "regression", "metric is 'nonsense'; expected one of balanced_mae, mae"),
        ("macro_f1", "regression", "metric is 'macro_f1'; expected one of balanced_mae"),
        ("accuracy", "regression", "'accuracy' cannot be computed for these targets"),
        ("neg_mean_squared_error", "classification", "cannot be computed for these targets"),
        ("f1", "classification", "'f1' cannot be computed .* is multiclass"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused(name, task, message):
    _, data = make_data(task)
    with pytest.raises(DataError, match=message):
        find_metric(name, data)


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_an_inner_search_is_scored_by_the_metric_and_greater_is_better(task):
    X, data = make_data(task)
    model = Ridge() if task == "regression" else LogisticRegression()
    predicted = predict(model, X, data)
    metric = find_metric(None, data)
    sign = 1 if metric.larger_is_better else -1
    assert StudyScorer(metric, data)(model, X, data.y) == sign * metric.value(predicted)


@pytest.mark.parametrize("name", ["f1", "average_precision", "neg_brier_score"])
def test_scorers_of_one_positive_class_take_zeros_and_ones(name):
    X, data = make_data("classification")
    numbers = (data.y == "hot").astype(int)
    data.y, data.classes, data.rare = numbers.astype(str), ["0", "1"], np.array([False, True])
    predicted = predict(LogisticRegression(), X, data)
    expected = get_scorer(name)(LogisticRegression().fit(X, numbers), X, numbers)
    assert find_metric(name, data).value(predicted) == pytest.approx(expected)


def test_classes_are_counted_as_scikit_learn_counts():
    X, data = make_data("classification")
    predicted = predict(LogisticRegression(), X, data)
    values, table = measure(predicted)
    f1 = f1_score(data.y, predicted.y_pred, average=None)
    assert values["macro_f1"] == pytest.approx(f1.mean())
    assert [row["f1"] for row in table] == pytest.approx(f1)
    recall = balanced_accuracy_score(data.y, predicted.y_pred)
    assert values["balanced_accuracy"] == pytest.approx(recall)
    assert values["recall_rare"] == table[1]["recall"]
    assert values["accuracy"] == accuracy_score(data.y, predicted.y_pred)
    some = predicted.take(np.flatnonzero(data.y != "warm"))
    with_support = [row["recall"] for row in measure(some)[1] if row["support"]]
    assert measure(some)[0]["balanced_accuracy"] == pytest.approx(np.mean(with_support))
