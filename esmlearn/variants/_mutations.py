"""Mutations of one protein: read and checked, applied to it, and found in sequences."""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esmlearn.exceptions import DataError
from esmlearn.utils._sequences import GAP_CHARACTERS, STANDARD_RESIDUES, as_items, check_sequences

_WILD_TYPE = frozenset(["", "WT", "_WT", "_SY", "="])  # _wt and _sy are those of Enrich2
_SEPARATOR = re.compile(r"\s*[/:,;+_]\s*|\s+")
_MUTATION = re.compile(r"([A-Z]{3}|[A-Z])(\d+)([A-Z]{3}|[A-Z]|=)")
_HGVS = re.compile(r"\bp\.|[\[\]()]", re.IGNORECASE)
_THREE_LETTERS = {
    "ALA": "A", "CYS": "C", "ASP": "D", "GLU": "E", "PHE": "F", "GLY": "G", "HIS": "H",
    "ILE": "I", "LYS": "K", "LEU": "L", "MET": "M", "ASN": "N", "PRO": "P", "GLN": "Q",
    "ARG": "R", "SER": "S", "THR": "T", "VAL": "V", "TRP": "W", "TYR": "Y",
}  # fmt: skip
# In this order: a frameshift ends in a stop, and an insertion may be written as delins.
_OTHER_CHANGES = {
    "a frameshift": "FS",
    "an insertion": "INS|DUP",
    "a deletion": "DEL|-",
    "a stop": r"\*|TER",
}
_MOST_OFFSETS = 3  # more of them say that the mutations are too few to tell


class Mutation(NamedTuple):
    """One residue of the wild type replaced by another.

    Attributes
    ----------
    wild_type_residue : str
        One-letter code.
    position : int
        As the data count.
    residue : str
        One-letter code of the mutant.

    Examples
    --------
    >>> from esmlearn.variants import Mutation
    >>> str(Mutation("A", 110, "D"))
    'A110D'
    """

    wild_type_residue: str
    position: int
    residue: str

    def __str__(self) -> str:
        return f"{self.wild_type_residue}{self.position}{self.residue}"


Mutations = tuple[Mutation, ...]
_Place = Callable[[int], str]  # how to call a row in messages


def parse_mutations(
    variant: str, *, wild_type: str | None = None, offset: int = 0
) -> tuple[Mutation, ...]:
    """Read the mutations of one variant.

    Parameters
    ----------
    variant : str
        ``"A110D"``, or several joined by ``/ : , ; + _`` or white space; in HGVS as
        ``"p.Ala110Asp"`` or ``"p.[Ala110Asp;Asn146Asp]"``. ``""``, ``"WT"``, ``"_wt"`` and
        ``"p.="`` are the wild type, and ``"p.Ala110="`` and ``"A110A"`` are no mutation.
    wild_type : str, default=None
        The protein that is mutated; given, the residues are checked.
    offset : int, default=0
        Position before the first residue of `wild_type`: 22 where `wild_type` begins with residue
        23 of the protein that the positions count in; -1 where they count from 0.

    Returns
    -------
    mutations : tuple of Mutation
        In the order of their positions; empty for the wild type.

    Raises
    ------
    DataError
        If the text is no list of substitutions, a position is mutated twice, or a residue is not
        that of the wild type.

    See Also
    --------
    check_variants : The same for a column of variants.

    Examples
    --------
    >>> from esmlearn.variants import parse_mutations
    >>> [str(m) for m in parse_mutations("p.[Ala110Asp;Asn146Asp]")]
    ['A110D', 'N146D']
    >>> parse_mutations("WT")
    ()
    """
    if not isinstance(variant, str):
        raise DataError(f"variant is {variant!r}; expected a str such as 'A110D' or 'WT'.")
    return _check([variant], wild_type, offset, place=lambda _: "variant")[0]


