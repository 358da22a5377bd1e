"""The exact engine against a plain-Python Smith-Waterman, and the other engines against it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_matrices import ScoringMatrix

from esmlearn.clustering import exact_search, homology_graph, search
from esmlearn.clustering._engines import exact as exact_module
from esmlearn.clustering._engines.hits import expect_values, least_score, never_significant
from esmlearn.exceptions import DataError, EngineNotFoundError
from tests._proteins import make_families, mutate, random_protein

_BLOSUM62 = ScoringMatrix.from_name("BLOSUM62")
_LETTERS = _BLOSUM62.alphabet
_SCORES = np.array(_BLOSUM62)
proteins = st.text("ACDEFGHIKLMNPQRSTVWY", min_size=1, max_size=25)


def smith_waterman(a, b, open_cost=11, extend_cost=1):
    """Best local score, gap of length n costs open + n * extend, as in BLAST."""
    none = -(10**6)
    best, above, gap_above = 0, [0] * (len(b) + 1), [none] * (len(b) + 1)
    for x in a:
        row, gap_left = [0], none
        for j, y in enumerate(b, 1):
            gap_left = max(gap_left, row[j - 1] - open_cost) - extend_cost
            gap_above[j] = max(gap_above[j], above[j] - open_cost) - extend_cost
            match = above[j - 1] + int(_SCORES[_LETTERS.index(x), _LETTERS.index(y)])
            row.append(max(0, match, gap_left, gap_above[j]))
            best = max(best, row[j])
        above = row
    return best


def engine_or_skip(name):
    try:
        search(["MKV"], ["MKV"], engine=name)
    except EngineNotFoundError as error:
        pytest.skip(str(error))
    return name


@given(proteins, proteins)
@settings(max_examples=60, deadline=None)
def test_exact_scores_are_blast_scores(a, b):
    hits = exact_search([a], [b], evalue=np.inf)
    assert hits.score.tolist() == [smith_waterman(a, b)] * len(hits)
    assert len(hits) == (smith_waterman(a, b) > 0)


@given(proteins, proteins)
@settings(max_examples=40, deadline=None)
def test_exact_search_is_symmetric(a, b):
    forth, back = (exact_search([x], [y], evalue=np.inf) for x, y in ((a, b), (b, a)))
    for name, values in vars(back.reversed()).items():
        np.testing.assert_array_equal(values, getattr(forth, name))


def test_exact_scores_of_gapped_alignments():
    rng = np.random.default_rng(0)
    for gap in range(1, 12):
        a = random_protein(80, rng)
        b = a[:40] + a[40 + gap :]
        (score,) = exact_search([a], [b]).score
        assert score == smith_waterman(a, b)


@given(proteins, proteins, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_long_alignments_are_traced_alike(a, b, seed):
    rng = np.random.default_rng(seed)
    relative = mutate(a[:15] + b + a[15:], 0.8, rng)
    for x, y in ((a, b), (a + b, relative), (relative, b)):
        with pytest.MonkeyPatch.context() as patch:
            usual = exact_search([x], [y], evalue=np.inf)
            patch.setattr(exact_module, "_LARGE", 0)
            long = exact_search([x], [y], evalue=np.inf)
        np.testing.assert_array_equal(long.score, usual.score)
        # Of several best alignments either may be traced; all consist of the same pieces or fewer.
        for hits in (usual, long):
            assert ((hits.identity >= 0) & (hits.identity <= 1)).all()
            assert (hits.coverage_query <= 1).all()


def test_long_alignments_of_relatives_are_the_same(monkeypatch):
    sequences, _ = make_families(6, 3, length=150, identity=0.75, seed=11)
    usual = exact_search(sequences, sequences)
    monkeypatch.setattr(exact_module, "_LARGE", 0)
    long = exact_search(sequences, sequences)
    np.testing.assert_array_equal(long.score, usual.score)
    assert np.mean(long.identity == usual.identity) > 0.9
    np.testing.assert_allclose(long.identity, usual.identity, atol=0.05)
    np.testing.assert_allclose(long.coverage_query, usual.coverage_query, atol=0.1)


def test_identity_counts_alignment_columns():
    a = "MKVLATGGARQWEDSTHNPYFCIMKVLRTGGAEQ"
    b = a[:17] + "W" + a[18:]
    hits = exact_search([a], [b + "GGGGGGGGGGGGGGGG"])
    assert hits.identity[0] == 33 / 34
    assert hits.coverage_query[0] == 1.0
    assert hits.coverage_target[0] == 34 / 50


def test_gaps_count_as_columns():
    rng = np.random.default_rng(1)
    a = random_protein(100, rng)
    hits = exact_search([a], [a[:50] + a[55:]])
    assert hits.identity[0] == pytest.approx(0.95)
    assert hits.coverage_query[0] == 1.0
    assert hits.coverage_target[0] == 1.0


def test_expect_values_follow_the_definition():
    assert expect_values([100], [200])[0] == pytest.approx(0.041 * 200 * 1e6 * np.exp(-26.7))
    score = least_score(1e-3, 200)
    assert expect_values([score], [200])[0] == pytest.approx(1e-3)
    assert never_significant(["MKVLA", "W" * 30], 1e-3).tolist() == [True, False]


def test_unusual_letters_count_as_what_stands_for_them():
    protein = "JJBJJZJJUJJOJJBJJZJJUJJOJJ"
    assert exact_search([protein[:-1]], [protein]).target.tolist() == [0]
    assert never_significant([protein], 1e-3).tolist() == [False]


def test_unknown_residues_do_not_hide_a_match():
    peptide = "MKWLATWGARQWED"
    assert exact_search([peptide + "X" * 2000], [peptide]).target.tolist() == [0]
    assert never_significant(["X" * 50], 1e-3).tolist() == [True]


def test_min_identity_filters():
    a = "MKVLATGGARQWEDSTHNPYFCIMKVLRTGGAEQ"
    b = "W" + a[1:17] + "W" + a[18:]
    assert len(exact_search([a], [a, b], min_identity=1.0)) == 1


def test_threads_do_not_change_the_result(families):
    sequences, _ = families
    one = exact_search(sequences[:10], sequences, n_jobs=1)
    two = exact_search(sequences[:10], sequences, n_jobs=2)
    for name, values in vars(one).items():
        np.testing.assert_array_equal(values, getattr(two, name))


@pytest.mark.parametrize("engine", ["mmseqs", "diamond"])
def test_engines_agree_with_exact_search(engine):
    engine_or_skip(engine)
    sequences, _ = make_families(12, 5, length=150, identity=0.72, seed=3)
    options = {"cache": None, "identity": 0.3, "margin": 0}
    exact = homology_graph(sequences, engine="exact", **options)
    found = homology_graph(sequences, engine=engine, **options)
    truth, edges = ({tuple(e) for e in g.edges.tolist()} for g in (exact, found))
    assert len(truth & edges) >= 0.97 * len(truth)
    assert len(edges - truth) <= 0.03 * len(truth)
    position = {tuple(e): k for k, e in enumerate(exact.edges.tolist())}
    rows = [
        (k, position[tuple(e)]) for k, e in enumerate(found.edges.tolist()) if tuple(e) in truth
    ]
    ours, theirs = np.array(rows).T
    assert np.abs(found.score[ours] - exact.score[theirs]).max() <= 3
    assert np.median(np.abs(found.identity[ours] - exact.identity[theirs])) == 0
    np.testing.assert_allclose(
        np.median(found.coverage_shorter[ours] - exact.coverage_shorter[theirs]), 0, atol=0.01
    )


@pytest.mark.parametrize("engine", ["exact", "mmseqs", "diamond"])
def test_engines_take_any_protein(engine):
    engine_or_skip(engine)
    rng = np.random.default_rng(5)
    long = random_protein(3000, rng)
    sequences = [
        "M",
        "AC",
        "X" * 50,
        "ACGT" * 20,
        "BJOUZX" * 10,
        "A" * 60,
        long,
        long[:500],
        "*m-K",
    ]
    graph = homology_graph(sequences, engine=engine, cache=None)
    assert graph.n_nodes == len(sequences)
    nodes = graph.node_of([long, long[:500]])
    assert sorted(nodes.tolist()) in graph.edges.tolist()
    joined = set(graph.node_of(["M", "AC", "X" * 50])) & set(graph.edges.ravel())
    assert not joined


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["exact", "mmseqs", "diamond"])
def test_engines_take_titin(engine):
    engine_or_skip(engine)
    rng = np.random.default_rng(6)
    titin = random_protein(35_213, rng)
    graph = homology_graph([titin, mutate(titin, 0.6, rng), titin[:300]], engine=engine, cache=None)
    assert graph.n_edges == 3
    assert graph.coverage_longer[graph.score.argmax()] > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["mmseqs", "diamond"])
def test_scores_beyond_16_bits(engine):
    engine_or_skip(engine)
    rng = np.random.default_rng(6)
    long = random_protein(12_000, rng)
    (hits, exact) = (
        search([long], [mutate(long, 0.6, rng)], engine=name)
        for rng, name in ((np.random.default_rng(7), engine), (np.random.default_rng(7), "exact"))
    )
    assert exact.score[0] > 32_767
    assert abs(hits.score[0] - exact.score[0]) <= 3
    assert hits.coverage_query[0] == exact.coverage_query[0]


def test_search_is_sorted_and_finds_itself(families):
    sequences, _ = families
    hits = search(sequences[:5], sequences)
    assert sorted(zip(hits.query, hits.target, strict=True)) == list(
        zip(hits.query, hits.target, strict=True)
    )
    own = hits.query == hits.target
    assert own.sum() == 5
    assert (hits.identity[own] == 1).all()


def test_case_and_gaps_do_not_matter():
    a = "MKVLATGGARQWEDSTHNPYFCIMKVLRTGGAEQ"
    hits = exact_search([a.lower()], [a[:5] + "--." + a[5:] + "*"])
    assert hits.identity.tolist() == [1.0]


def test_unknown_engine_is_refused():
    with pytest.raises(DataError, match="'blast'; expected one of auto, mmseqs, diamond, exact"):
        search(["MKV"], ["MKV"], engine="blast")


def test_gaps_alone_are_refused():
    with pytest.raises(DataError, match=r"targets\[1\] is '---', gaps or stops"):
        exact_search(["MKV"], ["MKV", "---"])
