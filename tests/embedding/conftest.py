import argparse
import warnings

import numpy as np
import pytest
import torch

from esmlearn.embedding import write_untrained_checkpoint
from tests._proteins import random_protein

ARCHITECTURES = ["esm2", "esm1v", "esm1b", "esm1"]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """A small checkpoint of each architecture, in fair-esm's formats."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return {
        architecture: write_untrained_checkpoint(
            folder, architecture=architecture, n_layers=3, width=32, n_heads=4
        )
        for architecture in ARCHITECTURES
    }


@pytest.fixture(scope="session")
def checkpoint(checkpoints):
    return checkpoints["esm2"]


class FairESM:
    """The reference: fair-esm's own loader, batch converter and forward pass."""

    def __init__(self, path):
        import esm

        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that contacts would be wrong
            self.model, self.alphabet = esm.pretrained.load_model_and_alphabet(str(path))
        self.model.eval()
        self.convert = self.alphabet.get_batch_converter()

    @property
    def n_layers(self):
        return self.model.num_layers

    def __call__(self, sequence, layer=None, tokens=None):
        """Return states per token and logits; `tokens` bypasses the tokenizer."""
        layer = self.n_layers if layer is None else layer
        if tokens is None:
            tokens = self.convert([("", sequence)])[2]
        with torch.inference_mode():
            result = self.model(tokens, repr_layers=[layer])
        return result["representations"][layer][0].numpy(), result["logits"][0].numpy()

    def residues(self, sequence, layer=None):
        return self(sequence, layer)[0][1 : len(sequence) + 1]

    def mean(self, sequence, layer=None):
        return self.residues(sequence, layer).mean(0)


@pytest.fixture(scope="session")
def fair_esm(checkpoints):
    return {architecture: FairESM(path) for architecture, path in checkpoints.items()}


@pytest.fixture(scope="session")
def proteins():
    """Unrelated proteins of 1 to 200 residues."""
    rng = np.random.default_rng(0)
    return [random_protein(int(n), rng) for n in [1, 2, 3, 200, 50, 50, *rng.integers(5, 150, 14)]]
