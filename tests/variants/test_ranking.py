from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, norm
from sklearn.dummy import DummyClassifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from esmlearn.conformal import HomologyConformalRegressor
from esmlearn.exceptions import DataError
from esmlearn.utils._sequences import STANDARD_RESIDUES
from esmlearn.variants import (
    MutationOneHotEncoder,
    apply_mutations,
    check_variants,
    propose_variants,
    rank_variants,
)
from esmlearn.variants._ranking import _count_combinations, _draw_combination

WILD_TYPE = "MKTAYIAKQR"


class Known:
    """A model whose predictions are given."""

    def __init__(self, values):
        self.values = np.asarray(values, dtype=float)

    def predict(self, X):
        return self.values[: len(X)]


def test_all_single_mutants_are_proposed_once():
    found = propose_variants(WILD_TYPE)
    assert len(found) == len(set(found)) == 19 * len(WILD_TYPE)
    assert set(apply_mutations(WILD_TYPE, found)) == {
        WILD_TYPE[:i] + residue + WILD_TYPE[i + 1 :]
        for i in range(len(WILD_TYPE))
        for residue in STANDARD_RESIDUES
        if residue != WILD_TYPE[i]
    }


def test_positions_count_with_the_offset():
    assert propose_variants("MK", offset=10)[0] == "M11A"


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_combinations_are_those_of_distinct_positions(seed, n):
    rng = np.random.default_rng(seed)
    pool = rng.choice(propose_variants(WILD_TYPE), 7, replace=False).tolist()
    by_hand = {
        ":".join(sorted(chosen, key=lambda m: int(m[1:-1])))
        for chosen in combinations(pool, n)
        if len({m[1:-1] for m in chosen}) == n
    }
    if len({m[1:-1] for m in pool}) < n:
        return
    excluded = sorted(by_hand)[::2]
    found = propose_variants(WILD_TYPE, mutations=pool, n_mutations=n, exclude=excluded)
    assert len(found) == len(set(found))
    assert set(found) == by_hand - set(excluded)


def test_too_many_combinations_are_drawn_at_random():
    options = {"n_mutations": 3, "max_variants": 500}
    excluded = propose_variants(WILD_TYPE, **options)[:100]
    found = propose_variants(WILD_TYPE, exclude=excluded, **options)
    assert len(set(found)) == 500
    assert not set(found) & set(excluded)
    assert all(len(mutations) == 3 for mutations in check_variants(found, WILD_TYPE))
    assert (found == propose_variants(WILD_TYPE, exclude=excluded, **options)).all()
    assert (found != propose_variants(WILD_TYPE, random_state=1, **options)).any()
    # Each position is as likely as any other.
    used = np.bincount([m.position for ms in check_variants(found, WILD_TYPE) for m in ms])[1:]
    assert used.min() > 100


@pytest.mark.parametrize(("length", "n"), [(6, 6), (4, 4), (30, 20)])
def test_as_many_as_asked_for_are_drawn(length, n):
    wild_type = "".join(np.random.default_rng(0).choice(list(STANDARD_RESIDUES), length))
    found = propose_variants(wild_type, n_mutations=n, max_variants=2000)
    assert len(set(found)) == 2000


def test_draws_are_uniform():
    mutations = ["K2R", "T3A", "T3S", "T3V", "A4G", "A4S"]
    pairs = propose_variants(WILD_TYPE, mutations=mutations, n_mutations=2)
    assert len(pairs) == 1 * 3 + 1 * 2 + 3 * 2
    groups = [["K2R"], ["T3A", "T3S", "T3V"], ["A4G", "A4S"]]
    counts, rng = _count_combinations(groups, 2), np.random.RandomState(0)
    drawn = Counter(":".join(_draw_combination(groups, counts, 2, rng)) for _ in range(11_000))
    assert set(drawn) == set(pairs)
    assert chisquare(list(drawn.values())).pvalue > 0.001


@pytest.mark.parametrize("n", [0, 2.0, 11])
def test_impossible_numbers_of_mutations_are_refused(n):
    with pytest.raises(DataError, match=f"n_mutations is {n}, and 10 positions can be mutated"):
        propose_variants(WILD_TYPE, n_mutations=n)


def test_the_largest_predictions_come_first_and_positions_are_limited():
    candidates = ["K2R", "K2E", "T3A", "K2A:T3S", "A4G", "Y5F"]
    table = rank_variants(Known([6, 5, 4, 3, 2, 1]), candidates, wild_type=WILD_TYPE)
    assert table["variant"].tolist() == candidates
    assert table["row"].tolist() == list(range(6))
    limited = rank_variants(Known([6, 5, 4, 3, 2, 1]), candidates, max_per_position=1, n_variants=3)
    assert limited["variant"].tolist() == ["K2R", "T3A", "A4G"]


