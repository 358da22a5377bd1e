"""From states per residue to one vector per protein."""

import torch
from torch import Tensor


def pool(residues: Tensor, bos: Tensor, pooling: str | None) -> Tensor:
    """Pool the states of one protein.

    Parameters
    ----------
    residues : Tensor of shape (n_residues, width)
        Without special tokens.
    bos : Tensor of shape (width,)
        State of the token before the first residue.
    pooling : {"mean", "max", "bos", "mean+std"} or None
        None returns the residues themselves. The deviation is that of the residues as a
        population, 0 for a single one.

    Returns
    -------
    vector : Tensor of shape (width,), (2 * width,) or (n_residues, width)
    """
    if pooling is None:
        return residues
    if pooling == "mean":
        return residues.mean(0)
    if pooling == "max":
        return residues.amax(0)
    if pooling == "bos":
        return bos
    deviation, mean = torch.std_mean(residues, dim=0, correction=0)
    return torch.cat([mean, deviation])