def check_variants(
    variants: Any, wild_type: str | None = None, *, offset: int = 0
) -> list[tuple[Mutation, ...]]:
    """Read the mutations of many variants, and check them against the wild type.

    Parameters
    ----------
    variants : array-like of str of shape (n_variants,)
        Variants as `parse_mutations` reads them.
    wild_type : str, default=None
        The protein that is mutated. None checks that all variants agree on its residues.
    offset : int, default=0
        Position before the first residue of `wild_type`; see `parse_mutations`.

    Returns
    -------
    mutations : list of tuple of Mutation
        Those of each variant, in the order of their positions.

    Raises
    ------
    DataError
        If a variant is missing, is no list of substitutions, mutates a position twice, or does not
        fit the wild type. The message names row, mutation and residue, and the offset with which
        all variants fit, if there is one.

    Examples
    --------
    >>> from esmlearn.variants import check_variants
    >>> check_variants(["K2R", "WT"], "MKTAY")
    [(Mutation(wild_type_residue='K', position=2, residue='R'),), ()]
    >>> check_variants(["K1R", "T2A/Y4F"], "MKTAY")
    Traceback (most recent call last):
    ...
    esmlearn.exceptions.DataError: variants[0] = 'K1R': K1R replaces K at position 1, where
    wild_type has M. All variants fit with offset=-1.
    """
    return _check(_items(variants, "variants"), wild_type, offset, place=_places("variants"))


def apply_mutations(wild_type: str, variants: Any, *, offset: int = 0) -> NDArray[np.object_]:
    """Return the sequences of variants.

    Parameters
    ----------
    wild_type : str
        The protein that is mutated.
    variants : array-like of str of shape (n_variants,)
        Variants as `parse_mutations` reads them.
    offset : int, default=0
        Position before the first residue of `wild_type`; see `parse_mutations`.

    Returns
    -------
    sequences : ndarray of str of shape (n_variants,)
        Upper-case sequences.

    Raises
    ------
    DataError
        As in `check_variants`.

    See Also
    --------
    mutations_of : The way back.

    Examples
    --------
    >>> from esmlearn.variants import apply_mutations
    >>> apply_mutations("MKTAY", ["K2R", "K2R:Y5F", "WT"]).tolist()
    ['MRTAY', 'MRTAF', 'MKTAY']
    """
    wild_type = check_wild_type(wild_type)
    sequences = []
    for mutations in check_variants(variants, wild_type, offset=offset):
        residues = list(wild_type)
        for mutation in mutations:
            residues[mutation.position - offset - 1] = mutation.residue
        sequences.append("".join(residues))
    return np.array(sequences, dtype=object)


def mutations_of(sequences: Any, wild_type: str, *, offset: int = 0) -> NDArray[np.object_]:
    """Return the mutations that make sequences of the wild type.

    Parameters
    ----------
    sequences : array-like of str of shape (n_variants,)
        Sequences of the length of `wild_type`.
    wild_type : str
        The protein that is mutated.
    offset : int, default=0
        Position before the first residue of `wild_type`; see `parse_mutations`.

    Returns
    -------
    variants : ndarray of str of shape (n_variants,)
        Mutations joined by colons, such as ``"A110D:N146D"``; ``"WT"`` for the wild type, since an
        empty cell of a table is a missing value.

    Raises
    ------
    DataError
        If a sequence has another length, or a gap, a stop or an unknown residue where the wild
        type has another residue; the message names the row.

    See Also
    --------
    apply_mutations : The way back.

    Examples
    --------
    >>> from esmlearn.variants import mutations_of
    >>> mutations_of(["MRTAF", "MKTAY"], "MKTAY").tolist()
    ['K2R:Y5F', 'WT']
    """
    checked = check_sequences(sequences, name="sequences", min_sequences=0)
    found = differences(checked, check_wild_type(wild_type), offset, name="sequences")
    return np.array([variant_name(mutations) for mutations in found], dtype=object)


def variant_name(mutations: Iterable[Mutation]) -> str:
    """Return mutations as one text, which `parse_mutations` reads."""
    return ":".join(map(str, mutations)) or "WT"


def distinct_mutations(variants: Iterable[Mutations]) -> list[Mutation]:
    """Return the mutations of all variants in the order of their positions and residues."""
    found = {mutation for mutations in variants for mutation in mutations}
    return sorted(found, key=lambda m: (m.position, m.residue))


