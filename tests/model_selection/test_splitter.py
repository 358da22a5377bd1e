import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from esmlearn.clustering import HomologyGraph, available_engines, count_searches, homology_graph
from esmlearn.exceptions import DataError, InsufficientComponentsError
from esmlearn.model_selection import CDHitGroupSplitter, CDHitShuffleSplit
from esmlearn.model_selection._partition.planner import FoldPlanner
from tests._proteins import make_families, random_protein
from tests.model_selection._graphs import graphs, modular_graph

# Sets drawn at random are so small that a part may be balanced by size alone, with a warning.
pytestmark = pytest.mark.filterwarnings("ignore:.* strata are too many for parts of")

PROPERTY = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def splits_or_skip(splitter, sequences, y):
    """Return the splits; data that cannot be split is another test's business."""
    try:
        return list(splitter.split(sequences, y))
    except InsufficientComponentsError:
        assume(False)


def edges_between(graph, sequences, left, right):
    node = graph.node_of(sequences)
    return graph.adjacency()[node[left]][:, node[right]].nnz


@pytest.fixture(scope="module")
def chained():
    """A giant component of 200 modules' worth, 100 singletons: rows, y, graph."""
    adjacency, module = modular_graph(200, 8, inside=0.25, across=0.001)
    rng = np.random.default_rng(0)
    sequences = [random_protein(12, rng) for _ in range(300)]
    y = np.append(module, rng.integers(0, 8, 100)).astype(str)
    i, j = adjacency.tocoo().coords
    return sequences, y, HomologyGraph.from_edges(sequences, np.column_stack([i, j]))


# --- invariants, on random graphs ----------------------------------------------------------------


@PROPERTY
@given(graphs(), st.integers(2, 4), st.sampled_from(["purge", "drop"]), st.booleans())
@pytest.mark.filterwarnings("ignore:the test rows of split")
def test_no_edge_joins_a_test_row_to_its_training_part(data, n_splits, mode, shuffle):
    sequences, y, graph = data
    splitter = CDHitGroupSplitter(
        n_splits, on_large_component=mode, reference=graph, shuffle=shuffle
    )
    pairs = splits_or_skip(splitter, sequences, y)
    tested = Counter(int(row) for _, test in pairs for row in test)
    for train, test in pairs:
        assert edges_between(graph, sequences, test, train) == 0
        assert not {sequences[i] for i in train} & {sequences[i] for i in test}
    expected = set(range(len(sequences))) - set(splitter.set_aside_.tolist())
    assert set(tested) == expected
    assert set(tested.values()) == {1}
    if mode == "purge":
        assert not len(splitter.set_aside_)


@PROPERTY
@given(graphs(), st.sampled_from([0.1, 0.3, 5]), st.integers(0, 100))
@pytest.mark.filterwarnings("ignore:the test rows of split")
def test_shuffle_splits_are_disjoint_and_leak_free(data, test_size, seed):
    sequences, y, graph = data
    splitter = CDHitShuffleSplit(2, test_size=test_size, reference=graph, random_state=seed)
    for train, test in splits_or_skip(splitter, sequences, y):
        assert len(test)
        assert not np.intersect1d(train, test).size
        assert edges_between(graph, sequences, test, train) == 0


@PROPERTY
@given(graphs(), st.sampled_from(["purge", "drop"]), st.randoms(use_true_random=False))
@pytest.mark.filterwarnings("ignore:the test rows of split")
def test_the_order_of_the_rows_does_not_matter(data, mode, random):
    sequences, y, graph = data
    splitter = CDHitGroupSplitter(3, on_large_component=mode, reference=graph, random_state=0)
    pairs = splits_or_skip(splitter, sequences, y)
    order = list(range(len(sequences)))
    random.shuffle(order)
    moved = list(splitter.split([sequences[i] for i in order], y[order]))
    for (train, test), (moved_train, moved_test) in zip(pairs, moved, strict=True):
        assert sorted(order[i] for i in moved_train) == train.tolist()
        assert sorted(order[i] for i in moved_test) == test.tolist()


@PROPERTY
@given(graphs(), st.booleans())
@pytest.mark.filterwarnings("ignore:the test rows of split")
def test_copies_of_a_sequence_stay_together(data, shuffle):
    sequences, y, graph = data
    splitter = CDHitGroupSplitter(2, reference=graph, shuffle=shuffle)
    fold_of = {}
    for fold, (_, test) in enumerate(splits_or_skip(splitter, sequences, y)):
        for row in test:
            assert fold_of.setdefault(sequences[row], fold) == fold


