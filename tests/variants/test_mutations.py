import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esmlearn.exceptions import DataError
from esmlearn.utils._mutations import read_variants
from esmlearn.utils._sequences import STANDARD_RESIDUES
from esmlearn.variants import (
    Mutation,
    apply_mutations,
    check_variants,
    mutations_of,
    parse_mutations,
)

WILD_TYPE = "MKTAYIAKQR"
residues = st.sampled_from(STANDARD_RESIDUES)
sequences = st.lists(st.text(residues, min_size=10, max_size=10), min_size=1, max_size=5)


def names(variant, **parameters):
    return [str(mutation) for mutation in parse_mutations(variant, **parameters)]


@pytest.mark.parametrize("separator", ["/", ":", ",", ";", "_", "+", " ", ", ", " / "])
def test_reads_mutations_whatever_joins_them(separator):
    assert names(f" N146D{separator}a110d ") == ["A110D", "N146D"]


@pytest.mark.parametrize(
    "variant",
    [
        "p.[Ala110Asp;Asn146Asp]",
        "p.[(Ala110Asp;Asn146Asp)]",
        "p.Ala110Asp;p.Asn146Asp",
        "Ala110Asp/Asn146Asp/Lys3=",
        "p.A110D:N146D:K3K",
    ],
)
def test_reads_hgvs(variant):
    assert names(variant) == ["A110D", "N146D"]


@pytest.mark.parametrize("variant", ["", " ", "WT", "wt", "_wt", "_sy", "p.=", "p.(=)", "K2K"])
def test_the_wild_type_has_no_mutations(variant):
    assert parse_mutations(variant, wild_type=WILD_TYPE) == ()


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("A110del", "this is a deletion; expected substitutions alone"),
        ("p.Lys23_Val25del", "this is a deletion"),
        ("A110-", "this is a deletion"),
        ("p.Lys23_Leu24insArg", "this is an insertion"),
        ("p.Lys23delinsArg", "this is an insertion"),
        ("p.Lys23dup", "this is an insertion"),
        ("p.Lys23fsTer5", "this is a frameshift"),
        ("A110D:K23*", "this is a stop"),
        ("p.Lys23Ter", "this is a stop"),
        ("A110X", "expected mutations to one of the 20 amino acids, such as A110D"),
        ("A110D:", "or WT. Correct or remove the row"),
        ("MKTAYIAKQR", "this looks like a sequence; expected mutations"),
        ("Foo110Asp", "expected mutations"),
        ("A110D/A110E", "A110D and A110E are at the same position"),
        ("A110A/A110E", "at the same position"),
    ],
)
def test_refuses_what_is_no_list_of_substitutions(variant, message):
    with pytest.raises(DataError, match=message) as caught:
        parse_mutations(variant)
    assert str(caught.value).startswith(f"variant = {variant!r}: ")
    with pytest.raises(DataError, match=message) as caught:
        check_variants(["WT", variant])
    assert str(caught.value).startswith(f"variants[1] = {variant!r}: ")


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, 5])
def test_a_missing_variant_is_an_error_with_its_row(missing):
    with pytest.raises(DataError, match=r"variants\[1\] is .*; expected a variant .*Write 'WT'"):
        check_variants(["K2R", missing])
    with pytest.raises(DataError, match="variant is"):
        parse_mutations(missing)


def test_one_text_is_not_a_column():
    with pytest.raises(DataError, match=r"variants is a single str.*Pass \[variants\]"):
        check_variants("K2R")


@pytest.mark.parametrize("container", [list, tuple, np.array, pd.Series])
def test_reads_columns(container):
    assert check_variants(container(["K2R", "WT"]), WILD_TYPE) == [(Mutation("K", 2, "R"),), ()]


def test_checks_residues_and_names_row_mutation_and_expected_residue():
    with pytest.raises(DataError, match=r"variants\[1\] = 'K2R/T4A': T4A replaces T at position 4"):
        check_variants(["K2R", "K2R/T4A"], WILD_TYPE)
    with pytest.raises(
        DataError, match=r"where wild_type has A\. No offset makes all variants fit"
    ):
        check_variants(["K2R", "T4A"], WILD_TYPE)
    with pytest.raises(DataError, match="K2R replaces K at position 2, where wild_type has"):
        parse_mutations("K2R", wild_type="MRTAY")
    with pytest.raises(DataError, match=r"R11A is not within wild_type, .* positions 1 to 10"):
        check_variants(["R11A"], WILD_TYPE)
    with pytest.raises(DataError, match="positions 21 to 30"):
        check_variants(["K2R"], WILD_TYPE, offset=20)