def check_wild_type(wild_type: Any) -> str:
    """Return a wild type in upper case, which must have no gaps or stops."""
    if not isinstance(wild_type, str):
        raise DataError(f"wild_type is {wild_type!r}; expected a sequence (str).")
    (checked,) = check_sequences([wild_type], name="wild_type")
    for position, residue in enumerate(checked, start=1):
        if residue in GAP_CHARACTERS:
            raise DataError(
                f"wild_type has {residue!r} at position {position}; expected a sequence without "
                f"gaps and stops. Remove it first."
            )
    return checked


def read_variants(
    X: Any, wild_type: str | None, offset: int, *, name: str = "X"
) -> tuple[list[Mutations], str | None]:
    """Return the mutations of variants that are given as such or as sequences, and the wild type.

    The wild type of sequences, if not given, is their consensus; of mutations it is not needed.
    """
    items = _items(X, name)
    if not items:
        raise DataError(f"{name} is empty; expected at least one variant.")
    wild_type = None if wild_type is None else check_wild_type(wild_type)
    if _are_mutations(items):
        return _check(items, wild_type, offset, place=_places(name)), wild_type
    sequences = check_sequences(items, name=name)
    if wild_type is None:
        wild_type = check_wild_type(_consensus(sequences, name))
    return differences(sequences, wild_type, offset, name=name), wild_type


def differences(
    sequences: Sequence[str], wild_type: str, offset: int, *, name: str
) -> list[Mutations]:
    """Return the mutations of sequences of the wild type's length."""
    codes = _codes(sequences, len(wild_type), "wild_type", name)
    rows, columns = np.nonzero(codes != np.frombuffer(wild_type.encode("ascii"), dtype=np.uint8))
    found: list[list[Mutation]] = [[] for _ in sequences]
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        residue = sequences[row][column]
        if residue not in STANDARD_RESIDUES:
            raise DataError(
                f"{name}[{row}] has {residue!r} at position {column + 1 + offset}, where wild_type "
                f"has {wild_type[column]}; expected one of the 20 amino acids. Remove the row: "
                f"only substitutions are supported."
            )
        found[row].append(Mutation(wild_type[column], column + 1 + offset, residue))
    return [tuple(mutations) for mutations in found]


def _consensus(sequences: Sequence[str], name: str) -> str:
    """Return the most frequent residue of each position; of equally frequent ones the first."""
    codes = _codes(sequences, len(sequences[0]), f"{name}[0]", name)
    return "".join(chr(np.bincount(column).argmax()) for column in codes.T)


def _codes(sequences: Sequence[str], length: int, reference: str, name: str) -> NDArray[np.uint8]:
    """Return sequences as an array of characters of shape (n_sequences, length)."""
    for row, sequence in enumerate(sequences):
        if len(sequence) != length:
            raise DataError(
                f"{name}[{row}] has {len(sequence)} residues; expected {length}, as {reference} "
                f"has. Remove the row: insertions and deletions are not supported."
            )
    raw = "".join(sequences).encode("ascii")
    return np.frombuffer(raw, dtype=np.uint8).reshape(len(sequences), length)


# Reading -----------------------------------------------------------------------------------------


def _items(variants: Any, name: str) -> list[Any]:
    if isinstance(variants, str):
        raise DataError(
            f"{name} is a single str; expected an array-like of variants. Pass [{name}]."
        )
    return as_items(variants, name)


def _are_mutations(items: Sequence[Any]) -> bool:
    """Tell mutations from sequences, which have no digits."""
    texts = [item for item in items if isinstance(item, str)]
    return any(re.search(r"\d", text) for text in texts) or all(
        text.strip().upper() in _WILD_TYPE for text in texts
    )


def _places(name: str) -> _Place:
    return lambda row: f"{name}[{row}]"


def _check(
    items: Sequence[Any], wild_type: str | None, offset: int, *, place: _Place
) -> list[Mutations]:
    """Read variants and check the residues that they replace; then leave out silent changes."""
    parsed = []
    for row, item in enumerate(items):
        if not isinstance(item, str):
            raise DataError(
                f"{place(row)} is {item!r}; expected a variant (str). Write 'WT' for the wild "
                f"type, or remove the row."
            )
        try:
            parsed.append(_parse(item))
        except DataError as error:
            raise DataError(f"{place(row)} = {item!r}: {error}") from None
    if wild_type is None:
        _check_agreement(parsed, items, place)
    else:
        _check_residues(parsed, items, check_wild_type(wild_type), offset, place)
    return [tuple(m for m in ms if m.residue != m.wild_type_residue) for ms in parsed]


