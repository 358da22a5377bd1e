"""Window pooling: the states of windows become one vector per protein, copied from the device."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from esmlearn.embedding._models.catalog import Encoder
from esmlearn.embedding._models.settings import Settings


@dataclass(frozen=True)
class Part:
    """A window of a sequence on its way through the model."""

    owner: int
    start: int
    tokens: np.ndarray


@dataclass(frozen=True)
class _Transfer:
    """Vectors one behind the other, which are on the host when the event has happened."""

    owners: list[int]
    shapes: list[torch.Size]
    host: Tensor
    event: Any  # torch.cuda.Event, or None where they are there already

    def wait(self) -> list[np.ndarray]:
        if self.event is None:
            flat = self.host.numpy()
        else:
            self.event.synchronize()
            flat = self.host.numpy().copy()  # pinned memory is scarce
        stops = np.cumsum([math.prod(shape) for shape in self.shapes])
        parts = np.split(flat, stops[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]


class AsynchronousCopy:
    """Vectors that may still be on their way from a GPU, which goes on meanwhile.

    Another process gets them as the list that they are when they have come.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._transfers: list[_Transfer] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self.result(),)

    @property
    def is_under_way(self) -> bool:
        """True while a copy has not ended."""
        return any(transfer.event is not None for transfer in self._transfers)

    def send(self, vectors: dict[int, Tensor]) -> None:
        """Set vectors under way, by the number of their protein."""
        if not vectors:
            return
        host, event = _to_host(torch.cat([vector.reshape(-1) for vector in vectors.values()]))
        shapes = [vector.shape for vector in vectors.values()]
        self._transfers.append(_Transfer(list(vectors), shapes, host, event))

    def result(self) -> list[np.ndarray]:
        """Wait for the vectors, and return them by the number of their protein."""
        vectors = [np.empty(0, dtype=np.float32)] * self._number
        for transfer in self._transfers:
            for owner, vector in zip(transfer.owners, transfer.wait(), strict=True):
                vectors[owner] = vector
        return vectors


def _to_host(values: Tensor) -> tuple[Tensor, Any]:
    """Copy to the host; from CUDA into pinned memory, beside what the device does next."""
    if values.device.type != "cuda":
        return values.cpu(), None
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    stream, event = _copying_stream(values.device), torch.cuda.Event()
    stream.wait_stream(torch.cuda.current_stream(values.device))
    with torch.cuda.stream(stream):
        host.copy_(values, non_blocking=True)
        event.record()
    values.record_stream(stream)  # its memory is not given away before it is read
    return host, event


@cache
def _copying_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


class WindowPooling:
    """Puts windows together again, pools what is complete and sends it to the host.

    Parameters
    ----------
    settings : Settings
        The pooling.
    encoder : Encoder
        Where the states come from.
    parts : sequence of Part
        All that will come, in order.

    Attributes
    ----------
    copy : AsynchronousCopy
        The vectors of what has come.
    """

    def __init__(self, settings: Settings, encoder: Encoder, parts: Sequence[Part]) -> None:
        self._settings, self._encoder = settings, encoder
        self._left = np.bincount([part.owner for part in parts]).tolist()
        self._several = [n > 1 for n in self._left]
        self._length = [0] * len(self._left)
        for part in parts:
            end = part.start + len(part.tokens) - encoder.n_prefix - encoder.n_suffix
            self._length[part.owner] = max(self._length[part.owner], end)
        self._sums: dict[int, list[Tensor]] = {}
        self.copy = AsynchronousCopy(len(self._left))

    def add(self, parts: Sequence[Part], states: Sequence[Tensor]) -> None:
        """Take the states of parts, one tensor per layer, which lie one behind the other."""
        start, complete = 0, {}
        for part in parts:
            stop = start + len(part.tokens)
            pairs = self._pairs(part, [layer[start:stop] for layer in states])
            if pairs is not None:
                pooled = [pool(rows, bos, self._settings.pooling) for rows, bos in pairs]
                complete[part.owner] = torch.cat(pooled, dim=-1) if len(pooled) > 1 else pooled[0]
            start = stop
        self.copy.send(complete)

    def _pairs(self, part: Part, states: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]] | None:
        """Return residues and BOS of each layer of a protein, None while windows are missing."""
        first, owner = self._encoder.n_prefix, part.owner
        pairs = [(s[first : len(s) - self._encoder.n_suffix], s[0]) for s in states]
        self._left[owner] -= 1
        if not self._several[owner]:
            return pairs
        whole = self._accumulate(part, pairs)
        if self._left[owner]:
            return None
        del self._sums[owner]
        return [(total[1:, :-1] / total[1:, -1:], total[0, :-1] / total[0, -1]) for total in whole]

    def _accumulate(self, part: Part, pairs: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """Add a window to the sums: row 0 is BOS, the last column counts the windows."""
        if part.owner not in self._sums:
            shape = (self._length[part.owner] + 1, self._encoder.width + 1)
            self._sums[part.owner] = [torch.zeros(shape, device=r.device) for r, _ in pairs]
        sums = self._sums[part.owner]
        for total, (residues, bos) in zip(sums, pairs, strict=True):
            rows = slice(1 + part.start, 1 + part.start + len(residues))
            total[0, :-1] += bos
            total[0, -1] += 1
            total[rows, :-1] += residues
            total[rows, -1] += 1
        return sums


def pool(residues: Tensor, bos: Tensor, pooling: str | None) -> Tensor:
    """Pool the states of one protein.

    Parameters
    ----------
    residues : Tensor of shape (n_residues, width)
        Without special tokens.
    bos : Tensor of shape (width,)
        State of the token before the first residue.
    pooling : {"mean", "max", "bos", "mean+std"} or None
        None returns the residues themselves. The deviation is that of the residues as a
        population, 0 for a single one.

    Returns
    -------
    vector : Tensor of shape (width,), (2 * width,) or (n_residues, width)
    """
    if pooling is None:
        return residues
    if pooling == "mean":
        return residues.mean(0)
    if pooling == "max":
        return residues.amax(0)
    if pooling == "bos":
        return bos
    deviation, mean = torch.std_mean(residues, dim=0, correction=0)
    return torch.cat([mean, deviation])
