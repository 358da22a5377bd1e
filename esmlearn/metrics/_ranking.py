"""Metrics of the order of predictions, as benchmarks of protein variants use them."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn import metrics
from sklearn.metrics import make_scorer

from esmlearn.exceptions import DataError
from esmlearn.metrics._inputs import check_predictions
from esmlearn.metrics._relevance import spearman


def ndcg_score(y_true: ArrayLike, y_pred: ArrayLike, *, k: float | None = None) -> float:
    """Normalised discounted cumulative gain of a continuous target.

    The gain of a sample is its target, scaled to the range from 0 to 1, so that negative targets
    are allowed. The gains of the `k` samples with the highest predictions are divided by the binary
    logarithm of their rank plus one and summed up [1]_; the score is this sum divided by that of
    the best order. ProteinGym [2]_ reports it for ``k=0.1``.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Targets, of which higher ones are better.
    y_pred : array-like of shape (n_samples,)
        Predictions.
    k : int or float, default=None
        Number of samples that are looked at, or their share if it is a float of at most 1; a share
        is rounded down, to 1 at least. None takes all.

    Returns
    -------
    score : float
        From 0 to 1. Equal predictions get the mean of their gains, and the order of the rows does
        not matter. 0 if all targets are equal.

    Raises
    ------
    DataError
        If a value is not finite, the lengths differ, or `k` is not one of its values.

    See Also
    --------
    top_k_recall : Share of the best samples that are found.
    sklearn.metrics.ndcg_score : The same for gains that are given.

    References
    ----------
    .. [1] Järvelin, K. and Kekäläinen, J. Cumulated gain-based evaluation of IR techniques. ACM
       Transactions on Information Systems 20, 422-446 (2002).
    .. [2] Notin, P. et al. ProteinGym: large-scale benchmarks for protein fitness prediction and
       design. NeurIPS 36 (2023).

    Examples
    --------
    >>> from esmlearn.metrics import ndcg_score
    >>> round(ndcg_score([-1.0, 0.0, 2.0, 3.0], [0.1, 0.2, 0.4, 0.3], k=2), 3)
    0.937
    """
    y_true, y_pred = check_predictions(y_true, y_pred)
    n_top = None if k is None else _n_top(k, len(y_true))
    lowest, highest = y_true.min(), y_true.max()
    if lowest == highest:
        return 0.0
    gains = (y_true - lowest) / (highest - lowest)
    # Ranks, since scikit-learn takes predictions that are nearly equal for equal ones.
    return float(metrics.ndcg_score(gains[None], rankdata(y_pred)[None], k=n_top))


def top_k_recall(y_true: ArrayLike, y_pred: ArrayLike, *, k: float = 0.1) -> float:
    """Share of the samples with the highest targets that have the highest predictions.

    ProteinGym [1]_ reports it for the best tenth.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Targets, of which higher ones are better.
    y_pred : array-like of shape (n_samples,)
        Predictions.
    k : int or float, default=0.1
        Number of samples that are looked for, and of predictions that are looked at; or their share
        if it is a float of at most 1, which is rounded down, to 1 at least.

    Returns
    -------
    recall : float
        From 0 to 1; k/n_samples is expected of predictions at random.

    Raises
    ------
    DataError
        If a value is not finite, the lengths differ, or `k` is not one of its values.

    See Also
    --------
    ndcg_score : Looks at the order of the highest predictions, too.

    Notes
    -----
    Ties do not depend on the order of the rows. Of predictions that are equal to the `k`-th highest
    each counts with the share of them that is among the `k`; any of the targets that are equal to
    the `k`-th highest counts as found. ProteinGym leaves out what is equal to a quantile instead,
    on both sides: without ties the two agree where ``k`` times n_samples is a whole number.

    References
    ----------
    .. [1] Notin, P. et al. ProteinGym: large-scale benchmarks for protein fitness prediction and
       design. NeurIPS 36 (2023).

    Examples
    --------
    >>> from esmlearn.metrics import top_k_recall
    >>> top_k_recall([1.0, 2.0, 3.0, 4.0], [0.1, 0.4, 0.2, 0.3], k=2)
    0.5
    """
    y_true, y_pred = check_predictions(y_true, y_pred)
    n_top = _n_top(k, len(y_true))
    best = y_true >= np.sort(y_true)[-n_top]
    return float(_membership(y_pred, n_top)[best].sum() / n_top)


def ranking_scorers(*, k: float = 0.1) -> dict[str, Callable]:
    """Return scorers of the order of predictions, for ``scoring=``.

    Parameters
    ----------
    k : int or float, default=0.1
        Number or share of samples of the two scores that look at the best ones.

    Returns
    -------
    scorers : dict of str to callable
        ``"spearman"``, ``"ndcg"`` and ``"top_k_recall"``; each is ``scorer(estimator, X, y)``.

    Raises
    ------
    DataError
        If `k` is not one of its values.

    See Also
    --------
    region_scorers : Scorers of the regions of a target.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import GridSearchCV
    >>> from esmlearn.metrics import ranking_scorers
    >>> X = np.random.default_rng(0).normal(size=(60, 1))
    >>> grid = {"alpha": [0.1, 1.0]}
    >>> search = GridSearchCV(Ridge(), grid, scoring=ranking_scorers(), refit="spearman")
    >>> search.fit(X, X.ravel()).cv_results_["mean_test_ndcg"]
    array([1., 1.])
    """
    _check_k(k)
    return {
        "spearman": make_scorer(spearman),
        "ndcg": make_scorer(ndcg_score, k=k),
        "top_k_recall": make_scorer(top_k_recall, k=k),
    }


def _n_top(k: Any, n_samples: int) -> int:
    """Return how many samples are looked at."""
    _check_k(k)
    return min(int(k), n_samples) if isinstance(k, Integral) else max(int(k * n_samples), 1)


def _check_k(k: Any) -> None:
    is_number = isinstance(k, Real) and not isinstance(k, bool)
    if not is_number or not (int(k) >= 1 if isinstance(k, Integral) else 0 < k <= 1):
        raise DataError(
            f"k is {k!r}; expected a number of samples of at least 1 (int), or a share of them "
            f"above 0 and of at most 1 (float)."
        )


def _membership(values: NDArray, n_top: int) -> NDArray:
    """Return the share with which each value is among the highest ones."""
    threshold = np.sort(values)[-n_top]
    above, equal = values > threshold, values == threshold
    return above + equal * ((n_top - above.sum()) / equal.sum())
