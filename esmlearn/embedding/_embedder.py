"""ESMEmbedder: protein sequences in, vectors out, as scikit-learn does it."""

import json
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions

from esmlearn.embedding._cache.embedding_cache import EmbeddingCache
from esmlearn.embedding._inference.job import Job
from esmlearn.embedding._models.catalog import ModelInfo
from esmlearn.embedding._models.families import (
    Source,
    describe_without_fetching,
    identify,
    is_here,
    resolve_model,
)
from esmlearn.embedding._models.settings import Settings
from esmlearn.embedding._request import Request, make_request
from esmlearn.exceptions import DataError
from esmlearn.utils._sequences import is_nucleic
from esmlearn.utils._tags import one_text_column
from esmlearn.utils._warn import warn


class ESMEmbedder(TransformerMixin, BaseEstimator):
    """Represent proteins by the states of an ESM protein language model.

    A sequence is embedded once: vectors are cached on disk by what they are computed from (weights,
    layer, pooling, precision, policy, sequence), so folds, candidates of a grid, later runs and
    other processes read what the first one computed. The model is loaded when a sequence is not in
    the cache, once per process, and is no part of a pickle or clone.

    Parameters
    ----------
    model : str, path-like or sequence of them, default="esm2_t6_8M_UR50D"
        Name out of list_models() or a checkpoint file. Several form an ensemble, such as
        ``ESM1V_ENSEMBLE``, the five models of ESM-1v.
    layer : int or sequence of int, default=-1
        Layer whose states are taken; 0 is the token embedding, -1 the last. Several are
        concatenated in the order given.
    pooling : {"mean", "max", "bos", "mean+std"} or None, default="mean"
        How a protein's residues become one vector. Special tokens take no part, except ``"bos"``,
        which is the token before the first residue. None returns one array per protein, of shape
        (n_residues, width).
    long_sequences : {"window", "truncate", "error", "whole"}, default="window"
        What to do with a sequence longer than the 1022 residues the models were trained on.
        ``"window"`` runs windows of 1022 residues that overlap by at least 256 and averages each
        residue over its windows; ``"truncate"`` takes the first 1022 residues; ``"error"`` refuses;
        ``"whole"`` takes it as it is, which the learned positions of ESM-1b and ESM-1v cannot.
    precision : {"float32", "bfloat16", "float16", "auto"}, default="float32"
        Type in which the layers compute. float32 gives a vector that does not depend on what else
        is in the batch to 1e-5; the others are faster on hardware made for them and agree to about
        1e-2. On CPUs without AMX bfloat16 leaves queries, keys and attention in float32.
        ``"auto"`` takes bfloat16 where the processor has matrix units for it (CUDA devices,
        CPUs with AMX) and float32 elsewhere.
    device : str, default="auto"
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, or the best there is.
    batch_residues : int, default=4096
        Tokens that go through the model at once. Memory follows it, results do not. It halves
        itself, with a warning, where memory runs out. A GPU wants more: 32768 is a good start.
    cache : "default", path-like, EmbeddingCache or None, default="default"
        Where vectors are kept: esmlearn's cache folder, another folder, or nowhere.
    ensemble : {"concatenate", "mean"}, default="concatenate"
        How the vectors of several models become one. ``"mean"`` needs models of one width.
    n_jobs : int, default=None
        Processes that compute what is not in the cache. None is one, which uses all the threads
        that torch may use; more pay off for small models on many cores.
    verbose : int, default=0
        1 shows progress on a terminal.

    Attributes
    ----------
    n_computed_ : int
        Distinct sequences that the last transform ran through the model. With several models,
        the sum over them.
    report_ : dict
        Counts of the last transform; see :meth:`transform`.

    See Also
    --------
    embed_fasta : Embed a file of any size.
    ESMVariantScorer : Score mutations.

    References
    ----------
    Rives et al. (2021) PNAS 118, e2016239118 (ESM-1b); Meier et al. (2021) NeurIPS 34 (ESM-1v);
    Lin et al. (2023) Science 379, 1123-1130 (ESM-2).

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from esmlearn.embedding import ESMEmbedder, write_untrained_checkpoint
    >>> with TemporaryDirectory() as folder:
    ...     path = write_untrained_checkpoint(folder, n_layers=1, width=16, n_heads=2)
    ...     embedder = ESMEmbedder(path, cache=None)
    ...     embedder.fit_transform(["MKTAYIAKQR", "mktayiakqr", "GSHM"]).shape
    (3, 16)
    >>> embedder.n_computed_
    2
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "model": [str, os.PathLike, list, tuple],
        "layer": [Integral, list, tuple],
        "pooling": [StrOptions({"mean", "max", "bos", "mean+std"}), None],
        "long_sequences": [StrOptions({"window", "truncate", "error", "whole"})],
        "precision": [StrOptions({"float32", "bfloat16", "float16", "auto"})],
        "device": [str],
        "batch_residues": [Interval(Integral, 1, None, closed="left")],
        "cache": [str, os.PathLike, EmbeddingCache, None],
        "ensemble": [StrOptions({"concatenate", "mean"})],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        model: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = "esm2_t6_8M_UR50D",
        *,
        layer: int | Sequence[int] = -1,
        pooling: str | None = "mean",
        long_sequences: str = "window",
        precision: str = "float32",
        device: str = "auto",
        batch_residues: int = 4096,
        cache: str | os.PathLike[str] | EmbeddingCache | None = "default",
        ensemble: str = "concatenate",
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.layer = layer
        self.pooling = pooling
        self.long_sequences = long_sequences
        self.precision = precision
        self.device = device
        self.batch_residues = batch_residues
        self.cache = cache
        self.ensemble = ensemble
        self.n_jobs = n_jobs
        self.verbose = verbose

    # Estimator -----------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Check parameters and sequences; nothing is learned and no model is loaded.

        Parameters
        ----------
        X : array-like of str of shape (n_sequences,)
            Protein sequences.
        y : None
            Ignored.

        Returns
        -------
        self : ESMEmbedder
            The embedder.

        Raises
        ------
        DataError
            If something in `X` is no protein sequence, or a layer does not exist.
        CheckpointError
            If the model is unknown, unreachable or damaged.
        """
        make_request(X)
        resolve_models(self)
        return self

    def transform(self, X: Any) -> Any:
        """Embed sequences.

        Parameters
        ----------
        X : array-like of str of shape (n_sequences,)
            Protein sequences of any case; a list, a NumPy array, or a column of pandas, polars or
            pyarrow.

        Returns
        -------
        vectors : ndarray of float32 of shape (n_sequences, width)
            One row per sequence. Without pooling an object array of shape (n_sequences,) that
            holds an array of shape (n_residues, width) each.

        Raises
        ------
        DataError
            If an item of `X` is no protein sequence, or is too long for ``long_sequences="error"``.

        Warns
        -----
        UserWarning
            If all sequences look like DNA or RNA.

        Notes
        -----
        ``report_`` counts the sequences to which a policy applies: all, distinct, duplicates,
        lower-case, with ambiguous residues (B J O U X Z), with gaps or stops (``. - *``), short,
        long, windowed, truncated, cached, computed. ESM's alphabet has tokens for B O U X Z ``.``
        and ``-``; J and ``*`` become its unknown token.
        """
        self._validate_params()
        request = make_request(X)
        _warn_of_nucleic(request.sequences)
        models = resolve_models(self)
        self._refuse_long(request, models)
        with self._opened_cache() as cache:
            jobs = [model.job(self, cache) for model in models]
            parts = [job.run(request) for job in jobs]
        vectors = join(parts, ensemble=self.ensemble)
        self.n_computed_ = sum(job.n_computed for job in jobs)
        self.report_ = self._report(request, models, jobs)
        return vectors if request.rows is None else vectors[request.rows]

    def fingerprint(self) -> str:
        """Return a hash of everything that decides a vector but the sequence.

        Returns
        -------
        fingerprint : str
            32 hexadecimal digits; equal for embedders that give equal vectors.
        """
        self._validate_params()
        models = resolve_models(self)
        if len(models) == 1:
            return models[0].fingerprint
        names = [self.ensemble, *(model.fingerprint for model in models)]
        return blake2b("|".join(names).encode(), digest_size=16).hexdigest()

    def missing_models(self) -> list[str]:
        """Return the names of models that are not on this machine and would be fetched.

        Returns
        -------
        names : list of str
            Empty if all are here; paths of checkpoints are taken to be.
        """
        return [os.fspath(model) for model in _models_of(self) if not is_here(model)]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns; no model is fetched for it.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of object of shape (width,)
            ``"esmembedder0"``, ``"esmembedder1"`` and so on.

        Raises
        ------
        DataError
            Without pooling, as there are no columns.
        """
        if self.pooling is None:
            raise DataError(
                "pooling=None gives one array per protein and no columns that could have names; "
                "expected a pooling. Set pooling='mean', or leave set_output at 'default'."
            )
        # no property that the mixin of scikit-learn could use: `dir` and displays would read it
        prefix = type(self).__name__.lower()
        return np.array([f"{prefix}{i}" for i in range(count_columns(self))], dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return one_text_column(tags)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    # Parts ---------------------------------------------------------------------------------------

    def _opened_cache(self) -> AbstractContextManager[EmbeddingCache | None]:
        """Return the cache; one that is opened for this call is closed after it."""
        if self.cache is None or isinstance(self.cache, EmbeddingCache):
            return nullcontext(self.cache)
        return EmbeddingCache(None if self.cache == "default" else self.cache)

    def _refuse_long(self, request: Request, models: "Sequence[ResolvedModel]") -> None:
        limit = min((m.longest for m in models if m.longest is not None), default=None)
        too_long = np.flatnonzero(request.lengths > (np.inf if limit is None else limit))
        if not len(too_long):
            return
        first = int(too_long[0])
        index = first if request.rows is None else int(np.argmax(request.rows == first))
        raise DataError(
            f"X[{index}] has {request.lengths[first]} residues; long_sequences="
            f"{self.long_sequences!r} takes at most {limit} with this model. Use 'window' or "
            f"'truncate', or remove it."
        )

    def _report(
        self, request: Request, models: "Sequence[ResolvedModel]", jobs: Sequence[Job]
    ) -> dict[str, Any]:
        too_long = int((request.lengths > min(m.window for m in models)).sum())
        return {
            **request.counts,
            "n_windowed": too_long if self.long_sequences == "window" else 0,
            "n_truncated": too_long if self.long_sequences == "truncate" else 0,
            "n_cached": sum(job.n_cached for job in jobs),
            "n_computed": self.n_computed_,
            "models": [model.info.name for model in models],
            "precision": jobs[0].settings.precision,
        }


def _warn_of_nucleic(sequences: Sequence[str]) -> None:
    """Warn of sequences that are surely genes; the first protein ends the search."""
    if not all(map(is_nucleic, sequences)) or sum(map(len, sequences)) < 100:
        return
    if len(set().union(*sequences)) > 2:
        warn(
            f"All sequences have only the letters A C G T U N (such as {sequences[0][:30]!r}); "
            f"this looks like DNA or RNA, and proteins are expected. Translate them first.",
        )


# Models of an embedder ---------------------------------------------------------------------------

# Raise it when the numbers that the encoder returns change by more than rounding.
NUMERICS = 1


class ResolvedModel:
    """One model of an embedder, with the embedder's settings resolved for it."""

    def __init__(self, embedder: ESMEmbedder, source: Source) -> None:
        identity = identify(source)
        self.source, self.digest, self.info = source, identity.digest, identity.info
        self.window = self.info.trained_residues
        self.layers = resolve_layers(embedder.layer, self.info)
        self.pooling, self.policy = embedder.pooling, embedder.long_sequences
        self.device, self.precision = embedder.device, embedder.precision
        self.width = _width(embedder, self.info)

    @property
    def longest(self) -> int | None:
        """Residues beyond which a sequence is refused; None where none is."""
        if self.policy == "error":
            return self.window
        return self.info.max_residues if self.policy == "whole" else None

    @property
    def description(self) -> dict[str, Any]:
        """Everything but the sequence that decides a vector."""
        described = {
            "model": self.digest,
            "layers": self.layers,
            "pooling": self.pooling,
            # refusing changes no vector, and a sequence that is let through is whole
            "long_sequences": "whole" if self.policy == "error" else self.policy,
            "window": self.window,
            "numerics": NUMERICS,
            "precision": self.precision,
        }
        if self.precision != "float32":
            # reduced precision differs between backends by more than the promised 1e-5
            from esmlearn.embedding._inference.runtime import resolve_device, resolve_precision

            device = resolve_device(self.device)
            described["precision"] = resolve_precision(self.precision, device)
            if described["precision"] != "float32":
                described["backend"] = device.partition(":")[0]
        return described

    @property
    def fingerprint(self) -> str:
        """The namespace of its vectors in a cache."""
        text = json.dumps(self.description, sort_keys=True)
        return blake2b(text.encode(), digest_size=16).hexdigest()

    def job(self, embedder: ESMEmbedder, cache: EmbeddingCache | None) -> Job:
        """Return the work of this model; devices are looked for by whoever runs it."""
        settings = Settings(
            family=self.source.family.name,
            path=os.fspath(self.source.path),
            digest=self.digest,
            layers=self.layers,
            pooling=self.pooling,
            long_sequences=self.policy,
            window=self.window,
            precision=self.description["precision"],
            device=self.device,
            budget=int(embedder.batch_residues),
        )
        return Job(
            settings=settings,
            fingerprint=self.fingerprint,
            description={**self.description, "name": self.info.name},
            width=None if self.pooling is None else self.width,
            layers_width=self.width,
            cache=cache,
            n_jobs=embedder.n_jobs,
            verbose=int(embedder.verbose),
        )


