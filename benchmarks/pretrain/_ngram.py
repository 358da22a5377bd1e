"""Models of single and neighbouring residues, to compare perplexities with."""

from __future__ import annotations

import numpy as np

from benchmarks.pretrain._corpus import (
    FIRST_RESIDUE,
    N_RESIDUES,
    VOCABULARY,
    TokenSequences,
)

_RESIDUES = slice(FIRST_RESIDUE, FIRST_RESIDUE + N_RESIDUES)
_OUTSIDE = 1  # <pad>: what is seen beyond either end of a window
_N = len(VOCABULARY)


class NeighbourModel:
    """Probability of a residue given the tokens at fixed offsets from it.

    Counts of the longest context are smoothed by the model of one context token less, and so on
    down to the residues' frequencies: ``p = (n + strength * p_shorter) / (sum n + strength)``.

    Parameters
    ----------
    offsets : sequence of int
        ``()`` is the unigram model, ``(-1, -2)`` the trigram model, ``(-1, 1)`` sees both sides.
        The last one is dropped first.
    strength : float
        Weight of the shorter context, in observations.
    """

    def __init__(self, offsets: tuple[int, ...], *, strength: float = 50.0):
        self.offsets, self.strength = offsets, strength

    def fit(self, sequences: TokenSequences) -> NeighbourModel:
        """Count. A context that reaches beyond an end sees another sequence: of no weight here."""
        tokens = sequences.tokens
        self.probability_ = np.full((1, N_RESIDUES), 1 / N_RESIDUES)
        for used in range(len(self.offsets) + 1):
            context = _context_index(tokens[None], self.offsets[:used])[0]
            counts = _count(context, tokens, _N**used)
            shorter = np.repeat(self.probability_, _N if used else 1, axis=0)
            total = counts.sum(axis=1, keepdims=True)
            self.probability_ = (counts + self.strength * shorter) / (total + self.strength)
        return self

    def loss(self, windows: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Minus log probability, in nats, of each chosen residue of windows (rows, length)."""
        context = _context_index(windows, self.offsets)[chosen]
        return -np.log(self.probability_[context, windows[chosen] - FIRST_RESIDUE])


def _context_index(windows: np.ndarray, offsets: tuple[int, ...]) -> np.ndarray:
    """One number per position that stands for the tokens at the offsets."""
    index = np.zeros(windows.shape, dtype=np.int64)
    for offset in offsets:
        seen = np.full_like(windows, _OUTSIDE)
        if offset < 0:
            seen[:, -offset:] = windows[:, :offset]
        else:
            seen[:, :-offset] = windows[:, offset:]
        index = index * _N + seen
    return index


def _count(context: np.ndarray, tokens: np.ndarray, n_contexts: int) -> np.ndarray:
    flat = np.bincount(context * _N + tokens, minlength=n_contexts * _N)
    return flat.reshape(n_contexts, _N)[:, _RESIDUES].astype(float)
