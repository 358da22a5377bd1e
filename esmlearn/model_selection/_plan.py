"""From a homology graph to folds that cannot leak."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from esmlearn.exceptions import InsufficientComponentsError
from esmlearn.model_selection._assignment import (
    USUAL,
    Tolerances,
    assign_atoms,
    rows_per_label,
)
from esmlearn.model_selection._cuts import DROP_CUTS, PURGE_CUTS, Cut
from esmlearn.model_selection._drop import lost_rows, set_aside, settle
from esmlearn.model_selection._fold_plan import FoldPlan
from esmlearn.model_selection._rebalance import MAX_MOVED_SHARE, rebalance
from esmlearn.model_selection._seam import SeamMover, Unevenness
from esmlearn.utils._warn import warn

# One tolerance of deviation weighs as much as 2 % of the training rows.
LOSS_PER_DEVIATION = 0.02
MAX_SEAMS = 7  # so many cuts are tried for the fewest rows to set aside


REMEDIES = (
    "What can be done: (1) raise `identity` (or `coverage`), so that fewer proteins count as "
    "homologs; (2) if all proteins are variants of one (a deep mutational scan), split by mutated "
    "position; (3) use a random split and state its leakage with `audit_leakage`."
)


@dataclass(frozen=True)
class _Problem:
    """What a plan is made for; see `FoldPlanner.plan`. `limit` is the most rows of a fold."""

    adjacency: csr_array
    counts: NDArray[np.int64]
    purge: csr_array | None
    component: NDArray[np.intp]
    limit: float
    seed: int
    draw: int | None

    def rng(self) -> np.random.RandomState | None:
        """Return the source of chance, the same for every cut."""
        return None if self.draw is None else np.random.RandomState(self.draw)


class _Seamed(NamedTuple):
    """Folds with rows set aside, how many are lost, and how they were made."""

    lost: float
    fold: NDArray[np.intp]
    record: dict[str, Any]


@dataclass(frozen=True)
class FoldPlanner:
    """Make a plan.

    Attributes
    ----------
    fractions : ndarray of shape (n_folds,)
        Share of all rows that each fold is to hold.
    on_large_component : {"purge", "drop", "error"}
        What to do about a component that no fold can hold.
    rng : RandomState or None
        None makes a plan without chance.
    largest_first : bool, default=True
        See `assign_atoms`.
    tolerances : Tolerances, default=USUAL
        How even the folds are to be. In folds that may be larger, so may the pieces of a component.
    """

    fractions: NDArray[np.float64]
    on_large_component: str = "purge"
    rng: np.random.RandomState | None = None
    largest_first: bool = True
    tolerances: Tolerances = USUAL

    def plan(
        self,
        adjacency: csr_array,
        counts: NDArray[np.int64],
        purge: csr_array | None = None,
    ) -> FoldPlan:
        """Return folds for nodes that stand for `counts` (n_nodes, n_strata) rows.

        Nodes joined in `adjacency` are kept together where possible; nodes joined in `purge` (None:
        the same) never test and train in one split.

        Components too large for a fold are cut. Folds that still are uneven are made again from
        smaller pieces, as long as that pays in balance and costs few training rows.
        """
        component = connected_components(adjacency, directed=False)[1]
        size = np.bincount(component, weights=counts.sum(axis=1)).astype(float)
        if len(size) < len(self.fractions):
            raise too_few_components(len(size), len(self.fractions), "folds")
        limit = self.fractions.max() * size.sum() * (1 + self._slack) + 1e-6
        if self.on_large_component == "error" and size.max() > limit:
            raise _large_component_error(size, limit)
        seed = 0 if self.rng is None else int(self.rng.randint(2**31 - 1))
        draw = None if self.rng is None else int(self.rng.randint(2**31 - 1))
        best, least = None, np.inf
        problem = _Problem(adjacency, counts, purge, component, limit, seed, draw)
        for plan in self._plans(problem):
            deviation = plan.deviation(counts, self.fractions, self.tolerances)
            cost = plan.loss(counts) + LOSS_PER_DEVIATION * max(deviation - 1, 0)
            if cost < least:
                best, least = plan, cost
            if deviation <= 1:
                break
        if best is None and counts.shape[1] > 1:
            return self._plan_by_size(adjacency, counts, purge)
        if best is None:
            raise InsufficientComponentsError(
                f"the {len(size)} homology components, the largest of {int(size.max())} rows, "
                f"cannot be dealt to parts of {_round(self.fractions * size.sum())} rows without "
                f"leaving one empty. {REMEDIES}"
            )
        return best

    def _plan_by_size(
        self, adjacency: csr_array, counts: NDArray[np.int64], purge: csr_array | None
    ) -> FoldPlan:
        """Return a plan that balances sizes alone, because balanced strata leave a part empty."""
        plan = self.plan(adjacency, counts.sum(axis=1, keepdims=True), purge)
        warn(
            f"{counts.shape[1]} strata are too many for parts of "
            f"{_round(self.fractions * counts.sum())} rows; the parts are balanced by size alone. "
            f"Merge rare classes, or pass stratify=False.",
        )
        return plan

    @property
    def _slack(self) -> float:
        """By how much a fold may exceed its share of the rows, beyond the usual tolerance."""
        return max(self.tolerances.size - USUAL.size, 0.0)

    def _plans(self, problem: "_Problem") -> Iterator[FoldPlan]:
        """Yield the plans that one cut after the other leads to; in "drop", the best of them."""
        if self.on_large_component == "drop":
            yield from self._partitions(problem)
        elif self.on_large_component == "error":
            yield self._purged(problem, *self._cut(problem, Cut()))
        else:
            yield from self._purges(problem)

    def _purges(self, problem: "_Problem") -> Iterator[FoldPlan]:
        """Yield the plans of the cuts whose pieces can lie in even folds, then those of the others.

        Before a component is cut again, the pieces of the first cut tell: smaller ones are taken to
        be composed like them.
        """
        pieces_of, others = cache(partial(self._cut, problem)), list[Cut]()
        first = pieces_of(PURGE_CUTS[0])
        for cut in PURGE_CUTS:
            hopeless = self._crowded(problem, *first, cut.refinement)
            if hopeless or self._crowded(problem, *pieces_of(cut)):
                others.append(cut)
            else:
                yield self._purged(problem, *pieces_of(cut))
        for cut in others:
            yield self._purged(problem, *pieces_of(cut))

    def _crowded(
        self,
        problem: "_Problem",
        atom: NDArray[np.intp],
        record: dict[str, Any],
        refinement: float = 1.0,
    ) -> bool:
        """Tell whether pieces hold more of some strata than `rebalance` can take from their folds.

        Half of what it may move, since it also has to mend what is dealt unevenly.
        """
        counts, total = problem.counts, problem.counts.sum()
        pieces = rows_per_label(counts, atom, int(atom.max()) + 1)[record["n_components"] :]
        size = self.fractions.max() * total
        even = counts.sum(axis=0) / total * size + max(self.tolerances.share * size, 1)
        beyond = np.maximum(pieces / refinement - even, 0).sum()
        return bool(beyond > MAX_MOVED_SHARE / 2 * total)

    def _purged(
        self, problem: "_Problem", atom: NDArray[np.intp], record: dict[str, Any]
    ) -> FoldPlan:
        """Return a plan that tests every row."""
        fold = self._assign(atom, problem.counts, problem.rng())
        joined = problem.adjacency if problem.purge is None else problem.purge
        if record["n_pieces"]:
            fold = rebalance(joined, fold, problem.counts, self.fractions, self.tolerances)
        return FoldPlan(fold, joined, record)

    def _partitions(self, problem: "_Problem") -> Iterator[FoldPlan]:
        """Yield the plan of the folds as they are, if nothing is cut; then the best with a seam."""
        adjacency, counts, limit = problem.adjacency, problem.counts, problem.limit
        rows, seams = counts.sum(axis=1), list[_Seamed]()
        mover = SeamMover(adjacency, rows[:, None], len(self.fractions))
        for cut in DROP_CUTS:
            atom, record = self._cut(problem, cut)
            fold = self._assign(atom, counts, problem.rng())
            if record["n_pieces"]:
                fold, method = set_aside(mover, fold, limit)
                lost = lost_rows(adjacency, rows, fold, limit)
                seams.append(_Seamed(lost, fold, {**record, "cover_method": method}))
                if len(seams) == MAX_SEAMS:
                    break
            elif cut == DROP_CUTS[0]:
                yield FoldPlan(fold, adjacency, record)
        best = self._best_seam(problem, sorted(seams, key=lambda seam: seam.lost))
        if best is not None:
            yield best

    def _best_seam(self, problem: "_Problem", seams: "list[_Seamed]") -> FoldPlan | None:
        """Make folds even, those that lose fewest rows first; return what is cheapest."""
        adjacency, counts = problem.adjacency, problem.counts
        excess = Unevenness(self.fractions, counts.sum(axis=0) / counts.sum(), self.tolerances)
        mover = SeamMover(adjacency, counts, len(self.fractions))
        deal = partial(self._assign, rng=problem.rng())
        best, least = None, np.inf
        for seam in seams:
            if seam.lost >= least:  # even folds hardly ever cost less than uneven ones
                break
            fold, cost = settle(mover, seam.fold, deal, excess)
            if cost < least:
                best, least = FoldPlan(fold, adjacency, seam.record), cost
        return best

    def _cut(self, problem: "_Problem", cut: Cut) -> tuple[NDArray[np.intp], dict[str, Any]]:
        """Return the atoms of a cut, and how they were made."""
        smallest = self.fractions.min() / self.fractions.max()
        atom, record = cut.atoms(
            problem.adjacency,
            problem.counts.sum(axis=1),
            problem.component,
            limit=problem.limit,
            smallest=smallest,
            seed=problem.seed,
        )
        stratified = problem.counts.shape[1] > 1
        return atom, {**record, "cover_method": "none", "stratified": stratified}

    def _assign(
        self,
        atom: NDArray[np.intp],
        counts: NDArray[np.int64],
        rng: np.random.RandomState | None,
    ) -> NDArray[np.intp]:
        """Return the fold of each node."""
        atom = np.unique(atom, return_inverse=True)[1]
        per_atom = rows_per_label(counts, atom, int(atom.max()) + 1)
        return assign_atoms(
            per_atom,
            self.fractions,
            rng=rng,
            largest_first=self.largest_first,
            tolerances=self.tolerances,
        )[atom]


def too_few_components(found: int, needed: int, what: str) -> InsufficientComponentsError:
    """Return the error for fewer homology components than parts to fill."""
    return InsufficientComponentsError(
        f"the sequences form {found} homology component(s); expected at least {needed}, one for "
        f"each of the {what}. {REMEDIES}"
    )


def _large_component_error(size: NDArray[np.float64], limit: float) -> InsufficientComponentsError:
    return InsufficientComponentsError(
        f"the largest homology component has {int(size.max())} of {int(size.sum())} rows; expected "
        f"at most {int(limit)}, the size of a fold. Use "
        f"on_large_component='purge' (test every row, train without the homologs of the test fold) "
        f"or 'drop' (set rows aside). {REMEDIES}"
    )


def _round(sizes: NDArray[np.float64]) -> str:
    return ", ".join(f"{size:.0f}" for size in sizes)
