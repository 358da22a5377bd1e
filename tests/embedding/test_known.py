"""Sequences that a process has seen: what is asked again is answered as at the first time."""

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esmlearn.embedding._known import KnownSequences
from esmlearn.exceptions import DataError
from esmlearn.utils._sequences import check_sequences, count_sequence_features, sequence_digest

few = st.text("AKbx-", min_size=1, max_size=3)  # of which some come twice, in other spellings


@settings(deadline=None)
@given(
    requests=st.lists(st.lists(few, min_size=1), min_size=1), limit=st.sampled_from([0, 1 << 20])
)
def test_every_request_is_answered_as_if_it_were_the_first(requests, limit):
    table = KnownSequences(limit)
    for X in requests:
        request = table.ask(X)
        upper = check_sequences(X)
        assert request.sequences == list(dict.fromkeys(upper))
        assert request.digests.tolist() == [sequence_digest(s) for s in request.sequences]
        assert request.lengths.tolist() == [len(s) for s in request.sequences]
        assert request.counts == count_sequence_features(X)
        if request.rows is None:
            assert request.sequences == upper
        else:
            assert [request.sequences[row] for row in request.rows] == upper


def test_a_request_that_comes_again_is_answered_with_the_same_arrays(monkeypatch):
    table = KnownSequences()
    fold = ["MKV", "gshm", "MKV"]
    first = table.ask(fold)
    for again in (fold, tuple(fold), np.array(fold), np.array(fold, dtype=object)):
        assert table.ask(again) is first
    assert table.ask(["MKV", "GSHM", "MKV"]) is not first  # of which none is in lower case
    monkeypatch.setattr("esmlearn.embedding._known._MAX_ANSWERED", 4)
    table.ask(["AAA", "CCC"])
    assert table.ask(fold) is not first
    assert table.ask(fold).counts == first.counts


def test_a_request_beyond_the_limit_is_answered_and_not_kept():
    table = KnownSequences(1000)
    assert len(table.ask(["A" * 400, "A" * 700]).sequences) == 2
    assert table.ask(["MKV"]).sequences == ["MKV"]
    assert list(table._codes) == ["MKV"]


@pytest.mark.parametrize("bad", ["MK1", "", None, 3, ["MKV"], {"a": "MKV"}, b"MKV", "ß"])
def test_what_is_refused_is_named_by_its_place_in_the_request(bad):
    table = KnownSequences()
    table.ask(["MKV", "GSHM"])
    for X in (["MKV", "AAA", bad], ["MKV", "GSHM", bad]):
        with pytest.raises(DataError, match=r"X\[2\] "):
            table.ask(X)
    with pytest.raises(DataError, match=r"X has 0 sequence"):
        table.ask([])
    assert table.ask(["AAA"]).sequences == ["AAA"]


def test_threads_may_ask_at_once():
    table = KnownSequences(20_000)  # so small that it is emptied again and again
    rng = np.random.default_rng(0)
    requests = [["A" * n for n in rng.integers(1, 200, 50)] for _ in range(200)]
    with ThreadPoolExecutor(4) as pool:
        for X, request in zip(requests, pool.map(table.ask, requests), strict=True):
            assert request.sequences == list(dict.fromkeys(X))


def ask_in_child(queue):
    from esmlearn.embedding._known import known_sequences

    queue.put(known_sequences.ask(["MKV", "mkv"]).sequences)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_asks_does_not_hang():
    from esmlearn.embedding._known import known_sequences

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with known_sequences._lock:
        process = context.Process(target=ask_in_child, args=(queue,))
        process.start()
    try:
        assert queue.get(timeout=60) == ["MKV"]
    finally:
        process.join(10)
        process.kill()
