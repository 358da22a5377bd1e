"""What is planned for folds: which fold tests a protein, and who may train for it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from esmlearn.model_selection._assignment import (
    USUAL,
    Tolerances,
    rows_per_label,
    signed_deviations,
)


@dataclass(frozen=True)
class FoldPlan:
    """Which fold tests each distinct sequence, and who may train for it.

    Attributes
    ----------
    fold : ndarray of shape (n_nodes,), dtype intp
        The fold; -1 is set aside.
    adjacency : csr_array of shape (n_nodes, n_nodes)
        Who may not train for whom.
    description : dict
        How the plan was made.
    """

    fold: NDArray[np.intp]
    adjacency: csr_array
    description: dict[str, Any] = field(default_factory=dict)

    def training_nodes(self, fold: int) -> NDArray[np.bool_]:
        """Return the nodes that may train for a test fold: elsewhere, and no homolog of it."""
        return self._training_nodes(np.array([fold]))[:, 0]

    def _training_nodes(self, folds: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return the same for several test folds, one column each."""
        tested = self.fold[:, None] == folds
        touched = self.adjacency.astype(np.int64) @ tested > 0
        return (self.fold >= 0)[:, None] & ~tested & ~touched

    def loss(self, counts: NDArray[np.int64]) -> float:
        """Return the mean share of the rows outside a test fold that may not train for it."""
        rows, folds = counts.sum(axis=1), np.arange(int(self.fold.max()) + 1)
        kept = rows @ self._training_nodes(folds)
        return 1 - float(np.mean(kept / np.maximum(rows @ (self.fold[:, None] != folds), 1)))

    def deviation(
        self,
        counts: NDArray[np.int64],
        fractions: NDArray[np.float64],
        tolerances: Tolerances = USUAL,
    ) -> float:
        """Return the largest deviation from folds like the whole set, over its tolerance."""
        kept = self.fold >= 0
        held = rows_per_label(counts[kept], self.fold[kept], len(fractions)).astype(float)
        whole = counts.sum(axis=0) / counts.sum()
        deviations = signed_deviations(held, fractions, whole, tolerances)
        return float(np.abs(deviations).max())
