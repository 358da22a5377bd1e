"""Study: the whole method on one table."""

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, effective_n_jobs
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from esmlearn.exceptions import DataError
from esmlearn.study._candidates import (
    Candidate,
    PipelineFactory,
    default_models,
    list_candidates,
)
from esmlearn.study._conclusion import Conclusion, conclude
from esmlearn.study._data import StudyData, prepare
from esmlearn.study._evaluate import Task, evaluate, one_thread
from esmlearn.study._store import WorkFolder
from esmlearn.utils._progress import progress_bar

_log = logging.getLogger(__name__)

#: Libraries whose version may change a result.
LIBRARIES = ["esmlearn", "numpy", "scipy", "scikit-learn", "imbalanced-learn", "skorch", "torch"]


class Study(BaseEstimator):
    """Compare models and over-samplers on proteins, tested on families they have not seen.

    The steps, each a public piece by itself: validate, remove redundancy, build the homology graph,
    deal homology folds, audit their leakage, embed each distinct sequence once, fit every candidate
    on every fold, measure, compare with paired tests, repeat the essence with random folds to show
    how they flatter, and fit the chosen candidate on everything.

    Parameters
    ----------
    model : str, path-like or ESMEmbedder, default="esm2_t6_8M_UR50D"
        What embeds: a name of `esmlearn.embedding.list_models`, a checkpoint, or an embedder.
    task : {"auto", "regression", "classification"}, default="auto"
        What the target is, see `esmlearn.io.read_proteins`.
    models : "all", list of str or dict of str to estimator, default="all"
        Names out of `default_models`, or estimators of your own that take scaled embeddings.
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
        Identity (0-1) from which on two proteins are relatives.
    coverage : float, default=0.5
        Share of the shorter protein that an alignment must cover.
    redundancy : float or None, default=0.95
        Identity from which on proteins are merged; None merges identical ones alone.
    validation : float, default=0.1
        Share of the training proteins that networks are validated on, without relatives in the
        rest and without synthetic rows.
    tuned : bool, default=False
        Also let an inner search on homology folds choose resampler and level for every model
        (nested cross-validation; slow).
    n_inner_splits : int, default=3
        Folds of the inner search.
    random_split : bool, default=True
        Also test on random folds, to show how they flatter.
    name : str, default="target"
        What the target is called in figures.
    unit : str or None, default=None
        Its unit.
    work : path-like or None, default=None
        Folder for finished pieces: after a kill the same study goes on there. None keeps none.
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
        What the folds carry.
    best_model_ : Pipeline
        The chosen candidate, fitted on everything.
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
        sequences : array-like of str of shape (n_sequences,)
            Proteins.
        y : array-like of shape (n_sequences,)
            Targets: numbers or classes.
        ids : array-like of str of shape (n_sequences,), default=None
            Unique ids; None numbers the rows.

        Returns
        -------
        self : Study
            With everything it found out.

        Raises
        ------
        DataError
            If sequences, targets or ids cannot be used.
        InsufficientComponentsError
            If there are fewer homology components than folds.
        """
        self._validate_params()
        self.timings_: dict[str, float] = {}
        embedder = self._make_embedder()
        with self._step("validate, remove redundancy, build the homology graph"):
            self.data_, graph = prepare(
                sequences,
                y,
                ids=ids,
                task=self.task,
                regions=self.regions,
                redundancy=self.redundancy,
                n_splits=self.n_splits,
                n_jobs=self.n_jobs,
                identity=self.identity,
                coverage=self.coverage,
            )
        with self._step("deal homology folds and audit them"):
            splits = self._make_splits(graph)
            self._audit(splits)
        with self._step("embed"):
            self.fingerprint_ = embedder.fingerprint()
            self.embedding_ = embedder.fit_transform(self.data_.sequences)
            self.embedding_report_ = dict(embedder.report_)
        with self._work_folder(embedder) as store:
            self._compete(splits, self._make_factory(embedder), store)
        return self

    # Preparation ---------------------------------------------------------------------------------

    def _make_embedder(self) -> Any:
        from esmlearn.embedding import ESMEmbedder

        if hasattr(self.model, "transform"):
            return clone(self.model)
        return ESMEmbedder(self.model, n_jobs=self.n_jobs, verbose=int(self.verbose > 0))

    def _make_splits(self, graph: Any) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
        """Return homology folds, and random folds where asked."""
        from esmlearn.model_selection import CDHitGroupSplitter

        data = self.data_
        splitter = CDHitGroupSplitter(
            self.n_splits,
            identity=self.identity,
            coverage=self.coverage,
            reference=graph,
            random_state=self.random_state,
        )
        splits = {"homology": list(splitter.split(data.sequences, data.y))}
        self.split_description_ = dict(splitter.description_)
        if self.random_split:
            _, counts = np.unique(data.labels, return_counts=True)
            kind = StratifiedKFold if counts.min() >= self.n_splits else KFold
            folds = kind(self.n_splits, shuffle=True, random_state=self.random_state)
            splits["random"] = list(folds.split(data.sequences, data.labels))
        return splits

    def _audit(self, splits: dict[str, Any]) -> None:
        """Search for relatives across every split, and tabulate the folds."""
        from esmlearn.model_selection import audit_leakage

        data = self.data_
        self.audit_ = {
            name: audit_leakage(
                data.sequences,
                pairs,
                identity=self.identity,
                # Random folds leak so much that few rows tell how much.
                n_sample=None if name == "homology" else 200,
                n_jobs=self.n_jobs,
            )
            for name, pairs in splits.items()
        }
        self.leakage_ = {name: leaking_shares(report) for name, report in self.audit_.items()}
        fold = np.full(len(data.y), -1)
        rows = []
        for number, (train, test) in enumerate(splits["homology"]):
            fold[test] = number
            rows.append(
                {
                    "fold": number,
                    "train": len(train),
                    "test": len(test),
                    "set_aside": len(data.y) - len(train) - len(test),
                    "components": len(np.unique(data.components[test])),
                    "leaking": self.leakage_["homology"][number],
                }
            )
        self.fold_table_ = pd.DataFrame(rows)
        self.folds_ = pd.DataFrame(
            {"id": data.ids, "fold": fold, "component": data.components, "target": data.y}
        )

    def _make_factory(self, embedder: Any) -> PipelineFactory:
        from esmlearn.model_selection import CDHitGroupSplitter, CDHitShuffleSplit

        data = self.data_
        homology: dict[str, Any] = {"identity": self.identity, "coverage": self.coverage}
        regions = None if data.regions is None else clone(data.regions)
        inner = CDHitGroupSplitter(self.n_inner_splits, random_state=self.random_state, **homology)
        validation = CDHitShuffleSplit(
            1, test_size=self.validation, random_state=self.random_state, **homology
        )
        return PipelineFactory(
            embedder=clone(embedder).set_params(n_jobs=None, verbose=0),
            models=self._choose_models(data, regions),
            regions=regions,
            target="continuous" if data.regions is not None else "classes",
            validation=validation,
            inner=inner,
            grid={
                "resample__sampler": [None, *self.resamplers],
                "resample__level": list(self.levels),
            },
            scoring=self._inner_scoring(data),
            random_state=self.random_state,
        )

    def _choose_models(self, data: StudyData, regions: Any) -> dict[str, Any]:
        if isinstance(self.models, dict):
            return self.models
        known = default_models(data.task, regions=regions, random_state=self.random_state)
        if self.models == "all":
            return known
        unknown = [name for name in self.models if name not in known]
        if unknown:
            raise DataError(f"models has {unknown[0]!r}; expected names out of {', '.join(known)}.")
        return {name: known[name] for name in self.models}

    def _inner_scoring(self, data: StudyData) -> Any:
        if data.regions is None:
            return "f1_macro"
        from esmlearn.metrics import make_region_scorer

        return make_region_scorer("balanced_mae", regions=data.regions)

    @contextmanager
    def _work_folder(self, embedder: Any) -> Iterator[WorkFolder]:
        """Open the folder of finished pieces; a temporary one where none was asked for."""
        with tempfile.TemporaryDirectory() as temporary:
            yield WorkFolder(self.work or temporary, self._settings())

    def _settings(self) -> dict[str, Any]:
        """Return everything that decides a finished piece."""
        data = self.data_
        factory = self._choose_models(data, None)
        digest = hashlib.sha256()
        for column in (data.ids, data.sequences, data.y):
            digest.update("\n".join(map(str, column)).encode() + b"\0")
        skip = {"work", "n_jobs", "verbose", "model", "models", "name", "unit", "resamplers"}
        return {
            "data": digest.hexdigest(),
            "embedder": self.fingerprint_,
            "models": {name: describe(model) for name, model in factory.items()},
            "parameters": {
                k: str(v) for k, v in self.get_params(deep=False).items() if k not in skip
            },
            "regions": str([] if data.regions is None else data.regions.edges_.tolist()),
            "versions": {name: metadata.version(name) for name in LIBRARIES},
        }

    # Competition ---------------------------------------------------------------------------------

    def _compete(self, splits: dict[str, Any], factory: PipelineFactory, store: WorkFolder) -> None:
        """Fit every candidate on every fold, conclude, and fit the chosen one on everything."""
        candidates = list_candidates(
            list(factory.models), tuple(self.resamplers), tuple(self.levels), tuned=self.tuned
        )
        self.candidates_ = candidates
        with self._step("fit every candidate on every homology fold"):
            self.pieces_ = self._evaluate("homology", candidates, splits, factory, store)
            self.results_, self.regions_ = tabulate(self.pieces_)
            self.predictions_ = join_predictions(self.pieces_, self.data_)
            self.conclusion_: Conclusion = conclude(
                self.results_,
                candidates,
                self.data_,
                self.predictions_,
                random_state=self.random_state,
            )
        self.random_results_ = pd.DataFrame()
        if self.random_split:
            with self._step("repeat with random folds"):
                chosen = [c for c in candidates if c.resampler == "none"]
                extra = {self.conclusion_.chosen, self.conclusion_.top} - set(chosen)
                chosen += sorted(extra, key=lambda c: c.name)
                pieces = self._evaluate("random", chosen, splits, factory, store)
                self.random_results_, _ = tabulate(pieces)
        with self._step("fit the chosen candidate on everything"), one_thread():
            self.best_model_ = factory(self.conclusion_.chosen).fit(
                self.data_.sequences, self.data_.y
            )

    def _evaluate(
        self,
        split: str,
        candidates: list[Candidate],
        splits: dict[str, Any],
        factory: PipelineFactory,
        store: WorkFolder,
    ) -> list[dict[str, Any]]:
        """Return the pieces of a split, computing those that are missing."""
        tasks = [
            Task(candidate, split, fold, train, test)
            for candidate in candidates
            for fold, (train, test) in enumerate(splits[split])
        ]
        missing = [task for task in tasks if store.read(task.name) is None]
        # The slow ones first: no process idles at the end.
        missing.sort(key=lambda task: _COST.get(task.candidate.model, 2), reverse=True)
        run = Parallel(n_jobs=self.n_jobs, return_as="generator_unordered")
        calls = (delayed(evaluate)(task, self.data_, factory, store) for task in missing)
        with progress_bar(
            total=len(tasks), description=f"{split} folds", unit="fit", verbose=self.verbose
        ) as bar:
            bar.update(len(tasks) - len(missing))
            for _ in run(calls):
                bar.update(1)
        pieces = [store.read(task.name) for task in tasks]
        return [piece for piece in pieces if piece is not None]

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """Time a step and tell that it began."""
        _log.info("%s ...", name)
        start = time.perf_counter()
        yield
        self.timings_[name] = time.perf_counter() - start
        _log.info("%s: %.1f s", name, self.timings_[name])

    # Results -------------------------------------------------------------------------------------

    def write(
        self, folder: str | os.PathLike[str], *, source: dict[str, Any] | None = None
    ) -> Path:
        """Write tables, figures, model, model card and report.

        Parameters
        ----------
        folder : path-like
            Where to; files of an earlier study are replaced one by one, each whole.
        source : dict or None, default=None
            What the report tells about the data: ``name``, ``sha256``, ``warning`` and so on.

        Returns
        -------
        report : pathlib.Path
            The report, written last: where it stands, everything does.
        """
        from esmlearn.study._output import write_study

        check_is_fitted(self, "best_model_")
        return write_study(self, Path(folder), source or {})

    def predict(self, sequences: Any) -> np.ndarray:
        """Predict with the chosen candidate, fitted on everything.

        Parameters
        ----------
        sequences : array-like of str of shape (n_sequences,)
            Proteins.

        Returns
        -------
        y : ndarray of shape (n_sequences,)
            Predicted targets.
        """
        check_is_fitted(self, "best_model_")
        return self.best_model_.predict(sequences)

    @property
    def n_workers_(self) -> int:
        """Number of candidates that were fitted at the same time."""
        return effective_n_jobs(self.n_jobs)


