"""Metrics that see the rare regions of a target."""

from esmlearn.metrics._calibration import expected_calibration_error
from esmlearn.metrics._ranking import ndcg_score, ranking_scorers, top_k_recall
from esmlearn.metrics._regions import (
    balanced_mean_absolute_error,
    region_confusion_matrix,
    region_errors,
    region_precision_recall_fscore,
    region_report,
)
from esmlearn.metrics._relevance import (
    relevance_weighted_rmse,
    sera,
    sera_curve,
    spearman,
    utility_f1,
)
from esmlearn.metrics._scorers import make_region_scorer, region_scorers

__all__ = [
    "balanced_mean_absolute_error",
    "expected_calibration_error",
    "make_region_scorer",
    "ndcg_score",
    "ranking_scorers",
    "region_confusion_matrix",
    "region_errors",
    "region_precision_recall_fscore",
    "region_report",
    "region_scorers",
    "relevance_weighted_rmse",
    "sera",
    "sera_curve",
    "spearman",
    "top_k_recall",
    "utility_f1",
]
