"""Mutations of one protein: read and checked, applied to it, and found in sequences.

`esmlearn.variants` offers them to users.
"""

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
Place = Callable[[int], str]  # how to call a row in messages


def variant_name(mutations: Iterable[Mutation]) -> str:
    """Return mutations as one text, which `parse_mutations` reads."""
    return ":".join(map(str, mutations)) or "WT"


def mutate(wild_type: str, mutations: Iterable[Mutation], offset: int) -> str:
    """Return the sequence of a variant."""
    residues = list(wild_type)
    for mutation in mutations:
        residues[mutation.position - offset - 1] = mutation.residue
    return "".join(residues)


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
    items = variant_items(X, name)
    if not items:
        raise DataError(f"{name} is empty; expected at least one variant.")
    wild_type = None if wild_type is None else check_wild_type(wild_type)
    if _are_mutations(items):
        return read_mutations(items, wild_type, offset, place=rows_of(name)), wild_type
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


def variant_items(variants: Any, name: str) -> list[Any]:
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


def rows_of(name: str) -> Place:
    return lambda row: f"{name}[{row}]"


def read_mutations(
    items: Sequence[Any], wild_type: str | None, offset: int, *, place: Place
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
    if text.isalpha() and len(text) > 3:
        return DataError(
            "this looks like a sequence; expected mutations, such as A110D. Where a column holds "
            "both, turn its sequences into mutations by mutations_of."
        )
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


def _check_agreement(parsed: list[list[Mutation]], items: Sequence[Any], place: Place) -> None:
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
    parsed: list[list[Mutation]], items: Sequence[Any], wild_type: str, offset: int, place: Place
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
