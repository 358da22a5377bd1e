"""What users put around and behind a pipeline: meta-estimators, boosting libraries, routing."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from imblearn.over_sampling import RandomOverSampler
from sklearn.base import RegressorMixin, clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, StackingRegressor, VotingRegressor
from sklearn.inspection import permutation_importance
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, cross_validate
from sklearn.preprocessing import StandardScaler

from esmlearn.embedding import ESMEmbedder, write_untrained_checkpoint
from esmlearn.exceptions import DataError
from esmlearn.neural_network import MLPClassifier, MLPRegressor
from esmlearn.over_sampling import RegionOverSampler, TwoStageRegressor
from esmlearn.persistence import save
from esmlearn.pipeline import Pipeline, make_pipeline

pytestmark = pytest.mark.filterwarnings("ignore:.* strata are too many for parts of")

FAST = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
HOLDOUT = GroupShuffleSplit(1, test_size=0.2, random_state=0)
RARE = {"regions": [58.0], "rare": [1]}


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    path = write_untrained_checkpoint(folder, n_layers=1, width=16, n_heads=2)
    return ESMEmbedder(path, cache=None)


@pytest.fixture
def proteins(families):
    sequences, family = families
    return sequences, 30 + np.array(family) * 1.0


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 6))
    return X, 50 + 10 * X[:, 0], np.arange(90) // 3


# Meta-estimators ---------------------------------------------------------------------------------


COLUMNS = {
    "frame": lambda s: pd.DataFrame({"sequence": s}),
    "polars": lambda s: pl.DataFrame({"sequence": s}),
    "column": lambda s: np.array(s, object)[:, None],
}
SEQUENCES = {**COLUMNS, "list": list, "array": lambda s: np.array(s, object), "series": pd.Series}


@pytest.mark.parametrize("container", SEQUENCES)
@pytest.mark.parametrize("kind", ["stacking", "voting", "target"])
def test_meta_estimators_take_sequences_in_any_container(kind, container, embedder, proteins):
    sequences, y = proteins
    model = make_pipeline(embedder, StandardScaler(), Ridge())
    meta = {
        "stacking": StackingRegressor([("a", model), ("b", clone(model))], Ridge(), cv=2),
        "voting": VotingRegressor([("a", model), ("b", clone(model))]),
        "target": TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp),
    }[kind]
    expected = clone(meta).fit(sequences, y).predict(sequences)
    X = SEQUENCES[container](sequences)
    np.testing.assert_allclose(meta.fit(X, y).predict(X), expected, rtol=1e-5)


@pytest.mark.parametrize("container", ["frame", "column"])
def test_bagging_takes_a_table_of_one_column(container, embedder, proteins):
    sequences, y = proteins
    X = COLUMNS[container](sequences)
    model = make_pipeline(embedder, StandardScaler(), Ridge())
    bagged = BaggingRegressor(model, n_estimators=5, random_state=0).fit(X, y)
    assert np.corrcoef(bagged.predict(X), y)[0, 1] > 0.5


@pytest.mark.parametrize("container", ["frame", "column"])
def test_permutation_importance_takes_a_table_of_one_column(container, embedder, proteins):
    sequences, y = proteins
    X = COLUMNS[container](sequences)
    model = make_pipeline(embedder, StandardScaler(), Ridge()).fit(X, y)
    found = permutation_importance(model, X, y, n_repeats=3, random_state=0)
    assert found.importances_mean.shape == (1,)
    assert found.importances_mean[0] > 0.1


def test_stacking_passes_sequences_through_to_a_model_that_embeds_them(embedder, proteins):
    sequences, y = proteins
    X = np.array(sequences, object)[:, None]
    model = make_pipeline(embedder, StandardScaler(), Ridge())
    columns = ColumnTransformer([("embed", embedder, 1)], remainder="passthrough")
    final = make_pipeline(columns, StandardScaler(), Ridge())
    stacked = StackingRegressor([("a", model)], final, cv=2, passthrough=True).fit(X, y)
    assert stacked.final_estimator_[1].n_features_in_ == 16 + 1
    assert np.isfinite(stacked.predict(X)).all()


def test_stacking_passes_embeddings_through(embedder, proteins):
    sequences, y = proteins
    stacked = StackingRegressor([("a", Ridge())], Ridge(), cv=2, passthrough=True)
    model = make_pipeline(embedder, StandardScaler(), stacked).fit(sequences, y)
    assert model[-1].final_estimator_.n_features_in_ == 16 + 1


def test_a_transformed_target_goes_around_the_pipeline(embedder, proteins):
    sequences, y = proteins
    inside = TransformedTargetRegressor(MLPRegressor(**FAST), func=np.log, inverse_func=np.exp)
    model = Pipeline([("embed", embedder), ("net", inside)], validation=0.2)
    with pytest.raises(TypeError, match=r"Wrap the whole pipeline: TransformedTargetRegressor\(P"):
        model.fit(sequences, y)
    model.set_params(net=MLPRegressor(**FAST))
    around = TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp)
    around.fit(sequences, y)
    assert len(around.regressor_.validation_indices_) > 0
    assert around.predict(sequences).min() > 0


# Boosting libraries ------------------------------------------------------------------------------


def _boosting(library, **stopping):
    module = pytest.importorskip(library)
    if library == "lightgbm":
        rounds = dict(zip(["early_stopping_round"], stopping.values(), strict=False))
        return module.LGBMRegressor(n_estimators=200, min_child_samples=2, verbose=-1, **rounds)
    if library == "xgboost":
        return module.XGBRegressor(n_estimators=200, **stopping)
    return module.CatBoostRegressor(
        iterations=200, verbose=0, allow_writing_files=False, **stopping
    )


@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_boosting_stops_by_the_validation_part(library, table, capfd):
    X, y, groups = table
    final = _boosting(library, early_stopping_rounds=3)
    model = make_pipeline(StandardScaler(), final, validation=HOLDOUT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, y, validation__groups=groups)
    best = {"lightgbm": "best_iteration_", "xgboost": "best_iteration"}
    assert 0 < getattr(model[-1], best.get(library, "best_iteration_")) < 199
    assert not capfd.readouterr().out
    assert np.corrcoef(model.predict(X), y)[0, 1] > 0.8


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_boosting_that_does_not_stop_says_so(library, table):
    X, y, groups = table
    model = make_pipeline(StandardScaler(), _boosting(library), validation=HOLDOUT)
    with pytest.warns(UserWarning, match="did not stop by the validation part"):
        model.fit(X, y, validation__groups=groups)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_models_of_boosting_libraries_are_not_saved(library, table, tmp_path):
    X, y, _ = table
    model = make_pipeline(StandardScaler(), _boosting(library)).fit(X, y)
    with pytest.raises(DataError, match=f"{library}.*in the format of that library"):
        save(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


# Metadata ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        MLPRegressor(**FAST),
        make_pipeline(StandardScaler(), MLPRegressor(**FAST)),
        make_pipeline(RegionOverSampler(**RARE, random_state=0), MLPRegressor(**FAST)),
        TwoStageRegressor(**RARE, random_state=0),
        MLPClassifier(**FAST),
    ],
    ids=lambda model: type(model).__name__,
)
def test_groups_for_the_folds_do_not_reach_the_models(model, table):
    X, y, groups = table
    y = y if isinstance(model, RegressorMixin | Pipeline) else y > 50
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_validate(
            model, X, y, cv=GroupKFold(3), params={"groups": groups}, error_score="raise"
        )
    plain = cross_validate(model, X, y, cv=list(GroupKFold(3).split(X, y, groups)))
    np.testing.assert_array_equal(routed["test_score"], plain["test_score"])


def test_groups_reach_a_model_that_asks_for_them(table):
    X, y, groups = table
    with sklearn.config_context(enable_metadata_routing=True):
        net = MLPRegressor(**FAST).set_fit_request(groups=True)
        model = make_pipeline(StandardScaler(), net).fit(X, y, groups=groups)
    held = model[-1].validation_indices_
    assert not np.intersect1d(groups[held], np.delete(groups, held)).size


@pytest.mark.parametrize("validation", [None, HOLDOUT])
@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize(
    "sampler",
    [RegionOverSampler(**RARE), RandomOverSampler(random_state=0)],
    ids=["own", "imblearn"],
)
def test_weights_behind_a_sampler_are_refused(table, sampler, routing, validation):
    X, y, groups = table
    net = MLPClassifier(**FAST)
    split = {} if validation is None else {"groups" if routing else "validation__groups": groups}
    weight = {"sample_weight" if routing else "net__sample_weight": np.ones(90)}
    with sklearn.config_context(enable_metadata_routing=routing):
        if routing:
            net.set_fit_request(sample_weight=True)
        steps = [("scale", StandardScaler()), ("sampler", sampler), ("net", net)]
        if routing:
            steps[0][1].set_fit_request(sample_weight=False)
        model = Pipeline(steps, validation=validation)
        with pytest.raises(
            DataError, match=r"sample_weight for the step 'net' .* 'sampler' before"
        ):
            model.fit(X, y > 55, **weight, **split)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("sampler", ["smote", "random"])
def test_columns_of_text_are_named(table, frame, sampler):
    X, y, _ = table
    hosts = ["coli", "yeast"] * 45
    mixed = frame({"f0": X[:, 0], "host": hosts, "f1": X[:, 1]})
    for fit in (
        RegionOverSampler(sampler, **RARE, random_state=0).fit_resample,
        MLPRegressor(**FAST).fit,
        TwoStageRegressor(**RARE).fit,
    ):
        with pytest.raises(DataError, match=r"text in the column 'host' \(row 0: 'coli'\)"):
            fit(mixed, y)
    with pytest.raises(DataError, match="text in the column 1"):
        MLPRegressor(**FAST).fit(np.array([[1.0, "coli"]] * 90, dtype=object), y)
