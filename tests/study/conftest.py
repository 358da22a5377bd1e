import numpy as np
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from esmlearn.embedding import write_untrained_checkpoint
from esmlearn.neural_network import MLPRegressor
from esmlearn.study import Study
from tests._proteins import make_families


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "esm2_tiny.pt"
    return write_untrained_checkpoint(path, n_layers=2, width=32, n_heads=4)


@pytest.fixture(scope="session")
def proteins():
    """90 proteins in 30 families; target and class follow the family."""
    sequences, family = make_families(30, 3, length=60, seed=1)
    rng = np.random.default_rng(0)
    y = np.round(rng.gamma(3, 10, 30)[family] + rng.normal(0, 1, 90), 2)
    return np.array(sequences, dtype=object), y


@pytest.fixture(scope="session")
def classes(proteins):
    """Three unbalanced classes."""
    return np.array(["cold", "warm", "hot"], dtype=object)[np.digitize(proteins[1], [35, 50])]


def small_study(checkpoint, **options):
    models = {
        "dummy": DummyRegressor(),
        "ridge": Ridge(alpha=10.0),
        "network": MLPRegressor((8,), max_iter=3, random_state=0),
    }
    defaults = {
        "models": models,
        "resamplers": ("random", "smote"),
        "levels": (100,),
        "regions": [50.0],
        "n_splits": 3,
        "name": "Topt",
        "unit": "°C",
    }
    return Study(checkpoint, **{**defaults, **options})


def small_classifier_study(checkpoint, **options):
    models = {"dummy": DummyClassifier(), "logistic": LogisticRegression(C=0.1)}
    return small_study(checkpoint, **{"models": models, "regions": None, "unit": None, **options})


@pytest.fixture(scope="session")
def fitted(checkpoint, proteins):
    return small_study(checkpoint).fit(*proteins)


@pytest.fixture(scope="session")
def fitted_classes(checkpoint, proteins, classes):
    return small_classifier_study(checkpoint).fit(proteins[0], classes)
