"""Variants of one protein: their mutations, and splits, audits and features made of them."""

from esmlearn.utils._mutations import Mutation
from esmlearn.variants._audit import VariantSplitAudit, audit_variant_split
from esmlearn.variants._augmented_ridge import augmented_ridge
from esmlearn.variants._embedder import VariantEmbedder
from esmlearn.variants._features import MutationOneHotEncoder, MutationPropertyEncoder
from esmlearn.variants._mutations import (
    apply_mutations,
    check_variants,
    mutations_of,
    parse_mutations,
)
from esmlearn.variants._ranking import propose_variants, rank_variants
from esmlearn.variants._splitter import VariantSplitter

__all__ = [
    "Mutation",
    "MutationOneHotEncoder",
    "MutationPropertyEncoder",
    "VariantEmbedder",
    "VariantSplitAudit",
    "VariantSplitter",
    "apply_mutations",
    "audit_variant_split",
    "augmented_ridge",
    "check_variants",
    "mutations_of",
    "parse_mutations",
    "propose_variants",
    "rank_variants",
]
