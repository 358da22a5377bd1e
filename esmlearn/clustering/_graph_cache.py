"""Cached homology graphs, found by the content of the set of sequences."""

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from esmlearn.clustering._graph import EDGE_ARRAYS, HomologyGraph
from esmlearn.utils._paths import atomic_write, cache_directory

_LOGGER = logging.getLogger(__name__)
_IN_MEMORY = 4
_ARRAYS = ("digests", *EDGE_ARRAYS)

# Graphs of this process, newest last: (directory, content) -> graph. Threads share it.
_MEMORY: "OrderedDict[tuple[str, str], HomologyGraph]" = OrderedDict()
_MEMORY_LOCK = threading.Lock()


def content_of(digests: NDArray[np.bytes_]) -> str:
    """Return the name of a set of sequences."""
    return f"{len(digests):09d}-{blake2b(digests.tobytes(), digest_size=16).hexdigest()}"


def _is_subset(digests: NDArray[np.bytes_], of: NDArray[np.bytes_]) -> bool:
    position = np.minimum(np.searchsorted(of, digests), len(of) - 1)
    return len(of) >= len(digests) and bool((of[position] == digests).all())


class GraphCache:
    """Graphs of one engine, version and setting, in memory and on disk.

    Parameters
    ----------
    key : str
        Names engine, version, settings and E-value.
    root : path-like or "default" or None
        Directory; None keeps graphs in this process's memory alone.
    """

    def __init__(self, key: str, root: str | os.PathLike[str] | None) -> None:
        name = blake2b(key.encode(), digest_size=12).hexdigest()
        self.directory: Path | None = None
        if root is not None:
            base = _default_root() if root == "default" else Path(root)
            self.directory = None if base is None else base / name
        self._space = name if self.directory is None else str(self.directory.absolute())

    def find(self, digests: NDArray[np.bytes_]) -> tuple[HomologyGraph, str] | None:
        """Return the graph of these sequences and where it was: ``"memory"`` or ``"disk"``."""
        content = content_of(digests)
        graph = _MEMORY.get((self._space, content))
        if graph is not None:
            return graph, "memory"
        graph = self._read(content)
        return None if graph is None else (self._remember(content, graph), "disk")

    def find_superset(self, digests: NDArray[np.bytes_]) -> tuple[HomologyGraph, str] | None:
        """Return the subgraph of the smallest cached graph that holds these sequences."""
        with _MEMORY_LOCK:
            here = sorted((c, g) for (space, c), g in _MEMORY.items() if space == self._space)
        for _, graph in here:
            if _is_subset(digests, graph.digests):
                return _subgraph(graph, digests), "memory"
        for content in self._as_large_on_disk(len(digests)):
            stored = self._load(content, ("digests",))
            if stored is None or not _is_subset(digests, stored["digests"]):
                continue
            whole = self._read(content)
            if whole is not None:
                return _subgraph(self._remember(content, whole), digests), "disk"
        return None

    def add(self, graph: HomologyGraph) -> None:
        """Keep a graph in memory and on disk."""
        self._remember(content_of(graph.digests), graph)
        self.write(graph)

    def write(self, graph: HomologyGraph) -> None:
        """Keep a graph on disk; a failure costs a warning in the log, no result."""
        content = content_of(graph.digests)
        if self.directory is None:
            return
        arrays = {name: getattr(graph, name) for name in _ARRAYS}
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            with atomic_write(self._path(content)) as temporary:
                np.savez(temporary, **arrays)
        except OSError as error:
            _LOGGER.warning("the homology graph could not be cached: %s", error)

    def remove(self, digests: NDArray[np.bytes_]) -> None:
        """Forget the graph of these sequences."""
        content = content_of(digests)
        with _MEMORY_LOCK:
            _MEMORY.pop((self._space, content), None)
        if self.directory is not None:
            _remove(self._path(content))

    @contextmanager
    def lock(self, digests: NDArray[np.bytes_]) -> Iterator[None]:
        """Hold the right to search these sequences; another process waits and then finds them.

        The system releases the lock when its owner dies. Where there are no locks, two processes
        may search the same graph twice; files are replaced as a whole, so that either one's is
        right.
        """
        with ExitStack() as held:
            if self.directory is not None and self._is_writable(self.directory):
                path = self.directory / f"{content_of(digests)}.lock"
                try:
                    held.enter_context(FileLock(path, mode=0o600))
                    # Before the lock is released: a process that waits sees that the file is gone
                    # and locks a new one.
                    held.callback(_remove, path)
                except OSError as error:
                    message = "%s cannot be locked (%s): another process may search the same graph"
                    _LOGGER.warning(message, path, error)
            yield

    def _is_writable(self, directory: Path) -> bool:
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            _LOGGER.warning("homology graphs cannot be cached: %s", error)
            return False
        return os.access(directory, os.W_OK)

    def _path(self, content: str) -> Path:
        assert self.directory is not None
        return self.directory / f"{content}.npz"

    def _remember(self, content: str, graph: HomologyGraph) -> HomologyGraph:
        with _MEMORY_LOCK:
            _MEMORY[self._space, content] = graph
            _MEMORY.move_to_end((self._space, content))
            while len(_MEMORY) > _IN_MEMORY:
                _MEMORY.popitem(last=False)
        return graph

    def _as_large_on_disk(self, n_nodes: int) -> list[str]:
        if self.directory is None or not self.directory.is_dir():
            return []
        names = sorted(path.stem for path in self.directory.glob("*-*.npz"))
        return [name for name in names if name.split("-")[0] >= f"{n_nodes:09d}"]

    def _read(self, content: str) -> HomologyGraph | None:
        arrays = self._load(content, _ARRAYS)
        return None if arrays is None else HomologyGraph(**arrays)

    def _load(self, content: str, names: tuple[str, ...]) -> dict[str, Any] | None:
        """Return arrays of a graph on disk; set a damaged file aside, so that it is made again."""
        if self.directory is None:
            return None
        path = self._path(content)
        try:
            # np.load alone leaves a file open that is no archive.
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = {name: file[name] for name in names}
            digests, edges = arrays["digests"], arrays.get("edges", np.zeros(0))
            if content_of(digests) != content or edges.max(initial=-1) >= len(digests):
                raise ValueError("its content is not what its name says")
        except FileNotFoundError:
            return None
        # A flipped bit makes zipfile and NumPy raise nearly anything, even NotImplementedError.
        except Exception as error:
            _LOGGER.warning("the cached graph %s is damaged (%s); searching again", path, error)
            if not isinstance(error, OSError):
                with suppress(OSError):
                    path.replace(path.with_suffix(".damaged"))
            return None
        return arrays


