"""Data like embeddings with a long-tailed target: families of proteins, few of them hot."""

import numpy as np


def make_long_tail(n=400, n_features=16, *, seed=0, dtype=np.float32, shift=0.0):
    """Return features, targets (about 5 % above 55) and families."""
    rng = np.random.default_rng(seed)
    families = rng.integers(0, n // 8, n)
    latent = rng.normal(size=(n // 8, 6))[families] + 0.5 * rng.normal(size=(n, 6))
    X = latent @ rng.normal(size=(6, n_features)) + 0.1 * rng.normal(size=(n, n_features)) + shift
    y = 37 + 5 * latent[:, 0] + 6 * np.maximum(latent[:, 0] - 1, 0) ** 2 + rng.normal(size=n)
    return X.astype(dtype), y, families
