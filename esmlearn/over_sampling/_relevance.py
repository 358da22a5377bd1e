"""Relevance: how much a target value matters, from 0 to 1, by control points or a density."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicHermiteSpline

from esmlearn.exceptions import DataError
from esmlearn.over_sampling._density import Density, Histogram


def box_plot_control_points(y: NDArray, *, tail: str, whisker: float) -> NDArray:
    """Place control points ``(value, relevance)`` at the whiskers and the median of `y`.

    A whisker has relevance 1 when values lie beyond it, otherwise 0: a target without outliers on
    one side has nothing rare there.
    """
    quartile_1, median, quartile_3 = np.percentile(y, [25, 50, 75])
    reach = whisker * (quartile_3 - quartile_1)
    points = [(median, 0.0)]
    below, above = y < quartile_1 - reach, y > quartile_3 + reach
    if tail in ("both", "lower") and below.any():
        # Half of the values on one number give a box without height: step to the next value then.
        inside = y[~below].min()
        points.insert(0, (inside if inside < median else y[below].max(), 1.0))
    if tail in ("both", "upper") and above.any():
        inside = y[~above].max()
        points.append((inside if inside > median else y[above].min(), 1.0))
    return np.array(points)


def check_control_points(points: ArrayLike) -> NDArray:
    """Return control points as a float array sorted by value, or say which one is wrong."""
    table = np.asarray(points, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != 2 or len(table) == 0:
        raise DataError(
            f"control_points must be rows of (value, relevance), got shape {table.shape}."
        )
    table = table[np.argsort(table[:, 0], kind="stable")]
    bad = ~np.isfinite(table).all(axis=1) | (table[:, 1] < 0) | (table[:, 1] > 1)
    bad[1:] |= np.diff(table[:, 0]) <= 0
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"control_points[{i}] is {tuple(table[i].tolist())}: values must be finite and "
            "distinct, relevances between 0 and 1."
        )
    return table


class RelevanceCurve:
    """Monotone cubic through control points, flat in each of them and beyond the outer ones."""

    def __init__(self, control_points: NDArray) -> None:
        self.control_points = control_points
        values, relevance = control_points.T
        self._spline = None
        if len(values) > 1:
            self._spline = CubicHermiteSpline(values, relevance, np.zeros(len(values)))

    def __call__(self, y: ArrayLike) -> NDArray:
        """Relevance of each value."""
        values, relevance = self.control_points.T
        y = np.asarray(y, dtype=np.float64)
        if self._spline is None:
            return np.full(y.shape, relevance[0])
        return np.clip(self._spline(np.clip(y, values[0], values[-1])), 0.0, 1.0)

    def crossings(self, threshold: float) -> NDArray:
        """Values at which the curve passes through `threshold`."""
        if self._spline is None:
            return np.empty(0)
        roots = self._spline.solve(threshold, extrapolate=False)
        return np.unique(roots[np.isfinite(roots)])


class DensityRelevance:
    """One minus a density relative to its maximum; 0 on the side of the mode that is no tail."""

    def __init__(self, density: Density | Histogram, *, tail: str) -> None:
        self.density = density
        self.tail = tail
        self.mode = float(density.points[np.argmax(density.values)])

    def __call__(self, y: ArrayLike) -> NDArray:
        """Relevance of each value."""
        y = np.asarray(y, dtype=np.float64)
        relevance = np.clip(1.0 - self.density(y) / self.density.values.max(), 0.0, 1.0)
        if self.tail == "upper":
            relevance[y < self.mode] = 0.0
        elif self.tail == "lower":
            relevance[y > self.mode] = 0.0
        return relevance

    def crossings(self, threshold: float) -> NDArray:
        """Values at which the relevance passes through `threshold`."""
        rare = self(self.density.points) >= threshold
        return self.density.cuts[rare[1:] != rare[:-1]]
