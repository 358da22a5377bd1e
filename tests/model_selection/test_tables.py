import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from esmlearn.exceptions import DataError
from esmlearn.model_selection import (
    CDHitGroupSplitter,
    CDHitShuffleSplit,
    LeaveOneComponentOut,
    RepeatedCDHitGroupSplitter,
    audit_leakage,
    train_validation_test_split,
)
from esmlearn.neural_network import MLPRegressor
from esmlearn.over_sampling import RegionOverSampler, TargetRegions
from esmlearn.pipeline import Pipeline
from tests._proteins import make_families

SPLITTERS = [
    CDHitGroupSplitter(3, random_state=0),
    CDHitShuffleSplit(2, test_size=0.3, random_state=0),
    LeaveOneComponentOut(min_size=4),
    RepeatedCDHitGroupSplitter(n_splits=3, n_repeats=2, random_state=0),
]


@pytest.fixture(scope="module")
def frame():
    sequences, family = make_families(24, 4, length=60, seed=3)
    rng = np.random.default_rng(0)
    ogt = 30 + family + rng.normal(size=len(family))
    organism = np.array(["E. coli", "yeast"])[family % 2]
    columns = {"ogt": ogt, "organism": organism, "sequence": sequences}
    return pd.DataFrame(columns | {"id": [f"P{i}" for i in range(len(family))]})


@pytest.fixture(scope="module")
def y(frame):
    return frame["ogt"].to_numpy() * 1.5 + np.random.default_rng(1).normal(size=len(frame))


def as_kind(frame, kind):
    if kind == "pandas":
        return frame
    library = pytest.importorskip({"polars": "polars", "pyarrow": "pyarrow"}[kind])
    if kind == "polars":
        return library.DataFrame(frame.to_dict("list"))
    return library.table(frame.to_dict("list"))


def residues(column):
    texts = map(str, column)  # also of pyarrow's scalars
    return np.array([[s.count(r) / len(s) for r in "ACDEFGHIKLMNPQRSTVWY"] for s in texts])


def model_of(frame_columns=("ogt",), net=None, **options):
    columns = ColumnTransformer(
        [
            ("embed", FunctionTransformer(residues), "sequence"),
            ("scale", StandardScaler(), list(frame_columns)),
        ]
    )
    net = net or MLPRegressor((8,), max_iter=3, random_state=0)
    regions = TargetRegions("edges", edges=[60.0], rare=[-1])
    resample = RegionOverSampler("random", regions=regions, random_state=0)
    return Pipeline([("columns", columns), ("resample", resample), ("net", net)], **options)


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("splitter", SPLITTERS, ids=lambda s: type(s).__name__)
def test_tables_are_split_as_their_sequences(splitter, kind, frame, y):
    table = as_kind(frame, kind)
    expected = list(splitter.split(frame["sequence"].tolist(), y))
    for (train, test), (train_table, test_table) in zip(
        expected, splitter.split(table, y), strict=True
    ):
        np.testing.assert_array_equal(train, train_table)
        np.testing.assert_array_equal(test, test_table)


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_split_in_three_and_audit_take_tables(kind, frame, y):
    table = as_kind(frame, kind)
    options = {"n_validation": 3, "n_test": 3, "max_component": 0.5, "random_state": 0}
    parts = train_validation_test_split(table, y, **options)
    expected = train_validation_test_split(frame["sequence"], y, **options)
    np.testing.assert_array_equal(parts.test, expected.test)
    folds = np.arange(len(frame)) % 3
    assert audit_leakage(table, folds).overall("A") == 1
    assert audit_leakage(table, CDHitGroupSplitter(3)).overall("A") == 0


