"""ESMEmbedder: protein sequences in, vectors out, as scikit-learn does it."""

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

from esmlearn.embedding._cache import EmbeddingCache
from esmlearn.embedding._compute import Job
from esmlearn.embedding._known import known_sequences
from esmlearn.embedding._member import Member, count_columns, join, resolve_members
from esmlearn.embedding._request import Request
from esmlearn.exceptions import DataError
from esmlearn.utils._sequences import is_nucleic
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
        with self._opened_cache() as cache:
            known_sequences.ask(X, notes=cache)
        resolve_members(self)
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
        ``report_`` counts what the policies met: sequences, distinct ones, duplicates, lower-case,
        with ambiguous residues (B J O U X Z), with gaps or stops (``. - *``), short, long,
        windowed, truncated, cached, computed. ESM's alphabet has tokens for B O U X Z ``.``
        and ``-``; J and ``*`` become its unknown token.
        """
        self._validate_params()
        with self._opened_cache() as cache:
            request = known_sequences.ask(X, notes=cache)
            _warn_of_nucleic(request.items)
            members = resolve_members(self)
            self._refuse_long(request, members)
            jobs = [member.job(self, cache) for member in members]
            parts = [job.run(request) for job in jobs]
        vectors = join(parts, ensemble=self.ensemble)
        self.n_computed_ = sum(job.n_computed for job in jobs)
        self.report_ = self._report(request, members, jobs)
        return vectors if request.rows is None else vectors[request.rows]

    def fingerprint(self) -> str:
        """Return a hash of everything that decides a vector but the sequence.

        Returns
        -------
        fingerprint : str
            32 hexadecimal digits; equal for embedders that give equal vectors.
        """
        self._validate_params()
        members = resolve_members(self)
        if len(members) == 1:
            return members[0].fingerprint
        names = [self.ensemble, *(member.fingerprint for member in members)]
        return blake2b("|".join(names).encode(), digest_size=16).hexdigest()

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
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return True

    # Parts ---------------------------------------------------------------------------------------

    def _opened_cache(self) -> AbstractContextManager[EmbeddingCache | None]:
        """Return the cache; one that is opened for this call is closed after it."""
        if self.cache is None or isinstance(self.cache, EmbeddingCache):
            return nullcontext(self.cache)
        return EmbeddingCache(None if self.cache == "default" else self.cache)

    def _refuse_long(self, request: Request, members: Sequence[Member]) -> None:
        limit = min((m.longest for m in members if m.longest is not None), default=None)
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
        self, request: Request, members: Sequence[Member], jobs: Sequence[Job]
    ) -> dict[str, Any]:
        too_long = int((request.lengths > min(m.window for m in members)).sum())
        return {
            **request.counts,
            "n_windowed": too_long if self.long_sequences == "window" else 0,
            "n_truncated": too_long if self.long_sequences == "truncate" else 0,
            "n_cached": sum(job.n_cached for job in jobs),
            "n_computed": self.n_computed_,
            "models": [member.info.name for member in members],
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