def _default_root() -> Path | None:
    """Return the directory of cached graphs, or None where none can be made."""
    try:
        return cache_directory("graphs")
    except OSError as error:
        _LOGGER.warning("homology graphs cannot be cached: %s", error)
        return None


def _remove(path: Path) -> None:
    """Remove a file if it is there and can be removed."""
    with suppress(OSError):
        path.unlink()


def _subgraph(graph: HomologyGraph, digests: NDArray[np.bytes_]) -> HomologyGraph:
    return graph.induced(np.searchsorted(graph.digests, digests))


def record_search(engine: str, n_queries: int, n_targets: int, seconds: float) -> None:
    """Append one line to the list of searches."""
    line = f"{time.time():.3f}\t{os.getpid()}\t{engine}\t{n_queries}\t{n_targets}\t{seconds:.3f}\n"
    try:
        with (cache_directory("graphs") / "searches.tsv").open("a", encoding="ascii") as file:
            file.write(line)
    except OSError as error:
        _LOGGER.warning("the search could not be recorded: %s", error)


def count_searches() -> int:
    """Return how many searches for graphs were run, by any process that shares the cache.

    Returns
    -------
    n_searches : int
        Lines of ``graphs/searches.tsv`` in the cache directory: time, process, engine, number of
        queries and targets, seconds.

    Examples
    --------
    >>> from esmlearn.clustering import count_searches, homology_graph
    >>> before = count_searches()
    >>> graph = homology_graph(["MKVLATGGARQWEDSTHNPYF", "ACDEFGHIKLMNPQRSTVWY"])
    >>> again = homology_graph(["ACDEFGHIKLMNPQRSTVWY"])
    >>> count_searches() - before <= 1
    True
    """
    path = cache_directory("graphs") / "searches.tsv"
    return len(path.read_text(encoding="ascii").splitlines()) if path.exists() else 0
