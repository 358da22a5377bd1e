"""RelevanceSampler: draw rows by the relevance of their target (WERCS)."""

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


class RelevanceSampler(BaseRegionSampler):
    """Add copies of relevant rows and remove irrelevant ones, without edges between them.

    The weighted relevance-based combination strategy (WERCS) [1]_: rows are drawn to be copied
    with probabilities proportional to the relevance of their target, and drawn to be removed with
    probabilities proportional to 1 minus that relevance.

    Parameters
    ----------
    over : float, default=50
        Copies to add, in percent of all rows.
    under : float, default=50
        Rows to remove, in percent of all rows, below 100; relevance 1 is never removed.
    regions : TargetRegions, array-like of float or None, default=None
        What says how relevant a target is, as for `RegionOverSampler`.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Attributes
    ----------
    regions_ : TargetRegions
        The regions of the training targets.
    sampling_strategy_ : dict
        ``{"add": n, "remove": n}``.
    n_original_ : int
        Rows before sampling.
    sample_indices_ : ndarray of int of shape (n_resampled,)
        Training row of each row: those that stay, ascending, then the copies.

    Warns
    -----
    ResamplingWarning
        When fewer rows than asked for have a relevance that lets them be copied or removed.

    See Also
    --------
    RegionOverSampler : Adds rows to regions with edges.

    References
    ----------
    .. [1] P. Branco, L. Torgo, R. P. Ribeiro, "Pre-processing approaches for imbalanced
       distributions in regression", Neurocomputing 343, 76-99, 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from esmlearn.over_sampling import RelevanceSampler
    >>> X, y = np.zeros((100, 2)), np.r_[np.linspace(30, 45, 90), np.linspace(80, 98, 10)]
    >>> X_resampled, y_resampled = RelevanceSampler(over=10, random_state=0).fit_resample(X, y)
    >>> len(y_resampled), bool((y_resampled > 60).sum() > 10)
    (60, True)
    """

    _parameter_constraints: dict = {
        "over": [Interval(Real, 0, None, closed="left")],
        "under": [Interval(Real, 0, 100, closed="left")],
        "regions": BaseRegionSampler._parameter_constraints["regions"],
        "random_state": ["random_state"],
    }
    rare = None
    target = "continuous"

    def __init__(
        self,
        over: float = 50,
        *,
        under: float = 50,
        regions: TargetRegions | ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.over = over
        self.under = under
        self.regions = regions
        self.random_state = random_state

    def _fit_resample(self, rows: Rows) -> tuple[Any, NDArray]:
        random_state = random_generator(self.random_state)
        relevance = self.regions_.relevance(rows.y)
        plan = self._plan()
        added = _draw(random_state, relevance, plan["add"], replace=True)
        removed = _draw(random_state, 1 - relevance, plan["remove"], replace=False)
        stays = np.setdiff1d(np.arange(len(rows.y)), removed)
        self.sample_indices_ = np.concatenate([stays, added])
        return take_rows(rows.X, self.sample_indices_), rows.y[self.sample_indices_]

    def _plan(self) -> dict[str, int]:
        self.sampling_strategy_ = {
            "add": round(self.n_original_ * self.over / 100),
            "remove": round(self.n_original_ * self.under / 100),
        }
        return self.sampling_strategy_


def _draw(
    random_state: np.random.RandomState, weights: NDArray, n: int, *, replace: bool
) -> NDArray:
    """Draw rows with probabilities in proportion to their weights."""
    possible = int(np.count_nonzero(weights))
    if n and (not possible or (n > possible and not replace)):
        warn(
            f"{n} rows were to be {'copied' if replace else 'removed'}; as the relevance of only "
            f"{possible} targets allows it, {possible} were.",
            ResamplingWarning,
        )
        n = possible
    if not n:
        return np.empty(0, dtype=np.intp)
    return random_state.choice(len(weights), n, replace=replace, p=weights / weights.sum())