# --- large components ----------------------------------------------------------------------------


def test_a_large_component_is_cut_and_purged(chained):
    sequences, y, graph = chained
    splitter = CDHitGroupSplitter(5, reference=graph, random_state=0)
    pairs = list(splitter.split(sequences, y))
    assert splitter.description_["n_pieces"] >= 3
    assert splitter.description_["cut_method"] in ("metis", "numpy")
    assert sum(len(test) for _, test in pairs) == 300
    table = splitter.summary()
    assert table["n_purged"].sum() > 0
    assert (table[["n_train", "n_test", "n_purged"]].sum(axis=1) == 300).all()
    for train, test in pairs:
        assert edges_between(graph, sequences, test, train) == 0


@pytest.mark.parametrize(("stratify", "most"), [(False, 40), ("auto", 150)])
def test_drop_sets_rows_aside_and_partitions_the_rest(chained, stratify, most):
    # Each module is a class: where classes are to be even, the seam goes through the modules.
    sequences, y, graph = chained
    splitter = CDHitGroupSplitter(
        5, reference=graph, on_large_component="drop", stratify=stratify, random_state=0
    )
    pairs = list(splitter.split(sequences, y))
    aside = splitter.set_aside_
    assert 0 < len(aside) < most
    for train, test in pairs:
        assert len(train) + len(test) == 300 - len(aside)
    assert (splitter.summary()["n_purged"] == 0).all()
    assert splitter.description_["cover_method"] == "optimal"


def test_error_refuses_and_names_the_remedies(chained):
    sequences, y, graph = chained
    splitter = CDHitGroupSplitter(5, reference=graph, on_large_component="error")
    with pytest.raises(InsufficientComponentsError, match=r"200 of 300 rows.*'purge'.*'drop'"):
        splitter.split(sequences, y)


def test_one_family_is_refused_with_remedies():
    sequences, _ = make_families(1, 30, identity=0.95)
    for splitter in (CDHitGroupSplitter(5), CDHitShuffleSplit()):
        with pytest.raises(
            InsufficientComponentsError,
            match=r"1 homology component.*raise `identity`.*mutated position.*audit_leakage",
        ):
            splitter.split(sequences)


def test_a_purge_that_leaves_little_warns_and_one_that_leaves_nothing_raises():
    rng = np.random.default_rng(0)
    sequences = [random_protein(12, rng) for _ in range(42)]
    clique = np.argwhere(np.triu(np.ones((40, 40), dtype=bool), k=1))
    graph = HomologyGraph.from_edges(sequences, clique)
    with pytest.warns(UserWarning, match="nearly everywhere"):
        list(CDHitGroupSplitter(2, reference=graph).split(sequences))
    everyone = np.argwhere(np.triu(np.ones((42, 42), dtype=bool), k=1))
    with pytest.raises(InsufficientComponentsError):
        CDHitGroupSplitter(2, reference=HomologyGraph.from_edges(sequences, everyone)).split(
            sequences
        )


# --- with a real search --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def proteins():
    """75 proteins in 35 families of 1 to 5 members, a long-tailed target, family labels."""
    sequences, family = make_families(35, [1, 1, 5, 2, 1, 3, 2] * 5, seed=3)
    y = np.random.default_rng(0).lognormal(size=len(sequences))
    return sequences, y, family


def test_families_are_never_split(proteins):
    sequences, y, family = proteins
    for train, test in CDHitGroupSplitter(random_state=0).split(sequences, y):
        assert not set(family[train]) & set(family[test])
        assert len(train) + len(test) == len(sequences)


def test_case_gaps_and_containers_do_not_matter(proteins):
    sequences, y, _ = proteins
    expected = [t.tolist() for _, t in CDHitGroupSplitter().split(sequences, y)]
    written = [f"{s[:5].lower()}--{s[5:]}*" for s in sequences]
    for X in (written, np.array(sequences), pd.Series(sequences), pd.DataFrame({"s": sequences})):
        assert [t.tolist() for _, t in CDHitGroupSplitter().split(X, y)] == expected


