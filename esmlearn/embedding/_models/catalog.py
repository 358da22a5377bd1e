"""The models that exist, described without having them, and the interface of a model family."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ModelInfo:
    """Description of a model, available without its weights.

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


# Released ESM models -----------------------------------------------------------------------------

TRAINED_RESIDUES = 1022

_ESM1 = "Rives et al. (2021) PNAS 118, e2016239118"
_ESM1V = "Meier et al. (2021) NeurIPS 34"
_ESM2 = "Lin et al. (2023) Science 379, 1123-1130"

ESM1V_ENSEMBLE = tuple(f"esm1v_t33_650M_UR90S_{i}" for i in range(1, 6))
"""The five models of ESM-1v, which differ in the seed they were trained from."""

# name, architecture, layers, width, heads, paper
_TABLE = [
    ("esm2_t6_8M_UR50D", "esm2", 6, 320, 20, _ESM2),
    ("esm2_t12_35M_UR50D", "esm2", 12, 480, 20, _ESM2),
    ("esm2_t30_150M_UR50D", "esm2", 30, 640, 20, _ESM2),
    ("esm2_t33_650M_UR50D", "esm2", 33, 1280, 20, _ESM2),
    ("esm2_t36_3B_UR50D", "esm2", 36, 2560, 40, _ESM2),
    ("esm2_t48_15B_UR50D", "esm2", 48, 5120, 40, _ESM2),
    *[(name, "esm1v", 33, 1280, 20, _ESM1V) for name in ESM1V_ENSEMBLE],
    ("esm1b_t33_650M_UR50S", "esm1b", 33, 1280, 20, _ESM1),
    ("esm1_t6_43M_UR50S", "esm1", 6, 768, 12, _ESM1),
    ("esm1_t12_85M_UR50S", "esm1", 12, 768, 12, _ESM1),
    ("esm1_t34_670M_UR50S", "esm1", 34, 1280, 20, _ESM1),
    ("esm1_t34_670M_UR50D", "esm1", 34, 1280, 20, _ESM1),
    ("esm1_t34_670M_UR100", "esm1", 34, 1280, 20, _ESM1),
]

_N_TOKENS = {"esm1": 35, "esm1b": 33, "esm1v": 33, "esm2": 33}


def describe_architecture(
    name: str, architecture: str, n_layers: int, width: int, n_heads: int, reference: str = ""
) -> ModelInfo:
    """Return a ModelInfo with everything that follows from the shape of the network."""
    learned = architecture in ("esm1b", "esm1v")
    per_layer = 12 * width**2 + 13 * width + (2 * width if architecture == "esm1" else 0)
    n_norms = {"esm1": 0, "esm1b": 2}.get(architecture, 1)
    positions = 1026 * width if learned else 0
    n_parameters = (
        n_layers * per_layer + _N_TOKENS[architecture] * width + positions + 2 * n_norms * width
    )
    return ModelInfo(
        name=name,
        family="esm",
        architecture=architecture,
        n_layers=n_layers,
        width=width,
        n_heads=n_heads,
        max_residues=TRAINED_RESIDUES if learned else None,
        trained_residues=TRAINED_RESIDUES,
        n_parameters=n_parameters,
        weights_bytes=4 * n_parameters,
        reference=reference,
    )


RELEASED_MODELS = tuple(describe_architecture(*row) for row in _TABLE)
"""The models that fair-esm released, smallest first inside a kind."""
