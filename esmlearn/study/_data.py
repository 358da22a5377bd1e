"""Proteins and folds of a study; every row that is left out is counted."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, StratifiedKFold

from esmlearn.clustering import HomologyGraph, deduplicate, homology_graph
from esmlearn.exceptions import DataError, InsufficientComponentsError
from esmlearn.io import check_target
from esmlearn.over_sampling import TargetRegions
from esmlearn.over_sampling._regions import make_regions
from esmlearn.study._covariates import read_covariates
from esmlearn.utils._sequence_column import SEQUENCE, read_sequences
from esmlearn.utils._sequences import count_sequence_features

Folds = list[tuple[np.ndarray, np.ndarray]]
Splits = dict[str, Folds]


@dataclass(frozen=True)
class StudyData:
    """The proteins of a study.

    Attributes
    ----------
    ids : ndarray of str of shape (n_sequences,)
        Unique ids.
    sequences : ndarray of str of shape (n_sequences,)
        Distinct proteins.
    y : ndarray of shape (n_sequences,)
        Targets.
    task : {"regression", "classification"}
        What is predicted.
    regions : TargetRegions or None
        Fitted regions of a continuous target.
    classes : list of str or None
        Sorted classes.
    rare : ndarray of bool or None
        Which classes are rare: those with fewer rows than the mean class.
    components : ndarray of int of shape (n_sequences,)
        Homology component of each protein.
    filters : list of dict
        What was done to the rows: ``step``, ``rows`` (left) and ``removed``.
    counts : dict
        What the sequences are like.
    description : dict
        Of the homology graph.
    features : pandas.DataFrame or None
        Covariates of each protein: numbers as float, categories as text.
    """

    ids: np.ndarray
    sequences: np.ndarray
    y: np.ndarray
    task: str
    regions: TargetRegions | None
    classes: list[str] | None
    rare: np.ndarray | None
    components: np.ndarray = field(repr=False)
    filters: list[dict[str, Any]]
    counts: dict[str, int]
    description: dict[str, Any]
    features: pd.DataFrame | None = None

    @property
    def inputs(self) -> Any:
        """The sequences, or a table of them and the covariates: the input of the pipelines."""
        if self.features is None:
            return self.sequences
        return self.features.assign(**{SEQUENCE: self.sequences})

    @property
    def n_components(self) -> int:
        """Number of homology components."""
        return len(np.unique(self.components))

    @property
    def labels(self) -> np.ndarray:
        """Region or class of each protein, as text or number."""
        return self.y if self.regions is None else self.regions.region(self.y)

    def table(self) -> pd.DataFrame:
        """Return id, sequence, target and component as a table."""
        columns = {
            "id": self.ids,
            "sequence": self.sequences,
            "target": self.y,
            "component": self.components,
        }
        return pd.DataFrame(columns)


def prepare(
    sequences: Any,
    y: Any,
    *,
    ids: Any = None,
    features: list[str] | None = None,
    task: Any = "auto",
    regions: Any = None,
    redundancy: float | None = 0.95,
    n_splits: int = 5,
    n_jobs: int | None = None,
    **homology: Any,
) -> tuple[StudyData, HomologyGraph]:
    """Validate proteins, remove redundancy, and build the homology graph.

    Parameters
    ----------
    sequences : array-like of str of shape (n_sequences,), or table
        Proteins, or a table with a column of them.
    y : array-like of shape (n_sequences,)
        Targets.
    ids : array-like of str, default=None
        Unique ids; None numbers the rows.
    features : list of str, default=None
        Columns of the table that are used beside the sequence.
    task : {"auto", "regression", "classification"}, default="auto"
        What is predicted.
    regions : TargetRegions, array-like or None, default=None
        How a continuous target is divided.
    redundancy : float or None, default=0.95
        Identity from which on proteins are merged; None merges identical ones alone.
    n_splits : int, default=5
        Folds that will be made.
    n_jobs : int or None, default=None
        Threads of the searches.
    **homology : dict
        Parameters of `homology_graph`.

    Returns
    -------
    data : StudyData
        The proteins of the study.
    graph : HomologyGraph
        Graph of their homologies.
    """
    texts = read_sequences(sequences, name="sequences", min_sequences=2)
    covariates = None if features is None else read_covariates(sequences, features)
    if len(texts) < 2 * n_splits:
        raise DataError(
            f"Got {len(texts)} proteins for {n_splits} folds; expected at least {2 * n_splits}, "
            f"two per fold. Take fewer folds."
        )
    names = _check_ids(ids, len(texts))
    if len(y) != len(texts):
        raise DataError(f"y has {len(y)} targets for {len(texts)} sequences; expected as many.")
    values, task = check_target(y, task=task, ids=names)
    filters = [{"step": "valid sequences with a target", "rows": len(texts), "removed": 0}]
    kept = deduplicate(texts, values, identity=redundancy or 1.0, coverage=0.9, n_jobs=n_jobs)
    rows = kept.indices
    merged = np.asarray(kept.y)
    step = "identical sequences merged"
    if redundancy:
        step = f"merged at {redundancy:.0%} identity ({kept.description['engine']})"
    filters.append({"step": step, "rows": len(rows), "removed": len(texts) - len(rows)})
    filters[-1]["conflicts"] = len(kept.conflicts)
    _check_enough(len(rows), len(texts), redundancy, n_splits)
    check_target(merged, task=task, ids=names[rows])
    chosen = np.array(texts, dtype=object)[rows]
    graph = homology_graph(chosen, n_jobs=n_jobs, **homology)
    fitted, classes, rare = _divide(merged, task, regions, n_splits)
    data = StudyData(
        ids=names[rows],
        sequences=chosen,
        y=merged,
        task=task,
        regions=fitted,
        classes=classes,
        rare=rare,
        components=graph.components()[graph.node_of(chosen)],
        filters=filters,
        counts=count_sequence_features(texts),
        description=dict(graph.description),
        features=None if covariates is None else covariates.iloc[rows].reset_index(drop=True),
    )
    return data, graph


def _check_enough(n_kept: int, n: int, redundancy: float | None, n_splits: int) -> None:
    """Refuse what redundancy removal shrank below what folds can be made of."""
    if n_kept < 2 * n_splits:
        share = "identical ones" if redundancy is None else f"those of {redundancy:.0%} identity"
        raise InsufficientComponentsError(
            f"{n_kept} of {n} proteins are left after merging {share}; expected at least "
            f"{2 * n_splits} for {n_splits} folds. Variants of one protein (a mutational scan) "
            f"are one family and cannot be tested on unseen families: study several proteins, or "
            f"cross-validate a pipeline with `esmlearn.variants.VariantSplitter`."
        )


def _check_ids(ids: Any, n: int) -> np.ndarray:
    """Return unique ids, numbers where none were given."""
    if ids is None:
        return np.array([f"row_{i}" for i in range(n)], dtype=object)
    names = np.array([str(i) for i in ids], dtype=object)
    if len(names) != n:
        raise DataError(f"ids has {len(names)} entries for {n} sequences; expected as many.")
    twice = np.flatnonzero(pd.Series(names).duplicated())
    if len(twice):
        raise DataError(f"ids[{twice[0]}] is {names[twice[0]]!r} again; expected unique ids.")
    return names


def _divide(
    y: np.ndarray, task: str, regions: Any, n_splits: int
) -> tuple[TargetRegions | None, list[str] | None, np.ndarray | None]:
    """Return fitted regions, or classes and which of them are rare."""
    if task == "regression":
        return choose_regions(y, regions), None, None
    classes, counts = np.unique(y, return_counts=True)
    few = int(np.argmin(counts))
    if counts[few] < n_splits:
        raise DataError(
            f"The class {str(classes[few])!r} has {counts[few]} protein(s) after redundancy "
            f"removal; expected at least {n_splits}, one per fold. Merge it with another "
            f"class, remove it, or take fewer folds."
        )
    return None, [str(c) for c in classes], counts < counts.mean()


def choose_regions(y: np.ndarray, regions: Any) -> TargetRegions:
    """Return fitted regions with something rare among them.

    Without `regions`, a target without outliers has nothing rare by relevance; the outer 5 % on
    each side are then what a protein engineer looks for all the same. Of edges that a user gives
    and that enclose nothing rare by density, the regions with fewer rows than the mean are rare.
    """
    fitted = make_regions(regions).fit(y)
    if fitted.rare_.any() or hasattr(regions, "fit"):
        return fitted
    if regions is None:
        return TargetRegions(method="quantile", quantiles=(0.05, 0.95), rare=[0, -1]).fit(y)
    small = np.flatnonzero(fitted.counts_ < fitted.counts_.mean())
    return fitted.set_params(rare=small.tolist()).fit(y)


def make_folds(
    data: StudyData,
    graph: HomologyGraph,
    *,
    n_splits: int,
    identity: float,
    coverage: float,
    random_split: bool,
    random_state: int,
) -> tuple[Splits, dict[str, Any]]:
    """Return homology folds, random folds where asked, and how the homology folds were made.

    Random folds are stratified by region or class where each has enough members.
    """
    from esmlearn.model_selection import CDHitGroupSplitter

    splitter = CDHitGroupSplitter(
        n_splits,
        identity=identity,
        coverage=coverage,
        reference=graph,
        random_state=random_state,
    )
    splits = {"homology": list(splitter.split(data.sequences, data.y))}
    if random_split:
        _, counts = np.unique(data.labels, return_counts=True)
        kind = StratifiedKFold if counts.min() >= n_splits else KFold
        folds = kind(n_splits, shuffle=True, random_state=random_state)
        splits["random"] = list(folds.split(data.sequences, data.labels))
    return splits, dict(splitter.description_)


def audit_folds(
    data: StudyData, splits: Splits, *, identity: float, n_jobs: int | None
) -> dict[str, Any]:
    """Return the leakage report of each kind of folds."""
    from esmlearn.model_selection import audit_leakage

    return {
        name: audit_leakage(
            data.sequences,
            pairs,
            identity=identity,
            # Random folds leak so much that few rows tell how much.
            n_sample=None if name == "homology" else 200,
            n_jobs=n_jobs,
        )
        for name, pairs in splits.items()
    }
