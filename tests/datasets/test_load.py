from importlib import metadata

import numpy as np
import pandas as pd
import pytest

from esmlearn.datasets import load_optimum_temperature, load_subcellular_location
from esmlearn.exceptions import EngineNotFoundError


def test_optimum_temperatures_are_merged_by_median():
    raw = load_optimum_temperature(merge_duplicates=False).frame
    bunch = load_optimum_temperature()
    assert (len(raw), len(bunch.data)) == (2917, 2898)
    assert len(set(bunch.data)) == 2898
    assert len(set(bunch.ids)) == 2898
    median = raw.groupby("sequence")["target"].median()
    assert np.array_equal(median[bunch.data].to_numpy(), bunch.target)


def test_locations_leave_out_conflicts():
    raw = load_subcellular_location(merge_duplicates=False).frame
    bunch = load_subcellular_location()
    assert (len(raw), len(bunch.data)) == (19074, 18955)
    assert bunch.frame["target"].value_counts().iloc[[0, -1]].tolist() == [4709, 135]
    crossing = raw.groupby("sequence")["split"].nunique() > 1
    assert crossing.sum() == 25
    assert set(raw["split"]) == {"train", "valid", "test"}


@pytest.mark.parametrize("load", [load_optimum_temperature, load_subcellular_location])
def test_the_scikit_learn_conventions(load):
    data, target = load(return_X_y=True)
    assert data.shape == target.shape
    frame = load(as_frame=True)
    assert isinstance(frame.data, pd.Series)
    assert isinstance(frame.target, pd.Series)
    assert len(frame.sha256) == 64


def test_a_missing_package_names_the_extra(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(EngineNotFoundError, match=r"tomer==1\.0.*esmlearn\[demo\]"):
        load_optimum_temperature()


def test_a_package_without_its_data_names_the_version(monkeypatch):
    class Empty:
        files = None
        version = "2026.2.0"

    monkeypatch.setattr(metadata, "distribution", lambda name: Empty())
    with pytest.raises(EngineNotFoundError, match=r"p-scldata 2026\.2\.0 holds no file"):
        load_subcellular_location()
