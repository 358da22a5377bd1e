"""Proteins with a target and fixed features of them, for benchmarks."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"


def read_table(path: str, *, n_rows: int | None, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return distinct sequences and targets of a table with these columns; perhaps a sample."""
    table = pd.read_csv(path).drop_duplicates("sequence")
    if n_rows is not None and n_rows < len(table):
        table = table.sample(n_rows, random_state=seed)
    return table["sequence"].to_numpy(str).astype(object), table["target"].to_numpy()


def composition(sequences: Sequence[str]) -> np.ndarray:
    """Return shares of residues and of pairs of neighbours, and the logarithm of the length."""
    code = np.full(128, len(RESIDUES))
    code[[ord(r) for r in RESIDUES]] = np.arange(len(RESIDUES))
    features = np.zeros((len(sequences), 20 + 400 + 1), dtype=np.float32)
    for row, sequence in zip(features, sequences, strict=True):
        residues = code[np.frombuffer(sequence.encode("ascii"), np.uint8)]
        row[:20] = np.bincount(residues, minlength=21)[:20] / len(residues)
        pairs = (residues[:-1] * 21 + residues[1:])[(residues[:-1] < 20) & (residues[1:] < 20)]
        counts = np.bincount(pairs, minlength=441).reshape(21, 21)[:20, :20].ravel()
        row[20:420] = counts / max(len(residues) - 1, 1)
        row[420] = np.log(len(residues))
    return features


def make_features(sequences: Sequence[str], model: str) -> np.ndarray:
    """Return fixed features: ``"composition"``, its ``"residues"``, or embeddings of an ESM model.

    ``"residues"`` are the shares of residues and the logarithm of the length alone.
    """
    if model in ("composition", "residues"):
        features = composition(sequences)
        return features if model == "composition" else features[:, [*range(20), -1]]
    from esmlearn.embedding import ESMEmbedder

    return ESMEmbedder(model, verbose=1).fit(sequences).transform(sequences)
