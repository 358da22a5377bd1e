"""Cluster proteins: components of the homology graph, or a published tool's greedy clusters."""

from numbers import Integral, Real
from os import PathLike
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions

from esmlearn.clustering._engines.registry import ENGINE_NAMES
from esmlearn.clustering._homology_graph import check_share, homology_graph
from esmlearn.clustering._nodes import UniqueSequences, row_digests
from esmlearn.clustering._redundancy import node_representatives
from esmlearn.exceptions import DataError
from esmlearn.utils._tags import one_text_column

METHODS = ("components", "cdhit", "mmseqs", "linclust")
COVERAGE_MODES = ("shorter", "both", "any")
_SHARE = Interval(Real, 0, 1, closed="both")


def _number(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Renumber labels 0, 1, ... in the order of their first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def cluster_sequences(
    sequences: Any,
    *,
    identity: float = 0.3,
    coverage: float = 0.5,
    coverage_mode: str = "shorter",
    method: str = "components",
    evalue: float = 1e-3,
    margin: float = 0.05,
    engine: str = "auto",
    cache: str | PathLike[str] | None = "default",
    n_jobs: int | None = None,
) -> NDArray[np.int64]:
    """Cluster proteins by homology.

    Only ``"components"`` keeps homologs together. The greedy methods are here to reproduce
    published recipes: they compare sequences with representatives alone, so that two members of
    different clusters may be homologs (on 5,000 UniProt proteins in 5 folds at 30 % identity, 25 %
    of the test proteins had a homolog in training with ``"mmseqs"``, 46 % with ``"linclust"``; 35 %
    with ``"cdhit"`` at 40 %).

    Parameters
    ----------
    sequences : array-like of str of shape (n_sequences,)
        Proteins; copies (after removing gaps, in upper case) get the same label.
    identity : float, default=0.3
        Least identity (identical residues over alignment columns), 0-1. ``"cdhit"`` takes 0.4 or
        more.
    coverage : float, default=0.5
        Share of the protein that the alignment must cover, 0-1.
    coverage_mode : {"shorter", "both", "any"}, default="shorter"
        Which protein must be covered.
    method : {"components", "cdhit", "mmseqs", "linclust"}, default="components"
        Connected components of :func:`homology_graph`; CD-HIT; MMseqs2's cascaded clustering;
        MMseqs2's linear-time clustering.
    evalue, margin, engine, cache
        As of :func:`homology_graph`; for ``"components"`` alone.
    n_jobs : int, default=None
        Number of threads; -1 for all cores. CD-HIT always uses one.

    Returns
    -------
    labels : ndarray of int of shape (n_sequences,)
        Clusters, numbered from 0 in the order of the rows. The clusters themselves do not depend
        on the order of the rows.

    Raises
    ------
    DataError
        If a sequence or parameter is invalid, or CD-HIT is asked for less than 0.4.
    EngineNotFoundError
        If the program is not installed.

    References
    ----------
    .. [1] L. Fu, B. Niu, Z. Zhu, S. Wu, W. Li. "CD-HIT: accelerated for clustering the
       next-generation sequencing data". Bioinformatics 28, 3150-3152, 2012.
    .. [2] M. Steinegger, J. Söding. "Clustering huge protein sequence sets in linear time".
       Nature Communications 9, 2542, 2018.

    Examples
    --------
    >>> from esmlearn.clustering import cluster_sequences
    >>> protein = "MKVLATGGARQWEDSTHNPYFCIMKVLRTGGAEQ"
    >>> cluster_sequences([protein, "ACDEFGHIKLMNPQRSTVWY" * 2, protein[4:]]).tolist()
    [0, 1, 0]
    """
    check_choice("method", method, METHODS)
    check_choice("coverage_mode", coverage_mode, COVERAGE_MODES)
    identity, coverage = check_share("identity", identity), check_share("coverage", coverage)
    if method == "components":
        graph = homology_graph(
            sequences,
            identity=identity,
            coverage=coverage,
            coverage_mode=coverage_mode,
            evalue=evalue,
            margin=margin,
            engine=engine,
            cache=cache,
            n_jobs=n_jobs,
        )
        return _number(graph.components()[graph.node_of(sequences)])
    nodes = UniqueSequences.of(sequences)
    representatives = node_representatives(
        nodes.sequences,
        identity=identity,
        coverage=coverage,
        coverage_mode=coverage_mode,
        method=method,
        n_threads=effective_n_jobs(n_jobs),
    )
    return _number(representatives[np.searchsorted(nodes.digests, row_digests(sequences))])


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise unless `value` is one of `choices`."""
    if value not in choices:
        raise DataError(f"{name} is {value!r}; expected one of {', '.join(map(repr, choices))}.")


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
        """Declare that X is one column of text."""
        return one_text_column(super().__sklearn_tags__())
