"""RegionUnderSampler: remove rows where the target is dense."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval

from esmlearn.exceptions import ResamplingWarning
from esmlearn.over_sampling._base import BaseRegionSampler, take_rows
from esmlearn.over_sampling._imblearn.adapter import Rows
from esmlearn.over_sampling._regions import TargetRegions
from esmlearn.utils._random import random_generator
from esmlearn.utils._warn import warn


class RegionUnderSampler(BaseRegionSampler):
    """Remove randomly chosen rows from the regions of a target that are not rare.

    Rows that stay keep their order and their values. At least one row of each region stays.

    Parameters
    ----------
    keep : float, default=50
        Rows of each dense region that stay, in percent of its members.
    regions : TargetRegions, array-like of float or None, default=None
        How a continuous target is divided, as for `RegionOverSampler`.
    rare : array-like or None, default=None
        Regions (or classes) that are left as they are; by default those that are rare.
    target : {"auto", "continuous", "classes"}, default="auto"
        What `y` is, as for `RegionOverSampler`.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Attributes
    ----------
    regions_ : TargetRegions or None
        The regions of the training targets; None for classes.
    rare_ : ndarray of bool of shape (n_regions,)
        Regions that are left as they are.
    sampling_strategy_ : dict
        Rows that stay in each dense region.
    n_original_ : int
        Rows before sampling.
    sample_indices_ : ndarray of int of shape (n_kept,)
        Rows that stay, ascending.

    Warns
    -----
    ResamplingWarning
        When every region is rare, so that nothing is removed.

    See Also
    --------
    RegionOverSampler : Adds rows to the rare regions.

    Examples
    --------
    >>> import numpy as np
    >>> from esmlearn.over_sampling import RegionUnderSampler
    >>> X, y = np.zeros((100, 2)), np.r_[np.linspace(30, 45, 90), np.linspace(80, 98, 10)]
    >>> sampler = RegionUnderSampler(keep=20, regions=[60.0], random_state=0)
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> sampler.sampling_strategy_, len(y_resampled)
    ({0: 18}, 28)
    """

    _parameter_constraints: dict = {
        **BaseRegionSampler._parameter_constraints,
        "keep": [Interval(Real, 0, 100, closed="right")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        keep: float = 50,
        *,
        regions: TargetRegions | ArrayLike | None = None,
        rare: ArrayLike | None = None,
        target: str = "auto",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.keep = keep
        self.regions = regions
        self.rare = rare
        self.target = target
        self.random_state = random_state

    def _fit_resample(self, rows: Rows) -> tuple[Any, NDArray]:
        random_state = random_generator(self.random_state)
        stays = np.ones(len(rows.labels), dtype=bool)
        for region, n_kept in self._plan().items():
            members = np.flatnonzero(rows.labels == region)
            stays[members] = False
            stays[random_state.choice(members, n_kept, replace=False)] = True
        self.sample_indices_ = np.flatnonzero(stays)
        return take_rows(rows.X, self.sample_indices_), rows.y[self.sample_indices_]

    def _plan(self) -> dict[int, int]:
        """Decide how many rows stay in each dense region; set `sampling_strategy_`."""
        dense = np.flatnonzero(~self.rare_ & (self.counts_ > 0)).tolist()
        if not dense:
            warn(
                "Every region of the target is rare, so no rows were removed.",
                ResamplingWarning,
            )
        kept = {r: max(1, round(int(self.counts_[r]) * self.keep / 100)) for r in dense}
        self.sampling_strategy_ = {self._region_name(r): n for r, n in kept.items()}
        return kept