def resolve_models(embedder: ESMEmbedder) -> list[ResolvedModel]:
    """Return the models of an embedder, or say why they cannot be used together."""
    models = [ResolvedModel(embedder, resolve_model(model)) for model in _models_of(embedder)]
    _widths(embedder, [model.info for model in models])
    return models


def count_columns(embedder: ESMEmbedder) -> int:
    """Return the width of an embedder's vectors; no model is fetched for it."""
    widths = _widths(embedder, [describe_without_fetching(m) for m in _models_of(embedder)])
    return widths[0] if embedder.ensemble == "mean" else sum(widths)


def _models_of(embedder: ESMEmbedder) -> list[str | os.PathLike[str]]:
    given = embedder.model
    models = [given] if isinstance(given, str | os.PathLike) else list(given)
    if not models:
        raise DataError("model is an empty list; expected at least one model.")
    return models


def _widths(embedder: ESMEmbedder, infos: Sequence[ModelInfo]) -> list[int]:
    """Return the width of each model's vectors, or say that they have no mean."""
    widths = [_width(embedder, info) for info in infos]
    if embedder.ensemble == "mean" and len(set(widths)) > 1:
        told = ", ".join(f"{i.name}: {width}" for i, width in zip(infos, widths, strict=True))
        raise DataError(
            f"ensemble='mean' needs models of one width, got {told}. Use 'concatenate'."
        )
    return widths