@given(st.integers(-1, 300), st.lists(st.integers(0, 9), min_size=1, unique=True))
def test_proposes_the_offset_that_fits(offset, columns):
    distinct = "ACDEFGHIKL"
    variants = [f"{distinct[i]}{i + 1 + offset}W" for i in columns]
    assert len(check_variants(variants, distinct, offset=offset)) == len(variants)
    with pytest.raises(DataError, match=rf"All variants fit with offset={offset}\."):
        check_variants(variants, distinct, offset=offset + 1)


def test_proposes_no_offset_by_few_mutations():
    with pytest.raises(DataError, match="There are 9 offsets with which all variants fit"):
        check_variants(["A1D"], "MAAAAAAAAA")
    with pytest.raises(DataError, match=r"All variants fit with offset=-2 or -1\."):
        check_variants(["A1D"], "MAA")


def test_without_a_wild_type_variants_must_agree():
    with pytest.raises(DataError, match=r"variants\[2\] = 'T2E': T2E replaces T, and K2R of varia"):
        check_variants(["K2R", "WT", "T2E"])


@given(sequences, st.text(residues, min_size=10, max_size=10), st.integers(-1, 500))
def test_mutations_of_and_apply_mutations_are_inverse(mutants, wild_type, offset):
    variants = mutations_of(mutants, wild_type, offset=offset)
    assert apply_mutations(wild_type, variants, offset=offset).tolist() == mutants
    again = mutations_of(
        apply_mutations(wild_type, variants, offset=offset), wild_type, offset=offset
    )
    assert again.tolist() == variants.tolist()
    for variant, mutations in zip(variants, check_variants(variants), strict=True):
        assert ":".join(map(str, mutations)) == ("" if variant == "WT" else variant)


def test_mutations_of_takes_any_case():
    assert mutations_of(["mrtayiakqr"], WILD_TYPE.lower()).tolist() == ["K2R"]
    assert mutations_of([], WILD_TYPE).tolist() == []


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ("MKTAY", r"sequences\[1\] has 5 residues; expected 10, as wild_type has. Remove the row"),
        ("MKTA-IAKQR", r"sequences\[1\] has '-' at position 5, where wild_type has Y"),
        ("MKTAYIAKX*", r"sequences\[1\] has 'X' at position 9"),
        ("MK1AYIAKQR", r"sequences\[1\] has the character '1'"),
    ],
)
def test_mutations_of_refuses(sequence, message):
    with pytest.raises(DataError, match=message):
        mutations_of([WILD_TYPE, sequence], WILD_TYPE)


def test_refuses_a_wild_type_that_is_none():
    for wild_type, message in [
        ("MK-A", "wild_type has '-' at position 3"),
        (5, "wild_type is 5; expected a sequence"),
        ("", "wild_type"),
    ]:
        with pytest.raises(DataError, match=message):
            apply_mutations(wild_type, ["WT"])


def test_unknown_residues_of_the_wild_type_can_be_replaced():
    assert mutations_of(["MAA", "MXA"], "MXA").tolist() == ["X2A", "WT"]
    assert apply_mutations("MXA", ["X2A"]).tolist() == ["MAA"]


# Either kind of variants -------------------------------------------------------------------------


def test_tells_sequences_from_mutations():
    variants = ["K2R", "K2R:Y5F", "WT"]
    given_as = [(variants, None), (apply_mutations(WILD_TYPE, variants), WILD_TYPE)]
    read = [read_variants(X, wild_type, 0)[0] for X, wild_type in given_as]
    assert read[0] == read[1] == check_variants(variants)
    assert read_variants(["WT", ""], WILD_TYPE, 0)[0] == [(), ()]


def test_the_consensus_of_sequences_is_the_wild_type():
    X = apply_mutations(WILD_TYPE, ["K2R", "T3A", "K2R:Y5F"])
    read, wild_type = read_variants(X, None, 0)
    assert wild_type == "MRTAYIAKQR"
    assert [":".join(map(str, v)) for v in read] == ["", "R2K:T3A", "Y5F"]


def test_refuses_variants_that_are_none():
    with pytest.raises(DataError, match="X is empty; expected at least one variant"):
        read_variants([], None, 0)
    with pytest.raises(DataError, match=r"X\[1\] has 3 residues; expected 4, as X\[0\] has"):
        read_variants(["MKTA", "MKT"], None, 0)
    with pytest.raises(DataError, match=r"X\[1\] is nan"):
        read_variants(["MKTA", np.nan], None, 0)
    with pytest.raises(DataError, match=r"X\[0\] is 1.5"):
        read_variants([1.5, 2.5], None, 0)
