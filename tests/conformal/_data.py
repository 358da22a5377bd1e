"""Families of numeric rows whose target is known in truth, with a noisy tail."""

import numpy as np

EDGE = 2.0


def family_rows(n_families, *, members=4, seed=0):
    """Return features, targets and families; the few targets above `EDGE` are predicted badly."""
    rng = np.random.default_rng(seed)
    families = np.repeat(np.arange(n_families), members)
    centre = rng.normal(size=(n_families, 2))[families]
    X = centre + 0.3 * rng.normal(size=centre.shape)
    rare = (rng.random(n_families) < 0.1)[families]
    y = 0.5 * X[:, 0] + 0.3 * rng.normal(size=len(X))
    y[rare] = EDGE + rng.exponential(1.0, size=rare.sum()) + 0.2 * X[rare, 0]
    return X, np.where(rare, y, np.minimum(y, EDGE - 1e-6)), families
