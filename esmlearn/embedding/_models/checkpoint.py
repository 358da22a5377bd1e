"""Checkpoint files: fetched, read safely, and known by their content.

The only file that imports fair-esm; it supplies the alphabet and the address of its models.
"""

import argparse
import os
import re
import sys
import threading
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from esmlearn.embedding._models.catalog import ModelInfo, describe_architecture
from esmlearn.exceptions import CheckpointError, EngineNotFoundError
from esmlearn.utils._optional import require_torch

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
    """Return where in torch's hub folder the file of a released model belongs.

    Where torch was not imported it cannot have been told of another folder, and is not needed.
    """
    if "torch" in sys.modules:
        hub = Path(sys.modules["torch"].hub.get_dir())
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        hub = Path(os.environ.get("TORCH_HOME") or cache / "torch") / "hub"
    return hub.expanduser() / "checkpoints" / f"{name}.pt"


def fetch_checkpoint(name: str) -> Path:
    """Return the file of a released model in torch's hub folder, downloading it if missing."""
    path = checkpoint_place(name)
    if path.is_file():
        return path
    require_torch("Fetching a language model")
    import torch

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
    """Read arguments and (mapped) tensors of a checkpoint in one of fair-esm's formats.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or lacks a tensor of the network that its arguments describe, or
        has one of another shape.
    """
    require_torch("Reading a language model")
    try:
        content = _load_file(path)
    except Exception as error:  # torch answers damage with errors of a dozen types
        reason = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}: {reason}). It may be "
            f"damaged or cut short: fetch it again."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise CheckpointError(f"{path} holds no `model`; expected a checkpoint of fair-esm.")
    try:
        tensors = {_PREFIX.sub("", key): value for key, value in content["model"].items()}
        arguments = _arguments(content, path)
        info = _describe(path, arguments, tensors)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is no ESM checkpoint: its arguments or tensors are not those of fair-esm "
            f"({error} is missing or of another kind)."
        ) from error
    _check_tensors(path, info, tensors)
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
    layers, heads = arguments.layers, arguments.attention_heads
    # Not more layers than tensors: the names of a billion would fill the memory.
    if not (_is_number(layers, len(tensors)) and _is_number(heads, width) and width % heads == 0):
        raise CheckpointError(
            f"{path} says that it has {layers!r} layers and {heads!r} attention heads; expected "
            f"whole numbers that go with its {len(tensors)} tensors of width {width}."
        )
    return describe_architecture(path.stem, architecture, layers, width, heads)


def _is_number(value: Any, most: int) -> bool:
    return isinstance(value, int) and 1 <= value <= most


def _check_tensors(path: Path, info: ModelInfo, tensors: dict[str, Any]) -> None:
    """Make sure that every tensor of the network is there, in its shape."""
    import torch

    for name, shape, is_optional in _shapes(info, tensors):
        tensor = tensors.get(name)
        if tensor is None and is_optional:
            continue
        found: Any = type(tensor).__name__
        if isinstance(tensor, torch.Tensor):
            is_plain = tensor.layout == torch.strided and tensor.is_floating_point()
            found = tuple(tensor.shape) if is_plain else f"{tensor.dtype} ({tensor.layout})"
        if found != shape:
            told = "is missing" if tensor is None else f"has the shape {found}"
            raise CheckpointError(
                f"{path}: the tensor {name} {told}; expected floating-point numbers of shape "
                f"{shape}. The file may be damaged: fetch it again."
            )


def _shapes(
    info: ModelInfo, tensors: dict[str, Any]
) -> Iterator[tuple[str, tuple[int, ...], bool]]:
    """Yield the network's tensors, their shapes, and whether they may be missing."""
    width, tokens = info.width, len(alphabet(info.architecture).index)
    wide = len(tensors["layers.0.fc1.bias"]) if "layers.0.fc1.bias" in tensors else 4 * width
    yield "embed_tokens.weight", (tokens, width), False
    if info.architecture in ("esm1b", "esm1v"):
        yield "embed_positions.weight", (len(tensors["embed_positions.weight"]), width), False
    for norm in ("emb_layer_norm_before", "emb_layer_norm_after"):
        for part in ("weight", "bias"):
            yield f"{norm}.{part}", (width,), f"{norm}.weight" not in tensors
    for layer in range(info.n_layers):
        prefix = f"layers.{layer}."
        linear = {f"self_attn.{x}_proj": (width, width) for x in ("q", "k", "v", "out")}
        linear |= {"fc1": (wide, width), "fc2": (width, wide)}
        for name, shape in linear.items():
            yield f"{prefix}{name}.weight", shape, False
            yield f"{prefix}{name}.bias", shape[:1], False
        for norm in ("self_attn_layer_norm", "final_layer_norm"):
            yield f"{prefix}{norm}.weight", (width,), False
            yield f"{prefix}{norm}.bias", (width,), False
        for name in ("bias_k", "bias_v"):
            optional = f"{prefix}self_attn.bias_k" not in tensors
            yield f"{prefix}self_attn.{name}", (1, 1, width), optional
    if info.architecture == "esm2":
        yield "layers.0.self_attn.rot_emb.inv_freq", (width // info.n_heads // 2,), False


def check_finite_weights(checkpoint: Checkpoint) -> None:
    """Raise a CheckpointError if a weight is NaN or infinite; this reads all of them."""
    import torch

    for name, tensor in checkpoint.tensors.items():
        if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
            continue
        if tensor.numel() and not torch.isfinite(torch.stack(torch.aminmax(tensor))).all():
            raise CheckpointError(
                f"{checkpoint.path}: the tensor {name} holds NaN or infinity; expected finite "
                f"numbers. The file may be damaged, or its training diverged: fetch it again."
            )
