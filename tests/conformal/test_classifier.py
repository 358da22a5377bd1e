import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from esmlearn.conformal import HomologyConformalClassifier, coverage_report
from esmlearn.exceptions import DataError
from tests.conformal._data import family_rows

CLASSES = np.array(["common", "rare", "other"])


def class_rows(n_families, *, seed=0):
    X, _, families = family_rows(n_families, seed=seed)
    rng = np.random.default_rng(seed)
    number = rng.choice(3, size=n_families, p=[0.7, 0.1, 0.2])[families]
    return X + 0.8 * np.array([[0, 0], [1, 1], [-1, 1]])[number], CLASSES[number], families


def model_on(X, y, families, estimator=None, **parameters):
    estimator = LogisticRegression() if estimator is None else estimator
    model = HomologyConformalClassifier(estimator, cv=GroupKFold(5), **parameters)
    return model.fit(X, y, groups=families)


@pytest.mark.parametrize("estimator", [LogisticRegression(), RidgeClassifier()])
def test_p_values_are_those_of_the_definition(estimator):
    X, y, families = class_rows(50)
    model = model_on(X, y, families, estimator)
    method = "predict_proba" if hasattr(estimator, "predict_proba") else "decision_function"
    new = class_rows(3, seed=1)[0]
    for x, found in zip(new, model.p_values(new), strict=True):
        for label in range(3):
            own = np.array([getattr(e, method)(x[None])[0, label] for e in model.fold_estimators_])
            mine = model.score_class_ == label
            below = (model.scores_[mine] <= own[model.score_fold_[mine]]).sum()
            assert found[label] == (below + 1) / (mine.sum() + 1)
    assert (model.predict_set(new) == (model.p_values(new) > 0.1)).all()


def test_level_holds_in_every_class():
    inside, counts = np.zeros(4), np.zeros(4)
    for seed in range(8):
        X, y, families = class_rows(200, seed=seed)
        new, truth, _ = class_rows(200, seed=50 + seed)
        model = model_on(X, y, families)
        report = coverage_report(truth, model.predict_set(new), classes=model.classes_)
        inside += report["coverage"] * report["count"]
        counts += report["count"]
    error = 3 * np.sqrt(0.9 * 0.1 / (counts / 4))  # that of families
    assert (np.abs(inside / counts - 0.9) < error).all()


def test_a_class_with_few_rows_is_in_every_set_and_is_named():
    X, y, _ = class_rows(60)
    y = np.where(np.arange(len(y)) < 4, "single", y)
    with pytest.warns(UserWarning, match=r"every set: single \(4\)"):
        model = HomologyConformalClassifier(LogisticRegression(), cv=KFold(4)).fit(X, y)
    # The fold that tests all four of them was trained on none.
    assert model.predict_set(X)[:, model.classes_.tolist().index("single")].all()


def test_predicts_like_the_estimator_fitted_on_everything():
    X, y, families = class_rows(40)
    model = model_on(X, y, families, make_pipeline(StandardScaler(), LogisticRegression()))
    alone = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    assert (model.predict(X) == alone.predict(X)).all()
    assert (model.predict_proba(X) == alone.predict_proba(X)).all()
    assert not hasattr(HomologyConformalClassifier(RidgeClassifier()), "predict_proba")


def test_two_classes_by_decision_function():
    X, y, families = class_rows(60)
    model = model_on(X, np.where(y == "rare", 1, 0), families, RidgeClassifier())
    assert model.predict_set(X).shape == (len(X), 2)
    assert 0.88 < (model.p_values(X)[np.arange(len(X)), (y == "rare") * 1] > 0.1).mean() < 0.98


def test_refuses():
    X, y, families = class_rows(30)
    with pytest.raises(DataError, match=r"y\[3\]"):
        model_on(X, np.where(np.arange(len(y)) == 3, None, y), families)

    class Mute(DecisionTreeClassifier):
        predict_proba = None

        def __getattribute__(self, name):
            if name == "predict_proba":
                raise AttributeError(name)
            return super().__getattribute__(name)

    with pytest.raises(DataError, match="neither predict_proba nor decision_function"):
        model_on(X, y, families, Mute())


def test_scores_that_were_made_before_calibrate():
    X, y, families = class_rows(60)
    whole = LogisticRegression().fit(X, y)
    scores = cross_val_predict(
        LogisticRegression(), X, y, groups=families, cv=GroupKFold(5), method="predict_proba"
    )
    model = HomologyConformalClassifier.from_scores(whole, y, scores)
    new = class_rows(3, seed=1)[0]
    for label in range(3):
        mine = np.sort(scores[y == whole.classes_[label], label])
        below = np.searchsorted(mine, whole.predict_proba(new)[:, label], side="right")
        np.testing.assert_allclose(model.p_values(new)[:, label], (below + 1) / (len(mine) + 1))
    with pytest.raises(DataError, match=r"y\[2\] is 'alien'; expected one of .*'common'"):
        HomologyConformalClassifier.from_scores(whole, [*y[:2], "alien", *y[3:]], scores)
    with pytest.raises(DataError, match=r"scores has the shape \(240, 2\); expected \(240, 3\)"):
        HomologyConformalClassifier.from_scores(whole, y, scores[:, :2])
