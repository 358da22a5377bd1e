"""Settings of one model run; light, because they travel to every worker."""

from dataclasses import dataclass

#: A precision as it is resolved, not one to ask for: it is part of a fingerprint, and what workers
#: on other processors compute in.
BFLOAT16_BUT_SCORES = "bfloat16, scores in float32"


@dataclass(frozen=True)
class Settings:
    """One model and how to run it.

    Attributes
    ----------
    family, path, digest : str
        The checkpoint, who reads it, and the digest of its content.
    layers : tuple of int
        Layers to take, counted from 0, the token embedding.
    pooling : str or None
        See ESMEmbedder.
    long_sequences : str
        See ESMEmbedder.
    window : int
        Longest part of a sequence, in residues.
    precision : str
        As resolve_precision returns it.
    device : str
        See ESMEmbedder; it may still be ``"auto"``.
    budget : int
        Tokens at once.
    """

    family: str
    path: str
    digest: str
    layers: tuple[int, ...]
    pooling: str | None
    long_sequences: str
    window: int
    precision: str
    device: str
    budget: int
