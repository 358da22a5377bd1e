import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.utils import estimator_checks

from esmlearn.exceptions import DataError
from esmlearn.variants import VariantSplitter, apply_mutations, check_variants

WILD_TYPE = "MKTAYIAKQRQISFVKSHFS"
BY_POSITION = ["position", "contiguous", "modulo"]
SINGLES = [f"{own}{i}{new}" for i, own in enumerate(WILD_TYPE, 1) for new in "CDEG" if own != new]
# As in a library of pairs: within blocks of two positions.
PAIRS = [f"{a}:{b}" for a, b in zip(SINGLES[:-4], SINGLES[4:], strict=True)]

columns = st.lists(
    st.sets(st.integers(1, 20), min_size=0, max_size=4).map(
        lambda positions: ":".join(f"{WILD_TYPE[i - 1]}{i}W" for i in sorted(positions)) or "WT"
    ),
    min_size=1,
    max_size=40,
)


def splits(splitter, X, y=None, groups=None):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* are tested in no fold")
        return list(splitter.split(X, y, groups))


def positions_of(variants, rows):
    mutations = check_variants(variants)
    return {m.position for i in rows for m in mutations[i]}


# Schemes by position -----------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", BY_POSITION)
@given(columns, st.integers(2, 4), st.integers(0, 5))
def test_no_position_is_in_both_parts_and_every_row_is_tested_once_or_named(
    scheme, variants, n_splits, seed
):
    variants = [*variants, *SINGLES[::3]]  # each part of a split has some of these
    splitter = VariantSplitter(n_splits, scheme=scheme, random_state=seed)
    pairs = splits(splitter, variants)
    for train, test in pairs:
        assert not positions_of(variants, train) & positions_of(variants, test)
        assert len(train)
        assert len(test)
        assert set(np.flatnonzero(np.array(variants) == "WT")) <= set(train)
    tested = np.concatenate([test for _, test in pairs])
    rows = np.sort(np.concatenate([tested, splitter.untested_]))
    assert rows.tolist() == list(range(len(variants)))


@given(st.randoms(use_true_random=False), st.sampled_from([*BY_POSITION, "random"]))
def test_the_order_of_the_rows_does_not_matter(random, scheme):
    variants = [*SINGLES, *PAIRS[::7], "WT"]
    shuffled = random.sample(variants, len(variants))
    splitter = VariantSplitter(3, scheme=scheme)
    for (_, test), (_, other) in zip(
        splits(splitter, variants), splits(splitter, shuffled), strict=True
    ):
        assert {variants[i] for i in test} == {shuffled[i] for i in other}


def test_single_mutants_are_all_tested_in_even_folds():
    splitter = VariantSplitter(5)
    pairs = list(splitter.split([*SINGLES, "WT"]))
    assert splitter.untested_.tolist() == [len(SINGLES)]
    sizes = [len(test) for _, test in pairs]
    assert max(sizes) - min(sizes) <= 4
    assert all(len(train) + len(test) == len(SINGLES) + 1 for train, test in pairs)


def test_positions_that_are_mutated_together_stay_together():
    blocks = [[f"{WILD_TYPE[i - 1]}{i}W" for i in (j, j + 1)] for j in range(1, 20, 2)]
    variants = [text for a, b in blocks for text in (a, b, f"{a}/{b}")]
    splitter = VariantSplitter(5)
    pairs = list(splitter.split(variants))  # without a warning
    assert not len(splitter.untested_)
    assert [len(test) for _, test in pairs] == [6] * 5


def test_positions_that_are_all_joined_are_split_with_a_warning():
    variants = [*SINGLES, *PAIRS, "WT"]
    splitter = VariantSplitter(4)
    with pytest.warns(UserWarning, match=r"\d+ of \d+ variants are tested in no fold") as caught:
        pairs = list(splitter.split(variants))
    n_tested = sum(len(test) for _, test in pairs)
    assert len(splitter.untested_) == len(variants) - n_tested
    message = str(caught[0].message)
    assert message.startswith(f"{len(splitter.untested_) - 1} of {len(variants)} ")
    assert f"{n_tested} are tested" in message
    assert caught[0].filename == __file__


def test_folds_of_single_mutants_are_those_of_proteingym():
    """Folds as the benchmark's code assigns them, to the mutated positions in their order."""
    positions = np.array([v.position for (v,) in check_variants(SINGLES)])
    mutated = sorted(set(positions) - {4, 9})
    keep = np.isin(positions, mutated)
    variants, positions = np.array(SINGLES)[keep], positions[keep]
    modulo = {position: i % 5 for i, position in enumerate(mutated)}
    k, m = divmod(len(mutated), 5)
    stretches = [fold for i in range(5) for fold in [i] * k + [i] * (i < m)]
    contiguous = dict(zip(mutated, stretches, strict=True))
    for scheme, fold_of in [("modulo", modulo), ("contiguous", contiguous)]:
        fold = np.array([fold_of[position] for position in positions])
        pairs = VariantSplitter(5, scheme=scheme).split(variants)
        for number, (train, test) in enumerate(pairs):
            assert test.tolist() == np.flatnonzero(fold == number).tolist()
            assert train.tolist() == np.flatnonzero(fold != number).tolist()


