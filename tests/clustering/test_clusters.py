import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

from esmlearn.clustering import (
    CDHitClusterer,
    available_engines,
    cluster_sequences,
    deduplicate,
    search,
)
from esmlearn.clustering._engines.cdhit import word_length
from esmlearn.exceptions import DataError, EngineNotFoundError
from tests._proteins import make_families, mutate, random_protein

PROGRAMS = {"components": "exact", "exact": "exact", "cdhit": "cd-hit"}
PROGRAMS |= {"mmseqs": "mmseqs", "linclust": "mmseqs"}
SEQUENCES, FAMILIES = make_families(8, 3, length=100, identity=0.95, seed=4)


def skip_without(method):
    if available_engines()[PROGRAMS[method]] is None:
        pytest.skip(f"{PROGRAMS[method]} is not installed")
    return method


@pytest.fixture(params=["components", "cdhit", "mmseqs", "linclust"])
def method(request):
    return skip_without(request.param)


def test_clusters_are_the_families(method):
    labels = cluster_sequences(SEQUENCES, identity=0.6, method=method)
    assert adjusted_rand_score(FAMILIES, labels) == 1
    assert labels[0] == 0
    first = np.unique(labels, return_index=True)[1]
    assert (np.diff(first) > 0).all()


@pytest.mark.parametrize(
    "method", ["components", "cdhit", "linclust", pytest.param("mmseqs", marks=pytest.mark.slow)]
)
def test_row_order_does_not_matter(method):
    skip_without(method)
    sequences, _ = make_families(6, 4, length=80, identity=0.75, seed=9)
    labels = cluster_sequences(sequences, identity=0.5, method=method)
    order = np.random.default_rng(0).permutation(len(sequences))
    shuffled = cluster_sequences([sequences[i] for i in order], identity=0.5, method=method)
    assert adjusted_rand_score(labels[order], shuffled) == 1


def test_any_protein_is_clustered(method):
    long = random_protein(2000, np.random.default_rng(1))
    sequences = ["M", "MK", "MKVLA", "X" * 40, "ACGT" * 15, long, long, long[:-10].lower(), "M-K*"]
    labels = cluster_sequences(sequences, identity=0.9, coverage=0.9, method=method)
    assert labels.shape == (len(sequences),)
    assert labels[5] == labels[6] == labels[7]
    assert labels[1] == labels[8]
    assert len({labels[0], labels[3], labels[4], labels[5]}) == 4


def test_one_sequence(method):
    assert cluster_sequences(["MKV"], identity=0.5, method=method).tolist() == [0]


@pytest.mark.parametrize(
    ("identity", "length"), [(1, 5), (0.7, 5), (0.65, 4), (0.6, 4), (0.5, 3), (0.4, 2)]
)
def test_word_length_follows_the_threshold(identity, length):
    assert word_length(identity) == length


