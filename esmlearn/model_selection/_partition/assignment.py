"""Assign whole groups of rows to folds so that size and every stratum come out even.

Groups (homology components, or parts of a large one) with the same number of rows of each stratum
are interchangeable, so the work is done on these *types*. Each type is assigned in proportion; the
remainder is placed one by one, largest first, where it costs least (the rule of Graham, SIAM J.
Appl. Math. 17, 416-429, 1969); exchanges between two folds then lower the cost until none helps.
The cost is the chi-squared distance of the row counts, overall and per stratum, from those of an
exact split; a share or size that is off by more than is tolerated then gets a larger weight.
"""

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esmlearn.model_selection._partition.components import membership

MAX_CANDIDATES = 400
MAX_SWEEPS = 100
MAX_REWEIGHTINGS = 6
_LEAST_GAIN = 1e-9


class Tolerances(NamedTuple):
    """Tolerated imbalance of folds.

    Attributes
    ----------
    size : float, default=0.01
        By how much of its size a fold may be larger or smaller.
    share : float, default=0.005
        By how much the share of a stratum in a fold may differ from its share in the whole set.
    """

    size: float = 0.01
    share: float = 0.005


DEFAULT_TOLERANCES = Tolerances()


def assign_groups(
    counts: NDArray[np.int64],
    fractions: NDArray[np.float64],
    *,
    rng: np.random.RandomState | None = None,
    largest_first: bool = True,
    tolerances: Tolerances = DEFAULT_TOLERANCES,
) -> NDArray[np.intp]:
    """Assign groups to folds.

    Parameters
    ----------
    counts : ndarray of shape (n_groups, n_strata)
        Rows of each stratum in each group.
    fractions : ndarray of shape (n_folds,)
        Share of all rows that each fold is to hold; they add up to 1.
    rng : RandomState or None, default=None
        Assigns interchangeable groups, and folds of the same fraction, at random; None assigns them
        in the order given.
    largest_first : bool, default=True
        Place the remainder of each type largest first (best balance); False places it in random
        order (so that large groups, too, vary between draws).
    tolerances : Tolerances, default=DEFAULT_TOLERANCES
        Imbalance that need not be reduced.

    Returns
    -------
    fold : ndarray of shape (n_groups,), dtype intp
    """
    types, type_of = distinct_rows(counts)
    n_groups = np.bincount(type_of, minlength=len(types))
    assignment = _Assignment(types, n_groups, fractions, tolerances)
    rest = assignment.unassigned_by_size()
    if rng is not None and not largest_first:
        rest = rng.permutation(rest)
    for kind in rest:
        assignment.place(kind)
    assigned, least = _refine(assignment)
    for _ in range(MAX_REWEIGHTINGS):
        if least <= 1:
            break
        assignment.reweight()
        again, deviation = _refine(assignment)
        if deviation < least:
            assigned, least = again, deviation
    return _fold_of_groups(type_of, assigned, fractions, rng)


def rows_per_label(
    counts: NDArray[np.int64], label: NDArray[np.intp], n_labels: int
) -> NDArray[np.int64]:
    """Return the rows of each stratum under each label; each node stands for `counts` rows."""
    return (membership(label, n_labels).T @ counts).astype(np.int64)


