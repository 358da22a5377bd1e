"""Batches of rows: one gather per batch, and no work but that."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from esmlearn.neural_network._rows import draw

__all__ = ["Batches", "Rows"]


@dataclass(frozen=True)
class Rows:
    """Rows to learn from or to validate on: ``X[index]``, ``y[index]`` and their weights.

    In training a weight says how often a row is drawn per epoch, in validation it weights the loss.
    """

    X: np.ndarray
    y: np.ndarray
    index: np.ndarray
    weight: np.ndarray | None = None


def _as_tensor(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """Share memory where torch can; torch refuses read-only arrays (joblib's memory maps)."""
    return torch.from_numpy(array if array.flags.writeable else array.copy()).to(device)


class Batches:
    """Batches by one gather from tensors on the device; shuffled anew each time if `generator`.

    Shuffled rows are drawn as often as their weights say; unshuffled ones carry their weight along.
    The last batch joins the one before when it would hold a single row: batch norm needs two.
    """

    def __init__(
        self,
        rows: Rows,
        batch_size: int,
        device: torch.device,
        generator: torch.Generator | None = None,
    ) -> None:
        self.X = _as_tensor(rows.X, device)
        self.y = _as_tensor(rows.y, device)
        self.index = torch.tensor(rows.index)
        self.weight = rows.weight
        self.batch_size = batch_size
        self.device = device
        self.generator = generator
        # One buffer for all batches: a fresh one of this size is a page fault per page and step.
        rows_at_most = min(batch_size + 1, len(rows.index) + 1)
        self.buffer = torch.empty((rows_at_most, self.X.shape[1]), device=device)

    def _draw(self) -> torch.Tensor:
        """Return this epoch's rows in random order."""
        index = self.index
        if self.weight is not None:
            start = float(torch.rand((), generator=self.generator))
            index = index.repeat_interleave(torch.from_numpy(draw(self.weight, start)))
        return index[torch.randperm(len(index), generator=self.generator)]

    def _bounds(self, n_rows: int) -> Iterator[tuple[int, int]]:
        starts = list(range(0, n_rows, self.batch_size))
        if len(starts) > 1 and n_rows - starts[-1] == 1:
            starts.pop()
        return zip(starts, [*starts[1:], n_rows], strict=True)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
        shuffled = self.generator is not None
        weight = None
        if self.weight is not None and not shuffled:
            weight = torch.tensor(self.weight, dtype=torch.float32, device=self.device)
        index = (self._draw() if shuffled else self.index).to(self.device)
        for start, stop in self._bounds(len(index)):
            batch = index[start:stop]
            x = torch.index_select(self.X, 0, batch, out=self.buffer[: stop - start])
            yield x, self.y[batch], None if weight is None else weight[start:stop]
