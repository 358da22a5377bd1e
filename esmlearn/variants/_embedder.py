"""VariantEmbedder: the change of a protein's embedding by its mutations."""

from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
    clone,
)
from sklearn.utils import Tags
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_is_fitted

from esmlearn.exceptions import DataError
from esmlearn.utils._mutations import mutate, read_variants
from esmlearn.utils._tags import one_text_column

_BLOCK = 256  # variants whose states of all residues are held at once


class VariantEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Represent variants by the difference of their embedding to that of the wild type.

    A mutation moves the embedding of a protein by little, since it is pooled over all residues. The
    states at the mutated residues alone tell of the substitutions, and pooled embeddings also of
    what these change elsewhere; which predicts better is a matter of the data.

    Parameters
    ----------
    embedder : ESMEmbedder
        Embeds wild type and variants. Where it has a cache, every variant is embedded once.
    wild_type : str, default=None
        The protein that is mutated. None takes the consensus of the training sequences; mutations
        need the wild type.
    offset : int, default=0
        Position before the first residue of `wild_type`; see :func:`parse_mutations`.
    residues : {"mutated", "all"}, default="mutated"
        - ``"mutated"``: the differences of the states at the mutated residues, summed over them, so
          that mutations add up. It needs an `embedder` that returns states of residues where its
          parameter ``pooling`` is None; if it has a cache on disk, this holds a vector for each
          residue of each variant.
        - ``"all"``: the difference of the embeddings, pooled as `embedder` does it. Of variants of
          one protein a linear model with an intercept predicts the same from the embeddings
          themselves.

    Attributes
    ----------
    wild_type_ : str
        The wild type.
    embedder_ : ESMEmbedder
        The fitted embedder.
    reference_ : ndarray of float32 of shape (n_features,) or (n_residues, n_features)
        The embedding of the wild type, or its states for ``residues="mutated"``.

    See Also
    --------
    esmlearn.embedding.ESMEmbedder : The embeddings themselves.
    MutationPropertyEncoder : Features without a language model.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from esmlearn.embedding import ESMEmbedder, write_untrained_checkpoint
    >>> from esmlearn.variants import VariantEmbedder
    >>> with TemporaryDirectory() as folder:
    ...     path = write_untrained_checkpoint(folder, n_layers=1, width=16, n_heads=2)
    ...     embedder = VariantEmbedder(ESMEmbedder(path, cache=None), wild_type="MKTAYIAKQR")
    ...     features = embedder.fit_transform(["K2R", "K2R:T3A", "WT"])
    >>> features.shape
    (3, 16)
    >>> features[2].any()
    np.False_
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "embedder": [HasMethods(["fit", "transform"])],
        "wild_type": [str, None],
        "offset": [Integral],
        "residues": [StrOptions({"mutated", "all"})],
    }

    def __init__(
        self,
        embedder: Any,
        *,
        wild_type: str | None = None,
        offset: int = 0,
        residues: str = "mutated",
    ) -> None:
        self.embedder = embedder
        self.wild_type = wild_type
        self.offset = offset
        self.residues = residues

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Embed the wild type.

        Parameters
        ----------
        X : array-like of str of shape (n_variants,)
            Mutations as :func:`parse_mutations` reads them, or sequences of one length.
        y : None
            Ignored.

        Returns
        -------
        self : VariantEmbedder
            The fitted transformer.

        Raises
        ------
        DataError
            If a variant is invalid, mutations are given without a wild type, or the embedder
            leaves out residues of the wild type.
        """
        _, wild_type = read_variants(X, self.wild_type, self.offset)
        if wild_type is None:
            raise DataError(
                "X are mutations and wild_type is None; expected the sequence that they change. "
                "Pass wild_type=sequence."
            )
        self.wild_type_ = wild_type
        self.embedder_ = clone(self.embedder)
        if self.residues == "mutated":
            self.embedder_.set_params(pooling=None)
        self.reference_ = self.embedder_.fit([wild_type]).transform([wild_type])[0]
        if self.residues == "mutated" and len(self.reference_) != len(wild_type):
            raise DataError(
                f"embedder returns the states of {len(self.reference_)} residues of wild_type, "
                f"which has {len(wild_type)}; expected one of each. Set long_sequences='window'."
            )
        self._n_features_out = self.reference_.shape[-1]
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the differences of variants to the wild type.

        Parameters
        ----------
        X : array-like of str of shape (n_variants,)
            Mutations or sequences.

        Returns
        -------
        differences : ndarray of float32 of shape (n_variants, n_features)
            Zero for the wild type.

        Raises
        ------
        DataError
            If a variant is invalid.
        """
        check_is_fitted(self)
        variants, _ = read_variants(X, self.wild_type_, self.offset)
        sequences = [mutate(self.wild_type_, mutations, self.offset) for mutations in variants]
        if self.residues == "all":
            return self.embedder_.transform(sequences) - self.reference_
        differences = np.zeros((len(sequences), self._n_features_out), dtype=np.float32)
        for start in range(0, len(sequences), _BLOCK):
            rows = slice(start, start + _BLOCK)
            states = self.embedder_.transform(sequences[rows])
            for row, (state, mutations) in enumerate(zip(states, variants[rows], strict=True)):
                mutated = [mutation.position - self.offset - 1 for mutation in mutations]
                differences[start + row] = (state[mutated] - self.reference_[mutated]).sum(axis=0)
        return differences

    def __sklearn_tags__(self) -> Tags:
        return one_text_column(super().__sklearn_tags__())
