"""Tables of a study: results, regions, folds."""

from typing import Any

import numpy as np
import pandas as pd

from esmlearn.study._data import StudyData
from esmlearn.study._metrics import Metric, Predicted


def tabulate(
    fold_results: list[dict[str, Any]], data: StudyData, metric: Metric
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return results (a row per fold and candidate) and regions (also per region).

    The results have every metric of the study, and the one that decides.
    """
    keys = ["split", "fold", "candidate", "model", "resampler", "level", "n_train", "n_test"]
    rows = [{**{k: one[k] for k in keys}, **one["metrics"]} for one in fold_results]
    regions = [
        {**{k: one[k] for k in keys[:6]}, **region}
        for one in fold_results
        for region in one["regions"]
    ]
    results = pd.DataFrame(rows)
    if metric.column not in results:
        results[metric.column] = [metric.value(predicted_of(one, data)) for one in fold_results]
    return results, pd.DataFrame(regions)


def predicted_of(fold_result: dict[str, Any], data: StudyData) -> Predicted:
    """Return the predictions of a candidate on a fold."""
    scores = fold_result["scores"]
    return Predicted(
        data.y[fold_result["test"]],
        np.asarray(fold_result["prediction"], dtype=data.y.dtype),
        None if scores is None else np.asarray(scores),
        data,
    )


def join_predictions(fold_results: list[dict[str, Any]], data: StudyData) -> dict[str, np.ndarray]:
    """Return out-of-fold predictions by candidate."""
    joined: dict[str, np.ndarray] = {}
    for one in fold_results:
        whole = joined.setdefault(one["candidate"], np.empty(len(data.y), dtype=data.y.dtype))
        whole[one["test"]] = one["prediction"]
    return joined


def join_predicted(
    fold_results: list[dict[str, Any]], data: StudyData, candidate: str
) -> Predicted:
    """Return the out-of-fold predictions of one candidate, with scores if every fold has some."""
    own = [one for one in fold_results if one["candidate"] == candidate]
    scores = None
    if all(one["scores"] is not None for one in own):
        scores = np.empty((len(data.y), len(data.classes or [])))
        for one in own:
            scores[one["test"]] = one["scores"]
    return Predicted(data.y, join_predictions(own, data)[candidate], scores, data)


def tabulate_folds(
    pairs: list[tuple[np.ndarray, np.ndarray]], leaking: np.ndarray, data: StudyData
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a row per fold, and a row per protein with its fold."""
    fold = np.full(len(data.y), -1)
    rows = []
    for number, (train, test) in enumerate(pairs):
        fold[test] = number
        rows.append(
            {
                "fold": number,
                "train": len(train),
                "test": len(test),
                "set_aside": len(data.y) - len(train) - len(test),
                "components": len(np.unique(data.components[test])),
                "leaking": leaking[number],
            }
        )
    proteins = {"id": data.ids, "fold": fold, "component": data.components, "target": data.y}
    return pd.DataFrame(rows), pd.DataFrame(proteins)
