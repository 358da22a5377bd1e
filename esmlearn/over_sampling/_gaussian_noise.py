"""GaussianNoiseOverSampler: copies of rare rows, moved a little."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval

from esmlearn.over_sampling._base import BaseOverSampler
from esmlearn.over_sampling._imblearn.adapter import Rows, Synthetic, join
from esmlearn.over_sampling._regions import TargetRegions
from esmlearn.utils._random import random_generator


class GaussianNoiseOverSampler(BaseOverSampler):
    """Add copies of rare rows with Gaussian noise on their features and targets.

    The second arm of SMOGN [1]_. Noise is a fraction of each feature's standard deviation *inside
    the region*, so that a feature that does not vary there is not moved, and targets that noise
    would carry out of the range of the region's members are reflected back into it. Members are
    used in turn, in random order, so that none is copied twice before each was copied once.

    Parameters
    ----------
    scale : float, default=0.1
        Standard deviation of the noise on features, in standard deviations of the feature.
    target_scale : float or None, default=None
        The same for the target; `scale` unless given. Classes get no noise.
    level : float, dict or "balance", default=100
        Rows to add in percent of the members of a region, as for `RegionOverSampler`.
    regions : TargetRegions, array-like of float or None, default=None
        How a continuous target is divided, as for `RegionOverSampler`.
    rare : array-like or None, default=None
        Regions (or classes) to over-sample; by default those that are rare.
    target : {"auto", "continuous", "classes"}, default="auto"
        What `y` is, as for `RegionOverSampler`.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Attributes
    ----------
    regions_ : TargetRegions or None
        The regions of the training targets; None for classes.
    rare_ : ndarray of bool of shape (n_regions,)
        Regions that are over-sampled by default.
    sampling_strategy_ : dict
        Rows asked for in each over-sampled region, originals included.
    n_original_ : int
        Original rows; they come first and unchanged.
    synthetic_region_ : ndarray of shape (n_new,)
        Region (or class) for which each new row was made.
    parents_ : ndarray of int of shape (n_new, 2)
        Twice the row that each new row is a noisy copy of.
    report_ : DataFrame
        One row per over-sampled region, as for `RegionOverSampler`.

    Warns
    -----
    ResamplingWarning
        When there is nothing rare, or a named region has no members.

    Notes
    -----
    Sparse features are refused: noise would fill them.

    References
    ----------
    .. [1] P. Branco, L. Torgo, R. P. Ribeiro, "SMOGN: a pre-processing approach for imbalanced
       regression", LIDTA 2017, PMLR 74, 36-50.

    Examples
    --------
    >>> import numpy as np
    >>> from esmlearn.over_sampling import GaussianNoiseOverSampler
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(100, 8)), np.r_[rng.normal(37, 3, 90), rng.normal(90, 3, 10)]
    >>> sampler = GaussianNoiseOverSampler(0.05, level=200, regions=[60.0], random_state=0)
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> X_resampled.shape
    (120, 8)
    """

    _parameter_constraints: dict = {
        **BaseOverSampler._parameter_constraints,
        "scale": [Interval(Real, 0, None, closed="left")],
        "target_scale": [Interval(Real, 0, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        scale: float = 0.1,
        *,
        target_scale: float | None = None,
        level: float | dict | str = 100,
        regions: TargetRegions | ArrayLike | None = None,
        rare: ArrayLike | None = None,
        target: str = "auto",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.scale = scale
        self.target_scale = target_scale
        self.level = level
        self.regions = regions
        self.rare = rare
        self.target = target
        self.random_state = random_state

    def _fit_resample(self, rows: Rows) -> tuple[Any, NDArray]:
        random_state = random_generator(self.random_state)
        n_new = self._plan()
        parts = [
            self._noisy_copies(rows, region, n, random_state) for region, n in n_new.items() if n
        ]
        used = {region: type(self).__name__ for region in n_new}
        return self._append(rows, join(parts, rows), n_new, used=used, notes={})

    def _noisy_copies(
        self, rows: Rows, region: int, n_new: int, random_state: np.random.RandomState
    ) -> Synthetic:
        members = np.flatnonzero(rows.labels == region)
        rounds = -(-n_new // len(members))
        chosen = np.concatenate([random_state.permutation(members) for _ in range(rounds)])[:n_new]
        spread = rows.X[members].std(axis=0, dtype=np.float64)
        noise = random_state.standard_normal((n_new, rows.X.shape[1])) * (self.scale * spread)
        features = (rows.X[chosen] + noise).astype(rows.X.dtype)
        target = rows.y[chosen]
        if self.regions_ is not None:
            scale = self.scale if self.target_scale is None else self.target_scale
            of_region = rows.y[members]
            target = target + random_state.standard_normal(n_new) * scale * of_region.std()
            target = _reflect(target, of_region.min(), of_region.max())
        parents = np.column_stack([chosen, chosen])
        return Synthetic(features, target, np.full(n_new, region), parents)

    @property
    def _makes_copies(self) -> bool:
        return False

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags


def _reflect(y: NDArray, low: float, high: float) -> NDArray:
    """Reflect values back into a range at its ends."""
    width = high - low
    if not width:
        return np.full_like(y, low)
    folded = np.mod(y - low, 2 * width)
    return low + np.where(folded > width, 2 * width - folded, folded)