def test_seeds_give_other_folds_and_none_always_the_same():
    def tested(seed):
        return [test.tolist() for _, test in VariantSplitter(random_state=seed).split(SINGLES)]

    assert tested(None) == tested(None) == tested(0)
    assert tested(1) != tested(0)


@pytest.mark.parametrize("scheme", BY_POSITION)
def test_refuses_too_few_positions_and_empty_parts(scheme):
    with pytest.raises(DataError, match="there are 2 mutated positions; expected at least n_sp"):
        VariantSplitter(3, scheme=scheme).split(["K2R", "T3A", "K2R:T3A", "WT"])
    with pytest.raises(DataError, match="there are 0 mutated positions"):
        VariantSplitter(2, scheme=scheme).split(["WT", "WT"])
    with pytest.raises(DataError, match=r"fold 0 of 2 has an empty (test|training) part: no"):
        VariantSplitter(2, scheme=scheme).split(["K2R:T3A:A4G", "K2E:T3C:A4D"])


# Other schemes -----------------------------------------------------------------------------------


def test_random_folds_keep_copies_together():
    variants = [*SINGLES, *[v.lower() for v in SINGLES[:30]], "WT"]
    splitter = VariantSplitter(5, scheme="random", random_state=3)
    pairs = list(splitter.split(variants))
    for train, test in pairs:
        assert not {variants[i].upper() for i in train} & {variants[i].upper() for i in test}
    tested = np.sort(np.concatenate([test for _, test in pairs]))
    assert tested.tolist() == list(range(len(variants)))
    assert not len(splitter.untested_)
    with pytest.raises(DataError, match="there are 1 distinct variants"):
        VariantSplitter(2, scheme="random").split(["K2R", "K2R"])


def test_from_few_mutations_to_many():
    variants = ["WT", "K2R", "K2R/T3A", "K2R/T3A/A4G", "K2R/T3A/A4G/Y5F"]
    splitter = VariantSplitter(scheme="n_mutations")
    assert [[part.tolist() for part in pair] for pair in splitter.split(variants)] == [
        [[0, 1, 2], [3, 4]]
    ]
    splitter.set_params(max_train_mutations=1, min_test_mutations=4)
    assert [[part.tolist() for part in pair] for pair in splitter.split(variants)] == [
        [[0, 1], [4]]
    ]
    assert splitter.summary()["n_purged"].tolist() == [2]
    assert splitter.untested_.tolist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match="min_test_mutations is 1 and max_train_mutations is 1"):
        splitter.set_params(min_test_mutations=1).split(variants)
    with pytest.raises(DataError, match="5 variants have at most 8 mutations and 0 have 9 or more"):
        VariantSplitter(scheme="n_mutations", max_train_mutations=8).split(variants)


def test_from_low_values_to_high():
    y = np.array([3.0, 1.0, 2.0, 5.0])
    variants = SINGLES[:4]
    splitter = VariantSplitter(scheme="low-vs-high")
    [(train, test)] = splitter.split(variants, y)
    assert (train.tolist(), test.tolist()) == ([1, 2], [0, 3])
    for value in y[y < 5]:  # up to the wild type's value, as FLIP does
        [(train, _)] = splitter.set_params(quantile=np.mean(y <= value)).split(variants, y)
        assert train.tolist() == np.flatnonzero(y <= value).tolist()
    with pytest.raises(DataError, match="y is None; expected the target"):
        splitter.split(variants)
    with pytest.raises(DataError, match=r"y\[1\] is NaN"):
        splitter.split(variants, [1, np.nan, 2, 3])
    with pytest.raises(DataError, match="y has 3 values; expected 4"):
        splitter.split(variants, [1, 2, 3])
    with pytest.raises(DataError, match="no variant has a target above the quantile"):
        splitter.split(variants, [1, 1, 1, 1])


def test_number_of_splits():
    assert VariantSplitter(3).get_n_splits() == 3
    for scheme in ("n_mutations", "low-vs-high"):
        assert VariantSplitter(3, scheme=scheme).get_n_splits(SINGLES) == 1


# Input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wild_type", [WILD_TYPE, None])
@pytest.mark.parametrize("scheme", [*BY_POSITION, "random"])
def test_sequences_and_mutations_give_the_same_folds(scheme, wild_type):
    variants = [*SINGLES, *PAIRS[::7], "WT"]
    sequences = apply_mutations(WILD_TYPE, variants)
    splitter = VariantSplitter(4, scheme=scheme, wild_type=wild_type)
    of_mutations, of_sequences = splits(splitter, variants), splits(splitter, sequences)
    for (train, test), (other_train, other_test) in zip(of_mutations, of_sequences, strict=True):
        assert train.tolist() == other_train.tolist()
        assert test.tolist() == other_test.tolist()


