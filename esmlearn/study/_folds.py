"""Folds of a study, and what leaks across them."""

from typing import Any

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from esmlearn.study._data import StudyData
from esmlearn.study._tables import Splits

# Random folds leak so much that few rows tell how much.
RANDOM_AUDIT_ROWS = 200


def homology_folds(
    data: StudyData,
    graph: Any,
    *,
    n_splits: int,
    identity: float,
    coverage: float,
    random_state: int,
) -> tuple[Splits, dict[str, Any]]:
    """Return folds that no homology crosses, and how they were made."""
    from esmlearn.model_selection import CDHitGroupSplitter

    splitter = CDHitGroupSplitter(
        n_splits,
        identity=identity,
        coverage=coverage,
        reference=graph,
        random_state=random_state,
    )
    splits = {"homology": list(splitter.split(data.sequences, data.y))}
    return splits, dict(splitter.description_)


def random_folds(data: StudyData, *, n_splits: int, random_state: int) -> Splits:
    """Return random folds, stratified by region or class where each has members enough."""
    _, counts = np.unique(data.labels, return_counts=True)
    kind = StratifiedKFold if counts.min() >= n_splits else KFold
    folds = kind(n_splits, shuffle=True, random_state=random_state)
    return {"random": list(folds.split(data.sequences, data.labels))}


def audit_folds(
    data: StudyData, splits: Splits, *, identity: float, n_jobs: int | None
) -> dict[str, Any]:
    """Return the leakage report of each kind of folds."""
    from esmlearn.model_selection import audit_leakage

    return {
        name: audit_leakage(
            data.sequences,
            pairs,
            identity=identity,
            n_sample=None if name == "homology" else RANDOM_AUDIT_ROWS,
            n_jobs=n_jobs,
        )
        for name, pairs in splits.items()
    }
