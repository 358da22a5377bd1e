"""The corpus in memory, one array of tokens, and the training batches cut from it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

# The vocabulary of ESM-2 (fair-esm's alphabet "ESM-1b"); a token is a position in this list.
VOCABULARY = (
    *("<cls>", "<pad>", "<eos>", "<unk>"),
    *"LAGVSERTIDPKQNFYMHWCXBUZO.-",
    *("<null_1>", "<mask>"),
)
CLS, EOS, MASK = 0, 2, 32
FIRST_RESIDUE, N_RESIDUES = 4, 20  # the twenty standard residues are tokens 4 to 23

_TOKEN_OF_LETTER = np.full(256, VOCABULARY.index("X"), dtype=np.uint8)
for _token, _letter in enumerate(VOCABULARY):
    if len(_letter) == 1:
        _TOKEN_OF_LETTER[ord(_letter)] = _token


@dataclass(frozen=True)
class TokenSequences:
    """Sequences with ``<cls>`` and ``<eos>`` around each, end to end in one uint8 array.

    Attributes
    ----------
    tokens : uint8 array
    offsets : int64 array of n_sequences + 1; sequence i is ``tokens[offsets[i]:offsets[i + 1]]``.
    """

    tokens: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens per sequence, ``<cls>`` and ``<eos>`` counted."""
        return np.diff(self.offsets)

    @property
    def n_residues(self) -> int:
        return len(self.tokens) - 2 * len(self)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.tokens[self.offsets[row] : self.offsets[row + 1]]


def encode(sequences: Iterable[str]) -> TokenSequences:
    """Encode strings of residues; what the vocabulary lacks becomes X."""
    parts, lengths = [], []
    for sequence in sequences:
        residues = _TOKEN_OF_LETTER[np.frombuffer(sequence.encode("ascii"), dtype=np.uint8)]
        parts.append(np.concatenate(([CLS], residues, [EOS])).astype(np.uint8))
        lengths.append(len(parts[-1]))
    return TokenSequences(np.concatenate(parts), np.concatenate(([0], np.cumsum(lengths))))


def decode(sequences: TokenSequences) -> list[str]:
    """The strings that `encode` was given, X where the vocabulary lacked a letter."""
    letters = np.frombuffer(
        "".join(t if len(t) == 1 else "?" for t in VOCABULARY).encode(), np.uint8
    )
    text = letters[sequences.tokens].tobytes().decode("ascii")
    return [text[a + 1 : b - 1] for a, b in pairwise(sequences.offsets.tolist())]


@dataclass(frozen=True)
class Corpus:
    """Training sequences, held-out sequences (one per family), and how they were made."""

    training: TokenSequences
    held_out: TokenSequences
    description: dict[str, object]

    def save(self, path: str | Path) -> None:
        """Write everything into one ``.npz`` file."""
        np.savez(
            path,
            training_tokens=self.training.tokens,
            training_offsets=self.training.offsets,
            held_out_tokens=self.held_out.tokens,
            held_out_offsets=self.held_out.offsets,
            description=np.array(json.dumps(self.description)),
        )

    @classmethod
    def load(cls, path: str | Path) -> Corpus:
        """Read a file written by `save`."""
        with np.load(path) as file:
            return cls(
                training=TokenSequences(file["training_tokens"], file["training_offsets"]),
                held_out=TokenSequences(file["held_out_tokens"], file["held_out_offsets"]),
                description=json.loads(str(file["description"])),
            )


@dataclass(frozen=True)
class Position:
    """Where training stands in the corpus; counts from 0."""

    epoch: int = 0
    shard: int = 0
    batch: int = 0


class Batch(NamedTuple):
    """Windows of one length: tokens (n_windows, length), and the sequence each was cut from.

    Where two windows are taken of each sequence, the second half of the rows repeats the first.
    """

    rows: np.ndarray
    tokens: np.ndarray


