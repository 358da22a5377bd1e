"""Long-tailed targets: find where a target is sparse, and make a model learn those rows."""

from esmlearn.over_sampling._region_over_sampler import RegionOverSampler
from esmlearn.over_sampling._regions import TargetRegions

__all__ = ["RegionOverSampler", "TargetRegions"]