def test_the_column_is_the_named_the_usual_or_the_only_one(frame, y):
    expected = list(CDHitGroupSplitter(3).split(frame["sequence"], y))
    other = frame.rename(columns={"sequence": "protein"})
    decoy = other.assign(sequence=np.roll(frame["sequence"], 5))
    for table, name in [(other, None), (other, "protein"), (decoy, "protein")]:
        found = list(CDHitGroupSplitter(3, sequence_column=name).split(table, y))
        for pair, pair_found in zip(expected, found, strict=True):
            np.testing.assert_array_equal(pair[1], pair_found[1])
    usual = list(CDHitGroupSplitter(3).split(decoy, y))
    assert any(not np.array_equal(a[1], b[1]) for a, b in zip(expected, usual, strict=True))


@pytest.mark.parametrize(
    ("change", "column", "message"),
    [
        (lambda f: f.drop(columns="sequence"), None, "none of 'ogt', 'organism', 'id' holds"),
        (
            lambda f: f.rename(columns={"sequence": "a"}).assign(b=f["sequence"]),
            None,
            "'a', 'b' hold nothing but protein sequences",
        ),
        (lambda f: f, "protein", r"X has no column 'protein'; expected one of 'ogt', 'organism'"),
        (lambda f: f, "id", r"X\['id'\]\[0\] has the character '0' at position 1"),
        (lambda f: f[["ogt"]].to_numpy(), "protein", "X is of type ndarray, without names"),
    ],
)
def test_what_cannot_be_found_is_named(change, column, message, frame):
    with pytest.raises(DataError, match=message):
        next(CDHitGroupSplitter(3, sequence_column=column).split(change(frame)))


def test_sequences_as_groups_still_count(frame, y):
    numbers = frame[["ogt"]]
    expected = list(CDHitGroupSplitter(3).split(frame, y))
    found = list(CDHitGroupSplitter(3).split(numbers, y, groups=frame["sequence"]))
    for pair, pair_found in zip(expected, found, strict=True):
        np.testing.assert_array_equal(pair[1], pair_found[1])


def test_a_target_of_two_columns_needs_nothing_said(frame, y):
    two = np.column_stack([y, -y])
    parts = list(CDHitGroupSplitter(3).split(frame, two))
    assert sorted(np.concatenate([test for _, test in parts])) == list(range(len(frame)))
    with pytest.raises(DataError, match="several targets"):
        next(CDHitGroupSplitter(3, stratify=True).split(frame, two))
    net = MLPRegressor((8,), max_iter=2, random_state=0)
    model = Pipeline([("columns", model_of().steps[0][1]), ("net", net)], validation=0.2)
    assert model.fit(frame, two).predict(frame).shape == (len(frame), 2)


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("routing", [False, True])
def test_a_pipeline_on_a_table_needs_no_groups(kind, routing, frame, y):
    table = as_kind(frame, kind)
    grid = {"resample__level": [100, 200]}
    with sklearn.config_context(enable_metadata_routing=routing):
        search = GridSearchCV(model_of(validation=0.2), grid, cv=CDHitGroupSplitter(2))
        scores = cross_validate(
            search, table, y, cv=CDHitGroupSplitter(3), return_estimator=True, return_indices=True
        )
    sequences = frame["sequence"].to_numpy()
    assert np.isfinite(scores["test_score"]).all()
    pairs = list(zip(scores["indices"]["train"], scores["indices"]["test"], strict=True))
    assert audit_leakage(table, pairs).overall("A") == 0
    for fitted, (train, _) in zip(scores["estimator"], pairs, strict=True):
        best = fitted.best_estimator_
        inner = (train[best.train_indices_], train[best.validation_indices_])
        assert audit_leakage(sequences, [inner]).overall("A") == 0


def test_numbers_without_sequences_say_what_is_missing(frame, y):
    model = make_pipeline(StandardScaler(), Ridge())
    with pytest.raises(DataError, match="none of 'ogt' holds"):
        cross_val_predict(model, frame[["ogt"]], y, cv=CDHitGroupSplitter(3))
    net = Pipeline([("net", MLPRegressor((8,), max_iter=2))], validation=0.2)
    with pytest.raises(DataError, match="does not hold str"):
        net.fit(frame[["ogt"]], y)
