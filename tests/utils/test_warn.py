from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_score
from sklearn.preprocessing import StandardScaler

from esmlearn.embedding import ESMEmbedder
from esmlearn.exceptions import ResamplingWarning
from esmlearn.metrics import make_region_scorer
from esmlearn.model_selection import CDHitShuffleSplit
from esmlearn.over_sampling import GaussianNoiseOverSampler, RegionOverSampler
from esmlearn.pipeline import make_pipeline
from esmlearn.utils._warn import warn

X = np.random.default_rng(0).normal(size=(40, 4))
Y = np.r_[np.linspace(20, 40, 37), 90.0, 91.0, 92.0]


def _fit(sampler):
    make_pipeline(StandardScaler(), sampler, Ridge()).fit(X, Y)


@pytest.mark.parametrize(
    "act",
    [
        lambda: RegionOverSampler(regions=[200.0], rare=[1]).fit_resample(X, Y),
        lambda: RegionOverSampler(regions=[80.0], rare=[1]).fit_resample(X, Y),
        lambda: RegionOverSampler(regions=[80.0], rare=[1], level=1).fit_resample(X, Y),
        lambda: RegionOverSampler(regions=[200.0], rare=[1]).fit(X, Y).fit_resample(X, Y),
        lambda: GaussianNoiseOverSampler(regions=[200.0], rare=[1]).fit_resample(X, Y),
        lambda: cross_val_score(
            make_pipeline(RegionOverSampler(regions=[80.0], rare=[1]), Ridge()), X, Y, cv=KFold(2)
        ),
        lambda: make_region_scorer("f1", regions=[200.0], labels=[1])(Ridge().fit(X, Y), X, Y),
        lambda: ESMEmbedder("esmlearn_mini_v3", cache=None).fit_transform(["ACGT" * 50]),
        lambda: warn("something"),
    ],
)
def test_warnings_name_the_users_line(act):
    with pytest.warns(UserWarning, match=r"\w") as caught:
        act()
    assert {warning.filename for warning in caught} == {__file__}


def test_splits_name_the_users_line(families):
    sequences, _ = families
    with pytest.warns(UserWarning, match="strata") as caught:
        next(CDHitShuffleSplit(1).split(sequences, [f"class {i}" for i in range(60)]))
    assert {warning.filename for warning in caught} == {__file__}


def test_a_pipeline_in_a_function_names_that_function():
    with pytest.warns(ResamplingWarning, match="neighbours") as caught:
        _fit(RegionOverSampler(regions=[80.0], rare=[1]))
    assert [warning.lineno for warning in caught] == [_fit.__code__.co_firstlineno + 1]


def test_a_worker_names_what_warned():
    with pytest.warns(ResamplingWarning, match="neighbours") as caught, ThreadPool(1) as pool:
        pool.apply(RegionOverSampler(regions=[80.0], rare=[1]).fit_resample, (X, Y))
    assert [Path(warning.filename).name for warning in caught] == ["fallback.py"]
