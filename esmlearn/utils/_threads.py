"""Threads for functions that release the interpreter's lock."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


def map_in_threads(function: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """Call a function with every part at once, with the last in this thread.

    This thread has memory at hand that a new one would have to ask the system for.

    Parameters
    ----------
    function : callable
        Called once per part.
    parts : sequence
        As many as there are to be threads; at least one.

    Returns
    -------
    results : list
        Of the parts, in their order.
    """
    *others, mine = parts
    if not others:
        return [function(mine)]
    with ThreadPoolExecutor(len(others)) as pool:
        begun = [pool.submit(function, part) for part in others]
        result = function(mine)
        return [*(future.result() for future in begun), result]
