"""Metrics of a study on each test fold."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeGuard

import numpy as np
from sklearn import metrics as skm
from sklearn.base import BaseEstimator
from sklearn.utils.metaestimators import available_if

from esmlearn.exceptions import DataError
from esmlearn.metrics import (
    balanced_mean_absolute_error,
    expected_calibration_error,
    sera,
    spearman,
)
from esmlearn.study._data import StudyData


@dataclass(frozen=True)
class Predicted:
    """Measured and predicted targets of some proteins.

    Attributes
    ----------
    y_true, y_pred : ndarray of shape (n_samples,)
        Measured and predicted targets.
    scores : ndarray of shape (n_samples, n_classes) or None
        Probabilities or decision values of classes.
    data : StudyData
        The study: its regions, or its classes.
    """

    y_true: np.ndarray
    y_pred: np.ndarray
    scores: np.ndarray | None
    data: StudyData

    def take(self, rows: np.ndarray, *, predictions: np.ndarray | None = None) -> "Predicted":
        """Return some rows, with the predictions of others in their place where they are given."""
        others = rows if predictions is None else predictions
        scores = None if self.scores is None else self.scores[others]
        return Predicted(self.y_true[rows], self.y_pred[others], scores, self.data)


@dataclass(frozen=True)
class Metric:
    """A metric and how it is shown.

    Attributes
    ----------
    column : str
        Its column in the results.
    title : str
        Its name for people.
    larger_is_better : bool
        Which way is better.
    value : callable
        Its value as a function of `Predicted`.
    in_units : bool
        Whether it is measured in units of the target.
    bounded : bool
        Whether it is a number up to 1 without a unit.
    """

    column: str
    title: str
    larger_is_better: bool
    value: Callable[[Predicted], float] = field(repr=False)
    in_units: bool = False
    bounded: bool = False


def find_metric(name: str | None, data: StudyData) -> Metric:
    """Return the metric that decides: one of the study's, or a scorer of scikit-learn.

    Parameters
    ----------
    name : str or None
        Column of a metric of the study, or name of a scorer; None is the first of the task.
    data : StudyData
        The study.

    Returns
    -------
    metric : Metric
        The metric.

    Raises
    ------
    DataError
        If there is no metric of this name, or it cannot be computed for this target.
    """
    own = {metric.column: metric for metric in metrics_of(data.task)}
    if name is None:
        return next(iter(own.values()))
    if name in own:
        return own[name]
    if name not in skm.get_scorer_names():
        raise DataError(
            f"metric is {name!r}; expected one of {', '.join(own)} for a {data.task} task, or the "
            "name of a scorer of scikit-learn (sklearn.metrics.get_scorer_names())."
        )
    scorer = skm.get_scorer(name)
    try:
        score_predictions(scorer, _perfect(data))
    except Exception as error:
        raise DataError(
            f"metric {name!r} cannot be computed for these targets: {error} Expected one of "
            f"{', '.join(own)}, or a scorer of scikit-learn that fits a {data.task} task."
        ) from error
    return Metric(name, name, True, partial(_score_or_nan, scorer))


def metrics_of(task: str) -> list[Metric]:
    """Return the metrics of a task, the one that decides by default first."""
    return REGRESSION if task == "regression" else CLASSIFICATION


def measure(predicted: Predicted) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Return every metric of the task by column, and a row per region or class."""
    metrics = metrics_of(predicted.data.task)
    values = {metric.column: float(metric.value(predicted)) for metric in metrics}
    return values, tabulate_labels(predicted)


def tabulate_labels(predicted: Predicted) -> list[dict[str, Any]]:
    """Return precision, recall, F1, number of rows, and error of each region; of each class.

    Recall and F1 are NaN where there is nothing to recall.
    """
    true, pred, names = _labels(predicted)
    precision, recall, f1, support = skm.precision_recall_fscore_support(
        true, pred, labels=range(len(names)), zero_division=0.0
    )
    rows: list[dict[str, Any]] = []
    for i, name in enumerate(names):
        empty = support[i] == 0
        row = {
            "region": name,
            "precision": float(precision[i]),
            "recall": float("nan") if empty else float(recall[i]),
            "f1": float("nan") if empty else float(f1[i]),
            "support": int(support[i]),
        }
        if predicted.data.regions is not None:
            errors = np.abs(predicted.y_true - predicted.y_pred)[true == i]
            row["mae"] = float("nan") if empty else float(errors.mean())
        rows.append(row)
    return rows


