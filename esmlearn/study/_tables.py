"""Tables of a study: results, regions, folds."""

from typing import Any

import numpy as np
import pandas as pd

from esmlearn.study._data import StudyData


def tabulate(fold_results: list[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return results (a row per fold and candidate) and regions (also per region)."""
    keys = ["split", "fold", "candidate", "model", "resampler", "level", "n_train", "n_test"]
    rows = [{**{k: one[k] for k in keys}, **one["metrics"]} for one in fold_results]
    regions = [
        {**{k: one[k] for k in keys[:6]}, **region}
        for one in fold_results
        for region in one["regions"]
    ]
    return pd.DataFrame(rows), pd.DataFrame(regions)


def join_predictions(fold_results: list[dict[str, Any]], data: StudyData) -> dict[str, np.ndarray]:
    """Return out-of-fold predictions by candidate."""
    joined: dict[str, np.ndarray] = {}
    for one in fold_results:
        whole = joined.setdefault(one["candidate"], np.empty(len(data.y), dtype=data.y.dtype))
        whole[one["test"]] = one["prediction"]
    return joined


def join_scores(fold_results: list[dict[str, Any]], data: StudyData) -> np.ndarray | None:
    """Return the out-of-fold scores of classes of one candidate; None if it gives none."""
    if data.classes is None or any(one["scores"] is None for one in fold_results):
        return None
    joined = np.empty((len(data.y), len(data.classes)))
    for one in fold_results:
        joined[one["test"]] = one["scores"]
    return joined


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
