"""What is learned: masked residues, and which two windows come from one sequence."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.pretrain._corpus import Batch, BatchPlan, mask_all
from benchmarks.pretrain._model import MaskedLanguageModel


def tensors(device: str | torch.device, *arrays: np.ndarray) -> list[Tensor]:
    """The arrays on the device; to CUDA through pinned memory, so that nobody waits for it."""
    found = [torch.from_numpy(array) for array in arrays]
    if torch.device(device).type == "cuda":
        return [tensor.pin_memory().to(device, non_blocking=True) for tensor in found]
    return [tensor.to(device) for tensor in found]


def masked_loss(
    model: MaskedLanguageModel, corrupted: np.ndarray, chosen: np.ndarray, original: np.ndarray
) -> Tensor:
    """Cross-entropy of the chosen residues in nats, computed in bfloat16 where that is safe."""
    tokens, wanted, residues = _masked(model, corrupted, chosen, original)
    with torch.autocast(tokens.device.type, dtype=torch.bfloat16):
        predicted = model.logits(model(tokens.long(), wanted))
    return functional.cross_entropy(predicted.float(), residues.long())


def masked_loss_and_pooled_states(
    model: MaskedLanguageModel, corrupted: np.ndarray, chosen: np.ndarray, original: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Both from one pass: the vectors are those of the corrupted windows."""
    tokens, wanted, residues = _masked(model, corrupted, chosen, original)
    with torch.autocast(tokens.device.type, dtype=torch.bfloat16):
        hidden = model(tokens.long())
        predicted = model.logits(hidden.reshape(-1, hidden.shape[-1])[wanted])
    loss = functional.cross_entropy(predicted.float(), residues.long())
    return loss, model.pool(hidden.float(), tokens)


def _masked(
    model: MaskedLanguageModel, corrupted: np.ndarray, chosen: np.ndarray, original: np.ndarray
) -> list[Tensor]:
    """Tokens, and the positions, counted through all rows, and residues of what was chosen."""
    positions = np.flatnonzero(chosen)
    return tensors(model.head_bias.device, corrupted, positions, original.ravel()[positions])


def pooled_states(model: MaskedLanguageModel, batch: Batch) -> Tensor:
    """Means (n_windows, width) over the residues of each window, none of them masked."""
    device = model.head_bias.device
    (tokens,) = tensors(device, batch.tokens)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        hidden = model(tokens.long())
    return model.pool(hidden.float(), tokens)


def pair_loss(pooled: Tensor, rows: np.ndarray, temperature: float) -> Tensor:
    """Cross-entropy, in nats, of finding each window's partner among all windows of the batch.

    The contrastive loss NT-Xent of SimCLR (Chen et al. 2020, arXiv:2002.05709), with the other half
    of the sequence in place of an augmented view. The vectors are standardised over the batch, as
    they are before ridge regression: their differences are small beside their mean.

    Parameters
    ----------
    pooled : tensor (2 * n_sequences, width)
        The second half of the rows belongs to the same sequences as the first, in the same order.
    rows : array (2 * n_sequences,)
        The sequence of each window; one that is there more than once is not its own rival.
    temperature : float
        Divides the cosines.
    """
    standardised = functional.batch_norm(pooled, None, None, training=True)
    directions = functional.normalize(standardised, dim=1)
    number = torch.arange(len(rows), device=pooled.device)
    partner = number.roll(len(rows) // 2)
    (sequence,) = tensors(pooled.device, rows)
    same = sequence[:, None] == sequence
    same[number, partner] = False
    similarity = (directions @ directions.T / temperature).masked_fill(same, -torch.inf)
    return functional.cross_entropy(similarity, partner)


@torch.no_grad()
def held_out_residue_loss(model: MaskedLanguageModel, plan: BatchPlan, *, every: int = 1) -> float:
    """Mean loss, in nats per masked residue, on a plan's first shard with a fixed mask.

    All chosen residues are masked (none is left or replaced), so that the figure says how well
    the model knows what it cannot see. ``every``: use each ``every``-th batch only.
    """
    total, count = 0.0, 0
    for number, batch in enumerate(plan.shard(0, 0)[::every]):
        corrupted, chosen = mask_all(batch.tokens, np.random.default_rng([2, number]))
        total += float(masked_loss(model, corrupted, chosen, batch.tokens)) * int(chosen.sum())
        count += int(chosen.sum())
    return total / count


@torch.no_grad()
def held_out_pair_loss(model: MaskedLanguageModel, plan: BatchPlan, temperature: float) -> float:
    """Mean loss, in nats per window, on a plan's first shard."""
    batches = plan.shard(0, 0)
    losses = [
        float(pair_loss(pooled_states(model, batch), batch.rows, temperature)) for batch in batches
    ]
    return float(np.average(losses, weights=[len(batch.rows) for batch in batches]))
