"""Results of joblib's workers one by one."""

from collections.abc import Iterable, Iterator
from typing import Any

from joblib import Parallel
from joblib.parallel import get_active_backend

__all__ = ["iterate_results"]


def iterate_results(
    tasks: Iterable[Any], *, n_jobs: int | None, ordered: bool = True
) -> Iterator[Any]:
    """Yield the results of tasks as they are ready.

    Parameters
    ----------
    tasks : iterable of joblib.delayed
        What to do.
    n_jobs : int or None
        As in joblib: None is one, or what ``joblib.parallel_config`` says.
    ordered : bool, default=True
        Whether results come in the order of the tasks.

    Yields
    ------
    result : object
        One per task. A backend that cannot return results one by one (multiprocessing) returns
        them all at the end.
    """
    as_ready = "generator" if ordered else "generator_unordered"
    backend, _ = get_active_backend()
    parallel = Parallel(
        n_jobs=n_jobs, return_as=as_ready if backend.supports_return_generator else "list"
    )
    yield from parallel(tasks)
