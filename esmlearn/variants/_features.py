"""Features of the variants of one protein: their mutations, and how these change residues."""

from abc import ABC, abstractmethod
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from esmlearn.exceptions import DataError
from esmlearn.utils._mutations import Mutation, Mutations, distinct_mutations, read_variants
from esmlearn.utils._tags import one_text_column

# Sandberg et al. (1998), table 1: lipophilicity, size, polarity, and two of electronic effects.
_Z_SCALES = {
    "A": (0.24, -2.32, 0.60, -0.14, 1.30),
    "C": (0.84, -1.67, 3.71, 0.18, -2.65),
    "D": (3.98, 0.93, 1.93, -2.46, 0.75),
    "E": (3.11, 0.26, -0.11, -3.04, -0.25),
    "F": (-4.22, 1.94, 1.06, 0.54, -0.62),
    "G": (2.05, -4.06, 0.36, -0.82, -0.38),
    "H": (2.47, 1.95, 0.26, 3.90, 0.09),
    "I": (-3.89, -1.73, -1.71, -0.84, 0.26),
    "K": (2.29, 0.89, -2.49, 1.49, 0.31),
    "L": (-4.28, -1.30, -1.49, -0.72, 0.84),
    "M": (-2.85, -0.22, 0.47, 1.94, -0.98),
    "N": (3.05, 1.62, 1.04, -1.15, 1.61),
    "P": (-1.66, 0.27, 1.84, 0.70, 2.00),
    "Q": (1.75, 0.50, -1.44, -1.34, 0.66),
    "R": (3.52, 2.50, -3.50, 1.99, -0.17),
    "S": (2.39, -1.07, 1.15, -1.39, 0.67),
    "T": (0.75, -2.18, -1.12, -1.46, -0.40),
    "V": (-2.59, -2.64, -1.54, -0.85, -0.02),
    "W": (-4.36, 3.94, 0.59, 3.44, -1.59),
    "Y": (-2.54, 2.44, 0.43, 0.04, -1.47),
}


