"""Sentences on the findings of a study, for people who do not read tables."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from esmlearn.study._candidates import YARDSTICKS, Candidate
from esmlearn.study._metrics import Metric
from esmlearn.study._result import StudyResult

_COMPARED = ("balanced_mae", "r2", "macro_f1", "accuracy")


def headline(result: StudyResult) -> str:
    """Return the answer in a few sentences; see `esmlearn.study.headline`."""
    conclusion = result.conclusion
    chosen, n, n_splits = conclusion.chosen, len(conclusion.leaders), result.parameters["n_splits"]
    if conclusion.asked_for:
        first = f"Kept is {chosen.title}, as asked."
    elif len({c.model for c in result.candidates}.difference(YARDSTICKS)) == 1:
        first = f"Only one model was tried, so none is called best. Kept is {chosen.title}."
    elif conclusion.named:
        first = f"{chosen.title[:1].upper()}{chosen.title[1:]} is the best of the models compared."
    else:
        first = (
            f"No model stands out: {n} of {len(result.candidates)} candidates cannot be told apart "
            f"in these {n_splits} folds. Kept is {chosen.title}, the simplest within one "
            f"standard error of the best."
        )
    last = " It is not shown to be better than ignoring the protein altogether."
    last = "" if conclusion.useful else last
    adds = {
        True: " The sequence adds to the covariates alone.",
        False: " The sequence is not shown to add anything to the covariates alone.",
        None: "",
    }[conclusion.adds_to_covariates]
    return f"{first} {_how_good(result)}{last}{adds}"


def _how_good(result: StudyResult) -> str:
    """Return the sentence on the deciding metric, with the dummy's as its yardstick."""
    conclusion, metric = result.conclusion, result.conclusion.metric
    means = result.means[metric.column]
    tail = _tail(result, metric)
    value = f"{measured(means[conclusion.chosen.name], metric)}{tail}"
    low, high = (measured(bound, metric) for bound in conclusion.interval)
    said, same = f"its {lower(metric.title)} is {value}", "gives"
    if metric.column == "balanced_mae":
        said, same = f"its predictions miss by {value}", "misses by"
        scale = "balanced MAE, rare ranges counting as much as common ones"
    elif metric.column == "macro_f1":
        scale = "1 is perfect, rare classes counting as much as common ones"
    else:
        scale = "higher is better" if metric.larger_is_better else "lower is better"
    text = (
        f"On protein families it has never seen, {said} ({scale}; "
        f"95 % interval {low} to {high}{tail})."
    )
    if conclusion.chosen.model == "dummy":
        return text
    dummy = f"{measured(means['dummy'], metric)}{tail}"
    return f"{text} Answering the same for every protein {same} {dummy}."


def choice(result: StudyResult) -> str:
    """Return why the kept candidate is kept, beside the best one and the plain form of each."""
    conclusion, metric = result.conclusion, result.conclusion.metric
    chosen, top = conclusion.chosen, conclusion.top
    if conclusion.asked_for:
        reason = "because it was asked for"
    elif conclusion.named:
        reason = "because it has the best mean and stands out from every other model"
    elif chosen == top:
        reason = (
            "because it has the best mean, and no simpler candidate comes within one standard "
            "error of it"
        )
    else:
        reason = (
            "because the folds do not tell it from the best, and it is the simplest within one "
            "standard error of that"
        )

    def values(candidate: Candidate) -> str:
        mean = result.means[metric.column]
        text = f"{measured(mean[candidate.name], metric)}{_tail(result, metric)}"
        if candidate.resampler == "none":
            return text
        plain = f"{measured(mean[candidate.model], metric)}{_tail(result, metric)}"
        return f"{text}, and {plain} without over-sampling"

    # The best candidate has a value wherever the metric decides, and all that have are compared.
    defined = result.results.loc[result.results["candidate"] == top.name, metric.column].notna()
    without = sorted(set(result.by_name).difference(conclusion.against_top["candidate"]))
    decides = f"{metric.title} decides"
    if not defined.all():
        decides += f", on the {defined.sum()} of {len(defined)} folds that it has a value on"
    if without:
        decides += f"; {', '.join(without)} {'has' if len(without) == 1 else 'have'} none and "
        decides += "cannot be compared"
    text = f"{decides}. {chosen.title[:1].upper()}{chosen.title[1:]} is kept {reason}"
    if chosen == top:
        return f"{text} ({values(chosen)})."
    return f"{text}: {values(chosen)}. The best mean is that of {top.title}: {values(top)}."


def optimism(result: StudyResult) -> str | None:
    """Return how optimistic random folds were; see `esmlearn.study.flattery`."""
    if result.random_means.empty:
        return None
    chosen = result.conclusion.chosen.name
    random, homology = result.random_means.loc[chosen], result.means.loc[chosen]
    pairs, better = [], []
    for metric in optimism_metrics(result):
        one, other, tail = random[metric.column], homology[metric.column], _tail(result, metric)
        said, meant = f"{measured(one, metric)}{tail}", f"{measured(other, metric)}{tail}"
        pairs.append(f"{lower(metric.title)} {said} instead of {meant}")
        better.append(one > other if metric.larger_is_better else one < other)
    said = "have said" if any(better) else "not have been optimistic here"
    said = "have been optimistic" if all(better) else said
    share = f"{100 * result.audit['random'].overall('A'):.0f}"
    return (
        f"A random split would {said}: {' and '.join(pairs)}. Of the proteins tested that way, "
        f"{share} % had a relative in training; for a protein of a new family, expect the value of "
        f"the homology folds."
    )


def optimism_metrics(result: StudyResult) -> list[Metric]:
    """Return the metrics that homology and random folds are compared by."""
    decides = result.conclusion.metric
    return [m for m in result.metrics if m.column in {*_COMPARED, decides.column}]


def lower(title: str) -> str:
    """Return a metric's title inside a sentence: acronyms stay."""
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def _tail(result: StudyResult, metric: Metric) -> str:
    """Return the unit behind a metric's value."""
    return f" {result.unit}" if metric.in_units and result.unit else ""


def number(value: Any, digits: int = 3) -> str:
    """Return a number as people write it: three digits, a true minus, a dash for nothing."""
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return "–"
    if isinstance(value, int | np.integer):
        return f"{value:,}".replace(",", "\u202f")
    if value == 0:
        return "0"
    text = f"{value:#.{digits}g}".removesuffix(".")
    if "e" in text and 1 <= abs(value) < 1e6:
        text = f"{value:.0f}"
    return text.replace("-", "\u2212")


def measured(value: float, metric: Metric, digits: int = 3) -> str:
    """Return the value of a metric: with three decimals where it is bounded by 1."""
    if not metric.bounded or not np.isfinite(value):
        return number(value, digits)
    text = f"{value:.3f}"
    return "0" if float(text) == 0 else text.replace("-", "\u2212")


def p_value(value: float) -> str:
    """Return a p value as people write it: a very small one is below a limit, not zero."""
    return "< 0.001" if value < 0.001 else number(value, 2)


def tell(value: Any) -> str:
    """Return a setting or a result, also one that holds others, as text for people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{label(key)} {tell(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(tell, value))
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.3g}".replace("-", "\u2212")
    return number(value) if isinstance(value, int | np.integer) else str(value)


def label(key: str) -> str:
    """Return the name of a setting or a result without the marks of code."""
    return key.removeprefix("n_").lstrip("-").replace("_", " ")
