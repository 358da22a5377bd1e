"""Requests: distinct sequences, digests and counts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esmlearn.embedding._request import make_request
from esmlearn.exceptions import DataError
from esmlearn.utils._sequences import (
    check_sequences,
    count_sequence_features,
    remove_gaps,
    sequence_digest,
)

few = st.text("AKbx-", min_size=1, max_size=3).filter(
    remove_gaps
)  # of which some come twice, in other spellings


@settings(deadline=None)
@given(X=st.lists(few, min_size=1))
def test_a_request_holds_each_distinct_sequence_once(X):
    request = make_request(X)
    upper = check_sequences(X)
    assert request.sequences == list(dict.fromkeys(upper))
    assert request.digests == [sequence_digest(s) for s in request.sequences]
    assert request.lengths.tolist() == [len(s) for s in request.sequences]
    assert request.counts == count_sequence_features(X)
    if request.rows is None:
        assert request.sequences == upper
    else:
        assert [request.sequences[row] for row in request.rows] == upper


@pytest.mark.parametrize("bad", ["MK1", "", None, 3, ["MKV"], {"a": "MKV"}, b"MKV", "ß"])
def test_an_item_that_is_refused_is_named_by_its_place_in_the_request(bad):
    for X in (["MKV", "AAA", bad], ["mkv", "GSHM", bad]):
        with pytest.raises(DataError, match=r"X\[2\] "):
            make_request(X)
    with pytest.raises(DataError, match=r"X has 0 sequence"):
        make_request([])
