import argparse
import warnings

import esm
import numpy as np
import pytest
import torch

from esmlearn.embedding import ESMEmbedder, list_models, model_info
from esmlearn.embedding._models.families import resolve_model
from tests._proteins import random_protein

NAME = "esmlearn_mini_v3"


@pytest.fixture(scope="module")
def path():
    return resolve_model(NAME).path


@pytest.fixture(scope="module")
def reference(path):
    """The file in fair-esm's own loader and network."""
    with torch.serialization.safe_globals([argparse.Namespace]):
        content = torch.load(path, weights_only=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are no weights for contacts
        model, alphabet = esm.pretrained.load_model_and_alphabet_core("esm2", content)
    return model.eval(), alphabet.get_batch_converter()


def test_what_is_said_of_it_is_what_the_file_says(path):
    told, found = model_info(NAME), model_info(path)
    assert NAME in list_models()
    assert told.family == "bundled"
    for of_the_network in ("architecture", "n_layers", "width", "n_heads", "n_parameters"):
        assert getattr(told, of_the_network) == getattr(found, of_the_network)


def test_it_fits_into_a_wheel(path):
    assert path.stat().st_size <= 10e6


@pytest.mark.parametrize("length", [1, 30, 700])
def test_vectors_are_fair_esms(reference, length):
    model, convert = reference
    sequence = random_protein(length, np.random.default_rng(length))
    tokens = convert([("", sequence)])[2]
    with torch.inference_mode():
        states = model(tokens, repr_layers=[model.num_layers])["representations"][model.num_layers]
    expected = states[0, 1:-1].mean(0).numpy()
    found = ESMEmbedder(NAME, cache=None).fit_transform([sequence])[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_name_and_path_share_one_cache(path, tmp_path):
    sequence = random_protein(50, np.random.default_rng(0))
    ESMEmbedder(NAME, cache=tmp_path).fit_transform([sequence])
    by_path = ESMEmbedder(str(path), cache=tmp_path).fit([sequence])
    by_path.transform([sequence])
    assert by_path.report_["n_computed"] == 0
