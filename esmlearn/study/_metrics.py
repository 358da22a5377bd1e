"""Metrics of a study on each test fold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from sklearn import metrics as skm

from esmlearn.metrics import (
    balanced_mean_absolute_error,
    expected_calibration_error,
    sera,
    spearman,
)
from esmlearn.over_sampling import TargetRegions


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
    in_units : bool
        Whether it is measured in units of the target.
    bounded : bool
        Whether it is a number up to 1 without a unit.
    """

    column: str
    title: str
    larger_is_better: bool
    in_units: bool = False
    bounded: bool = False


REGRESSION = [
    Metric("balanced_mae", "Balanced MAE", False, in_units=True),
    Metric("mae", "MAE", False, in_units=True),
    Metric("mse", "MSE", False),
    Metric("r2", "R²", True, bounded=True),
    Metric("spearman", "Spearman ρ", True, bounded=True),
    Metric("sera", "SERA per protein", False),
    Metric("recall_rare", "Recall of rare regions", True, bounded=True),
]
CLASSIFICATION = [
    Metric("macro_f1", "Macro F1", True, bounded=True),
    Metric("balanced_accuracy", "Balanced accuracy", True, bounded=True),
    Metric("accuracy", "Accuracy", True, bounded=True),
    Metric("roc_auc", "ROC AUC", True, bounded=True),
    Metric("ece", "Calibration error", False, bounded=True),
    Metric("recall_rare", "Recall of rare classes", True, bounded=True),
]


def metrics_of(task: str) -> list[Metric]:
    """Return the metrics of a task, the deciding one first."""
    return REGRESSION if task == "regression" else CLASSIFICATION


def regression_metrics(
    y_true: np.ndarray, y_pred: np.ndarray, regions: TargetRegions
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Measure predictions of a continuous target.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n_samples,)
        Measured and predicted targets.
    regions : TargetRegions
        Fitted regions.

    Returns
    -------
    metrics : dict of str to float
        One value per column of `REGRESSION`.
    table : list of dict
        Per region: precision, recall, F1, number of rows and mean absolute error.
    """
    true, pred = regions.region(y_true), regions.region(y_pred)
    table = _per_label(true, pred, range(regions.n_regions_))
    errors = np.abs(y_true - y_pred)
    for row in table:
        inside = true == row["region"]
        row["mae"] = float(errors[inside].mean()) if inside.any() else float("nan")
    metrics = {
        "balanced_mae": balanced_mean_absolute_error(y_true, y_pred, regions=regions),
        "mae": skm.mean_absolute_error(y_true, y_pred),
        "mse": skm.mean_squared_error(y_true, y_pred),
        "r2": skm.r2_score(y_true, y_pred),
        "spearman": spearman(y_true, y_pred),
        "sera": sera(y_true, y_pred, relevance=regions) / len(y_true),
        "recall_rare": _rare_recall(table, regions.rare_),
    }
    return {name: float(value) for name, value in metrics.items()}, table


def classification_metrics(
    y_true: np.ndarray,
    y_pred: np.ndarray,
    scores: np.ndarray | None,
    classes: Sequence[str],
    rare: np.ndarray,
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Measure predictions of classes.

    Parameters
    ----------
    y_true, y_pred : ndarray of str of shape (n_samples,)
        True and predicted classes.
    scores : ndarray of shape (n_samples, n_classes) or None
        Probabilities or decision values; a column per class.
    classes : sequence of str
        All classes, sorted.
    rare : ndarray of bool of shape (n_classes,)
        Which are rare.

    Returns
    -------
    metrics : dict of str to float
        One value per column of `CLASSIFICATION`.
    table : list of dict
        Per class: precision, recall, F1 and number of rows.
    """
    table = _per_label(y_true, y_pred, classes)
    present = [row for row in table if row["support"]]
    metrics = {
        "macro_f1": np.mean([row["f1"] for row in present]),
        "balanced_accuracy": np.mean([row["recall"] for row in present]),
        "accuracy": skm.accuracy_score(y_true, y_pred),
        "roc_auc": _roc_auc(y_true, scores, classes),
        "ece": (
            expected_calibration_error(y_true, scores, labels=classes)
            if are_probabilities(scores)
            else np.nan
        ),
        "recall_rare": _rare_recall(table, rare),
    }
    return {name: float(value) for name, value in metrics.items()}, table


def are_probabilities(scores: np.ndarray | None) -> TypeGuard[np.ndarray]:
    """Return whether scores of classes are probabilities."""
    if scores is None or (scores < 0).any():
        return False
    return np.allclose(scores.sum(axis=1), 1, atol=1e-3)


def _per_label(true: np.ndarray, pred: np.ndarray, labels: Any) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each label; NaN where there is nothing to recall."""
    labels = list(labels)
    precision, recall, f1, support = skm.precision_recall_fscore_support(
        true, pred, labels=labels, zero_division=0.0
    )
    rows = []
    for i, label in enumerate(labels):
        empty = support[i] == 0
        rows.append(
            {
                "region": label,
                "precision": float(precision[i]),
                "recall": float("nan") if empty else float(recall[i]),
                "f1": float("nan") if empty else float(f1[i]),
                "support": int(support[i]),
            }
        )
    return rows


def _rare_recall(table: list[dict[str, Any]], rare: np.ndarray) -> float:
    """Return the mean recall of the rare labels that occur."""
    values = [row["recall"] for row, is_rare in zip(table, rare, strict=True) if is_rare]
    values = [value for value in values if not np.isnan(value)]
    return float(np.mean(values)) if values else float("nan")


def _roc_auc(y_true: np.ndarray, scores: np.ndarray | None, classes: Sequence[str]) -> float:
    """Return the mean one-against-rest area of the classes that occur; any scores will do."""
    if scores is None:
        return float("nan")
    areas = []
    for column, label in enumerate(classes):
        positive = y_true == label
        if 0 < positive.sum() < len(positive):
            areas.append(skm.roc_auc_score(positive, scores[:, column]))
    return float(np.mean(areas)) if areas else float("nan")
