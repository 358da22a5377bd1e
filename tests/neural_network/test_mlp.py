"""What a user sees of the networks: inputs, state, seeds, ensembles."""

import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from joblib import Parallel, delayed, parallel_backend
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict

from esmlearn.exceptions import DataError
from esmlearn.neural_network import MLPClassifier, MLPRegressor

FAST = {"hidden_layer_sizes": (16,), "max_iter": 5, "random_state": 0}
BOTH = [MLPRegressor(**FAST), MLPClassifier(**FAST)]


@pytest.fixture(params=[MLPRegressor, MLPClassifier])
def problem(request, table, classes):
    X, y, groups = table
    return request.param(**FAST), X, y if request.param is MLPRegressor else classes, groups


@pytest.mark.parametrize(
    "convert", [np.float32, np.float64, np.ndarray.tolist, pd.DataFrame, np.asfortranarray]
)
def test_any_container_gives_the_same_network(table, convert):
    X, y, _ = table
    X = X.astype(np.float32)
    converted = (
        X.astype(convert)
        if isinstance(convert, type(np.float32)) and issubclass(convert, np.floating)
        else convert(X)
    )
    if isinstance(converted, pd.DataFrame):
        converted.columns = [f"f{i}" for i in range(X.shape[1])]
    expected = MLPRegressor(**FAST).fit(X, y).predict(X)
    np.testing.assert_array_equal(
        MLPRegressor(**FAST).fit(converted, y).predict(converted), expected
    )


def test_predictions_have_the_shape_and_the_units_of_y(table):
    X, y, _ = table
    net = MLPRegressor((32,), max_iter=60, random_state=0)
    flat = net.fit(X, y).predict(X)
    column = net.fit(X, y[:, None]).predict(X)
    both = net.fit(X, np.c_[y, -1000 * y]).predict(X)
    assert flat.shape == (300,)
    assert flat.mean() == pytest.approx(y.mean(), abs=1)
    np.testing.assert_array_equal(column, flat[:, None])
    assert both.shape == (300, 2)
    assert np.corrcoef(both[:, 0], y)[0, 1] > 0.95
    assert both[:, 1].mean() == pytest.approx(-1000 * y.mean(), rel=0.05)


@pytest.mark.parametrize("value", [1.0, 0.1, -1e9, 1e300])
@pytest.mark.parametrize("weight", [None, np.linspace(0.1, 1, 300)])
def test_a_constant_target_is_predicted_exactly(table, value, weight):
    X, y, _ = table
    net = MLPRegressor(**FAST).fit(X, np.full(300, value), sample_weight=weight)
    np.testing.assert_array_equal(net.predict(X), np.full(300, value))
    both = MLPRegressor(**FAST).fit(X, np.c_[y, np.full(300, value)]).predict(X)
    np.testing.assert_array_equal(both[:, 1], np.full(300, value))
    assert both[:, 0].std() > 0


def test_a_constant_target_leaves_nothing_to_go_on_from(table):
    X, y, _ = table
    net = MLPRegressor(**FAST, warm_start=True).fit(X, np.ones(300))
    np.testing.assert_array_equal(
        net.fit(X, y).predict(X), MLPRegressor(**FAST).fit(X, y).predict(X)
    )


def test_linear_model_without_hidden_layers(table):
    X, y, _ = table
    net = MLPRegressor((), max_iter=200, learning_rate_init=1e-2, random_state=0).fit(X, y)
    assert set(net.networks_[0]) == {"output.weight", "output.bias"}
    assert net.score(X, y) > 0.9


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["X", "y", "X_val", "y_val", "predict"])
def test_numbers_that_are_not_finite_are_named(table, value, where):
    X, y, _ = (a.copy() for a in table)
    parts = {"X": X[:200], "y": y[:200], "X_val": X[200:], "y_val": y[200:]}
    name, shown = where, {"nan": "NaN"}.get(str(value), str(value))
    if where == "predict":
        net = MLPRegressor(**FAST).fit(**parts)
        X[7, 3] = value
        with pytest.raises(DataError, match=rf"X\[7, 3\] is {shown}"):
            net.predict(X)
        return
    index = (7, 3) if where.startswith("X") else (7,)
    parts[where][index] = value
    place = ", ".join(map(str, index))
    with pytest.raises(DataError, match=rf"{name}\[{place}\] is {shown}.*the first of 1 such"):
        MLPRegressor(**FAST).fit(**parts)