class _MutationEncoder(TransformerMixin, BaseEstimator, ABC):
    """Base of the encoders: every mutation has values in named columns, and a variant the sums."""

    _parameter_constraints: dict[str, list[Any]] = {
        "wild_type": [str, None],
        "offset": [Integral],
        "sparse_output": ["boolean"],
    }

    wild_type_: str | None

    def __init__(
        self, wild_type: str | None = None, *, offset: int = 0, sparse_output: bool = True
    ) -> None:
        self.wild_type = wild_type
        self.offset = offset
        self.sparse_output = sparse_output

    @abstractmethod
    def _values(self, mutation: Mutation) -> dict[str, float]:
        """Return the values of a mutation by the names of their columns."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the features from the mutations of the training variants.

        Parameters
        ----------
        X : array-like of str of shape (n_variants,)
            Mutations as :func:`parse_mutations` reads them, or sequences of one length.
        y : None
            Ignored.

        Returns
        -------
        self : estimator
            The fitted encoder.

        Raises
        ------
        DataError
            If a variant is invalid, or none is mutated.
        """
        variants, self.wild_type_ = read_variants(X, self.wild_type, self.offset)
        mutations = distinct_mutations(variants)
        if not mutations:
            raise DataError("X holds the wild type alone; expected at least one mutated variant.")
        names = dict.fromkeys(name for m in mutations for name in self._values(m))
        self._columns = {name: column for column, name in enumerate(names)}
        return self

    def transform(self, X: Any) -> csr_array | NDArray[np.float32]:
        """Return the features of variants.

        Parameters
        ----------
        X : array-like of str of shape (n_variants,)
            Mutations or sequences.

        Returns
        -------
        features : csr_array or ndarray of float32 of shape (n_variants, n_features)
            Zero for the wild type; what was not seen in `fit` adds nothing.

        Raises
        ------
        DataError
            If a variant is invalid, or sequences are given and the wild type is not known.
        """
        check_is_fitted(self)
        variants, wild_type = read_variants(X, self.wild_type_, self.offset)
        if wild_type is not None and self.wild_type_ is None:
            raise DataError(
                "X are sequences, and fit was given mutations and no wild type to compare them "
                "with; expected mutations. Set wild_type to use both."
            )
        features = self._matrix(variants)
        return features if self.sparse_output else features.toarray()

    def _matrix(self, variants: list[Mutations]) -> csr_array:
        entries = {
            mutation: [
                (self._columns[name], value)
                for name, value in self._values(mutation).items()
                if name in self._columns
            ]
            for mutation in distinct_mutations(variants)
        }
        rows = [[entry for mutation in ms for entry in entries[mutation]] for ms in variants]
        ends = np.cumsum([0, *map(len, rows)])
        columns = np.array([column for row in rows for column, _ in row], dtype=np.intp)
        values = np.array([value for row in rows for _, value in row], dtype=np.float32)
        features = csr_array((values, columns, ends), shape=(len(rows), len(self._columns)))
        features.sum_duplicates()
        return features

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the features.

        Parameters
        ----------
        input_features : object, default=None
            Not used.

        Returns
        -------
        names : ndarray of str of shape (n_features,)
            In the order of their positions.
        """
        check_is_fitted(self)
        return np.array(list(self._columns), dtype=object)

    def __sklearn_tags__(self) -> Tags:
        return one_text_column(super().__sklearn_tags__())


class MutationOneHotEncoder(_MutationEncoder):
    """Encode variants by columns of zeros and ones for the mutations of the training variants.

    There is a column for each mutation, such as ``"K2R"``, and one for each mutated position, such
    as ``"K2"``, which tells that its residue is not the wild type's. For linear models with an
    intercept they are the one-hot encoding of the whole sequence, without the columns that are
    constant in training. Such a model adds up the effects of mutations and is the first to compare
    any other with. Of a mutation that it has not seen it knows the position if others there were
    seen, and nothing else.

    Parameters
    ----------
    wild_type : str, default=None
        The protein that is mutated. None takes the consensus of the training sequences, and of
        mutations the residues that they replace.
    offset : int, default=0
        Position before the first residue of `wild_type`; see :func:`parse_mutations`.
    sparse_output : bool, default=True
        Whether to return a sparse array.

    Attributes
    ----------
    wild_type_ : str or None
        The wild type that sequences are compared with; None if there were only mutations.

    See Also
    --------
    MutationPropertyEncoder : Features that also tell of unseen residues.

    Examples
    --------
    >>> from esmlearn.variants import MutationOneHotEncoder
    >>> encoder = MutationOneHotEncoder(sparse_output=False).fit(["K2R", "K2E:T3A"])
    >>> encoder.get_feature_names_out().tolist()
    ['K2', 'K2E', 'K2R', 'T3', 'T3A']
    >>> encoder.transform(["K2R:T3A", "WT", "T3S"])
    array([[1., 0., 1., 1., 1.],
           [0., 0., 0., 0., 0.],
           [0., 0., 0., 1., 0.]], dtype=float32)
    """

    def _values(self, mutation: Mutation) -> dict[str, float]:
        return {f"{mutation.wild_type_residue}{mutation.position}": 1.0, str(mutation): 1.0}


class MutationPropertyEncoder(_MutationEncoder):
    """Encode variants by how mutations change the properties of residues.

    The z-scales [1]_ tell a residue's lipophilicity (z1), size (z2), polarity (z3) and electronic
    effects (z4, z5). Five columns hold the differences between mutant and wild type summed over
    all mutations, and five more for each position that is mutated in training the differences
    there. Unlike those of :class:`MutationOneHotEncoder`, these features also tell of residues that
    were not seen at a position, and, if little, of positions that were not seen.

    Parameters
    ----------
    wild_type : str, default=None
        The protein that is mutated. None takes the consensus of the training sequences, and of
        mutations the residues that they replace.
    offset : int, default=0
        Position before the first residue of `wild_type`; see :func:`parse_mutations`.
    sparse_output : bool, default=True
        Whether to return a sparse array.

    Attributes
    ----------
    wild_type_ : str or None
        The wild type that sequences are compared with; None if there were only mutations.

    See Also
    --------
    MutationOneHotEncoder : Features of mutations.

    References
    ----------
    .. [1] Sandberg, M. et al. New chemical descriptors relevant for the design of biologically
       active peptides. A multivariate characterization of 87 amino acids. J. Med. Chem. 41,
       2481-2491 (1998).

    Examples
    --------
    >>> from esmlearn.variants import MutationPropertyEncoder
    >>> encoder = MutationPropertyEncoder(sparse_output=False).fit(["K2R"])
    >>> encoder.get_feature_names_out().tolist()
    ['z1', 'z2', 'z3', 'z4', 'z5', '2_z1', '2_z2', '2_z3', '2_z4', '2_z5']
    >>> encoder.transform(["K2A", "K2A:A4G"])[:, [0, 5]].round(2)
    array([[-2.05, -2.05],
           [-0.24, -2.05]], dtype=float32)
    """

    def _values(self, mutation: Mutation) -> dict[str, float]:
        own, new = (_Z_SCALES.get(r) for r in (mutation.wild_type_residue, mutation.residue))
        if own is None or new is None:
            raise DataError(
                f"{mutation} replaces {mutation.wild_type_residue}, which is none of the 20 amino "
                f"acids and has no z-scales; expected a known residue. Remove these variants."
            )
        change = {f"z{i}": new[i - 1] - own[i - 1] for i in range(1, 6)}
        return change | {f"{mutation.position}_{scale}": d for scale, d in change.items()}
