"""Conclusion of a study: a winner only where the folds carry one."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from esmlearn.exceptions import DataError
from esmlearn.study._candidates import COMPLEXITY, COVARIATES, YARDSTICKS, Candidate
from esmlearn.study._metrics import Metric, Predicted
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
        What is kept: the one that was asked for; otherwise `top` where it stands out, else the
        simplest of `leaders` within one standard error of it.
    asked_for : bool
        Whether `chosen` is kept because it was asked for.
    leaders : list of Candidate
        All that cannot be told from `top`.
    named : bool
        Whether `top` stands out from every other model.
    useful : bool
        Whether `chosen` beats knowing nothing of the protein: the dummy, and its own predictions
        assigned at random to the proteins of each fold.
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
    asked_for: bool
    leaders: list[Candidate]
    named: bool
    useful: bool
    adds_to_covariates: bool | None
    against_top: pd.DataFrame
    against_none: pd.DataFrame
    interval: tuple[float, float] = field(default=(float("nan"), float("nan")))


def conclude(
    results: pd.DataFrame,
    candidates: list[Candidate],
    metric: Metric,
    predicted: Callable[[str], Predicted],
    fold: np.ndarray,
    *,
    keep: str | None = None,
    random_state: int = 0,
) -> Conclusion:
    """Draw the conclusion of a study.

    Parameters
    ----------
    results : pandas.DataFrame
        One row per fold and candidate.
    candidates : list of Candidate
        What competed.
    metric : Metric
        What decides.
    predicted : callable
        Returns the out-of-fold predictions of a candidate, by its name.
    fold : ndarray of int of shape (n_sequences,)
        Test fold of each protein.
    keep : str, default=None
        Name of the candidate that is kept, whatever the folds say.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    conclusion : Conclusion
        Conclusion from the folds.

    Raises
    ------
    DataError
        If no candidate has a value of the deciding metric on at least two folds.
    """
    named = {candidate.name: candidate for candidate in candidates}
    results = _decidable(results, metric, keep)
    means = results.groupby("candidate", sort=False)[metric.column].mean()
    means = means if metric.larger_is_better else -means
    top = named[str(means.idxmax())]
    against_top = _against(results, top.name, metric)
    tied = against_top["p"] >= ALPHA
    leaders = [named[name] for name in against_top.loc[tied, "candidate"]]
    if top not in leaders:
        leaders.insert(0, top)
    stands_out = {leader.model for leader in leaders} == {top.model}
    if keep is not None:
        chosen = named[keep]
    elif top.model in YARDSTICKS:  # never kept: the best of the others takes its place
        others = {name for name in means.index if named[name].model not in YARDSTICKS}
        best = named[str(means[sorted(others)].idxmax())]
        against = _against(results[results["candidate"].isin(others)], best.name, metric)
        tied = against.loc[against["p"] >= ALPHA, "candidate"]
        chosen = _simplest([named[name] for name in tied], best, results, metric)
    else:
        chosen = top if stands_out else _simplest(leaders, top, results, metric)
    prediction = predicted(chosen.name)
    return Conclusion(
        metric=metric,
        top=top,
        chosen=chosen,
        asked_for=keep is not None,
        leaders=leaders,
        named=stands_out,
        useful=_useful(results, chosen, metric, shuffled_metric(metric, prediction, fold)),
        adds_to_covariates=_beats(results, chosen, COVARIATES, metric),
        against_top=against_top,
        against_none=_against_none(results, candidates, metric),
        interval=interval_of(metric, prediction, fold, random_state=random_state),
    )


def _decidable(results: pd.DataFrame, metric: Metric, keep: str | None = None) -> pd.DataFrame:
    """Return the rows by which the metric decides.

    Folds on which it is undefined for every candidate drop out, and then candidates that lack a
    value: probabilities, say.
    """
    models = results.drop_duplicates("candidate").set_index("candidate")["model"]
    table = results.pivot(index="fold", columns="candidate", values=metric.column)
    folds = table.dropna(how="all")
    complete = folds.columns[folds.notna().all()]
    if len(folds) < 2 or models[complete].isin(YARDSTICKS).all():
        raise DataError(
            f"{metric.title} is undefined for every model, or on all folds but one; expected a "
            "metric that has a value for some model on two folds at least. Metrics of "
            "probabilities need models that give them, and all classes in every fold. Choose "
            "another metric."
        )
    if keep is not None and keep not in complete:
        raise DataError(
            f"keep is {keep!r}, for which {metric.title} is undefined; expected one of "
            f"{', '.join(complete)}, or another metric."
        )
    return results[results["fold"].isin(folds.index) & results["candidate"].isin(complete)]


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
    known = set(results["candidate"])
    for model in dict.fromkeys(c.model for c in candidates if c.model in known):
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
) -> bool:
    """Return whether a candidate is significantly better than ignorance.

    The dummy alone is no yardstick: moving every prediction towards what is rare beats it in a
    metric that balances regions, without knowing anything of a protein.
    """
    if chosen.model == "dummy":
        return False
    own = results[results["candidate"] == chosen.name]
    by_chance = own.assign(**{metric.column: own["fold"].map(shuffled)})
    beats = _beats(results, chosen, "dummy", metric)
    return bool(beats) and _is_better(own, by_chance, metric)


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


def shuffled_metric(
    metric: Metric, predicted: Predicted, fold: np.ndarray, *, n_draws: int = 100
) -> dict[int, float]:
    """Return what the deciding metric is on average if predictions are shuffled in each fold.

    Parameters
    ----------
    metric : Metric
        The deciding metric.
    predicted : Predicted
        Out-of-fold predictions of the study.
    fold : ndarray of int of shape (n_sequences,)
        Test fold of each protein.
    n_draws : int, default=100
        Orders of the predictions of a fold that are drawn.

    Returns
    -------
    metric : dict of int to float
        The mean over the orders, by fold.
    """
    rng = np.random.default_rng(0)
    shuffled = {}
    for k in np.unique(fold).tolist():
        rows = np.flatnonzero(fold == k)
        draws = [
            metric.value(predicted.take(rows, predictions=rng.permutation(rows)))
            for _ in range(n_draws)
        ]
        shuffled[k] = float(np.mean(draws))
    return shuffled


def interval_of(
    metric: Metric, predicted: Predicted, fold: np.ndarray, *, random_state: int = 0
) -> tuple[float, float]:
    """Return the bootstrap interval over homology components of the deciding metric.

    Parameters
    ----------
    metric : Metric
        The deciding metric.
    predicted : Predicted
        Out-of-fold predictions of the study.
    fold : ndarray of int of shape (n_sequences,)
        Test fold of each protein.
    random_state : int, default=0
        Seed.

    Returns
    -------
    low, high : float
        95 % interval of the mean over folds.
    """
    parts = [np.flatnonzero(fold == k) for k in np.unique(fold)]

    def mean_over_folds(weights: np.ndarray) -> np.ndarray:
        return np.array([mean_of_draw(row.astype(int)) for row in weights])

    def mean_of_draw(count: np.ndarray) -> float:
        # A draw may hold no protein of a fold.
        drawn = [rows for part in parts if len(rows := np.repeat(part, count[part]))]
        values = np.array([metric.value(predicted.take(rows)) for rows in drawn])
        return float(values[~np.isnan(values)].mean()) if not np.isnan(values).all() else np.nan

    components = predicted.data.components
    with warnings.catch_warnings():  # of what is undefined in single draws
        warnings.simplefilter("ignore")
        return bootstrap_components(mean_over_folds, components, random_state=random_state)
