"""The checkpoint that comes with the package: real embeddings with no download."""

from dataclasses import replace
from pathlib import Path

from esmlearn.embedding._family_esm import ESMFamily, describe_architecture

_MODEL_CARD = "docs/model_card_esmlearn_mini_v3.md"


class BundledFamily(ESMFamily):
    """Small models in ESM-2's architecture and fair-esm's file format, trained for esmlearn."""

    name = "bundled"
    models = (
        replace(
            describe_architecture("esmlearn_mini_v3", "esm2", 6, 256, 8, _MODEL_CARD), family=name
        ),
    )
    aliases = {}

    def place(self, name: str) -> Path:
        """Return the file inside the package."""
        return Path(__file__).parent / "checkpoints" / f"{name}.pt"

    def locate(self, name: str) -> Path:
        """Return the same."""
        return self.place(name)

    def recognises(self, path: Path) -> bool:
        """Leave files to the family whose format they have."""
        return False


FAMILY = BundledFamily()