def test_number_too_large_for_float32_is_named(table):
    X, y, _ = (a.copy() for a in table)
    X[2, 5] = 1e300
    with pytest.raises(DataError, match=r"X\[2, 5\] is inf \(infinity or too large for float32\)"):
        MLPRegressor(**FAST).fit(X, y)


@pytest.mark.parametrize(
    ("params", "fit", "message"),
    [
        ({}, {"X_val": np.zeros((3, 10))}, "X_val was given without y_val"),
        ({}, {"y_val": np.zeros(3)}, "y_val was given without X_val"),
        ({}, {"X_val": np.zeros((3, 4)), "y_val": np.zeros(3)}, "4 features.*expecting 10"),
        ({}, {"X_val": np.zeros((3, 10)), "y_val": np.zeros((3, 2))}, r"y_val has shape \(3, 2\)"),
        (
            {},
            {"X_val": np.zeros((3, 10)), "y_val": np.zeros(3), "groups": np.zeros(300)},
            "groups and X_val were both given",
        ),
        ({}, {"groups": np.zeros(300)}, "only 1 group"),
        ({}, {"groups": np.zeros(3)}, "inconsistent numbers of samples"),
        ({}, {"sample_weight": np.zeros(300)}, "at least one (non-zero|positive)"),
        ({}, {"sample_weight": -np.ones(300)}, "Negative values"),
        ({"device": "abacus"}, {}, "device='abacus' is no device"),
        ({"device": "cuda:99"}, {}, "cuda:99' is not available"),
        ({"loss": "cross_entropy"}, {}, "'loss' parameter"),
        ({"batch_size": 1}, {}, "'batch_size' parameter"),
        ({"hidden_layer_sizes": (20, 0)}, {}, r"hidden_layer_sizes is \(20, 0\)"),
        ({"hidden_layer_sizes": (20.5,)}, {}, r"hidden_layer_sizes is \(20.5,\)"),
        ({"hidden_layer_sizes": [(4,), 3]}, {}, r"hidden_layer_sizes is \[\(4,\), 3\]"),
        ({"hidden_layer_sizes": (np.inf,)}, {}, r"hidden_layer_sizes is \(inf,\)"),
        ({"betas": (0.9,)}, {}, r"betas is \(0.9,\)"),
        ({"betas": (0.9, 1.0)}, {}, r"betas is \(0.9, 1.0\)"),
    ],
)
def test_messages(table, params, fit, message):
    X, y, _ = table
    with pytest.raises(ValueError, match=message):
        MLPRegressor(**(FAST | params)).fit(X, y, **fit)


@pytest.mark.parametrize(
    "y",
    [
        ["a", "b", "a"],
        pd.Series(["37.5", "n/a", "40"]),
        pd.Series(["1", "b", "1"], dtype="category"),
    ],
)
def test_text_that_is_no_number_is_named(y):
    with pytest.raises(DataError, match=r"y\[\d\] is '(a|n/a|b)'; expected numbers.*MLPClassifier"):
        MLPRegressor(**FAST).fit(np.eye(3), y)


@pytest.mark.parametrize("estimator", [MLPRegressor, MLPClassifier])
def test_sequences_that_were_not_embedded_are_told(estimator):
    with pytest.raises(DataError, match=r"X holds text .* ESMEmbedder"):
        estimator(**FAST).fit(pd.Series(["MKV", "MAL", "MKL"]), [0, 1, 1])


def test_groups_are_kept_together(problem):
    net, X, y, groups = problem
    net.fit(X, y, groups=groups)
    held = np.isin(np.arange(300), net.validation_indices_)
    assert held.sum() == pytest.approx(30, abs=3)
    assert not np.intersect1d(groups[held], groups[~held]).size


def test_copies_are_not_validated_on(problem):
    net, X, y, _ = problem
    net.fit(np.tile(X, (3, 1)), np.tile(y, 3))
    held = net.validation_indices_ % 300
    assert all(np.bincount(held)[np.unique(held)] == 3)


def test_validation_rows_are_not_trained_on(table):
    X, y, _ = table
    net = MLPRegressor(**FAST).fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    assert net.validation_indices_ is None
    assert net.y_mean_ == pytest.approx(y[:200].mean())


