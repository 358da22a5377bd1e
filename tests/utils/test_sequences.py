import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esmlearn.exceptions import DataError
from esmlearn.utils._sequences import (
    ALLOWED_CHARACTERS,
    check_sequences,
    count_sequence_features,
    inner_stop,
    is_sequence_like,
    remove_gaps,
    sequence_digest,
    strip_stop,
)

CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "object array": lambda s: np.array(s, object),
    "U array": np.array,
    "column array": lambda s: np.array(s, object)[:, None],
    "pandas series": lambda s: pd.Series(s, index=range(7, 7 + len(s))),
    "pandas frame": lambda s: pd.DataFrame({"sequence": s}),
    "polars series": pl.Series,
    "polars frame": lambda s: pl.DataFrame({"sequence": s}),
    "pyarrow array": pa.array,
    "pyarrow chunked array": lambda s: pa.chunked_array([s]),
    "pyarrow table": lambda s: pa.table({"sequence": s}),
}


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_every_container_of_str_is_taken(container):
    assert check_sequences(container(["MKV", "acx-"])) == ["MKV", "ACX-"]
    assert is_sequence_like(container(["MKV", "acx-"]))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ("MKV", "single str"),
        (["MKV", "MK1"], r"X\[1\] has the character '1' at position 2"),
        (["MKV", "M V"], r"X\[1\] has the character ' ' at position 1"),
        (["MKV", "Mé"], r"X\[1\] has the character 'é' at position 1"),
        (["MKV", ""], r"X\[1\] is an empty sequence"),
        (["MKV", "-.*"], r"X\[1\] is '-\.\*', gaps or stops \(\. - \*\) alone"),
        (["MKV", None], r"X\[1\] is None of type NoneType"),
        (["MKV", float("nan")], r"X\[1\] is nan of type float"),
        ([], r"0 sequence\(s\); expected at least 1"),
        (3, "of type int"),
        (np.ones((2, 3)), r"shape \(2, 3\)"),
        (pd.DataFrame({"a": ["M"], "b": ["K"]}), "2 columns"),
        (["M\n", "K"], "Remove white space first"),
        (["MK1"], "Correct or remove it first"),
        ([("P1", "MKV" * 99)], r"^X\[0\] is \('P1', .{9,60}\) of type tuple; .* sequences alone"),
        ({"MKV", "MKL"}, "X is a set, which has no order"),
        ({"MKV": "MKL"}, r"X is a dict; .* list\(X\.values\(\)\)"),
        ((s for s in ["MKV"]), r"X is a generator, .* Pass list\(X\)"),
    ],
)
def test_refusals_name_index_value_and_expectation(X, message):
    with pytest.raises(DataError, match=message):
        check_sequences(X)


@pytest.mark.parametrize("letter", ["ß", "ı", "ſ", "ﬁ"])
def test_letters_whose_upper_case_is_a_residue_are_refused(letter):
    with pytest.raises(DataError, match=f"X\\[1\\] has the character '{letter}' at position 2"):
        check_sequences(["MKV", f"mk{letter}v"])


def test_numbers_are_no_sequences():
    assert not is_sequence_like(np.ones((3, 2)))
    assert not is_sequence_like([1.0, 2.0])


def proteins(alphabet, **sizes):
    """Texts of an alphabet that hold a residue."""
    return st.text(alphabet, min_size=1, **sizes).filter(remove_gaps)


@given(st.lists(proteins(sorted(ALLOWED_CHARACTERS)), min_size=1))
def test_valid_sequences_pass_unchanged(sequences):
    assert check_sequences(sequences) == sequences
    assert len({sequence_digest(s) for s in sequences}) == len(set(sequences))
    assert all(set(remove_gaps(s)).isdisjoint(".-*") for s in sequences)


def test_counts_for_reports():
    counts = count_sequence_features(["mkv", "MKV", "MXV" * 10, "A" * 2000, "M-V*"])
    assert counts == {
        "n_sequences": 5,
        "n_distinct": 4,
        "n_duplicates": 1,
        "n_lower_case": 1,
        "n_ambiguous": 1,
        "n_gapped": 1,
        "n_short": 3,
        "n_long": 1,
    }


def one_by_one(X):
    """The counts by their definitions, a sequence and a character at a time."""
    upper = [s.upper() for s in X]
    residues = [sum(c not in ".-*" for c in s) for s in upper]
    return {
        "n_sequences": len(X),
        "n_distinct": len(set(upper)),
        "n_duplicates": len(X) - len(set(upper)),
        "n_lower_case": sum(a != b for a, b in zip(X, upper, strict=True)),
        "n_ambiguous": sum(any(c in "BJOUXZ" for c in s) for s in upper),
        "n_gapped": sum(any(c in ".-*" for c in s) for s in upper),
        "n_short": sum(n < 11 for n in residues),
        "n_long": sum(n > 1022 for n in residues),
    }


@settings(deadline=None)
@given(st.lists(proteins("ACWacwBJOUXZbx.-*", max_size=14)), st.integers(1, 4))
def test_counts_are_those_of_looking_at_one_after_the_other(X, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("esmlearn.utils._sequences._BLOCK", block)
        assert count_sequence_features(X) == one_by_one(X)


@settings(deadline=None)
@given(st.lists(st.text("ACa-*\x00 [@{`é１\ud800", max_size=3), min_size=1, max_size=4))
def test_the_first_that_is_no_sequence_is_named(X):
    bad = [i for i, s in enumerate(X) if set(s.upper()) - ALLOWED_CHARACTERS or not remove_gaps(s)]
    if not bad:
        assert check_sequences(X) == [s.upper() for s in X]
        return
    with pytest.raises(DataError, match=rf"^X\[{bad[0]}\] "):
        check_sequences(X)


@pytest.mark.parametrize(
    ("sequence", "stripped", "inner"),
    [
        ("MKV*", "MKV", -1),
        ("MKV**", "MKV", -1),
        ("MK*V*", "MK*V", 2),
        ("*MKV", "*MKV", 0),
        ("MK*V--", "MK*V--", 2),
        ("MKV*--", "MKV*--", -1),
    ],
)
def test_stops_at_the_end_are_told_from_those_inside(sequence, stripped, inner):
    assert strip_stop(sequence) == stripped
    assert inner_stop(sequence) == inner
