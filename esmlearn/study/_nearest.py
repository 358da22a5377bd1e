"""The nearest protein of training: how near it is, and what copying its target would give."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from esmlearn.clustering import HomologyGraph
from esmlearn.study._data import Folds, StudyData
from esmlearn.study._metrics import Metric, Predicted, measure


@dataclass(frozen=True)
class NearestInTraining:
    """The nearest homolog of each protein in its fold's training part.

    Attributes
    ----------
    row : ndarray of int of shape (n_sequences,)
        Its row; -1 where there is none.
    identity : ndarray of shape (n_sequences,)
        Its identity, 0-1; 0 where there is none.
    """

    row: np.ndarray
    identity: np.ndarray

    @classmethod
    def find(
        cls, graph: HomologyGraph, sequences: np.ndarray, folds: Folds, coverage: float
    ) -> "NearestInTraining":
        """Look them up in the homology graph.

        Parameters
        ----------
        graph : HomologyGraph
            Homologies of the proteins.
        sequences : ndarray of str of shape (n_sequences,)
            Distinct proteins.
        folds : list of (train, test)
            Rows of each fold.
        coverage : float
            Share of the shorter protein that an alignment must cover.

        Returns
        -------
        nearest : NearestInTraining
            Of several that are equally near, the first.
        """
        covered = graph.coverage("shorter") >= coverage
        row_of = np.zeros(graph.n_nodes, dtype=np.intp)
        row_of[graph.node_of(sequences)] = np.arange(len(sequences))
        i, j = row_of[graph.edges[covered]].T
        shape = (len(sequences), len(sequences))
        one_way = csr_array((graph.identity[covered], (i, j)), shape=shape)
        identities = csr_array(one_way + one_way.T)
        row, identity = np.full(len(sequences), -1), np.zeros(len(sequences))
        for train, test in folds:
            trained = np.zeros(len(sequences))
            trained[train] = 1
            near = csr_array(identities[test].multiply(trained))
            identity[test] = near.max(axis=1).toarray().ravel()
            row[test] = np.where(identity[test] > 0, np.ravel(near.argmax(axis=1)), -1)
        return cls(row, identity)


def copy_nearest(data: StudyData, nearest: NearestInTraining, folds: Folds) -> np.ndarray:
    """Predict the target of the nearest homolog in training.

    Parameters
    ----------
    data : StudyData
        The proteins.
    nearest : NearestInTraining
        Their nearest homologs.
    folds : list of (train, test)
        Rows of each fold.

    Returns
    -------
    y : ndarray of shape (n_sequences,)
        Predictions; without a homolog the median, or the most frequent class, of training.
    """
    predicted = np.empty_like(data.y)
    for train, test in folds:
        known = data.y[train]
        usual = np.median(known) if data.classes is None else Counter(known).most_common(1)[0][0]
        found = nearest.row[test]
        predicted[test] = np.where(found >= 0, data.y[found], usual)
    return predicted


def measure_nearest(
    data: StudyData,
    nearest: dict[str, NearestInTraining],
    splits: dict[str, Folds],
    metric: Metric,
) -> pd.DataFrame:
    """Measure what copying the nearest protein gives, on each kind of folds.

    Parameters
    ----------
    data : StudyData
        The proteins.
    nearest : dict of str to NearestInTraining
        By kind of folds.
    splits : dict of str to list of (train, test)
        The folds.
    metric : Metric
        The one that decides, measured beside those of every study.

    Returns
    -------
    table : pandas.DataFrame
        ``split``, ``fold``, ``share`` (of test proteins with a homolog in training) and the
        metrics of the study.
    """
    lines = []
    for split, found in nearest.items():
        predicted = copy_nearest(data, found, splits[split])
        for fold, (_, test) in enumerate(splits[split]):
            copied = Predicted(data.y[test], predicted[test], None, data)
            metrics = {**measure(copied)[0], metric.column: metric.value(copied)}
            share = float(np.mean(found.row[test] >= 0))
            lines.append({"split": split, "fold": fold, "share": share, **metrics})
    return pd.DataFrame(lines)
