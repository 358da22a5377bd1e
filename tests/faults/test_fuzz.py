"""Damaged files cost one of our own errors, never a wrong vector; benchmarks/fuzz.py does more."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks._fuzz_targets import TARGETS, damaged
from esmlearn.exceptions import EsmlearnError


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_raise_our_own_errors_alone(name, tmp_path):
    if name == "fasta.zst":
        pytest.importorskip("zstandard")
    target = TARGETS[name]
    taken = []

    @settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(st.just([target.seed()]), damaged(target)))
    def feed(files):
        for data in files:
            try:
                target.run(data, tmp_path)
            except EsmlearnError:
                continue
            taken.append(data)

    feed()
    assert target.seed() in taken
