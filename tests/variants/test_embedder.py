import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union

from esmlearn.embedding import ESMEmbedder, write_untrained_checkpoint
from esmlearn.exceptions import DataError
from esmlearn.variants import (
    MutationOneHotEncoder,
    VariantEmbedder,
    VariantSplitter,
    apply_mutations,
)

WILD_TYPE = "MKTAYIAKQR"
VARIANTS = ["K2R", "p.Lys2Glu", "K2R/T3A/Q9E", "WT", "I6V"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    return write_untrained_checkpoint(folder, n_layers=2, width=16, n_heads=2)


@pytest.fixture
def esm(checkpoint):
    return ESMEmbedder(checkpoint, cache=None)


@pytest.mark.parametrize("pooling", ["mean", "max", "mean+std"])
def test_differences_are_those_of_the_embeddings(esm, pooling):
    esm.set_params(pooling=pooling)
    features = VariantEmbedder(esm, wild_type=WILD_TYPE, residues="all").fit_transform(VARIANTS)
    expected = esm.transform(apply_mutations(WILD_TYPE, VARIANTS)) - esm.transform([WILD_TYPE])
    np.testing.assert_allclose(features, expected, atol=1e-5)
    np.testing.assert_allclose(features[3], 0, atol=1e-6)


def test_states_of_mutated_residues_are_summed(esm, monkeypatch):
    monkeypatch.setattr("esmlearn.variants._embedder._BLOCK", 2)
    features = VariantEmbedder(esm, wild_type=WILD_TYPE).fit_transform(VARIANTS)
    states = clone(esm).set_params(pooling=None)
    own = states.transform([WILD_TYPE])[0]
    mutants = states.transform(apply_mutations(WILD_TYPE, VARIANTS))
    positions = [[1], [1], [1, 2, 8], [], [5]]
    expected = [(m[p] - own[p]).sum(axis=0) for m, p in zip(mutants, positions, strict=True)]
    np.testing.assert_allclose(features, expected, atol=1e-5)
    assert not features[3].any()


@pytest.mark.parametrize("residues", ["all", "mutated"])
def test_mutations_sequences_and_offsets_give_the_same(esm, residues):
    embedder = VariantEmbedder(esm, wild_type=WILD_TYPE, residues=residues)
    expected = embedder.fit_transform(VARIANTS)
    sequences = apply_mutations(WILD_TYPE, VARIANTS)
    np.testing.assert_allclose(embedder.transform(sequences), expected, atol=1e-6)
    consensus = VariantEmbedder(esm, residues=residues).fit(sequences)
    assert consensus.wild_type_ == WILD_TYPE
    np.testing.assert_allclose(consensus.transform(VARIANTS), expected, atol=1e-6)
    shifted = VariantEmbedder(esm, wild_type=WILD_TYPE, offset=22, residues=residues)
    np.testing.assert_allclose(
        shifted.fit(["K24R"]).transform(["K24R/T25A/Q31E"])[0], expected[2], atol=1e-6
    )


def test_each_variant_is_embedded_once(checkpoint, tmp_path):
    embedder = VariantEmbedder(ESMEmbedder(checkpoint, cache=tmp_path), wild_type=WILD_TYPE)
    first = embedder.fit_transform(VARIANTS)
    again = clone(embedder).fit(VARIANTS)
    np.testing.assert_array_equal(again.transform(VARIANTS), first)
    assert again.embedder_.n_computed_ == 0


def test_refuses(esm):
    with pytest.raises(DataError, match="X are mutations and wild_type is None"):
        VariantEmbedder(esm).fit(VARIANTS)
    with pytest.raises(DataError, match="All variants fit with offset=-1"):
        VariantEmbedder(esm, wild_type=WILD_TYPE).fit(["K1R", "T2A", "Q8A"])
    with pytest.raises(ValueError, match="'residues' parameter"):
        VariantEmbedder(esm, wild_type=WILD_TYPE, residues="none").fit(VARIANTS)


def test_truncated_proteins_are_refused(esm):
    esm.set_params(long_sequences="truncate")
    with pytest.raises(DataError, match="states of 1022 residues of wild_type, which has 1100"):
        VariantEmbedder(esm, wild_type=WILD_TYPE * 110).fit(["K2R"])


def test_survives_clone_pickle_and_set_output(esm):
    fitted = VariantEmbedder(esm, wild_type=WILD_TYPE).set_output(transform="pandas").fit(VARIANTS)
    frame = pickle.loads(pickle.dumps(fitted)).transform(VARIANTS)
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns.tolist() == fitted.get_feature_names_out().tolist()
    assert frame.columns[0] == "variantembedder0"


def test_works_in_unions_and_searches(esm):
    X = [f"{own}{i}{new}" for i, own in enumerate(WILD_TYPE, 1) for new in "CDEG"]
    y = np.random.default_rng(0).normal(size=len(X))
    features = make_union(
        MutationOneHotEncoder(), VariantEmbedder(esm, wild_type=WILD_TYPE, residues="all")
    )
    grid = {"featureunion__variantembedder__residues": ["all", "mutated"]}
    folds = VariantSplitter(3)
    search = GridSearchCV(make_pipeline(features, Ridge()), grid, cv=folds).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
