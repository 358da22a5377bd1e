"""Protein language-model features, homology-safe evaluation and long-tail learning.

Subpackages are imported on first use, so that ``import esmlearn`` stays light: torch, scikit-learn
and matplotlib are loaded by the rooms that need them.
"""

from importlib import import_module
from types import ModuleType

from esmlearn._version import __version__

_SUBMODULES = [
    "clustering",
    "conformal",
    "datasets",
    "embedding",
    "exceptions",
    "io",
    "metrics",
    "model_selection",
    "neural_network",
    "over_sampling",
    "persistence",
    "pipeline",
    "plotting",
    "study",
    "variants",
]

__all__ = ["__version__", *_SUBMODULES]


def __getattr__(name: str) -> ModuleType:
    if name in _SUBMODULES:
        return import_module(f"esmlearn.{name}")
    raise AttributeError(f"module 'esmlearn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