@dataclass(frozen=True)
class BatchPlan:
    """Which training batch comes at which `Position`: a pure function of these settings.

    An epoch is a permutation of the sequences, or of ``rows`` if some are chosen (or some more
    often than others), cut into shards. In a shard a random window of at most ``crop`` tokens is
    taken of each sequence, or ``n_windows`` that do not overlap; the windows are ordered by length,
    and cut to the shortest of their batch, so that there is no padding. No state is kept: after a
    restart the same `Position` gives the same batch.
    """

    sequences: TokenSequences
    crop: int = 256
    tokens_per_batch: int = 8192
    sequences_per_shard: int = 4096
    seed: int = 0
    rows: np.ndarray | None = None
    n_windows: int = 1

    @property
    def n_sequences(self) -> int:
        """Sequences in an epoch."""
        return len(self.sequences if self.rows is None else self.rows)

    @property
    def n_shards(self) -> int:
        return -(-self.n_sequences // self.sequences_per_shard)

    def iterate(self, position: Position) -> Iterator[tuple[Position, Batch]]:
        """Yield, without end, the position *after* each batch and the batch."""
        epoch, shard, first = position.epoch, position.shard, position.batch
        while True:
            for number, batch in enumerate(self.shard(epoch, shard)):
                if number >= first:
                    yield Position(epoch, shard, number + 1), batch
            shard, first = shard + 1, 0
            if shard == self.n_shards:
                epoch, shard = epoch + 1, 0

    def shard(self, epoch: int, shard: int) -> list[Batch]:
        """All batches of one shard, in the order of training."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.n_sequences)
        first = shard * self.sequences_per_shard
        rows = order[first : first + self.sequences_per_shard]
        if self.rows is not None:
            rows = self.rows[rows]
        rng = np.random.default_rng([self.seed, epoch, shard])
        available = self.sequences.lengths[rows]
        window = np.minimum(available // self.n_windows, self.crop)
        by_length = np.argsort(window, kind="stable")
        rows, available, window = rows[by_length], available[by_length], window[by_length]
        batches = []
        start = 0
        while start < len(rows):
            length = int(window[start])
            stop = start + max(1, self.tokens_per_batch // (self.n_windows * length))
            tokens = self._cut(rows[start:stop], available[start:stop], length, rng)
            batches.append(Batch(np.tile(rows[start:stop], self.n_windows), tokens))
            start = stop
        return [batches[i] for i in rng.permutation(len(batches))]

    def _cut(
        self, rows: np.ndarray, available: np.ndarray, length: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Random windows (n_windows * n_rows, length); those of one row in random order."""
        spare = available - self.n_windows * length
        before = np.sort(rng.integers(0, spare + 1, (self.n_windows, len(rows))), axis=0)
        starts = before + length * np.arange(self.n_windows)[:, None]
        starts = self.sequences.offsets[rows] + rng.permuted(starts, axis=0)
        return self.sequences.tokens[starts.reshape(-1, 1) + np.arange(length)]


def mask_tokens(
    tokens: np.ndarray, rng: np.random.Generator, *, rate: float = 0.15
) -> tuple[np.ndarray, np.ndarray]:
    """Choose residues to predict, and corrupt them as BERT and ESM-2 do.

    Returns
    -------
    corrupted : array like ``tokens``
        Of the chosen residues 80 % are ``<mask>``, 10 % a random residue, 10 % unchanged.
    chosen : bool array
        Only standard residues are chosen.
    """
    standard = (tokens >= FIRST_RESIDUE) & (tokens < FIRST_RESIDUE + N_RESIDUES)
    chosen = standard & (rng.random(tokens.shape, dtype=np.float32) < rate)
    fate = rng.random(tokens.shape, dtype=np.float32)
    random_residues = rng.integers(
        FIRST_RESIDUE, FIRST_RESIDUE + N_RESIDUES, tokens.shape, dtype=np.uint8
    )
    corrupted = np.where(chosen & (fate < 0.8), np.uint8(MASK), tokens)
    return np.where(chosen & (fate >= 0.9), random_residues, corrupted), chosen


def mask_all(
    tokens: np.ndarray, rng: np.random.Generator, *, rate: float = 0.15
) -> tuple[np.ndarray, np.ndarray]:
    """Choose residues as `mask_tokens` does, and mask every one of them."""
    _, chosen = mask_tokens(tokens, rng, rate=rate)
    return np.where(chosen, np.uint8(MASK), tokens), chosen
