"""The whole method on one table: models and over-samplers compared on unseen protein families."""

from esmlearn.study._baselines import RegionLogisticRegression
from esmlearn.study._candidates import Candidate, default_models
from esmlearn.study._conclusion import Conclusion
from esmlearn.study._covariates import SequenceAndCovariates
from esmlearn.study._data import StudyData
from esmlearn.study._statistics import bootstrap_components, corrected_ttest, holm
from esmlearn.study._study import Study, flattery, headline

__all__ = [
    "Candidate",
    "Conclusion",
    "RegionLogisticRegression",
    "SequenceAndCovariates",
    "Study",
    "StudyData",
    "bootstrap_components",
    "corrected_ttest",
    "default_models",
    "flattery",
    "headline",
    "holm",
]