def are_probabilities(scores: np.ndarray | None) -> TypeGuard[np.ndarray]:
    """Return whether scores of classes are probabilities."""
    if scores is None or (scores < 0).any():
        return False
    return np.allclose(scores.sum(axis=1), 1, atol=1e-3)


def _labels(predicted: Predicted) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    """Return the number of each protein's region or class, true and predicted, and the names."""
    data = predicted.data
    if data.regions is not None:
        true, pred = map(data.regions.region, (predicted.y_true, predicted.y_pred))
        return true, pred, list(range(data.regions.n_regions_))
    classes = np.asarray(data.classes)
    true, pred = (
        np.searchsorted(classes, labels.astype(classes.dtype))
        for labels in (predicted.y_true, predicted.y_pred)
    )
    return true, pred, classes.tolist()


def _recall_and_f1(predicted: Predicted) -> tuple[np.ndarray, np.ndarray]:
    """Return recall and F1 of each region or class, NaN for one without rows.

    By counting: a bootstrap asks thousands of times.
    """
    true, pred, names = _labels(predicted)
    n = len(names)
    matrix = np.bincount(true * n + pred, minlength=n * n).reshape(n, n)
    right, support = np.diag(matrix), matrix.sum(axis=1)
    with np.errstate(invalid="ignore"):
        recall = right / support
        f1 = np.where(support > 0, 2 * right / (support + matrix.sum(axis=0)), np.nan)
    return recall, f1


def _macro_f1(predicted: Predicted) -> float:
    return float(np.nanmean(_recall_and_f1(predicted)[1]))


def _balanced_accuracy(predicted: Predicted) -> float:
    return float(np.nanmean(_recall_and_f1(predicted)[0]))


def _accuracy(predicted: Predicted) -> float:
    return float(np.mean(predicted.y_true == predicted.y_pred))


def _rare_recall(predicted: Predicted) -> float:
    """Return the mean recall of the rare regions or classes that occur."""
    data = predicted.data
    rare = data.rare if data.regions is None else data.regions.rare_
    recall = _recall_and_f1(predicted)[0][rare]
    recall = recall[~np.isnan(recall)]
    return float(recall.mean()) if len(recall) else float("nan")


def _roc_auc(predicted: Predicted) -> float:
    """Return the mean one-against-rest area of the classes that occur; any scores will do."""
    if predicted.scores is None:
        return float("nan")
    areas = []
    for column, label in enumerate(predicted.data.classes or []):
        positive = predicted.y_true == label
        if 0 < positive.sum() < len(positive):
            areas.append(skm.roc_auc_score(positive, predicted.scores[:, column]))
    return float(np.mean(areas)) if areas else float("nan")


def _calibration_error(predicted: Predicted) -> float:
    if not are_probabilities(predicted.scores):
        return float("nan")
    return expected_calibration_error(
        predicted.y_true, predicted.scores, labels=predicted.data.classes
    )


def _balanced_mae(p: Predicted) -> float:
    assert p.data.regions is not None
    return balanced_mean_absolute_error(p.y_true, p.y_pred, regions=p.data.regions)


def _sera(p: Predicted) -> float:
    return sera(p.y_true, p.y_pred, relevance=p.data.regions) / len(p.y_true)


def _plain(function: Callable[..., float], p: Predicted) -> float:
    """Return a metric that looks at measured and predicted targets alone."""
    return function(p.y_true, p.y_pred)


