"""What decides the result of a finished piece, so that no other result is taken for it."""

import hashlib
import json
from importlib import metadata
from typing import Any

import numpy as np

from esmlearn.study._candidates import Candidate, PipelineFactory, takes_validation
from esmlearn.study._data import StudyData

#: Libraries whose version may change a result.
LIBRARIES = ["esmlearn", "numpy", "scipy", "scikit-learn", "imbalanced-learn", "skorch", "torch"]


def settings_of_study(
    data: StudyData, factory: PipelineFactory, *, fingerprint: str
) -> dict[str, Any]:
    """Return what decides every piece of a study."""
    return {
        "data": _digest(data.ids, data.sequences, data.y),
        "embedder": fingerprint,
        "regions": None if data.regions is None else _describe(data.regions),
        "edges": None if data.regions is None else data.regions.edges_.tolist(),
        "random_state": factory.random_state,
        "versions": {name: metadata.version(name) for name in LIBRARIES},
    }


def key_of_piece(
    settings: dict[str, Any],
    candidate: Candidate,
    factory: PipelineFactory,
    train: np.ndarray,
    test: np.ndarray,
) -> str:
    """Return a digest of all that decides one candidate on one fold, and of nothing else.

    A study with another model, level or number of folds takes over what it has in common.
    """
    model = factory.models[candidate.model]
    own: dict[str, Any] = {
        "candidate": candidate.name,
        # The graph, and so the folds, may come from another engine next time.
        "rows": _digest(train, test),
        "model": _describe(model),
    }
    if takes_validation(model):
        own["validation"] = _describe(factory.validation)
    if candidate.resampler == "tuned":
        own["inner"] = [_describe(factory.inner), str(factory.grid), str(factory.scoring)]
    text = json.dumps([settings, own], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _digest(*columns: Any) -> str:
    digest = hashlib.sha256()
    for column in columns:
        digest.update("\n".join(map(str, column)).encode() + b"\0")
    return digest.hexdigest()


def _describe(estimator: Any) -> list[Any]:
    """Return class and parameters of an estimator or a cross-validator, in full."""
    parameters = estimator.get_params(deep=True)
    return [type(estimator).__qualname__, {k: str(v) for k, v in sorted(parameters.items())}]