def test_cdhit_below_its_reach_says_what_to_use():
    with pytest.raises(
        DataError, match=r"0.4 or more; got 0.3. Below that use method='components'"
    ):
        cluster_sequences(SEQUENCES, identity=0.3, method="cdhit")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"method": "kmeans"}, "method is 'kmeans'; expected one of 'components'"),
        ({"coverage_mode": "all"}, "coverage_mode is 'all'"),
        ({"identity": 40}, r"Did you mean 0.4\?"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(DataError, match=message):
        cluster_sequences(SEQUENCES, **parameters)


def test_clusterer():
    clusterer = CDHitClusterer(0.5, coverage=0.6)
    labels = clone(clusterer).fit_predict(pd.Series(SEQUENCES))
    assert adjusted_rand_score(FAMILIES, labels) == 1
    copy = pickle.loads(pickle.dumps(clusterer.fit(np.array(SEQUENCES))))
    np.testing.assert_array_equal(copy.labels_, labels)
    assert copy.n_clusters_ == 8
    tags = clusterer.__sklearn_tags__()
    assert tags.input_tags.string
    assert not tags.input_tags.two_d_array
    with pytest.raises(ValueError, match="'identity' parameter of CDHitClusterer"):
        CDHitClusterer(30).fit(SEQUENCES)


@pytest.fixture(params=["exact", "cdhit", "mmseqs"])
def engine(request):
    return skip_without(request.param)


def redundant_proteins():
    rng = np.random.default_rng(3)
    sequences = []
    for _ in range(5):
        protein = random_protein(150, rng)
        sequences += [protein[:145], protein, mutate(protein, 0.99, rng), protein[:145].lower()]
    return sequences


def test_deduplicate_keeps_the_longest(engine):
    sequences = redundant_proteins()
    result = deduplicate(sequences, engine=engine)
    assert len(result.indices) == 5
    lengths = np.array([len(s) for s in sequences])
    assert (lengths[result.indices] == 150).all()
    assert (lengths[result.representative] >= lengths).all()
    np.testing.assert_array_equal(result.representative[result.indices], result.indices)
    assert result.representative[0::4].tolist() == result.representative[3::4].tolist()
    assert result.description["engine"] == engine
    assert result.summary().loc["removed", "value"] == 15


@pytest.mark.parametrize(
    "engine", ["exact", "cdhit", pytest.param("mmseqs", marks=pytest.mark.slow)]
)
def test_deduplicate_does_not_depend_on_the_order(engine):
    skip_without(engine)
    sequences = redundant_proteins()
    order = np.random.default_rng(0).permutation(len(sequences))
    result = deduplicate(sequences, engine=engine)
    shuffled = deduplicate([sequences[i] for i in order], engine=engine)
    kept = {sequences[i].upper() for i in result.indices}
    assert {sequences[order[i]].upper() for i in shuffled.indices} == kept


def test_removed_rows_match_their_representative():
    sequences, _ = make_families(10, 6, length=90, identity=0.97, seed=8)
    result = deduplicate(sequences, identity=0.95, coverage=0.9)
    for row, kept in enumerate(result.representative):
        hits = search([sequences[row]], [sequences[kept]], engine="exact")
        assert hits.identity[0] >= 0.95
        assert hits.coverage_query[0] >= 0.9
    joined = search([sequences[i] for i in result.indices], [sequences[i] for i in result.indices])
    close = (joined.identity >= 0.95) & (joined.query != joined.target)
    assert not (close & (joined.coverage_query >= 0.9)).any()


@given(st.lists(st.sampled_from(["MKV", "mkv", "AAA", "C-CC", "CCC", "W"]), min_size=1))
@settings(max_examples=40, deadline=None)
def test_copies_are_removed(sequences):
    result = deduplicate(sequences)
    canonical = [s.upper().replace("-", "") for s in sequences]
    assert [canonical[i] for i in result.indices] == list(dict.fromkeys(canonical))
    assert [canonical[i] for i in result.representative] == canonical


@pytest.mark.parametrize(
    ("merge", "y", "merged", "n_conflicts"),
    [
        ("auto", [1.0, 2.0, 6.0, 5.0], [2.0, 5.0], 1),
        ("mean", [1.0, 2.0, 6.0, 5.0], [3.0, 5.0], 1),
        ("representative", [1.0, 2.0, 6.0, 5.0], [1.0, 5.0], 1),
        ("auto", ["a", "b", "b", "a"], ["b", "a"], 1),
        ("auto", ["c", "b", "a", "a"], ["c", "a"], 1),
        ("auto", [1, 1, 1, 0], [1, 0], 0),
        ("median", [1, 2, 4, 0], [2.0, 0.0], 1),
        ("majority", [True, False, False, True], [False, True], 1),
    ],
)
def test_targets_merge(merge, y, merged, n_conflicts):
    result = deduplicate(["MKV", "mkv", "M-KV", "AAA"], y, merge=merge)
    assert result.y.tolist() == merged
    assert len(result.conflicts) == n_conflicts
    if n_conflicts:
        (conflict,) = result.conflicts.itertuples()
        assert conflict.rows == [0, 1, 2]
        assert conflict.targets == y[:3]
    assert result.summary().loc["conflicting targets", "value"] == n_conflicts


def test_whole_measurements_merge_by_their_median():
    rng = np.random.default_rng(0)
    proteins = ["MKV", "MKV", *(random_protein(30, rng) for _ in range(24))]
    result = deduplicate(proteins, [30, 71, *range(24)])
    assert result.description["merge"] == "median"
    assert result.y[0] == 50.5
    (conflict,) = result.conflicts.itertuples()
    assert (conflict.targets, conflict.spread, conflict.tied) == ([30, 71], 41.0, False)


@pytest.mark.parametrize(
    ("y", "merged", "tied"),
    [
        (["b", "a"], "b", True),
        (["b", "a", "a"], "a", False),
        (["c", "a", "b", "a", "b"], "a", True),
    ],
)
def test_a_tied_majority_is_named(y, merged, tied):
    result = deduplicate(["MKV"] * len(y), list(y))
    assert result.y.tolist() == [merged]
    assert result.conflicts["tied"].tolist() == [tied]


@pytest.mark.parametrize(
    ("y", "merge", "message"),
    [
        ([1.0], "auto", r"y has shape \(1,\); expected \(2,\)"),
        ([1.0, np.nan], "auto", r"y\[1\] is missing"),
        (["a", None], "auto", r"y\[1\] is missing"),
        (["a", "b"], "median", "needs numeric targets"),
        ([1.0, 2.0], "sum", "merge is 'sum'"),
    ],
)
def test_bad_targets(y, merge, message):
    with pytest.raises(DataError, match=message):
        deduplicate(["MKV", "AAA"], y, merge=merge)


def test_cdhit_does_not_serve_low_thresholds():
    with pytest.raises((DataError, EngineNotFoundError), match="CD-HIT clusters at an identity"):
        deduplicate(["MKV", "AAA"], identity=0.3, engine="cdhit")


def test_numbers_of_type_object_merge_as_numbers():
    y = np.random.default_rng(0).normal(size=len(SEQUENCES))
    plain, objects = deduplicate(SEQUENCES, y), deduplicate(SEQUENCES, y.astype(object))
    assert objects.description["merge"] == plain.description["merge"] == "median"
    np.testing.assert_array_equal(objects.y, plain.y)


def test_what_was_kept_is_shown_on_a_line():
    assert repr(deduplicate(["MKVLATGG", "mkvlatgg", "WWHHPPGG"])) == (
        "<Deduplication: 2 of 3 sequences kept>"
    )
