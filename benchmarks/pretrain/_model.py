"""ESM-2's architecture written for fast training on rows without padding."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.pretrain._corpus import FIRST_RESIDUE, MASK, VOCABULARY
from benchmarks.pretrain._labels import UNKNOWN

# ESM-2 scales embeddings as if 15 % of the residues were chosen and 80 % of those masked.
EXPECTED_MASKED = 0.15 * 0.8


@dataclass(frozen=True)
class Architecture:
    """Size of the model; the feed-forward part is four times as wide as the rest."""

    n_layers: int = 4
    width: int = 256
    n_heads: int = 4


def rotary_frequencies(head_width: int, device: torch.device | None = None) -> Tensor:
    """Angle per position of each pair of dimensions."""
    return 1.0 / (10000 ** (torch.arange(0, head_width, 2, device=device).float() / head_width))


def rotary_tables(
    length: int, head_width: int, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Cosines and sines, both (length, head_width), of the rotary positions."""
    positions = torch.arange(length, device=device).float()
    angles = torch.outer(positions, rotary_frequencies(head_width, device))
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn queries or keys (..., length, head_width) by their positions."""
    first, second = x.chunk(2, dim=-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.addcmul(x * cos, torch.cat((-second, first), dim=-1), sin)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention of (rows, heads, length, head_width).

    On CPUs by plain matrix products: torch 2.13's fused attention is several times slower there in
    bfloat16, most of all backwards.
    """
    if q.is_cuda:
        return functional.scaled_dot_product_attention(q, k, v)
    shape = q.shape
    q, k, v = (part.reshape(-1, *shape[2:]) for part in (q * shape[-1] ** -0.5, k, v))
    return torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(dim=-1), v).view(shape)


class Block(nn.Module):
    """One pre-LN transformer layer, queries, keys and values from one matrix product."""

    def __init__(self, width: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, wanted: Tensor | None = None) -> Tensor:
        """New states of all positions, or (n_wanted, width) of those numbered by ``wanted``."""
        rows, length, width = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(rows, length, 3, self.n_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = attend(rotate(q, cos, sin), rotate(k, cos, sin), v)
        attended = attended.transpose(1, 2).reshape(rows, length, width)
        if wanted is not None:
            x, attended = (part.reshape(-1, width)[wanted] for part in (x, attended))
        x = x + self.out(attended)
        return x + self.fc2(functional.gelu(self.fc1(self.feed_forward_norm(x))))


class MaskedLanguageModel(nn.Module):
    """ESM-2: rotary positions, token dropout, tied output weights; for rows without padding."""

    def __init__(self, architecture: Architecture, *, seed: int = 0):
        super().__init__()
        width, n_heads = architecture.width, architecture.n_heads
        self.architecture = architecture
        self.embedding = nn.Embedding(len(VOCABULARY), width)
        self.blocks = nn.ModuleList(Block(width, n_heads) for _ in range(architecture.n_layers))
        self.norm = nn.LayerNorm(width)
        self.head_dense = nn.Linear(width, width)
        self.head_norm = nn.LayerNorm(width)
        self.head_bias = nn.Parameter(torch.zeros(len(VOCABULARY)))
        self._initialise(torch.Generator().manual_seed(seed))

    def _initialise(self, generator: torch.Generator) -> None:
        deep = 1 / math.sqrt(2 * len(self.blocks))  # keeps the residual stream's size with depth
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                scale = deep if name.endswith(("out.weight", "fc2.weight")) else 1.0
                deviation = 0.04 if "embedding" in name else parameter.shape[1] ** -0.5 * scale
                nn.init.normal_(parameter, std=deviation, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor, wanted: Tensor | None = None) -> Tensor:
        """Last hidden states (rows, length, width) of tokens (rows, length).

        With ``wanted``, positions counted through all rows, only those, (n_wanted, width): the last
        layer then spares the others its feed-forward part.
        """
        masked = tokens == MASK
        observed = masked.float().mean(dim=1)
        scale = ((1 - EXPECTED_MASKED) / (1 - observed))[:, None] * ~masked
        x = self.embedding(tokens) * scale[:, :, None]
        head_width = self.architecture.width // self.architecture.n_heads
        cos, sin = rotary_tables(tokens.shape[1], head_width, x.device)
        for block in self.blocks[:-1]:
            x = block(x, cos, sin)
        return self.norm(self.blocks[-1](x, cos, sin, wanted))

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of the vocabulary for hidden states (..., width)."""
        x = self.head_norm(functional.gelu(self.head_dense(hidden)))
        return functional.linear(x, self.embedding.weight, self.head_bias)

    def pool(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """Means (rows, width) over the residues: the vectors that an embedder returns."""
        residues = (tokens >= FIRST_RESIDUE).to(hidden.dtype)[:, :, None]
        return (hidden * residues).sum(dim=1) / residues.sum(dim=1)


class GenomeHead(nn.Module):
    """Linear prediction of a sequence's genome from the mean-pooled states; not exported.

    The pooled vectors are standardised over the batch, as they are before ridge regression: their
    differences are small beside their mean, and a linear layer alone would first have to grow.
    """

    def __init__(self, width: int, n_genomes: int, *, seed: int = 0):
        super().__init__()
        self.standardise = nn.BatchNorm1d(width, affine=False)
        self.genomes = nn.Linear(width, n_genomes)
        generator = torch.Generator().manual_seed(seed)
        nn.init.normal_(self.genomes.weight, std=0.1 * width**-0.5, generator=generator)
        nn.init.zeros_(self.genomes.bias)

    def loss(self, pooled: Tensor, genomes: Tensor) -> Tensor:
        """Cross-entropy of the genome, in nats per sequence of which it is known."""
        predicted = self.genomes(self.standardise(pooled.float())).float()
        total = functional.cross_entropy(predicted, genomes, ignore_index=UNKNOWN, reduction="sum")
        return total / (genomes != UNKNOWN).sum().clamp(min=1)