def test_groups_are_the_sequences_where_x_is_numeric(proteins):
    sequences, y, _ = proteins
    X = np.zeros((len(sequences), 3))
    expected = [t.tolist() for _, t in CDHitGroupSplitter().split(sequences, y)]
    assert [t.tolist() for _, t in CDHitGroupSplitter().split(X, y, sequences)] == expected


def test_n_jobs_does_not_matter(proteins):
    sequences, y, _ = proteins
    pairs = [
        [t.tolist() for _, t in CDHitGroupSplitter(n_jobs=n).split(sequences, y)] for n in (1, 2)
    ]
    assert pairs[0] == pairs[1]


def test_the_default_repeats(proteins):
    sequences, y, _ = proteins
    first, again, other = (
        [test.tolist() for _, test in CDHitGroupSplitter(random_state=seed).split(sequences, y)]
        for seed in (None, None, 1)
    )
    assert first == again
    assert first != other


def test_global_random_state_is_neither_read_nor_set(proteins):
    sequences, y, _ = proteins
    expected = [test.tolist() for _, test in CDHitShuffleSplit(3).split(sequences, y)]
    np.random.seed(7)  # noqa: NPY002
    found = [test.tolist() for _, test in CDHitShuffleSplit(3).split(sequences, y)]
    drawn = np.random.random()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    assert found == expected
    assert drawn == np.random.random()  # noqa: NPY002


def _length_and_alanines(X):
    return np.array([[len(s), s.count("A")] for s in X])


@pytest.mark.parametrize("n_jobs", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_a_nested_search_searches_homology_once(proteins, n_jobs):
    sequences, y, family = proteins
    embed = FunctionTransformer(_length_and_alanines)
    search = GridSearchCV(
        make_pipeline(embed, Ridge()),
        {"ridge__alpha": [0.1, 1.0]},
        cv=CDHitGroupSplitter(3),
        n_jobs=n_jobs,
    )
    before = count_searches()
    result = cross_validate(
        search, np.array(sequences, dtype=object), y, cv=CDHitGroupSplitter(4), return_indices=True
    )
    assert count_searches() - before <= 1
    for train, test in zip(*result["indices"].values(), strict=True):
        assert not set(family[train]) & set(family[test])


def test_a_numeric_grid_search_takes_groups(proteins):
    sequences, y, _ = proteins
    X = np.random.default_rng(0).normal(size=(len(sequences), 3))
    search = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=CDHitGroupSplitter(3))
    assert search.fit(X, y, groups=sequences).n_splits_ == 3


def test_clone_pickle_and_parameters(proteins):
    sequences, y, _ = proteins
    splitter = CDHitGroupSplitter(4, identity=0.4, random_state=7)
    expected = [t.tolist() for _, t in splitter.split(sequences, y)]
    for copy in (clone(splitter), pickle.loads(pickle.dumps(splitter))):
        assert copy.get_params() == splitter.get_params()
        assert [t.tolist() for _, t in copy.split(sequences, y)] == expected
    assert splitter.set_params(n_splits=2).get_n_splits() == 2
    assert repr(CDHitGroupSplitter(3)) == "CDHitGroupSplitter(n_splits=3)"


def test_reference_gives_the_same_components(proteins):
    sequences, y, family = proteins
    part = np.arange(0, len(sequences), 2)
    splitter = CDHitGroupSplitter(3, reference=sequences)
    for train, test in splitter.split([sequences[i] for i in part], y[part]):
        assert not set(family[part][train]) & set(family[part][test])
    with pytest.raises(DataError, match=r"sequences\[1\] is not in the graph"):
        splitter.split([sequences[0], "ACDEFGHIKLMNPQRSTVWY", sequences[1]])


def test_extra_edges_join_components(proteins):
    sequences, y, family = proteins
    singles = np.flatnonzero(np.bincount(family)[family] == 1)
    pairs = [(sequences[singles[0]], sequences[i]) for i in singles[1:4]]
    pairs.append((sequences[0], "ACDEFGHIKLMNPQRSTVWY"))
    splitter = CDHitGroupSplitter(random_state=0, extra_edges=pairs)
    for _, test in splitter.split(sequences, y):
        assert len(np.intersect1d(test, singles[:4])) in (0, 4)