def test_classes_that_only_validate_are_left_out(table, classes):
    X, _, _ = table
    y_val = classes[200:].astype(object)
    y_val[[3, 8]] = "unheard of"
    with pytest.warns(UserWarning, match=r"2 of 100 validation rows.*y_val\[3\] is 'unheard of'"):
        net = MLPClassifier(**FAST).fit(X[:200], classes[:200], X_val=X[200:], y_val=y_val)
    known = np.setdiff1d(np.arange(200, 300), [203, 208])
    expected = MLPClassifier(**FAST).fit(
        X[:200], classes[:200], X_val=X[known], y_val=classes[known]
    )
    assert net.history_ == expected.history_
    with pytest.raises(DataError, match="y_val has none of the classes"):
        net.fit(X, classes, X_val=X[:2], y_val=["a", "b"])


def test_whole_weights_are_repeated_rows_bit_for_bit(problem):
    net, X, y, _ = problem
    weight = np.random.default_rng(0).integers(0, 4, 300)
    weighted = clone(net).fit(X, y, sample_weight=weight)
    repeated = clone(net).fit(X.repeat(weight, axis=0), y.repeat(weight))
    np.testing.assert_array_equal(weighted.predict(X), repeated.predict(X))


def test_rows_of_weight_zero_do_not_exist(table):
    X, y, _ = table
    weight = np.where(np.arange(300) < 200, 0.7, 0.0)
    spoiled = np.where(weight > 0, y, -1e6)
    net = MLPRegressor(**FAST).fit(X, spoiled, sample_weight=weight)
    expected = MLPRegressor(**FAST).fit(X[:200], y[:200], sample_weight=weight[:200])
    np.testing.assert_array_equal(net.predict(X), expected.predict(X))


def test_class_weights_of_zero_leave_no_row(table, classes):
    X, _, _ = table
    zeros = dict.fromkeys(np.unique(classes), 0.0)
    with pytest.raises(DataError, match="zero for every row"):
        MLPClassifier(**FAST, class_weight=zeros).fit(X, classes)


def test_class_weight_finds_more_of_a_rare_class(table):
    X, _, _ = table
    y = (X[:, 0] + np.random.default_rng(0).normal(size=300) > 1.8).astype(int)
    recall = [
        MLPClassifier((16,), class_weight=w, max_iter=60, random_state=0)
        .fit(X, y)
        .predict(X)[y == 1]
        .mean()
        for w in (None, "balanced")
    ]
    assert recall[1] > recall[0] + 0.2


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_labels(table, loss):
    X, _, _ = table
    labels = (X[:, :3] > 0.3).astype(int)
    net = MLPClassifier((32,), loss=loss, max_iter=60, random_state=0).fit(X, labels)
    assert net.predict(X).shape == net.predict_proba(X).shape == (300, 3)
    assert (net.predict(X) == labels).mean() > 0.9
    sparse = clone(net).fit(X, csr_matrix(labels))
    np.testing.assert_array_equal(sparse.predict_proba(X), net.predict_proba(X))
    both = clone(net).set_params(n_estimators=2, max_iter=5).fit(X, labels)
    np.testing.assert_array_equal(both.decision_function(X) > 0, both.predict(X) == 1)


def test_labels_that_validate_must_be_as_many(table):
    X, _, _ = table
    labels = (X[:, :3] > 0.3).astype(int)
    with pytest.raises(DataError, match=r"y_val has shape \(50, 2\) and y has \(250, 3\)"):
        MLPClassifier(**FAST).fit(X[50:], labels[50:], X_val=X[:50], y_val=labels[:50, :2])


def test_ensemble_averages_networks_that_differ(table):
    X, y, _ = table
    ensemble = MLPRegressor((16,), n_estimators=3, max_iter=10, random_state=0).fit(X, y)
    mean, std = ensemble.predict(X, return_std=True)
    assert len(ensemble.networks_) == len(ensemble.histories_) == 3
    assert (std > 0).all()
    np.testing.assert_array_equal(mean, ensemble.predict(X))
    far = ensemble.predict(X * 10, return_std=True)[1]
    assert np.median(far) > np.median(std)


