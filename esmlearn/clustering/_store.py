"""Cached graphs: found again by what was searched, not by who asked."""

import logging
import os
import threading
import time
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esmlearn.clustering._graph import _EDGE_ARRAYS, HomologyGraph
from esmlearn.utils._paths import atomic_write, cache_directory

_LOGGER = logging.getLogger(__name__)
_IN_MEMORY = 4
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile)

# Graphs of this process, newest last: (directory, content) -> graph. Threads share it.
_MEMORY: "OrderedDict[tuple[str, str], HomologyGraph]" = OrderedDict()
_MEMORY_LOCK = threading.Lock()


def content_of(digests: NDArray[np.bytes_]) -> str:
    """Return the name of a set of sequences."""
    return f"{len(digests):09d}-{blake2b(digests.tobytes(), digest_size=16).hexdigest()}"


def _is_subset(digests: NDArray[np.bytes_], of: NDArray[np.bytes_]) -> bool:
    position = np.minimum(np.searchsorted(of, digests), len(of) - 1)
    return len(of) >= len(digests) and bool((of[position] == digests).all())


class GraphStore:
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
            stored = self._read_digests(content)
            if stored is None or not _is_subset(digests, stored):
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
        """Keep a graph on disk; where that fails it costs a warning in the log, no result."""
        content = content_of(graph.digests)
        if self.directory is None:
            return
        arrays = {name: getattr(graph, name) for name in ("digests", *_EDGE_ARRAYS)}
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
            with suppress(OSError):
                self._path(content).unlink()

    @contextmanager
    def lock(self, digests: NDArray[np.bytes_]) -> Iterator[None]:
        """Hold the right to search these sequences; another process waits and then finds them."""
        if self.directory is None or not self._is_writable(self.directory):
            yield
            return
        with _file_lock(self.directory / f"{content_of(digests)}.lock"):
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

    def _read_digests(self, content: str) -> NDArray[np.bytes_] | None:
        try:
            with _open_arrays(self._path(content)) as file:
                return file["digests"]
        except _UNREADABLE:
            return None

    def _read(self, content: str) -> HomologyGraph | None:
        if self.directory is None or not self._path(content).exists():
            return None
        try:
            with _open_arrays(self._path(content)) as file:
                graph = HomologyGraph(**{n: file[n] for n in ("digests", *_EDGE_ARRAYS)})
            if content_of(graph.digests) != content or graph.edges.max(initial=-1) >= graph.n_nodes:
                raise ValueError("its content is not what its name says")
        except _UNREADABLE as error:
            _LOGGER.warning(
                "the cached graph %s is damaged (%s); searching again", self._path(content), error
            )
            return None
        return graph


def _default_root() -> Path | None:
    """Return the directory of cached graphs, or None where none can be made."""
    try:
        return cache_directory("graphs")
    except OSError as error:
        _LOGGER.warning("homology graphs cannot be cached: %s", error)
        return None


@contextmanager
def _open_arrays(path: Path) -> Iterator[Any]:
    """Open an npz file; unlike `np.load` alone this also closes one that turns out to be none."""
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        yield file


def _subgraph(graph: HomologyGraph, digests: NDArray[np.bytes_]) -> HomologyGraph:
    return graph._induced(np.searchsorted(graph.digests, digests))


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    """Hold an advisory lock that the system releases when its owner dies.

    Where there are none (Windows, some network file systems), two processes may search the same
    graph twice; files are replaced as a whole, so that either one's is right.
    """
    try:
        handle = _locked(path)
    except OSError as error:
        _LOGGER.warning(
            "%s cannot be locked (%s): another process may search the same graph", path, error
        )
        handle = None
    if handle is None:
        yield
        return
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _locked(path: Path) -> int | None:
    """Return the handle of the file once it is locked, or None on a system without locks."""
    try:
        import fcntl
    except ImportError:
        return None
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except BaseException:
            os.close(handle)
            raise
        # The last owner removes the file; a lock on a removed file excludes nobody.
        if _is_same_file(handle, path):
            return handle
        os.close(handle)


def _is_same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


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
