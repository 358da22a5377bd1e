"""Plan folds of a homology graph such that no homolog of a test protein trains."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from esmlearn.exceptions import InsufficientComponentsError
from esmlearn.model_selection._partition.assignment import (
    DEFAULT_TOLERANCES,
    Tolerances,
    assign_groups,
    rows_per_label,
    signed_deviations,
)
from esmlearn.model_selection._partition.components import DROP_CUTS, PURGE_CUTS, Cut
from esmlearn.model_selection._partition.rebalance import MAX_MOVED_SHARE, rebalance
from esmlearn.model_selection._partition.separator import (
    Imbalance,
    SeparatorRefiner,
    lost_rows,
    rebalance_separator,
    set_aside,
)
from esmlearn.utils._warn import warn

# One tolerance of deviation weighs as much as 2 % of the training rows.
LOSS_PER_DEVIATION = 0.02
MAX_SEPARATORS = 7  # number of cuts that are tried for the fewest rows to set aside

REMEDIES = (
    "What can be done: (1) raise `identity` (or `coverage`), so that fewer proteins count as "
    "homologs; (2) if all proteins are variants of one (a deep mutational scan), split by mutated "
    "position with `esmlearn.variants.VariantSplitter`; (3) use a random split and state its "
    "leakage with `audit_leakage`."
)


@dataclass(frozen=True)
class FoldPlan:
    """The fold that tests each distinct sequence, and the pairs that must not be separated.

    Attributes
    ----------
    fold : ndarray of shape (n_nodes,), dtype intp
        The fold; -1 is set aside.
    adjacency : csr_array of shape (n_nodes, n_nodes)
        Pairs of which one may not train when the other is tested.
    description : dict
        Record of the cuts and the methods.
    """

    fold: NDArray[np.intp]
    adjacency: csr_array
    description: dict[str, Any] = field(default_factory=dict)

    def training_nodes(self, fold: int) -> NDArray[np.bool_]:
        """Return the nodes that may train for a test fold: elsewhere, and no homolog of it."""
        return self._training_nodes(np.array([fold]))[:, 0]

    def _training_nodes(self, folds: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return the nodes that may train for several test folds, one column each."""
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
        tolerances: Tolerances = DEFAULT_TOLERANCES,
    ) -> float:
        """Return the largest deviation from folds like the whole set, in units of its tolerance."""
        kept = self.fold >= 0
        held = rows_per_label(counts[kept], self.fold[kept], len(fractions)).astype(float)
        whole = counts.sum(axis=0) / counts.sum()
        deviations = signed_deviations(held, fractions, whole, tolerances)
        return float(np.abs(deviations).max())


@dataclass(frozen=True)
class _Problem:
    """Input of a plan, see `FoldPlanner.plan`; `limit` is the most rows of a fold."""

    adjacency: csr_array
    counts: NDArray[np.int64]
    purge: csr_array | None
    component: NDArray[np.intp]
    limit: float
    seed: int
    draw: int | None

    def rng(self) -> np.random.RandomState | None:
        """Return a random generator, in the same state for every cut."""
        return None if self.draw is None else np.random.RandomState(self.draw)


class _Separated(NamedTuple):
    """Folds with rows set aside, the number of rows lost, and the record of the cut."""

    lost: float
    fold: NDArray[np.intp]
    record: dict[str, Any]


