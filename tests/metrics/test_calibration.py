from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esmlearn.exceptions import DataError
from esmlearn.metrics import expected_calibration_error


def test_a_calibrated_classifier_has_hardly_any_error():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, size=20_000)
    right = rng.random(20_000) < sure
    probability = np.column_stack([sure, 1 - sure])
    assert expected_calibration_error(np.where(right, 0, 1), probability) < 0.02
    assert expected_calibration_error(np.zeros(20_000), probability, labels=[0, 1]) == (
        pytest.approx(0.25, abs=0.01)
    )


@given(st.integers(2, 12), st.integers(0, 1000))
def test_error_is_that_of_the_definition(n_bins, seed):
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.ones(4), size=60)
    y = rng.choice(list("abcd"), size=60)
    confidence, right = probability.max(axis=1), np.array(list("abcd"))[probability.argmax(1)] == y
    edges = np.linspace(0, 1, n_bins + 1)
    expected = 0.0
    for low, high in pairwise(edges):
        inside = (confidence >= low) & (confidence < high)
        if inside.any():
            expected += inside.sum() * abs(confidence[inside].mean() - right[inside].mean())
    found = expected_calibration_error(y, probability, labels=list("abcd"), n_bins=n_bins)
    assert found == pytest.approx(expected / 60)


@pytest.mark.parametrize(
    ("probability", "message"),
    [
        ([[0.5, 0.5, 0.0]] * 2, r"shape \(2, 3\); expected a column for each of 2 classes"),
        ([[0.5, 0.5], [0.9, 0.3]], r"y_prob\[1\] is \[0.9, 0.3\]; expected numbers that sum to 1"),
        ([[0.5, 0.5], [1.5, -0.5]], r"y_prob\[1\]"),
        ([[0.5, 0.5], [np.nan, 0.5]], r"y_prob\[1\]"),
        ([[0.5, 0.5]], "inconsistent numbers"),
    ],
)
def test_refuses(probability, message):
    with pytest.raises((DataError, ValueError), match=message):
        expected_calibration_error(["a", "b"], probability)
