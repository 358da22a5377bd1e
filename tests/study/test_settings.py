from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from esmlearn.model_selection import CDHitShuffleSplit
from esmlearn.neural_network import MLPRegressor
from esmlearn.study._candidates import Candidate, PipelineFactory
from esmlearn.study._settings import key_of_result, settings_of_study

TRAIN, TEST = np.arange(4), np.arange(4, 6)
FACTORY = PipelineFactory(
    embedder=None,
    models={"ridge": Ridge(), "network": MLPRegressor()},
    regions=None,
    target="continuous",
    validation=CDHitShuffleSplit(1, test_size=0.1),
    inner=CDHitShuffleSplit(3),
    grid={"resample__level": [100]},
)


def key(data, candidate, factory=FACTORY, *, fingerprint="a", rows=(TRAIN, TEST)):
    settings = settings_of_study(data, factory, fingerprint=fingerprint)
    return key_of_result(settings, candidate, factory, *rows)


def test_whatever_decides_a_result_is_in_its_key(fitted):
    data, ridge = fitted.data_, Candidate("ridge")
    same = key(data, ridge)
    assert same == key(data, ridge)
    others = [
        key(data, Candidate("ridge", "smote", 100)),
        key(data, ridge, replace(FACTORY, models={"ridge": Ridge(2.0)})),
        key(data, ridge, replace(FACTORY, random_state=1)),
        key(data, ridge, fingerprint="b"),
        key(data, ridge, rows=(TEST, TRAIN)),
        key(replace(data, y=data.y + 1), ridge),
    ]
    assert len({same, *others}) == 1 + len(others)


@pytest.mark.parametrize(
    ("candidate", "change", "decides"),
    [
        (Candidate("ridge"), {"validation": CDHitShuffleSplit(1, test_size=0.2)}, False),
        (Candidate("network"), {"validation": CDHitShuffleSplit(1, test_size=0.2)}, True),
        (Candidate("ridge"), {"grid": {"resample__level": [200]}}, False),
        (Candidate("ridge", "tuned"), {"grid": {"resample__level": [200]}}, True),
        (Candidate("ridge", "tuned"), {"inner": CDHitShuffleSplit(2)}, True),
        (Candidate("ridge"), {"models": {"ridge": Ridge(), "other": Ridge(3.0)}}, False),
    ],
)
def test_what_does_not_decide_a_result_is_not_in_its_key(fitted, candidate, change, decides):
    changed = key(fitted.data_, candidate, replace(FACTORY, **change))
    assert (changed != key(fitted.data_, candidate)) is decides
