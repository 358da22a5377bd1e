"""Multi-layer perceptrons that stop early on rows that were never resampled."""

from esmlearn.neural_network._classifier import MLPClassifier
from esmlearn.neural_network._regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
