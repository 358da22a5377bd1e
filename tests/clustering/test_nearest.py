import numpy as np
import pandas as pd
import pytest

from esmlearn.clustering import exact_search, nearest_homologs
from esmlearn.exceptions import DataError
from tests._proteins import make_families, mutate, random_protein


def test_nearest_is_the_best_of_all_pairs():
    sequences, _ = make_families(8, 5, identity=0.75)
    rng = np.random.default_rng(0)
    queries = [mutate(s, 0.8, rng) for s in sequences[::3]] + [random_protein(90, rng)]
    found = nearest_homologs(queries, sequences)
    assert found["query"].tolist() == list(range(len(queries)))
    for query, line in enumerate(found.itertuples()):
        hits = exact_search([queries[query]], sequences)
        shorter = np.where(
            len(queries[query]) <= np.array([len(sequences[t]) for t in hits.target], dtype=int),
            hits.coverage_query,
            hits.coverage_target,
        )
        identity = hits.identity[shorter >= 0.5]
        if not len(identity):
            assert line.target is pd.NA
            assert np.isnan(line.identity)
            continue
        assert line.identity == identity.max()
        assert line.target in hits.target[(hits.identity == identity.max()) & (shorter >= 0.5)]
    assert found["target"].isna().tolist() == [False] * (len(queries) - 1) + [True]


def test_copies_are_whole_and_the_first_of_them_counts():
    protein = random_protein(80, np.random.default_rng(1))
    found = nearest_homologs([protein.lower(), "MKVL"], ["W" * 30, protein, protein, "MKVL"])
    assert found["target"].tolist() == [1, 3]
    assert found["identity"].tolist() == found["coverage"].tolist() == [1, 1]


def test_a_domain_alone_makes_no_homolog():
    rng = np.random.default_rng(2)
    domain, relative = random_protein(40, rng), random_protein(200, rng)
    query = domain + random_protein(160, rng)
    targets = [domain + random_protein(150, rng), mutate(relative, 0.6, rng)]
    assert nearest_homologs([query, relative], targets)["target"].tolist() == [pd.NA, 1]
    loose = nearest_homologs([query], targets, coverage=0.1)
    assert loose["target"].tolist() == [0]
    assert 0.1 < loose["coverage"][0] < 0.5


@pytest.mark.parametrize("engine", ["exact", "mmseqs"])
def test_engines_agree(engine):
    sequences, _ = make_families(6, 4, identity=0.8)
    found = nearest_homologs(sequences[::2], sequences[1::2], engine=engine)
    exact = nearest_homologs(sequences[::2], sequences[1::2], engine="exact")
    np.testing.assert_allclose(found["identity"], exact["identity"], atol=0.03)


def test_refuses():
    with pytest.raises(DataError, match=r"queries\[0\]"):
        nearest_homologs([""], ["MKV"])
    with pytest.raises(DataError, match=r"coverage is 50"):
        nearest_homologs(["MKV"], ["MKV"], coverage=50)
