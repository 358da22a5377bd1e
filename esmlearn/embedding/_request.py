"""A request for vectors: its distinct sequences, their digests, and counts for the report."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from esmlearn.utils._sequences import (
    as_items,
    check_sequences,
    count_features,
    scan_sequences,
    sequence_digest,
)

# Folds and candidates of a grid ask for the same sequences, so a process hashes each once; about
# 400 bytes are kept for a usual protein.
_digest = lru_cache(maxsize=1 << 16)(sequence_digest)


class Request(NamedTuple):
    """Sequences that were asked for, each distinct one once.

    Attributes
    ----------
    sequences : list of str
        The distinct sequences in upper case, in the order in which they first occur.
    digests : list of bytes
        Their digests.
    lengths : ndarray of int64
        Their characters.
    rows : ndarray of int64 of shape (n_items,) or None
        The distinct sequence of each item; None where all items are distinct.
    counts : dict
        As count_sequence_features returns them.
    """

    sequences: list[str]
    digests: list[bytes]
    lengths: np.ndarray
    rows: np.ndarray | None
    counts: dict[str, int]


def make_request(X: Any, *, name: str = "X") -> Request:
    """Check sequences and reduce them to the distinct ones.

    Parameters
    ----------
    X : array-like of str of shape (n_sequences,)
        As check_sequences takes them.
    name : str, default="X"
        Name of `X` in messages.

    Returns
    -------
    request : Request
        Distinct sequences, digests, counts.

    Raises
    ------
    DataError
        As check_sequences.
    """
    items = as_items(X, name)
    scan = scan_sequences(items)
    if scan is None or not items:
        check_sequences(items, name=name)  # names the item that is no sequence
        raise AssertionError("what is refused has a reason")
    upper = [str(item).upper() for item in items] if scan.lower_case.any() else items
    sequences = list(map(str, dict.fromkeys(upper)))  # a plain str instead of NumPy's
    lengths, rows = scan.lengths, None
    if len(sequences) < len(upper):
        numbers = {sequence: number for number, sequence in enumerate(sequences)}
        rows = np.array([numbers[sequence] for sequence in upper])
        lengths = np.array(list(map(len, sequences)))
    return Request(
        sequences=sequences,
        digests=list(map(_digest, sequences)),
        lengths=lengths,
        rows=rows,
        counts=count_features(scan, n_distinct=len(sequences)),
    )