def _parse(variant: str) -> list[Mutation]:
    text = _HGVS.sub("", variant).strip().upper()
    if text in _WILD_TYPE:
        return []
    read = [_parse_mutation(part) for part in _SEPARATOR.split(text)]
    if None in read:
        raise _no_substitutions(text)
    mutations = sorted(filter(None, read), key=lambda m: m.position)
    for mutation, following in pairwise(mutations):
        if mutation.position == following.position:
            raise DataError(
                f"{mutation} and {following} are at the same position; expected one mutation of a "
                f"position. Correct or remove the row."
            )
    return mutations


def _parse_mutation(part: str) -> Mutation | None:
    match = _MUTATION.fullmatch(part)
    if match is None:
        return None
    own, residue = (_THREE_LETTERS.get(match[group], match[group]) for group in (1, 3))
    residue = own if residue == "=" else residue
    proper = len(own) == 1 and (residue in STANDARD_RESIDUES or residue == own)
    return Mutation(own, int(match[2]), residue) if proper else None


def _no_substitutions(text: str) -> DataError:
    """Return the error that says what a text is that holds other than substitutions."""
    for change, pattern in _OTHER_CHANGES.items():
        if re.search(rf"\d.*({pattern})", text):
            return DataError(
                f"this is {change}; expected substitutions alone, since all variants must have the "
                f"length of the wild type. Remove the row."
            )
    return DataError(
        "expected mutations to one of the 20 amino acids, such as A110D or p.Ala110Asp, joined by "
        "':' if there are several, or WT. Correct or remove the row."
    )


# Checks of residues ------------------------------------------------------------------------------


def _check_agreement(parsed: list[list[Mutation]], items: Sequence[Any], place: _Place) -> None:
    """Refuse variants that replace different residues at one position."""
    seen: dict[int, tuple[Mutation, int]] = {}
    for row, mutations in enumerate(parsed):
        for mutation in mutations:
            other, first = seen.setdefault(mutation.position, (mutation, row))
            if other.wild_type_residue != mutation.wild_type_residue:
                raise DataError(
                    f"{place(row)} = {items[row]!r}: {mutation} replaces "
                    f"{mutation.wild_type_residue}, and {other} of {place(first)} replaces "
                    f"{other.wild_type_residue}; expected mutations of one wild type. Correct one "
                    f"of them, or split the proteins."
                )


def _check_residues(
    parsed: list[list[Mutation]], items: Sequence[Any], wild_type: str, offset: int, place: _Place
) -> None:
    """Refuse variants that replace a residue that the wild type does not have."""
    for row, mutations in enumerate(parsed):
        for mutation in mutations:
            index = mutation.position - offset - 1
            if 0 <= index < len(wild_type):
                if wild_type[index] == mutation.wild_type_residue:
                    continue
                problem = (
                    f"{mutation} replaces {mutation.wild_type_residue} at position "
                    f"{mutation.position}, where wild_type has {wild_type[index]}"
                )
            else:
                problem = (
                    f"{mutation} is not within wild_type, which has the positions {offset + 1} to "
                    f"{offset + len(wild_type)}"
                )
            remedy = _propose_offset(parsed, wild_type)
            raise DataError(f"{place(row)} = {items[row]!r}: {problem}. {remedy}")


def _propose_offset(parsed: list[list[Mutation]], wild_type: str) -> str:
    """Say with which offsets all variants fit."""
    replaced = {(m.position, m.wild_type_residue) for mutations in parsed for m in mutations}
    positions = [position for position, _ in replaced]
    fitting = [
        offset
        for offset in range(max(positions) - len(wild_type), min(positions))
        if all(wild_type[position - offset - 1] == residue for position, residue in replaced)
    ]
    if 1 <= len(fitting) <= _MOST_OFFSETS:
        return f"All variants fit with offset={' or '.join(map(str, fitting))}."
    if fitting:
        return f"There are {len(fitting)} offsets with which all variants fit; pass the right one."
    return "No offset makes all variants fit; pass the protein that was mutated as wild_type."
