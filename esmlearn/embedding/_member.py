"""One model of an embedder: the embedder's settings resolved for it, and how several are joined."""

import json
import os
from collections.abc import Sequence
from hashlib import blake2b
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from esmlearn.embedding._cache import EmbeddingCache
from esmlearn.embedding._compute import Job
from esmlearn.embedding._identity import describe_without_fetching, identify
from esmlearn.embedding._registry import ModelInfo, Source, resolve_model
from esmlearn.embedding._settings import Settings
from esmlearn.exceptions import DataError

if TYPE_CHECKING:
    from esmlearn.embedding._embedder import ESMEmbedder

# Raise it when the numbers that the encoder returns change by more than rounding.
NUMERICS = 1


class Member:
    """One model of an embedder, with the embedder's settings resolved for it."""

    def __init__(self, embedder: "ESMEmbedder", source: Source) -> None:
        identity = identify(source)
        self.source, self.digest, self.info = source, identity.digest, identity.info
        self.window = self.info.trained_residues
        self.layers = resolve_layers(embedder.layer, self.info)
        self.pooling, self.policy = embedder.pooling, embedder.long_sequences
        self.device, self.precision = embedder.device, embedder.precision
        self.width = _width(embedder, self.info)

    @property
    def longest(self) -> int | None:
        """Residues beyond which a sequence is refused; None where none is."""
        if self.policy == "error":
            return self.window
        return self.info.max_residues if self.policy == "whole" else None

    @property
    def description(self) -> dict[str, Any]:
        """What decides a vector but the sequence."""
        described = {
            "model": self.digest,
            "layers": self.layers,
            "pooling": self.pooling,
            # refusing changes no vector, and a sequence that is let through is whole
            "long_sequences": "whole" if self.policy == "error" else self.policy,
            "window": self.window,
            "numerics": NUMERICS,
            "precision": self.precision,
        }
        if self.precision != "float32":
            # reduced precision differs between backends by more than the promised 1e-5
            from esmlearn.embedding._runtime import resolve_device, resolve_precision

            device = resolve_device(self.device)
            described["precision"] = resolve_precision(self.precision, device)
            if described["precision"] != "float32":
                described["backend"] = device.partition(":")[0]
        return described

    @property
    def fingerprint(self) -> str:
        """The space of its vectors in a cache."""
        text = json.dumps(self.description, sort_keys=True)
        return blake2b(text.encode(), digest_size=16).hexdigest()

    def job(self, embedder: "ESMEmbedder", cache: EmbeddingCache | None) -> Job:
        """Return the work of this model; devices are looked for by whoever runs it."""
        settings = Settings(
            family=self.source.family.name,
            path=os.fspath(self.source.path),
            digest=self.digest,
            layers=self.layers,
            pooling=self.pooling,
            long_sequences=self.policy,
            window=self.window,
            precision=self.description["precision"],
            device=self.device,
            budget=int(embedder.batch_residues),
        )
        return Job(
            settings=settings,
            fingerprint=self.fingerprint,
            description={**self.description, "name": self.info.name},
            width=None if self.pooling is None else self.width,
            layers_width=self.width,
            cache=cache,
            n_jobs=embedder.n_jobs,
            verbose=int(embedder.verbose),
        )


def resolve_members(embedder: "ESMEmbedder") -> list[Member]:
    """Return the models of an embedder, or say why they cannot be used together."""
    members = [Member(embedder, resolve_model(model)) for model in _models_of(embedder)]
    _widths(embedder, [member.info for member in members])
    return members


def count_columns(embedder: "ESMEmbedder") -> int:
    """Return the width of an embedder's vectors; no model is fetched for it."""
    widths = _widths(embedder, [describe_without_fetching(m) for m in _models_of(embedder)])
    return widths[0] if embedder.ensemble == "mean" else sum(widths)


def _models_of(embedder: "ESMEmbedder") -> list[str | os.PathLike[str]]:
    given = embedder.model
    models = [given] if isinstance(given, str | os.PathLike) else list(given)
    if not models:
        raise DataError("model is an empty list; expected at least one model.")
    return models


def _widths(embedder: "ESMEmbedder", infos: Sequence[ModelInfo]) -> list[int]:
    """Return the width of each model's vectors, or say that they have no mean."""
    widths = [_width(embedder, info) for info in infos]
    if embedder.ensemble == "mean" and len(set(widths)) > 1:
        told = ", ".join(f"{i.name}: {width}" for i, width in zip(infos, widths, strict=True))
        raise DataError(
            f"ensemble='mean' needs models of one width, got {told}. Use 'concatenate'."
        )
    return widths


def _width(embedder: "ESMEmbedder", info: ModelInfo) -> int:
    per_layer = info.width * (2 if embedder.pooling == "mean+std" else 1)
    return len(resolve_layers(embedder.layer, info)) * per_layer


def resolve_layers(layer: int | Sequence[int], info: ModelInfo) -> tuple[int, ...]:
    """Return layers counted from 0, the token embedding."""
    asked: list[Any] = list(layer) if isinstance(layer, Sequence) else [int(layer)]
    resolved: list[int] = []
    broken = [number for number in asked if not isinstance(number, Integral)]
    if broken:
        raise DataError(f"layer={layer!r} has {broken[0]!r}; expected whole numbers.")
    for number in asked:
        if not -info.n_layers - 1 <= number <= info.n_layers:
            raise DataError(
                f"layer={number} does not exist in {info.name}; expected 0 (token embedding) to "
                f"{info.n_layers}, or -1 (last) down to {-info.n_layers - 1}."
            )
        resolved.append(int(number) if number >= 0 else info.n_layers + 1 + int(number))
    if not resolved or len(set(resolved)) < len(resolved):
        raise DataError(f"layer={layer!r}; expected one layer, or several different ones.")
    return tuple(resolved)


def join(parts: Sequence[Any], *, ensemble: str) -> Any:
    """Join the vectors of several models, protein by protein where there is no pooling.

    Parameters
    ----------
    parts : sequence of ndarray or of list of ndarray
        What each model gave.
    ensemble : {"concatenate", "mean"}
        See ESMEmbedder.

    Returns
    -------
    vectors : ndarray of float32 of shape (n_sequences, width), or of object
        One row, or one array, per protein.
    """
    if isinstance(parts[0], np.ndarray):
        return _join_arrays(parts, ensemble)
    result = np.empty(len(parts[0]), dtype=object)
    for i, arrays in enumerate(zip(*parts, strict=True)):
        result[i] = _join_arrays(arrays, ensemble)
    return result


def _join_arrays(arrays: Sequence[np.ndarray], ensemble: str) -> np.ndarray:
    if len(arrays) == 1:
        return arrays[0]
    if ensemble == "mean":
        return np.asarray(np.mean(arrays, axis=0, dtype=np.float32))
    return np.concatenate(arrays, axis=-1)
