"""What every benchmark writes down: the machine, the versions, medians and spread."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

#: By version, so that a release can be compared to the last.
RESULTS = Path(__file__).parent / "results" / version("esmlearn")
_PACKAGES = ("torch", "numpy", "scikit-learn", "imbalanced-learn", "skorch")
_MALLOC = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "LD_PRELOAD")


def machine() -> dict[str, Any]:
    """Describe what the figures were measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "malloc": {name: os.environ[name] for name in _MALLOC if name in os.environ},
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and largest of repeated measurements."""
    return {
        "median": float(np.median(values)),
        "min": float(np.min(values)),
        "max": float(np.max(values)),
        "n": len(values),
    }


def write_result(name: str, result: dict[str, Any], *, quick: bool, show: bool = True) -> None:
    """Show a result and keep it; a quick trial is only shown."""
    text = json.dumps(result, indent=2)
    if show:
        print(text)
    if not quick:
        RESULTS.mkdir(parents=True, exist_ok=True)
        # By a rename, so that a run that is stopped here leaves the last whole file.
        path = RESULTS / f"{name}.json"
        path.with_suffix(f".{os.getpid()}").write_text(text + "\n")
        path.with_suffix(f".{os.getpid()}").replace(path)
