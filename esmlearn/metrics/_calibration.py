"""Expected calibration error: whether probabilities mean what they say."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_consistent_length, column_or_1d

from esmlearn.exceptions import DataError

_ROUNDING = 1e-3


def expected_calibration_error(
    y_true: Any, y_prob: ArrayLike, *, labels: Any = None, n_bins: int = 10
) -> float:
    """Mean distance between how sure a classifier is and how often it is right.

    Rows are put into bins by the probability of the class that they are predicted as. The error
    is the mean over rows of the distance, in their bin, between the mean probability and the share
    of right predictions [1]_.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Classes.
    y_prob : array-like of shape (n_samples, n_classes)
        Probabilities; rows sum to 1.
    labels : array-like of shape (n_classes,), default=None
        Classes of the columns; None stands for the sorted classes of `y_true`.
    n_bins : int, default=10
        Bins of equal width between 0 and 1.

    Returns
    -------
    error : float
        From 0 (calibrated) to 1.

    Raises
    ------
    DataError
        If there is not a column per class, or a row is no probability.

    References
    ----------
    .. [1] Guo, C., Pleiss, G., Sun, Y. & Weinberger, K. Q. On calibration of modern neural
       networks. ICML 2017, 1321-1330.

    Examples
    --------
    >>> from esmlearn.metrics import expected_calibration_error
    >>> sure = [[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.2, 0.8]]
    >>> round(expected_calibration_error(["a", "a", "b", "a"], sure), 3)
    0.2
    """
    check_consistent_length(y_true, y_prob)
    y_true = column_or_1d(y_true)
    y_prob = np.asarray(y_prob, dtype=np.float64)
    labels = np.unique(y_true) if labels is None else np.asarray(labels)
    if y_prob.ndim != 2 or y_prob.shape[1] != len(labels):
        raise DataError(
            f"y_prob has the shape {y_prob.shape}; expected a column for each of {len(labels)} "
            f"classes."
        )
    wrong = ~(np.abs(y_prob.sum(axis=1) - 1) < _ROUNDING) | (y_prob < -_ROUNDING).any(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"y_prob[{row}] is {y_prob[row].tolist()}; expected numbers that sum to 1.")
    confidence = y_prob.max(axis=1)
    right = labels[y_prob.argmax(axis=1)] == y_true
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gaps = np.bincount(bins, confidence - right, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(y_true))
