"""ESMEmbedder: protein sequences in, vectors out, as scikit-learn does it."""

import json
import os
from collections.abc import Sequence
from hashlib import blake2b
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions

from esmlearn.embedding._cache import EmbeddingCache
from esmlearn.embedding._compute import Job
from esmlearn.embedding._identity import identify
from esmlearn.embedding._registry import ModelInfo, Source, resolve_model
from esmlearn.embedding._settings import Settings
from esmlearn.exceptions import DataError
from esmlearn.utils._sequences import check_sequences, count_sequence_features

# Raise it when the numbers that the encoder returns change by more than rounding.
NUMERICS = 1


class ESMEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
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
        1e-2. ``"auto"`` takes bfloat16 where the processor has matrix units for it (CUDA devices,
        CPUs with AMX) and float32 elsewhere.
    device : str, default="auto"
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, or the best there is.
    batch_residues : int, default=4096
        Tokens that go through the model at once. Memory follows it, results do not. It halves
        itself, with a warning, where memory runs out.
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
        What the last transform met and did; see :meth:`transform`.

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
        check_sequences(X)
        self._members()
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

        Notes
        -----
        ``report_`` counts what the policies met: sequences, distinct ones, duplicates, lower-case,
        with ambiguous residues (B J O U X Z), with gaps or stops (``. - *``), short, long,
        windowed, truncated, cached, computed. ESM's alphabet has tokens for B O U X Z ``.``
        and ``-``; J and ``*`` become its unknown token.
        """
        self._validate_params()
        sequences = check_sequences(X)
        members = self._members()
        distinct = list(dict.fromkeys(sequences))
        self._refuse_long(sequences, members)
        jobs = [member.job(self, self._open_cache()) for member in members]
        vectors = self._combine([job.run(distinct) for job in jobs])
        self.n_computed_ = sum(job.n_computed for job in jobs)
        self.report_ = self._report(X, distinct, members, jobs)
        if len(distinct) == len(sequences):
            return vectors
        row = {sequence: i for i, sequence in enumerate(distinct)}
        return vectors[[row[sequence] for sequence in sequences]]

    def fingerprint(self) -> str:
        """Return a hash of everything that decides a vector but the sequence.

        Returns
        -------
        fingerprint : str
            32 hexadecimal digits; equal for embedders that give equal vectors.
        """
        self._validate_params()
        members = self._members()
        if len(members) == 1:
            return members[0].fingerprint
        names = [self.ensemble, *(member.fingerprint for member in members)]
        return blake2b("|".join(names).encode(), digest_size=16).hexdigest()

    @property
    def _n_features_out(self) -> int:
        if self.pooling is None:
            raise AttributeError("Without pooling there are arrays per residue, not columns.")
        widths = [member.width for member in self._members()]
        return widths[0] if self.ensemble == "mean" else sum(widths)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return True

    # Parts ---------------------------------------------------------------------------------------

    def _members(self) -> list["_Member"]:
        models = [self.model] if isinstance(self.model, str | os.PathLike) else list(self.model)
        if not models:
            raise DataError("model is an empty list; expected at least one model.")
        members = [_Member(self, resolve_model(model)) for model in models]
        if self.ensemble == "mean" and len({member.width for member in members}) > 1:
            widths = ", ".join(f"{m.info.name}: {m.width}" for m in members)
            raise DataError(
                f"ensemble='mean' needs models of one width, got {widths}. Use 'concatenate'."
            )
        return members

    def _open_cache(self) -> EmbeddingCache | None:
        if self.cache is None or isinstance(self.cache, EmbeddingCache):
            return self.cache
        return EmbeddingCache(None if self.cache == "default" else self.cache)

    def _refuse_long(self, sequences: Sequence[str], members: Sequence["_Member"]) -> None:
        policy = self.long_sequences
        limits = [m.window if policy == "error" else m.info.max_residues for m in members]
        limit = min((n for n in limits if n is not None), default=None)
        if policy not in ("error", "whole") or limit is None:
            return
        for index, sequence in enumerate(sequences):
            if len(sequence) > limit:
                raise DataError(
                    f"X[{index}] has {len(sequence)} residues; long_sequences={policy!r} takes at "
                    f"most {limit} with this model. Use 'window' or 'truncate', or remove it."
                )

    def _combine(self, parts: Sequence[Any]) -> Any:
        if self.pooling is None:
            return _object_array(
                [self._combine_arrays(arrays) for arrays in zip(*parts, strict=True)]
            )
        return self._combine_arrays(parts)

    def _combine_arrays(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        if len(arrays) == 1:
            return arrays[0]
        if self.ensemble == "mean":
            return np.asarray(np.mean(arrays, axis=0, dtype=np.float32))
        return np.concatenate(arrays, axis=-1)

    def _report(
        self, X: Any, distinct: Sequence[str], members: Sequence["_Member"], jobs: Sequence[Job]
    ) -> dict[str, Any]:
        too_long = sum(len(s) > min(m.window for m in members) for s in distinct)
        return {
            **count_sequence_features(X),
            "n_windowed": too_long if self.long_sequences == "window" else 0,
            "n_truncated": too_long if self.long_sequences == "truncate" else 0,
            "n_cached": sum(job.n_cached for job in jobs),
            "n_computed": self.n_computed_,
            "models": [member.info.name for member in members],
            "precision": jobs[0].settings.precision,
        }


class _Member:
    """One model of an embedder, with the embedder's settings resolved for it."""

    def __init__(self, embedder: ESMEmbedder, source: Source) -> None:
        identity = identify(source)
        self.source, self.digest, self.info = source, identity.digest, identity.info
        self.window = self.info.trained_residues
        self.layers = _resolve_layers(embedder.layer, self.info)
        self.pooling, self.policy = embedder.pooling, embedder.long_sequences
        self.device, self.precision = embedder.device, embedder.precision
        self.width = len(self.layers) * self._layer_width

    @property
    def _layer_width(self) -> int:
        return self.info.width * (2 if self.pooling == "mean+std" else 1)

    @property
    def description(self) -> dict[str, Any]:
        """What decides a vector but the sequence."""
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
            from esmlearn.embedding._runtime import resolve_device, resolve_precision

            device = resolve_device(self.device)
            described["precision"] = resolve_precision(self.precision, device)
            if described["precision"] != "float32":
                described["backend"] = device.partition(":")[0]
        return described

    @property
    def fingerprint(self) -> str:
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


def _resolve_layers(layer: int | Sequence[int], info: ModelInfo) -> tuple[int, ...]:
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


def _object_array(arrays: Sequence[np.ndarray]) -> np.ndarray:
    result = np.empty(len(arrays), dtype=object)
    for i, array in enumerate(arrays):
        result[i] = array
    return result
