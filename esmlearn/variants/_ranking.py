"""Candidates of one protein, and the order in which to make them."""

from collections import Counter
from itertools import combinations, product
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from esmlearn.exceptions import DataError
from esmlearn.utils._mutations import (
    Mutation,
    Mutations,
    check_wild_type,
    distinct_mutations,
    read_variants,
    variant_name,
)
from esmlearn.utils._random import repeatable_generator
from esmlearn.utils._sequences import STANDARD_RESIDUES
from esmlearn.variants._mutations import check_variants

_CRITERIA = ("mean", "upper_bound", "expected_improvement")
#: Quantiles of the predictive distribution that expected improvement is averaged over.
_LEVELS = (np.arange(200) + 0.5) / 200


def propose_variants(
    wild_type: str,
    *,
    mutations: Any = None,
    n_mutations: int = 1,
    exclude: Any = (),
    max_variants: int = 100_000,
    random_state: Any = None,
    offset: int = 0,
) -> NDArray[np.object_]:
    """Return candidates: all single mutants, or combinations of given mutations.

    Parameters
    ----------
    wild_type : str
        The protein that is mutated.
    mutations : array-like of str of shape (n_variants,), default=None
        Variants whose mutations are combined, such as those that have been measured. None takes
        all 19 mutations of each position.
    n_mutations : int, default=1
        Number of mutations of each candidate.
    exclude : array-like of str of shape (n_variants,), default=()
        Variants that are left out, such as those that have been measured.
    max_variants : int, default=100_000
        The largest number of candidates. Where there are more, so many are drawn at random.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw; None is a fixed seed.
    offset : int, default=0
        Position before the first residue of `wild_type`; see `parse_mutations`.

    Returns
    -------
    candidates : ndarray of str of shape (n_candidates,)
        Mutations joined by colons, in the order of their positions.

    Raises
    ------
    DataError
        If a variant is invalid, or there are fewer mutated positions than `n_mutations`.

    Examples
    --------
    >>> from esmlearn.variants import propose_variants
    >>> len(propose_variants("MKTAY"))
    95
    >>> seen = ["K2R", "K2E", "T3A", "K2R:T3A"]
    >>> propose_variants("MKTAY", mutations=seen, n_mutations=2, exclude=seen).tolist()
    ['K2E:T3A']
    """
    wild_type = check_wild_type(wild_type)
    rng = repeatable_generator(random_state)
    left_out = set(map(variant_name, check_variants(exclude, wild_type, offset=offset)))
    if mutations is None:
        pool = [
            Mutation(own, position, residue)
            for position, own in enumerate(wild_type, start=1 + offset)
            for residue in STANDARD_RESIDUES
            if residue != own
        ]
    else:
        pool = distinct_mutations(check_variants(mutations, wild_type, offset=offset))
    by_position: dict[int, list[Mutation]] = {}
    for mutation in pool:
        by_position.setdefault(mutation.position, []).append(mutation)
    if not isinstance(n_mutations, Integral) or not 1 <= n_mutations <= len(by_position):
        raise DataError(
            f"n_mutations is {n_mutations!r}, and {len(by_position)} positions can be mutated; "
            f"expected a whole number from 1 to the number of positions."
        )
    groups = list(by_position.values())
    counts = _count_combinations(groups, n_mutations)
    if counts[0][n_mutations] <= 2 * (max_variants + len(left_out)):
        found = (m for chosen in combinations(groups, n_mutations) for m in product(*chosen))
        names = [name for name in map(variant_name, found) if name not in left_out]
        if len(names) > max_variants:
            names = [names[i] for i in sorted(rng.choice(len(names), max_variants, replace=False))]
    else:
        drawn: dict[str, None] = {}
        while len(drawn) < max_variants:
            name = variant_name(_draw_combination(groups, counts, n_mutations, rng))
            if name not in left_out:
                drawn[name] = None
        names = list(drawn)
    return np.array(names, dtype=object)


def _count_combinations(groups: list[list[Mutation]], n_mutations: int) -> list[list[int]]:
    """Return how many combinations of each size the groups from the i-th on have."""
    counts = [[1] + [0] * n_mutations]
    for group in reversed(groups):
        after = counts[-1]
        more = [len(group) * after[n - 1] for n in range(1, n_mutations + 1)]
        counts.append([1, *(a + b for a, b in zip(after[1:], more, strict=True))])
    return counts[::-1]


def _draw_combination(
    groups: list[list[Mutation]],
    counts: list[list[int]],
    n_mutations: int,
    rng: np.random.RandomState,
) -> list[Mutation]:
    """Draw one mutation of each of some groups, every combination as likely as any other."""
    chosen: list[Mutation] = []
    for group, here, after, number in zip(
        groups, counts, counts[1:], rng.random_sample(len(groups)), strict=False
    ):
        left = n_mutations - len(chosen)
        if left and number < len(group) * after[left - 1] / here[left]:
            chosen.append(group[rng.randint(len(group))])
    return chosen


