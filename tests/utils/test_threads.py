"""Parts of a job in threads: results in order, the last part here, errors passed on."""

from threading import Barrier, current_thread

import pytest

from esmlearn.utils._threads import map_in_threads


@pytest.mark.parametrize("n", [1, 2, 5])
def test_parts_run_at_once_and_the_last_of_them_here(n):
    barrier = Barrier(n, timeout=60)

    def work(part):
        barrier.wait()
        return part, current_thread()

    parts, threads = zip(*map_in_threads(work, range(n)), strict=True)
    assert parts == tuple(range(n))
    assert len(set(threads)) == n
    assert threads[-1] is current_thread()


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_the_error_of_any_part_is_passed_on(bad):
    done = []

    def work(part):
        if part == bad:
            raise KeyError(part)
        done.append(part)

    with pytest.raises(KeyError, match=str(bad)):
        map_in_threads(work, range(3))
    assert sorted(done) == [part for part in range(3) if part != bad]
