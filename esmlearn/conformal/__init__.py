"""Prediction sets that hold for rare proteins and for families that were never seen."""

from esmlearn.conformal._classifier import HomologyConformalClassifier
from esmlearn.conformal._coverage import coverage_report
from esmlearn.conformal._regressor import HomologyConformalRegressor

__all__ = ["HomologyConformalClassifier", "HomologyConformalRegressor", "coverage_report"]
