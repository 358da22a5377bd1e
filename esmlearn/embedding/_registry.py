"""Which models there are, told before anything is downloaded; and how families of them plug in.

A family is one module of this package named ``_family_<name>.py`` with a constant ``FAMILY``; it is
found by its name, so adding one edits no other file. docs/design/embedding.md shows how.
"""

import difflib
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from esmlearn.exceptions import CheckpointError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model without having it.

    Attributes
    ----------
    name : str
        The name to give to ESMEmbedder, or the stem of a checkpoint file.
    family : str
        Name of the family that loads it, such as ``"esm"``.
    architecture : str
        Kind of network inside the family, such as ``"esm2"``.
    n_layers : int
        Transformer layers; representations 0 to `n_layers` exist.
    width : int
        Numbers per residue.
    n_heads : int
        Attention heads.
    max_residues : int or None
        Longest sequence the network can take at once; None where positions have no end.
    trained_residues : int
        Longest sequence it was trained on; longer ones are cut into windows of this length.
    n_parameters : int
        Weights, without heads.
    weights_bytes : int
        Memory of those weights in float32. A released file may be smaller (float16) or larger (it
        also holds heads and, for some, the optimizer's state).
    reference : str
        The paper to cite.
    """

    name: str
    family: str
    architecture: str
    n_layers: int
    width: int
    n_heads: int
    max_residues: int | None
    trained_residues: int
    n_parameters: int
    weights_bytes: int
    reference: str


class Encoder(Protocol):
    """A loaded model, as every family has to offer it.

    Attributes
    ----------
    n_layers, width : int
        As in ModelInfo.
    n_prefix, n_suffix : int
        Special tokens before and after the residues.
    mask_token : int
        The token that hides a residue.
    lock : context manager
        Held by whoever runs the model: its buffers are reused from call to call.
    """

    n_layers: int
    width: int
    n_prefix: int
    n_suffix: int
    mask_token: int
    lock: AbstractContextManager[Any]

    def tokenize(self, sequence: str) -> np.ndarray:
        """Return the int64 tokens of a sequence, special tokens included."""
        ...

    def encode(self, tokens: Sequence[np.ndarray], layers: Sequence[int]) -> list["torch.Tensor"]:
        """Return float32 states of shape (n_tokens in all, width), one tensor per layer.

        The sequences lie one behind the other, in the order given. The tensors may be overwritten
        by the next call.
        """
        ...

    def logits(self, states: "torch.Tensor") -> "torch.Tensor":
        """Return the language model's logits of last-layer states, (n_tokens, n_vocabulary)."""
        ...


class Family(ABC):
    """Models that are found, read and run the same way."""

    name: str
    models: tuple[ModelInfo, ...]
    aliases: dict[str, str] = {}

    @abstractmethod
    def locate(self, name: str) -> Path:
        """Return the checkpoint of a named model, downloading it where it is not there yet."""

    def place(self, name: str) -> Path | None:
        """Return where a named model's checkpoint lies or will lie, if that can be foreseen."""
        return None

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Tell whether a file is a checkpoint of this family, without loading its weights."""

    @abstractmethod
    def describe(self, path: Path) -> ModelInfo:
        """Return what a checkpoint file says of itself, without loading its weights."""

    @abstractmethod
    def load(self, path: Path, *, device: str, precision: str) -> Encoder:
        """Return the model, ready to run on `device`.

        `precision` is ``"float32"``, ``"bfloat16"``, ``"float16"`` or `BFLOAT16_BUT_SCORES`.
        """


@dataclass(frozen=True)
class Source:
    """A checkpoint file and the family that reads it."""

    family: Family
    path: Path


@cache
def families() -> dict[str, Family]:
    """Return the families by name."""
    package = __name__.rpartition(".")[0]
    folder = str(Path(__file__).parent)
    names = sorted(m.name for m in iter_modules([folder]) if m.name.startswith("_family_"))
    found = [import_module(f"{package}.{name}").FAMILY for name in names]
    return {family.name: family for family in found}


def _known_models() -> dict[str, ModelInfo]:
    return {info.name: info for family in families().values() for info in family.models}


def list_models() -> list[str]:
    """Return the names of the models that can be fetched, smallest first inside a family.

    Returns
    -------
    names : list of str
        Each can be given to ESMEmbedder and to model_info.

    Examples
    --------
    >>> from esmlearn.embedding import list_models
    >>> [name for name in list_models() if name.startswith("esm2")][:2]
    ['esm2_t6_8M_UR50D', 'esm2_t12_35M_UR50D']
    """
    return list(_known_models())


def model_info(model: str | os.PathLike[str]) -> ModelInfo:
    """Return what is known of a model, without downloading or loading it.

    Parameters
    ----------
    model : str or path-like
        A name out of list_models(), or a checkpoint file.

    Returns
    -------
    info : ModelInfo
        Layers, width, context, size, paper.

    Raises
    ------
    CheckpointError
        If the name is unknown, or the file is no checkpoint of a known family.

    Examples
    --------
    >>> from esmlearn.embedding import model_info
    >>> info = model_info("esm1v_t33_650M_UR90S_1")
    >>> info.n_layers, info.width, info.max_residues
    (33, 1280, 1022)
    """
    known = known_model(model)
    if known is not None:
        return known
    source = resolve_model(model)
    return source.family.describe(source.path)


def known_model(model: str | os.PathLike[str]) -> ModelInfo | None:
    """Return what is known of a model by its name; None if it is no name."""
    return _known_models().get(_resolve_alias(os.fspath(model)))


def resolve_model(model: str | os.PathLike[str]) -> Source:
    """Return the checkpoint behind a name or a path; a named one is fetched where needed."""
    name = _resolve_alias(os.fspath(model))
    for family in families().values():
        if any(info.name == name for info in family.models):
            return Source(family, family.locate(name))
    path = Path(model).expanduser()
    if not path.is_file():
        raise CheckpointError(_unknown_model_message(name))
    for family in families().values():
        if family.recognises(path):
            return Source(family, path.resolve())
    raise CheckpointError(
        f"{path} is no checkpoint of a known model family ({', '.join(families())}); expected a "
        f"file that fair-esm released or write_untrained_checkpoint wrote. One of that kind may be "
        f"damaged or cut short: fetch it again."
    )


def _resolve_alias(name: str) -> str:
    for family in families().values():
        name = family.aliases.get(name, name)
    return name


def _unknown_model_message(name: str) -> str:
    close = difflib.get_close_matches(name, _known_models(), n=3)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return (
        f"model={name!r} is neither the name of a model nor an existing file; expected a name out "
        f"of esmlearn.embedding.list_models() or the path of a checkpoint.{hint}"
    )