REGRESSION = [
    Metric("balanced_mae", "Balanced MAE", False, _balanced_mae, in_units=True),
    Metric("mae", "MAE", False, partial(_plain, skm.mean_absolute_error), in_units=True),
    Metric("mse", "MSE", False, partial(_plain, skm.mean_squared_error)),
    Metric("r2", "R²", True, partial(_plain, skm.r2_score), bounded=True),
    Metric("spearman", "Spearman ρ", True, partial(_plain, spearman), bounded=True),
    Metric("sera", "SERA per protein", False, _sera),
    Metric("recall_rare", "Recall of rare regions", True, _rare_recall, bounded=True),
]
CLASSIFICATION = [
    Metric("macro_f1", "Macro F1", True, _macro_f1, bounded=True),
    Metric("balanced_accuracy", "Balanced accuracy", True, _balanced_accuracy, bounded=True),
    Metric("accuracy", "Accuracy", True, _accuracy, bounded=True),
    Metric("roc_auc", "ROC AUC", True, _roc_auc, bounded=True),
    Metric("ece", "Calibration error", False, _calibration_error, bounded=True),
    Metric("recall_rare", "Recall of rare classes", True, _rare_recall, bounded=True),
]


@dataclass(frozen=True)
class StudyScorer:
    """Scorer of an inner search by the metric that decides the study; greater is better.

    Attributes
    ----------
    metric : Metric
        The metric.
    data : StudyData
        The study: its regions, or its classes.
    """

    metric: Metric
    data: StudyData = field(repr=False)

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        """Return the score of a fitted estimator."""
        scores = class_scores(estimator, X, self.data)
        value = self.metric.value(Predicted(np.asarray(y), estimator.predict(X), scores, self.data))
        return value if self.metric.larger_is_better else -value


def class_scores(estimator: Any, X: Any, data: StudyData) -> np.ndarray | None:
    """Return a column of scores per class of the study; a class never trained on scores lowest.

    None for a regression, and for a classifier that gives none.
    """
    methods = () if data.classes is None else ("predict_proba", "decision_function")
    method = next((m for m in methods if hasattr(estimator, m)), None)
    if method is None:
        return None
    scores = np.asarray(getattr(estimator, method)(X), dtype=float)
    if scores.ndim == 1:
        scores = np.column_stack([-scores, scores])
    lowest = 0.0 if method == "predict_proba" else scores.min() - 1.0
    full = np.full((len(scores), len(data.classes or [])), lowest)
    full[:, np.searchsorted(np.asarray(data.classes), estimator.classes_)] = scores
    return full


class _Kept(BaseEstimator):
    """Estimator that gives predictions made before: all that a scorer asks of a model."""

    def __init__(self, predicted: Predicted, classes: np.ndarray) -> None:
        self.predicted = predicted
        self.classes_ = classes

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "regressor" if self.predicted.data.classes is None else "classifier"
        return tags

    def predict(self, X: Any) -> np.ndarray:
        return self.predicted.y_pred

    @available_if(lambda self: are_probabilities(self.predicted.scores))
    def predict_proba(self, X: Any) -> np.ndarray:
        scores: Any = self.predicted.scores
        return scores / scores.sum(axis=1, keepdims=True)

    @available_if(lambda self: self.predicted.scores is not None)
    def decision_function(self, X: Any) -> np.ndarray:
        scores: Any = self.predicted.scores
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores


def score_predictions(scorer: Any, predicted: Predicted) -> float:
    """Return what a scorer of scikit-learn gives a model that predicts this.

    Scorers of one positive class look for 1: classes that are called 0 and 1 are given as numbers.
    """
    classes = np.asarray(predicted.data.classes)
    if classes.tolist() in (["0", "1"], ["False", "True"]):
        true, pred, _ = _labels(predicted)
        predicted, classes = replace(predicted, y_true=true, y_pred=pred), np.arange(2)
    model, rows = _Kept(predicted, classes), np.zeros((len(predicted.y_true), 1))
    return float(scorer(model, rows, predicted.y_true))


def _score_or_nan(scorer: Any, predicted: Predicted) -> float:
    """Return what a scorer gives, NaN where it needs scores or classes that are not there."""
    try:
        return score_predictions(scorer, predicted)
    except (AttributeError, ValueError):
        return float("nan")


def _perfect(data: StudyData) -> Predicted:
    """Return predictions that are right throughout."""
    scores = None
    if data.classes is not None:
        scores = (np.asarray(data.classes) == data.y[:, None]).astype(float)
    return Predicted(data.y, data.y, scores, data)