def _width(embedder: ESMEmbedder, info: ModelInfo) -> int:
    per_layer = info.width * (2 if embedder.pooling == "mean+std" else 1)
    return len(resolve_layers(embedder.layer, info)) * per_layer


def resolve_layers(layer: int | Sequence[int], info: ModelInfo) -> tuple[int, ...]:
    """Return layers counted from 0, the token embedding."""
    asked: list[Any] = list(layer) if isinstance(layer, Sequence) else [int(layer)]
    resolved: list[int] = []
    broken = [number for number in asked if not isinstance(number, Integral)]
    if broken:
        raise DataError(f"layer={layer!r} has {broken[0]!r}; expected whole numbers.")
    for number in asked:
        if not -info.n_layers - 1 <= number <= info.n_layers:
            raise DataError(
                f"layer={number} does not exist in {info.name}; expected 0 (token embedding) to "
                f"{info.n_layers}, or -1 (last) down to {-info.n_layers - 1}."
            )
        resolved.append(int(number) if number >= 0 else info.n_layers + 1 + int(number))
    if not resolved or len(set(resolved)) < len(resolved):
        raise DataError(f"layer={layer!r}; expected one layer, or several different ones.")
    return tuple(resolved)


def join(parts: Sequence[Any], *, ensemble: str) -> Any:
    """Join the vectors of several models, protein by protein where there is no pooling.

    Parameters
    ----------
    parts : sequence of ndarray or of list of ndarray
        What each model gave.
    ensemble : {"concatenate", "mean"}
        See ESMEmbedder.

    Returns
    -------
    vectors : ndarray of float32 of shape (n_sequences, width), or of object
        One row, or one array, per protein.
    """
    if isinstance(parts[0], np.ndarray):
        return _join_arrays(parts, ensemble)
    result = np.empty(len(parts[0]), dtype=object)
    for i, arrays in enumerate(zip(*parts, strict=True)):
        result[i] = _join_arrays(arrays, ensemble)
    return result


def _join_arrays(arrays: Sequence[np.ndarray], ensemble: str) -> np.ndarray:
    if len(arrays) == 1:
        return arrays[0]
    if ensemble == "mean":
        return np.asarray(np.mean(arrays, axis=0, dtype=np.float32))
    return np.concatenate(arrays, axis=-1)
