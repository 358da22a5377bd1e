import numpy as np
import pytest

from esmlearn.clustering import HomologyGraph
from esmlearn.exceptions import DataError, InsufficientComponentsError
from esmlearn.model_selection import train_validation_test_split
from tests._proteins import make_families


@pytest.fixture(scope="module")
def proteins():
    """180 proteins: 60 singletons and 40 families of three; classes 80/20."""
    sequences, family = make_families(100, [1] * 60 + [3] * 40, length=60, seed=5)
    y = np.where(family % 5 == 0, "rare", "common")
    return sequences, y, family


@pytest.fixture(scope="module")
def graph(proteins):
    sequences, _, family = proteins
    pairs = np.argwhere(np.triu(family[:, None] == family, k=1))
    return HomologyGraph.from_edges(sequences, pairs)


def split(proteins, graph, **parameters):
    sequences, y, _ = proteins
    parameters = {"n_validation": 20, "n_test": 30, "reference": graph, **parameters}
    return train_validation_test_split(sequences, y, **parameters)


def test_parts_share_no_family_and_hold_one_of_each_drawn(proteins, graph):
    _, _, family = proteins
    parts = split(proteins, graph, random_state=0)
    held_out = np.concatenate([parts.validation, parts.test])
    assert (len(parts.validation), len(parts.test)) == (20, 30)
    assert len(np.unique(family[held_out])) == 50
    assert not set(family[parts.train]) & set(family[held_out])
    everyone = np.concatenate([parts.train, held_out, parts.set_aside])
    assert sorted(everyone) == list(range(len(family)))


def test_it_unpacks_into_the_three_parts(proteins, graph):
    parts = split(proteins, graph)
    train, validation, test = parts
    assert train is parts.train
    assert validation is parts.validation
    assert test is parts.test


def test_what_is_set_aside_is_counted_and_told(proteins, graph):
    parts = split(proteins, graph)
    assert parts.description["n_set_aside"] == len(parts.set_aside) > 0
    assert f"{len(parts.set_aside)} are set aside" in parts.summary()
    assert "100 homology components (60 of a single protein)" in parts.summary()


def test_classes_are_met_in_proportion(proteins, graph):
    _, y, _ = proteins
    for seed in range(5):
        parts = split(proteins, graph, random_state=seed)
        assert abs((y[parts.validation] == "rare").sum() - 4) <= 1
        assert abs((y[parts.test] == "rare").sum() - 6) <= 1


def test_singletons_only_sets_nothing_aside(proteins, graph):
    parts = split(proteins, graph, singletons_only=True)
    assert not len(parts.set_aside)
    with pytest.raises(InsufficientComponentsError, match="60 components of a single protein"):
        split(proteins, graph, singletons_only=True, n_test=50)


def test_draws_repeat_and_differ_by_seed(proteins, graph):
    first, again, other = (split(proteins, graph, random_state=s).test for s in (None, None, 1))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_the_order_of_the_rows_does_not_matter(proteins, graph):
    sequences, y, _ = proteins
    order = np.random.default_rng(0).permutation(len(sequences))
    moved = split(([sequences[i] for i in order], y[order], None), graph)
    assert sorted(order[moved.test]) == split(proteins, graph).test.tolist()


def test_the_representative_has_most_homologs(proteins):
    sequences, _, _ = proteins
    star = HomologyGraph.from_edges(sequences, [[7, i] for i in range(12) if i != 7])
    drawn = [
        split(proteins, star, max_component=1.0, random_state=s, n_validation=80, n_test=80)
        for s in range(3)
    ]
    held_out = [np.concatenate([parts.validation, parts.test]) for parts in drawn]
    hub = [np.intersect1d(rows, np.arange(12)).tolist() for rows in held_out]
    assert all(rows in ([], [7]) for rows in hub)
    assert [7] in hub


def test_large_components_are_not_drawn(proteins):
    sequences, _, _ = proteins
    clique = np.argwhere(np.triu(np.ones((30, 30), dtype=bool), k=1))
    graph = HomologyGraph.from_edges(sequences, clique)
    parts = split(proteins, graph, n_validation=60, n_test=60)
    assert set(range(30)) <= set(parts.train)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_test": 2000}, r"n_validation \+ n_test is 2020; .* form 100 components"),
        ({"n_test": 80}, "at least one must be left to train on"),
    ],
)
def test_too_few_components_are_told(proteins, graph, parameters, message):
    with pytest.raises(InsufficientComponentsError, match=message):
        split(proteins, graph, **parameters)


def test_sizes_are_numbers_of_proteins(proteins, graph):
    with pytest.raises(DataError, match=r"n_test is 0\.2; expected a number of proteins"):
        split(proteins, graph, n_test=0.2)


def test_the_largest_component_is_a_share(proteins, graph):
    with pytest.raises(DataError, match="max_component is 50; expected a number from 0 to 1"):
        split(proteins, graph, max_component=50)


def test_its_repr_fits_on_a_line(proteins, graph):
    assert repr(split(proteins, graph, random_state=0)) == (
        "<TrainValidationTestSplit: 82 rows train, 20 validate, 30 test, 48 set aside>"
    )
