import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esmlearn.exceptions import DataError
from esmlearn.io import write_fasta
from esmlearn.io._survey import _register, survey_fasta


def test_a_file_is_counted(tmp_path):
    path = tmp_path / "x.fasta"
    path.write_text(">a\nMKV\n>b\nmkv\n>c\nMST\n")
    survey = survey_fasta(path)
    assert (survey.n_records, survey.n_distinct) == (3, 2)


@pytest.mark.parametrize("buffer", [24, 1 << 16])
def test_an_id_that_comes_twice_is_named(tmp_path, monkeypatch, buffer):
    monkeypatch.setattr("esmlearn.io._survey._BUFFER", buffer)
    path = tmp_path / "x.fasta"
    records = [f">P{i % 997} x\nMKV\n" for i in range(2000)]
    path.write_text("".join(records))
    with pytest.raises(DataError, match="line 1995: the id 'P0' was already used in line 1;"):
        survey_fasta(path)


def test_dna_is_refused(tmp_path):
    write_fasta(tmp_path / "x.fa", ["ACGT" * 20, "GGCC" * 20])
    with pytest.raises(DataError, match="looks like DNA or RNA"):
        survey_fasta(tmp_path / "x.fa")


@given(texts=st.lists(st.text(max_size=3)), buffer=st.sampled_from([24, 100, 1 << 16]))
def test_repeats_are_those_of_a_set(texts, buffer):
    first, expected = {}, []
    for i, text in enumerate(texts):
        if text in first:
            expected.append((i, first[text]))
        first.setdefault(text, i)
    with pytest.MonkeyPatch.context() as patch, _register() as register:
        patch.setattr("esmlearn.io._survey._BUFFER", buffer)
        for i, text in enumerate(texts):
            register.add(text, i)
        assert sorted(register.repeated()) == expected


def test_numbers_beyond_32_bits_are_kept():
    with _register() as register:
        register.add("a", 2**40)
        register.add("a", 2**41)
        assert list(register.repeated()) == [(2**41, 2**40)]
        assert np.iinfo(np.int64).max > 2**41
