"""Validation, statistics and digests of protein sequences."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from reprlib import Repr
from typing import Any, NamedTuple

import numpy as np

from esmlearn.exceptions import DataError

STANDARD_RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
AMBIGUOUS_RESIDUES = "BJOUXZ"
GAP_CHARACTERS = ".-*"
ALLOWED_CHARACTERS = frozenset(STANDARD_RESIDUES + AMBIGUOUS_RESIDUES + GAP_CHARACTERS)

SHORT, LONG = 11, 1022  # residues: what CD-HIT drops below, what ESM was trained on

_GAP_BYTES = np.frombuffer(GAP_CHARACTERS.encode("ascii"), dtype=np.uint8)
_AMBIGUOUS_BYTES = [bytes([code]) for code in AMBIGUOUS_RESIDUES.encode("ascii")]
_BLOCK = 2048  # sequences looked at together: what is made of them stays in the processor's cache

_NUCLEOTIDES = frozenset("ACGTUN")

_SHORT_REPR = Repr()
_SHORT_REPR.maxstring = _SHORT_REPR.maxother = 40

_REMOVE_GAPS = str.maketrans("", "", GAP_CHARACTERS)


def as_items(X: Any, name: str) -> list[Any]:
    """Return the items of any one-dimensional container of sequences."""
    if isinstance(X, str | bytes):
        raise DataError(
            f"{name} is a single {type(X).__name__}; expected a one-dimensional array-like of "
            f"sequences. Pass [{name}] for one sequence."
        )
    if isinstance(X, set | frozenset):
        raise DataError(
            f"{name} is a {type(X).__name__}, which has no order that targets could follow; "
            f"expected a one-dimensional array-like of sequences. Pass a list."
        )
    if isinstance(X, Mapping):
        raise DataError(
            f"{name} is a {type(X).__name__}; expected a one-dimensional array-like of sequences. "
            f"Pass list({name}.values()) if its values are the sequences."
        )
    if isinstance(X, Iterator):
        raise DataError(
            f"{name} is a {type(X).__name__}, which gives its items only once; expected a "
            f"one-dimensional array-like of sequences. Pass list({name})."
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


class Scan(NamedTuple):
    """Statistics of sequences, each an array of shape (n_sequences,).

    Attributes
    ----------
    lengths : ndarray of int64
        Characters.
    n_gaps : ndarray of int64
        Characters among ``. - *``.
    ambiguous, lower_case : ndarray of bool
        Whether there is a residue B J O U X or Z, or a letter in lower case.
    """

    lengths: np.ndarray
    n_gaps: np.ndarray
    ambiguous: np.ndarray
    lower_case: np.ndarray

    @classmethod
    def of_nothing(cls) -> "Scan":
        """Return the scan of no sequence."""
        return cls(*(np.empty(0, dtype) for dtype in (np.int64, np.int64, bool, bool)))


def scan_sequences(items: Sequence[Any]) -> Scan | None:
    """Look at sequences, all residues at once.

    Parameters
    ----------
    items : sequence
        What should be sequences of any case.

    Returns
    -------
    scan : Scan or None
        None where an item is no protein sequence; check_sequences says which and why.
    """
    blocks = [Scan.of_nothing()]
    for start in range(0, len(items), _BLOCK):
        block = _scan_block(items[start : start + _BLOCK])
        if block is None:
            return None
        blocks.append(block)
    return Scan(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


def _scan_block(items: Sequence[Any]) -> Scan | None:
    try:
        text = "".join(items)
    except TypeError:  # something is no str
        return None
    lengths = np.fromiter(map(len, items), dtype=np.int64, count=len(items))
    if not text.isascii() or not lengths.all():
        return None
    ends, raw = lengths.cumsum(), text.encode("ascii")
    codes = np.frombuffer(raw, dtype=np.uint8)
    lower = others = np.empty(0, dtype=np.int64)  # positions
    if not _within(codes, "A", "Z").all():  # every letter is allowed, and nearly all is letters
        is_lower = _within(codes, "a", "z")
        codes = codes - is_lower.astype(np.uint8) * np.uint8(ord("a") - ord("A"))
        raw, lower = codes.tobytes(), np.flatnonzero(is_lower)
        others = np.flatnonzero(~_within(codes, "A", "Z"))
    if not np.isin(codes[others], _GAP_BYTES).all():
        return None
    ambiguous = [np.flatnonzero(codes == a[0]) for a in _AMBIGUOUS_BYTES if a in raw]
    n_gaps = np.bincount(_owners(others, ends), minlength=len(items))
    if (n_gaps == lengths).any():
        return None
    return Scan(lengths, n_gaps, _mark(ends, *ambiguous), _mark(ends, lower))


def _mark(ends: np.ndarray, *positions: np.ndarray) -> np.ndarray:
    """Return which of the joined sequences hold any of these positions."""
    marks = np.zeros(len(ends), dtype=bool)
    for some in positions:
        marks[_owners(some, ends)] = True
    return marks


def _within(codes: np.ndarray, first: str, last: str) -> np.ndarray:
    """Return which characters lie between two; unsigned, so that lower ones wrap around."""
    return (codes - np.uint8(ord(first))) <= np.uint8(ord(last) - ord(first))


def _owners(positions: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return in which sequence each position of the joined sequences lies."""
    return np.searchsorted(ends, positions, side="right")


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
        If an item is no str, is empty, holds gaps and stops alone or another character; the message
        names the index, the character and its position.
    """
    items = as_items(X, name)
    if len(items) < min_sequences:
        raise DataError(f"{name} has {len(items)} sequence(s); expected at least {min_sequences}.")
    scan = scan_sequences(items)
    if scan is None:
        _refuse(items, name)
        raise AssertionError("what is refused has a reason")
    if scan.lower_case.any():
        return [str(item).upper() for item in items]
    return items if set(map(type, items)) <= {str} else [str(item) for item in items]


def _refuse(items: Sequence[Any], name: str) -> None:
    """Raise the error that names the first item that is no protein sequence."""
    for index, item in enumerate(items):
        if not isinstance(item, str):
            raise DataError(
                f"{name}[{index}] is {_SHORT_REPR.repr(item)} of type {type(item).__name__}; "
                f"expected a protein sequence (str). {_remedy(item)}"
            )
        if not item:
            raise DataError(f"{name}[{index}] is an empty sequence; remove it first.")
        # not str.upper for all: of some letters it makes residues ("ß" becomes "SS")
        for position, character in enumerate(_upper_ascii(item)):
            if character not in ALLOWED_CHARACTERS:
                remedy = "Remove white space" if character.isspace() else "Correct or remove it"
                raise DataError(
                    f"{name}[{index}] has the character {character!r} at position {position}; "
                    f"expected one of {STANDARD_RESIDUES} or {AMBIGUOUS_RESIDUES} . - * (any "
                    f"case). {remedy} first."
                )
        if holds_gaps_alone(item):
            raise DataError(
                f"{name}[{index}] is {_SHORT_REPR.repr(item)}, gaps or stops (. - *) alone; "
                f"expected at least one residue. Remove it first."
            )


def _remedy(item: Any) -> str:
    """Say what to do about an item that is no str."""
    if item is None or isinstance(item, float) or type(item).__name__ == "NAType":
        return "Remove or fill missing sequences first."
    return "Pass the sequences alone, as text, such as str(record.seq) of a Biopython record."


def is_sequence_like(X: Any) -> bool:
    """Return whether `X` looks like a container of str rather than of numbers."""
    try:
        items = as_items(X, "X")
    except DataError:
        return False
    return bool(items) and isinstance(items[0], str)


def is_nucleic(sequence: str) -> bool:
    """Return whether a sequence has only letters that DNA and RNA have too."""
    return _NUCLEOTIDES.issuperset(sequence.upper())


def refuse_text(X: Any) -> None:
    """Refuse sequences, and columns of text, where a table of numbers is expected."""
    is_flat = isinstance(X, list | tuple) or len(getattr(X, "shape", ())) == 1
    first = next(iter(X), None) if is_flat else None
    if isinstance(first, str):
        raise DataError(
            f"X holds text (X[0] is {_SHORT_REPR.repr(first)}); expected a table of numbers. Put "
            f"this step behind the step that makes numbers, such as ESMEmbedder."
        )
    is_frame = hasattr(X, "columns")
    if not is_frame and not (isinstance(X, np.ndarray) and X.ndim == 2):
        return
    for number, name in enumerate(X.columns if is_frame else range(X.shape[1])):
        values = np.asarray(X[name] if is_frame else X[:, number])
        if values.dtype.kind not in "OUT":
            if is_frame:
                continue
            return
        for row, value in enumerate(values.ravel()):
            if isinstance(value, str) and not _is_number(value):
                shown = _SHORT_REPR.repr(str(value))
                raise DataError(
                    f"X holds text in the column {name!r} (row {row}: {shown}); expected a table "
                    f"of numbers. Encode the column before this step, as by OneHotEncoder in a "
                    f"ColumnTransformer, or leave it out."
                )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def holds_gaps_alone(sequence: str) -> bool:
    """Return whether a sequence has no residue besides ``. - *``."""
    return not sequence.strip(GAP_CHARACTERS)


def strip_stop(sequence: str) -> str:
    """Return a sequence without the stop (``*``) that ends a predicted gene."""
    return sequence.rstrip("*")


def inner_stop(sequence: str) -> int:
    """Return the position of the first stop (``*``) before a residue; -1 if there is none."""
    return sequence.rstrip(GAP_CHARACTERS).find("*") if "*" in sequence else -1


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
    scan = scan_sequences(given)
    assert scan is not None
    return count_features(scan, n_distinct=len(set(upper)))


def count_features(scan: Scan, *, n_distinct: int) -> dict[str, int]:
    """Return the counts of count_sequence_features from a scan."""
    n, n_residues = len(scan.lengths), scan.lengths - scan.n_gaps
    return {
        "n_sequences": n,
        "n_distinct": n_distinct,
        "n_duplicates": n - n_distinct,
        "n_lower_case": int(scan.lower_case.sum()),
        "n_ambiguous": int(scan.ambiguous.sum()),
        "n_gapped": int((scan.n_gaps > 0).sum()),
        "n_short": int((n_residues < SHORT).sum()),
        "n_long": int((n_residues > LONG).sum()),
    }
