import pickle

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from esmlearn.conformal import HomologyConformalRegressor, coverage_report
from esmlearn.exceptions import DataError
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.over_sampling import TargetRegions
from tests._proteins import make_families
from tests.conformal._data import EDGE, family_rows


def model_on(X, y, families, **parameters):
    parameters = {"cv": GroupKFold(5), **parameters}
    return HomologyConformalRegressor(LinearRegression(), **parameters).fit(X, y, groups=families)


def possible_by_definition(model, x, values):
    """Which values are in the CV+ set of one row, by counting (Barber et al., eq. 11)."""
    residuals, fold, residual_region = (
        getattr(model, f"residual{name}_") for name in ("s", "_fold", "_region")
    )
    predictions = np.array([e.predict(x[None])[0] for e in model.fold_estimators_])
    possible = []
    for value in values:
        region = model._region(np.array([value]))[0]
        mine = residual_region == region
        n_below, n_above = model._ranks(region)
        own = value - predictions[fold[mine]]
        below, above = (residuals[mine] < own).sum(), (residuals[mine] > own).sum()
        possible.append(below >= n_below and above >= n_above)
    return np.array(possible)


@pytest.mark.parametrize("regions", [None, [EDGE], [-0.5, 0.5, EDGE]])
def test_sets_are_those_of_the_definition(regions):
    X, y, families = family_rows(120)
    model = model_on(X, y, families, regions=regions)
    new = family_rows(5, seed=1)[0]
    values = np.linspace(-4, 8, 241) + 1e-3
    for x, pieces in zip(new, model.predict_set(new), strict=True):
        found = ((pieces[:, :1] <= values) & (values <= pieces[:, 1:])).any(axis=0)
        assert (found == possible_by_definition(model, x, values)).all()


def test_base_adds_the_quantiles_of_out_of_fold_residuals():
    X, y, families = family_rows(100)
    model = model_on(X, y, families, method="base", confidence_level=0.8)
    out_of_fold = cross_val_predict(LinearRegression(), X, y, groups=families, cv=GroupKFold(5))
    residuals = np.sort(y - out_of_fold)
    expected = model.predict(X)[:, None] + [residuals[39], residuals[-40]]  # 80 of 401 beyond
    np.testing.assert_allclose(model.predict_interval(X), expected)
    assert model.fold_estimators_ == []
    whole = LinearRegression().fit(X, y)
    other = HomologyConformalRegressor.from_predictions(whole, y, out_of_fold, confidence_level=0.8)
    np.testing.assert_allclose(other.predict_interval(X), expected)
    assert other.predict(X).tolist() == whole.predict(X).tolist()


def test_minmax_holds_the_intervals_of_plus():
    X, y, families = family_rows(60)
    plus = model_on(X, y, families).predict_interval(X)
    wide = model_on(X, y, families, method="minmax").predict_interval(X)
    assert (wide[:, 0] <= plus[:, 0]).all()
    assert (wide[:, 1] >= plus[:, 1]).all()


@pytest.mark.parametrize("method", ["plus", "base", "minmax"])
def test_level_holds_in_every_region_where_one_quantile_misses_the_tail(method):
    counts = np.zeros((2, 3, 2))  # of plain and of regional sets, by part: inside, all
    for seed in range(8):
        X, y, families = family_rows(250, seed=seed)
        new, truth, _ = family_rows(250, seed=100 + seed)
        for kind, regions in enumerate([None, [EDGE]]):
            model = model_on(X, y, families, method=method, regions=regions)
            report = coverage_report(truth, model.predict_set(new), regions=[EDGE])
            inside = report["coverage"] * report["count"]
            counts[kind] += np.column_stack([inside, report["count"]])
    coverage = counts[..., 0] / counts[..., 1]
    # Rows of a family are not independent: the error is that of families, three deviations wide.
    error = 3 * np.sqrt(0.9 * 0.1 / (counts[1, :, 1] / 4))
    assert coverage[0, 2] < 0.7
    slack = 0.03 if method == "minmax" else 0
    assert (np.abs(coverage[1] - 0.9) < error + slack).all()


