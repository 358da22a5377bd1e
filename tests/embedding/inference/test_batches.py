from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from esmlearn.embedding._inference.batches import plan_batches, windows


@given(st.lists(st.integers(3, 2000), max_size=60), st.integers(1, 5000))
def test_every_sequence_is_in_one_batch_within_the_budget(lengths, budget):
    batches = plan_batches(lengths, budget=budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or sum(lengths[i] for i in batch) <= budget


@given(st.lists(st.integers(3, 2000), max_size=60), st.integers(1, 5000))
def test_the_longest_come_first(lengths, budget):
    order = [lengths[i] for batch in plan_batches(lengths, budget=budget) for i in batch]
    assert order == sorted(lengths, reverse=True)


@given(st.integers(1, 40_000), st.integers(2, 1022), st.integers(0, 600))
def test_windows_cover_the_sequence_and_overlap(length, window, overlap):
    parts = windows(length, window=window, policy="window", overlap=overlap)
    assert parts[0][0] == 0
    assert parts[-1][1] == length
    assert all(stop - start == min(window, length) for start, stop in parts)
    for (_, stop), (start, _) in pairwise(parts):
        assert stop - start >= min(overlap, window // 2)


def test_other_policies_take_one_part():
    assert windows(3000, window=1022, policy="truncate") == [(0, 1022)]
    assert windows(3000, window=1022, policy="whole") == [(0, 3000)]
    assert windows(3000, window=1022, policy="window")[1][0] == 659
