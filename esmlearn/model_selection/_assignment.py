"""Deal whole groups of rows to folds so that size and every stratum come out even.

Groups ("atoms": homology components, or pieces of a large one) with the same number of rows of
each stratum are interchangeable, so the work is done on these *types*. Each type is dealt out in
proportion; what is left over is placed one by one, largest first, where it costs least; exchanges
between two folds then lower the cost until none helps. The cost is the chi-squared distance of the
row counts, overall and per stratum, from what an exact split would hold; where that leaves a share
or a size off by more than is tolerated, these come to weigh more.
"""

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esmlearn.model_selection._cutting import membership

MAX_CANDIDATES = 400
MAX_SWEEPS = 100
MAX_EMPHASES = 6
_LEAST_GAIN = 1e-9


class Tolerances(NamedTuple):
    """How even folds are to be.

    Attributes
    ----------
    size : float, default=0.01
        By how much of its size a fold may be larger or smaller.
    share : float, default=0.005
        By how much the share of a stratum in a fold may differ from its share in the whole set.
    """

    size: float = 0.01
    share: float = 0.005


USUAL = Tolerances()


def assign_atoms(
    counts: NDArray[np.int64],
    fractions: NDArray[np.float64],
    *,
    rng: np.random.RandomState | None = None,
    largest_first: bool = True,
    tolerances: Tolerances = USUAL,
) -> NDArray[np.intp]:
    """Assign atoms to folds.

    Parameters
    ----------
    counts : ndarray of shape (n_atoms, n_strata)
        Rows of each stratum in each atom.
    fractions : ndarray of shape (n_folds,)
        Share of all rows that each fold is to hold; they add up to 1.
    rng : RandomState or None, default=None
        Deals interchangeable atoms, and folds of the same fraction, at random; None deals them in
        the order given.
    largest_first : bool, default=True
        Place what cannot be dealt out evenly largest first (best balance); False places it in
        random order (so that large atoms, too, vary between draws).
    tolerances : Tolerances, default=USUAL
        What need not be made more even.

    Returns
    -------
    fold : ndarray of shape (n_atoms,), dtype intp
    """
    types, type_of = distinct_rows(counts)
    ledger = _Ledger(types, np.bincount(type_of, minlength=len(types)), fractions, tolerances)
    rest = ledger.rest_by_size()
    if rng is not None and not largest_first:
        rest = rng.permutation(rest)
    for kind in rest:
        ledger.place(kind)
    dealt, least = _refine(ledger)
    for _ in range(MAX_EMPHASES):
        if least <= 1:
            break
        ledger.emphasize()
        again, deviation = _refine(ledger)
        if deviation < least:
            dealt, least = again, deviation
    return _deal(type_of, dealt, fractions, rng)


def rows_per_label(
    counts: NDArray[np.int64], label: NDArray[np.intp], n_labels: int
) -> NDArray[np.int64]:
    """Return the rows of each stratum under each label, for nodes that stand for `counts` rows."""
    return (membership(label, n_labels).T @ counts).astype(np.int64)


