"""Test each homology component once."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components
from sklearn.utils._param_validation import Interval

from esmlearn.exceptions import InsufficientComponentsError
from esmlearn.model_selection._base import HomologySplitter
from esmlearn.model_selection._partition.planner import too_few_components


class LeaveOneComponentOut(HomologySplitter):
    """Each homology component is the test part once; all others train.

    How well does a model do on a family it has never seen?

    Parameters
    ----------
    min_size : int, default=1
        Only components of at least this many rows are tested; smaller ones always train.
    identity, coverage, coverage_mode, evalue, margin, engine, n_jobs, reference, extra_edges, \
    sequence_column
        See :class:`CDHitGroupSplitter`.

    Attributes
    ----------
    untested_ : ndarray of int
        Rows of the components below `min_size` in the last `split`.

    Examples
    --------
    >>> from esmlearn.model_selection import LeaveOneComponentOut
    >>> ancestors = ["MKVLATGGARQWEDSTHNPYFCIM", "WWHHPPGGAACCDDEEFFKKLLMM"]
    >>> sequences = [a[i:] for a in ancestors for i in range(3)] + ["GPGPFWFWHYHYMTMTCACANDND"]
    >>> folds = LeaveOneComponentOut(min_size=2)
    >>> sorted(test.tolist() for train, test in folds.split(sequences))
    [[0, 1, 2], [3, 4, 5]]
    """

    _parameter_constraints = {
        **HomologySplitter._parameter_constraints,
        "min_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        min_size: int = 1,
        *,
        identity: float = 0.3,
        coverage: float = 0.5,
        coverage_mode: str = "shorter",
        evalue: float = 1e-3,
        margin: float = 0.05,
        engine: str = "auto",
        n_jobs: int | None = None,
        reference: Any = None,
        extra_edges: Any = None,
        sequence_column: str | None = None,
    ) -> None:
        self.min_size = min_size
        self.identity = identity
        self.coverage = coverage
        self.coverage_mode = coverage_mode
        self.evalue = evalue
        self.margin = margin
        self.engine = engine
        self.n_jobs = n_jobs
        self.reference = reference
        self.extra_edges = extra_edges
        self.sequence_column = sequence_column

    def get_n_splits(self, X: Any, y: Any = None, groups: Any = None) -> int:
        """Return the number of components that are tested.

        Parameters
        ----------
        X : array-like
            Sequences; or numbers, with the sequences as `groups`.
        y : object, default=None
            Not used.
        groups : array-like of str, default=None
            The sequences, where X is numeric.

        Returns
        -------
        n_splits : int
            Components of at least `min_size` rows.
        """
        return len(list(self.split(X, y, groups)))

    def split(
        self, X: Any, y: ArrayLike | None = None, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Return the splits, in the order of the components' first digests.

        Parameters
        ----------
        X : array-like of shape (n_rows,) of str, or (n_rows, n_features)
            Sequences; or numbers, with the sequences as `groups`.
        y : object, default=None
            Not used.
        groups : array-like of str of shape (n_rows,), default=None
            The sequences, where X is numeric.

        Returns
        -------
        splits : iterator of (train, test)
            Ascending row indices.

        Raises
        ------
        InsufficientComponentsError
            If all sequences form one component, or none has `min_size` rows.
        """
        self._check_parameters()
        rows = self._rows(X, groups)
        component = connected_components(rows.adjacency, directed=False)[1][rows.node]
        size = np.bincount(component)
        if len(size) < 2:
            raise too_few_components(len(size), 2, "parts (training, test)")
        if size.max() < self.min_size:
            raise InsufficientComponentsError(
                f"min_size is {self.min_size}, and the largest homology component has "
                f"{size.max()} rows; expected a component to test. Use a smaller min_size."
            )
        tested = np.flatnonzero(size >= self.min_size)
        self.untested_ = np.flatnonzero(size[component] < self.min_size)
        return iter(
            [(np.flatnonzero(component != c), np.flatnonzero(component == c)) for c in tested]
        )
