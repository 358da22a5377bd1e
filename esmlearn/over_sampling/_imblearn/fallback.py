"""Fallbacks for a sampler that cannot make the rows asked for: the rules, in one place.

A region with a single member gets copies of it. One with at most as many members as the sampler
wants neighbours gets a smaller neighbourhood. Where a sampler fails or makes nothing, the fallback
takes its place. Every such case is warned about and recorded.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from imblearn.over_sampling import SMOTE
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError

from esmlearn.exceptions import DataError, ResamplingWarning
from esmlearn.over_sampling._imblearn.adapter import (
    Rows,
    Synthetic,
    copies,
    join,
    n_neighbors,
    neighbors_name,
    run_sampler,
)
from esmlearn.over_sampling._imblearn.augmented_rows import NeighborConstraint
from esmlearn.utils._random import random_generator
from esmlearn.utils._warn import warn

_SHORTFALL = 0.05  # rounding (ADASYN) costs less than this


@dataclass
class SamplerWithFallback:
    """Over-sampling of several regions at once, and a record of how each was done.

    Parameters
    ----------
    rows : Rows
        Training rows.
    n_new : dict of int to int
        Rows that each region shall get.
    names : dict of int to str
        How each region is called in warnings.
    fallback : {"smote", "random", "error"}
        What takes the place of a sampler that fails.
    seed : int or None
        Seed of fallbacks and copies.
    constraint : NeighborConstraint or None
        Which rows may be interpolated with which.
    n_jobs : int or None
        Processes for the neighbour searches.
    """

    rows: Rows
    n_new: dict[int, int]
    names: dict[int, str]
    fallback: str
    seed: int | None
    constraint: NeighborConstraint | None = None
    n_jobs: int | None = None
    notes: dict[int, list[str]] = field(default_factory=dict)
    used: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        labels = self.rows.labels
        self.counts = {region: int(np.sum(labels == region)) for region in self.n_new}

    def run(self, sampler: Any) -> Synthetic:
        """Over-sample all regions; new rows are ordered by region."""
        todo = [region for region, n in self.n_new.items() if n > 0]
        single = [region for region in todo if self.counts[region] == 1]
        k = n_neighbors(sampler)
        small = [region for region in todo if 1 < self.counts[region] <= k]
        enough = [region for region in todo if self.counts[region] > max(k, 1)]
        parts = self._attempt(sampler, enough) if enough else []
        for region in small:
            parts += self._attempt_small(sampler, region, k)
        for region in single:
            reason = "it has a single member, which was copied" if k else None
            parts.append(self._copies(sampler, region, reason))
        made = join(parts, self.rows)
        self._check_counts(made.region)
        self._check_constraint()
        return made

    def _attempt(self, sampler: Any, regions: list[int]) -> list[Synthetic]:
        """Run the sampler on several regions at once, or one by one if that fails."""
        wanted = {region: self.counts[region] + self.n_new[region] for region in regions}
        try:
            made = run_sampler(
                clone(sampler), self.rows, wanted, constraint=self.constraint, n_jobs=self.n_jobs
            )
        except (InvalidParameterError, DataError):
            raise
        except (RuntimeError, ValueError) as error:
            if self.fallback == "error":
                raise
            if len(regions) == 1:
                return [self._fall_back(sampler, regions[0], f"{type(sampler).__name__}: {error}")]
            return [part for region in regions for part in self._attempt(sampler, [region])]
        parts = [made]
        for region in regions:
            self.used[region] = type(sampler).__name__
            if not (made.region == region).any():
                parts.append(self._fall_back(sampler, region, "it was given no rows"))
        return parts

    def _attempt_small(self, sampler: Any, region: int, k: int) -> list[Synthetic]:
        """Run the sampler with as many neighbours as the region has."""
        count = self.counts[region]
        self._note(region, f"its {count} members allow {count - 1} neighbours instead of {k}")
        name = neighbors_name(sampler)
        neighbors = sampler.get_params(deep=False)[name]
        if hasattr(neighbors, "kneighbors"):
            fewer = clone(neighbors).set_params(n_neighbors=count)
        else:
            fewer = count - 1
        return self._attempt(clone(sampler).set_params(**{str(name): fewer}), [region])

    def _fall_back(self, sampler: Any, region: int, reason: str) -> Synthetic:
        """Over-sample a region by the fallback."""
        if self.fallback == "error":
            raise DataError(f"{self.names[region]}: {type(sampler).__name__} made no rows.")
        if self.fallback == "random" or type(sampler) is SMOTE:
            return self._copies(sampler, region, f"{reason}; random copies were added instead")
        self._note(region, f"{reason}; SMOTE was used instead")
        k = min(n_neighbors(sampler) or 5, self.counts[region] - 1)
        smote = SMOTE(k_neighbors=k, random_state=self._seed(sampler))
        (part,) = self._attempt(smote, [region])
        return part

    def _copies(self, sampler: Any, region: int, reason: str | None) -> Synthetic:
        """Over-sample a region by copies, for the given reason if it was not asked for."""
        if reason:
            self._note(region, reason)
        self.used[region] = "RandomOverSampler"
        members = np.flatnonzero(self.rows.labels == region)
        generator = random_generator(self._seed(sampler))
        return copies(self.rows, generator.choice(members, self.n_new[region]))

    def _seed(self, sampler: Any) -> Any:
        return sampler.get_params(deep=False).get("random_state", self.seed)

    def _note(self, region: int, text: str) -> None:
        self.notes.setdefault(region, []).append(text)
        warn(f"{self.names[region]}: {text}.", ResamplingWarning)

    def _check_constraint(self) -> None:
        """Record rows without an allowed neighbour in, or outside of, their family."""
        alone = np.array(self.constraint.isolated if self.constraint else [], dtype=np.intp)
        regions, counts = np.unique(self.rows.labels[alone], return_counts=True)
        for region, count in zip(regions.tolist(), counts, strict=True):
            self._note(region, f"{count} members had no allowed neighbour and were copied")

    def _check_counts(self, regions: NDArray) -> None:
        """Warn of regions for which clearly too few rows were made."""
        for region, asked in self.n_new.items():
            n_made = int(np.sum(regions == region))
            if self.counts[region] and n_made < (1 - _SHORTFALL) * asked:
                self._note(region, f"{n_made} rows were made of {asked} asked for")
