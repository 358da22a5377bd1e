"""Variant scores without training: the likelihood of mutations under a language model."""

import os
from collections.abc import Sequence
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
from sklearn.utils.validation import check_is_fitted

from esmlearn.embedding._inference.batches import plan_batches
from esmlearn.embedding._models.catalog import Encoder
from esmlearn.embedding._models.families import identify, resolve_model
from esmlearn.embedding._models.settings import Settings
from esmlearn.exceptions import DataError
from esmlearn.utils._mutations import Mutation, Mutations, check_wild_type, read_variants
from esmlearn.utils._sequences import STANDARD_RESIDUES
from esmlearn.utils._tags import one_text_column


class ESMVariantScorer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Score mutations of one protein by a protein language model.

    A variant's score is the sum over its mutations of log p(mutant) - log p(wild type) at the
    mutated position; higher is better tolerated. Masked marginals hide the position from the model,
    which is what ESM-1v was shown to predict experiments with; the wild-type marginals need a
    single run for all positions and are nearly as good.

    Parameters
    ----------
    model : str, path-like or sequence of them, default="esm1v_t33_650M_UR90S_1"
        Name out of list_models() or a checkpoint file. Scores of several, such as
        ``ESM1V_ENSEMBLE``, are averaged.
    wild_type : str
        The protein that the variants are mutants of.
    offset : int, default=0
        Position before the first residue of `wild_type`: 22 where `wild_type` begins with residue
        23 of the protein that the positions count in; -1 where they count from 0.
    method : {"masked", "wild_type"}, default="masked"
        Whether the model sees the residue that it judges.
    precision : {"float32", "bfloat16", "float16", "auto"}, default="float32"
        As in ESMEmbedder.
    device : str, default="auto"
        As in ESMEmbedder.
    batch_residues : int, default=4096
        Tokens at once.

    Attributes
    ----------
    log_probabilities_ : ndarray of float32 of shape (n_residues, 20)
        Of each amino acid (in the order ACDEFGHIKLMNPQRSTVWY) at each position of the wild type,
        normalised over these 20, averaged over the models.
    pseudo_perplexity_ : float
        exp of the mean negative log-probability of the wild type's residues: 1 for a protein that
        the model is sure of, 20 for one that it has no idea of. With ``method="masked"`` it is the
        usual definition.

    See Also
    --------
    esmlearn.variants.augmented_ridge : A regression that starts from these scores.

    References
    ----------
    Meier et al. (2021) Language models enable zero-shot prediction of the effects of mutations on
    protein function, NeurIPS 34.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from esmlearn.embedding import ESMVariantScorer, write_untrained_checkpoint
    >>> with TemporaryDirectory() as folder:
    ...     path = write_untrained_checkpoint(folder, n_layers=1, width=16, n_heads=2)
    ...     scorer = ESMVariantScorer(path, wild_type="MKTAYIAKQR").fit(["K2R"])
    >>> scorer.transform(["K2R", "K2R:Q9E", "p.Lys2Arg", "WT"]).shape
    (4, 1)
    >>> scorer.transform(["MRTAYIAKQR"]).shape
    (1, 1)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "model": [str, os.PathLike, list, tuple],
        "wild_type": [str],
        "offset": [Integral],
        "method": [StrOptions({"masked", "wild_type"})],
        "precision": [StrOptions({"float32", "bfloat16", "float16", "auto"})],
        "device": [str],
        "batch_residues": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        model: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = "esm1v_t33_650M_UR90S_1",
        *,
        wild_type: str = "",
        offset: int = 0,
        method: str = "masked",
        precision: str = "float32",
        device: str = "auto",
        batch_residues: int = 4096,
    ) -> None:
        self.model = model
        self.wild_type = wild_type
        self.offset = offset
        self.method = method
        self.precision = precision
        self.device = device
        self.batch_residues = batch_residues

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Run the wild type through the model; variants are then a matter of looking up.

        Parameters
        ----------
        X : array-like of str, default=None
            Variants, mutations or sequences, only checked.
        y : None
            Ignored.

        Returns
        -------
        self : ESMVariantScorer
            The fitted scorer.

        Raises
        ------
        DataError
            If the wild type is no protein of the 20 amino acids, or is longer than the 1022
            residues the models were trained on.
        """
        if not self.wild_type:
            raise DataError(
                "wild_type is empty; expected the protein that the variants are of. Pass "
                "wild_type=sequence."
            )
        wild_type = check_wild_type(self.wild_type)
        for position, residue in enumerate(wild_type):
            if residue not in STANDARD_RESIDUES:
                raise DataError(
                    f"wild_type has {residue!r} at position {position + 1}; expected one of the 20 "
                    f"amino acids {STANDARD_RESIDUES}."
                )
        models = [self.model] if isinstance(self.model, str | os.PathLike) else list(self.model)
        if not models:
            raise DataError("model is an empty list; expected at least one model.")
        tables = [self._log_probabilities(model, wild_type) for model in models]
        self.wild_type_ = wild_type
        self.log_probabilities_ = np.asarray(np.mean(tables, axis=0, dtype=np.float32))
        own = [
            self.log_probabilities_[i, STANDARD_RESIDUES.index(r)] for i, r in enumerate(wild_type)
        ]
        self.pseudo_perplexity_ = float(np.exp(-np.mean(own)))
        self._n_features_out = 1
        if X is not None:
            self._read(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Score variants.

        Parameters
        ----------
        X : array-like of str of shape (n_variants,)
            Mutations as :func:`esmlearn.variants.parse_mutations` reads them, such as ``"K2R"``,
            ``"K2R:Q9E"``, ``"p.Lys2Arg"`` and ``"WT"``, or sequences of the wild type's length.

        Returns
        -------
        scores : ndarray of float32 of shape (n_variants, 1)
            Sum of log-odds in nats; 0 for the wild type.

        Raises
        ------
        DataError
            If a variant does not belong to the wild type; the message names it.
        """
        check_is_fitted(self)
        scores = [sum(map(self._log_odds, mutations)) for mutations in self._read(X)]
        return np.array(scores, dtype=np.float32)[:, None]

    def _read(self, X: Any) -> list[Mutations]:
        return read_variants(X, self.wild_type_, self.offset)[0]

    def _log_odds(self, mutation: Mutation) -> float:
        row = self.log_probabilities_[mutation.position - self.offset - 1]
        own, new = map(STANDARD_RESIDUES.index, (mutation.wild_type_residue, mutation.residue))
        return float(row[new] - row[own])

    def __sklearn_tags__(self) -> Tags:
        return one_text_column(super().__sklearn_tags__())

    # Model ---------------------------------------------------------------------------------------

    def _log_probabilities(self, model: str | os.PathLike[str], wild_type: str) -> np.ndarray:
        """Return log-probabilities of shape (n_residues, 20) under one model."""
        from esmlearn.embedding._inference.runtime import (
            load_encoder,
            resolve_device,
            resolve_precision,
        )

        source = resolve_model(model)
        identity = identify(source)
        if len(wild_type) > identity.info.trained_residues:
            raise DataError(
                f"wild_type has {len(wild_type)} residues; {identity.info.name} takes at most "
                f"{identity.info.trained_residues}. Pass the domain that is mutated."
            )
        device = resolve_device(self.device)
        encoder = load_encoder(
            Settings(
                family=source.family.name,
                path=os.fspath(source.path),
                digest=identity.digest,
                layers=(identity.info.n_layers,),
                pooling=None,
                long_sequences="error",
                window=identity.info.trained_residues,
                precision=resolve_precision(self.precision, device),
                device=device,
                budget=int(self.batch_residues),
            )
        )
        with encoder.lock:
            if self.method == "wild_type":
                return self._visible_marginals(encoder, wild_type)
            return self._masked_marginals(encoder, wild_type)

    def _visible_marginals(self, encoder: Encoder, wild_type: str) -> np.ndarray:
        (states,) = encoder.encode([encoder.tokenize(wild_type)], [encoder.n_layers])
        first = encoder.n_prefix
        return _normalised(encoder, states[first : first + len(wild_type)])

    def _masked_marginals(self, encoder: Encoder, wild_type: str) -> np.ndarray:
        """Hide one position after the other; all runs are equally long and share batches."""
        import torch

        tokens = encoder.tokenize(wild_type)
        lengths = [len(tokens)] * len(wild_type)
        table = np.empty((len(wild_type), len(STANDARD_RESIDUES)), dtype=np.float32)
        for batch in plan_batches(lengths, budget=int(self.batch_residues)):
            copies = [tokens.copy() for _ in batch]
            for copy, position in zip(copies, batch, strict=True):
                copy[encoder.n_prefix + position] = encoder.mask_token
            (states,) = encoder.encode(copies, [encoder.n_layers])
            rows = np.arange(len(batch)) * len(tokens) + encoder.n_prefix + np.array(batch)
            picked = states[torch.from_numpy(rows).to(states.device)]
            table[batch] = _normalised(encoder, picked)
        return table


def _normalised(encoder: Encoder, states: Any) -> np.ndarray:
    """Return log-probabilities over the 20 amino acids."""
    columns = encoder.tokenize(STANDARD_RESIDUES)[encoder.n_prefix :][: len(STANDARD_RESIDUES)]
    logits = encoder.logits(states)[:, columns.tolist()]
    return np.asarray(logits.log_softmax(dim=-1).cpu().numpy())
