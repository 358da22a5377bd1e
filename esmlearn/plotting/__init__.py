"""Figures as scikit-learn displays, drawn alone or into given axes, safe for colour-blind eyes."""

from esmlearn.plotting._embedding import EmbeddingPCADisplay
from esmlearn.plotting._errors import PredictionErrorByRegionDisplay
from esmlearn.plotting._folds import FoldsDisplay, LeakageDisplay
from esmlearn.plotting._regions import RegionConfusionDisplay, TargetRegionsDisplay
from esmlearn.plotting._reliability import CoverageDisplay, ErrorByIdentityDisplay
from esmlearn.plotting._style import region_names
from esmlearn.plotting._training import ResamplingLevelDisplay, TrainingCurveDisplay

__all__ = [
    "CoverageDisplay",
    "EmbeddingPCADisplay",
    "ErrorByIdentityDisplay",
    "FoldsDisplay",
    "LeakageDisplay",
    "PredictionErrorByRegionDisplay",
    "RegionConfusionDisplay",
    "ResamplingLevelDisplay",
    "TargetRegionsDisplay",
    "TrainingCurveDisplay",
    "region_names",
]
