"""What the samplers share that append rows to rare regions: how many, and the record of them."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from esmlearn.exceptions import DataError, ResamplingWarning
from esmlearn.over_sampling._base import BaseRegionSampler, check_level
from esmlearn.over_sampling._containers import stack_rows
from esmlearn.over_sampling._delegate import Rows, Synthetic
from esmlearn.utils._warn import warn


class GrowingSampler(BaseRegionSampler):
    """Base of the samplers that add rows to regions; subclasses have the parameter `level`."""

    level: float | dict | str

    def _plan(self) -> dict[int, int]:
        """How many rows each region is to get; sets `sampling_strategy_`."""
        if isinstance(self.level, dict):
            check_level(self.level)
            percent = self._percent_by_region(self.level)
            n_new = {r: self._rows_by_percent(r, percent[r]) for r in sorted(percent)}
        else:
            n_new = {r: self._rows_by_level(r) for r in np.flatnonzero(self.rare_).tolist()}
        if not n_new and not self._is_off:
            warn(
                "No region of the target is rare, so no rows were added. Name regions with rare= "
                "or level=, or lower the threshold of TargetRegions.",
                ResamplingWarning,
            )
        self.sampling_strategy_ = {
            self._region_name(r): int(self.counts_[r] + n) for r, n in n_new.items()
        }
        return n_new

    def _percent_by_region(self, level: dict) -> dict[int, float]:
        """Percentages by position; -1 and the last number are one region, not two."""
        named: dict[int, Any] = {}
        for name in level:
            first = named.setdefault(self._region_number(name), name)
            if first is not name:
                raise DataError(
                    f"level[{first!r}] is {level[first]!r} and level[{name!r}] is "
                    f"{level[name]!r}, but {first!r} and {name!r} name the same region. Give each "
                    "region one percentage."
                )
        return {region: level[name] for region, name in named.items()}

    @property
    def _is_off(self) -> bool:
        """Whether the user switched resampling off."""
        return False

    def _rows_by_level(self, region: int) -> int:
        if self.level == "balance":
            return int(self.counts_.max() - self.counts_[region])
        return self._rows_by_percent(region, self.level)

    def _rows_by_percent(self, region: int, percent: Any) -> int:
        n_new = round(self.counts_[region] * percent / 100)
        if percent and self.counts_[region] and not n_new and not self._is_off:
            warn(
                f"level: {percent:g}% of {self._region_text(region)} is no row, so nothing was "
                "added. 100 doubles the rows, 200 makes three times as many.",
                ResamplingWarning,
            )
        return n_new

    def _append(
        self,
        rows: Rows,
        synthetic: Synthetic,
        n_new: dict[int, int],
        *,
        used: dict[int, str],
        notes: dict[int, list[str]],
    ) -> tuple[Any, NDArray]:
        """Append new rows to the training rows, and keep a record of them."""
        self.synthetic_region_ = self.region_names_[synthetic.region]
        self.parents_ = synthetic.parents
        if self._makes_copies:
            originals = np.arange(self.n_original_)
            self.sample_indices_ = np.concatenate([originals, synthetic.parents[:, 0]])
        regions = list(n_new)
        notes = notes | self._notes_on_empty(regions)
        self.report_ = pd.DataFrame(
            {
                "n_members": self.counts_[regions].astype(int),
                "n_asked": np.array(list(n_new.values()), dtype=int),
                "n_made": [int(np.sum(synthetic.region == r)) for r in regions],
                "n_outside": [self._count_outside(synthetic, r) for r in regions],
                "sampler": [used.get(r, "") for r in regions],
                "notes": ["; ".join(notes.get(r, [])) for r in regions],
            },
            index=pd.Index(self.region_names_[regions], name="region"),
        )
        features = stack_rows(rows.X, [synthetic.X] if len(synthetic.y) else [])
        return features, np.concatenate([rows.y, synthetic.y])

    def _notes_on_empty(self, regions: list[int]) -> dict[int, list[str]]:
        """Warn about regions without members, of which there is nothing to make rows from."""
        empty = [] if self._is_off else [r for r in regions if not self.counts_[r]]
        for region in empty:
            text = f"{self._region_text(region)}: it has no members, so nothing was added."
            warn(text, ResamplingWarning)
        return {region: ["it has no members, so nothing was added"] for region in empty}

    def _count_outside(self, synthetic: Synthetic, region: int) -> int:
        """New rows whose target lies outside of the region they were made for."""
        if self.regions_ is None:
            return 0
        made = synthetic.y[synthetic.region == region]
        return int(np.sum(self.regions_.region(made) != region))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.sampler_tags.sample_indices = self._makes_copies
        return tags
