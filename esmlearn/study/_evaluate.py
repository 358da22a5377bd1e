"""Evaluation of one candidate on one fold: fit, predict, measure, keep."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import delayed
from sklearn.utils import _safe_indexing
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from esmlearn.exceptions import CacheError, TrainingInterruptedWarning
from esmlearn.study._candidates import Candidate, PipelineFactory
from esmlearn.study._data import StudyData
from esmlearn.study._metrics import Predicted, class_scores, measure
from esmlearn.study._settings import WorkFolder
from esmlearn.utils._parallel import iterate_results
from esmlearn.utils._paths import file_name

_COST = {"network": 9, "forest": 8, "logistic": 5, "svm": 5, "ridge": 1, "dummy": 0}


@dataclass(frozen=True)
class Task:
    """One candidate on one fold of one split.

    Attributes
    ----------
    candidate : Candidate
        What is fitted.
    split : {"homology", "random"}
        How the folds were made.
    fold : int
        Number of the test fold.
    train, test : ndarray of int
        Rows.
    key : str
        Digest of all that decides the result.
    """

    candidate: Candidate
    split: str
    fold: int
    train: np.ndarray
    test: np.ndarray
    key: str

    @property
    def name(self) -> str:
        """Name of the fold result in the work folder."""
        return f"{self.split}-{self.fold}-{file_name(self.candidate.name)}-{self.key}"


def evaluate(task: Task, data: StudyData, factory: PipelineFactory, store: WorkFolder) -> None:
    """Fit and measure one candidate on one fold, and keep the result in the work folder.

    One thread does it all: sums in another order would change the last digits of a result.
    """
    X, y = data.inputs, data.y
    with warnings.catch_warnings(record=True) as caught, one_thread():
        warnings.simplefilter("always")
        with interruptible():
            train = _safe_indexing(X, task.train)
            pipeline = factory(task.candidate).fit(train, y[task.train])
        test = _safe_indexing(X, task.test)
        prediction = pipeline.predict(test)
        scores = class_scores(pipeline, test, data)
    metrics, table = measure(Predicted(y[task.test], prediction, scores, data))
    store.write(
        task.name,
        {
            "split": task.split,
            "fold": task.fold,
            "candidate": task.candidate.name,
            "model": task.candidate.model,
            "resampler": task.candidate.resampler,
            "level": task.candidate.level,
            "n_train": len(task.train),
            "n_test": len(task.test),
            "metrics": metrics,
            "regions": table,
            "test": task.test.tolist(),
            "prediction": prediction.tolist(),
            "scores": None if scores is None else scores.round(6).tolist(),
            **_training(pipeline),
            "notes": sorted({f"{w.category.__name__}: {w.message}" for w in caught}),
        },
    )


def evaluate_all(
    tasks: list[Task],
    data: StudyData,
    factory: PipelineFactory,
    store: WorkFolder,
    *,
    n_jobs: int | None,
    bar: tqdm,
) -> list[dict[str, Any]]:
    """Return the results of all tasks, computing those that the work folder does not hold."""
    missing = [task for task in tasks if store.read(task.name) is None]
    # The slow ones first: no process idles at the end.
    missing.sort(key=lambda task: _COST.get(task.candidate.model, 2), reverse=True)
    bar.update(len(tasks) - len(missing))
    runs = (delayed(evaluate)(task, data, factory, store) for task in missing)
    for _ in iterate_results(runs, n_jobs=n_jobs, ordered=False):
        bar.update(1)
    results = []
    for task in tasks:
        result = store.read(task.name)
        if result is None:
            raise CacheError(
                f"{store.path} does not give back the result {task.name} that was written to it; "
                f"check the disk, or name another folder."
            )
        results.append(result)
    return results


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end the study also where a network would keep what it has learned so far.

    What an interrupted training gives is no result, and must not be kept as one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingInterruptedWarning)
        try:
            yield
        except TrainingInterruptedWarning as error:
            raise KeyboardInterrupt from error


@contextmanager
def one_thread() -> Iterator[None]:
    """Let everything in this block use one thread, in BLAS, OpenMP and torch."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


def _training(pipeline: Any) -> dict[str, Any]:
    """Return the training history of a network, and the choice of an inner search."""
    training: dict[str, Any] = {}
    if hasattr(pipeline, "best_params_"):
        training["chosen"] = {k: str(v) for k, v in pipeline.best_params_.items()}
        pipeline = pipeline.best_estimator_
    model = pipeline.steps[-1][1]
    if hasattr(model, "history_"):
        keys = ("epoch", "train_loss", "valid_loss")
        training["history"] = [
            {k: float(row[k]) for k in keys if row.get(k) is not None} for row in model.history_
        ]
        training["best_epoch"] = int(model.best_iter_)
    return training