def test_ensemble_of_classifiers(table, classes):
    X, _, _ = table
    net = MLPClassifier((16,), n_estimators=3, max_iter=10, random_state=0).fit(X, classes)
    probability = net.predict_proba(X)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    np.testing.assert_array_equal(net.decision_function(X).argmax(1), probability.argmax(1))
    np.testing.assert_allclose(np.exp(net.predict_log_proba(X)), probability)


def test_spread_needs_an_ensemble(table):
    X, y, _ = table
    with pytest.raises(DataError, match="there is 1; fit with n_estimators"):
        MLPRegressor(**FAST).fit(X, y).predict(X, return_std=True)


def test_prediction_of_a_row_does_not_depend_on_its_neighbours(problem):
    net, X, y, _ = problem
    net.fit(X, y)
    outputs = net.predict(X) if isinstance(net, MLPRegressor) else net.predict_proba(X)
    alone = [
        net.predict(x[None]) if isinstance(net, MLPRegressor) else net.predict_proba(x[None])
        for x in X[:20]
    ]
    np.testing.assert_allclose(np.concatenate(alone), outputs[:20], rtol=1e-12)


def test_same_seed_same_bits(problem):
    net, X, y, _ = problem
    one, same = clone(net).fit(X, y), clone(net).fit(X, y)
    assert one.history_ == same.history_
    different = clone(net).set_params(random_state=1).fit(X, y)
    assert different.history_ != one.history_


@pytest.mark.parametrize("early_stopping", [True, False])
def test_the_last_bits_of_the_features_are_no_other_seed(problem, early_stopping):
    net, X, y, _ = problem
    net.set_params(early_stopping=early_stopping)
    moved = X * (1 + 1e-6 * np.random.default_rng(1).normal(size=X.shape))
    one, other = clone(net).fit(X, y), clone(net).fit(moved, y)
    np.testing.assert_array_equal(one.validation_indices_, other.validation_indices_)
    losses = [[epoch["train_loss"] for epoch in fitted.history_] for fitted in (one, other)]
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_same_seed_same_bits_whatever_n_jobs(table, backend):
    X, y, _ = table
    net = MLPRegressor((64, 64), max_iter=3, n_estimators=2, random_state=0)
    alone = cross_val_predict(net, X, y, cv=3)
    with parallel_backend(backend):
        np.testing.assert_array_equal(cross_val_predict(net, X, y, cv=3, n_jobs=2), alone)
        nested = clone(net).set_params(n_jobs=2).fit(X, y).predict(X)
    np.testing.assert_array_equal(nested, clone(net).fit(X, y).predict(X))


def test_number_of_torch_threads_changes_neither_bits_nor_itself(table):
    X, y, _ = table
    before = torch.get_num_threads()
    try:
        predictions = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            predictions.append(MLPRegressor(**FAST).fit(X, y).predict(X))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*predictions)


@pytest.mark.parametrize("missing", [None, np.nan])
def test_rows_without_a_group_are_refused(table, missing):
    X, y, groups = table
    groups = [missing if i == 7 else str(g) for i, g in enumerate(groups)]
    with pytest.raises(DataError, match=r"groups\[7\] is (None|nan)"):
        MLPRegressor(**FAST).fit(X, y, groups=np.array(groups, dtype=object))


@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1e300])
def test_targets_of_any_size_are_learnt_alike(table, scale):
    X, y, _ = table
    expected = MLPRegressor(**FAST).fit(X, y).predict(X)
    found = MLPRegressor(**FAST).fit(X, scale * y).predict(X)
    np.testing.assert_allclose(found, scale * expected, rtol=1e-2)


def test_without_a_seed_no_global_random_state_is_moved(problem):
    net, X, y, _ = problem
    before = np.random.get_state()[1:3]  # noqa: NPY002
    clone(net).set_params(random_state=None).fit(X, y)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert np.random.get_state()[2] == before[1]  # noqa: NPY002


def test_no_global_random_state_is_read_or_set(problem):
    net, X, y, _ = problem
    expected = clone(net).fit(X, y).predict(X)
    np.random.seed(123)  # noqa: NPY002
    torch.manual_seed(123)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    again = clone(net).fit(X, y).predict(X)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
    np.testing.assert_array_equal(again, expected)


