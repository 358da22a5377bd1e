from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from esmlearn.metrics import balanced_mean_absolute_error
from esmlearn.over_sampling import TargetRegions
from esmlearn.study._candidates import Candidate
from esmlearn.study._conclusion import _balanced_error, _macro_f1, _simplest
from esmlearn.study._metrics import metrics_of


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_macro_f1_of_weighted_rows_is_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    classes = ["Cytoplasm", "Membrane", "Nucleus", "Plastid"]
    y, prediction = rng.choice(classes, (2, 30))
    weights = rng.integers(0, 3, (2, 30)).astype(float)
    weights[:, 0] = 1
    found = _macro_f1(SimpleNamespace(y=y, classes=classes), prediction)(weights)
    for value, row in zip(found, weights, strict=True):
        present = np.unique(y[row > 0]).tolist()
        expected = f1_score(y, prediction, labels=present, average="macro", sample_weight=row)
        assert value == pytest.approx(expected)


def test_balanced_error_of_equal_weights_is_the_metric():
    rng = np.random.default_rng(0)
    y = rng.gamma(3, 10, 50)
    prediction = y + rng.normal(0, 5, 50)
    regions = TargetRegions(method="edges", edges=[20.0, 60.0]).fit(y)
    found = _balanced_error(SimpleNamespace(y=y, regions=regions), prediction)(np.ones((1, 50)))
    expected = balanced_mean_absolute_error(y, prediction, regions=regions)
    assert found[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ridge", "kept"),
    [
        ([10.1, 14.1, 19.9], "ridge"),  # as good as the best in hard and in easy folds
        ([11.1, 15.1, 21.1], "forest"),  # within the spread of folds, and worse in each of them
        ([8.0, 14.0, 32.0], "forest"),  # its own spread is not its merit
    ],
)
def test_the_simplest_is_kept_only_where_the_folds_do_not_tell_it_from_the_best(ridge, kept):
    metric = metrics_of("regression")[0]
    errors = {"dummy": [9.0, 14.0, 20.0], "ridge": ridge, "forest": [10.0, 14.0, 20.0]}
    results = pd.DataFrame(
        [
            {"fold": fold, "candidate": name, metric.column: value}
            for name, values in errors.items()
            for fold, value in enumerate(values)
        ]
    )
    candidates = [Candidate(name) for name in errors]
    assert _simplest(candidates, candidates[2], results, metric).name == kept
