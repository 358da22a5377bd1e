"""Study: the whole method on one table."""

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator, clone
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from esmlearn.clustering import HomologyGraph
from esmlearn.study import _wording
from esmlearn.study._candidates import (
    Candidate,
    PipelineFactory,
    check_candidates,
    list_candidates,
    make_factory,
)
from esmlearn.study._conclusion import Conclusion, conclude
from esmlearn.study._data import Splits, audit_folds, make_folds, prepare
from esmlearn.study._evaluate import Task, evaluate_all, interruptible, one_thread
from esmlearn.study._metrics import Metric, find_metric
from esmlearn.study._nearest import NearestInTraining, measure_nearest
from esmlearn.study._reliability import (
    OutOfFold,
    Reliability,
    measure_reliability,
)
from esmlearn.study._result import StudyResult
from esmlearn.study._settings import WorkFolder, key_of_result, settings_of_study
from esmlearn.study._tables import join_predicted, join_predictions, tabulate, tabulate_folds
from esmlearn.utils._progress import progress_bar

_log = logging.getLogger(__name__)


class Study(BaseEstimator):
    """Compare models and over-samplers on proteins, tested on families they have not seen.

    The steps, each public by itself: validate, remove redundancy, build the homology graph,
    make homology folds, audit their leakage, embed each distinct sequence once, fit every candidate
    on every fold, measure, compare with paired tests, repeat the essence with random folds to show
    how optimistic they are, and fit the chosen candidate on everything.

    Parameters
    ----------
    model : str, path-like or ESMEmbedder, default="esm2_t6_8M_UR50D"
        What embeds: a name of `esmlearn.embedding.list_models`, a checkpoint, or an embedder.
    task : {"auto", "regression", "classification"}, default="auto"
        What the target is, see `esmlearn.io.read_proteins`.
    models : "all", list of str or dict of str to estimator, default="all"
        Names out of `default_models`, or estimators of your own that take scaled embeddings. A
        dummy, which ignores the protein, always stands beside them.
    resamplers : tuple of str, default=("random", "smote", "adasyn")
        Over-samplers of `esmlearn.over_sampling.RegionOverSampler`.
    levels : tuple of int, default=(100, 200, 300)
        Rows added to rare regions or classes, in per cent of their members.
    regions : TargetRegions, array-like of float or None, default=None
        How a continuous target is divided. None takes ``TargetRegions()``, or the outer 5 % on each
        side where that finds nothing rare. Regions for training are learned from training parts.
    n_splits : int, default=5
        Homology folds.
    identity : float, default=0.3
        Identity (0-1) from which on two proteins are homologs.
    coverage : float, default=0.5
        Share of the shorter protein that an alignment must cover.
    redundancy : float or None, default=0.95
        Identity from which on proteins are merged; None merges identical ones alone.
    validation : float, default=0.1
        Share of the training proteins that networks are validated on, without homologs in the
        rest and without synthetic rows.
    tuned : bool, default=False
        Also let an inner search on homology folds choose resampler and level for every model
        (nested cross-validation; slow).
    n_inner_splits : int, default=3
        Folds of the inner search.
    features : list of str or None, default=None
        Columns of the table given to `fit` that are used beside the sequence, such as growth
        temperature or organism: numbers where all cells are, else categories. A row
        ``covariates``, a model on them alone, then stands beside the candidates.
    metric : str or None, default=None
        What decides between the candidates: a metric of the study (``balanced_mae``, ``mae``,
        ``mse``, ``r2``, ``spearman``, ``sera``, ``recall_rare``; for classes ``macro_f1``,
        ``balanced_accuracy``, ``accuracy``, ``roc_auc``, ``ece``, ``recall_rare``), or the name of
        a scorer of scikit-learn. None takes the first: rare ranges and classes count as much as
        common ones.
    keep : str or None, default=None
        Name of the candidate to keep, such as ``"ridge"`` or ``"network-smote-200"``, whatever the
        folds say; None lets them decide.
    random_split : bool, default=True
        Also test on random folds, to show how optimistic they are.
    name : str, default="target"
        What the target is called in figures.
    unit : str or None, default=None
        Its unit.
    work : path-like or None, default=None
        Folder of finished fold results: after a kill the same study goes on there, and another
        one takes over the results they share. None keeps none.
    random_state : int, default=0
        Seed of everything that draws.
    n_jobs : int or None, default=None
        Candidates fitted at the same time; -1 for all cores. Results do not depend on it.
    verbose : int, default=0
        1 shows progress on a terminal, 2 always.

    Attributes
    ----------
    data_ : StudyData
        The proteins that were studied.
    results_ : pandas.DataFrame
        One row per fold and candidate, tested on homology folds.
    random_results_ : pandas.DataFrame
        The same for random folds (models without resampling, and the chosen candidate).
    nearest_results_ : pandas.DataFrame
        One row per kind of folds and fold: what copying the target of the nearest homolog in
        training gives, and the ``share`` of test proteins that have one.
    regions_ : pandas.DataFrame
        One row per fold, candidate and region (or class).
    folds_ : pandas.DataFrame
        ``id``, ``fold``, ``component`` and ``target`` of each protein.
    fold_table_ : pandas.DataFrame
        One row per fold: sizes, and the leaking share of the test proteins.
    leakage_ : dict of str to ndarray
        Leaking share (0-1) of each fold, for ``"homology"`` and ``"random"`` folds.
    audit_ : dict of str to LeakageReport
        The full audits.
    embedding_ : ndarray of shape (n_sequences, width)
        Embeddings.
    predictions_ : dict of str to ndarray
        Out-of-fold predictions by candidate.
    conclusion_ : Conclusion
        Conclusion from the folds.
    best_model_ : Pipeline
        The chosen candidate, fitted on everything.
    reliability_ : Reliability
        How far its predictions can be trusted: ``model`` (the same with prediction intervals, or
        sets of classes, at 0.9), ``coverage`` and ``errors`` by the identity to training.
    fingerprint_ : str
        Of the embedder.
    timings_ : dict of str to float
        Seconds of each step.

    Examples
    --------
    >>> from esmlearn.study import Study
    >>> study = Study("esm2_t6_8M_UR50D", models=["ridge", "network"], n_splits=5)
    >>> study.fit(sequences, y).write("report")  # doctest: +SKIP
    """

    _parameter_constraints: dict = {
        "model": [str, os.PathLike, HasMethods(["transform", "fingerprint"])],
        "task": [StrOptions({"auto", "regression", "classification"})],
        "models": [StrOptions({"all"}), list, tuple, dict],
        "resamplers": [list, tuple],
        "levels": [list, tuple],
        "regions": [HasMethods(["fit", "region"]), "array-like", None],
        "n_splits": [Interval(Integral, 2, None, closed="left")],
        "identity": [Interval(Real, 0, 1, closed="right")],
        "coverage": [Interval(Real, 0, 1, closed="both")],
        "redundancy": [Interval(Real, 0, 1, closed="right"), None],
        "validation": [Interval(Real, 0, 1, closed="neither")],
        "tuned": ["boolean"],
        "n_inner_splits": [Interval(Integral, 2, None, closed="left")],
        "features": [list, tuple, None],
        "metric": [str, None],
        "keep": [str, None],
        "random_split": ["boolean"],
        "name": [str],
        "unit": [str, None],
        "work": [str, os.PathLike, None],
        "random_state": [Interval(Integral, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        model: Any = "esm2_t6_8M_UR50D",
        *,
        task: str = "auto",
        models: Any = "all",
        resamplers: tuple[str, ...] = ("random", "smote", "adasyn"),
        levels: tuple[int, ...] = (100, 200, 300),
        regions: Any = None,
        n_splits: int = 5,
        identity: float = 0.3,
        coverage: float = 0.5,
        redundancy: float | None = 0.95,
        validation: float = 0.1,
        tuned: bool = False,
        n_inner_splits: int = 3,
        features: list[str] | None = None,
        metric: str | None = None,
        keep: str | None = None,
        random_split: bool = True,
        name: str = "target",
        unit: str | None = None,
        work: str | os.PathLike[str] | None = None,
        random_state: int = 0,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.task = task
        self.models = models
        self.resamplers = resamplers
        self.levels = levels
        self.regions = regions
        self.n_splits = n_splits
        self.identity = identity
        self.coverage = coverage
        self.redundancy = redundancy
        self.validation = validation
        self.tuned = tuned
        self.n_inner_splits = n_inner_splits
        self.features = features
        self.metric = metric
        self.keep = keep
        self.random_split = random_split
        self.name = name
        self.unit = unit
        self.work = work
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, sequences: Any, y: Any, *, ids: Any = None) -> "Study":
        """Run the study.

        Parameters
        ----------
        sequences : array-like of str of shape (n_sequences,), or table
            Proteins; or a pandas, polars or pyarrow table with a column of them and, where they
            are named, `features`.
        y : array-like of shape (n_sequences,)
            Targets: numbers or classes.
        ids : array-like of str of shape (n_sequences,), default=None
            Unique ids; None numbers the rows.

        Returns
        -------
        self : Study
            The fitted study.

        Raises
        ------
        DataError
            If sequences, targets or ids cannot be used.
        InsufficientComponentsError
            If there are fewer homology components than folds.
        """
        self._validate_params()
        check_candidates(
            self.models, self.resamplers, self.levels, tuned=self.tuned, keep=self.keep
        )
        self.timings_: dict[str, float] = {}
        embedder = self._make_embedder()
        with self._step("validate, remove redundancy, build the homology graph"):
            self.data_, graph = prepare(
                sequences,
                y,
                ids=ids,
                features=None if self.features is None else list(self.features),
                task=self.task,
                regions=self.regions,
                redundancy=self.redundancy,
                n_splits=self.n_splits,
                n_jobs=self.n_jobs,
                identity=self.identity,
                coverage=self.coverage,
            )
        metric = find_metric(self.metric, self.data_)
        with self._step("assign homology folds and audit them"):
            splits = self._make_folds(graph)
        with self._step("embed"):
            self.fingerprint_ = embedder.fingerprint()
            self.embedding_ = embedder.fit_transform(self.data_.sequences)
            self.embedding_report_ = dict(embedder.report_)
        factory = make_factory(self.get_params(deep=False), self.data_, embedder, metric)
        with tempfile.TemporaryDirectory() as temporary:
            self._compete(splits, factory, WorkFolder(self.work or temporary), graph, metric)
        return self

    # Preparation ---------------------------------------------------------------------------------

    def _make_embedder(self) -> Any:
        """Return an embedder of its own from what a user may pass for it."""
        from esmlearn.embedding import ESMEmbedder

        if hasattr(self.model, "transform"):
            return clone(self.model)
        return ESMEmbedder(self.model, n_jobs=self.n_jobs, verbose=int(self.verbose > 0))

    def _make_folds(self, graph: HomologyGraph) -> Splits:
        """Return homology folds, and random folds where asked, both audited."""
        data = self.data_
        splits, self.split_description_ = make_folds(
            data,
            graph,
            n_splits=self.n_splits,
            identity=self.identity,
            coverage=self.coverage,
            random_split=self.random_split,
            random_state=self.random_state,
        )
        self.audit_ = audit_folds(data, splits, identity=self.identity, n_jobs=self.n_jobs)
        self.leakage_ = {  # by definition A of the audit; the last row sums up
            name: report.table["A"].to_numpy(dtype=float)[:-1]
            for name, report in self.audit_.items()
        }
        self.fold_table_, self.folds_ = tabulate_folds(
            splits["homology"], self.leakage_["homology"], data
        )
        return splits

    # Competition ---------------------------------------------------------------------------------

    def _compete(
        self,
        splits: Splits,
        factory: PipelineFactory,
        store: WorkFolder,
        graph: HomologyGraph,
        metric: Metric,
    ) -> None:
        """Fit every candidate on every fold, conclude, and fit the chosen one on everything."""
        candidates = list_candidates(
            list(factory.models), tuple(self.resamplers), tuple(self.levels), tuned=self.tuned
        )
        self.candidates_ = candidates
        with self._step("fit every candidate on every homology fold"):
            self.fold_results_ = self._evaluate("homology", candidates, splits, factory, store)
            self.results_, self.regions_ = tabulate(self.fold_results_, self.data_, metric)
            self.predictions_ = join_predictions(self.fold_results_, self.data_)
            self.conclusion_: Conclusion = conclude(
                self.results_,
                candidates,
                metric,
                partial(join_predicted, self.fold_results_, self.data_),
                self.folds_["fold"].to_numpy(),
                keep=self.keep,
                random_state=self.random_state,
            )
        self.random_results_ = pd.DataFrame()
        found = {"homology": self.fold_results_}
        if self.random_split:
            with self._step("repeat with random folds"):
                chosen = [c for c in candidates if c.resampler == "none"]
                extra = {self.conclusion_.chosen, self.conclusion_.top} - set(chosen)
                chosen += sorted(extra, key=lambda c: c.name)
                found["random"] = self._evaluate("random", chosen, splits, factory, store)
                self.random_results_, _ = tabulate(found["random"], self.data_, metric)
        with self._step("fit the chosen candidate on everything"), one_thread(), interruptible():
            self.best_model_ = factory(self.conclusion_.chosen).fit(self.data_.inputs, self.data_.y)
        with self._step("measure how far it can be trusted"):
            self.reliability_ = self._measure_reliability(found, splits, graph)

    def _measure_reliability(
        self, found: dict[str, list[dict[str, Any]]], splits: Splits, graph: HomologyGraph
    ) -> Reliability:
        """Return how far the chosen candidate can be trusted, by its results on all folds."""
        data, name = self.data_, self.conclusion_.chosen.name
        nearest = {
            kind: NearestInTraining.find(graph, data.sequences, splits[kind], self.coverage)
            for kind in found
        }
        metric = self.conclusion_.metric
        self.nearest_results_ = measure_nearest(data, nearest, splits, metric)
        predictions = {
            kind: OutOfFold(predicted.y_pred, predicted.scores, nearest[kind].identity)
            for kind, results in found.items()
            for predicted in [join_predicted(results, data, name)]
        }
        return measure_reliability(
            data, splits, predictions, self.best_model_, identity=self.identity
        )

    def _evaluate(
        self,
        split: str,
        candidates: list[Candidate],
        splits: Splits,
        factory: PipelineFactory,
        store: WorkFolder,
    ) -> list[dict[str, Any]]:
        """Return the fold results of a split, computing those that are missing."""
        settings = settings_of_study(self.data_, factory, fingerprint=self.fingerprint_)
        tasks = [
            Task(c, split, fold, train, test, key_of_result(settings, c, factory, train, test))
            for c in candidates
            for fold, (train, test) in enumerate(splits[split])
        ]
        with progress_bar(
            total=len(tasks), description=f"{split} folds", unit="fit", verbose=self.verbose
        ) as bar:
            return evaluate_all(tasks, self.data_, factory, store, n_jobs=self.n_jobs, bar=bar)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """Time a step and log it."""
        _log.info("%s ...", name)
        start = time.perf_counter()
        yield
        self.timings_[name] = time.perf_counter() - start
        _log.info("%s: %.1f s", name, self.timings_[name])

    # Results -------------------------------------------------------------------------------------

    def write(
        self,
        folder: str | os.PathLike[str],
        *,
        source: dict[str, Any] | None = None,
        training_sequences: bool = True,
    ) -> Path:
        """Write tables, figures, model, model card and report.

        Parameters
        ----------
        folder : path-like
            Where to; files of an earlier study are replaced one by one, each whole.
        source : dict or None, default=None
            About the data, for the report: ``name``, ``sha256``, ``warning`` and so on.
        training_sequences : bool, default=True
            Whether ``training.json``, beside the model, holds the ids and sequences of training.
            ``esmlearn predict`` then tells the nearest of them, and the error to expect.

        Returns
        -------
        report : pathlib.Path
            The report, written last: where it stands, everything does.
        """
        from esmlearn.study._write import write_study

        check_is_fitted(self, "best_model_")
        return write_study(
            self._result, Path(folder), source or {}, training_sequences=training_sequences
        )

    def predict(self, sequences: Any) -> np.ndarray:
        """Predict with the chosen candidate, fitted on everything.

        Parameters
        ----------
        sequences : array-like of str of shape (n_sequences,), or table
            Proteins; a table with the columns of `fit` where there were `features`.

        Returns
        -------
        y : ndarray of shape (n_sequences,)
            Predicted targets.
        """
        check_is_fitted(self, "best_model_")
        return self.best_model_.predict(sequences)

    @property
    def _result(self) -> StudyResult:
        """The findings, as report, figures and files take them."""
        names = [field.name for field in fields(StudyResult) if field.name != "parameters"]
        found = {name: getattr(self, f"{name}_") for name in names}
        return StudyResult(parameters=self.get_params(deep=False), **found)

    @property
    def n_workers_(self) -> int:
        """Number of candidates that were fitted at the same time."""
        return effective_n_jobs(self.n_jobs)


def headline(study: Study) -> str:
    """Return the answer in a few sentences, for people.

    Parameters
    ----------
    study : Study
        A fitted study.

    Returns
    -------
    text : str
        Which model, how good on unseen families, how sure, and what ignoring the protein gives.
    """
    return _wording.headline(study._result)


def flattery(study: Study) -> str | None:
    """Return how optimistic a random split is of the chosen model; None if there was none.

    Parameters
    ----------
    study : Study
        A fitted study.

    Returns
    -------
    text : str or None
        Two sentences, for people.
    """
    return _wording.optimism(study._result)