@dataclass(frozen=True)
class FoldPlanner:
    """Plans folds of a homology graph.

    Attributes
    ----------
    fractions : ndarray of shape (n_folds,)
        Share of all rows that each fold is to hold.
    on_large_component : {"purge", "drop", "error"}
        Treatment of a component that no fold can hold.
    rng : RandomState or None
        None makes a deterministic plan.
    largest_first : bool, default=True
        See `assign_groups`.
    tolerances : Tolerances, default=DEFAULT_TOLERANCES
        Tolerated imbalance of the folds. With larger folds the parts of a component may be larger.
    """

    fractions: NDArray[np.float64]
    on_large_component: str = "purge"
    rng: np.random.RandomState | None = None
    largest_first: bool = True
    tolerances: Tolerances = DEFAULT_TOLERANCES

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
        smaller parts, as long as that improves the balance and costs few training rows.
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
                f"cannot be assigned to parts of {_round(self.fractions * size.sum())} rows "
                f"without leaving one empty. {REMEDIES}"
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
        return max(self.tolerances.size - DEFAULT_TOLERANCES.size, 0.0)

    def _plans(self, problem: _Problem) -> Iterator[FoldPlan]:
        """Yield the plan of one cut after the other; for "drop", the best of them."""
        if self.on_large_component == "drop":
            yield from self._partitions(problem)
        elif self.on_large_component == "error":
            yield self._purged(problem, *self._cut(problem, Cut()))
        else:
            yield from self._purges(problem)

    def _purges(self, problem: _Problem) -> Iterator[FoldPlan]:
        """Yield the plans of the cuts whose parts can lie in even folds, then those of the others.

        Smaller parts are taken to be composed like those of the first cut, which predict whether
        another cut is worth its time.
        """
        groups_of, others = cache(partial(self._cut, problem)), list[Cut]()
        first = groups_of(PURGE_CUTS[0])
        for cut in PURGE_CUTS:
            hopeless = self._too_uneven(problem, *first, cut.refinement)
            if hopeless or self._too_uneven(problem, *groups_of(cut)):
                others.append(cut)
            else:
                yield self._purged(problem, *groups_of(cut))
        for cut in others:
            yield self._purged(problem, *groups_of(cut))

    def _too_uneven(
        self,
        problem: _Problem,
        group: NDArray[np.intp],
        record: dict[str, Any],
        refinement: float = 1.0,
    ) -> bool:
        """Return whether parts hold more of some strata than `rebalance` can move from their folds.

        Half of its maximum, since it also has to mend imbalance of the assignment.
        """
        counts, total = problem.counts, problem.counts.sum()
        parts = rows_per_label(counts, group, int(group.max()) + 1)[record["n_components"] :]
        size = self.fractions.max() * total
        even = counts.sum(axis=0) / total * size + max(self.tolerances.share * size, 1)
        beyond = np.maximum(parts / refinement - even, 0).sum()
        return bool(beyond > MAX_MOVED_SHARE / 2 * total)

    def _purged(
        self, problem: _Problem, group: NDArray[np.intp], record: dict[str, Any]
    ) -> FoldPlan:
        """Return a plan that tests every row."""
        fold = self._assign(group, problem.counts, problem.rng())
        joined = problem.adjacency if problem.purge is None else problem.purge
        if record["n_pieces"]:
            fold = rebalance(joined, fold, problem.counts, self.fractions, self.tolerances)
        return FoldPlan(fold, joined, record)

    def _partitions(self, problem: _Problem) -> Iterator[FoldPlan]:
        """Yield the plan of an assignment without cuts, if any; then the best with a separator."""
        adjacency, counts, limit = problem.adjacency, problem.counts, problem.limit
        rows, separators = counts.sum(axis=1), list[_Separated]()
        refiner = SeparatorRefiner(adjacency, rows[:, None], len(self.fractions))
        for cut in DROP_CUTS:
            group, record = self._cut(problem, cut)
            fold = self._assign(group, counts, problem.rng())
            if record["n_pieces"]:
                fold, method = set_aside(refiner, fold, limit)
                lost = lost_rows(adjacency, rows, fold, limit)
                separators.append(_Separated(lost, fold, {**record, "cover_method": method}))
                if len(separators) == MAX_SEPARATORS:
                    break
            elif cut == DROP_CUTS[0]:
                yield FoldPlan(fold, adjacency, record)
        best = self._best_separator(problem, sorted(separators, key=lambda found: found.lost))
        if best is not None:
            yield best

    def _best_separator(self, problem: _Problem, separators: list[_Separated]) -> FoldPlan | None:
        """Make folds even, those that lose fewest rows first; return the cheapest plan."""
        adjacency, counts = problem.adjacency, problem.counts
        imbalance = Imbalance(self.fractions, counts.sum(axis=0) / counts.sum(), self.tolerances)
        refiner = SeparatorRefiner(adjacency, counts, len(self.fractions))
        assign = partial(self._assign, rng=problem.rng())
        best, least = None, np.inf
        for separator in separators:
            if separator.lost >= least:  # even folds hardly ever cost less than uneven ones
                break
            fold, cost = rebalance_separator(refiner, separator.fold, assign, imbalance)
            if cost < least:
                best, least = FoldPlan(fold, adjacency, separator.record), cost
        return best

    def _cut(self, problem: _Problem, cut: Cut) -> tuple[NDArray[np.intp], dict[str, Any]]:
        """Return the groups of a cut, and its record."""
        smallest = self.fractions.min() / self.fractions.max()
        group, record = cut.groups(
            problem.adjacency,
            problem.counts.sum(axis=1),
            problem.component,
            limit=problem.limit,
            smallest=smallest,
            seed=problem.seed,
        )
        stratified = problem.counts.shape[1] > 1
        return group, {**record, "cover_method": "none", "stratified": stratified}

    def _assign(
        self,
        group: NDArray[np.intp],
        counts: NDArray[np.int64],
        rng: np.random.RandomState | None,
    ) -> NDArray[np.intp]:
        """Return the fold of each node."""
        group = np.unique(group, return_inverse=True)[1]
        per_group = rows_per_label(counts, group, int(group.max()) + 1)
        return assign_groups(
            per_group,
            self.fractions,
            rng=rng,
            largest_first=self.largest_first,
            tolerances=self.tolerances,
        )[group]


def too_few_components(found: int, needed: int, parts: str) -> InsufficientComponentsError:
    """Return the error for fewer homology components than parts to fill."""
    return InsufficientComponentsError(
        f"the sequences form {found} homology component(s); expected at least {needed}, one for "
        f"each of the {parts}. {REMEDIES}"
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