def test_a_smaller_purge_margin_keeps_more_training_rows(chained):
    sequences, _, graph = chained
    weak = np.arange(graph.n_edges) % 2 == 0
    margin = replace(graph, identity=np.where(weak, 0.27, 0.5))
    table = {}
    for purge_margin in (None, 0.0):
        splitter = CDHitGroupSplitter(5, reference=margin, purge_margin=purge_margin)
        pairs = list(splitter.split(sequences))
        table[purge_margin] = splitter.summary()
        purge = margin if purge_margin is None else margin.filter(identity=0.3)
        assert all(edges_between(purge, sequences, test, train) == 0 for train, test in pairs)
    assert table[0.0]["n_train"].mean() > table[None]["n_train"].mean()


def test_summary_tells_sizes_shares_and_means(proteins):
    sequences, y, _ = proteins
    splitter = CDHitGroupSplitter(3, stratify=(y > 1).astype(int))
    pairs = list(splitter.split(sequences, y))
    table = splitter.summary()
    assert table.columns.tolist() == [
        "fold", "n_train", "n_test", "n_purged", "share_0", "share_1", "target_mean",
    ]  # fmt: skip
    assert table["target_mean"].tolist() == [y[test].mean() for _, test in pairs]
    assert table["share_1"].tolist() == [(y[test] > 1).mean() for _, test in pairs]
    with pytest.raises(DataError, match="call split"):
        CDHitGroupSplitter().summary()


def test_classes_can_be_strings_and_are_spread(proteins):
    sequences, _, _ = proteins
    y = np.array(["rare" if i % 8 == 0 else "common" for i in range(len(sequences))])
    folds = CDHitGroupSplitter(3, random_state=0)
    parts = [y[test] for _, test in folds.split(sequences, y)]
    rare = [int((part == "rare").sum()) for part in parts]
    assert max(rare) - min(rare) <= 1


@pytest.mark.parametrize(
    "odd",
    [
        ["A", "W", "C", "D"],
        ["X" * 50, "X" * 60, "A" * 50, "MKVLATGGARQWEDSTHNPYFCIM"],
        ["MKV-LATG.GARQWED*", "mkvlatggarqwed", "WWHHPPGGAACCDDEEFFKKLLMM", "U" * 40],
    ],
)
def test_odd_proteins_are_dealt_like_others(odd):
    splitter = CDHitGroupSplitter(2, identity=0.3)
    pairs = list(splitter.split(odd))
    assert sorted(row for _, test in pairs for row in test) == list(range(4))


def test_all_identical_is_one_component():
    with pytest.raises(InsufficientComponentsError, match="1 homology component"):
        CDHitGroupSplitter(2).split(["MKVLATGGARQWEDSTHNPYFCIM"] * 10)


ODD = ["A", "X" * 40, "X", "MKV-LATG.GARQ", "mkvlatggarq*", "BJOUZX", "ACGT" * 10, "W" * 60]


@PROPERTY
@given(
    st.lists(st.sampled_from(ODD), max_size=12),
    st.integers(0, 1000),
    st.randoms(use_true_random=False),
)
def test_odd_proteins_never_leak_whatever_their_order(odd, seed, random):
    families, _ = make_families(4, 2, seed=seed, length=40)
    sequences = [*families, *odd]
    splitter = CDHitGroupSplitter(2, engine="exact", n_jobs=1)
    pairs = splits_or_skip(splitter, sequences, None)
    graph = homology_graph(sequences, engine="exact")
    for train, test in pairs:
        assert edges_between(graph, sequences, test, train) == 0
    assert sorted(i for _, test in pairs for i in test) == list(range(len(sequences)))
    order = list(range(len(sequences)))
    random.shuffle(order)
    moved = splitter.set_params(n_jobs=2).split([sequences[i] for i in order])
    for (_, test), (_, moved_test) in zip(pairs, moved, strict=True):
        assert sorted(order[i] for i in moved_test) == test.tolist()


def test_ids_of_any_kind_do_not_matter(proteins):
    sequences, y, _ = proteins
    expected = [t.tolist() for _, t in CDHitGroupSplitter().split(sequences, y)]
    ids = [f"sp|P{i % 7}|>a b\t\n;'{i}" for i in range(len(sequences))]
    X = pd.Series(sequences, index=ids)
    assert [t.tolist() for _, t in CDHitGroupSplitter().split(X, y)] == expected


