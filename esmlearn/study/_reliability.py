"""Reliability of predictions: intervals, their coverage, and the error by distance."""

import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from esmlearn.conformal import (
    HomologyConformalClassifier,
    HomologyConformalRegressor,
    coverage_report,
)
from esmlearn.over_sampling._regions import join_small_regions
from esmlearn.plotting import region_names
from esmlearn.study._data import Folds, Splits, StudyData
from esmlearn.study._metrics import are_probabilities
from esmlearn.study._statistics import bootstrap_components

CONFIDENCE = 0.9
#: Proteins of a region whose intervals are calibrated by themselves, and the least that can
#: calibrate at 0.9.
_LEAST_ROWS, _LEAST_CALIBRATING = 40, 19
#: Identities that part the proteins by their nearest one in training, after that of homologs.
_IDENTITIES = (0.4, 0.5, 0.7, 0.9)
_LEAST_PROTEINS = 20


@dataclass(frozen=True)
class Reliability:
    """Reliability of the predictions of a study's chosen candidate.

    Attributes
    ----------
    model : HomologyConformalRegressor, HomologyConformalClassifier or Pipeline
        The chosen candidate with its intervals, or sets of classes; alone where there are too few
        proteins, or nothing that scores classes.
    coverage : pandas.DataFrame
        See `esmlearn.conformal.coverage_report`: in all, per region or class and per bin of
        identity; empty without intervals.
    errors : pandas.DataFrame
        One row per bin of the nearest training protein's identity: ``identity_low``,
        ``identity_high``, ``count``, ``error`` (mean absolute error, or share of wrong classes) and
        its 95 % interval over families, ``low`` and ``high``. Below the identity of homologs it is
        measured on homology folds, from there on on random folds.
    probabilities : ndarray of shape (n_sequences, n_classes) or None
        Of classes, out of homology folds; None where the candidate gives none.
    """

    model: Any
    coverage: pd.DataFrame
    errors: pd.DataFrame
    probabilities: np.ndarray | None = None


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of the chosen candidate on one kind of folds.

    Attributes
    ----------
    prediction : ndarray of shape (n_sequences,)
        Predictions.
    scores : ndarray of shape (n_sequences, n_classes) or None
        Scores of classes.
    identity : ndarray of shape (n_sequences,)
        Identity of the nearest homolog in training, 0 where there is none.
    """

    prediction: np.ndarray
    scores: np.ndarray | None
    identity: np.ndarray


def measure_reliability(
    data: StudyData,
    splits: Splits,
    predictions: dict[str, OutOfFold],
    model: Any,
    *,
    identity: float,
) -> Reliability:
    """Measure how far the chosen candidate can be trusted.

    Parameters
    ----------
    data : StudyData
        The proteins.
    splits : dict
        Homology folds, and random folds where there are any.
    predictions : dict of str to OutOfFold
        The chosen candidate's, for the same kinds of folds.
    model : Pipeline
        The chosen candidate, fitted on everything.
    identity : float
        From which on proteins are homologs.

    Returns
    -------
    reliability : Reliability
        The findings.
    """
    edges = np.r_[0.0, identity, [e for e in _IDENTITIES if e > identity]]
    bins = _identity_bins(predictions, edges)
    errors = _errors_by_identity(data, predictions, bins)
    calibrator = _Calibrator.of(data, predictions["homology"], splits["homology"])
    scores = predictions["homology"].scores
    if calibrator is None:
        return Reliability(model, pd.DataFrame(), errors)
    return Reliability(
        model=calibrator.around(model),
        coverage=_coverage(data, splits, predictions, calibrator, bins),
        errors=errors,
        probabilities=scores if are_probabilities(scores) else None,
    )


def _identity_bins(predictions: dict[str, OutOfFold], edges: np.ndarray) -> np.ndarray:
    """Return the edges of bins of identity, neighbours joined until each holds enough proteins."""
    if "random" not in predictions:
        return edges[:2]
    found = predictions["random"].identity
    kept = [edges[1]]
    for edge in edges[2:]:
        if ((found >= kept[-1]) & (found < edge)).sum() >= _LEAST_PROTEINS:
            kept.append(edge)
    if len(kept) > 1 and (found >= kept[-1]).sum() < _LEAST_PROTEINS:
        kept.pop()
    return np.r_[0.0, kept, 1.0]


def _rows_of_bins(
    predictions: dict[str, OutOfFold], bins: np.ndarray
) -> list[tuple[str, float, float, np.ndarray]]:
    """Return for each bin which folds it is measured on, its bounds and its rows."""
    rows = []
    for low, high in pairwise(bins):
        name = "homology" if low == 0 else "random"
        found = predictions[name].identity
        inside = (found >= low) & ((found < high) | (high == 1))
        if inside.any():
            rows.append((name, float(low), float(high), np.flatnonzero(inside)))
    return rows


def _errors_by_identity(
    data: StudyData, predictions: dict[str, OutOfFold], bins: np.ndarray
) -> pd.DataFrame:
    lines = []
    for name, low, high, rows in _rows_of_bins(predictions, bins):
        found = predictions[name].prediction[rows]
        error = (
            np.abs(data.y[rows] - found) if data.regions is not None else data.y[rows] != found
        ).astype(float)

        def mean(weights: np.ndarray, error: np.ndarray = error) -> np.ndarray:
            with np.errstate(invalid="ignore"):
                return weights @ error / weights.sum(axis=1)

        least, greatest = bootstrap_components(mean, data.components[rows])
        lines.append(
            {
                "identity_low": low,
                "identity_high": high,
                "count": len(rows),
                "error": float(error.mean()),
                "low": least,
                "high": greatest,
            }
        )
    return pd.DataFrame(lines)


class _AsGiven(BaseEstimator):
    """An estimator whose rows are their own predictions, or scores."""

    def __init__(self, classes: Any = None) -> None:
        self.classes = classes

    @property
    def classes_(self) -> np.ndarray:
        return np.asarray(self.classes)

    def fit(self, X: Any, y: Any) -> "_AsGiven":
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return X

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        return X


@dataclass(frozen=True)
class _Calibrator:
    """Makes intervals, or sets of classes, from out-of-fold predictions."""

    data: StudyData
    found: OutOfFold
    edges: np.ndarray

    @classmethod
    def of(cls, data: StudyData, found: OutOfFold, folds: Folds) -> "_Calibrator | None":
        """Return None where there is too little to calibrate by."""
        if data.regions is None:
            return None if found.scores is None else cls(data, found, np.zeros(0))
        edges = join_small_regions(data.y, data.regions.edges_, _LEAST_ROWS)
        counts = _calibrating_rows(data.y, edges, folds)
        while len(edges) and counts.min() < _LEAST_CALIBRATING:
            edges = join_small_regions(
                data.y, edges, np.bincount(np.digitize(data.y, edges)).min() + 1
            )
            counts = _calibrating_rows(data.y, edges, folds)
        return cls(data, found, edges) if counts.min() >= _LEAST_CALIBRATING else None

    def around(self, model: Any, rows: Any = slice(None)) -> Any:
        """Return a fitted model with intervals, or sets, calibrated on some rows."""
        y, level = self.data.y[rows], CONFIDENCE
        if self.data.regions is None:
            assert self.found.scores is not None
            return HomologyConformalClassifier.from_scores(
                model, y, self.found.scores[rows], confidence_level=level
            )
        return HomologyConformalRegressor.from_predictions(
            model,
            y,
            self.found.prediction[rows],
            confidence_level=level,
            regions=self.regions,
        )

    @property
    def regions(self) -> np.ndarray | None:
        """Edges of the regions in each of which the intervals hold."""
        return self.edges if len(self.edges) else None

    def sets(self, found: OutOfFold, rows: np.ndarray, calibrated_on: Any = slice(None)) -> Any:
        """Return the sets of some rows by their out-of-fold predictions."""
        given = found.prediction if self.data.regions is not None else found.scores
        assert given is not None
        return self.around(_AsGiven(self.data.classes), calibrated_on).predict_set(given[rows])


def _calibrating_rows(y: np.ndarray, edges: np.ndarray, folds: Folds) -> np.ndarray:
    """Return for each fold how many rows of each region the other folds hold."""
    region = np.digitize(y, edges)
    total = np.bincount(region, minlength=len(edges) + 1)
    tested = [np.bincount(region[test], minlength=len(edges) + 1) for _, test in folds]
    return total - np.array(tested)


def _coverage(
    data: StudyData,
    splits: Splits,
    predictions: dict[str, OutOfFold],
    calibrator: _Calibrator,
    bins: np.ndarray,
) -> pd.DataFrame:
    """Return the coverage of sets that were calibrated on the other folds."""
    every = np.arange(len(data.y))
    sets: list[Any] = [None] * len(every)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of small classes, which the model itself tells
        for _, test in splits["homology"]:
            others = np.setdiff1d(every, test)
            for row, found in zip(
                test, calibrator.sets(predictions["homology"], test, others), strict=True
            ):
                sets[row] = found
        parts: dict[str, Any] = (
            {"classes": data.classes} if data.regions is None else {"regions": calibrator.regions}
        )
        tables = [coverage_report(data.y, sets, confidence_level=CONFIDENCE, **parts)]
        names = data.classes or region_names(calibrator.edges)
        tables[0].index = pd.Index(["all", *names][: len(tables[0])])
        tables[0].insert(0, "kind", ["all", *["part"] * (len(tables[0]) - 1)])
        for name, low, high, rows in _rows_of_bins(predictions, bins):
            if name == "homology":
                continue
            some = calibrator.sets(predictions[name], rows)
            classes = {k: v for k, v in parts.items() if k == "classes"}
            line = coverage_report(data.y[rows], some, confidence_level=CONFIDENCE, **classes)
            line = line.iloc[:1].rename(index={"all": identity_name(low, high)})
            line.insert(0, "kind", "identity")
            tables.append(line)
    return pd.concat(tables).rename_axis("part").reset_index()


def identity_name(low: float, high: float) -> str:
    """Return what a bin of identity to training is called."""
    if low == 0:
        return "no homolog in training"
    to = "and more" if high == 1 else f"to {100 * high:.0f} %"
    return f"homolog of {100 * low:.0f} % {to}"
