"""Peptides: compared as a whole, by every engine and by the audit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esmlearn.clustering import available_engines, homology_graph
from esmlearn.clustering._engines.peptides import LEAST_IDENTITY, LONGEST_PEPTIDE, peptide_hits
from esmlearn.model_selection import CDHitGroupSplitter, audit_leakage

ENGINES = ["exact", "mmseqs", "diamond"]


def _edits(first, second):
    """Return Levenshtein's distance; X is no residue's equal."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            same = a == b != "X"
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (not same))
    return row[-1]


PEPTIDES = st.lists(st.text("ACDKX", min_size=1, max_size=LONGEST_PEPTIDE + 4), max_size=8)


@settings(max_examples=60, deadline=None)
@given(PEPTIDES, st.none() | PEPTIDES)
def test_pairs_are_those_of_few_edits(queries, targets):
    queries = list(dict.fromkeys(queries))
    targets = None if targets is None else list(dict.fromkeys(targets))
    expected = {}
    for i, query in enumerate(queries):
        for j, target in enumerate(queries if targets is None else targets):
            identity = 1 - _edits(query, target) / max(len(query), len(target))
            is_peptide = max(len(query), len(target)) <= LONGEST_PEPTIDE
            if is_peptide and identity >= LEAST_IDENTITY and not (targets is None and i == j):
                expected[(i, j) if targets is not None else tuple(sorted((i, j)))] = identity
    hits = peptide_hits(queries, targets)
    pairs = list(zip(hits.query.tolist(), hits.target.tolist(), strict=True))
    found = dict(
        zip(
            pairs if targets is not None else [tuple(sorted(pair)) for pair in pairs],
            hits.identity.tolist(),
            strict=True,
        )
    )
    assert len(pairs) == len(found)
    assert found == pytest.approx(expected)


def _needs(engine):
    if available_engines()[engine] is None:
        pytest.skip(f"{engine} is not installed")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("length", [6, 12, 20])
def test_peptides_that_differ_in_one_residue_stay_together(engine, length):
    _needs(engine)
    rng = np.random.default_rng(length)
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    firsts = letters[rng.integers(0, 20, (60, length))]
    seconds = firsts.copy()
    seconds[np.arange(60), rng.integers(0, length, 60)] = "W"
    sequences = ["".join(row) for row in [*firsts, *seconds]]
    sequences = list(dict.fromkeys(sequences))
    folds = list(CDHitGroupSplitter(4, engine=engine, random_state=0).split(sequences))
    assert audit_leakage(sequences, folds, engine="exact").overall("A") == 0
    halves = np.arange(len(sequences)) < 60
    torn = [(np.flatnonzero(halves), np.flatnonzero(~halves))]
    assert audit_leakage(sequences, torn, engine="exact").overall("A") > 0.9


@pytest.mark.parametrize("engine", ENGINES)
def test_the_graph_says_how_alike_peptides_are(engine):
    _needs(engine)
    sequences = ["ACDEFGHIKLMN", "ACDEFGHIKLMW", "WWYYVVTTSSRR"]
    graph = homology_graph(sequences, engine=engine, cache=None)
    assert graph.n_edges == 1
    assert graph.identity.tolist() == pytest.approx([11 / 12])
    assert graph.evalue.tolist() == [0]