@pytest.mark.slow
def test_a_protein_of_35000_residues():
    rng = np.random.default_rng(0)
    giant = random_protein(35_000, rng)
    sequences = [giant, giant[10_000:10_400], random_protein(300, rng), random_protein(200, rng)]
    fold_of = np.zeros(4, dtype=int)
    for fold, (_, test) in enumerate(CDHitGroupSplitter(2).split(sequences)):
        fold_of[test] = fold
    assert fold_of[0] == fold_of[1]


# --- published recipes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["cdhit", "linclust", pytest.param("mmseqs", marks=pytest.mark.slow)]
)
def test_published_clusters_are_kept_whole(method, proteins):
    program = "cd-hit" if method == "cdhit" else "mmseqs"
    if available_engines()[program] is None:
        pytest.skip(f"{program} is not installed")
    sequences, y, _ = proteins
    splitter = CDHitGroupSplitter(4, method=method, identity=0.4, random_state=0)
    pairs = list(splitter.split(sequences, y))
    assert sorted(row for _, test in pairs for row in test) == list(range(len(sequences)))
    assert splitter.description_["graph"]["method"] == method
    half = CDHitGroupSplitter(2, method=method, identity=0.4, reference=sequences)
    assert len(list(half.split(sequences[:40], y[:40]))) == 2


# --- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "groups", "message"),
    [
        (np.zeros((3, 2)), None, r"X holds no sequences .*groups is None.*shape \(3, 2\)"),
        (["MKV", None, "MKL"], None, r"X\[1\] is None of type NoneType"),
        ([None, "MKV", "MKL"], None, r"groups is None.*X\[0\] is None of type NoneType"),
        (pd.DataFrame({"a": ["1"] * 3, "b": 1}), None, "none of 'a', 'b' holds nothing but"),
        (np.zeros((3, 2)), ["MKV", "MKV"], "groups has 2 sequences; expected 3"),
        (np.zeros((2, 2)), ["MKV", "M1V"], r"groups\[1\] has the character '1'"),
        (["MKV", "MAV"], ["human", "mouse"], "they differ"),
        (["MKV", ""], None, r"X\[1\] is an empty sequence"),
    ],
)
def test_input_that_cannot_be_split(X, groups, message):
    with pytest.raises(DataError, match=message):
        CDHitGroupSplitter(2).split(X, None, groups)


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_splits": 1},
        {"identity": 30},
        {"coverage": -0.1},
        {"coverage_mode": "longer"},
        {"method": "blast"},
        {"on_large_component": "cut"},
        {"size_tolerance": 1.0},
        {"share_tolerance": -0.1},
        {"stratify": "yes"},
        {"evalue": 0},
    ],
)
def test_parameters_are_checked(parameters):
    with pytest.raises(ValueError, match=f"The {next(iter(parameters))!r} parameter"):
        CDHitGroupSplitter(**parameters).split(["MKV", "WWW"])


def test_a_seed_without_shuffle_is_refused():
    with pytest.raises(DataError, match="shuffle=False"):
        CDHitGroupSplitter(2, shuffle=False, random_state=0).split(["MKV", "WWW"])


def test_a_graph_has_no_clusters_of_another_program(proteins):
    sequences, y, _ = proteins
    graph = HomologyGraph.from_edges(sequences, np.zeros((0, 2)))
    with pytest.raises(DataError, match="method='components'"):
        CDHitGroupSplitter(method="mmseqs", reference=graph).split(sequences, y)


def test_a_test_part_of_everything_is_refused(proteins):
    sequences, y, _ = proteins
    with pytest.raises(DataError, match="expected fewer than there are"):
        CDHitShuffleSplit(test_size=len(sequences)).split(sequences, y)


def test_shuffle_splits_differ_and_have_their_size(proteins):
    sequences, y, family = proteins
    splitter = CDHitShuffleSplit(5, test_size=0.2, random_state=0)
    tests = [test for _, test in splitter.split(sequences, y)]
    assert len({tuple(test) for test in tests}) == 5
    assert all(abs(len(test) - 15) <= 1 for test in tests)
    assert splitter.get_n_splits() == len(splitter.summary()) == 5
    sizes = [np.bincount(family)[family[test]].max() for test in tests]
    assert max(sizes) > min(sizes) or max(sizes) == 5