def rank_variants(
    model: Any,
    candidates: Any,
    *,
    by: str = "mean",
    best: float | None = None,
    n_variants: int | None = None,
    max_per_position: int | None = None,
    wild_type: str | None = None,
    offset: int = 0,
) -> pd.DataFrame:
    """Return candidates in the order in which to make them.

    Parameters
    ----------
    model : fitted regressor
        It predicts from mutations or sequences, as `candidates` are; larger is better. Any
        regressor for ``"mean"``; else a `HomologyConformalRegressor`, whose errors on variants that
        it was not trained on say how uncertain a prediction is: with ``cv=VariantSplitter()`` on
        variants of one protein, and with ``difficulty="std"``, without which all candidates are
        equally uncertain and every criterion gives the same order.
    candidates : array-like of str of shape (n_candidates,)
        Mutations or sequences.
    by : {"mean", "upper_bound", "expected_improvement"}, default="mean"
        What is largest first: the prediction, the upper bound of its interval, or by how much the
        candidate is expected to exceed `best` (0 where it does not) [1]_.
    best : float, default=None
        The best value so far, in units of the target. ``"expected_improvement"`` needs it.
    n_variants : int, default=None
        Number of variants to return; None returns all.
    max_per_position : int, default=None
        The largest number of returned variants that mutate the same position; candidates beyond
        it are passed over. None sets no limit.
    wild_type : str, default=None
        The protein that is mutated; None takes the consensus of sequences.
    offset : int, default=0
        Position before the first residue of `wild_type`; see `parse_mutations`.

    Returns
    -------
    ranking : pandas.DataFrame of shape (n_variants, n_columns)
        ``variant`` (mutations), ``row`` (of `candidates`), ``prediction``, ``score`` (what is
        ranked by) and, of a model with intervals, ``low`` and ``high``; the best first.

    Raises
    ------
    DataError
        If a candidate is invalid or comes twice, or model and criterion do not fit.

    References
    ----------
    .. [1] Jones, D. R., Schonlau, M. & Welch, W. J. Efficient global optimization of expensive
       black-box functions. J. Global Optim. 13, 455-492 (1998).

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from esmlearn.variants import MutationOneHotEncoder, propose_variants, rank_variants
    >>> seen, y = ["K2R", "T3A", "A4G", "K2R:T3A"], [1.0, 0.5, -1.0, 1.6]
    >>> model = make_pipeline(MutationOneHotEncoder("MKTAY"), Ridge(0.1)).fit(seen, y)
    >>> candidates = propose_variants("MKTAY", mutations=seen, n_mutations=2, exclude=seen)
    >>> rank_variants(model, candidates)[["variant", "prediction"]].round(1)
       variant  prediction
    0  K2R:A4G         0.1
    1  T3A:A4G        -0.4
    """
    if by not in _CRITERIA:
        raise DataError(f"by is {by!r}; expected one of {', '.join(map(repr, _CRITERIA))}.")
    if hasattr(model, "classes_"):
        raise DataError(
            f"model is the classifier {type(model).__name__}; expected a regressor, whose "
            f"predictions have an order."
        )
    for name, value in {"n_variants": n_variants, "max_per_position": max_per_position}.items():
        if value is not None and (not isinstance(value, Integral) or value < 1):
            raise DataError(f"{name} is {value!r}; expected a whole number of at least 1, or None.")
    variants, _ = read_variants(candidates, wild_type, offset, name="candidates")
    names = pd.Series([variant_name(mutations) for mutations in variants])
    if names.duplicated().any():
        row = int(names.duplicated().idxmax())
        raise DataError(
            f"candidates[{row}] is {names[row]} again; expected distinct variants. Remove copies."
        )
    table = pd.DataFrame({"variant": names, "row": np.arange(len(names))})
    table["prediction"] = np.asarray(model.predict(candidates), dtype=float)
    if hasattr(model, "predict_interval"):
        table[["low", "high"]] = model.predict_interval(candidates)
    table["score"] = _score(model, candidates, table, by, best)
    table = table.sort_values("score", ascending=False, kind="stable")
    kept = _limit([variants[row] for row in table["row"]], max_per_position)
    return table[kept].head(n_variants or len(table)).reset_index(drop=True)


def _score(model: Any, candidates: Any, table: pd.DataFrame, by: str, best: Any) -> Any:
    """Return what is ranked by."""
    if by == "mean":
        return table["prediction"]
    if not hasattr(model, "predict_quantiles"):
        raise DataError(
            f"by={by!r} needs calibrated uncertainty, which {type(model).__name__} does not give; "
            "expected a HomologyConformalRegressor. Wrap the model in one, or pass by='mean'."
        )
    if by == "upper_bound":
        return table["high"]
    if best is None or not np.isfinite(best):
        raise DataError(
            f"best is {best!r}; expected the best value so far, which expected improvement needs."
        )
    return np.maximum(model.predict_quantiles(candidates, _LEVELS) - best, 0).mean(axis=1)


def _limit(variants: list[Mutations], most: int | None) -> NDArray[np.bool_]:
    """Return which variants are kept if, from the first on, each position may be used so often."""
    used: Counter[int] = Counter()
    kept = np.ones(len(variants), dtype=bool)
    if most is None:
        return kept
    for row, mutations in enumerate(variants):
        kept[row] = all(used[mutation.position] < most for mutation in mutations)
        if kept[row]:
            used.update(mutation.position for mutation in mutations)
    return kept
