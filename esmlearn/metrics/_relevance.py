"""Metrics that weight errors by the relevance of the target."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from esmlearn.exceptions import DataError
from esmlearn.metrics._inputs import check_predictions, check_relevance
from esmlearn.over_sampling import TargetRegions


def sera(y_true: ArrayLike, y_pred: ArrayLike, *, relevance: Any) -> float:
    """Squared error-relevance area: the integral of `sera_curve`, exact.

    For a threshold t let SER(t) be the sum of the squared errors of all targets with relevance of
    at least t. A target with relevance r adds its squared error to SER(t) for t from 0 to r, so
    that the integral over t from 0 to 1 is the sum of r times squared error.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Targets.
    y_pred : array-like of shape (n_samples,)
        Predictions.
    relevance : TargetRegions, callable or array-like of shape (n_samples,)
        Relevance of the targets, 0 to 1: fitted regions, a function of the targets, or values.

    Returns
    -------
    area : float
        In squared units of the target; a sum, so it grows with the number of samples.

    References
    ----------
    .. [1] R. P. Ribeiro and N. Moniz, "Imbalanced regression and extreme value prediction",
       Machine Learning 109, 1803-1835, 2020.

    Examples
    --------
    >>> from esmlearn.metrics import sera
    >>> sera([37.0, 95.0], [40.0, 90.0], relevance=[0.0, 1.0])
    25.0
    """
    y_true, y_pred = check_predictions(y_true, y_pred)
    return float(np.dot(check_relevance(relevance, y_true), (y_pred - y_true) ** 2))


def sera_curve(y_true: ArrayLike, y_pred: ArrayLike, *, relevance: Any) -> tuple[NDArray, NDArray]:
    """Sum of squared errors of the targets that are at least so relevant, for each threshold.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Targets.
    y_pred : array-like of shape (n_samples,)
        Predictions.
    relevance : TargetRegions, callable or array-like of shape (n_samples,)
        Relevance of the targets, 0 to 1.

    Returns
    -------
    thresholds : ndarray of shape (n_steps,)
        Ascending from 0 to 1: 0, 1 and every relevance that occurs.
    squared_error : ndarray of shape (n_steps,)
        Sum at each threshold. The curve is a step function: between two thresholds it has the
        value of the upper one (``drawstyle="steps-pre"``).

    Examples
    --------
    >>> from esmlearn.metrics import sera_curve
    >>> sera_curve([37.0, 95.0], [40.0, 90.0], relevance=[0.5, 1.0])
    (array([0. , 0.5, 1. ]), array([34., 34., 25.]))
    """
    y_true, y_pred = check_predictions(y_true, y_pred)
    phi = check_relevance(relevance, y_true)
    order = np.argsort(phi, kind="stable")
    ascending = phi[order]
    # Summed from the most relevant down, so that nothing is subtracted and nothing cancels.
    tail = np.cumsum(((y_pred - y_true) ** 2)[order][::-1])[::-1]
    thresholds = np.unique(np.r_[0.0, ascending, 1.0])
    first = np.searchsorted(ascending, thresholds, side="left")
    return thresholds, np.r_[tail, 0.0][first]


def relevance_weighted_rmse(
    y_true: ArrayLike, y_pred: ArrayLike, *, relevance: Any, zero_relevance: float = 0.0
) -> float:
    """Root of the mean squared error, weighted by relevance.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Targets.
    y_pred : array-like of shape (n_samples,)
        Predictions.
    relevance : TargetRegions, callable or array-like of shape (n_samples,)
        Relevance of the targets, 0 to 1.
    zero_relevance : float, default=0.0
        Value when no target has any relevance.

    Returns
    -------
    error : float
        In units of the target.

    Examples
    --------
    >>> from esmlearn.metrics import relevance_weighted_rmse
    >>> relevance_weighted_rmse([37.0, 95.0], [40.0, 90.0], relevance=[0.0, 1.0])
    5.0
    """
    y_true, y_pred = check_predictions(y_true, y_pred)
    phi = check_relevance(relevance, y_true)
    total = phi.sum()
    if not total > 0:
        return float(zero_relevance)
    return float(np.sqrt(np.dot(phi, (y_pred - y_true) ** 2) / total))


def utility_f1(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    relevance: Any,
    threshold: float = 0.8,
    tolerance: float | None = None,
    beta: float = 1.0,
) -> float:
    """F score of finding relevant targets, in which a find counts by how close it is.

    A target is relevant from `threshold` on, and so is a prediction. A relevant target is found to
    the degree ``max(0, 1 - |error| / tolerance)`` if its prediction is relevant too. Recall is the
    relevance-weighted mean of that over relevant targets, precision that over relevant predictions.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Targets.
    y_pred : array-like of shape (n_samples,)
        Predictions.
    relevance : TargetRegions or callable
        Relevance, 0 to 1, as a function of target values, for it is asked about predictions too.
    threshold : float, default=0.8
        Relevance from which on a value is relevant.
    tolerance : float, default=None
        Error, in units of the target, at which a find is worth nothing; the standard deviation of
        `y_true` unless given.
    beta : float, default=1.0
        Weight of recall against precision.

    Returns
    -------
    score : float
        From 0 to 1; 0 when nothing relevant is found or there is nothing to find.

    References
    ----------
    .. [1] P. Branco, L. Torgo, R. P. Ribeiro, "A survey of predictive modeling on imbalanced
       domains", ACM Computing Surveys 49, 31, 2016, section 4 (utility-based regression).

    Examples
    --------
    >>> from esmlearn.metrics import utility_f1
    >>> relevant = lambda y: (y >= 85).astype(float)
    >>> utility_f1([37.0, 95.0], [40.0, 90.0], relevance=relevant, tolerance=10.0)
    0.5
    """
    if not (isinstance(relevance, TargetRegions) or callable(relevance)):
        raise DataError(
            "utility_f1 needs relevance as a function of the target (a fitted TargetRegions or a "
            f"callable), as it is asked about predictions too; got {type(relevance).__name__}."
        )
    y_true, y_pred = check_predictions(y_true, y_pred)
    of_target, of_prediction = (check_relevance(relevance, y) for y in (y_true, y_pred))
    scale = float(y_true.std()) if tolerance is None else float(tolerance)
    benefit = np.clip(1 - np.abs(y_pred - y_true) / scale, 0, 1) if scale > 0 else 1.0
    relevant = of_target >= threshold
    called = of_prediction >= threshold
    found = np.where(relevant & called, benefit, 0.0)
    recall = _share(found, of_target, relevant)
    precision = _share(found, of_prediction, called)
    if not precision + recall:
        return 0.0
    return float((1 + beta**2) * precision * recall / (beta**2 * precision + recall))


def _share(found: NDArray, relevance: NDArray, among: NDArray) -> float:
    """Relevance-weighted mean of `found` over some rows, 0 if there are none."""
    total = relevance[among].sum()
    return float(np.dot(relevance[among], found[among]) / total) if total > 0 else 0.0


def spearman(y_true: ArrayLike, y_pred: ArrayLike, *, constant: float = 0.0) -> float:
    """Spearman's rank correlation of targets and predictions.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Targets.
    y_pred : array-like of shape (n_samples,)
        Predictions.
    constant : float, default=0.0
        Value when targets or predictions are all equal, where the correlation is not defined.

    Returns
    -------
    rho : float
        From -1 to 1; ties get their mean rank.

    Examples
    --------
    >>> from esmlearn.metrics import spearman
    >>> spearman([1.0, 2.0, 3.0], [10.0, 20.0, 30.0])
    1.0
    """
    y_true, y_pred = check_predictions(y_true, y_pred)
    ranks = np.vstack([rankdata(y_true), rankdata(y_pred)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    covariance, variance_product = np.dot(*ranks), (ranks**2).sum(axis=1).prod()
    return float(covariance / np.sqrt(variance_product)) if variance_product else float(constant)
