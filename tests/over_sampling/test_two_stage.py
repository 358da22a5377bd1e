import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import fbeta_score, precision_score, recall_score
from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from esmlearn.exceptions import ResamplingWarning
from esmlearn.metrics import region_precision_recall_fscore
from esmlearn.over_sampling import TargetRegions, TwoStageRegressor
from esmlearn.over_sampling._thresholds import best_threshold, break_even_threshold


@pytest.fixture(scope="module")
def data():
    """A target whose rare values follow from a product of features, which is hard to regress."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(800, 6))
    hot, cold = (X[:, 0] > 0.9) & (X[:, 1] > 0.5), (X[:, 0] < -0.9) & (X[:, 1] > 0.5)
    return X, 40 + 4 * X[:, 2] + 45 * hot - 30 * cold + rng.normal(size=800)


def test_rare_values_are_predicted_as_such(data):
    X, y = data
    regions = {"regions": [20.0, 65.0]}
    model = TwoStageRegressor(**regions, rare=[0, 2], random_state=0).fit(X[:500], y[:500])
    plain = LinearRegression().fit(X[:500], y[:500])
    ours, theirs = (
        region_precision_recall_fscore(y[500:], m.predict(X[500:]), **regions)
        for m in (model, plain)
    )
    assert (ours[0][[0, 2]] > 0.4).all()
    assert (ours[1][[0, 2]] > 0.4).all()
    assert theirs[1][2] < 0.1


def test_predictions_stay_in_the_ranges_of_the_training_targets(data):
    X, y = data
    model = TwoStageRegressor(regions=[65.0], rare=[1], random_state=0).fit(X, y)
    far = X * 100
    assigned, predicted = model.predict_region(far), model.predict(far)
    assert set(assigned) <= {-1, 1}
    assert y[y >= 65].min() <= predicted[assigned == 1].min(initial=80)
    assert predicted[assigned == -1].max() <= y[y < 65].max()


def test_rare_rows_that_are_missed_are_predicted_better_by_what_saw_all_rows(data):
    X, y = data
    errors = {}
    for rows in ("all", "usual"):
        model = TwoStageRegressor(
            LinearRegression(), regions=[65.0], rare=[1], fit_usual_on=rows, random_state=0
        ).fit(X[:500], y[:500])
        missed = (model.predict_region(X[500:]) == -1) & (y[500:] >= 65)
        errors[rows] = np.abs(model.predict(X[500:]) - y[500:])[missed].mean()
    usual = y[:500] < 65
    expected = LinearRegression().fit(X[:500][usual], y[:500][usual])
    assert_allclose(model.regressors_[-1].coef_, expected.coef_)
    assert errors["all"] < 0.9 * errors["usual"]


@pytest.mark.parametrize("classifier", [LogisticRegression(), RandomForestClassifier(20)])
def test_own_estimators_are_cloned(data, classifier):
    X, y = data
    regressor = LinearRegression()
    model = TwoStageRegressor(regressor, classifier=classifier, regions=[65.0], rare=[1], cv=3)
    model.fit(X, y)
    assert not hasattr(classifier, "classes_")
    assert not hasattr(regressor, "coef_")


def test_beta_moves_the_threshold(data):
    X, y = data
    params = {"regions": [65.0], "rare": [1], "random_state": 0, "classifier": LogisticRegression()}
    careful, eager = (TwoStageRegressor(beta=b, **params).fit(X, y) for b in (0.2, 3.0))
    assert careful.thresholds_[1] > eager.thresholds_[1]


def test_best_threshold_is_the_best_of_all():
    rng = np.random.default_rng(0)
    y_true = rng.random(200) < 0.2
    scores = rng.normal(size=200) + y_true
    found = best_threshold(y_true, scores, beta=0.7)
    values = [fbeta_score(y_true, scores >= t, beta=0.7) for t in scores]
    assert fbeta_score(y_true, scores >= found, beta=0.7) == max(values)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 1000)), min_size=2, unique_by=lambda t: t[1])
)
def test_break_even_threshold_makes_recall_and_precision_equal(rows):
    y_true, scores = (np.array(column) for column in zip(*rows, strict=True))
    if not y_true.any():
        return
    called = scores >= break_even_threshold(y_true, scores)
    assert called.sum() == y_true.sum()
    assert precision_score(y_true, called) == recall_score(y_true, called)


def test_threshold_is_chosen_on_rows_that_the_classifier_has_not_seen(data):
    """A classifier that knows its rows by heart would call none but those."""
    X, y = data
    inside = y >= 65
    model = TwoStageRegressor(
        classifier=KNeighborsClassifier(5, weights="distance"),
        regions=[65.0],
        rare=[1],
        random_state=0,
    ).fit(X, y)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    held_out = cross_val_predict(
        clone(model.classifier), X, inside, cv=folds, method="predict_proba"
    )[:, 1]
    assert model.thresholds_[1] == np.sort(held_out)[-inside.sum()]
    by_heart = model.classifiers_[1].predict_proba(X)[:, 1]
    assert model.thresholds_[1] < np.sort(by_heart)[-inside.sum()]


def test_an_ensemble_scores_training_rows_by_the_classifiers_that_have_not_seen_them(data):
    X, y = data
    inside = y >= 65
    model = TwoStageRegressor(
        classifier=LogisticRegression(), regions=[65.0], rare=[1], ensemble=2, random_state=0
    ).fit(X, y)
    generator = np.random.RandomState(0)
    held_out, fitted = np.zeros(len(y)), []
    for _ in range(2):
        for train, test in StratifiedKFold(5, shuffle=True, random_state=generator).split(
            X, inside
        ):
            fitted.append(LogisticRegression().fit(X[train], inside[train]))
            held_out[test] += fitted[-1].decision_function(X[test]) / 2
    assert_allclose(model.thresholds_[1], np.sort(held_out)[-inside.sum()])
    mean = np.mean([one.decision_function(X) for one in fitted], axis=0)
    assert_array_equal(model.predict_region(X) == 1, mean >= model.thresholds_[1])
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict(X), model.predict(X))
    apart = clone(model).set_params(n_jobs=2).fit(X, y)
    assert_array_equal(apart.predict(X), model.predict(X))


def test_an_ensemble_of_probabilities_keeps_groups_apart(data):
    X, y = data
    groups = np.arange(len(y)) // 4
    model = TwoStageRegressor(
        classifier=RandomForestClassifier(5), regions=[65.0], rare=[1], ensemble=1, random_state=0
    ).fit(X, y, groups=groups)
    assert len(model.classifiers_[1].classifiers) == 5
    assert 0 < model.thresholds_[1] < 1


@pytest.mark.parametrize("beta", [0, -1, "even", None])
def test_bad_beta(data, beta):
    with pytest.raises(ValueError, match="beta"):
        TwoStageRegressor(beta=beta).fit(*data)


def test_groups_are_kept_apart(data):
    X, y = data
    repeated = np.repeat(X[:200], 4, axis=0), np.repeat(y[:200], 4)
    groups = np.repeat(np.arange(200), 4)
    params = {"regions": [65.0], "rare": [1], "random_state": 0}
    apart = TwoStageRegressor(**params).fit(*repeated, groups=groups)
    mixed = TwoStageRegressor(**params).fit(*repeated)
    assert apart.thresholds_[1] != mixed.thresholds_[1]


def test_region_with_one_member_is_left_out(data):
    X, y = data
    y = np.where(y >= 65, 50.0, y)
    y[0] = 90.0
    with pytest.warns(ResamplingWarning, match="Region 1 has 1 members"):
        model = TwoStageRegressor(regions=[65.0], rare=[1]).fit(X, y)
    assert_array_equal(model.predict_region(X), -1)


def test_pickle_and_same_seed(data):
    X, y = data
    model = TwoStageRegressor(regions=[65.0], rare=[1], random_state=0).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict(X), model.predict(X))
    assert_array_equal(model.fit(X, y).predict(X), again.predict(X))


def test_without_a_seed_no_global_random_state_is_moved(data):
    X, y = data
    before = np.random.get_state()[2]  # noqa: NPY002
    TwoStageRegressor(regions=[65.0], rare=[1]).fit(X, y)
    assert np.random.get_state()[2] == before  # noqa: NPY002


def test_unseeded_estimators_get_their_seeds_from_this_one(data):
    X, y = data
    parts = {"regressor": ExtraTreesRegressor(5), "classifier": ExtraTreesClassifier(5)}
    params = {**parts, "regions": [65.0], "rare": [1], "cv": 2}
    before = np.random.get_state()  # noqa: NPY002
    same, again, other = (
        TwoStageRegressor(random_state=seed, **params).fit(X[:400], y[:400]).predict(X[400:])
        for seed in (0, 0, 1)
    )
    TwoStageRegressor(**params).fit(X, y)
    after = np.random.get_state()  # noqa: NPY002
    assert_array_equal(before[1], after[1])
    assert before[2] == after[2]
    assert_array_equal(same, again)
    assert (same != other).any()
    assert all(part.random_state is None for part in parts.values())


def test_a_region_that_leaves_one_other_row_is_not_learned(data):
    X, y = data
    edge = float(np.sort(y)[:2].mean())
    with pytest.warns(ResamplingWarning, match="799 members and there are 1 other rows"):
        model = TwoStageRegressor(regions=[edge], rare=[1], random_state=0).fit(X, y)
    assert set(model.predict_region(X)) == {-1}


def test_rare_rows_of_one_family_are_learned_and_said_to_be(data):
    X, y = data
    families = np.arange(len(y))
    families[y >= 65] = -1
    with pytest.warns(ResamplingWarning, match="of too few families"):
        model = TwoStageRegressor(regions=[65.0], rare=[1], random_state=0).fit(X, y, families)
    plain = TwoStageRegressor(regions=[65.0], rare=[1], random_state=0).fit(X, y)
    assert model.thresholds_ == plain.thresholds_


@pytest.mark.parametrize("ensemble", [0, 2])
@pytest.mark.parametrize("n_families", [2, 3, 4])
def test_fewer_families_than_folds_are_left_out_one_by_one(n_families, ensemble, data):
    X, y = data
    families = np.arange(len(y)) % n_families
    params = {"regions": [65.0], "rare": [1], "random_state": 0, "ensemble": ensemble}
    model = TwoStageRegressor(classifier=LogisticRegression(), **params).fit(X, y, families)
    held_out = cross_val_predict(
        LogisticRegression(),
        X,
        y >= 65,
        groups=families,
        cv=LeaveOneGroupOut(),
        method="decision_function",
    )
    assert_allclose(model.thresholds_[1], np.sort(held_out)[-np.sum(y >= 65)])


def test_one_family_of_all_rows_is_torn_apart_with_a_warning(data):
    X, y = data
    with pytest.warns(ResamplingWarning, match="of too few families"):
        TwoStageRegressor(regions=[65.0], rare=[1], random_state=0).fit(X, y, np.zeros(len(y)))


@pytest.mark.parametrize("rare", [None, [0, 1], []])
def test_without_a_rare_region_it_is_said_that_nothing_is_two_stage(rare):
    X = np.arange(40.0)[:, None]
    y = np.linspace(30, 40, 40)
    regions = TargetRegions() if rare is None else [35.0]
    with pytest.warns(ResamplingWarning, match=r"(None|All) of the regions .* one regressor"):
        model = TwoStageRegressor(LinearRegression(), regions=regions, rare=rare).fit(X, y)
    assert list(model.regressors_) == [-1]
