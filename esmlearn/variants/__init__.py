"""Variants of one protein: their mutations, and splits, audits and features made of them."""

from esmlearn.variants._mutations import (
    Mutation,
    apply_mutations,
    check_variants,
    mutations_of,
    parse_mutations,
)

__all__ = [
    "Mutation",
    "apply_mutations",
    "check_variants",
    "mutations_of",
    "parse_mutations",
]
