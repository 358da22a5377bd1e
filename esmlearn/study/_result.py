"""StudyResult: the findings of a study, from which report, figures and files are made."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from esmlearn.study._candidates import Candidate
from esmlearn.study._conclusion import Conclusion
from esmlearn.study._data import StudyData
from esmlearn.study._metrics import Metric, metrics_of
from esmlearn.study._reliability import Reliability


@dataclass(frozen=True)
class StudyResult:
    """Findings of a study; names are those of `Study`, without the underscore.

    Attributes
    ----------
    parameters : dict
        Parameters of the `Study`.
    data : StudyData
        The proteins that were studied.
    candidates : list of Candidate
        What competed.
    results, random_results : pandas.DataFrame
        One row per fold and candidate, for homology and for random folds.
    nearest_results : pandas.DataFrame
        What copying the nearest homolog in training gives, on each fold of each kind.
    regions : pandas.DataFrame
        One row per fold, candidate and region (or class).
    folds, fold_table : pandas.DataFrame
        One row per protein, and one per fold.
    split_description : dict
        How the homology folds were made.
    leakage : dict of str to ndarray
        Leaking share of each fold, for each kind of folds.
    audit : dict of str to LeakageReport
        The full audits.
    embedding : ndarray of shape (n_sequences, width)
        Embeddings.
    embedding_report : dict
        How they were computed.
    fingerprint : str
        Of the embedder.
    fold_results : list of dict
        Each candidate on each homology fold, as the work folder keeps it.
    predictions : dict of str to ndarray
        Out-of-fold predictions by candidate.
    conclusion : Conclusion
        Conclusion from the folds.
    best_model : Pipeline
        The chosen candidate, fitted on everything.
    reliability : Reliability
        How far its predictions can be trusted.
    timings : dict of str to float
        Seconds of each step.
    n_workers : int
        Number of candidates that were fitted at the same time.
    """

    parameters: dict[str, Any]
    data: StudyData
    candidates: list[Candidate]
    results: pd.DataFrame
    random_results: pd.DataFrame
    nearest_results: pd.DataFrame
    regions: pd.DataFrame
    folds: pd.DataFrame
    fold_table: pd.DataFrame
    split_description: dict[str, Any]
    leakage: dict[str, np.ndarray]
    audit: dict[str, Any]
    embedding: np.ndarray
    embedding_report: dict[str, Any]
    fingerprint: str
    fold_results: list[dict[str, Any]]
    predictions: dict[str, np.ndarray]
    conclusion: Conclusion
    best_model: Any
    reliability: Reliability
    timings: dict[str, float]
    n_workers: int

    @property
    def unit(self) -> str | None:
        """Unit of the target."""
        return self.parameters["unit"]

    @property
    def metrics(self) -> list[Metric]:
        """Metrics of the study, the one that decides first."""
        decides = self.conclusion.metric
        return [decides, *(m for m in metrics_of(self.data.task) if m.column != decides.column)]

    @property
    def by_name(self) -> dict[str, Candidate]:
        """Candidates by their name in the tables."""
        return {candidate.name: candidate for candidate in self.candidates}

    @cached_property
    def means(self) -> pd.DataFrame:
        """Mean of every metric over the homology folds, by candidate."""
        return self.results.groupby("candidate", sort=False).mean(numeric_only=True)

    @cached_property
    def random_means(self) -> pd.DataFrame:
        """Mean of every metric over the random folds, by candidate; empty without random folds."""
        if self.random_results.empty:
            return pd.DataFrame()
        return self.random_results.groupby("candidate", sort=False).mean(numeric_only=True)
