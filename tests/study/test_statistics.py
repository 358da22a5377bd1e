import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from esmlearn.exceptions import DataError
from esmlearn.study import bootstrap_components, corrected_ttest, holm
from esmlearn.study._statistics import compare

values = st.lists(st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=2, max_size=10)


@given(values)
def test_without_overlap_it_is_the_plain_paired_test(differences):
    result = corrected_ttest(differences, test_share=0.0)
    if np.ptp(differences) > 0:
        plain = stats.ttest_1samp(differences, 0.0)
        assert result["p"] == pytest.approx(plain.pvalue, abs=1e-12)
        interval = plain.confidence_interval()
        assert (result["low"], result["high"]) == pytest.approx((interval.low, interval.high))


@given(values, st.floats(0.01, 1))
def test_overlap_makes_the_test_more_careful(differences, share):
    plain = corrected_ttest(differences, test_share=0.0)
    corrected = corrected_ttest(differences, test_share=share)
    assert corrected["p"] >= plain["p"] - 1e-12
    assert corrected["high"] - corrected["low"] >= plain["high"] - plain["low"] - 1e-12


def test_formula_of_nadeau_and_bengio():
    d = np.array([0.2, 0.1, 0.3, 0.25, 0.15])
    t = d.mean() / np.sqrt((1 / 5 + 1 / 4) * d.var(ddof=1))
    assert corrected_ttest(d, test_share=1 / 4)["p"] == pytest.approx(2 * stats.t.sf(t, 4))


def test_equal_folds_need_no_variance():
    assert corrected_ttest([0.0, 0.0], test_share=0.25)["p"] == 1.0
    assert corrected_ttest([0.1, 0.1], test_share=0.25)["p"] == 0.0
    with pytest.raises(DataError, match=r"1 value\(s\); expected one for each of two"):
        corrected_ttest([0.1], test_share=0.25)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_nothing_and_bonferroni(p):
    adjusted = holm(p)
    assert (adjusted >= np.array(p) - 1e-15).all()
    assert (adjusted <= np.minimum(np.array(p) * len(p), 1) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_drawing_families_gives_wider_intervals_than_drawing_proteins():
    rng = np.random.default_rng(0)
    family = np.repeat(np.arange(20), 10)
    x = rng.normal(size=20)[family]
    mean = lambda w: w @ x / w.sum(axis=1)  # noqa: E731
    low, high = bootstrap_components(mean, family)
    narrow_low, narrow_high = bootstrap_components(mean, np.arange(200))
    assert high - low > 2 * (narrow_high - narrow_low)
    assert (low, high) == bootstrap_components(mean, family)


def test_comparison_pairs_folds_and_knows_the_good_direction():
    rows = [
        {"candidate": name, "fold": fold, "n_train": 80, "n_test": 20, "mae": 10 + fold - gain}
        for name, gain in (("base", 0), ("better", 2), ("worse", -1))
        for fold in (2, 0, 1)
    ]
    results = pd.DataFrame(rows)
    base = results[results["candidate"] == "base"].sort_values("fold")
    table = compare(results, "mae", base, larger_is_better=False).set_index("candidate")
    assert table["mean"].to_dict() == {"base": 0.0, "better": -2.0, "worse": 1.0}
    assert table["better"].to_dict() == {"base": False, "better": True, "worse": False}
