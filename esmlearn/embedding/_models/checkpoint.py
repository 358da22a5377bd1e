"""Checkpoint files: fetched, read safely, and known by their content.

The only file that imports fair-esm; it supplies the alphabet and the address of its models.
"""

import argparse
import pickle
import re
import threading
import urllib.error
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from esmlearn.embedding._models.catalog import ModelInfo, describe_architecture
from esmlearn.exceptions import CheckpointError, EngineNotFoundError

if TYPE_CHECKING:
    import torch

# What torch may unpickle is set for the whole process: of two threads that read, the first to end
# would take it from the other.
_loading = threading.Lock()
_ADDRESS = "https://dl.fbaipublicfiles.com/fair-esm/models/{name}.pt"
_PREFIX = re.compile(r"^(encoder\.sentence_encoder\.|encoder\.|decoder\.)")


@dataclass(frozen=True)
class Checkpoint:
    """An ESM network as it lies in a file; the tensors are mapped, not read, until used."""

    info: ModelInfo
    path: Path
    token_dropout: bool
    tensors: "dict[str, torch.Tensor]"


@dataclass(frozen=True)
class Alphabet:
    """The tokens of a family of networks, taken from fair-esm."""

    index: dict[str, int]
    cls: int
    eos: int
    mask: int
    unknown: int
    append_eos: bool


@lru_cache(maxsize=4)
def alphabet(architecture: str) -> Alphabet:
    """Return fair-esm's alphabet of an architecture."""
    tokens = _import_fair_esm().Alphabet.from_architecture(
        "ESM-1" if architecture == "esm1" else "ESM-1b"
    )
    return Alphabet(
        index=dict(tokens.tok_to_idx),
        cls=tokens.cls_idx,
        eos=tokens.eos_idx,
        mask=tokens.mask_idx,
        unknown=tokens.unk_idx,
        append_eos=tokens.append_eos,
    )


def _import_fair_esm() -> Any:
    """Import fair-esm, and tell it from the other package of that import name."""
    advice = (
        "In a fresh environment, or after `python -m pip uninstall esm`, run "
        "`python -m pip install fair-esm`."
    )
    try:
        import esm
    except ImportError as error:
        raise EngineNotFoundError(
            f"ESM models need fair-esm (imported as `esm`), which is not installed. {advice}"
        ) from error
    if not hasattr(esm, "Alphabet"):
        where = getattr(esm, "__file__", None) or "an unknown place"
        raise EngineNotFoundError(
            f"The import name `esm` belongs to another package here ({where}), most likely "
            f"EvolutionaryScale's `esm`; expected fair-esm. Both cannot be installed together. "
            f"{advice}"
        )
    return esm


def checkpoint_place(name: str) -> Path:
    """Return where in torch's hub folder the file of a released model belongs."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / f"{name}.pt"


def fetch_checkpoint(name: str) -> Path:
    """Return the file of a released model in torch's hub folder, downloading it if missing."""
    import torch

    path = checkpoint_place(name)
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    address = _ADDRESS.format(name=name)
    try:
        torch.hub.download_url_to_file(address, str(path), progress=False)
    except (urllib.error.URLError, OSError) as error:
        raise CheckpointError(
            f"{name} is not at {path} and could not be fetched from {address} ({error}). Check the "
            f"network, copy the file there from a machine that has it, or pass model= the path of "
            f"a checkpoint."
        ) from error
    return path


def _load_file(path: Path) -> dict[str, Any]:
    """Unpickle a checkpoint without running code from it."""
    import torch

    with _loading, torch.serialization.safe_globals([argparse.Namespace]):
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (RuntimeError, ValueError) as error:
            if "mmap" not in str(error):
                raise
            # files from before torch 1.6 are no zip archives and cannot be mapped
            return torch.load(path, map_location="cpu", weights_only=True)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read arguments and (mapped) tensors of a checkpoint in one of fair-esm's formats."""
    try:
        content = _load_file(path)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}: {reason}). It may be "
            f"damaged or cut short: fetch it again."
        ) from error
    if not isinstance(content, dict) or "model" not in content:
        raise CheckpointError(f"{path} holds no `model`; expected a checkpoint of fair-esm.")
    tensors = {_PREFIX.sub("", key): value for key, value in content["model"].items()}
    arguments = _arguments(content, path)
    try:
        info = _describe(path, arguments, tensors)
    except (AttributeError, KeyError) as error:
        raise CheckpointError(f"{path} is no ESM checkpoint: {error} is missing.") from error
    dropout = bool(getattr(arguments, "token_dropout", False))
    return Checkpoint(info=info, path=path, token_dropout=dropout, tensors=tensors)


def _arguments(content: dict[str, Any], path: Path) -> SimpleNamespace:
    """Return the training arguments under one set of names, whatever the format calls them."""
    found = content["cfg"]["model"] if "cfg" in content else content.get("args")
    if found is None:
        raise CheckpointError(f"{path} holds neither `cfg` nor `args`; expected fair-esm's format.")
    values = found if isinstance(found, dict) else vars(found)
    return SimpleNamespace(
        **{re.sub(r"^(encoder|decoder)_", "", key): value for key, value in values.items()}
    )


def _describe(path: Path, arguments: SimpleNamespace, tensors: dict[str, Any]) -> ModelInfo:
    if "layers.0.self_attn.rot_emb.inv_freq" in tensors:
        architecture = "esm2"
    elif "embed_out" in tensors:
        architecture = "esm1"
    elif "embed_positions.weight" in tensors:
        architecture = "esm1b" if "emb_layer_norm_before.weight" in tensors else "esm1v"
    else:
        raise KeyError("a position embedding")
    width = tensors["embed_tokens.weight"].shape[1]
    return describe_architecture(
        path.stem, architecture, arguments.layers, width, arguments.attention_heads
    )
