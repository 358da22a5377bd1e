"""Score thresholds for rare rows, chosen on rows that the classifier was not fitted on."""

from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.metrics import precision_recall_curve
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict

from esmlearn.exceptions import ResamplingWarning
from esmlearn.utils._random import random_generator
from esmlearn.utils._warn import warn

BREAK_EVEN = "break-even"


class FoldClassifiers:
    """The classifiers of all folds, whose mean score is that of a new row.

    Parameters
    ----------
    classifiers : list of classifier
        Fitted classifiers.
    """

    def __init__(self, classifiers: list[Any]) -> None:
        self.classifiers = classifiers

    def decision_function(self, X: NDArray) -> NDArray:
        """Mean of the scores of the positive class."""
        return np.mean([positive_scores(one, X) for one in self.classifiers], axis=0)


def fit_on_folds(
    classifier: Any,
    X: NDArray,
    inside: NDArray,
    *,
    splits: list[tuple[NDArray, NDArray]],
    n_jobs: int | None,
) -> tuple[FoldClassifiers, NDArray]:
    """Fit a classifier per fold; return them, and each row's mean score by those without it."""
    fitted = Parallel(n_jobs=n_jobs)(
        delayed(_fit_clone)(classifier, X[train], inside[train]) for train, _ in splits
    )
    scores, times = np.zeros(len(inside)), np.zeros(len(inside))
    for one, (_, test) in zip(fitted, splits, strict=True):
        scores[test] += positive_scores(one, X[test])
        times[test] += 1
    return FoldClassifiers(fitted), scores / times


def fit_on_all(
    classifier: Any,
    X: NDArray,
    inside: NDArray,
    *,
    splits: list[tuple[NDArray, NDArray]],
    n_jobs: int | None,
) -> tuple[Any, NDArray]:
    """Fit a classifier; return it, and each row's score by one of its kind without the row."""
    method = _score_method(classifier)
    scores = cross_val_predict(classifier, X, inside, cv=splits, method=method, n_jobs=n_jobs)
    return classifier.fit(X, inside), _positive(scores)


def threshold(y_true: NDArray, scores: NDArray, *, beta: float | str) -> float:
    """Score from which on a row is called positive, by the rule that `beta` names."""
    if beta == BREAK_EVEN:
        return break_even_threshold(y_true, scores)
    return best_threshold(y_true, scores, beta=float(beta))


def best_threshold(y_true: NDArray, scores: NDArray, *, beta: float) -> float:
    """Score from which on the F-beta score of calling a row positive is best."""
    precision, recall, thresholds = precision_recall_curve(y_true, scores)
    denominator = beta**2 * precision + recall
    fscore = np.divide(
        (1 + beta**2) * precision * recall,
        denominator,
        out=np.zeros_like(recall),
        where=denominator > 0,
    )
    return float(thresholds[np.argmax(fscore[:-1])])


def break_even_threshold(y_true: NDArray, scores: NDArray) -> float:
    """Score from which on as many rows are called positive as are: recall equals precision."""
    n_positive = int(np.sum(y_true))
    return float(np.partition(scores, -n_positive)[-n_positive])


def threshold_splits(
    X: NDArray,
    inside: NDArray,
    groups: ArrayLike | None,
    *,
    region: int,
    n_splits: int,
    random_state: Any,
) -> list[tuple[NDArray, NDArray]]:
    """Folds that keep groups together; each leaves members and others to train on."""
    n_splits = min(n_splits, int(inside.sum()), int((~inside).sum()))
    how: dict[str, Any] = {
        "shuffle": True,
        "random_state": random_generator(None) if random_state is None else random_state,
    }
    if groups is not None:
        n_groups = len(np.unique(np.asarray(groups)))
        splits = []
        if n_groups > 1:
            by_group = StratifiedGroupKFold(min(n_splits, n_groups), **how)
            splits = list(by_group.split(X, inside, groups))
        if splits and all(np.ptp(inside[train].astype(int)) for train, _ in splits):
            return splits
        warn(
            f"Region {region}: its members, or all other rows, are of too few families to "
            "leave one out, so its threshold is chosen on folds that tear families apart.",
            ResamplingWarning,
        )
    return list(StratifiedKFold(n_splits, **how).split(X, inside))


def positive_scores(classifier: Any, X: NDArray) -> NDArray:
    """Scores of the positive class by a fitted classifier."""
    return _positive(getattr(classifier, _score_method(classifier))(X))


def _fit_clone(classifier: Any, X: NDArray, y: NDArray) -> Any:
    return clone(classifier).fit(X, y)


def _score_method(classifier: Any) -> str:
    return "decision_function" if hasattr(classifier, "decision_function") else "predict_proba"


def _positive(scores: NDArray) -> NDArray:
    return scores if scores.ndim == 1 else scores[:, 1]
