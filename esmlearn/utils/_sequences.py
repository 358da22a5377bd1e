"""What counts as a protein sequence, and how two of them are told apart."""

from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np

from esmlearn.exceptions import DataError

STANDARD_RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
AMBIGUOUS_RESIDUES = "BJOUXZ"
GAP_CHARACTERS = ".-*"
ALLOWED_CHARACTERS = frozenset(STANDARD_RESIDUES + AMBIGUOUS_RESIDUES + GAP_CHARACTERS)

_STANDARD_BYTES = STANDARD_RESIDUES.encode("ascii")
_GAP_BYTES = GAP_CHARACTERS.encode("ascii")
_ALLOWED_BYTES = _STANDARD_BYTES + AMBIGUOUS_RESIDUES.encode("ascii") + _GAP_BYTES

_REMOVE_GAPS = str.maketrans("", "", GAP_CHARACTERS)


def as_items(X: Any, name: str) -> list[Any]:
    """Return the items of any one-dimensional container of sequences."""
    if isinstance(X, str | bytes):
        raise DataError(
            f"{name} is a single {type(X).__name__}; expected a one-dimensional array-like of "
            f"sequences. Pass [{name}] for one sequence."
        )
    if hasattr(X, "column_names") and len(X.column_names) == 1:  # pyarrow's table of one column
        return as_items(X[X.column_names[0]], name)
    for method in ("to_pylist", "to_list"):  # pyarrow; polars and pandas
        if hasattr(X, method):
            return list(getattr(X, method)())
    if hasattr(X, "columns"):  # a data frame of one column
        if len(X.columns) != 1:
            raise DataError(
                f"{name} is a table of {len(X.columns)} columns; expected one column of sequences. "
                f"Pass the column itself."
            )
        return as_items(X[X.columns[0]], name)
    if isinstance(X, np.ndarray):
        if X.ndim == 2 and X.shape[1] == 1:
            X = X[:, 0]
        if X.ndim != 1:
            raise DataError(
                f"{name} has shape {X.shape}; expected a one-dimensional array-like of sequences "
                f"(str)."
            )
        return X.tolist()
    if isinstance(X, Iterable):
        return list(X)
    raise DataError(
        f"{name} is of type {type(X).__name__}; expected a one-dimensional array-like of sequences."
    )


def _bad_character(sequence: str) -> tuple[int, str] | None:
    """Return position (0-based) and character of the first that is no residue."""
    # deleting what is allowed takes half a microsecond, a walk over the characters ten
    if not sequence.encode("ascii", "replace").translate(None, _ALLOWED_BYTES):
        return None
    return next((i, c) for i, c in enumerate(sequence) if c not in ALLOWED_CHARACTERS)


def _upper_ascii(sequence: str) -> str:
    """Return a sequence in upper case but for letters that are none of ASCII's."""
    return "".join(c.upper() if c.isascii() else c for c in sequence)


def check_sequences(X: Any, *, name: str = "X", min_sequences: int = 1) -> list[str]:
    """Validate protein sequences and return them upper-cased.

    Parameters
    ----------
    X : array-like of str of shape (n_sequences,)
        List, tuple, NumPy array, pandas/polars/pyarrow column, or a table of one column.
    name : str, default="X"
        How to call `X` in messages.
    min_sequences : int, default=1
        The least number of sequences.

    Returns
    -------
    sequences : list of str
        Upper-case sequences over the 20 residues, B J O U X Z and ``. - *``.

    Raises
    ------
    DataError
        If an item is no str, is empty or holds another character; the message names the index,
        the character and its position.
    """
    items = as_items(X, name)
    if len(items) < min_sequences:
        raise DataError(f"{name} has {len(items)} sequence(s); expected at least {min_sequences}.")
    sequences = []
    for index, item in enumerate(items):
        if not isinstance(item, str):
            raise DataError(
                f"{name}[{index}] is {item!r} of type {type(item).__name__}; expected a protein "
                f"sequence (str). Remove or fill missing sequences first."
            )
        # not str.upper for all: of some letters it makes residues ("ß" becomes "SS")
        sequence = item.upper() if item.isascii() else _upper_ascii(item)
        if not sequence:
            raise DataError(f"{name}[{index}] is an empty sequence; remove it first.")
        bad = _bad_character(sequence)
        if bad is not None:
            position, character = bad
            raise DataError(
                f"{name}[{index}] has the character {character!r} at position {position}; expected "
                f"one of {STANDARD_RESIDUES} or {AMBIGUOUS_RESIDUES} . - * (any case)."
            )
        sequences.append(sequence)
    return sequences


def is_sequence_like(X: Any) -> bool:
    """Tell whether `X` looks like a container of str rather than of numbers."""
    try:
        items = as_items(X, "X")
    except DataError:
        return False
    return bool(items) and isinstance(items[0], str)


def remove_gaps(sequence: str) -> str:
    """Return the residues of a sequence alone, without ``. - *``, in upper case."""
    return sequence.upper().translate(_REMOVE_GAPS)


def sequence_digest(sequence: str) -> bytes:
    """Return the 16-byte BLAKE2b digest by which a sequence is known in caches."""
    return blake2b(sequence.encode("ascii"), digest_size=16).digest()


def count_sequence_features(sequences: Any) -> dict[str, int]:
    """Count what a policy applies to, for reports.

    Parameters
    ----------
    sequences : array-like of str of shape (n_sequences,)
        As the user gave them.

    Returns
    -------
    counts : dict
        ``n_sequences``, ``n_distinct``, ``n_duplicates`` (surplus copies), ``n_lower_case``,
        ``n_ambiguous`` (with B J O U X or Z), ``n_gapped`` (with ``. - *``), ``n_short`` (fewer
        than 11 residues) and ``n_long`` (more than 1022 residues).

    Examples
    --------
    >>> from esmlearn.utils._sequences import count_sequence_features
    >>> counts = count_sequence_features(["MKV", "mkv", "MXV-"])
    >>> counts["n_distinct"], counts["n_lower_case"], counts["n_ambiguous"], counts["n_gapped"]
    (2, 1, 1, 1)
    """
    given = as_items(sequences, "sequences")
    upper = check_sequences(given, name="sequences", min_sequences=0)
    distinct = Counter(upper)
    # what is left without the standard residues; nothing for nearly every sequence
    unusual = [s.encode("ascii").translate(None, _STANDARD_BYTES) for s in upper]
    gaps = [len(rest) - len(rest.translate(None, _GAP_BYTES)) if rest else 0 for rest in unusual]
    lengths = [len(s) - n for s, n in zip(upper, gaps, strict=True)]
    return {
        "n_sequences": len(upper),
        "n_distinct": len(distinct),
        "n_duplicates": len(upper) - len(distinct),
        "n_lower_case": sum(a != b for a, b in zip(given, upper, strict=True)),
        "n_ambiguous": sum(len(rest) > n for rest, n in zip(unusual, gaps, strict=True)),
        "n_gapped": sum(n > 0 for n in gaps),
        "n_short": sum(length < 11 for length in lengths),
        "n_long": sum(length > 1022 for length in lengths),
    }
