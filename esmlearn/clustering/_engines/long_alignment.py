"""Smith-Waterman alignment of two long proteins in little memory.

pyopal keeps three integers per pair of residues to trace an alignment, 15 GB for two titins. Here
every n-th row of the matrix is kept as a checkpoint, and the rows between two of them are computed
again when the path gets there: twice the time, and memory that grows with the length to the power
of 1.5 (Grice, Hughey & Speck, "Reduced space sequence alignment", Comput. Appl. Biosci. 13, 45-53,
1997).
"""

from collections.abc import Iterator
from math import isqrt

import numpy as np
from numpy.typing import NDArray

_DIAGONAL, _ABOVE, _LEFT = 1, 2, 3
_EXTENDS_ABOVE, _EXTENDS_LEFT = 4, 8
_NEVER = -(2**29)

_Row = tuple[NDArray[np.int32], NDArray[np.int32]]


class LongAlignment:
    """The best local alignment of two sequences.

    Parameters
    ----------
    first, second : ndarray of int
        Sequences as indices into the score matrix.
    scores : ndarray of int32 of shape (n_letters, n_letters)
        Substitution scores.
    gap_open, gap_extend : int
        Cost of the first and of every further residue of a gap.
    unknown : int
        Index of X, which is counted nowhere.

    Attributes
    ----------
    score : int
        Score of the alignment.
    matches, columns : int
        Identical residues and columns, without those that hold an X.
    first_span, second_span : int
        Residues of each sequence between the ends, without X.
    """

    def __init__(
        self,
        first: NDArray[np.intp],
        second: NDArray[np.intp],
        scores: NDArray[np.int32],
        *,
        gap_open: int,
        gap_extend: int,
        unknown: int,
    ) -> None:
        self._first, self._second = first, second
        self._known = first != unknown, second != unknown
        self._profile = scores[:, second]
        self._open, self._extend = gap_open, gap_extend
        self._ramp = np.arange(len(second) + 1, dtype=np.int32) * gap_extend
        self._step = max(1, isqrt(len(first)))
        self._kept: list[_Row] = []
        self.score, end = self._fill()
        self._trace(end)

    def _rows(self, start: int, row: _Row) -> Iterator[tuple[_Row, NDArray[np.uint8]]]:
        """Yield the rows from `start` on, with the direction that each cell came from."""
        best, above = row
        for residue in self._first[start:]:
            opened, extended = best - self._open, above - self._extend
            above = np.maximum(opened, extended)
            direction = np.zeros(len(best), dtype=np.uint8)
            direction[extended > opened] = _EXTENDS_ABOVE
            diagonal = np.zeros_like(best)
            diagonal[1:] = best[:-1] + self._profile[residue]
            reached = np.maximum(np.maximum(diagonal, above), 0)
            # A gap in the row may open at any cell to the left: a running maximum, slope removed.
            sloped = reached + self._ramp
            running = np.maximum.accumulate(sloped)
            left = np.full_like(best, _NEVER)
            left[1:] = running[:-1] + self._extend - self._open - self._ramp[1:]
            best = np.maximum(reached, left)
            direction[1:][running[:-1] > sloped[:-1]] |= _EXTENDS_LEFT
            source = np.where(best == diagonal, _DIAGONAL, np.where(best == above, _ABOVE, _LEFT))
            direction |= np.where(best > 0, source, 0).astype(np.uint8)
            yield (best, above), direction

    def _fill(self) -> tuple[int, tuple[int, int]]:
        """Return the best score and its cell; keep every n-th row."""
        width = len(self._second) + 1
        top = np.zeros(width, np.int32), np.full(width, _NEVER, np.int32)
        self._kept, score, end = [top], 0, (0, 0)
        for i, (row, _) in enumerate(self._rows(0, top), 1):
            if i % self._step == 0:
                self._kept.append(row)
            j = int(row[0].argmax())
            if row[0][j] > score:
                score, end = int(row[0][j]), (i, j)
        return score, end

    def _block(self, index: int) -> list[NDArray[np.uint8]]:
        """Return the directions of the rows after the kept row of that index."""
        rows = self._rows(index * self._step, self._kept[index])
        return [direction for _, (_, direction) in zip(range(self._step), rows, strict=False)]

    def _trace(self, end: tuple[int, int]) -> None:
        i, j = end
        self.matches = self.columns = self.first_span = self.second_span = 0
        first_known, second_known = self._known
        block_index, block, state = -1, [], 0
        while i > 0 and j > 0:
            if (i - 1) // self._step != block_index:
                block_index = (i - 1) // self._step
                block = self._block(block_index)
            cell = int(block[(i - 1) % self._step][j])
            state = state or cell & 3
            if state == 0:
                break
            in_first = in_second = True  # of the column, that it holds no X of this sequence
            if state != _LEFT:
                i, in_first = i - 1, bool(first_known[i - 1])
                self.first_span += in_first
            if state != _ABOVE:
                j, in_second = j - 1, bool(second_known[j - 1])
                self.second_span += in_second
            if in_first and in_second:
                self.columns += 1
                self.matches += state == _DIAGONAL and int(self._first[i] == self._second[j])
            if state == _DIAGONAL:
                state = 0
            elif state == _ABOVE:
                state = _ABOVE if cell & _EXTENDS_ABOVE else 0
            else:
                state = _LEFT if cell & _EXTENDS_LEFT else 0
