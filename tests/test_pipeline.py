"""The Pipeline: what validates is real, unrelated to what trains, and never resampled."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import Pipeline as ImblearnPipeline
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import get_scorer
from sklearn.model_selection import (
    BaseCrossValidator,
    GridSearchCV,
    GroupKFold,
    GroupShuffleSplit,
    ShuffleSplit,
    cross_val_score,
    cross_validate,
)
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

from esmlearn.clustering import count_searches, homology_graph
from esmlearn.exceptions import DataError, InsufficientComponentsError
from esmlearn.model_selection import CDHitGroupSplitter, CDHitShuffleSplit
from esmlearn.neural_network import MLPClassifier, MLPRegressor
from esmlearn.over_sampling import RegionOverSampler
from esmlearn.pipeline import Pipeline, make_pipeline
from esmlearn.utils._sequences import check_sequences
from tests._proteins import make_families

# Sets drawn at random are so small that a part may be balanced by size alone, with a warning.
pytestmark = pytest.mark.filterwarnings("ignore:.* strata are too many for parts of")

FAST = {"hidden_layer_sizes": (16,), "max_iter": 5, "random_state": 0}
HOLDOUT = GroupShuffleSplit(1, test_size=0.2, random_state=0)


class Recorder(RegressorMixin, BaseEstimator):
    """A final step that keeps what it was given."""

    def fit(self, X, y, X_val=None, y_val=None, sample_weight=None, sample_weight_val=None):
        self.X_, self.y_, self.X_val_, self.y_val_ = X, y, X_val, y_val
        self.sample_weight_, self.sample_weight_val_ = sample_weight, sample_weight_val
        return self

    def predict(self, X):
        return np.zeros(len(X))


class Composition(TransformerMixin, BaseEstimator):
    """Sequences to the shares of their residues; counts the rows it was fitted on."""

    def fit(self, X, y=None):
        self.n_fitted_ = len(X)
        return self

    def transform(self, X):
        return np.array([[s.count(r) / len(s) for r in "ACDEFGHIKLMNPQRSTVWY"] for s in X])


class ToNumbers(Composition):
    """Composition of whatever holds sequences."""

    def transform(self, X):
        return super().transform(check_sequences(X))


class TaggedOverSampler(RandomOverSampler):
    """Random over-sampling whose new rows are marked by the number -1 in the first column."""

    def fit_resample(self, X, y, **params):
        X_new, y_new = super().fit_resample(X, y, **params)
        X_new[len(X) :, 0] = -1
        return X_new, y_new


@pytest.fixture(scope="module")
def table():
    """150 numbered rows (the number is the first column) in 50 families, 30 of them rare."""
    rng = np.random.default_rng(0)
    X = np.c_[np.arange(150.0), rng.normal(size=(150, 4))]
    y = np.where(np.arange(150) % 5 == 0, "rare", "common")
    return X, y, np.arange(150) // 3


@pytest.fixture(scope="module")
def proteins():
    sequences, families = make_families(30, 3, length=60, seed=1)
    y = 40 + np.random.default_rng(0).normal(size=30)[families] * 10
    return sequences, y, families


def test_without_validation_it_is_imblearns(table):
    X, y, _ = table
    steps = [
        ("scale", StandardScaler()),
        ("smote", SMOTE(random_state=0)),
        ("fit", LogisticRegression()),
    ]
    ours = Pipeline(steps).fit(X, y)
    theirs = ImblearnPipeline([(n, clone(s)) for n, s in steps]).fit(X, y)
    np.testing.assert_array_equal(ours.predict_proba(X), theirs.predict_proba(X))
    assert not hasattr(ours, "validation_indices_")


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(4, 20),
    st.floats(0.1, 0.5),
    st.sampled_from([None, TaggedOverSampler(random_state=0)]),
)
def test_no_row_is_on_both_sides_and_none_that_validates_was_made(seed, n_groups, share, sampler):
    rng = np.random.default_rng(seed)
    n_rows = 3 * n_groups
    X = np.c_[np.arange(n_rows, dtype=float), rng.normal(size=(n_rows, 2))]
    y = rng.integers(0, 2, n_rows)
    y[:2] = 0, 1
    groups = rng.permutation(np.arange(n_rows) % n_groups)
    model = make_pipeline(
        sampler,
        Recorder(),
        validation=GroupShuffleSplit(1, test_size=share, random_state=seed),
    )
    fitted, _ = next(model.validation.split(X, y, groups))
    assume(sampler is None or len(np.unique(y[fitted])) == 2)
    model.fit(X, y, validation__groups=groups)
    final = model[-1]
    trained, validated = set(final.X_[:, 0]) - {-1.0}, set(final.X_val_[:, 0])
    assert -1.0 not in validated
    assert trained == set(model.train_indices_)
    assert validated == set(model.validation_indices_)
    assert not np.intersect1d(groups[model.train_indices_], groups[model.validation_indices_]).size
    np.testing.assert_array_equal(final.y_val_, y[model.validation_indices_])


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10**6), st.integers(12, 24), st.floats(0.1, 0.3))
def test_by_the_graph_no_homolog_of_a_training_or_test_row_validates(seed, n_families, share):
    """The whole promise, under homology folds and with a sampler in the pipeline."""
    rng = np.random.default_rng(seed)
    sequences, _ = make_families(n_families, rng.integers(1, 5, n_families), length=60, seed=seed)
    sequences = np.array(sequences)
    y = rng.integers(0, 2, len(sequences))
    linked = homology_graph(sequences, engine="exact")
    adjacency = linked.adjacency()[linked.node_of(sequences)][:, linked.node_of(sequences)]
    folds = CDHitGroupSplitter(n_splits=2, engine="exact", random_state=0)
    holdout = CDHitShuffleSplit(test_size=share, engine="exact", random_state=seed)
    for train, test in folds.split(sequences, y):
        if len(np.unique(y[train])) < 2:
            continue
        model = Pipeline(
            [
                ("composition", Composition()),
                ("resample", RandomOverSampler(random_state=0)),
                ("fit", Recorder()),
            ],
            validation=holdout,
        )
        fitted, held = next(clone(holdout).split(sequences[train], y[train]))
        if len(np.unique(y[train][fitted])) < 2:
            continue
        model.fit(sequences[train], y[train])
        fitted, held = train[model.train_indices_], train[model.validation_indices_]
        assert len(held) > 0
        assert not adjacency[held][:, np.r_[fitted, test]].nnz
        assert not np.isin(sequences[held], sequences[np.r_[fitted, test]]).any()
        np.testing.assert_array_equal(
            model[-1].X_val_, Composition().fit(sequences).transform(sequences[held])
        )


def test_a_fraction_draws_a_homology_disjoint_part(proteins):
    sequences, y, families = proteins
    model = make_pipeline(Composition(), StandardScaler(), Recorder(), validation=0.2)
    model.fit(sequences, y)
    held = model.validation_indices_
    assert len(held) == pytest.approx(18, abs=3)
    assert not np.intersect1d(families[held], families[model.train_indices_]).size
    assert model[0].n_fitted_ == len(model.train_indices_)
    expected = next(CDHitShuffleSplit(test_size=0.2, random_state=0).split(sequences, y))
    np.testing.assert_array_equal(held, expected[1])


def test_a_fraction_for_numbers_needs_the_sequences(proteins):
    sequences, y, _ = proteins
    X = Composition().fit(sequences).transform(sequences)
    model = make_pipeline(StandardScaler(), Recorder(), validation=0.2)
    with pytest.raises(DataError, match=r"validation__groups=sequences"):
        model.fit(X, y)
    model.fit(X, y, validation__groups=sequences)
    by_sequence = make_pipeline(Composition(), Recorder(), validation=0.2).fit(sequences, y)
    np.testing.assert_array_equal(model.validation_indices_, by_sequence.validation_indices_)


def test_folds_and_validation_parts_share_one_search(proteins):
    sequences, y, _ = proteins
    model = make_pipeline(Composition(), MLPRegressor(**FAST), validation=0.2)
    folds = CDHitGroupSplitter(2, random_state=0)
    search = GridSearchCV(model, {"mlpregressor__dropout": [0.0, 0.2]}, cv=folds)
    before = count_searches()
    assert np.isfinite(cross_val_score(search, sequences, y, cv=folds)).all()
    assert count_searches() == before + 1


def test_every_step_before_the_last_is_fitted_on_the_training_part(table):
    X, y, groups = table
    model = make_pipeline(StandardScaler(), PCA(3), "passthrough", Recorder(), validation=HOLDOUT)
    model.fit(X, y, validation__groups=groups)
    scaled = StandardScaler().fit(X[model.train_indices_])
    np.testing.assert_allclose(model[0].mean_, scaled.mean_)
    np.testing.assert_allclose(model[-1].X_val_, model[:-1].transform(X[model.validation_indices_]))


@pytest.mark.parametrize(
    "final",
    [
        MLPClassifier(**FAST),
        HistGradientBoostingClassifier(max_iter=5, early_stopping=True),
    ],
)
def test_final_steps(table, final):
    X, y, groups = table
    model = make_pipeline(StandardScaler(), SMOTE(random_state=0), final, validation=HOLDOUT)
    model.fit(X, y, validation__groups=groups)
    losses = final_losses(model[-1])
    assert len(losses) >= 1
    assert model.predict(X).shape == (150,)


def final_losses(final):
    if isinstance(final, MLPClassifier):
        return [epoch["valid_loss"] for epoch in final.history_]
    return final.validation_score_


def test_boosting_validates_on_the_given_rows(table):
    X, _, groups = table
    y = X[:, 1] * 2
    model = make_pipeline(
        HistGradientBoostingRegressor(max_iter=3, early_stopping=True), validation=HOLDOUT
    ).fit(X, y, validation__groups=groups)
    train, held = model.train_indices_, model.validation_indices_
    alone = HistGradientBoostingRegressor(max_iter=3, early_stopping=True).fit(
        X[train], y[train], X_val=X[held], y_val=y[held]
    )
    assert len(alone.validation_score_) == 4
    np.testing.assert_array_equal(model[-1].validation_score_, alone.validation_score_)


def test_boosting_that_would_ignore_the_validation_part_is_reported(table):
    X, y, groups = table
    model = make_pipeline(HistGradientBoostingClassifier(max_iter=3), validation=HOLDOUT)
    with pytest.warns(UserWarning, match="Set early_stopping=True"):
        model.fit(X, y, validation__groups=groups)


def test_skorch_net_validates_on_the_given_rows_and_does_not_keep_them(table):
    import torch
    from skorch import NeuralNetRegressor

    X, _, groups = table
    X = X.astype(np.float32)
    y = X[:, 1:2] * 2
    net = NeuralNetRegressor(
        torch.nn.Linear, module__in_features=5, module__out_features=1, max_epochs=2, verbose=0
    )
    model = make_pipeline(StandardScaler(), net, validation=HOLDOUT)
    model.fit(X, y, validation__groups=groups)
    held = model.validation_indices_
    mse = np.mean((model.predict(X[held]) - y[held]) ** 2)
    losses = model[-1].history[:, "valid_loss"]
    assert len(losses) == 2
    assert losses[-1] == pytest.approx(mse, rel=1e-4)
    assert model[-1].train_split is net.train_split


def test_a_target_in_a_column_may_be_resampled(table):
    X, _, groups = table
    y = X[:, 1:2] * 10
    sampler = RegionOverSampler(regions=[10.0], rare=[1], random_state=0)
    flat, column = (
        make_pipeline(StandardScaler(), sampler, MLPRegressor(**FAST), validation=HOLDOUT)
        .fit(X, target, validation__groups=groups)
        .predict(X)
        for target in (y.ravel(), y)
    )
    np.testing.assert_array_equal(column, flat[:, None])


class Boosting(Recorder):
    """A final step with the interface of XGBoost and LightGBM."""

    def fit(self, X, y, eval_set=None):
        self.X_, self.y_, self.eval_set_ = X, y, eval_set
        return self


def test_eval_set(table):
    X, y, groups = table
    model = make_pipeline(Boosting(), validation=HOLDOUT).fit(X, y, validation__groups=groups)
    ((X_val, y_val),) = model[-1].eval_set_
    np.testing.assert_array_equal(X_val, X[model.validation_indices_])
    np.testing.assert_array_equal(y_val, y[model.validation_indices_])


@pytest.mark.parametrize("final", [Ridge(), "passthrough", None, StandardScaler()])
def test_final_step_that_takes_no_validation_part(table, final):
    X, y, _ = table
    model = Pipeline([("scale", StandardScaler()), ("final", final)], validation=HOLDOUT)
    with pytest.raises(TypeError, match=r"cannot take a validation part.*validation=None"):
        model.fit(X, y)


def test_fit_transform_would_forget_the_validation_part(table):
    X, y, _ = table
    model = Pipeline([("scale", StandardScaler()), ("pca", PCA(2))], validation=HOLDOUT)
    with pytest.raises(TypeError, match="only be fitted by fit"):
        model.fit_transform(X, y)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (([], [1, 2]), "gave 0 training and 2 validation rows"),
        (([1, 2], []), "gave 2 training and 0 validation rows"),
        (([1, 2, 3], [3, 4]), "with 1 in common"),
    ],
)
def test_bad_splitters(table, pair, message):
    class Bad(BaseCrossValidator):
        def split(self, X, y=None, groups=None):
            yield pair

        def get_n_splits(self, X=None, y=None, groups=None):
            return 1

    X, y, _ = table
    with pytest.raises(DataError, match=message):
        make_pipeline(Recorder(), validation=Bad()).fit(X, y)


@pytest.mark.parametrize("validation", [0, 1.0, -0.1, "0.1", 5])
def test_bad_parameter(table, validation):
    X, y, _ = table
    with pytest.raises(ValueError, match="'validation' parameter of Pipeline must be"):
        make_pipeline(Recorder(), validation=validation).fit(X, y)


def test_transform_input_needs_routing(table):
    X, y, _ = table
    model = make_pipeline(Recorder(), validation=HOLDOUT, transform_input=["X_val"])
    with pytest.raises(ValueError, match="transform_input needs metadata routing"):
        model.fit(X, y)


def test_masks_and_purged_rows(table):
    """A splitter may give masks, and leave rows out of both parts."""

    class Masks(BaseCrossValidator):
        def split(self, X, y=None, groups=None):
            yield np.arange(150) < 100, np.arange(150) >= 120

        def get_n_splits(self, X=None, y=None, groups=None):
            return 1

    X, y, _ = table
    model = make_pipeline(Recorder(), validation=Masks()).fit(X, y)
    assert len(model[-1].X_) == 100
    assert model.validation_indices_.tolist() == list(range(120, 150))


def test_sample_weight_is_cut_to_each_part(table):
    X, y, groups = table
    model = make_pipeline(StandardScaler(), Recorder(), validation=HOLDOUT)
    model.fit(X, y, recorder__sample_weight=X[:, 0], validation__groups=groups)
    np.testing.assert_array_equal(model[-1].sample_weight_, model.train_indices_)
    np.testing.assert_array_equal(model[-1].sample_weight_val_, model.validation_indices_)


def test_metadata_routing(table):
    X, y, groups = table
    weight = X[:, 0] + 1
    with sklearn.config_context(enable_metadata_routing=True):
        final = MLPClassifier(**FAST).set_fit_request(
            sample_weight=True, X_val=False, y_val=False, groups=False
        )
        model = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=True), final, validation=HOLDOUT
        )
        fitted = clone(model).fit(X, y, sample_weight=weight, groups=groups)
        results = cross_validate(
            model,
            X,
            y,
            cv=GroupKFold(3),
            scoring=get_scorer("accuracy").set_score_request(sample_weight=True),
            params={"groups": groups, "sample_weight": weight},
            return_estimator=True,
            return_indices=True,
            error_score="raise",
        )
    held, train = fitted.validation_indices_, fitted.train_indices_
    assert not np.intersect1d(groups[held], groups[train]).size
    expected = np.average(X[train], axis=0, weights=weight[train])
    np.testing.assert_allclose(fitted[0].mean_, expected)
    for estimator, rows in zip(results["estimator"], results["indices"]["train"], strict=True):
        held, train = rows[estimator.validation_indices_], rows[estimator.train_indices_]
        assert not np.intersect1d(groups[held], groups[train]).size


def test_routed_fraction(proteins):
    sequences, y, families = proteins
    X = Composition().fit(sequences).transform(sequences)
    with sklearn.config_context(enable_metadata_routing=True):
        final = MLPRegressor(**FAST).set_fit_request(groups=False)
        model = make_pipeline(StandardScaler(), final, validation=0.2)
        model.fit(X, y, groups=sequences)
    held, train = model.validation_indices_, model.train_indices_
    assert not np.intersect1d(families[held], families[train]).size


def test_nested_search_with_workers_is_the_same_bit_for_bit(table):
    X, y, _ = table
    model = make_pipeline(
        StandardScaler(),
        SMOTE(random_state=0),
        MLPClassifier(**FAST),
        validation=ShuffleSplit(1, test_size=0.2, random_state=0),
    )
    grid = {
        "smote": [None, RandomOverSampler(random_state=0)],
        "mlpclassifier__dropout": [0.0, 0.3],
    }
    search = GridSearchCV(model, grid, cv=2, error_score="raise")
    alone = cross_val_score(search, X, y, cv=2)
    np.testing.assert_array_equal(cross_val_score(search, X, y, cv=2, n_jobs=2), alone)


def test_validation_can_be_searched(table):
    X, y, _ = table
    parts = [None, ShuffleSplit(1, test_size=0.1, random_state=0)]
    model = make_pipeline(StandardScaler(), MLPClassifier(**FAST))
    search = GridSearchCV(model, {"validation": parts}, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 2


def test_memory(table, tmp_path):
    X, y, groups = table
    model = make_pipeline(
        StandardScaler(), SMOTE(random_state=0), MLPClassifier(**FAST), validation=HOLDOUT
    )
    expected = clone(model).fit(X, y, validation__groups=groups)
    cached = clone(model).set_params(memory=str(tmp_path))
    for _ in range(2):
        cached.fit(X, y, validation__groups=groups)
        np.testing.assert_array_equal(cached.predict_proba(X), expected.predict_proba(X))


def test_clone_pickle_repr_and_refit(table):
    X, y, groups = table
    model = make_pipeline(StandardScaler(), MLPClassifier(**FAST), validation=HOLDOUT)
    assert clone(model).get_params()["validation"] is not None
    model.fit(X, y, validation__groups=groups)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(copy.validation_indices_, model.validation_indices_)
    assert "MLPClassifier" in estimator_html_repr(model)
    assert "validation=GroupShuffleSplit" in repr(model)
    model.set_params(validation=None).fit(X, y)
    assert not hasattr(model, "validation_indices_")
    assert model[:-1].validation is None


def as_frame_column(sequences):
    return pd.Series(sequences, index=np.arange(len(sequences)) + 1000)


@pytest.mark.parametrize(
    "convert",
    [tuple, np.array, as_frame_column, pl.Series, pa.array, lambda s: np.array(s, dtype=object)],
)
def test_any_container_of_sequences(proteins, convert):
    sequences, y, _ = proteins
    model = make_pipeline(ToNumbers(), Recorder(), validation=0.2)
    expected = clone(model).fit(sequences, y)
    model.fit(convert(sequences), pd.Series(y, index=np.arange(len(y)) + 7))
    np.testing.assert_array_equal(model[-1].X_val_, expected[-1].X_val_)
    np.testing.assert_array_equal(model.validation_indices_, expected.validation_indices_)


def test_rows_of_unequal_number(table):
    X, y, _ = table
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        make_pipeline(Recorder(), validation=HOLDOUT).fit(X, y[:-1])


def test_uncertainty_comes_through(table):
    X, _, groups = table
    net = MLPRegressor(**FAST, n_estimators=2)
    model = make_pipeline(StandardScaler(), net, validation=HOLDOUT)
    mean, std = model.fit(X, X[:, 1], validation__groups=groups).predict(X, return_std=True)
    np.testing.assert_array_equal(mean, model.predict(X))
    assert (std > 0).all()


def test_list_and_frame_inputs(table):
    X, y, groups = table
    expected = make_pipeline(MLPClassifier(**FAST), validation=HOLDOUT)
    expected.fit(X, y, validation__groups=groups)
    for X_in, y_in in ((X.tolist(), y.tolist()), (pd.DataFrame(X), pd.Series(y))):
        model = clone(expected).fit(X_in, y_in, validation__groups=list(groups))
        np.testing.assert_array_equal(model.predict(X_in), expected.predict(X))


def held_of(sequences, y):
    return next(CDHitShuffleSplit(test_size=0.2, random_state=0).split(sequences, y))[1]


def test_a_fraction_with_several_targets(proteins):
    sequences, y, families = proteins
    final = MLPRegressor(**FAST)
    model = make_pipeline(Composition(), final, validation=0.2)
    model.fit(sequences, np.column_stack([y, -y]))
    held, train = model.validation_indices_, model.train_indices_
    assert not np.intersect1d(families[held], families[train]).size
    one = make_pipeline(Composition(), final, validation=0.2).fit(sequences, y[:, None])
    np.testing.assert_array_equal(one.validation_indices_, held_of(sequences, y))


def test_fitting_leaves_the_splitter_as_it_was(proteins):
    sequences, y, _ = proteins
    splitter = CDHitShuffleSplit(test_size=0.2, random_state=0)
    model = make_pipeline(Composition(), Recorder(), validation=splitter).fit(sequences, y)
    assert model.validation is splitter
    assert vars(splitter) == vars(CDHitShuffleSplit(test_size=0.2, random_state=0))
    np.testing.assert_array_equal(model.validation_indices_, held_of(sequences, y))


def test_the_remedy_names_the_parameter_that_routing_takes(proteins):
    X = np.zeros((len(proteins[0]), 3))
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(DataError, match=r"fit\(\.\.\., groups=sequences\)"),
    ):
        make_pipeline(StandardScaler(), Recorder(), validation=0.2).fit(X, proteins[1])


def test_a_family_that_cannot_be_parted_is_told_with_what_to_do():
    family = [make_families(1, 1, length=60)[0][0][i:] for i in range(8)]
    model = make_pipeline(Composition(), MLPRegressor(**FAST), validation=0.2)
    with pytest.raises(InsufficientComponentsError) as caught:
        model.fit(family, np.arange(8.0))
    assert str(caught.value).startswith("validation=0.2: the sequences form 1 homology component")
    assert "validation=None" in str(caught.value)


def test_a_slice_validates_if_it_ends_with_the_final_step(table):
    X, _, groups = table
    model = make_pipeline(StandardScaler(), PCA(2), MLPRegressor(**FAST), validation=HOLDOUT)
    assert model[:-1].validation is None
    assert model[1:2].validation is None
    for kept in (model[:], model[1:], model[-2:]):
        assert kept.validation is HOLDOUT
        kept.fit(X, X[:, 1], validation__groups=groups)
        assert len(kept.validation_indices_) > 0
    assert model[-1] is model.named_steps["mlpregressor"] is model["mlpregressor"]
