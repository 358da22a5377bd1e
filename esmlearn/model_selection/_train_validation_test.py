"""The train/validation/test design: one representative of each drawn cluster, the rest trains."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components

from esmlearn.clustering._homology_graph import check_share
from esmlearn.exceptions import DataError, InsufficientComponentsError
from esmlearn.model_selection._base import HomologyRows
from esmlearn.model_selection._partition.planner import REMEDIES
from esmlearn.model_selection._splitter import CDHitGroupSplitter
from esmlearn.model_selection._strata import Strata, make_strata
from esmlearn.utils._random import repeatable_generator


@dataclass(frozen=True)
class TrainValidationTestSplit:
    """Row indices of the three parts; ``train, validation, test = split`` unpacks it.

    Attributes
    ----------
    train, validation, test : ndarray of int
        Ascending row indices.
    set_aside : ndarray of int
        Rows in no part: the other members of the clusters drawn for validation and test.
    description : dict
        Counts (components, singletons, components that could be drawn, rows of each part) and the
        graph's description.
    """

    train: NDArray[np.intp]
    validation: NDArray[np.intp]
    test: NDArray[np.intp]
    set_aside: NDArray[np.intp]
    description: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"<TrainValidationTestSplit: {len(self.train)} rows train, {len(self.validation)} "
            f"validate, {len(self.test)} test, {len(self.set_aside)} set aside>"
        )

    def __iter__(self) -> Iterator[NDArray[np.intp]]:
        return iter((self.train, self.validation, self.test))

    def summary(self) -> str:
        """Return the sizes of the parts and the source of the draw, in words."""
        about = self.description
        return (
            f"{len(self.train)} rows train, {len(self.validation)} validate, {len(self.test)} "
            f"test; {len(self.set_aside)} are set aside as other members of the drawn clusters. "
            f"Drawn from {about['n_eligible']} of {about['n_components']} homology components "
            f"({about['n_singletons']} of a single protein)."
        )


def train_validation_test_split(
    sequences: Any,
    y: ArrayLike | None = None,
    *,
    n_validation: int = 2000,
    n_test: int = 2000,
    singletons_only: bool = False,
    max_component: float = 0.05,
    identity: float = 0.3,
    coverage: float = 0.5,
    coverage_mode: str = "shorter",
    evalue: float = 1e-3,
    margin: float = 0.05,
    engine: str = "auto",
    stratify: Any = "auto",
    random_state: Any = None,
    n_jobs: int | None = None,
    reference: Any = None,
    sequence_column: str | None = None,
) -> TrainValidationTestSplit:
    """Draw whole homology clusters for validation and test; keep one representative of each there.

    The representative is the member with most homologs. The other members are set aside; nothing
    homologous to a validation or test protein trains, and validation and test share no homologs
    either.

    Parameters
    ----------
    sequences : array-like of str of shape (n_rows,), or table
        Proteins, or a table with a column of them.
    y : array-like of shape (n_rows,), default=None
        The target, for balance; see `stratify`.
    n_validation, n_test : int, default=2000
        Number of representatives.
    singletons_only : bool, default=False
        Draw only proteins without any homolog in the data: nothing but copies is set aside, but
        orphans are not typical proteins.
    max_component : float, default=0.05
        Components with a larger share of the rows are never drawn: they would cost more training
        rows than one representative is worth.
    identity, coverage, coverage_mode, evalue, margin, engine, n_jobs, reference
        The homology, see :class:`CDHitGroupSplitter`.
    stratify : "auto", bool, array-like of shape (n_rows,) or regions, default="auto"
        Draw representatives of each class, or region of a continuous y, in proportion; see
        :class:`CDHitGroupSplitter`.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw; None is a fixed seed.
    sequence_column : str, default=None
        Column of the sequences where a table is given; see :class:`CDHitGroupSplitter`.

    Returns
    -------
    split : TrainValidationTestSplit
        Row indices and counts.

    Raises
    ------
    InsufficientComponentsError
        If there are fewer components to draw from than representatives, or nothing is left to train
        on; the message says how many there are.

    Examples
    --------
    >>> from esmlearn.model_selection import train_validation_test_split
    >>> ancestors = ["MKVLATGGARQWEDSTHNPYFCIM", "WWHHPPGGAACCDDEEFFKKLLMM",
    ...              "QNQNSTSTYVYVRKRKDEDEILIL", "GPGPFWFWHYHYMTMTCACANDND"]
    >>> sequences = [a[i:] for a in ancestors for i in range(3)]
    >>> parts = train_validation_test_split(
    ...     sequences, n_validation=1, n_test=1, max_component=1.0, random_state=0)
    >>> len(parts.train), len(parts.validation), len(parts.test), len(parts.set_aside)
    (6, 1, 1, 4)
    """
    splitter = CDHitGroupSplitter(
        identity=identity,
        coverage=coverage,
        coverage_mode=coverage_mode,
        evalue=evalue,
        margin=margin,
        engine=engine,
        stratify=stratify,
        random_state=random_state,
        n_jobs=n_jobs,
        reference=reference,
        sequence_column=sequence_column,
    )
    splitter._check_parameters()
    for name, value in {"n_validation": n_validation, "n_test": n_test}.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise DataError(f"{name} is {value!r}; expected a number of proteins (int, 0 or more).")
    max_component = check_share("max_component", max_component)
    rows = splitter._rows(sequences, None)
    strata = make_strata(y, n_rows=rows.n_rows, stratify=stratify, min_rows=10)
    clusters = _Clusters.of(rows)
    eligible = clusters.eligible(singletons_only, max_component)
    _check_enough(clusters, eligible, n_validation, n_test, singletons_only)
    rng = repeatable_generator(random_state)
    drawn = _draw(clusters.representative[eligible], strata, n_validation + n_test, rng)
    chosen = eligible[drawn]
    return clusters.split(rows, chosen[:n_validation], chosen[n_validation:], eligible)


@dataclass(frozen=True)
class _Clusters:
    """Homology components of the rows.

    `of_row` is the component of each row, `n_rows` and `n_nodes` count a component's rows and
    distinct sequences, `representative` is a row: of the node with most homologs, the first.
    """

    of_row: NDArray[np.intp]
    n_rows: NDArray[np.intp]
    n_nodes: NDArray[np.intp]
    representative: NDArray[np.intp]

    @classmethod
    def of(cls, rows: HomologyRows) -> "_Clusters":
        component = connected_components(rows.adjacency, directed=False)[1]
        degree = np.diff(rows.adjacency.indptr)
        best = np.lexsort((-degree, component))
        best = best[np.unique(component[best], return_index=True)[1]]
        first_row = np.unique(rows.node, return_index=True)[1]
        of_row = component[rows.node]
        return cls(of_row, np.bincount(of_row), np.bincount(component), first_row[best])

    def eligible(self, singletons_only: bool, max_component: float) -> NDArray[np.intp]:
        """Return the components that may be drawn."""
        allowed = self.n_rows <= max_component * len(self.of_row)
        if singletons_only:
            allowed &= self.n_nodes == 1
        return np.flatnonzero(allowed)

    def split(
        self,
        rows: HomologyRows,
        validation: NDArray[np.intp],
        test: NDArray[np.intp],
        eligible: NDArray[np.intp],
    ) -> TrainValidationTestSplit:
        """Return the rows of the parts."""
        drawn = np.isin(self.of_row, np.concatenate([validation, test]))
        kept = np.concatenate([self.representative[validation], self.representative[test]])
        set_aside = np.setdiff1d(np.flatnonzero(drawn), kept)
        return TrainValidationTestSplit(
            train=np.flatnonzero(~drawn),
            validation=np.sort(self.representative[validation]),
            test=np.sort(self.representative[test]),
            set_aside=set_aside,
            description={
                "n_components": len(self.n_rows),
                "n_singletons": int((self.n_nodes == 1).sum()),
                "n_eligible": len(eligible),
                "n_train": int((~drawn).sum()),
                "n_validation": len(validation),
                "n_test": len(test),
                "n_set_aside": len(set_aside),
                "graph": rows.description,
            },
        )


def _check_enough(
    clusters: _Clusters,
    eligible: NDArray[np.intp],
    n_validation: int,
    n_test: int,
    singletons_only: bool,
) -> None:
    needed = n_validation + n_test
    if len(eligible) >= needed and len(clusters.n_rows) > needed:
        return
    kind = "components of a single protein" if singletons_only else "homology components"
    hint = "singletons_only=False, " if singletons_only else ""
    raise InsufficientComponentsError(
        f"n_validation + n_test is {needed}; the {len(clusters.of_row)} sequences form "
        f"{len(clusters.n_rows)} components, and {len(eligible)} {kind} may be drawn (at least one "
        f"must be left to train on). Use {hint}smaller n_validation and n_test, or a larger "
        f"max_component. {REMEDIES}"
    )


def _draw(
    representative: NDArray[np.intp], strata: Strata, n: int, rng: np.random.RandomState
) -> NDArray[np.intp]:
    """Draw n of the representatives such that every stratum is met in proportion.

    Within each stratum the order is random; strata are then merged evenly, so that every prefix of
    the result (validation, then test) holds them in proportion.
    """
    order = rng.permutation(len(representative))
    codes = strata.codes[representative[order]]
    by_stratum = np.argsort(codes, kind="stable")
    counts = np.bincount(codes, minlength=strata.n_strata)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    position = (rank + rng.random_sample(len(order))) / np.repeat(counts, counts)
    return order[by_stratum[np.argsort(position, kind="stable")]][:n]
