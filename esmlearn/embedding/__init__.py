"""Protein sequences in, ESM embeddings out: exact, cached by content, each sequence once."""

from typing import TYPE_CHECKING, Any

from esmlearn.embedding._cache.embedding_cache import EmbeddingCache
from esmlearn.embedding._embedder import ESMEmbedder
from esmlearn.embedding._fasta import embed_fasta
from esmlearn.embedding._models.catalog import ESM1V_ENSEMBLE, ModelInfo
from esmlearn.embedding._models.families import list_models, model_info
from esmlearn.embedding._variant_scorer import ESMVariantScorer

if TYPE_CHECKING:
    from esmlearn.embedding._models.untrained import write_untrained_checkpoint

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
        from esmlearn.embedding._models.untrained import write_untrained_checkpoint

        return write_untrained_checkpoint
    raise AttributeError(f"module 'esmlearn.embedding' has no attribute {name!r}")
