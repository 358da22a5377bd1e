"""Comparisons that take into account what folds share and what proteins have in common."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from esmlearn.exceptions import DataError


def corrected_ttest(
    differences: Any, *, test_share: float, confidence: float = 0.95
) -> dict[str, float]:
    """Test paired differences between two models over folds (Nadeau and Bengio).

    The folds' training parts overlap, so their differences are not independent; the corrected
    variance accounts for it. With few folds the test has little power: what it does not find may be
    there all the same.

    Parameters
    ----------
    differences : array-like of shape (n_folds,)
        Metric of one model minus metric of the other, per fold.
    test_share : float
        Number of test rows divided by number of training rows.
    confidence : float, default=0.95
        Of the interval.

    Returns
    -------
    result : dict
        ``mean``, ``low`` and ``high`` (the interval), ``p`` (two-sided).

    Raises
    ------
    DataError
        With fewer than two folds.

    References
    ----------
    Nadeau and Bengio (2003). Inference for the generalization error. Machine Learning 52, 239-281.

    Examples
    --------
    >>> from esmlearn.study import corrected_ttest
    >>> result = corrected_ttest([0.10, 0.12, 0.08, 0.11, 0.09], test_share=0.25)
    >>> round(result["p"], 4), round(result["low"], 3), round(result["high"], 3)
    (0.0007, 0.071, 0.129)
    """
    values = np.asarray(differences, dtype=float)
    n = len(values)
    if n < 2:
        raise DataError(
            f"differences has {n} value(s); expected one for each of two or more folds."
        )
    mean, variance = float(values.mean()), float(values.var(ddof=1))
    scale = float(np.sqrt((1 / n + test_share) * variance))
    if scale == 0.0:
        return {"mean": mean, "low": mean, "high": mean, "p": 1.0 if mean == 0.0 else 0.0}
    reach = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * scale
    p = float(2 * stats.t.sf(abs(mean) / scale, n - 1))
    return {"mean": mean, "low": mean - reach, "high": mean + reach, "p": p}


def holm(p_values: Any) -> np.ndarray:
    """Adjust p values for their number (Holm).

    Parameters
    ----------
    p_values : array-like of shape (n_tests,)
        Raw p values.

    Returns
    -------
    adjusted : ndarray of shape (n_tests,)
        At most 1, in the order given.

    Examples
    --------
    >>> from esmlearn.study import holm
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def bootstrap_components(
    statistic: Callable[[np.ndarray], np.ndarray],
    components: Any,
    *,
    n_draws: int = 1000,
    confidence: float = 0.95,
    random_state: int = 0,
) -> tuple[float, float]:
    """Interval of a statistic when whole homology components are drawn with replacement.

    Homologs are no independent evidence: drawing proteins one by one would make intervals too
    narrow.

    Parameters
    ----------
    statistic : callable
        Takes weights of shape (n_draws, n_samples), returns a value per draw.
    components : array-like of int of shape (n_samples,)
        Homology component of each row.
    n_draws : int, default=1000
        Number of draws.
    confidence : float, default=0.95
        Of the interval.
    random_state : int, default=0
        Seed.

    Returns
    -------
    low, high : float
        Percentile interval.

    Examples
    --------
    >>> import numpy as np
    >>> from esmlearn.study import bootstrap_components
    >>> x = np.arange(100.0)
    >>> mean = lambda weights: weights @ x / weights.sum(axis=1)
    >>> low, high = bootstrap_components(mean, np.arange(100))
    >>> bool(low < 49.5 < high)
    True
    """
    labels = np.unique(np.asarray(components), return_inverse=True)[1]
    n = int(labels.max()) + 1
    rng = np.random.default_rng(random_state)
    values = []
    for start in range(0, n_draws, 100):  # 100 draws at a time keep the memory small
        size = min(100, n_draws - start)
        counts = rng.multinomial(n, np.full(n, 1 / n), size=size)
        values.append(statistic(counts[:, labels].astype(float)))
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(np.concatenate(values), [tail, 1 - tail])
    return float(low), float(high)


def compare(
    results: pd.DataFrame, metric: str, reference: pd.DataFrame, *, larger_is_better: bool
) -> pd.DataFrame:
    """Compare candidates with a reference, fold by fold.

    Parameters
    ----------
    results : pandas.DataFrame
        Columns ``candidate``, ``fold``, ``n_train``, ``n_test`` and `metric`.
    metric : str
        Column to compare.
    reference : pandas.DataFrame
        Rows of the reference candidate, one per fold.
    larger_is_better : bool
        Which way is better.

    Returns
    -------
    table : pandas.DataFrame
        Per candidate: mean difference, its interval, p and ``better`` (mean in the good direction).
    """
    base = reference.set_index("fold")
    rows = []
    for candidate, group in results.groupby("candidate", sort=False):
        paired = group.set_index("fold").loc[base.index]
        share = float((paired["n_test"] / paired["n_train"]).mean())
        test = corrected_ttest(paired[metric] - base[metric], test_share=share)
        better = test["mean"] > 0 if larger_is_better else test["mean"] < 0
        rows.append({"candidate": candidate, **test, "better": bool(better)})
    return pd.DataFrame(rows)
