"""What decides the result of a finished piece, so that no other result is taken for it."""

import hashlib
from importlib import metadata
from typing import Any

from esmlearn.study._data import StudyData
from esmlearn.study._tables import Splits

#: Libraries whose version may change a result.
LIBRARIES = ["esmlearn", "numpy", "scipy", "scikit-learn", "imbalanced-learn", "skorch", "torch"]
# Told by other entries, or without influence on a piece.
_SKIPPED = {"work", "n_jobs", "verbose", "model", "models", "name", "unit", "resamplers"}


def settings_of_pieces(
    data: StudyData,
    splits: Splits,
    *,
    fingerprint: str,
    models: dict[str, Any],
    parameters: dict[str, Any],
) -> dict[str, Any]:
    """Return everything that decides a piece but its candidate and fold."""
    return {
        "data": _digest(data.ids, data.sequences, data.y),
        # The graph, and so the folds, may come from another engine next time.
        "splits": {
            name: _digest(*(part for pair in pairs for part in pair))
            for name, pairs in splits.items()
        },
        "embedder": fingerprint,
        "models": {name: _describe(model) for name, model in models.items()},
        "parameters": {k: str(v) for k, v in parameters.items() if k not in _SKIPPED},
        "regions": str([] if data.regions is None else data.regions.edges_.tolist()),
        "versions": {name: metadata.version(name) for name in LIBRARIES},
    }


def _digest(*columns: Any) -> str:
    digest = hashlib.sha256()
    for column in columns:
        digest.update("\n".join(map(str, column)).encode() + b"\0")
    return digest.hexdigest()


def _describe(estimator: Any) -> list[Any]:
    """Return class and parameters of an estimator, in full."""
    parameters = estimator.get_params(deep=True)
    return [type(estimator).__qualname__, {k: str(v) for k, v in sorted(parameters.items())}]
