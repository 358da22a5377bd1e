"""Weights that tell a sequence's composition from the first step on."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.pretrain._corpus import FIRST_RESIDUE, N_RESIDUES
from benchmarks.pretrain._model import MaskedLanguageModel

_STANDARD = slice(FIRST_RESIDUE, FIRST_RESIDUE + N_RESIDUES)
_EMBEDDING_DEVIATION = 0.5


def residue_frequencies(tokens: np.ndarray) -> np.ndarray:
    """Shares (rows, 20) of the standard residues in rows of tokens (rows, length)."""
    residues = np.arange(_STANDARD.start, _STANDARD.stop)
    return np.stack([(tokens == residue).mean(axis=1) for residue in residues], axis=1)


@torch.no_grad()
def start_from_composition(
    model: MaskedLanguageModel, frequencies: np.ndarray, *, seed: int = 0
) -> None:
    """Let the first head of the first layer add the standardised composition to every position.

    With random weights, what attention adds differs little between sequences (0.07 standard
    deviations of the states where it was measured), so that functions of the whole sequence are
    slow to learn. Here one head attends to all positions alike, its values turn a residue into its
    indicator over the deviation of that residue's share, and its output is a random projection: all
    later layers start from composition as a regression would.

    Parameters
    ----------
    model : MaskedLanguageModel
        With heads at least 20 wide; all its weights are replaced.
    frequencies : array (n_windows, 20)
        Shares of the standard residues in windows of training sequences.
    seed : int
        Of the random weights.
    """
    width, n_heads = model.architecture.width, model.architecture.n_heads
    if width // n_heads < N_RESIDUES:
        raise ValueError(f"Heads must be at least {N_RESIDUES} wide; got {width} / {n_heads}.")
    generator = torch.Generator().manual_seed(seed)
    _randomise(model, generator)
    mean, deviation = (
        torch.from_numpy(values).float()
        for values in (frequencies.mean(axis=0), frequencies.std(axis=0))
    )
    block, head = model.blocks[0], slice(0, width // n_heads)
    normed = functional.layer_norm(model.embedding.weight[_STANDARD], (width,))
    queries, keys, values = block.qkv.weight.view(3, width, width)
    for part in (queries, keys, values):
        part[head] = 0
    values[:N_RESIDUES] = torch.linalg.pinv(normed.double()).T.float() / deviation[:, None]
    block.qkv.bias.view(3, width)[2, :N_RESIDUES] = -mean / deviation
    block.out.weight[:, head] = 0
    projection = torch.randn(width, N_RESIDUES, generator=generator)
    block.out.weight[:, :N_RESIDUES] = projection * N_RESIDUES**-0.5


def _randomise(model: MaskedLanguageModel, generator: torch.Generator) -> None:
    """Random weights of usual size; embeddings large enough to be told apart beside the rest."""
    for name, parameter in model.named_parameters():
        if name == "embedding.weight":
            nn.init.normal_(parameter, std=_EMBEDDING_DEVIATION, generator=generator)
        elif parameter.ndim == 2:
            gain = 0.7 if "qkv" in name else 0.58 if "fc" in name else 1.0
            deviation = gain * parameter.shape[1] ** -0.5
            nn.init.normal_(parameter, std=deviation, generator=generator)
    # The output weights are the embeddings: keeps the first logits near one.
    nn.init.constant_(
        model.head_norm.weight, 1 / (_EMBEDDING_DEVIATION * model.architecture.width**0.5)
    )
