"""Each distinct sequence once: from the cache, from here, or from the process that is at it."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from esmlearn.embedding._batching import plan_batches
from esmlearn.embedding._cache import EmbeddingCache
from esmlearn.embedding._cache_notes import MANY
from esmlearn.embedding._digests import Digests
from esmlearn.embedding._request import Request
from esmlearn.embedding._settings import Settings
from esmlearn.embedding._shards import run_shards
from esmlearn.utils._progress import progress_bar

_SPECIAL_TOKENS = 2
_POLL_SECONDS = (0.02, 0.5)


@dataclass
class Job:
    """Sequences to embed in one space, and how.

    Attributes
    ----------
    settings : Settings
        Travels to the workers.
    fingerprint : str
        The space in the cache.
    description : dict
        What the fingerprint stands for.
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
        """Return the vectors of distinct sequences.

        Parameters
        ----------
        request : Request
            Sequences that were checked, and their digests, by which the cache knows them.

        Returns
        -------
        vectors : ndarray of float32 of shape (n_sequences, width) or list of ndarray
            In the order given.
        """
        digests = request.digests
        if self.cache is None:
            sequences = request.sequences
            vectors = self._empty(len(sequences))
            everything = list(range(len(sequences)))
            for batch, result in self._compute(sequences, self._plan(sequences, everything)):
                self._fill(vectors, batch, result)
            return vectors
        found, vectors = self.cache.get(self.fingerprint, digests, width=self.width)
        if self.width is None:
            vectors = [self._shape(v) for v in vectors]
        self.n_cached = int(found.sum())
        if not found.all():
            missing = np.flatnonzero(~found).tolist()
            self._complete(request.sequences, digests, missing, vectors)
            if self.width is not None and self.n_computed >= MANY:
                self.cache.arrange(self.fingerprint, digests)
                self.cache.note_places(self.fingerprint, digests)
        return vectors

    def _empty(self, number: int) -> Any:
        if self.width is None:
            return [np.empty(0, np.float32)] * number
        return np.empty((number, self.width), dtype=np.float32)

    def _shape(self, flat: np.ndarray) -> np.ndarray:
        return flat.reshape(-1, self.layers_width)

    def _fill(self, vectors: Any, batch: Sequence[int], result: Sequence[np.ndarray]) -> None:
        for index, vector in zip(batch, result, strict=True):
            vectors[index] = vector

    def _plan(self, sequences: Sequence[str], missing: Sequence[int]) -> list[list[int]]:
        lengths = [len(sequences[i]) + _SPECIAL_TOKENS for i in missing]
        batches = plan_batches(lengths, budget=self.settings.budget)
        return [[missing[i] for i in batch] for batch in batches]

    # Computing -----------------------------------------------------------------------------------

    def _compute(
        self,
        sequences: Sequence[str],
        batches: Sequence[list[int]],
        claim: Callable[[list[int]], list[int]] = lambda batch: batch,
    ) -> Iterator[tuple[list[int], list[np.ndarray]]]:
        """Yield batches and their vectors as they are ready; `claim` may shorten a batch."""
        total = sum(len(sequences[i]) for batch in batches for i in batch)
        with progress_bar(
            total=total, description="Embedding", unit="residue", verbose=self.verbose
        ) as bar:

            def claimed() -> Iterator[list[int]]:
                for batch in batches:
                    mine = claim(batch)
                    bar.update(sum(len(sequences[i]) for i in set(batch) - set(mine)))
                    if mine:
                        yield mine

            for batch, result in self._map(sequences, claimed()):
                self.n_computed += len(batch)
                bar.update(sum(len(sequences[i]) for i in batch))
                yield batch, result

    def _map(
        self, sequences: Sequence[str], batches: Iterator[list[int]]
    ) -> Iterator[tuple[list[int], list[np.ndarray]]]:
        shards = ((batch, [sequences[i] for i in batch]) for batch in batches)
        results = run_shards(partial(embed_shard, self.settings), shards, n_jobs=self.n_jobs)
        return _one_behind(results)

    # With other processes ------------------------------------------------------------------------

    def _complete(
        self,
        sequences: Sequence[str],
        digests: Digests,
        missing: list[int],
        vectors: Any,
    ) -> None:
        """Compute what no other process computes, and wait for what others do."""
        assert self.cache is not None
        pause = _POLL_SECONDS[0]
        with self.cache.keep_claims() as owner:
            while missing:
                done = self._compute_claimed(owner, sequences, digests, missing, vectors)
                waiting = [i for i in missing if i not in done]
                missing = self._read(digests, waiting, vectors)
                if missing and not done:
                    time.sleep(pause)
                    pause = min(2 * pause, _POLL_SECONDS[1])

    def _compute_claimed(
        self,
        owner: str,
        sequences: Sequence[str],
        digests: Digests,
        missing: Sequence[int],
        vectors: Any,
    ) -> set[int]:
        cache = self.cache
        assert cache is not None
        held: set[int] = set()
        done: set[int] = set()
        stored: set[int] = set()

        def claim(batch: list[int]) -> list[int]:
            taken = cache.claim(
                self.fingerprint, digests[batch], owner=owner, description=self.description
            )
            mine = [i for i, is_mine in zip(batch, taken, strict=True) if is_mine]
            held.update(mine)
            return mine

        try:
            plan = self._plan(sequences, missing)
            for batch, result in self._compute(sequences, plan, claim):
                self._fill(vectors, batch, result)
                names = digests[batch]
                if cache.put(self.fingerprint, names, result, description=self.description):
                    stored.update(batch)
                done.update(batch)
        finally:
            if held - stored:
                cache.release(self.fingerprint, digests[sorted(held - stored)], owner=owner)
        return done

    def _read(self, digests: Digests, waiting: Sequence[int], vectors: Any) -> list[int]:
        """Read what others have stored meanwhile and return what is still missing."""
        assert self.cache is not None
        if not waiting:
            return []
        found, read = self.cache.get(self.fingerprint, digests[waiting], width=self.width)
        for position in np.flatnonzero(found).tolist():
            value = read[position] if self.width else self._shape(read[position])
            vectors[waiting[position]] = value
        self.n_cached += int(found.sum())
        return [waiting[i] for i in np.flatnonzero(~found).tolist()]


def embed_shard(settings: Settings, shard: tuple[list[int], list[str]]) -> tuple[list[int], Any]:
    """Embed a batch, in this process or a worker; torch is imported where the model runs."""
    from esmlearn.embedding._runtime import embed_sequences

    batch, sequences = shard
    return batch, embed_sequences(settings, sequences)


def _one_behind(results: Iterator[tuple[list[int], Any]]) -> Iterator[tuple[list[int], Any]]:
    """Yield vectors; what a GPU still works on, when it has been given the next batch."""
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