def plain(value):
    """Tell whether a value is NumPy or plain Python throughout."""
    if isinstance(value, dict):
        return all(plain(k) and plain(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(map(plain, value))
    return value is None or isinstance(value, np.ndarray | np.generic | str | int | float | bool)


def test_state_is_small_and_plain(problem):
    net, X, y, _ = problem
    net.fit(X, y)
    assert plain(net.__getstate__())
    n_weights = sum(w.size for w in net.networks_[0].values())
    assert len(pickle.dumps(net)) < 4 * n_weights + 6000


def test_pickle_and_skops_predict_the_same(problem):
    net, X, y, _ = problem
    net.fit(X, y)
    data = skops.io.dumps(net)
    trusted = skops.io.get_untrusted_types(data=data)
    assert trusted == [f"{type(net).__module__}.{type(net).__name__}"]
    for copy in (pickle.loads(pickle.dumps(net)), skops.io.loads(data, trusted=trusted)):
        np.testing.assert_array_equal(copy.predict(X), net.predict(X))


def test_a_fitted_network_predicts_without_torch(table, tmp_path):
    X, y, _ = table
    net = MLPRegressor(**FAST).fit(X, y)
    (tmp_path / "net.pkl").write_bytes(pickle.dumps((net, X, net.predict(X))))
    code = f"""
        import pickle, sys
        class NoTorch:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "torch":
                    raise ImportError("torch is blocked")
        sys.meta_path.insert(0, NoTorch())
        net, X, expected = pickle.load(open({str(tmp_path / "net.pkl")!r}, "rb"))
        assert (net.predict(X) == expected).all()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_warm_start_goes_on(problem):
    net, X, y, _ = problem
    net.set_params(warm_start=True, max_iter=10).fit(X, y)
    first = net.history_
    net.fit(X, y)
    assert net.history_[0]["train_loss"] < first[0]["train_loss"]
    assert net.history_[0]["valid_loss"] < first[0]["valid_loss"]


@pytest.mark.parametrize(
    "change", [{"hidden_layer_sizes": (8,)}, {"batch_norm": False}, {"n_estimators": 2}]
)
def test_warm_start_needs_the_same_architecture(table, change):
    X, y, _ = table
    net = MLPRegressor(**FAST, warm_start=True).fit(X, y)
    with pytest.raises(DataError, match="warm_start=True goes on with 1 network"):
        net.set_params(**change).fit(X, y)


def test_warm_start_needs_the_same_classes(table, classes):
    X, _, _ = table
    net = MLPClassifier(**FAST, warm_start=True).fit(X, classes)
    with pytest.raises(DataError, match="goes on with the classes"):
        net.fit(X, np.where(classes == "hot", "warm", classes))


@pytest.mark.parametrize("net", BOTH)
def test_unfitted(net):
    with pytest.raises(NotFittedError):
        clone(net).predict(np.zeros((2, 10)))


def test_importing_the_networks_imports_no_torch():
    code = "import sys, esmlearn.neural_network; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_grid_search(table):
    X, y, _ = table
    search = GridSearchCV(MLPRegressor(**FAST), {"dropout": [0.0, 0.5]}, cv=3, n_jobs=2).fit(X, y)
    assert search.best_estimator_.predict(X).shape == (300,)


def test_read_only_memory_is_copied_not_warned_about(table):
    X, y, _ = table
    X, y = X.astype(np.float32), y.copy()
    X.setflags(write=False)
    y.setflags(write=False)
    (net,) = Parallel(n_jobs=1)([delayed(MLPRegressor(**FAST).fit)(X, y)])
    assert net.predict(X).shape == (300,)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_missing_class_is_named(missing):
    X = np.random.default_rng(0).normal(size=(20, 3))
    y = np.array(["a", "b"] * 10, dtype=object)
    gap = y.copy()
    gap[7] = missing
    for name, arguments in (("y", {"y": gap}), ("y_val", {"y": y, "X_val": X, "y_val": gap})):
        with pytest.raises(DataError, match=rf"^{name}\[7\] is .*Remove rows without a class"):
            MLPClassifier((4,), max_iter=2).fit(X, **arguments)


def test_a_validation_part_of_other_classes_is_refused_in_plain_words():
    X = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(DataError, match=r"none of the classes of y, \[0, 1\]"):
        MLPClassifier().fit(X, np.arange(20) % 2, X_val=X, y_val=np.full(20, 7))
