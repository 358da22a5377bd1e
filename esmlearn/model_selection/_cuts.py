"""The ways in which components that are too large for a fold are cut."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from esmlearn.model_selection._cutting import BALANCE_TOLERANCE, cut_component


@dataclass(frozen=True)
class Cut:
    """A way to cut a large component.

    Attributes
    ----------
    refinement : float, default=1.0
        A piece holds at most a fold over this number; smaller pieces balance better and cost more
        training rows.
    tolerance : float, default=0.02
        By how much of its size a piece may be larger.
    fill_first : bool, default=False
        The first piece fills a fold, and the others share the rest equally.
    draw : int, default=0
        Added to the seed of METIS.
    """

    refinement: float = 1.0
    tolerance: float = BALANCE_TOLERANCE
    fill_first: bool = False
    draw: int = 0

    def shares(self, size: float, limit: float, n_parts: int) -> NDArray[np.float64] | None:
        """Return the share of the rows of each piece; None is the same for all."""
        first = limit / size
        if not self.fill_first or n_parts < 2 or first >= 1:
            return None
        return np.array([first] + [(1 - first) / (n_parts - 1)] * (n_parts - 1))

    def atoms(
        self,
        adjacency: csr_array,
        rows: NDArray[np.int64],
        component: NDArray[np.intp],
        *,
        limit: float,
        smallest: float = 1.0,
        seed: int = 0,
    ) -> tuple[NDArray[np.intp], dict[str, Any]]:
        """Return components, and the pieces of those that are too large.

        Parameters
        ----------
        adjacency : csr_array of shape (n_nodes, n_nodes)
            Symmetric, without a diagonal.
        rows : ndarray of shape (n_nodes,)
            Rows that each node stands for.
        component : ndarray of shape (n_nodes,)
            The component of each node.
        limit : float
            The most rows of a fold.
        smallest : float, default=1.0
            The smallest fold over the largest: a piece is to fit the smallest.
        seed : int, default=0
            Seed of METIS.

        Returns
        -------
        atom : ndarray of shape (n_nodes,)
        record : dict
            What was cut into how many pieces by what.
        """
        size = np.bincount(component, weights=rows)
        limit /= self.refinement
        large = np.flatnonzero(size > limit)
        atom, next_atom, methods = component.copy(), len(size), set()
        for c in large:
            nodes = np.flatnonzero(component == c)
            n_parts = min(int(np.ceil(size[c] / (limit * smallest))), len(nodes))
            part, method = cut_component(
                csr_array(adjacency[nodes][:, nodes]),
                rows[nodes],
                n_parts,
                seed=(seed + self.draw) % (2**31 - 1),
                shares=self.shares(size[c], limit * smallest, n_parts),
                tolerance=self.tolerance,
            )
            atom[nodes] = next_atom + part
            next_atom += n_parts
            methods.add(method)
        return atom, {
            "n_components": len(size),
            "largest_component": float(size.max() / size.sum()),
            "n_cut": len(large),
            "n_pieces": len(np.unique(atom[atom >= len(size)])),
            "cut_method": "+".join(sorted(methods)) or "none",
        }


REFINEMENTS = (1.0, 1.5, 2.0, 3.0, 4.0, 8.0)
PURGE_CUTS = tuple(map(Cut, REFINEMENTS))
# The seams of a few loose cuts: where rows are set aside, the folds are dealt afterwards.
DROP_CUTS = (
    Cut(tolerance=0.2),
    *(Cut(fill_first=True, draw=draw) for draw in range(3)),
    Cut(),
    Cut(1.5, 0.2),
    *map(Cut, (1.5, 2.0, 3.0, 4.0)),
)
