"""Density of a target in linear time (histogram, Gaussian kernels by FFT), and weights by it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esmlearn.exceptions import DataError

_GRID_SIZE = 2048
_NORMAL_IQR = 1.3489795003921634  # inter-quartile range of a standard normal distribution


class Density(NamedTuple):
    """A density known on an even grid; between grid points it is linear, outside it is zero."""

    grid: NDArray
    values: NDArray
    bandwidth: float

    def __call__(self, y: ArrayLike) -> NDArray:
        """Density of each value."""
        # The grid is even, so positions are known: several times faster than np.interp's search.
        y = np.asarray(y, dtype=np.float64)
        position = (y - self.grid[0]) / (self.grid[1] - self.grid[0])
        left = np.clip(position, 0, self.grid.size - 2).astype(np.intp)
        share = position - left
        inside = (y >= self.grid[0]) & (y <= self.grid[-1])
        return inside * ((1 - share) * self.values[left] + share * self.values[left + 1])

    @property
    def points(self) -> NDArray:
        """Values of the target at which the density is known."""
        return self.grid

    @property
    def cuts(self) -> NDArray:
        """Edges between each point and the next."""
        return self.grid[1:]


class Histogram(NamedTuple):
    """A density that is constant inside each bin; outside of the bins it is zero."""

    edges: NDArray
    values: NDArray

    def __call__(self, y: ArrayLike) -> NDArray:
        """Density of each value."""
        y = np.asarray(y, dtype=np.float64)
        bins = np.searchsorted(self.edges, y, side="right") - 1
        bins = np.where(y == self.edges[-1], len(self.values) - 1, bins)
        inside = (bins >= 0) & (bins < len(self.values))
        return np.where(inside, self.values[np.clip(bins, 0, len(self.values) - 1)], 0.0)

    @property
    def points(self) -> NDArray:
        """Centres of the bins."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    @property
    def cuts(self) -> NDArray:
        """Edges between each bin and the next."""
        return self.edges[1:-1]


def silverman_bandwidth(y: NDArray) -> float:
    """Bandwidth by Silverman's rule of thumb, robust to long tails."""
    spread = y.std(ddof=1)
    box = np.subtract(*np.percentile(y, [75, 25])) / _NORMAL_IQR
    if box > 0:
        spread = min(spread, box)
    return float(spread * (0.75 * y.size) ** -0.2)


def kernel_density(y: NDArray, *, bandwidth: float | None = None) -> Density:
    """Gaussian kernel density of `y` on a grid; the cost is linear in the number of values.

    Values are shared out linearly among the two nearest grid points, then the grid is convolved
    with the kernel in Fourier space.
    """
    width = silverman_bandwidth(y) if bandwidth is None else float(bandwidth)
    # A kernel narrower than the grid would vanish between its points.
    width = max(width, (y.max() - y.min()) / (_GRID_SIZE / 4))
    grid = np.linspace(y.min() - 4 * width, y.max() + 4 * width, _GRID_SIZE)
    step = grid[1] - grid[0]
    position = (y - grid[0]) / step
    left = np.minimum(position.astype(np.intp), _GRID_SIZE - 2)
    share = position - left
    mass = np.bincount(left, 1 - share, _GRID_SIZE) + np.bincount(left + 1, share, _GRID_SIZE)
    frequency = np.fft.rfftfreq(2 * _GRID_SIZE, step)
    kernel = np.exp(-2 * (np.pi * frequency * width) ** 2)
    smooth = np.fft.irfft(np.fft.rfft(mass, 2 * _GRID_SIZE) * kernel, 2 * _GRID_SIZE)[:_GRID_SIZE]
    return Density(grid, np.maximum(smooth, 0.0) / (y.size * step), width)


def histogram_density(y: NDArray, *, n_bins: int | None = None) -> Histogram:
    """Histogram of `y` as a density; the number of bins by Freedman and Diaconis unless given."""
    if n_bins is None:
        spread = np.subtract(*np.percentile(y, [75, 25]))
        width = 2 * spread * y.size ** (-1 / 3)
        n_bins = int(np.clip(np.ceil(np.ptp(y) / width), 10, 200)) if width > 0 else 50
    counts, edges = np.histogram(y, n_bins)
    return Histogram(edges, counts / (y.size * np.diff(edges)))


def dense_weights(
    densities: NDArray, known: tuple[float, float], *, alpha: float, floor: float
) -> NDArray:
    """Weights with mean 1 that fall with the density, from its `known` least to its largest."""
    if not (alpha >= 0 and floor > 0):
        raise DataError(
            f"alpha must be at least 0 and floor above 0, got alpha={alpha}, floor={floor}."
        )
    low, high = known
    scaled = (densities - low) / (high - low) if high > low else np.zeros(densities.shape)
    weights = np.maximum(1.0 - alpha * np.clip(scaled, 0.0, 1.0), floor)
    return weights / weights.mean()