def distinct_rows(counts: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the distinct rows, sorted, and which of them each row is (faster than `unique`)."""
    order = np.lexsort(counts.T[::-1])
    in_order = counts[order]
    is_new = np.append(True, (in_order[1:] != in_order[:-1]).any(axis=1))
    which = np.empty(len(counts), dtype=np.intp)
    which[order] = np.cumsum(is_new) - 1
    return in_order[is_new], which


def _refine(ledger: "_Ledger") -> tuple[NDArray[np.int64], float]:
    """Exchange until nothing helps; return what each fold holds and the largest deviation."""
    for _ in range(MAX_SWEEPS):
        pairs = combinations(range(len(ledger.fractions)), 2)
        if not sum([ledger.exchange(*pair) for pair in pairs]):
            break
    return ledger.dealt.copy(), float(ledger.deviations().max())


def signed_deviations(
    held: NDArray[np.float64],
    fractions: NDArray[np.float64],
    whole: NDArray[np.float64] | None = None,
    tolerances: Tolerances = USUAL,
) -> NDArray[np.float64]:
    """Return how far each fold is from even, over what is tolerated.

    Parameters
    ----------
    held : ndarray of shape (n_folds, n_strata)
        Rows of each stratum in each fold.
    fractions : ndarray of shape (n_folds,)
        Share of all rows that each fold is to hold.
    whole : ndarray of shape (n_strata,), default=None
        The share of each stratum that a fold is to hold; None: that of all folds together.
    tolerances : Tolerances, default=USUAL
        In units of these.

    Returns
    -------
    deviations : ndarray of shape (n_folds, n_strata + 1)
        Of the share of each stratum, and last of the size; positive is too much, and no tolerance
        is less than one row. Infinite if a fold is empty.
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


class _Ledger:
    """How many atoms of each type each fold holds, and how far each fold is from its target.

    A type's rows are counted per stratum and overall, each in units of the square root of its total
    over all atoms; in these units the cost is ``sum(excess ** 2 / fraction)``.
    """

    def __init__(
        self,
        types: NDArray[np.int64],
        n_atoms: NDArray[np.intp],
        fractions: NDArray[np.float64],
        tolerances: Tolerances,
    ) -> None:
        self.tolerances = tolerances
        self.types = types
        self.n_atoms = n_atoms
        self.fractions = fractions
        self.size = types.sum(axis=1)
        rows = np.column_stack([types, self.size]).astype(float)
        scale = np.sqrt(np.maximum(n_atoms @ rows, 1.0))
        self.rows = rows / scale
        self.dealt = np.floor(np.outer(n_atoms, fractions)).astype(np.int64)
        target = np.outer(fractions, n_atoms @ self.rows)
        self.excess = self.dealt.T @ self.rows - target
        # What `exchange` need not compute again before the next move.
        self.candidates: dict[int, _Candidates] = {}
        self.settled: set[tuple[int, int]] = set()

    def rest_by_size(self) -> NDArray[np.intp]:
        """Return the types of the atoms that are not dealt yet, largest atoms first."""
        rest = np.repeat(np.arange(len(self.size)), self.n_atoms - self.dealt.sum(axis=1))
        return rest[np.argsort(-self.size[rest], kind="stable")]

    def place(self, kind: int) -> None:
        """Give one atom of a type to the fold where that costs least."""
        x = self.rows[kind]
        cost = (self.excess @ x * 2 + x @ x) / self.fractions
        self._move(kind, None, int(np.argmin(cost)))

    def exchange(self, f: int, g: int) -> bool:
        """Make the best exchange of at most one atom each between two folds, if any helps.

        Moving a net ``d`` from f to g lowers the cost by ``stiffness * (2 * best @ d - |d|^2)``.
        """
        if (f, g) in self.settled:
            return False
        stiffness = 1 / self.fractions[f] + 1 / self.fractions[g]
        best = self.excess[f] / self.fractions[f] - self.excess[g] / self.fractions[g]
        best /= stiffness
        give, take = self._candidates(f), self._candidates(g)
        gain = give.twice @ take.rows.T
        gain += (give.twice @ best - give.squares)[:, None]
        gain -= take.twice @ best + take.squares
        a, b = divmod(int(gain.argmax()), len(take.rows))
        # Relative to what is rounded: a gain that is not one could be made for ever.
        rounded = max(give.largest, take.largest, best @ best, 1.0)
        if gain[a, b] <= _LEAST_GAIN * rounded:
            self.settled.add((f, g))
            return False
        if a < len(give.kinds):
            self._move(give.kinds[a], f, g)
        if b < len(take.kinds):
            self._move(take.kinds[b], g, f)
        return True

    def deviations(self) -> NDArray[np.float64]:
        """Return the largest deviation of each stratum's share and of the size."""
        held = (self.dealt.T @ self.types).astype(float)
        deviations = signed_deviations(held, self.fractions, tolerances=self.tolerances)
        return np.abs(deviations).max(axis=0)

    def emphasize(self) -> None:
        """Make what deviates more than is tolerated weigh more."""
        deviations = np.minimum(self.deviations(), 10.0)
        factor = np.where(deviations > 1, np.sqrt(deviations) * 1.5, 1.0)
        self.rows = self.rows * factor
        self.excess = self.excess * factor
        self.candidates, self.settled = {}, set()

    def _candidates(self, fold: int) -> "_Candidates":
        """Return the types that a fold holds; of very many, those with the smallest atoms."""
        if fold not in self.candidates:
            kinds = np.flatnonzero(self.dealt[:, fold])
            if len(kinds) > MAX_CANDIDATES:
                kinds = kinds[np.argsort(self.size[kinds], kind="stable")[:MAX_CANDIDATES]]
            rows = np.zeros((len(kinds) + 1, self.rows.shape[1]))
            rows[:-1] = self.rows[kinds]
            squares = (rows**2).sum(axis=1)
            self.candidates[fold] = _Candidates(kinds, rows, 2 * rows, squares, squares.max())
        return self.candidates[fold]

    def _move(self, kind: int, source: int | None, destination: int) -> None:
        if source is not None:
            self.dealt[kind, source] -= 1
            self.excess[source] -= self.rows[kind]
            if not self.dealt[kind, source]:
                self.candidates.pop(source, None)
        self.dealt[kind, destination] += 1
        self.excess[destination] += self.rows[kind]
        if self.dealt[kind, destination] == 1:
            self.candidates.pop(destination, None)
        self.settled = {pair for pair in self.settled if not {source, destination} & set(pair)}


def _deal(
    type_of: NDArray[np.intp],
    dealt: NDArray[np.int64],
    fractions: NDArray[np.float64],
    rng: np.random.RandomState | None,
) -> NDArray[np.intp]:
    """Say which atoms of each type go where."""
    n_atoms = len(type_of)
    order = np.arange(n_atoms) if rng is None else rng.permutation(n_atoms)
    order = order[np.argsort(type_of[order], kind="stable")]
    folds = np.arange(len(fractions))
    if rng is not None and np.ptp(fractions) == 0:
        folds = rng.permutation(folds)
    fold = np.empty(n_atoms, dtype=np.intp)
    fold[order] = np.concatenate([np.repeat(folds, row) for row in dealt])
    return fold
