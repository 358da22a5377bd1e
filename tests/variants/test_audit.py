import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esmlearn.exceptions import DataError
from esmlearn.variants import VariantSplitter, apply_mutations, audit_variant_split
from esmlearn.variants import _audit as module

WILD_TYPE = "MKTAYI"
columns = st.lists(st.text(st.sampled_from("ACD"), min_size=6, max_size=6), min_size=1, max_size=8)


@given(columns, columns, st.integers(1, 20))
def test_distances_are_those_of_every_pair(test, train, block):
    sequences = [*test, *train]
    rows = np.arange(len(sequences))
    expected = [min(sum(a != b for a, b in zip(x, z, strict=True)) for z in train) for x in test]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        audit = audit_variant_split(
            sequences, rows[len(test) :], rows[: len(test)], wild_type="AAAAAA"
        )
    assert audit.distance.tolist() == expected
    assert (audit.n_test, audit.n_train) == (len(test), len(train))


def test_finds_shared_positions_and_mutations():
    variants = ["K2R", "K2E:T3A", "T3A:A4G", "K2E", "WT"]
    audit = audit_variant_split(variants, [0, 1, 4], [2, 3], wild_type=WILD_TYPE)
    assert audit.train_positions.tolist() == [2, 3]
    assert audit.test_positions.tolist() == [2, 3, 4]
    assert audit.shared_positions.tolist() == [2, 3]
    assert audit.train_mutations.tolist() == ["K2E", "K2R", "T3A"]
    assert audit.shared_mutations.tolist() == ["K2E", "T3A"]
    assert audit.distance.tolist() == [2, 1]
    assert repr(audit) == "<VariantSplitAudit: 2 of 3 test positions are mutated in training>"
    assert str(audit).splitlines() == [
        "2 test variants, 3 training variants:",
        "  2 of 3 positions of the test part are mutated in training",
        "  2 of 3 mutations of the test part are in training",
        "  residues to the nearest training variant: 0 0.0%, 1 50.0%, 2 50.0%, more 0.0%",
    ]


def test_sequences_masks_and_mutations_give_the_same():
    variants = ["K2R", "K2E:T3A", "T3A:A4G", "K2E", "WT"]
    test = np.array([False, True, False, True, False])
    of_rows = audit_variant_split(variants, [0, 2, 4], [1, 3])
    sequences = apply_mutations(WILD_TYPE, variants)
    of_masks = audit_variant_split(sequences, ~test, test, wild_type=WILD_TYPE)
    assert str(of_rows) == str(of_masks)
    assert of_rows.distance.tolist() == of_masks.distance.tolist()


def test_the_wild_type_alone():
    audit = audit_variant_split(["WT", "WT"], [0], [1])
    assert audit.distance.tolist() == [0]
    assert audit.shared_positions.tolist() == []


def test_confirms_a_split_by_position():
    variants = [f"{own}{i}{new}" for i, own in enumerate(WILD_TYPE, 1) for new in "CDE"]
    for train, test in VariantSplitter(3).split(variants):
        assert not len(audit_variant_split(variants, train, test).shared_positions)


def test_refuses_parts_that_are_none():
    variants = ["K2R", "T3A"]
    with pytest.raises(DataError, match=r"test has the shape \(0,\).*; expected at least one row"):
        audit_variant_split(variants, [0], [])
    with pytest.raises(DataError, match="test holds the row 2; expected rows from 0 to 1"):
        audit_variant_split(variants, [0], [2])
    with pytest.raises(DataError, match=r"train has the shape .* mask of 2 rows"):
        audit_variant_split(variants, [True, False, False], [1])
