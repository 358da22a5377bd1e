"""Each distinct sequence once: from the cache, computed here, or by the process that is at it.

The sequences of a namespace fall into parts by their digest. A process computes a part under a lock
on a file, which the system releases when the process dies; what others hold is left for later.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from filelock import BaseFileLock, Timeout
from tqdm import tqdm

from esmlearn.embedding._cache.embedding_cache import EmbeddingCache
from esmlearn.embedding._inference.batches import plan_batches
from esmlearn.embedding._inference.workers import run_shards
from esmlearn.embedding._models.settings import Settings
from esmlearn.embedding._request import Request
from esmlearn.exceptions import EngineError
from esmlearn.utils._optional import require_torch
from esmlearn.utils._progress import progress_bar

logger = logging.getLogger(__name__)

_SPECIAL_TOKENS = 2
_N_PARTS = 64
_BATCHES_AT_ONCE = 32  # planned together, so that equally long sequences share an attention call


@dataclass
class Job:
    """The embedding of sequences by one model: from the cache, or computed.

    Attributes
    ----------
    settings : Settings
        Model and limits; travels to the workers.
    fingerprint : str
        The namespace in the cache.
    description : dict
        Weights and settings in words.
    width : int or None
        Numbers per sequence; None without pooling.
    layers_width : int
        Numbers per residue.
    cache : EmbeddingCache or None
        Where vectors are kept.
    n_jobs : int or None
        Processes that compute.
    verbose : int
        See progress_bar.
    n_computed, n_cached : int
        Sequences that `run` put through the model, and that it found in the cache.
    """

    settings: Settings
    fingerprint: str
    description: dict[str, Any]
    width: int | None
    layers_width: int
    cache: EmbeddingCache | None
    n_jobs: int | None = None
    verbose: int = 0
    n_computed: int = field(default=0, init=False)
    n_cached: int = field(default=0, init=False)

    def run(self, request: Request) -> Any:
        """Return the vectors of the distinct sequences of a request.

        Parameters
        ----------
        request : Request
            Sequences that were checked, and their digests, by which the cache finds them.

        Returns
        -------
        vectors : ndarray of float32 of shape (n_sequences, width) or list of ndarray
            In the order of the request.
        """
        n = len(request.sequences)
        if self.cache is None:
            vectors: Any = [np.empty(0, np.float32)] * n
            if self.width is not None:
                vectors = np.empty((n, self.width), dtype=np.float32)
            missing = set(range(n))
        else:
            found, vectors = self.cache.get(self.fingerprint, request.digests, width=self.width)
            if self.width is None:
                vectors = [self._reshape(vector) for vector in vectors]
            self.n_cached = int(found.sum())
            missing = set(np.flatnonzero(~found).tolist())
        if missing:
            self._complete(request, missing, vectors)
        return vectors

    def _reshape(self, flat: np.ndarray) -> np.ndarray:
        return flat.reshape(-1, self.layers_width)

    def _complete(self, request: Request, missing: set[int], vectors: Any) -> None:
        """Compute missing sequences, and read those that other processes compute meanwhile."""
        total = sum(len(request.sequences[i]) for i in missing)
        locks = _PartLocks(self.cache, self.fingerprint)
        with (
            locks,
            progress_bar(
                total=total, description="Embedding", unit="residue", verbose=self.verbose
            ) as bar,
        ):
            while missing:
                computed = self._compute(request, missing, vectors, locks, bar)
                missing -= computed
                missing -= self._read(request, sorted(missing), vectors, bar)
                if missing and not computed:
                    locks.wait_for(_part(request.digests[min(missing)]))

    def _compute(
        self, request: Request, missing: set[int], vectors: Any, locks: "_PartLocks", bar: tqdm
    ) -> set[int]:
        """Compute what no other process is computing, and return which sequences that was."""
        computed: set[int] = set()
        batches = self._batches(request, sorted(missing), locks)
        shards = ((batch, [request.sequences[i] for i in batch]) for batch in batches)
        results = run_shards(partial(embed_shard, self.settings), shards, n_jobs=self.n_jobs)
        for batch, result in _one_behind(results):
            for index, vector in zip(batch, result, strict=True):
                self._refuse_not_finite(vector, request.sequences[index])
                vectors[index] = vector
            digests = [request.digests[i] for i in batch]
            if self.cache is not None:
                self.cache.put(self.fingerprint, digests, result, description=self.description)
            locks.done(digests)
            self.n_computed += len(batch)
            computed.update(batch)
            bar.update(sum(len(request.sequences[i]) for i in batch))
        return computed

    def _refuse_not_finite(self, vector: np.ndarray, sequence: str) -> None:
        """Raise an error instead of giving out, or storing, what is no number."""
        if not np.isfinite(vector).all():
            raise EngineError(
                f"{self.description['name']} gives NaN or infinity for the sequence "
                f"{sequence[:30]!r} of {len(sequence)} residues; expected finite numbers. "
                f"precision={self.settings.precision!r} may overflow: use 'float32' or 'bfloat16'."
            )

    def _batches(
        self, request: Request, missing: Sequence[int], locks: "_PartLocks"
    ) -> Iterator[list[int]]:
        """Yield batches of what could be locked, planned over several parts at once."""
        parts: dict[int, list[int]] = {}
        for i in missing:
            parts.setdefault(_part(request.digests[i]), []).append(i)
        chosen: list[int] = []
        n_tokens = 0
        for part in sorted(parts):
            members = locks.take(part, {request.digests[i]: i for i in parts[part]})
            chosen += members
            n_tokens += sum(len(request.sequences[i]) + _SPECIAL_TOKENS for i in members)
            if n_tokens >= _BATCHES_AT_ONCE * self.settings.budget:
                yield from self._plan(request, chosen)
                chosen, n_tokens = [], 0
        yield from self._plan(request, chosen)

    def _plan(self, request: Request, chosen: Sequence[int]) -> Iterator[list[int]]:
        chosen = sorted(chosen)  # as the request, whatever the parts
        lengths = [len(request.sequences[i]) + _SPECIAL_TOKENS for i in chosen]
        for batch in plan_batches(lengths, budget=self.settings.budget):
            yield [chosen[i] for i in batch]

    def _read(self, request: Request, missing: list[int], vectors: Any, bar: tqdm) -> set[int]:
        """Read what other processes have stored meanwhile, and return which sequences that was."""
        if self.cache is None or not missing:
            return set()
        digests = [request.digests[i] for i in missing]
        found, read = self.cache.get(self.fingerprint, digests, width=self.width)
        rows = np.flatnonzero(found).tolist()
        for row in rows:
            value = read[row] if self.width is not None else self._reshape(read[row])
            vectors[missing[row]] = value
            bar.update(len(request.sequences[missing[row]]))
        self.n_cached += len(rows)
        return {missing[row] for row in rows}


class _PartLocks:
    """Locks on the parts of a namespace; each is released when its last sequence is stored."""

    def __init__(self, cache: EmbeddingCache | None, fingerprint: str) -> None:
        self._cache, self._fingerprint = cache, fingerprint
        self._held: dict[int, BaseFileLock] = {}
        self._unstored: Counter[int] = Counter()

    def __enter__(self) -> "_PartLocks":
        return self

    def __exit__(self, *error: object) -> None:
        for part in list(self._held):
            self._release(part)

    def take(self, part: int, sequences: dict[bytes, int]) -> list[int]:
        """Lock a part, and return which of its sequences are still to be computed.

        None of them where another process holds the part; all where there can be no lock, as in a
        read-only cache, whose damaged vectors stay in its index.
        """
        if not self._acquire(part, timeout=0):
            return []
        if self._cache is not None and part in self._held:
            cached = self._cache.contains(self._fingerprint, list(sequences))
            pairs = zip(sequences.items(), cached, strict=True)
            sequences = {digest: i for (digest, i), is_cached in pairs if not is_cached}
        self._unstored[part] = len(sequences)
        if not sequences:
            self._release(part)
        return list(sequences.values())

    def done(self, digests: Sequence[bytes]) -> None:
        """Note that sequences are stored, or cannot be."""
        for digest in digests:
            part = _part(digest)
            self._unstored[part] -= 1
            if not self._unstored[part]:
                self._release(part)

    def wait_for(self, part: int) -> None:
        """Wait until no other process computes a part; no lock is held meanwhile."""
        self._acquire(part, timeout=-1)
        self._release(part)

    def _acquire(self, part: int, *, timeout: float) -> bool:
        if self._cache is None:
            return True
        lock = self._cache.compute_lock(self._fingerprint, part)
        if lock is None:
            return True
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            return False
        except (OSError, NotImplementedError) as error:
            # a disk that is full or has no locks: at worst a sequence is computed twice
            logger.warning("no lock on the embedding cache (%s)", error)
            return True
        self._held[part] = lock
        return True

    def _release(self, part: int) -> None:
        lock = self._held.pop(part, None)
        if lock is not None:
            lock.release()


def _part(digest: bytes) -> int:
    return digest[-1] % _N_PARTS


def embed_shard(settings: Settings, shard: tuple[list[int], list[str]]) -> tuple[list[int], Any]:
    """Embed a batch, in this process or a worker; torch is imported where the model runs."""
    require_torch("Running a language model")
    from esmlearn.embedding._inference.runtime import embed_sequences

    batch, sequences = shard
    return batch, embed_sequences(settings, sequences)


def _one_behind(results: Iterator[tuple[list[int], Any]]) -> Iterator[tuple[list[int], Any]]:
    """Yield vectors; those that a GPU still computes, once it has been given the next batch."""
    waiting: tuple[list[int], Any] | None = None
    for batch, vectors in results:
        if waiting is not None:
            yield waiting[0], waiting[1].result()
            waiting = None
        if isinstance(vectors, list):
            yield batch, vectors
        else:
            waiting = batch, vectors
    if waiting is not None:
        yield waiting[0], waiting[1].result()