def test_more_classes_than_a_part_can_hold_are_balanced_by_size(families):
    sequences, family = families
    splitter = CDHitShuffleSplit(1, test_size=0.1, random_state=0)
    with pytest.warns(UserWarning, match="20 strata are too many for parts of 6, 54 rows"):
        ((train, test),) = splitter.split(sequences, family)
    assert (len(train), len(test)) == (54, 6)
    assert not splitter.description_["stratified"]


def test_balance_by_size_keeps_the_purge_margin():
    nothing = csr_array((21, 21), dtype=bool)
    joined = csr_array(([True, True], ([0, 20], [20, 0])), shape=(21, 21))
    counts = np.vstack([3 * np.eye(20, dtype=np.int64), np.eye(20, dtype=np.int64)[:1]])
    planner = FoldPlanner(np.array([0.1, 0.9]), largest_first=False)
    with pytest.warns(UserWarning, match="20 strata are too many"):
        assert planner.plan(joined, counts, nothing).adjacency is nothing


@pytest.mark.parametrize("made", [{"identity": 0.9}, {"coverage_mode": "both"}, {"evalue": 1e-9}])
def test_a_graph_that_lacks_homologs_is_refused(families, made):
    sequences, _ = families
    graph = homology_graph(sequences, **made)
    with pytest.raises(DataError, match="graph of the pairs that reach"):
        CDHitGroupSplitter(3, reference=graph).split(sequences)
    kept = CDHitGroupSplitter(3, reference=graph, **made).split(sequences)
    assert sum(len(test) for _, test in kept) == len(sequences)


def test_a_graph_of_more_homologs_serves(families):
    sequences, _ = families
    graph = homology_graph(sequences, identity=0, coverage=0, coverage_mode="any")
    for mode in ("any", "shorter", "both"):
        folds = list(CDHitGroupSplitter(3, reference=graph, coverage_mode=mode).split(sequences))
        tested = np.concatenate([test for _, test in folds])
        assert sorted(tested) == list(range(len(sequences)))


@pytest.mark.parametrize("container", [pd.DataFrame, pd.Series, np.array])
def test_sequences_may_be_groups_as_well(families, container):
    sequences, _ = families
    groups = container([s.lower() for s in sequences])
    splits = list(CDHitGroupSplitter(3).split(sequences, None, groups))
    assert sum(len(test) for _, test in splits) == len(sequences)


def test_each_draw_counts_its_own_rows_set_aside():
    rng = np.random.default_rng(2)
    sequences = [random_protein(8, rng) for _ in range(200)]
    edges = np.argwhere(np.triu(rng.random((200, 200)) < 0.02, k=1))
    splitter = CDHitShuffleSplit(
        4,
        test_size=0.5,
        on_large_component="drop",
        reference=HomologyGraph.from_edges(sequences, edges),
        random_state=0,
    )
    unused = [200 - len(train) - len(test) for train, test in splitter.split(sequences)]
    assert len(set(unused)) > 1
    assert len(splitter.set_aside_) == unused[-1]
    assert (splitter.summary()["n_purged"] == 0).all()


@pytest.mark.parametrize("mode", ["purge", "drop"])
def test_the_tolerances_say_how_even_folds_are_to_be(mode):
    # Two cliques of 14 that are joined, and 35 loose proteins: even folds of 21 must cut.
    rng = np.random.default_rng(0)
    sequences = [random_protein(8, rng) for _ in range(63)]
    cliques = [(i, j) for a in (0, 14) for i in range(a, a + 14) for j in range(a, i)]
    edges = [*cliques, *((i, 14 + i) for i in range(4))]
    graph = HomologyGraph.from_edges(sequences, edges)
    unused = {}
    for tolerance in (0.01, 0.5):
        splitter = CDHitGroupSplitter(
            3, on_large_component=mode, size_tolerance=tolerance, reference=graph
        )
        pairs = list(splitter.split(sequences))
        unused[tolerance] = sum(63 - len(train) - len(test) for train, test in pairs)
        assert max(len(test) for _, test in pairs) <= (1 + tolerance) * 21
    assert unused[0.5] == 0 < unused[0.01]


@pytest.mark.parametrize("n_rows", [2, 3, 4])
def test_a_share_of_less_than_a_row_is_one_row(n_rows):
    sequences, _ = make_families(n_rows, 1, seed=0)
    ((train, test),) = CDHitShuffleSplit(1, test_size=0.1).split(sequences, np.arange(n_rows))
    assert (len(train), len(test)) == (n_rows - 1, 1)
