"""K folds, several times over."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval

from esmlearn.model_selection._base import PlannedSplitter
from esmlearn.model_selection._splitter import CDHitGroupSplitter


class RepeatedCDHitGroupSplitter(PlannedSplitter):
    """`CDHitGroupSplitter` repeated with different draws; the graph is searched once.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds of each repetition.
    n_repeats : int, default=10
        Number of repetitions.
    identity, coverage, coverage_mode, evalue, margin, purge_margin, method, engine, \
on_large_component, size_tolerance, share_tolerance, stratify, random_state, n_jobs, \
reference, extra_edges, sequence_column
        See :class:`CDHitGroupSplitter`.

    Attributes
    ----------
    set_aside_ : list of ndarray of int
        Rows that are in no fold, for each repetition of the last `split`.
    description_ : list of dict
        How each repetition was made.

    Examples
    --------
    >>> from esmlearn.model_selection import RepeatedCDHitGroupSplitter
    >>> sequences = ["MKVLATGGARQWEDSTHNPYFCIM", "WWHHPPGGAACCDDEEFFKKLLMM",
    ...              "QNQNSTSTYVYVRKRKDEDEILIL", "GPGPFWFWHYHYMTMTCACANDND"]
    >>> folds = RepeatedCDHitGroupSplitter(n_splits=2, n_repeats=3, random_state=0)
    >>> len(list(folds.split(sequences)))
    6
    """

    _parameter_constraints = {
        **CDHitGroupSplitter._parameter_constraints,
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_splits: int = 5,
        *,
        n_repeats: int = 10,
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
        random_state: Any = None,
        n_jobs: int | None = None,
        reference: Any = None,
        extra_edges: Any = None,
        sequence_column: str | None = None,
    ) -> None:
        self.n_splits = n_splits
        self.n_repeats = n_repeats
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
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.reference = reference
        self.extra_edges = extra_edges
        self.sequence_column = sequence_column

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits of all repetitions.

        Parameters
        ----------
        X, y, groups : object, default=None
            Not used.

        Returns
        -------
        n_splits : int
            Folds times repetitions.
        """
        return self.n_splits * self.n_repeats

    def split(
        self, X: Any, y: ArrayLike | None = None, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Return the splits, one repetition after the other.

        Parameters
        ----------
        X, y, groups
            See :meth:`CDHitGroupSplitter.split`.

        Returns
        -------
        splits : iterator of (train, test)
            Ascending row indices.
        """
        self._check_parameters()
        parameters = self.get_params(deep=False)
        seeds = self._generator().randint(2**31 - 1, size=parameters.pop("n_repeats"))
        self._kept = [
            CDHitGroupSplitter(**{**parameters, "random_state": int(seed)}) for seed in seeds
        ]
        pairs = [pair for each in self._kept for pair in each.split(X, y, groups)]
        self.set_aside_ = [each.set_aside_ for each in self._kept]
        self.description_ = [each.description_ for each in self._kept]
        return iter(pairs)

    def _table(self) -> pd.DataFrame:
        tables = [each.summary().assign(repeat=i) for i, each in enumerate(self._kept)]
        return pd.concat(tables, ignore_index=True)
