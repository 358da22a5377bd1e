"""Mutations of one protein: read, checked, applied to it, and found in sequences."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from esmlearn.exceptions import DataError
from esmlearn.utils._mutations import (
    Mutation,
    check_wild_type,
    differences,
    mutate,
    read_mutations,
    rows_of,
    variant_items,
    variant_name,
)
from esmlearn.utils._sequences import check_sequences


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
    return read_mutations([variant], wild_type, offset, place=lambda _: "variant")[0]


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
    return read_mutations(
        variant_items(variants, "variants"), wild_type, offset, place=rows_of("variants")
    )


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
    read = check_variants(variants, wild_type, offset=offset)
    return np.array([mutate(wild_type, mutations, offset) for mutations in read], dtype=object)


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
