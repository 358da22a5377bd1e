"""Checking what the metrics are given."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from esmlearn.exceptions import DataError
from esmlearn.over_sampling import TargetRegions
from esmlearn.over_sampling._regions import check_edges, check_region_numbers
from esmlearn.over_sampling._target import as_numeric_column


class Regions(NamedTuple):
    """Edges of the regions, and which of them are rare where that is known."""

    edges: NDArray
    rare: NDArray | None

    @property
    def n_regions(self) -> int:
        """Number of regions."""
        return len(self.edges) + 1

    def of(self, y: NDArray) -> NDArray:
        """Number of the region of each value."""
        return np.searchsorted(self.edges, y, side="right")

    def chosen(self, labels: Any) -> NDArray:
        """Numbers of the regions that are asked for: all, the rare ones, or those named."""
        if labels is None:
            return np.arange(self.n_regions)
        if isinstance(labels, str):
            if labels != "rare":
                raise DataError(f'labels must be None, "rare" or numbers, got {labels!r}.')
            if self.rare is None:
                raise DataError(
                    'labels="rare" needs regions of which some are marked rare: pass a fitted '
                    "TargetRegions instead of edges, or name the regions by number."
                )
            return np.flatnonzero(self.rare)
        return np.flatnonzero(check_region_numbers(labels, self.n_regions))


def check_regions(regions: TargetRegions | ArrayLike) -> Regions:
    """Take the edges from a fitted `TargetRegions` or a list of numbers."""
    if isinstance(regions, TargetRegions):
        check_is_fitted(regions, "edges_")
        return Regions(regions.edges_, regions.rare_)
    return Regions(check_edges(regions, name="regions"), None)


def check_predictions(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[NDArray, NDArray]:
    """Return targets and predictions as finite float64 columns of equal length."""
    y_true = as_numeric_column(y_true, name="y_true")
    y_pred = as_numeric_column(y_pred, name="y_pred")
    check_consistent_length(y_true, y_pred)
    if not y_true.size:
        raise DataError("y_true is empty: a metric needs at least one target.")
    return y_true, y_pred


def check_relevance(relevance: Any, y_true: NDArray) -> NDArray:
    """Return the relevance of each target, from an array, a function or a `TargetRegions`."""
    if isinstance(relevance, TargetRegions):
        values = relevance.relevance(y_true)
    elif callable(relevance):
        values = np.asarray(relevance(y_true), dtype=np.float64)
    else:
        values = as_numeric_column(relevance, name="relevance")
    check_consistent_length(y_true, values)
    bad = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if bad.size:
        i = int(bad[0])
        raise DataError(f"relevance[{i}] is {values[i]}: relevances lie between 0 and 1.")
    return values


def check_weights(sample_weight: ArrayLike | None, y_true: NDArray) -> NDArray:
    """Return weights as an array, ones if there are none."""
    if sample_weight is None:
        return np.ones(len(y_true))
    weights = as_numeric_column(sample_weight, name="sample_weight")
    check_consistent_length(y_true, weights)
    if (weights < 0).any() or not weights.sum():
        raise DataError("sample_weight must not be negative and not be zero throughout.")
    return weights
