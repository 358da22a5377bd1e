"""Shards of work on joblib's workers; the shard of a worker that dies is done again."""

import itertools
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from typing import Any

import joblib
from joblib.parallel import get_active_backend

from esmlearn.exceptions import EngineError

MAX_TRIES = 3
_AHEAD = 2  # shards per worker that are under way, so that none waits for the next

Work = Callable[[Any], Any]


def run_shards(work: Work, shards: Iterable[Any], *, n_jobs: int | None) -> Iterator[Any]:
    """Run shards in this process or on workers, and yield results as they are ready.

    Parameters
    ----------
    work : callable
        Takes a shard; it travels to the workers, so it must pickle.
    shards : iterable
        What to do, taken bit by bit as workers get free.
    n_jobs : int or None
        As in joblib: None is one, or what ``joblib.parallel_config`` says.

    Yields
    ------
    result : object
        In any order.

    Raises
    ------
    EngineError
        If a shard's worker dies again and again, or the backend cannot return results one by one.
    """
    backend, _ = get_active_backend()
    kind = type(backend).__name__
    if n_jobs != 1 and kind == "DaskDistributedBackend":
        return _on_dask(backend, work, iter(shards))
    if joblib.effective_n_jobs(n_jobs) == 1:
        return map(work, shards)
    if kind == "RayBackend":
        return _on_ray(backend, work, iter(shards), joblib.effective_n_jobs(n_jobs))
    if not backend.supports_return_generator:
        raise EngineError(
            f"joblib's backend {kind} cannot return results one by one; expected loky, threading, "
            f"dask or ray in joblib.parallel_config."
        )
    return _on_joblib(work, _Ledger(shards), n_jobs)


# Loky --------------------------------------------------------------------------------------------


def _on_joblib(work: Work, ledger: "_Ledger", n_jobs: int | None) -> Iterator[Any]:
    """A dead worker breaks loky's whole executor; what was under way is begun again in another."""
    while not ledger.is_empty():
        parallel = joblib.Parallel(
            n_jobs=n_jobs,
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch=f"{_AHEAD} * n_jobs",
        )
        tasks = (joblib.delayed(_numbered)(work, number, shard) for number, shard in ledger)
        try:
            for number, result in parallel(tasks):
                ledger.give_back(number)
                yield result
            ledger.begin_again(None)
        except BrokenExecutor as error:
            ledger.begin_again(error)


def _numbered(work: Work, number: int, shard: Any) -> tuple[int, Any]:
    return number, work(shard)


class _Ledger:
    """Hands out shards, to joblib's threads too, and keeps those that have not come back."""

    def __init__(self, shards: Iterable[Any]) -> None:
        self._new = enumerate(shards)
        self._lock = threading.Lock()
        self._out: dict[int, Any] = {}
        self._again: deque[tuple[int, Any]] = deque()
        self._tries: Counter[int] = Counter()

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        return self

    def __next__(self) -> tuple[int, Any]:
        with self._lock:
            number, shard = self._again.popleft() if self._again else next(self._new)
            self._out[number] = shard
            return number, shard

    def give_back(self, number: int) -> None:
        """Note that a shard is done."""
        with self._lock:
            del self._out[number]

    def begin_again(self, error: Exception | None) -> None:
        """Put what did not come back in front of what is new, unless it was tried too often."""
        with self._lock:
            self._again.extend(sorted(self._out.items()))
            self._tries.update(self._out.keys())
            self._out.clear()
        worst = max(self._tries.values(), default=0)
        if worst >= MAX_TRIES:
            raise too_often(worst) from error

    def is_empty(self) -> bool:
        """Look whether anything is left to do."""
        with self._lock:
            if self._again:
                return False
            self._again.extend(itertools.islice(self._new, 1))
            return not self._again


def too_often(n_tries: int) -> EngineError:
    """Return the one error of workers that die of the same work."""
    return EngineError(
        f"Worker processes died {n_tries} times at the same sequences; expected them to live. They "
        f"may have run out of memory: pass a smaller batch_residues, or fewer workers. What was "
        f"finished is in the cache."
    )


# Dask --------------------------------------------------------------------------------------------


def _on_dask(backend: Any, work: Work, shards: Iterator[Any]) -> Iterator[Any]:
    """Go to the scheduler itself: joblib waits for ever for a task that the scheduler gives up."""
    from distributed import KilledWorker, as_completed, get_worker

    try:
        get_worker()
    except ValueError:
        pass
    else:  # a task of the cluster: its other workers have tasks of their own
        yield from map(work, shards)
        return
    client = backend.client
    backend.effective_n_jobs(-1)  # waits for workers that are about to come
    running = as_completed(with_results=True, raise_errors=False)
    begun: dict[Any, None] = {}

    def fill() -> None:
        wanted = _AHEAD * max(1, sum(client.ncores().values())) - len(begun)
        for shard in itertools.islice(shards, max(wanted, 0)):
            future = client.submit(work, shard, pure=False, **backend.submit_kwargs)
            begun[future] = None
            running.add(future)

    try:
        fill()
        for future, result in running:
            del begun[future]
            if future.status != "finished":
                _, error, trace = result
                if isinstance(error, KilledWorker):
                    raise too_often(int(error.allowed_failures) + 1) from error
                raise error.with_traceback(trace)
            fill()
            yield result
    finally:
        client.cancel(list(begun))


# Ray ---------------------------------------------------------------------------------------------


def _on_ray(backend: Any, work: Work, shards: Iterator[Any], n_workers: int) -> Iterator[Any]:
    """Go to Ray itself: its pool for joblib loses all that it had when a worker dies."""
    import ray

    options = {"max_retries": MAX_TRIES - 1, **(backend.ray_remote_args or {})}
    task = ray.remote(**options)(_call)
    running: list[Any] = []
    try:
        while True:
            wanted = _AHEAD * n_workers - len(running)
            running += [task.remote(work, shard) for shard in itertools.islice(shards, wanted)]
            if not running:
                return
            ready, running = ray.wait(running)
            yield _ray_result(ray, ready[0])
    finally:
        for reference in running:
            ray.cancel(reference)


def _call(work: Work, shard: Any) -> Any:
    return work(shard)


def _ray_result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.WorkerCrashedError as error:
        raise too_often(MAX_TRIES) from error
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error  # what was raised in the worker, as it was raised
