"""README's pipeline as a whole: under cross-validation, in grids, cloned and pickled."""

import pickle

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate
from sklearn.preprocessing import StandardScaler

from esmlearn.embedding import EmbeddingCache, ESMEmbedder, write_untrained_checkpoint
from esmlearn.metrics import make_region_scorer
from esmlearn.model_selection import CDHitGroupSplitter, audit_leakage
from esmlearn.neural_network import MLPRegressor
from esmlearn.over_sampling import RegionOverSampler
from esmlearn.pipeline import Pipeline
from tests._proteins import make_families

pytestmark = pytest.mark.filterwarnings("ignore::esmlearn.exceptions.ResamplingWarning")
FOLDS = CDHitGroupSplitter(n_splits=3, identity=0.3, random_state=0)
HOT = 60.0


@pytest.fixture(scope="module")
def proteins():
    """90 proteins of 30 families, the last third of the families hot, and a few copies."""
    sequences, families = make_families(30, 3, length=60, seed=3)
    target = np.where(families < 24, 40.0, 70.0) + np.random.default_rng(0).normal(0, 4, 90)
    return sequences + sequences[:4], np.r_[target, target[:4]]


@pytest.fixture
def model(tmp_path):
    checkpoint = write_untrained_checkpoint(tmp_path, n_layers=1, width=16, n_heads=2)
    return Pipeline(
        [
            ("embed", ESMEmbedder(checkpoint, cache=tmp_path / "embeddings")),
            ("scale", StandardScaler()),
            ("resample", RegionOverSampler(SMOTE(), level=200, regions=[HOT], random_state=0)),
            ("net", MLPRegressor(hidden_layer_sizes=(16, 16), max_iter=5, random_state=0)),
        ],
        validation=0.1,
    )


def test_grid_embeds_each_distinct_sequence_once(model, proteins, tmp_path):
    sequences, target = proteins
    grid = [
        {"resample__sampler": [None]},
        {"resample__sampler": ["random", "smote", "adasyn"], "resample__level": [100, 200]},
    ]
    search = GridSearchCV(
        model,
        grid,
        cv=FOLDS,
        scoring=make_region_scorer("recall", regions=[HOT], labels=[1]),
        n_jobs=2,
        error_score="raise",
    ).fit(sequences, target)
    assert EmbeddingCache(tmp_path / "embeddings").n_computed == len(set(sequences))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(sequences).shape == target.shape


def test_same_seed_same_scores_whatever_n_jobs(model, proteins):
    runs = [cross_validate(model, *proteins, cv=FOLDS, n_jobs=n)["test_score"] for n in (1, 2)]
    assert np.array_equal(*runs)


def test_every_row_is_predicted_once_by_a_model_without_its_homologs(model, proteins):
    sequences, target = proteins
    predicted = cross_val_predict(model, sequences, target, cv=FOLDS)
    assert np.isfinite(predicted).all()
    leakage = audit_leakage(sequences, list(FOLDS.split(sequences, target)))
    assert (leakage.table[["A", "B", "C"]] == 0).all(axis=None)


def test_clone_and_pickle_give_the_same_predictions(model, proteins):
    sequences, target = proteins
    fitted = model.fit(sequences, target)
    expected = fitted.predict(sequences)
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict(sequences), expected)
    assert np.array_equal(clone(model).fit(sequences, target).predict(sequences), expected)


def test_the_pipeline_shows_itself(model):
    assert "RegionOverSampler" in model._repr_html_()