def distinct_rows(counts: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the distinct rows, sorted, and which of them each row is (faster than `unique`)."""
    order = np.lexsort(counts.T[::-1])
    in_order = counts[order]
    is_new = np.append(True, (in_order[1:] != in_order[:-1]).any(axis=1))
    which = np.empty(len(counts), dtype=np.intp)
    which[order] = np.cumsum(is_new) - 1
    return in_order[is_new], which


def _refine(assignment: "_Assignment") -> tuple[NDArray[np.int64], float]:
    """Exchange until nothing helps; return the groups of each fold and the largest deviation."""
    for _ in range(MAX_SWEEPS):
        pairs = combinations(range(len(assignment.fractions)), 2)
        if not sum([assignment.exchange(*pair) for pair in pairs]):
            break
    return assignment.assigned.copy(), float(assignment.deviations().max())


def signed_deviations(
    held: NDArray[np.float64],
    fractions: NDArray[np.float64],
    whole: NDArray[np.float64] | None = None,
    tolerances: Tolerances = DEFAULT_TOLERANCES,
) -> NDArray[np.float64]:
    """Return the deviation of each fold from an even one, in units of the tolerances.

    Parameters
    ----------
    held : ndarray of shape (n_folds, n_strata)
        Rows of each stratum in each fold.
    fractions : ndarray of shape (n_folds,)
        Share of all rows that each fold is to hold.
    whole : ndarray of shape (n_strata,), default=None
        The share of each stratum that a fold is to hold; None: that of all folds together.
    tolerances : Tolerances, default=DEFAULT_TOLERANCES
        The units.

    Returns
    -------
    deviations : ndarray of shape (n_folds, n_strata + 1)
        Of the share of each stratum, and in the last column of the size; positive is too much, and
        no tolerance is less than one row. Infinite if a fold is empty.
    """
    size, total = held.sum(axis=1), held.sum()
    if not size.all():
        return np.full((len(held), held.shape[1] + 1), np.inf)
    wanted = fractions * total
    of_size = (size - wanted) / np.maximum(tolerances.size * wanted, 1)
    of_share = held / size[:, None] - (held.sum(axis=0) / total if whole is None else whole)
    of_share /= np.maximum(tolerances.share, 1 / size)[:, None]
    return np.column_stack([of_share, of_size])


class _Candidates(NamedTuple):
    """The types that a fold may give away.

    The last of `rows`, `twice` (the rows doubled) and `squares` (their squared norms) are of no
    type at all, for an exchange in which nothing goes this way.
    """

    kinds: NDArray[np.intp]
    rows: NDArray[np.float64]
    twice: NDArray[np.float64]
    squares: NDArray[np.float64]
    largest: float


class _Assignment:
    """Number of groups of each type in each fold, and the excess of each fold over its target.

    A type's rows are counted per stratum and overall, each in units of the square root of its total
    over all groups; in these units the cost is ``sum(excess ** 2 / fraction)``.
    """

    def __init__(
        self,
        types: NDArray[np.int64],
        n_groups: NDArray[np.intp],
        fractions: NDArray[np.float64],
        tolerances: Tolerances,
    ) -> None:
        self.tolerances = tolerances
        self.types = types
        self.n_groups = n_groups
        self.fractions = fractions
        self.size = types.sum(axis=1)
        rows = np.column_stack([types, self.size]).astype(float)
        scale = np.sqrt(np.maximum(n_groups @ rows, 1.0))
        self.rows = rows / scale
        self.assigned = np.floor(np.outer(n_groups, fractions)).astype(np.int64)
        target = np.outer(fractions, n_groups @ self.rows)
        self.excess = self.assigned.T @ self.rows - target
        # Results that `exchange` need not compute again before the next move.
        self.candidates: dict[int, _Candidates] = {}
        self.converged: set[tuple[int, int]] = set()

    def unassigned_by_size(self) -> NDArray[np.intp]:
        """Return the types of the groups that are not assigned yet, largest groups first."""
        rest = np.repeat(np.arange(len(self.size)), self.n_groups - self.assigned.sum(axis=1))
        return rest[np.argsort(-self.size[rest], kind="stable")]

    def place(self, kind: int) -> None:
        """Give one group of a type to the fold where that costs least."""
        x = self.rows[kind]
        cost = (self.excess @ x * 2 + x @ x) / self.fractions
        self._move(kind, None, int(np.argmin(cost)))

    def exchange(self, f: int, g: int) -> bool:
        """Make the best exchange of at most one group each between two folds, if any helps.

        Moving a net ``d`` from f to g lowers the cost by ``stiffness * (2 * best @ d - |d|^2)``.
        """
        if (f, g) in self.converged:
            return False
        stiffness = 1 / self.fractions[f] + 1 / self.fractions[g]
        best = self.excess[f] / self.fractions[f] - self.excess[g] / self.fractions[g]
        best /= stiffness
        give, take = self._candidates(f), self._candidates(g)
        gain = give.twice @ take.rows.T
        gain += (give.twice @ best - give.squares)[:, None]
        gain -= take.twice @ best + take.squares
        a, b = divmod(int(gain.argmax()), len(take.rows))
        # Relative to the rounded terms: a gain by rounding alone could be made for ever.
        rounded = max(give.largest, take.largest, best @ best, 1.0)
        if gain[a, b] <= _LEAST_GAIN * rounded:
            self.converged.add((f, g))
            return False
        if a < len(give.kinds):
            self._move(give.kinds[a], f, g)
        if b < len(take.kinds):
            self._move(take.kinds[b], g, f)
        return True

    def deviations(self) -> NDArray[np.float64]:
        """Return the largest deviation of each stratum's share and of the size."""
        held = (self.assigned.T @ self.types).astype(float)
        deviations = signed_deviations(held, self.fractions, tolerances=self.tolerances)
        return np.abs(deviations).max(axis=0)

    def reweight(self) -> None:
        """Increase the weights of strata (and of the size) that deviate more than is tolerated."""
        deviations = np.minimum(self.deviations(), 10.0)
        factor = np.where(deviations > 1, np.sqrt(deviations) * 1.5, 1.0)
        self.rows = self.rows * factor
        self.excess = self.excess * factor
        self.candidates, self.converged = {}, set()

    def _candidates(self, fold: int) -> "_Candidates":
        """Return the types that a fold holds; of very many, those with the smallest groups."""
        if fold not in self.candidates:
            kinds = np.flatnonzero(self.assigned[:, fold])
            if len(kinds) > MAX_CANDIDATES:
                kinds = kinds[np.argsort(self.size[kinds], kind="stable")[:MAX_CANDIDATES]]
            rows = np.zeros((len(kinds) + 1, self.rows.shape[1]))
            rows[:-1] = self.rows[kinds]
            squares = (rows**2).sum(axis=1)
            self.candidates[fold] = _Candidates(kinds, rows, 2 * rows, squares, squares.max())
        return self.candidates[fold]

    def _move(self, kind: int, source: int | None, destination: int) -> None:
        if source is not None:
            self.assigned[kind, source] -= 1
            self.excess[source] -= self.rows[kind]
            if not self.assigned[kind, source]:
                self.candidates.pop(source, None)
        self.assigned[kind, destination] += 1
        self.excess[destination] += self.rows[kind]
        if self.assigned[kind, destination] == 1:
            self.candidates.pop(destination, None)
        self.converged = {pair for pair in self.converged if not {source, destination} & set(pair)}


def _fold_of_groups(
    type_of: NDArray[np.intp],
    assigned: NDArray[np.int64],
    fractions: NDArray[np.float64],
    rng: np.random.RandomState | None,
) -> NDArray[np.intp]:
    """Return the fold of each group, given the number of each type in each fold."""
    n_groups = len(type_of)
    order = np.arange(n_groups) if rng is None else rng.permutation(n_groups)
    order = order[np.argsort(type_of[order], kind="stable")]
    folds = np.arange(len(fractions))
    if rng is not None and np.ptp(fractions) == 0:
        folds = rng.permutation(folds)
    fold = np.empty(n_groups, dtype=np.intp)
    fold[order] = np.concatenate([np.repeat(folds, row) for row in assigned])
    return fold