_COST = {"network": 9, "forest": 8, "logistic": 5, "ridge": 1, "dummy": 0}


def describe(estimator: Any) -> list[Any]:
    """Return class and parameters of an estimator, in full."""
    parameters = estimator.get_params(deep=True)
    return [type(estimator).__qualname__, {k: str(v) for k, v in sorted(parameters.items())}]


def leaking_shares(report: Any) -> np.ndarray:
    """Return the share of each fold's test proteins that have a relative in training.

    The definition is the audit's first: identity over half of the shorter protein.
    """
    return report.table["A"].to_numpy(dtype=float)[:-1]  # the last row sums up


def tabulate(pieces: list[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return results (a row per piece) and regions (a row per piece and region)."""
    keys = ["split", "fold", "candidate", "model", "resampler", "level", "n_train", "n_test"]
    rows = [{**{k: piece[k] for k in keys}, **piece["metrics"]} for piece in pieces]
    regions = [
        {**{k: piece[k] for k in keys[:6]}, **region}
        for piece in pieces
        for region in piece["regions"]
    ]
    return pd.DataFrame(rows), pd.DataFrame(regions)


def join_predictions(pieces: list[dict[str, Any]], data: StudyData) -> dict[str, np.ndarray]:
    """Return out-of-fold predictions by candidate."""
    joined: dict[str, np.ndarray] = {}
    for piece in pieces:
        whole = joined.setdefault(piece["candidate"], np.empty(len(data.y), dtype=data.y.dtype))
        whole[piece["test"]] = piece["prediction"]
    return joined
