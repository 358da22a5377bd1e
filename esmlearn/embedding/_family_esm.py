"""ESM-1, ESM-1b, ESM-1v and ESM-2, as fair-esm released them."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from esmlearn.embedding._registry import Family, ModelInfo

if TYPE_CHECKING:
    from esmlearn.embedding._encoder import ESMEncoder

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


def _names(path: Path) -> bytes:
    """Return the part of a checkpoint that names its tensors, without importing torch."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
            return archive.read(name)
    except (zipfile.BadZipFile, StopIteration, OSError):
        with open(path, "rb") as file:  # from before torch 1.6
            return file.read(1 << 20)


class ESMFamily(Family):
    """Checkpoints in the two formats of fair-esm 2.0.0."""

    name = "esm"
    models = tuple(describe_architecture(*row) for row in _TABLE)
    aliases = {"esm1v_t33_650M_UR90S": "esm1v_t33_650M_UR90S_1"}

    def place(self, name: str) -> Path:
        """Return the file in torch's hub folder."""
        from esmlearn.embedding._weights import checkpoint_place

        return checkpoint_place(name)

    def locate(self, name: str) -> Path:
        """Return the file in torch's hub folder, downloaded from fair-esm's address if missing."""
        from esmlearn.embedding._weights import fetch_checkpoint

        return fetch_checkpoint(name)

    def recognises(self, path: Path) -> bool:
        """Tell whether the file holds the arguments and the tensors of an ESM network."""
        names = _names(path)
        return b"embed_tokens.weight" in names and (b"args" in names or b"cfg" in names)

    def describe(self, path: Path) -> ModelInfo:
        """Return what the file's arguments and the names of its tensors say."""
        from esmlearn.embedding._weights import read_checkpoint

        return read_checkpoint(path).info

    def load(self, path: Path, *, device: str, precision: str) -> "ESMEncoder":
        """Return the packed encoder with the file's weights."""
        from esmlearn.embedding._encoder import ESMEncoder
        from esmlearn.embedding._weights import read_checkpoint

        return ESMEncoder(read_checkpoint(path), device=device, precision=precision)


FAMILY = ESMFamily()
