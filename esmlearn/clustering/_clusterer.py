"""Homology clusters as a scikit-learn clusterer."""

from numbers import Integral, Real
from os import PathLike
from typing import Any

from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions

from esmlearn.clustering._clusters import COVERAGE_MODES, METHODS, cluster_sequences
from esmlearn.clustering._search import ENGINE_NAMES

_SHARE = Interval(Real, 0, 1, closed="both")


class CDHitClusterer(ClusterMixin, BaseEstimator):
    """Cluster proteins by homology.

    Parameters
    ----------
    identity : float, default=0.3
        Least identity (identical residues over alignment columns), 0-1.
    coverage : float, default=0.5
        Share of the protein that the alignment must cover, 0-1.
    coverage_mode : {"shorter", "both", "any"}, default="shorter"
        Which protein must be covered.
    method : {"components", "cdhit", "mmseqs", "linclust"}, default="components"
        Connected components of the homology graph, which alone keep homologs together, or a
        published tool's greedy clusters; CD-HIT takes an identity of 0.4 or more.
    evalue : float, default=1e-3
        Largest E-value; for ``"components"``.
    margin : float, default=0.05
        How far below the thresholds pairs are still joined; for ``"components"``.
    engine : {"auto", "mmseqs", "diamond", "exact"}, default="auto"
        How homologs are searched; for ``"components"``.
    cache : {"default"}, path-like or None, default="default"
        Directory of cached graphs; None for memory alone.
    n_jobs : int, default=None
        Number of threads; -1 for all cores.

    Attributes
    ----------
    labels_ : ndarray of int of shape (n_sequences,)
        Cluster of each sequence, numbered from 0 in the order of the rows.
    n_clusters_ : int
        Number of clusters.

    See Also
    --------
    cluster_sequences : The same as a function.

    Examples
    --------
    >>> from esmlearn.clustering import CDHitClusterer
    >>> protein = "MKVLATGGARQWEDSTHNPYFCIMKVLRTGGAEQ"
    >>> CDHitClusterer(0.5).fit_predict([protein, "ACDEFGHIKLMNPQRSTVWY" * 2, protein[4:]])
    array([0, 1, 0])
    """

    _parameter_constraints: dict = {
        "identity": [_SHARE],
        "coverage": [_SHARE],
        "coverage_mode": [StrOptions(set(COVERAGE_MODES))],
        "method": [StrOptions(set(METHODS))],
        "evalue": [Interval(Real, 0, 1000, closed="right")],
        "margin": [_SHARE],
        "engine": [StrOptions(set(ENGINE_NAMES))],
        "cache": [str, PathLike, None],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        identity: float = 0.3,
        *,
        coverage: float = 0.5,
        coverage_mode: str = "shorter",
        method: str = "components",
        evalue: float = 1e-3,
        margin: float = 0.05,
        engine: str = "auto",
        cache: str | PathLike[str] | None = "default",
        n_jobs: int | None = None,
    ) -> None:
        self.identity = identity
        self.coverage = coverage
        self.coverage_mode = coverage_mode
        self.method = method
        self.evalue = evalue
        self.margin = margin
        self.engine = engine
        self.cache = cache
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> "CDHitClusterer":
        """Cluster sequences.

        Parameters
        ----------
        X : array-like of str of shape (n_sequences,)
            Proteins; copies get the same label.
        y : None
            Ignored.

        Returns
        -------
        self : CDHitClusterer
            With `labels_`.
        """
        self.labels_ = cluster_sequences(X, **self.get_params(deep=False))
        self.n_clusters_ = int(self.labels_.max()) + 1
        return self

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that X is one column of text."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags
