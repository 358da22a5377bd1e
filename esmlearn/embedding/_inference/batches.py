"""Windows of the trained length, and batches of a budget of tokens."""

from collections.abc import Sequence

import numpy as np

WINDOW_OVERLAP = 256


def windows(
    length: int, *, window: int, policy: str, overlap: int = WINDOW_OVERLAP
) -> list[tuple[int, int]]:
    """Return the parts (start, stop) of a sequence that go through the model.

    Parameters
    ----------
    length : int
        Residues of the sequence.
    window : int
        Longest part.
    policy : {"window", "truncate", "whole"}
        ``"window"``: as few parts as cover the sequence with at least `overlap` shared residues
        between neighbours, evenly spread; ``"truncate"``: the first part alone; ``"whole"``: one.
    overlap : int, default=256
        Least number of residues that neighbouring parts share.

    Returns
    -------
    parts : list of tuple of int
        In order; a sequence that fits is one part under every policy.
    """
    if length <= window or policy == "whole":
        return [(0, length)]
    if policy == "truncate":
        return [(0, window)]
    overlap = min(overlap, window // 2)
    number = int(np.ceil((length - overlap) / (window - overlap)))
    starts = np.linspace(0, length - window, number).round().astype(int)
    return [(int(start), int(start) + window) for start in starts]


def plan_batches(lengths: Sequence[int], *, budget: int) -> list[list[int]]:
    """Group sequences into batches of at most `budget` tokens, longest first.

    Equal lengths end up side by side, where they share one attention call; and a batch that does
    not fit into memory shows at once, not after hours. A sequence over the budget is a batch alone.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each sequence.
    budget : int
        Tokens of a batch.

    Returns
    -------
    batches : list of list of int
        Indices into `lengths`; each occurs once.
    """
    batches: list[list[int]] = []
    room = 0
    for index in np.argsort(np.asarray(lengths), kind="stable")[::-1].tolist():
        if not batches or lengths[index] > room:
            batches.append([])
            room = budget
        batches[-1].append(index)
        room -= lengths[index]
    return batches
