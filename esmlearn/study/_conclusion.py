"""Conclusion of a study: a winner only where the folds carry one."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from esmlearn.study._candidates import COMPLEXITY, COVARIATES, YARDSTICKS, Candidate
from esmlearn.study._data import StudyData
from esmlearn.study._metrics import Metric, metrics_of
from esmlearn.study._statistics import bootstrap_components, compare, holm

#: Two-sided level at which a difference counts.
ALPHA = 0.05


@dataclass(frozen=True)
class Conclusion:
    """Findings of the folds about the candidates.

    Attributes
    ----------
    metric : Metric
        What decides.
    top : Candidate
        The best mean over the folds.
    chosen : Candidate
        What is kept: `top` where it stands out, else the simplest of `leaders` within one standard
        error of it.
    leaders : list of Candidate
        All that cannot be told from `top`.
    named : bool
        Whether `top` stands out from every other model.
    useful : bool or None
        Whether `chosen` beats knowing nothing of the protein: the dummy, and its own predictions
        assigned at random to the proteins of each fold; None if there was no dummy to compare with.
    adds_to_covariates : bool or None
        Whether `chosen` is better than the model that sees the covariates alone; None if there are
        none.
    against_top : pandas.DataFrame
        Every candidate compared with `top`.
    against_none : pandas.DataFrame
        Every resampled candidate compared with its model without resampling; ``p_holm`` is
        adjusted for the number of comparisons.
    interval : tuple of float
        Bootstrap interval over homology components of the deciding metric of `chosen`, the mean
        over folds. That `chosen` was picked on the same folds is not accounted for.
    """

    metric: Metric
    top: Candidate
    chosen: Candidate
    leaders: list[Candidate]
    named: bool
    useful: bool | None
    adds_to_covariates: bool | None
    against_top: pd.DataFrame
    against_none: pd.DataFrame
    interval: tuple[float, float] = field(default=(float("nan"), float("nan")))


def conclude(
    results: pd.DataFrame,
    candidates: list[Candidate],
    data: StudyData,
    predictions: dict[str, np.ndarray],
    fold: np.ndarray,
    *,
    random_state: int = 0,
) -> Conclusion:
    """Draw the conclusion of a study.

    Parameters
    ----------
    results : pandas.DataFrame
        One row per fold and candidate.
    candidates : list of Candidate
        What competed.
    data : StudyData
        What was studied.
    predictions : dict of str to ndarray
        Out-of-fold predictions by candidate.
    fold : ndarray of int of shape (n_sequences,)
        Test fold of each protein.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    conclusion : Conclusion
        Conclusion from the folds.
    """
    metric = metrics_of(data.task)[0]
    named = {candidate.name: candidate for candidate in candidates}
    means = results.groupby("candidate", sort=False)[metric.column].mean()
    means = means if metric.larger_is_better else -means
    top = named[str(means.idxmax())]
    against_top = _against(results, top.name, metric)
    tied = against_top["p"] >= ALPHA
    leaders = [named[name] for name in against_top.loc[tied, "candidate"]]
    if top not in leaders:
        leaders.insert(0, top)
    stands_out = {leader.model for leader in leaders} == {top.model}
    chosen = top if stands_out else _simplest(leaders, top, results, metric)
    prediction = predictions[chosen.name]
    return Conclusion(
        metric=metric,
        top=top,
        chosen=chosen,
        leaders=leaders,
        named=stands_out,
        useful=_useful(results, chosen, metric, shuffled_metric(data, prediction, fold)),
        adds_to_covariates=_beats(results, chosen, COVARIATES, metric),
        against_top=against_top,
        against_none=_against_none(results, candidates, metric),
        interval=interval_of(data, prediction, fold, random_state=random_state),
    )


def _simplest(
    leaders: list[Candidate], top: Candidate, results: pd.DataFrame, metric: Metric
) -> Candidate:
    """Return the simplest leader within one standard error of the best mean.

    Few folds let nearly everything tie with the best; that alone must not make the simplest win.
    The error is that of the best's mean or of the difference from it, fold by fold, whichever is
    smaller: where the folds differ much, the first alone lets in what is worse in each of them.
    """
    folds = results.pivot(index="fold", columns="candidate", values=metric.column)
    # What ignores the sequence is a yardstick, and is not kept even where it is the best.
    eligible = [c for c in leaders if c.model not in YARDSTICKS and c.resampler != "tuned"]
    if not eligible:
        return top
    distance = (folds.mean() - folds.mean()[top.name]).abs()
    best = min(eligible, key=lambda c: distance[c.name]).name
    reach = folds.sub(folds[best], axis=0).sem().clip(upper=folds.sem()[best])
    near = [c for c in eligible if distance[c.name] - distance[best] <= reach[c.name]]
    rank = {name: place for place, name in enumerate(COMPLEXITY)}
    # A model of the user's own counts as the most complex.
    return min(near, key=lambda c: (rank.get(c.model, len(rank)), c.level, c.name))


def _against(results: pd.DataFrame, reference: str, metric: Metric) -> pd.DataFrame:
    """Compare every candidate with one."""
    rows = results[results["candidate"] == reference]
    return compare(results, metric.column, rows, larger_is_better=metric.larger_is_better)


def _against_none(
    results: pd.DataFrame, candidates: list[Candidate], metric: Metric
) -> pd.DataFrame:
    """Compare every resampled candidate with its own model without resampling."""
    parts = []
    for model in dict.fromkeys(c.model for c in candidates):
        resampled = [c.name for c in candidates if c.model == model and c.resampler != "none"]
        rows = results[results["candidate"].isin(resampled)]
        if len(rows):
            base = results[results["candidate"] == model]
            parts.append(
                compare(rows, metric.column, base, larger_is_better=metric.larger_is_better)
            )
    if not parts:
        return pd.DataFrame(columns=["candidate", "mean", "low", "high", "p", "better", "p_holm"])
    table = pd.concat(parts, ignore_index=True)
    return table.assign(p_holm=holm(table["p"]))


def _useful(
    results: pd.DataFrame, chosen: Candidate, metric: Metric, shuffled: dict[int, float]
) -> bool | None:
    """Return whether a candidate is significantly better than ignorance; None without a dummy.

    The dummy alone is no yardstick: moving every prediction towards what is rare beats it in a
    metric that balances regions, without knowing anything of a protein.
    """
    if chosen.model == "dummy":
        return False
    own = results[results["candidate"] == chosen.name]
    by_chance = own.assign(**{metric.column: own["fold"].map(shuffled)})
    beats = _beats(results, chosen, "dummy", metric)
    return beats and _is_better(own, by_chance, metric)


def _beats(results: pd.DataFrame, chosen: Candidate, yardstick: str, metric: Metric) -> bool | None:
    """Return whether a candidate is significantly better than a yardstick; None without one."""
    other = results[results["candidate"] == yardstick]
    if other.empty:
        return None
    if chosen.model == yardstick:
        return False
    return _is_better(results[results["candidate"] == chosen.name], other, metric)


def _is_better(own: pd.DataFrame, other: pd.DataFrame, metric: Metric) -> bool:
    found = compare(own, metric.column, other, larger_is_better=metric.larger_is_better).iloc[0]
    return bool(found["better"] and found["p"] < ALPHA)


def shuffled_metric(data: StudyData, prediction: np.ndarray, fold: np.ndarray) -> dict[int, float]:
    """Return what the deciding metric is on average if predictions are shuffled in each fold.

    Parameters
    ----------
    data : StudyData
        What was studied.
    prediction : ndarray of shape (n_sequences,)
        Out-of-fold predictions.
    fold : ndarray of int of shape (n_sequences,)
        Test fold of each protein.

    Returns
    -------
    metric : dict of int to float
        The expectation over all orders of the predictions of a fold, by fold.
    """
    expected = _shuffled_error if data.regions else _shuffled_f1
    return {k: expected(data, prediction, fold == k) for k in np.unique(fold).tolist()}


def _shuffled_error(data: StudyData, prediction: np.ndarray, rows: np.ndarray) -> float:
    assert data.regions is not None
    y, values = data.y[rows].astype(float), np.sort(prediction[rows].astype(float))
    # Sums over the predictions below and above each target, without a table of all pairs.
    below = np.searchsorted(values, y)
    sums = np.r_[0.0, np.cumsum(values)]
    errors = (y * (2 * below - len(y)) + sums[-1] - 2 * sums[below]) / len(y)
    region = data.regions.region(y)
    return float(np.mean([errors[region == r].mean() for r in np.unique(region)]))


def _shuffled_f1(data: StudyData, prediction: np.ndarray, rows: np.ndarray) -> float:
    y, values = data.y[rows].astype(str), prediction[rows].astype(str)
    classes, true = np.unique(y, return_counts=True)
    called = np.array([np.sum(values == c) for c in classes])
    return float(np.mean(2 * true * called / len(y) / (true + called)))


def interval_of(
    data: StudyData, prediction: np.ndarray, fold: np.ndarray, *, random_state: int = 0
) -> tuple[float, float]:
    """Return the bootstrap interval over homology components of the deciding metric.

    Parameters
    ----------
    data : StudyData
        What was studied.
    prediction : ndarray of shape (n_sequences,)
        Out-of-fold predictions.
    fold : ndarray of int of shape (n_sequences,)
        Test fold of each protein.
    random_state : int, default=0
        Seed.

    Returns
    -------
    low, high : float
        95 % interval of the mean over folds.
    """
    of_rows = _balanced_error if data.regions else _macro_f1
    parts = [np.flatnonzero(fold == k) for k in np.unique(fold)]
    statistics = [of_rows(data, prediction, rows) for rows in parts]

    def mean_over_folds(weights: np.ndarray) -> np.ndarray:
        values = [of(weights[:, rows]) for of, rows in zip(statistics, parts, strict=True)]
        return _mean_of_known(np.stack(values, axis=1))

    return bootstrap_components(mean_over_folds, data.components, random_state=random_state)


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    """Return the mean of each row, NaN left out; a draw may hold no protein of a region or fold."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)


