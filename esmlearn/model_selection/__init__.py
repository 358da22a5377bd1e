"""Splits that homology cannot cross, and an audit that proves it."""

from esmlearn.model_selection._shuffle_split import CDHitShuffleSplit
from esmlearn.model_selection._splitter import CDHitGroupSplitter

__all__ = ["CDHitGroupSplitter", "CDHitShuffleSplit"]
