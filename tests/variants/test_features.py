import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils import estimator_checks

from esmlearn.exceptions import DataError
from esmlearn.variants import (
    MutationOneHotEncoder,
    MutationPropertyEncoder,
    VariantSplitter,
    apply_mutations,
    check_variants,
)
from esmlearn.variants._features import _Z_SCALES

WILD_TYPE = "MKTAYIAKQR"
SINGLES = [f"{own}{i}{new}" for i, own in enumerate(WILD_TYPE, 1) for new in "CDEG"]
VARIANTS = [*SINGLES, *[f"{a}:{b}" for a, b in zip(SINGLES[:-4], SINGLES[4:], strict=True)], "WT"]
ENCODERS = [MutationOneHotEncoder, MutationPropertyEncoder]


def test_one_hot_has_a_column_for_each_mutation_and_position():
    encoder = MutationOneHotEncoder().fit(VARIANTS)
    features = encoder.transform(VARIANTS)
    assert issparse(features)
    assert features.dtype == np.float32
    names = encoder.get_feature_names_out()
    positions = {f"{own}{i}" for i, own in enumerate(WILD_TYPE, 1)}
    assert sorted(names) == sorted({*SINGLES, *positions})
    for row, mutations in zip(features.toarray(), check_variants(VARIANTS), strict=True):
        expected = {str(m) for m in mutations} | {str(m)[:-1] for m in mutations}
        assert set(names[row == 1]) == expected
        assert row.sum() == len(expected)


def test_a_linear_model_predicts_as_with_one_hot_sequences():
    """Also of mutations that were not seen, at positions that were and that were not."""
    train, test = VARIANTS[::3], [*VARIANTS, "K2W", "K2W:T3W"]
    y = np.random.default_rng(0).normal(size=len(train))
    ours = make_pipeline(MutationOneHotEncoder(sparse_output=False), Ridge()).fit(train, y)
    residues = [list(sequence) for sequence in apply_mutations(WILD_TYPE, [*train, *test])]
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    theirs = make_pipeline(encoder, Ridge()).fit(residues[: len(train)], y)
    expected = theirs.predict(residues[len(train) :])
    np.testing.assert_allclose(ours.predict(test), expected, atol=1e-5)


def test_properties_are_differences_in_all_and_at_each_position():
    encoder = MutationPropertyEncoder(sparse_output=False).fit(["K2R", "T3A"])
    names = encoder.get_feature_names_out().tolist()
    assert names == [f"{place}z{i}" for place in ("", "2_", "3_") for i in range(1, 6)]
    seen, seen_in_part = encoder.transform(["K2W:T3A", "A4G:K2R"])
    z = {residue: np.array(values) for residue, values in _Z_SCALES.items()}
    second, third = z["W"] - z["K"], z["A"] - z["T"]
    np.testing.assert_allclose(seen, np.r_[second + third, second, third], rtol=1e-5)
    second, fourth = z["R"] - z["K"], z["G"] - z["A"]
    expected = np.r_[second + fourth, second, np.zeros(5)]
    np.testing.assert_allclose(seen_in_part, expected, rtol=1e-5)


def test_the_scales_are_as_published():
    """The residues at the two ends of each scale."""
    table = np.array(list(_Z_SCALES.values()))
    assert "".join(_Z_SCALES) == "ACDEFGHIKLMNPQRSTVWY"
    letters = np.array(list(_Z_SCALES))
    assert letters[table.argmin(axis=0)].tolist() == ["W", "G", "R", "E", "C"]
    assert letters[table.argmax(axis=0)].tolist() == ["D", "W", "C", "H", "P"]


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("wild_type", [WILD_TYPE, None])
def test_sequences_and_mutations_give_the_same(encoder, wild_type):
    sequences = apply_mutations(WILD_TYPE, VARIANTS)
    of_sequences = encoder(wild_type).fit(sequences)
    assert of_sequences.wild_type_ == WILD_TYPE
    expected = encoder(wild_type).fit_transform(VARIANTS).toarray()
    assert (of_sequences.transform(sequences).toarray() == expected).all()
    assert (of_sequences.transform(VARIANTS).toarray() == expected).all()


def test_the_consensus_of_training_stays_the_wild_type():
    encoder = MutationOneHotEncoder(sparse_output=False).fit(apply_mutations(WILD_TYPE, VARIANTS))
    mutants = apply_mutations(WILD_TYPE, ["K2C"] * 3)
    assert encoder.transform(mutants).sum(axis=1).tolist() == [2, 2, 2]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_refuses(encoder):
    with pytest.raises(DataError, match="X holds the wild type alone"):
        encoder().fit(["WT"])
    with pytest.raises(DataError, match="X are sequences, and fit was given mutations and no wild"):
        encoder().fit(VARIANTS).transform([WILD_TYPE])
    with pytest.raises(DataError, match="All variants fit with offset=-1"):
        encoder(WILD_TYPE).fit(["K1R", "T2A", "Q8A"])
    with pytest.raises(DataError, match=r"X\[0\] has 5 residues; expected 10"):
        encoder(WILD_TYPE).fit(VARIANTS).transform([WILD_TYPE[:5]])


def test_properties_of_unknown_residues_are_refused():
    with pytest.raises(DataError, match="X2A replaces X, which is none of the 20 amino acids"):
        MutationPropertyEncoder().fit(["X2A"])


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(
    "check",
    [
        "check_do_not_raise_errors_in_init_or_set_params",
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_get_params_invariance",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_set_params",
        "check_valid_tag_types",
    ],
)
def test_is_an_estimator(encoder, check):
    getattr(estimator_checks, check)(encoder.__name__, encoder())


@pytest.mark.parametrize("encoder", ENCODERS)
def test_survives_clone_pickle_and_set_output(encoder):
    fitted = encoder(offset=0, sparse_output=False).set_output(transform="pandas").fit(VARIANTS)
    copy = pickle.loads(pickle.dumps(fitted))
    frame = copy.transform(VARIANTS)
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns.tolist() == fitted.get_feature_names_out().tolist()
    assert clone(fitted).get_params() == fitted.get_params()


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("as_sequences", [True, False])
def test_works_in_pipelines_searches_and_tables(encoder, as_sequences):
    X = np.array(VARIANTS, dtype=object)
    effect = np.random.default_rng(0).normal(size=len(SINGLES))
    y = np.array([sum(effect[SINGLES.index(str(m))] for m in ms) for ms in check_variants(X)])
    X = apply_mutations(WILD_TYPE, X) if as_sequences else X
    model = make_pipeline(encoder(), Ridge())
    folds = VariantSplitter(3, scheme="random")
    scores = cross_validate(model, X, y, cv=folds)["test_score"]
    assert len(scores) == 3
    if encoder is MutationOneHotEncoder:
        assert scores.mean() > 0.5
    grid = {f"{encoder.__name__.lower()}__sparse_output": [True, False]}
    search = GridSearchCV(model, grid, cv=folds).fit(X, y)
    np.testing.assert_allclose(*search.cv_results_["mean_test_score"], rtol=0.01)
    table = pd.DataFrame({"variant": X, "temperature": 25.0})
    columns = make_column_transformer((encoder(), "variant"), ("passthrough", ["temperature"]))
    assert columns.fit_transform(table).shape[0] == len(X)
