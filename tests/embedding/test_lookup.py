"""Digests found among others, as a dictionary would find them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esmlearn.embedding._digests import Digests
from esmlearn.embedding._lookup import Lookup, Memory

half = st.integers(0, 3).map(lambda n: bytes([n >> 1]) + bytes(6) + bytes([n & 1]))
digest = st.tuples(half, half).map(b"".join)  # of which many begin alike


@given(stored=st.lists(digest, unique=True), asked=st.lists(digest))
def test_each_digest_is_found_where_it_is(stored, asked):
    lookup = Lookup.of_rows((d, i, 0, 0, 0) for i, d in enumerate(stored))
    asked_for = Digests.of(asked)
    for _ in range(2):  # the second time from memory
        places = lookup.find(asked_for)
        for name, place in zip(asked, places.tolist(), strict=True):
            assert (place >= 0) == (name in stored)
            if place >= 0:
                assert stored[lookup.entries[place, 0]] == name


def test_digests_are_bytes_side_by_side():
    names = [bytes([i]) * 16 for i in (3, 1, 2)]
    digests = Digests.of(names)
    assert list(digests) == digests.tolist() == names
    assert len(digests) == 3
    assert digests[[2, 0]].tolist() == [names[2], names[0]]
    assert digests[np.array([True, False, True])].tolist() == [names[0], names[2]]
    assert digests[1:].followed_by(names[0]).tolist() == [names[1], names[2], names[0]]
    assert np.argsort(digests.words[:, 0]).tolist() == [1, 2, 0]
    assert Digests.of(digests) is digests
    with pytest.raises(ValueError, match="17 bytes"):
        Digests(bytes(17))


def test_memory_keeps_the_spaces_asked_for_last(monkeypatch):
    monkeypatch.setattr("esmlearn.embedding._lookup.MAX_REMEMBERED", 5)
    memory = Memory()
    lookups = [Lookup(Digests(bytes(16 * n)), np.zeros((n, 4), np.int64)) for n in (2, 2, 2, 9)]
    for name, lookup in zip("abc", lookups, strict=False):
        memory.remember(Path(name), 1, lookup)
        if name == "b":
            assert memory.recall(Path("a"), 1) is lookups[0]
    assert [memory.recall(Path(name), 1) is not None for name in "abc"] == [True, False, True]
    assert memory.recall(Path("a"), 2) is None
    memory.remember(Path("d"), 1, lookups[3])
    assert memory.recall(Path("d"), 1) is None
