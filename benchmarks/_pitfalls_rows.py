"""Pitfalls of features, labels and rows, which need no homology."""

import re
from typing import Any

import numpy as np
from imblearn.over_sampling import SMOTE, RandomOverSampler
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from esmlearn.over_sampling import RegionOverSampler

BINS = [30.0, 50.0, 65.0, 85.0]


def average_over_padding(X: np.ndarray, y: np.ndarray, splits: Any) -> dict[str, float]:
    """Mean of residues, and mean of residues and the padding of their batch.

    The shares of residues are the mean of one-hot vectors; padding of zeros multiplies them by
    length over longest length of the batch.
    """
    length = np.exp(X[:, -1])
    proper = X[:, :20]

    def padded(seed: int) -> np.ndarray:
        factor = np.empty(len(y))
        order = np.random.default_rng(seed).permutation(len(y))
        for batch in np.array_split(order, len(y) // 16):
            factor[batch] = length[batch] / length[batch].max()
        return proper * factor[:, None]

    model = make_pipeline(StandardScaler(), Ridge(1.0))
    first, again = padded(0), padded(1)
    fitted = make_pipeline(StandardScaler(), Ridge(1.0)).fit(first, y)
    shift = np.abs(fitted.predict(first) - fitted.predict(again))
    return {
        "r2_residues": r2_score(y, cross_val_predict(model, proper, y, cv=splits)),
        "r2_with_padding": r2_score(y, cross_val_predict(model, first, y, cv=splits)),
        "prediction_shift_between_batches_median": float(np.median(shift)),
        "prediction_shift_between_batches_95": float(np.quantile(shift, 0.95)),
    }


def bins_as_targets(X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Targets of synthetic rows: the mean of their bin, and interpolated with the features."""
    sampler = RegionOverSampler("smote", level=300, regions=BINS, rare=[0, 4], random_state=0)
    _, y_new = sampler.fit_resample(X, y)
    made, bins = y_new[len(y) :], np.digitize(y, BINS)
    means = np.array([y[bins == b].mean() for b in range(len(BINS) + 1)])
    off = np.abs(means[sampler.synthetic_region_] - made)
    return {
        "rows_made": len(made),
        "error_of_bin_means": float(off.mean()),
        "largest_error_of_bin_means": float(off.max()),
        "std_in_hottest_bin_measured": float(y[bins == 4].std()),
        "std_in_hottest_bin_interpolated": float(made[sampler.synthetic_region_ == 4].std()),
    }


def classes_of_whole_numbers(X: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """What imbalanced-learn makes of temperatures in whole degrees."""
    whole = np.rint(y)
    try:
        SMOTE(random_state=0).fit_resample(X, whole)
        smote = "no error"
    except ValueError as error:
        smote = str(error).split("\n")[0][:200]
    _, resampled = RandomOverSampler(random_state=0).fit_resample(X, whole)
    ours = RegionOverSampler("random", level=300, regions=[85.0], rare=[1])
    return {
        "distinct_values": len(np.unique(whole)),
        "rows": len(y),
        "rows_after_random_over_sampler": len(resampled),
        "smote": smote,
        "rows_after_region_over_sampler": len(ours.fit_resample(X, whole)[1]),
    }


def mutational_scan(mutants: np.ndarray, y: np.ndarray, random_splits: Any) -> dict[str, Any]:
    """Test on random mutants, and on positions that no training mutant touches."""
    parts = np.array([re.fullmatch(r"([A-Z])(\d+)([A-Z])", m).groups() for m in mutants])
    position = parts[:, 1]
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge(1.0))
    kinds = {
        "random": list(random_splits.split(parts)),
        "positions": list(GroupKFold(5, shuffle=True, random_state=0).split(parts, y, position)),
    }
    result: dict[str, Any] = {"mutants": len(y), "positions": len(np.unique(position))}
    for kind, splits in kinds.items():
        scores = []
        for train, test in splits:
            predicted = model.fit(parts[train], y[train]).predict(parts[test])
            scores.append((spearmanr(y[test], predicted)[0], r2_score(y[test], predicted)))
        mean = np.mean(scores, axis=0)
        result[f"{kind}_split"] = {"spearman": float(mean[0]), "r2": float(mean[1])}
    return result
