"""Protein sequences in, ESM embeddings out: exact, cached by content, each sequence once."""

from typing import TYPE_CHECKING, Any

from esmlearn.embedding._cache import EmbeddingCache
from esmlearn.embedding._embedder import ESMEmbedder
from esmlearn.embedding._family_esm import ESM1V_ENSEMBLE
from esmlearn.embedding._fasta import embed_fasta
from esmlearn.embedding._registry import ModelInfo, list_models, model_info
from esmlearn.embedding._variants import ESMVariantScorer

if TYPE_CHECKING:
    from esmlearn.embedding._untrained import write_untrained_checkpoint

__all__ = [
    "ESM1V_ENSEMBLE",
    "ESMEmbedder",
    "ESMVariantScorer",
    "EmbeddingCache",
    "ModelInfo",
    "embed_fasta",
    "list_models",
    "model_info",
    "write_untrained_checkpoint",
]


def __getattr__(name: str) -> Any:
    if name == "write_untrained_checkpoint":  # imports torch
        from esmlearn.embedding._untrained import write_untrained_checkpoint

        return write_untrained_checkpoint
    raise AttributeError(f"module 'esmlearn.embedding' has no attribute {name!r}")