def test_checks_variants_against_the_wild_type():
    with pytest.raises(DataError, match=r"X\[0\] = 'K1R': .* All variants fit with offset=-1"):
        VariantSplitter(wild_type=WILD_TYPE).split(["K1R", "T2A"])
    assert splits(VariantSplitter(2, wild_type=WILD_TYPE, offset=-1), ["K1R", "T2A"])


@pytest.mark.parametrize("container", [pd.DataFrame, pl.DataFrame, pa.table])
def test_takes_tables(container):
    table = {
        "mutant": SINGLES,
        "mutated_sequence": apply_mutations(WILD_TYPE, SINGLES).tolist(),
        "DMS_score": np.arange(len(SINGLES)) / 10,
    }
    expected = splits(VariantSplitter(), SINGLES)
    for column in (None, "mutant", "mutated_sequence"):
        found = splits(VariantSplitter(variant_column=column), container(table))
        for (_, test), (_, other) in zip(expected, found, strict=True):
            assert test.tolist() == other.tolist()
    with pytest.raises(DataError, match=r"X has no column 'variant'.*'mutant'"):
        VariantSplitter(variant_column="variant").split(container(table))
    del table["mutated_sequence"]
    with pytest.raises(
        DataError, match=r"X is a table with 0 columns of protein .* variant_column"
    ):
        VariantSplitter().split(container(table))


def test_takes_variants_as_groups():
    X = np.zeros((len(SINGLES), 3))
    expected = splits(VariantSplitter(), SINGLES)
    for (_, test), (_, other) in zip(
        expected, splits(VariantSplitter(), X, groups=SINGLES), strict=True
    ):
        assert test.tolist() == other.tolist()
    with pytest.raises(DataError, match=r"X has the shape \(\d+, 3\) and groups is None"):
        VariantSplitter().split(X)
    with pytest.raises(DataError, match=r"groups has 2 variants; expected \d+"):
        VariantSplitter().split(X, groups=SINGLES[:2])
    with pytest.raises(DataError, match="X has no column 'mutant'"):
        VariantSplitter(variant_column="mutant").split(SINGLES)


# scikit-learn ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "check",
    [
        "check_do_not_raise_errors_in_init_or_set_params",
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_get_params_invariance",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_set_params",
    ],
)
def test_is_an_estimator(check):
    getattr(estimator_checks, check)("VariantSplitter", VariantSplitter())


def test_survives_clone_and_pickle():
    splitter = VariantSplitter(3, scheme="modulo", random_state=2)
    for copy in (clone(splitter), pickle.loads(pickle.dumps(splitter))):
        assert copy.get_params() == splitter.get_params()
    assert repr(splitter) == "VariantSplitter(n_splits=3, random_state=2, scheme='modulo')"


@pytest.mark.parametrize("parameter", [{"n_splits": 1}, {"scheme": "x"}, {"quantile": 1.0}])
def test_refuses_parameters(parameter):
    with pytest.raises(ValueError, match=f"The '{next(iter(parameter))}' parameter of VariantSpl"):
        VariantSplitter(**parameter).split(SINGLES)


def test_summary():
    splitter = VariantSplitter(5)
    with pytest.raises(DataError, match="has not split anything yet"):
        splitter.summary()
    pairs = splits(splitter, [*SINGLES, *PAIRS])
    table = splitter.summary()
    assert table["fold"].tolist() == [0, 1, 2, 3, 4]
    assert table["n_train"].tolist() == [len(train) for train, _ in pairs]
    assert (table[["n_train", "n_test", "n_purged"]].sum(axis=1) == len(SINGLES + PAIRS)).all()
    assert table["mutations_test"].between(1, 2).all()


@pytest.mark.parametrize("scheme", [*BY_POSITION, "random", "n_mutations", "low-vs-high"])
@pytest.mark.filterwarnings("ignore:.* are tested in no fold")
def test_works_in_cross_validation_of_a_table_of_numbers(scheme):
    variants = [*SINGLES, *PAIRS]
    X, y = np.random.default_rng(0).normal(size=(2, len(variants), 1))
    splitter = VariantSplitter(4, scheme=scheme, max_train_mutations=1)
    scores = cross_validate(Ridge(), X, y.ravel(), cv=splitter, groups=variants)["test_score"]
    assert len(scores) == splitter.get_n_splits()
    with config_context(enable_metadata_routing=True):
        routed = cross_validate(
            Ridge(), X, y.ravel(), cv=splitter, params={"groups": np.array(variants)}
        )
    assert routed["test_score"].tolist() == scores.tolist()


def test_works_in_a_grid_search():
    X, y = np.random.default_rng(0).normal(size=(2, len(SINGLES), 1))
    search = GridSearchCV(Ridge(), {"alpha": [1, 10]}, cv=VariantSplitter(4))
    assert search.fit(X, y.ravel(), groups=SINGLES).n_splits_ == 4
