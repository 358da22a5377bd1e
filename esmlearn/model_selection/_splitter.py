"""K folds that no homology crosses."""

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from esmlearn.exceptions import DataError
from esmlearn.model_selection._base import HomologySplitter, Pair, PlannedSplitter
from esmlearn.model_selection._partition.assignment import Tolerances
from esmlearn.model_selection._partition.planner import FoldPlan, FoldPlanner


class CDHitGroupSplitter(PlannedSplitter):
    """K folds such that no test protein has a homolog in its training part.

    The homology graph of the sequences (all against all, with a margin below the thresholds) is
    split into connected components, and whole components are assigned to folds of equal size and
    equal shares of the classes, or of the regions of a continuous target. A component that no fold
    can hold is cut where it has few edges, and each split's training part leaves out the homologs
    of its test fold: every row is tested exactly once and nothing leaks.

    The name is that of the method's best-known step. Greedy clusters as CD-HIT or MMseqs2 make
    them do *not* keep homologs together (a member need not resemble the other members only): see
    `method`.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    identity : float, default=0.3
        Identity of homologs from which on they must not be separated: identical residues over
        alignment columns, 0-1.
    coverage : float, default=0.5
        Share of the protein that the alignment must cover, 0-1.
    coverage_mode : {"shorter", "both", "any"}, default="shorter"
        Which protein must be covered; ``"any"`` ignores coverage.
    evalue : float, default=1e-3
        Largest E-value.
    margin : float, default=0.05
        The graph is built at ``identity - margin`` and ``coverage - 2 * margin``.
    purge_margin : float, default=None
        Margin of the edges that keep a row from training, where a component is cut; None is
        `margin`. With 0, proteins within the margin are still kept together where possible, but
        only homologs by the thresholds themselves are purged: more training rows, for engines whose
        alignments are exact.
    method : {"components", "cdhit", "mmseqs", "linclust"}, default="components"
        What is kept together. All but ``"components"`` reproduce published recipes with the
        clusters of that program, and **leak**: on 5,000 UniProt proteins at 30 % identity, 13 to
        51 % of the test rows kept a homolog in training.
    engine : {"auto", "mmseqs", "diamond", "exact"}, default="auto"
        Search engine, see :func:`esmlearn.clustering.homology_graph`.
    on_large_component : {"purge", "drop", "error"}, default="purge"
        What to do about a component larger than a fold (or one that alone prevents even folds at
        a cost of few training rows). ``"purge"`` cuts it, and leaves the homologs of a test fold
        out of its training part. ``"drop"`` cuts it and sets aside as few rows as it can such that
        no homology joins two folds and every fold is still like the whole set; with
        ``stratify=False`` fewer. ``"error"`` refuses.
    size_tolerance : float, default=0.01
        By how much of the mean size, from 0 on and below 1, a fold may be larger or smaller. With
        more than 0.01 a large component may be cut into larger parts, so that fewer rows are
        purged or set aside.
    share_tolerance : float, default=0.005
        By how much the share of a stratum in a fold may differ from its share in all rows, 0-1.
        Folds are no more even than this where more even ones cost rows. Neither tolerance is a
        guarantee: what cannot be had is approached.
    stratify : "auto", bool, array-like of shape (n_rows,) or regions, default="auto"
        What is spread evenly. ``"auto"``: y, if given and of one column; a number with more than 20
        distinct or with fractional values is cut into deciles with finer bins in the tails,
        anything else is classes. True: the same, and y must be given. An array: these labels. An
        object with a
        method ``region(y)``, such as :class:`esmlearn.over_sampling.TargetRegions`: its regions.
    shuffle : bool, default=True
        Assign interchangeable components at random; False assigns them in the order of their
        digests.
    random_state : int, RandomState instance or None, default=None
        Seed of `shuffle`. None is a fixed seed: the same sequences give the same folds, so that
        two models are compared, and a leakage audit is made, on the same ones. No global random
        state is read or set.
    n_jobs : int, default=None
        Threads of the search; the folds do not depend on it.
    reference : array-like of str or HomologyGraph, default=None
        All sequences that will ever be split, or their graph. Parts of them (inner folds) are then
        looked up. Without it, the cache finds the graph of a superset by content. A graph is used
        with all its edges; one whose thresholds are stricter than these is refused.
    extra_edges : array-like of str of shape (n_edges, 2), default=None
        Pairs of sequences that must not be separated either, such as
        ``LeakageReport.extra_edges``.
    sequence_column : str, default=None
        Column of the sequences where X is a table. None takes the one that is called
        ``"sequence"``, else the only one that holds nothing but protein sequences.

    Attributes
    ----------
    set_aside_ : ndarray of int
        Rows of the last `split` that are in no fold; empty but for ``on_large_component="drop"``.
    description_ : dict
        How the last `split` was made: the graph's description, number of components, share of the
        largest, how many were cut into how many pieces by which method (``"metis"`` or
        ``"numpy"``), how the rows to set aside were found, and whether the parts are
        ``"stratified"`` (not, with a warning, if strata are so many that a part would stay empty).

    See Also
    --------
    audit_leakage : Measure the leakage of any split.
    CDHitShuffleSplit : One or more random splits without homology across.

    Notes
    -----
    The result does not depend on the order of the rows; copies of a sequence stay together.
    Everything from y that the folds use is the stratum of each row, for balance alone.

    References
    ----------
    .. [1] Teufel et al., "GraphPart: homology partitioning for biological sequence analysis", NAR
       Genomics and Bioinformatics 5, lqad088 (2023).
    .. [2] Karypis and Kumar, "A fast and high quality multilevel scheme for partitioning irregular
       graphs", SIAM J. Sci. Comput. 20, 359-392 (1998).

    Examples
    --------
    >>> from esmlearn.model_selection import CDHitGroupSplitter
    >>> ancestors = ["MKVLATGGARQWEDSTHNPYFCIM", "WWHHPPGGAACCDDEEFFKKLLMM",
    ...              "QNQNSTSTYVYVRKRKDEDEILIL", "GPGPFWFWHYHYMTMTCACANDND"]
    >>> sequences = [a[i:] for a in ancestors for i in range(3)]
    >>> folds = CDHitGroupSplitter(n_splits=2, random_state=0)
    >>> for train, test in folds.split(sequences):
    ...     print(len(train), len(test), {i // 3 for i in train} & {i // 3 for i in test})
    6 6 set()
    6 6 set()
    """

    _parameter_constraints = {
        **HomologySplitter._parameter_constraints,
        "n_splits": [Interval(Integral, 2, None, closed="left")],
        "method": [StrOptions({"components", "cdhit", "mmseqs", "linclust"})],
        "on_large_component": [StrOptions({"purge", "drop", "error"})],
        "size_tolerance": [Interval(Real, 0, 1, closed="left")],
        "share_tolerance": [Interval(Real, 0, 1, closed="both")],
        "shuffle": ["boolean"],
    }

    def __init__(
        self,
        n_splits: int = 5,
        *,
        identity: float = 0.3,
        coverage: float = 0.5,
        coverage_mode: str = "shorter",
        evalue: float = 1e-3,
        margin: float = 0.05,
        purge_margin: float | None = None,
        method: str = "components",
        engine: str = "auto",
        on_large_component: str = "purge",
        size_tolerance: float = 0.01,
        share_tolerance: float = 0.005,
        stratify: Any = "auto",
        shuffle: bool = True,
        random_state: Any = None,
        n_jobs: int | None = None,
        reference: Any = None,
        extra_edges: Any = None,
        sequence_column: str | None = None,
    ) -> None:
        self.n_splits = n_splits
        self.identity = identity
        self.coverage = coverage
        self.coverage_mode = coverage_mode
        self.evalue = evalue
        self.margin = margin
        self.purge_margin = purge_margin
        self.method = method
        self.engine = engine
        self.on_large_component = on_large_component
        self.size_tolerance = size_tolerance
        self.share_tolerance = share_tolerance
        self.stratify = stratify
        self.shuffle = shuffle
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
            Number of folds.
        """
        return self.n_splits

    def split(
        self, X: Any, y: ArrayLike | None = None, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Return the splits.

        Parameters
        ----------
        X : array-like of shape (n_rows,) of str, table, or array-like of (n_rows, n_features)
            Sequences; a pandas, polars or pyarrow table with a column of them; or numbers, with
            the sequences as `groups`.
        y : array-like of shape (n_rows,), default=None
            The target, for balance; see `stratify`.
        groups : array-like of str of shape (n_rows,), default=None
            The sequences, where X is numeric.

        Returns
        -------
        splits : iterator of (train, test)
            Ascending row indices. Rows in neither are homologs of a test row (purged), or set
            aside.

        Raises
        ------
        InsufficientComponentsError
            If there are fewer homology components than folds, or nothing is left to train on.
        DataError
            If a sequence or a target is invalid.
        """
        self._check_parameters()
        if not self.shuffle and self.random_state is not None:
            raise DataError(
                "random_state is set but shuffle=False; expected shuffle=True or random_state=None."
            )
        rows = self._rows(X, groups)
        strata = self._strata(y, rows.n_rows, min_rows=2 * self.n_splits)
        planner = FoldPlanner(
            np.full(self.n_splits, 1 / self.n_splits),
            on_large_component=self.on_large_component,
            rng=self._generator() if self.shuffle else None,
            tolerances=Tolerances(self.size_tolerance, self.share_tolerance),
        )
        plan = planner.plan(rows.adjacency, rows.counts(strata), rows.purge)
        pairs = [pair_of(plan, fold, rows.node) for fold in range(self.n_splits)]
        set_aside = np.flatnonzero(plan.fold[rows.node] < 0)
        self._remember(rows, pairs, [set_aside] * self.n_splits, plan, strata, y)
        return iter(pairs)


def pair_of(plan: FoldPlan, fold: int, node: NDArray[np.intp]) -> Pair:
    """Return the row indices (train, test) of a fold."""
    train = np.flatnonzero(plan.training_nodes(fold)[node])
    return train, np.flatnonzero(plan.fold[node] == fold)
