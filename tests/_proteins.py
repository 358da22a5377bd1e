"""Protein families made on the spot: related inside a family, unrelated between families."""

import numpy as np

from esmlearn.utils._sequences import STANDARD_RESIDUES

_RESIDUES = np.array(list(STANDARD_RESIDUES))


def random_protein(length, rng):
    return "".join(rng.choice(_RESIDUES, length))


def mutate(sequence, identity, rng):
    """Substitute residues so that about `identity` of the positions stay as they were."""
    letters = np.array(list(sequence))
    change = rng.random(len(letters)) > identity
    letters[change] = rng.choice(_RESIDUES, change.sum())
    return "".join(letters)


def make_families(n_families, members, *, length=120, identity=0.7, seed=0):
    """Return sequences and their family labels.

    Members are mutants of one ancestor; two members share about ``identity ** 2`` of the positions.
    `members` is a number, or one number per family.
    """
    rng = np.random.default_rng(seed)
    sizes = np.broadcast_to(members, n_families)
    sequences, families = [], []
    for family, size in enumerate(sizes):
        ancestor = random_protein(length + int(rng.integers(0, length // 4 + 1)), rng)
        sequences += [mutate(ancestor, identity, rng) for _ in range(size)]
        families += [family] * int(size)
    return sequences, np.array(families)
