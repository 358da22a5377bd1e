"""Prediction without torch: the forward pass of the trained network in NumPy."""

from collections.abc import Mapping

import numpy as np
from threadpoolctl import threadpool_limits

__all__ = ["forward"]

_CHUNK_ROWS = 4096
_BATCH_NORM_EPS = 1e-5


def _normalise(hidden: np.ndarray, weights: Mapping[str, np.ndarray], layer: int) -> np.ndarray:
    """Apply a batch norm with its running statistics."""
    name = f"norm_{layer}"
    scale = weights[f"{name}.weight"] / np.sqrt(weights[f"{name}.running_var"] + _BATCH_NORM_EPS)
    return (hidden - weights[f"{name}.running_mean"]) * scale + weights[f"{name}.bias"]


def _forward_chunk(weights: Mapping[str, np.ndarray], X: np.ndarray) -> np.ndarray:
    hidden, layer = X, 0
    while f"linear_{layer}.weight" in weights:
        hidden = hidden @ weights[f"linear_{layer}.weight"].T + weights[f"linear_{layer}.bias"]
        np.maximum(hidden, 0.0, out=hidden)
        if f"norm_{layer}.weight" in weights:
            hidden = _normalise(hidden, weights, layer)
        layer += 1
    return hidden @ weights["output.weight"].T + weights["output.bias"]


def forward(weights: Mapping[str, np.ndarray], X: np.ndarray) -> np.ndarray:
    """Return the outputs of a trained network.

    It computes in float64 and on one thread, so that a row's output depends neither on its
    neighbours (beyond 1e-12) nor on how many processes share the machine.

    Parameters
    ----------
    weights : mapping of str to ndarray
        As `MLPModule.get_weights` gives them.
    X : ndarray of shape (n_rows, n_features)
        Finite numbers.

    Returns
    -------
    outputs : ndarray of shape (n_rows, n_outputs)
        In float64.
    """
    double = {name: value.astype(np.float64) for name, value in weights.items()}
    starts = range(0, len(X), _CHUNK_ROWS)
    with threadpool_limits(limits=1):
        return np.concatenate(
            [_forward_chunk(double, X[i : i + _CHUNK_ROWS].astype(np.float64)) for i in starts]
        )
