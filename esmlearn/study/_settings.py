"""Work folder of fold results, each under a digest of the settings that decide it."""

import hashlib
import json
import logging
import os
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from esmlearn.study._candidates import Candidate, PipelineFactory, takes_validation
from esmlearn.study._data import StudyData
from esmlearn.utils._paths import atomic_write

_log = logging.getLogger(__name__)

#: Libraries whose version may change a result.
LIBRARIES = ["esmlearn", "numpy", "scipy", "scikit-learn", "imbalanced-learn", "skorch", "torch"]


class WorkFolder:
    """Finished fold results by name; a name holds a digest of all that decides its result.

    Parameters
    ----------
    folder : path-like
        Folder of the results; it is made.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder)
        self.path.mkdir(parents=True, exist_ok=True)

    def read(self, name: str) -> dict[str, Any] | None:
        """Return a finished result as it was written; None if it is missing or damaged."""
        path = self.path / f"{name}.json"
        try:
            kept = json.loads(path.read_bytes())
            if kept["sha256"] == self._checksum(name, kept["result"]):
                return kept["result"]
            reason: object = "its checksum is another"
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, OSError) as error:
            reason = error
        _log.warning("%s is damaged (%s) and is computed again.", path, reason)
        return None

    def write(self, name: str, result: dict[str, Any]) -> None:
        """Write a finished result, whole or not at all; floats come back bit for bit."""
        kept = {"sha256": self._checksum(name, result), "result": result}
        with atomic_write(self.path / f"{name}.json") as temporary:
            temporary.write_text(json.dumps(kept), encoding="ascii")

    @staticmethod
    def _checksum(name: str, result: Any) -> str:
        """Return a digest of a result and its name, so that neither can stand for another."""
        return hashlib.sha256(json.dumps([name, result]).encode()).hexdigest()


def settings_of_study(
    data: StudyData, factory: PipelineFactory, *, fingerprint: str
) -> dict[str, Any]:
    """Return the settings that decide every fold result of a study."""
    return {
        "data": _digest(data.ids, data.sequences, data.y, *_columns(data)),
        "embedder": fingerprint,
        "regions": None if data.regions is None else _describe(data.regions),
        "edges": None if data.regions is None else data.regions.edges_.tolist(),
        "random_state": factory.random_state,
        "versions": {name: metadata.version(name) for name in LIBRARIES},
    }


def key_of_result(
    settings: dict[str, Any],
    candidate: Candidate,
    factory: PipelineFactory,
    train: np.ndarray,
    test: np.ndarray,
) -> str:
    """Return a digest of all that decides one candidate on one fold, and of nothing else.

    A study with another model, level or number of folds takes over the results they share.
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


def _columns(data: StudyData) -> list[Any]:
    """Return the covariates, each after its name."""
    if data.features is None:
        return []
    return [[name, *data.features[name]] for name in data.features]


def _digest(*columns: Any) -> str:
    digest = hashlib.sha256()
    for column in columns:
        digest.update("\n".join(map(str, column)).encode() + b"\0")
    return digest.hexdigest()


def _describe(estimator: Any) -> list[Any]:
    """Return class and parameters of an estimator or a cross-validator, in full."""
    parameters = estimator.get_params(deep=True)
    return [type(estimator).__qualname__, {k: str(v) for k, v in sorted(parameters.items())}]
