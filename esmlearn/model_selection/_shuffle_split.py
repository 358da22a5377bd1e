"""Random splits into a training and a test part that no homology crosses."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions

from esmlearn.exceptions import DataError
from esmlearn.model_selection._base import HomologySplitter, PlannedSplitter
from esmlearn.model_selection._partition.planner import FoldPlan, FoldPlanner
from esmlearn.model_selection._splitter import pair_of

_TEST = 0


class CDHitShuffleSplit(PlannedSplitter):
    """Random training and test parts such that no test protein has a homolog in training.

    Homology components are drawn for the test part until it has its size and the shares of classes,
    or of regions of a continuous target, of the whole. Components larger than the test part train;
    only one larger than the training part is cut (see `on_large_component`).

    Parameters
    ----------
    n_splits : int, default=1
        Number of independent draws.
    test_size : float or int, default=0.1
        Share of the rows in the test part (0-1), or their number. Whole components are drawn, so
        the size is met as nearly as they allow.
    identity, coverage, coverage_mode, evalue, margin, purge_margin, engine
        The homology, see :class:`CDHitGroupSplitter`.
    on_large_component : {"purge", "drop", "error"}, default="purge"
        What to do about a component larger than the training part.
    stratify, random_state, n_jobs, reference, extra_edges, sequence_column
        See :class:`CDHitGroupSplitter`.

    Attributes
    ----------
    set_aside_ : ndarray of int
        Rows set aside in the last draw; empty but for ``on_large_component="drop"``.
    description_ : dict
        How the last draw was made.

    See Also
    --------
    CDHitGroupSplitter : K folds.
    train_validation_test_split : Parts of one representative per component.

    Examples
    --------
    >>> from esmlearn.model_selection import CDHitShuffleSplit
    >>> ancestors = ["MKVLATGGARQWEDSTHNPYFCIM", "WWHHPPGGAACCDDEEFFKKLLMM",
    ...              "QNQNSTSTYVYVRKRKDEDEILIL", "GPGPFWFWHYHYMTMTCACANDND"]
    >>> sequences = [a[i:] for a in ancestors for i in range(3)]
    >>> train, test = next(CDHitShuffleSplit(test_size=0.25, random_state=0).split(sequences))
    >>> len(train), len(test), {i // 3 for i in train} & {i // 3 for i in test}
    (9, 3, set())
    """

    _parameter_constraints = {
        **HomologySplitter._parameter_constraints,
        "n_splits": [Interval(Integral, 1, None, closed="left")],
        "test_size": [
            Interval(RealNotInt, 0, 1, closed="neither"),
            Interval(Integral, 1, None, closed="left"),
        ],
        "on_large_component": [StrOptions({"purge", "drop", "error"})],
    }

    def __init__(
        self,
        n_splits: int = 1,
        *,
        test_size: float = 0.1,
        identity: float = 0.3,
        coverage: float = 0.5,
        coverage_mode: str = "shorter",
        evalue: float = 1e-3,
        margin: float = 0.05,
        purge_margin: float | None = None,
        engine: str = "auto",
        on_large_component: str = "purge",
        stratify: Any = "auto",
        random_state: Any = None,
        n_jobs: int | None = None,
        reference: Any = None,
        extra_edges: Any = None,
        sequence_column: str | None = None,
    ) -> None:
        self.n_splits = n_splits
        self.test_size = test_size
        self.identity = identity
        self.coverage = coverage
        self.coverage_mode = coverage_mode
        self.evalue = evalue
        self.margin = margin
        self.purge_margin = purge_margin
        self.engine = engine
        self.on_large_component = on_large_component
        self.stratify = stratify
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.reference = reference
        self.extra_edges = extra_edges
        self.sequence_column = sequence_column

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits.

        Parameters
        ----------
        X, y, groups : object, default=None
            Not used.

        Returns
        -------
        n_splits : int
            Number of draws.
        """
        return self.n_splits

    def split(
        self, X: Any, y: ArrayLike | None = None, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Return the splits.

        Parameters
        ----------
        X : array-like of shape (n_rows,) of str, or (n_rows, n_features)
            Sequences; or numbers, with the sequences as `groups`.
        y : array-like of shape (n_rows,), default=None
            The target, for balance; see `stratify`.
        groups : array-like of str of shape (n_rows,), default=None
            The sequences, where X is numeric.

        Returns
        -------
        splits : iterator of (train, test)
            Ascending row indices.

        Raises
        ------
        InsufficientComponentsError
            If there are too few homology components to fill both parts.
        DataError
            If a sequence or a target is invalid.
        """
        self._check_parameters()
        rows = self._rows(X, groups)
        fraction = self._test_fraction(rows.n_rows)
        strata = self._strata(y, rows.n_rows, min_rows=int(np.ceil(2 / fraction)))
        counts, rng = rows.counts(strata), self._generator()
        pairs, set_aside = [], []
        plan = FoldPlan(np.zeros(rows.n_nodes, dtype=np.intp), rows.adjacency)
        for _ in range(self.n_splits):
            planner = FoldPlanner(
                np.array([fraction, 1 - fraction]),
                on_large_component=self.on_large_component,
                rng=rng,
                largest_first=False,
            )
            plan = planner.plan(rows.adjacency, counts, rows.purge)
            pairs.append(pair_of(plan, _TEST, rows.node))
            set_aside.append(np.flatnonzero(plan.fold[rows.node] < 0))
        self._remember(rows, pairs, set_aside, plan, strata, y)
        return iter(pairs)

    def _test_fraction(self, n_rows: int) -> float:
        fraction = self.test_size / n_rows if isinstance(self.test_size, Integral) else None
        if fraction is None:
            return max(float(self.test_size), 1 / n_rows)  # a part is never less than a row
        if fraction >= 1:
            raise DataError(
                f"test_size is {self.test_size} of {n_rows} rows; expected fewer than there are."
            )
        return float(fraction)
