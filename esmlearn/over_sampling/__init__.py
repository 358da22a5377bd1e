"""Long-tailed targets: find where a target is sparse, and make a model learn those rows."""

from esmlearn.over_sampling._dense_weight import DenseWeightRegressor
from esmlearn.over_sampling._gaussian_noise import GaussianNoiseOverSampler
from esmlearn.over_sampling._region_over_sampler import RegionOverSampler
from esmlearn.over_sampling._region_under_sampler import RegionUnderSampler
from esmlearn.over_sampling._regions import TargetRegions
from esmlearn.over_sampling._relevance_sampler import RelevanceSampler
from esmlearn.over_sampling._two_stage import TwoStageRegressor

__all__ = [
    "DenseWeightRegressor",
    "GaussianNoiseOverSampler",
    "RegionOverSampler",
    "RegionUnderSampler",
    "RelevanceSampler",
    "TargetRegions",
    "TwoStageRegressor",
]
