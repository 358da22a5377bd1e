"""TargetRegions: where a continuous target is sparse."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from esmlearn.exceptions import DataError
from esmlearn.over_sampling._density import dense_weights, histogram_density, kernel_density
from esmlearn.over_sampling._relevance import (
    DensityRelevance,
    RelevanceCurve,
    box_plot_control_points,
    check_control_points,
)
from esmlearn.over_sampling._target import as_numeric_column, check_continuous_target

_METHODS = ("relevance", "density", "histogram", "quantile", "edges")


class TargetRegions(BaseEstimator):
    """Divide a continuous target into regions and tell which of them are rare.

    Each method gives every target value a *relevance* between 0 and 1, cuts the target where the
    relevance passes `threshold` (or at the given edges or quantiles), and calls a region rare when
    the mean relevance of its members is at least `threshold`. Learn it on training targets only.

    Parameters
    ----------
    method : {"relevance", "density", "histogram", "quantile", "edges"}, default="relevance"
        How relevance and edges are found.

        - ``"relevance"``: a relevance function as in [1]_: 0 at the median, 1 beyond the whiskers
          of a box plot, a monotone cubic between them. A side without outliers has no rare region.
          The box plot is Tukey's, as in the R package UBL; that of [1]_ is adjusted to skewness,
          so that its longer tail begins later. For that, or any other rule, give `control_points`.
        - ``"density"``: 1 minus the kernel density relative to its maximum (as in [2]_).
        - ``"histogram"``: the same with a histogram.
        - ``"quantile"``: edges at `quantiles`, relevance as in ``"density"``.
        - ``"edges"``: `edges` as given, relevance as in ``"density"``.
    edges : array-like of float, default=None
        Inner edges, in units of the target, for ``method="edges"``. Values on an edge belong to
        the region above it: ``edges=[85]`` makes the regions "below 85" and "85 and above".
    quantiles : sequence of float, default=(0.05, 0.95)
        Quantiles between 0 and 1 at which ``method="quantile"`` cuts.
    threshold : float, default=0.8
        Relevance from which on a region is rare, above 0 and at most 1.
    tail : {"both", "upper", "lower"}, default="both"
        Side of the centre (the median; for densities the mode) on which values can be rare.
    rare : "auto" or array-like of int, default="auto"
        Which regions are rare: found from the relevance, or named by their number (-1 is the last).
    min_count : int, default=6
        Regions found by relevance, density or histogram with fewer members are joined to their
        smaller neighbour. Given edges and quantiles are left as they are.
    whisker : float, default=1.5
        Length of the box plot's whiskers in inter-quartile ranges.
    control_points : array-like of shape (n_points, 2), default=None
        Rows of ``(value, relevance)`` that replace the box-plot rule of ``method="relevance"``.
    bandwidth : float, default=None
        Width of the Gaussian kernel in units of the target; by Silverman's rule unless given.
    n_bins : int, default=None
        Bins of ``method="histogram"``; by Freedman and Diaconis unless given.

    Attributes
    ----------
    edges_ : ndarray of shape (n_regions - 1,)
        Inner edges, ascending.
    rare_ : ndarray of bool of shape (n_regions,)
        Whether each region is rare.
    counts_ : ndarray of int of shape (n_regions,)
        Training targets in each region.
    n_regions_ : int
        Number of regions.
    y_min_, y_max_ : float
        Range of the training targets.
    density_ : Density
        Kernel density of the training targets: ``density_.grid``, ``density_.values``, or called
        with target values.
    control_points_ : ndarray of shape (n_points, 2) or None
        Control points of the relevance function, for ``method="relevance"``.

    See Also
    --------
    RegionOverSampler : Adds synthetic rows to the rare regions.
    esmlearn.metrics.region_report : Tells how well each region is predicted.

    References
    ----------
    .. [1] R. P. Ribeiro and N. Moniz, "Imbalanced regression and extreme value prediction",
       Machine Learning 109, 1803-1835, 2020.
    .. [2] M. Steininger et al., "Density-based weighting for imbalanced regression", Machine
       Learning 110, 2187-2211, 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from esmlearn.over_sampling import TargetRegions
    >>> y = np.r_[np.linspace(30, 45, 90), np.linspace(80, 98, 10)]
    >>> regions = TargetRegions(method="edges", edges=[60.0]).fit(y)
    >>> regions.table()[["low", "high", "count", "rare"]]
            low  high  count   rare
    region
    0      30.0  60.0     90  False
    1      60.0  98.0     10   True
    >>> regions.region([37.0, 60.0, 91.0])
    array([0, 1, 1])
    """

    _parameter_constraints: dict = {
        "method": [StrOptions(set(_METHODS))],
        "edges": ["array-like", None],
        "quantiles": ["array-like"],
        "threshold": [Interval(Real, 0, 1, closed="right")],
        "tail": [StrOptions({"both", "upper", "lower"})],
        "rare": [StrOptions({"auto"}), "array-like"],
        "min_count": [Interval(Integral, 1, None, closed="left")],
        "whisker": [Interval(Real, 0, None, closed="left")],
        "control_points": ["array-like", None],
        "bandwidth": [Interval(Real, 0, None, closed="neither"), None],
        "n_bins": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        method: str = "relevance",
        *,
        edges: ArrayLike | None = None,
        quantiles: Sequence[float] = (0.05, 0.95),
        threshold: float = 0.8,
        tail: str = "both",
        rare: str | ArrayLike = "auto",
        min_count: int = 6,
        whisker: float = 1.5,
        control_points: ArrayLike | None = None,
        bandwidth: float | None = None,
        n_bins: int | None = None,
    ) -> None:
        self.method = method
        self.edges = edges
        self.quantiles = quantiles
        self.threshold = threshold
        self.tail = tail
        self.rare = rare
        self.min_count = min_count
        self.whisker = whisker
        self.control_points = control_points
        self.bandwidth = bandwidth
        self.n_bins = n_bins

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, y: ArrayLike, X: Any = None) -> "TargetRegions":
        """Learn the regions from training targets.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            Training targets, finite and not all equal.
        X : ignored
            Present for calls that pass a second argument.

        Returns
        -------
        self : TargetRegions
            The fitted estimator.

        Raises
        ------
        DataError
            If `y` has fewer than two values, is constant, or holds NaN or infinity.
        """
        if self.edges is not None and self.method != "edges":
            raise DataError(
                f"edges are for method='edges', but method is {self.method!r}. Pass "
                f"method='edges', or leave edges out."
            )
        y = check_continuous_target(y)
        self.y_min_, self.y_max_ = float(y.min()), float(y.max())
        self.density_ = kernel_density(y, bandwidth=self.bandwidth)
        at_targets = self.density_(y)
        self.density_range_ = float(at_targets.min()), float(at_targets.max())
        self._learn_relevance(y)
        self.edges_ = self._find_edges(y)
        self.n_regions_ = len(self.edges_) + 1
        self.counts_ = np.bincount(self.region(y), minlength=self.n_regions_)
        self.rare_ = self._find_rare(y)
        return self

    def region(self, y: ArrayLike) -> NDArray:
        """Number of the region in which each value lies.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            Target values; values beyond the training range lie in the outer regions.

        Returns
        -------
        region : ndarray of int of shape (n_samples,)
            From 0 for the lowest region to ``n_regions_ - 1``.

        Raises
        ------
        DataError
            If a value is NaN or infinite, and so lies in no region.
        """
        check_is_fitted(self, "edges_")
        return np.searchsorted(self.edges_, as_numeric_column(y), side="right")

    def relevance(self, y: ArrayLike) -> NDArray:
        """Relevance of each value, between 0 (usual) and 1 (rare).

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            Target values.

        Returns
        -------
        relevance : ndarray of shape (n_samples,)
            Relevance by the chosen method.

        Raises
        ------
        DataError
            If a value is NaN or infinite.
        """
        check_is_fitted(self, "edges_")
        return self._relevance(as_numeric_column(y))

    def weights(self, y: ArrayLike, *, alpha: float = 1.0, floor: float = 1e-6) -> NDArray:
        """Sample weights that grow where the target is sparse (DenseWeight).

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            Target values.
        alpha : float, default=1.0
            Strength: 0 gives equal weights, 1 gives the densest value weight `floor`, more than 1
            gives that weight to a whole dense range.
        floor : float, default=1e-6
            Smallest weight before scaling, above 0.

        Returns
        -------
        weights : ndarray of shape (n_samples,)
            Weights with mean 1 over the given values.

        Raises
        ------
        DataError
            If a value is NaN or infinite, `alpha` is negative or `floor` is not positive.
        """
        check_is_fitted(self, "edges_")
        densities = self.density_(as_numeric_column(y))
        return dense_weights(densities, self.density_range_, alpha=alpha, floor=floor)

    def table(self) -> pd.DataFrame:
        """One row per region.

        Returns
        -------
        table : DataFrame
            Index ``region``; columns ``low`` and ``high`` (the outer ones are the training range),
            ``count``, ``share``, ``relevance`` (mean over members, NaN without any) and ``rare``.
        """
        check_is_fitted(self, "rare_")
        # Given edges may lie outside of the training range.
        low, high = min([self.y_min_, *self.edges_]), max([self.y_max_, *self.edges_])
        bounds = np.r_[low, self.edges_, high]
        columns = {
            "low": bounds[:-1],
            "high": bounds[1:],
            "count": self.counts_,
            "share": self.counts_ / self.counts_.sum(),
            "relevance": self.mean_relevance_,
            "rare": self.rare_,
        }
        return pd.DataFrame(columns, index=pd.RangeIndex(self.n_regions_, name="region"))

    def _learn_relevance(self, y: NDArray) -> None:
        """Set what `_relevance` is made of: plain arrays, which saved models may hold."""
        self.control_points_, self.histogram_ = None, None
        if self.method == "histogram":
            self.histogram_ = histogram_density(y, n_bins=self.n_bins)
        elif self.method == "relevance":
            self.control_points_ = (
                box_plot_control_points(y, tail=self.tail, whisker=self.whisker)
                if self.control_points is None
                else check_control_points(self.control_points)
            )

    @property
    def _relevance(self) -> RelevanceCurve | DensityRelevance:
        """The relevance function by the chosen method."""
        if self.control_points_ is not None:
            return RelevanceCurve(self.control_points_)
        return DensityRelevance(self.histogram_ or self.density_, tail=self.tail)

    def _find_edges(self, y: NDArray) -> NDArray:
        """Inner edges by the chosen method."""
        if self.method == "edges":
            return check_edges(self.edges)
        if self.method == "quantile":
            quantiles = np.asarray(self.quantiles, dtype=np.float64)
            if quantiles.ndim != 1 or not ((quantiles > 0) & (quantiles < 1)).all():
                raise DataError(f"quantiles must lie between 0 and 1, got {self.quantiles!r}.")
            edges = np.unique(np.quantile(y, quantiles))
            return edges[edges > self.y_min_]
        edges = self._relevance.crossings(self.threshold)
        edges = edges[(edges > self.y_min_) & (edges <= self.y_max_)]
        return join_small_regions(y, edges, self.min_count)

    def _find_rare(self, y: NDArray) -> NDArray:
        """Return which regions are rare, by relevance or as the user names them."""
        total = np.bincount(self.region(y), self.relevance(y), self.n_regions_)
        with np.errstate(invalid="ignore"):
            self.mean_relevance_ = total / self.counts_
        if isinstance(self.rare, str):
            # A region that holds no training target at all is as rare as can be.
            return (self.mean_relevance_ >= self.threshold) | (self.counts_ == 0)
        return check_region_numbers(self.rare, self.n_regions_)


def make_regions(regions: TargetRegions | ArrayLike | None) -> TargetRegions:
    """Return unfitted regions from an estimator, edges, or nothing."""
    if regions is None:
        return TargetRegions()
    return clone(regions) if hasattr(regions, "fit") else TargetRegions("edges", edges=regions)


def check_edges(edges: ArrayLike | None, *, name: str = "edges") -> NDArray:
    """Return edges as an ascending float array, or say which one is wrong."""
    if edges is None and name == "edges":
        raise DataError('method="edges" needs edges, such as edges=[50.0, 85.0]; got None.')
    values = np.asarray(edges, dtype=np.float64)  # of None, too, which has no dimension
    if values.ndim != 1 or values.size == 0:
        raise DataError(
            f"{name} must be a 1-D list of at least one number, such as [65.0]; got {edges!r}."
        )
    bad = ~np.isfinite(values)
    bad[1:] |= np.diff(values) <= 0
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise DataError(f"{name}[{i}] is {values[i]}: edges must be finite and ascending.")
    return values


def check_region_numbers(numbers: ArrayLike, n_regions: int) -> NDArray:
    """Turn numbers of regions into a mask, or say which number does not exist."""
    values = np.atleast_1d(np.asarray(numbers))
    if values.dtype == bool and values.shape == (n_regions,):
        return values.copy()
    if values.size and values.dtype.kind not in "iu":
        raise DataError(f"Regions are named by whole numbers, got {numbers!r}.")
    mask = np.zeros(n_regions, dtype=bool)
    for i, number in enumerate(values):
        if not -n_regions <= number < n_regions:
            raise DataError(
                f"Region {number} (at index {i}) does not exist: the target has {n_regions} "
                f"regions, 0 to {n_regions - 1}."
            )
        mask[number] = True
    return mask


def join_small_regions(y: NDArray, edges: NDArray, min_count: int) -> NDArray:
    """Take out edges until every region has `min_count` members."""
    while edges.size:
        labels = np.searchsorted(edges, y, side="right")
        counts = np.bincount(labels, minlength=edges.size + 1)
        smallest = int(np.argmin(counts))
        if counts[smallest] >= min_count:
            break
        left = counts[smallest - 1] if smallest > 0 else np.inf
        right = counts[smallest + 1] if smallest < edges.size else np.inf
        edges = np.delete(edges, smallest - 1 if left <= right else smallest)
    return edges