def _balanced_error(data: StudyData, prediction: np.ndarray, rows: np.ndarray) -> Any:
    """Return the balanced mean absolute error of some rows as a function of their weights."""
    assert data.regions is not None
    y = data.y[rows].astype(float)
    inside = np.eye(data.regions.n_regions_)[data.regions.region(y)]
    errors = inside * np.abs(y - prediction[rows].astype(float))[:, None]

    def statistic(weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return _mean_of_known((weights @ errors) / (weights @ inside))

    return statistic


def _macro_f1(data: StudyData, prediction: np.ndarray, rows: np.ndarray) -> Any:
    """Return the macro F1 of some rows as a function of their weights."""
    classes = np.asarray(data.classes)
    n = len(classes)
    true, predicted = (np.searchsorted(classes, y[rows].astype(str)) for y in (data.y, prediction))

    def statistic(weights: np.ndarray) -> np.ndarray:
        values = np.full((len(weights), n), np.nan)
        for value, row in zip(values, weights, strict=True):
            # A confusion matrix by counting: scikit-learn's would look at the names in each draw.
            matrix = np.bincount(true * n + predicted, row, n * n).reshape(n, n)
            total = matrix.sum(axis=0) + matrix.sum(axis=1)
            present = matrix.sum(axis=1) > 0
            value[present] = 2 * np.diag(matrix)[present] / total[present]
        return _mean_of_known(values)

    return statistic
