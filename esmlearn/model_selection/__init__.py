"""Splits that homology cannot cross, and an audit that proves it."""

from esmlearn.model_selection._audit import audit_leakage
from esmlearn.model_selection._leakage_report import LeakageReport
from esmlearn.model_selection._leave_one_out import LeaveOneComponentOut
from esmlearn.model_selection._repeated import RepeatedCDHitGroupSplitter
from esmlearn.model_selection._shuffle_split import CDHitShuffleSplit
from esmlearn.model_selection._splitter import CDHitGroupSplitter
from esmlearn.model_selection._train_validation_test import (
    TrainValidationTestSplit,
    train_validation_test_split,
)

__all__ = [
    "CDHitGroupSplitter",
    "CDHitShuffleSplit",
    "LeakageReport",
    "LeaveOneComponentOut",
    "RepeatedCDHitGroupSplitter",
    "TrainValidationTestSplit",
    "audit_leakage",
    "train_validation_test_split",
]