def test_sequences_and_mutations_are_ranked_alike():
    candidates = propose_variants(WILD_TYPE)[:40]
    values = np.random.default_rng(0).normal(size=40)
    by_name = rank_variants(Known(values), candidates)
    sequences = apply_mutations(WILD_TYPE, candidates)
    by_sequence = rank_variants(Known(values), sequences, wild_type=WILD_TYPE)
    assert (by_name["variant"] == by_sequence["variant"]).all()


@pytest.fixture(scope="module")
def measured():
    rng = np.random.default_rng(0)
    variants = rng.choice(propose_variants(WILD_TYPE), 120, replace=False)
    effect = rng.normal(size=20)
    y = [effect[STANDARD_RESIDUES.index(v[-1])] + rng.normal(0, 0.3) for v in variants]
    return variants, np.array(y)


def test_expected_improvement_is_that_of_the_out_of_fold_errors(measured):
    variants, y = measured
    model = make_pipeline(MutationOneHotEncoder(WILD_TYPE), Ridge())
    calibrated = HomologyConformalRegressor(model, cv=KFold(5), method="base").fit(variants, y)
    candidates = propose_variants(WILD_TYPE, exclude=variants)
    table = rank_variants(calibrated, candidates, by="expected_improvement", best=1.0)
    prediction = calibrated.predict(candidates)[table["row"]]
    outcomes = prediction[:, None] + calibrated.residuals_
    expected = np.maximum(outcomes - 1.0, 0).mean(axis=1)
    np.testing.assert_allclose(table["score"], expected, rtol=0.05, atol=0.01)
    upper = rank_variants(calibrated, candidates, by="upper_bound")
    interval = calibrated.predict_interval(candidates)
    np.testing.assert_allclose(upper["score"], interval[upper["row"], 1])
    assert upper["score"].is_monotonic_decreasing


def test_expected_improvement_of_a_gaussian_process_is_the_formula():
    rng = np.random.default_rng(0)
    codes = {v: rng.normal(size=2) for v in propose_variants(WILD_TYPE)}
    names = list(codes)

    class Coded(GaussianProcessRegressor):
        def fit(self, X, y):
            return super().fit(np.array([codes[v] for v in X]), y)

        def predict(self, X, return_std=False):
            return super().predict(np.array([codes[v] for v in X]), return_std=return_std)

    process = Coded(RBF() + WhiteKernel(0.1), normalize_y=True)
    y = np.array([np.sin(2 * codes[v][0]) + 0.3 * rng.normal() for v in names])
    model = HomologyConformalRegressor(process, cv=KFold(5), method="base", difficulty="std")
    model.fit(names[:150], y[:150])
    rest = names[150:]
    table = rank_variants(model, rest, by="expected_improvement", best=0.5)
    mean, std = model.estimator_.predict(rest, return_std=True)
    gain = (mean - 0.5) / std
    formula = std * (gain * norm.cdf(gain) + norm.pdf(gain))
    found = np.empty(len(rest))
    found[table["row"]] = table["score"]
    assert np.corrcoef(found, formula)[0, 1] > 0.98


def test_uncalibrated_models_and_copies_are_refused():
    candidates = ["K2R", "T3A"]
    with pytest.raises(DataError, match="needs calibrated uncertainty, which Known does not"):
        rank_variants(Known([1, 2]), candidates, by="expected_improvement", best=1.0)
    with pytest.raises(DataError, match=r"candidates\[2\] is K2R again"):
        rank_variants(Known([1, 2, 3]), ["K2R", "T3A", "p.Lys2Arg"])
    classifier = DummyClassifier().fit([[0], [1]], ["cold", "hot"])
    with pytest.raises(DataError, match="model is the classifier DummyClassifier"):
        rank_variants(classifier, candidates)
    with pytest.raises(DataError, match="by is 'max'"):
        rank_variants(Known([1, 2]), candidates, by="max")
    with pytest.raises(DataError, match="n_variants is 0"):
        rank_variants(Known([1, 2]), candidates, n_variants=0)


def test_improvement_needs_the_best_value_so_far(measured):
    variants, y = measured
    model = make_pipeline(MutationOneHotEncoder(WILD_TYPE), Ridge())
    model = HomologyConformalRegressor(model, cv=KFold(3)).fit(variants, y)
    with pytest.raises(DataError, match="best is None"):
        rank_variants(model, ["K2R"], by="expected_improvement")