def test_the_level_of_a_region_is_spent_on_the_side_where_it_is_missed():
    X, y, families = family_rows(250)
    model = model_on(X, y, families, regions=[EDGE], method="base")
    new = family_rows(250, seed=1)[0]
    below, above = model._ranks(1)
    assert below == 0  # nothing in the tail is predicted too high
    assert above == int(0.1 * ((y >= EDGE).sum() + 1))
    even = np.sort(model.residuals_[model.residual_region_ == 1])[-(above // 2)]
    upper = model.predict_interval(new)[:, 1]
    assert upper.mean() < (model.predict(new) + even).mean()


@settings(max_examples=30, deadline=None)
@given(
    level=st.floats(0.3, 0.95),
    edges=st.lists(st.floats(-0.5, 1.5), max_size=2, unique=True),
    method=st.sampled_from(["plus", "base", "minmax"]),
)
def test_sets_are_ordered_pieces_within_the_interval(level, edges, method):
    X, y, families = family_rows(200, seed=2)
    model = HomologyConformalRegressor(
        Ridge(), cv=GroupKFold(3), method=method, regions=sorted(edges) or None
    ).set_params(confidence_level=level)
    counts = np.bincount(np.digitize(y, sorted(edges)), minlength=len(edges) + 1)
    if counts.min() + 1 < 2 / (1 - level) - 1e-6:
        with pytest.raises(DataError, match="in the region"):
            model.fit(X, y, groups=families)
        return
    model.fit(X, y, groups=families)
    intervals = model.predict_interval(X)
    for (low, high), pieces in zip(intervals, model.predict_set(X), strict=True):
        flat = pieces.ravel()
        assert len(pieces) >= 1
        assert (np.diff(flat) >= 0).all()
        assert (low, high) == (flat[0], flat[-1])
        assert np.isfinite(flat).all()


def test_a_set_may_be_of_two_pieces_and_is_never_empty():
    rng = np.random.default_rng(0)
    side = np.repeat([-1.0, 1.0], 60)
    y = 10 * side + rng.normal(size=120)
    X = np.zeros((120, 1))  # nothing is known: low or high, but nothing between
    model = HomologyConformalRegressor(Ridge(), cv=KFold(5, shuffle=True, random_state=0))
    pieces = clone(model).set_params(regions=[0.0]).fit(X, y).predict_set(X[:1])[0]
    assert pieces.shape == (2, 2)
    assert pieces[0, 1] < -6
    assert pieces[1, 0] > 6
    doubled = TransformedTargetRegressor(
        Ridge(), func=np.positive, inverse_func=lambda y: 2 * y, check_inverse=False
    )
    X = side[:, None] + 0.01 * rng.normal(size=(120, 1))
    model.set_params(regions=[0.0], estimator=doubled).fit(X, y)
    low, high = model.predict_interval([[0.0]])[0]  # each region's errors point to the other
    assert low == high == model.predict([[0.0]])[0]


def test_wider_levels_hold_the_narrower_after_fitting():
    X, y, families = family_rows(100)
    model = model_on(X, y, families)
    wide = model.predict_interval(X)
    narrow = model.set_params(confidence_level=0.5).predict_interval(X)
    assert (wide[:, 0] < narrow[:, 0]).all()
    assert (narrow[:, 1] < wide[:, 1]).all()
    with pytest.raises(DataError, match=r"n_samples=400 .* at least 1999"):
        model.set_params(confidence_level=0.999).predict_interval(X)


@pytest.mark.parametrize("method", ["plus", "base", "minmax"])
def test_difficulty_widens_intervals_where_the_estimator_is_unsure(method):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(400, 1))
    y = X[:, 0] + 0.3 * rng.normal(size=400)
    fresh = X[200:]
    X, y, truth = X[:200], y[:200], y[200:]
    process = GaussianProcessRegressor(alpha=0.1)
    model = HomologyConformalRegressor(process, cv=KFold(4), difficulty="std", method=method)
    model.fit(X, y)
    known, unknown = model.predict_interval([[0.0], [5.0]])
    assert np.diff(unknown) > 2 * np.diff(known)
    report = coverage_report(truth, model.predict_set(fresh))
    # The estimator that saw everything is surer than those of the folds, which "base" ignores.
    assert report.loc["all", "coverage"] > (0.75 if method == "base" else 0.85)


def residues(sequences):
    return np.array([[s.count(letter) / len(s) for letter in "AGKLW"] for s in sequences])


@pytest.fixture(scope="module")
def proteins():
    sequences, families = make_families(40, 3, length=60)
    y = residues(sequences)[:, 0] * 100 + np.random.default_rng(0).normal(size=len(sequences))
    return sequences, y, families


def on_sequences(**parameters):
    return HomologyConformalRegressor(
        make_pipeline(FunctionTransformer(residues), Ridge()), **parameters
    )


def test_calibrates_on_sequences_without_a_homolog_in_training(proteins):
    sequences, y, families = proteins
    model = on_sequences().fit(sequences, y)
    fold_of_family = {}
    rows = np.concatenate([test for _, test in CDHitGroupSplitter().split(sequences, y)])
    for row, fold in zip(rows, model.residual_fold_, strict=True):
        assert fold_of_family.setdefault(families[row], fold) == fold
    assert model.predict_interval(sequences[:3]).shape == (3, 2)
    same = HomologyConformalRegressor(Ridge()).fit(residues(sequences), y, groups=sequences)
    np.testing.assert_allclose(
        same.predict_interval(residues(sequences)), model.predict_interval(sequences)
    )


def test_composes(proteins):
    sequences, y, _ = proteins
    model = on_sequences(cv=3, n_jobs=2)
    assert cross_val_score(model, sequences, y, cv=CDHitGroupSplitter(3)).shape == (3,)
    grid = GridSearchCV(
        model, {"estimator__ridge__alpha": [0.1, 10]}, cv=CDHitGroupSplitter(2)
    ).fit(sequences, y)
    best = grid.best_estimator_
    again = pickle.loads(pickle.dumps(best))
    assert (again.predict_interval(sequences) == best.predict_interval(sequences)).all()
    assert best.predict_interval(sequences).shape == (len(y), 2)


def test_weights_go_to_every_fit():
    X, y, families = family_rows(30)
    weights = np.where(y > 0, 1.0, 1e-9)
    model = HomologyConformalRegressor(LinearRegression(), cv=GroupKFold(3))
    weighted = model.fit(X, y, groups=families, sample_weight=weights)
    expected = LinearRegression().fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(weighted.estimator_.coef_, expected.coef_)
    with sklearn.config_context(enable_metadata_routing=True):
        base = LinearRegression().set_fit_request(sample_weight=True)
        routed = HomologyConformalRegressor(base, cv=GroupKFold(3))
        routed.fit(X, y, groups=families, sample_weight=weights)
    np.testing.assert_allclose(routed.residuals_, weighted.residuals_)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"regions": [50.0]}, r"n_samples=0 in the region from 50 to inf; expected at least 19"),
        (
            {"cv": GroupShuffleSplit(5)},
            r"tests row \d+ \d times; expected each row in one test part",
        ),
        ({"confidence_level": 1.0}, "confidence_level"),
        ({"difficulty": "guess"}, "difficulty"),
        ({"method": "naive"}, "method"),
        ({"cv": 1}, "cv"),
    ],
)
def test_refuses(parameters, message):
    X, y, families = family_rows(30)
    with pytest.raises(ValueError, match=message):
        model_on(X, y, families, **parameters)


def test_refuses_targets_that_are_not_finite():
    X, y, families = family_rows(30)
    y[7] = np.nan
    with pytest.raises(DataError, match=r"y\[7\]"):
        model_on(X, y, families)


def test_takes_regions_of_every_kind():
    X, y, families = family_rows(150)
    edges = model_on(X, y, families, regions=[EDGE])
    same = model_on(X, y, families, regions=TargetRegions("edges", edges=[EDGE]))
    assert (edges.predict_interval(X) == same.predict_interval(X)).all()
    assert same.regions_.edges_.tolist() == [EDGE]
