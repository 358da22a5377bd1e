"""Splits of the variants of one protein, by position, number of mutations or target."""

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.base import BaseEstimator
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints
from sklearn.utils.validation import _num_samples, column_or_1d

from esmlearn.exceptions import DataError
from esmlearn.utils._finite import check_finite
from esmlearn.utils._mutations import Mutations, read_variants, variant_name
from esmlearn.utils._random import repeatable_generator
from esmlearn.utils._sequence_column import SEQUENCE, column_names, sequence_columns
from esmlearn.utils._warn import warn

_ONE_SPLIT = ("n_mutations", "low-vs-high")

Pair = tuple[NDArray[np.intp], NDArray[np.intp]]


class VariantSplitter(BaseEstimator, BaseCrossValidator):
    """Split the variants of one protein by what a model must be able to extrapolate to.

    All variants of one protein are homologs, and with random folds nearly every mutation of a test
    variant is in the training part, too. The other schemes keep out of training what is tested:
    positions, numbers of mutations, or a range of the target.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2. Schemes of one split do not use it.
    scheme : {"position", "contiguous", "modulo", "random", "n_mutations", "low-vs-high"}, \
default="position"
        - ``"position"``: no position is mutated in both parts. Positions are assigned to folds at
          random, and positions that variants mutate together to the same fold, as long as they are
          no more than a fold can hold.
        - ``"contiguous"`` and ``"modulo"``: the same, with folds of the mutated positions in their
          order: one stretch a fold, or every `n_splits`-th position. For single mutants these
          are ProteinGym's folds [1]_.
        - ``"random"``: every variant is in one fold, and copies of a variant are in the same one.
        - ``"n_mutations"``: one split, from few mutations to many.
        - ``"low-vs-high"``: one split, from low values of the target to high ones.
    wild_type : str, default=None
        The protein that is mutated. None takes the consensus of the sequences (the wild type,
        unless most variants share a mutation), and of mutations the residues that they replace.
    offset : int, default=0
        Position before the first residue of `wild_type`; see :func:`parse_mutations`.
    max_train_mutations : int, default=2
        Of ``"n_mutations"``: variants with at most so many mutations are trained on.
    min_test_mutations : int, default=None
        Of ``"n_mutations"``: variants with at least so many are tested; None is one more than
        `max_train_mutations`. FLIP's one-, two- and three-vs-rest [2]_ have `max_train_mutations`
        1, 2 and 3.
    quantile : float, default=0.5
        Of ``"low-vs-high"``: variants are trained on up to this quantile of the target, and tested
        above. FLIP [2]_ trains up to the wild type's value: ``quantile=np.mean(y <= y_wild_type)``.
    variant_column : str, default=None
        Column of the variants, mutations or sequences, where X is a table. None takes the one that
        is called ``"sequence"``, else the only one that holds nothing but protein sequences.
    random_state : int, RandomState instance or None, default=None
        Seed of ``"position"`` and ``"random"``. None is a fixed seed, so that two models are
        compared on the same folds.

    Attributes
    ----------
    untested_ : ndarray of int
        Rows that are in no test part of the last `split`.

    See Also
    --------
    audit_variant_split : Measure what the two parts of a split share.

    Notes
    -----
    With the schemes by position a variant is tested in the fold of its positions if they are all
    in the same fold, and trained on by the folds that have none of them. A variant whose positions
    lie in several folds cannot be tested without a position being on both sides; a warning counts
    these variants, `untested_` holds them, and the folds of other positions train on them. The wild
    type is trained on in all folds. Parameters of other schemes are ignored.

    The folds do not depend on the order of the rows.

    References
    ----------
    .. [1] Notin, P. et al. ProteinGym: large-scale benchmarks for protein fitness prediction and
       design. NeurIPS 36 (2023).
    .. [2] Dallago, C. et al. FLIP: benchmark tasks in fitness landscape inference for proteins.
       NeurIPS Datasets and Benchmarks (2021).

    Examples
    --------
    >>> from esmlearn.variants import VariantSplitter
    >>> variants = ["K2R", "K2E", "T3A", "T3S", "K2R:T3A", "A4G", "Y5F", "WT"]
    >>> for train, test in VariantSplitter(2, scheme="contiguous").split(variants):
    ...     print([variants[i] for i in train], [variants[i] for i in test])
    ['A4G', 'Y5F', 'WT'] ['K2R', 'K2E', 'T3A', 'T3S', 'K2R:T3A']
    ['K2R', 'K2E', 'T3A', 'T3S', 'K2R:T3A', 'WT'] ['A4G', 'Y5F']
    >>> [(train, test)] = VariantSplitter(scheme="n_mutations", max_train_mutations=1).split(
    ...     variants
    ... )
    >>> [variants[i] for i in test]
    ['K2R:T3A']
    """

    # With metadata routing, `groups` (the variants, where X is numeric) come without being asked.
    __metadata_request__split = {"groups": True}

    _parameter_constraints: dict[str, list[Any]] = {
        "n_splits": [Interval(Integral, 2, None, closed="left")],
        "scheme": [StrOptions({"position", "contiguous", "modulo", "random", *_ONE_SPLIT})],
        "wild_type": [str, None],
        "offset": [Integral],
        "max_train_mutations": [Interval(Integral, 0, None, closed="left")],
        "min_test_mutations": [Interval(Integral, 1, None, closed="left"), None],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
        "variant_column": [str, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_splits: int = 5,
        *,
        scheme: str = "position",
        wild_type: str | None = None,
        offset: int = 0,
        max_train_mutations: int = 2,
        min_test_mutations: int | None = None,
        quantile: float = 0.5,
        variant_column: str | None = None,
        random_state: Any = None,
    ) -> None:
        self.n_splits = n_splits
        self.scheme = scheme
        self.wild_type = wild_type
        self.offset = offset
        self.max_train_mutations = max_train_mutations
        self.min_test_mutations = min_test_mutations
        self.quantile = quantile
        self.variant_column = variant_column
        self.random_state = random_state

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits.

        Parameters
        ----------
        X, y, groups : object, default=None
            Not used.

        Returns
        -------
        n_splits : int
            1 for ``"n_mutations"`` and ``"low-vs-high"``, else the number of folds.
        """
        return 1 if self.scheme in _ONE_SPLIT else self.n_splits

    def split(self, X: Any, y: ArrayLike | None = None, groups: Any = None) -> Iterator[Pair]:
        """Return the splits.

        Parameters
        ----------
        X : array-like of shape (n_rows,) of str, table, or array-like of (n_rows, n_features)
            Mutations, or sequences of one length; a pandas, polars or pyarrow table with a column
            of them; or anything else, with the variants as `groups`.
        y : array-like of shape (n_rows,), default=None
            The target, which ``"low-vs-high"`` needs.
        groups : array-like of str of shape (n_rows,), default=None
            The variants, where X does not hold them.

        Returns
        -------
        splits : iterator of (train, test)
            Ascending row indices.

        Raises
        ------
        DataError
            If a variant is invalid, or a part of a split would be empty.

        Warns
        -----
        UserWarning
            If variants are tested in no fold, since their positions lie in several.
        """
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), type(self).__name__
        )
        given, name = _variants_of(X, groups, self.variant_column)
        variants, _ = read_variants(given, self.wild_type, self.offset, name=name)
        n_mutations = np.array([len(mutations) for mutations in variants])
        if self.scheme == "random":
            pairs = self._random(variants)
        elif self.scheme == "n_mutations":
            pairs = self._by_number(n_mutations)
        elif self.scheme == "low-vs-high":
            pairs = self._by_target(y, len(variants))
        else:
            pairs = self._by_position(variants)
        self._kept = pairs, n_mutations
        tested = np.concatenate([test for _, test in pairs])
        self.untested_ = np.setdiff1d(np.arange(len(variants)), tested)
        return iter(pairs)

    def summary(self) -> pd.DataFrame:
        """Return one line per split of the last call of `split`.

        Returns
        -------
        table : pandas.DataFrame
            Columns ``fold``, ``n_train``, ``n_test``, ``n_purged`` (rows in neither part), and
            ``mutations_train`` and ``mutations_test``, the mean number of mutations of a variant.
        """
        if not hasattr(self, "_kept"):
            raise DataError(
                "this VariantSplitter has not split anything yet; call split(X, y) first."
            )
        pairs, n_mutations = self._kept
        return pd.DataFrame(
            {
                "fold": fold,
                "n_train": len(train),
                "n_test": len(test),
                "n_purged": len(n_mutations) - len(train) - len(test),
                "mutations_train": n_mutations[train].mean(),
                "mutations_test": n_mutations[test].mean(),
            }
            for fold, (train, test) in enumerate(pairs)
        )

    # Schemes -------------------------------------------------------------------------------------

    def _random(self, variants: list[Mutations]) -> list[Pair]:
        distinct, row = np.unique([variant_name(v) for v in variants], return_inverse=True)
        self._check_enough(len(distinct), "distinct variants")
        fold = repeatable_generator(self.random_state).permutation(
            np.arange(len(distinct)) % self.n_splits
        )[row]
        return [
            (np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(self.n_splits)
        ]

    def _by_number(self, n_mutations: NDArray[np.intp]) -> list[Pair]:
        most, least = self.max_train_mutations, self.min_test_mutations
        least = most + 1 if least is None else least
        if least <= most:
            raise DataError(
                f"min_test_mutations is {least} and max_train_mutations is {most}; expected a "
                f"larger min_test_mutations, so that no variant is in both parts."
            )
        train, test = np.flatnonzero(n_mutations <= most), np.flatnonzero(n_mutations >= least)
        if not (len(train) and len(test)):
            raise DataError(
                f"{len(train)} variants have at most {most} mutations and {len(test)} have "
                f"{least} or more, of {n_mutations.min()} to {n_mutations.max()} mutations; "
                f"expected some of both. Change max_train_mutations or min_test_mutations."
            )
        return [(train, test)]

    def _by_target(self, y: ArrayLike | None, n_rows: int) -> list[Pair]:
        if y is None:
            raise DataError("y is None; expected the target, by which 'low-vs-high' splits.")
        target = column_or_1d(y, dtype=np.float64)
        check_finite(target, "y")
        if len(target) != n_rows:
            raise DataError(f"y has {len(target)} values; expected {n_rows}, one of each variant.")
        threshold = np.quantile(target, self.quantile)
        test = np.flatnonzero(target > threshold)
        if not len(test):
            raise DataError(
                f"no variant has a target above the quantile {self.quantile} ({threshold:g}); "
                f"expected some to test. Choose a smaller quantile."
            )
        return [(np.flatnonzero(target <= threshold), test)]

    def _by_position(self, variants: list[Mutations]) -> list[Pair]:
        """Assign positions to folds; a variant is tested where all of its positions are."""
        mutated = _mutated_positions(variants)
        self._check_enough(mutated.shape[1], "mutated positions")
        fold = self._assign(mutated)
        in_fold = mutated @ (fold[:, None] == np.arange(self.n_splits)).astype(np.intp)
        n_mutations = in_fold.sum(axis=1)
        tested = (in_fold == n_mutations[:, None]) & (n_mutations > 0)[:, None]
        pairs = [
            (np.flatnonzero(in_fold[:, k] == 0), np.flatnonzero(tested[:, k]))
            for k in range(self.n_splits)
        ]
        for k, (train, test) in enumerate(pairs):
            if not (len(train) and len(test)):
                part, which = ("test", "all") if len(train) else ("training", "none")
                raise DataError(
                    f"fold {k} of {self.n_splits} has an empty {part} part: no variant has {which} "
                    f"of its positions in this fold (mean number of mutations "
                    f"{n_mutations.mean():.1f}). Use another n_splits, scheme='n_mutations' or "
                    f"scheme='random'."
                )
        straddling = int(np.sum((n_mutations > 0) & ~tested.any(axis=1)))
        if straddling:
            warn(
                f"{straddling} of {len(variants)} variants are tested in no fold, since their "
                f"positions lie in several; {tested.sum()} are tested, and the training parts have "
                f"{np.mean([len(train) for train, _ in pairs]):.0f} rows on average. See untested_ "
                f"and summary()."
            )
        return pairs

    def _check_enough(self, number: int, what: str) -> None:
        if number < self.n_splits:
            raise DataError(
                f"there are {number} {what}; expected at least n_splits={self.n_splits}. Use a "
                f"smaller n_splits."
            )

    def _assign(self, mutated: csr_array) -> NDArray[np.intp]:
        """Return the fold of each position."""
        n_positions = mutated.shape[1]
        if self.scheme == "modulo":
            return np.arange(n_positions) % self.n_splits
        if self.scheme == "contiguous":
            stretches = np.array_split(np.arange(n_positions), self.n_splits)
            return np.repeat(np.arange(self.n_splits), [len(stretch) for stretch in stretches])
        # A row counts as one, in equal shares at each of its positions.
        n_mutations = np.maximum(mutated.sum(axis=1), 1)
        weight = mutated.T @ (1 / n_mutations)
        component = connected_components(mutated.T @ mutated, directed=False)[1]
        too_large = np.bincount(component, weight) > weight.sum() / self.n_splits
        unit = np.where(
            too_large[component], component.max() + 1 + np.arange(n_positions), component
        )
        unit = np.unique(unit, return_inverse=True)[1]
        return _balanced(
            np.bincount(unit, weight), self.n_splits, repeatable_generator(self.random_state)
        )[unit]


def _balanced(weight: NDArray, n_folds: int, rng: np.random.RandomState) -> NDArray[np.intp]:
    """Return folds of about equal weight: large units first, similar ones in random order."""
    order = rng.permutation(len(weight))
    order = order[np.argsort(-np.floor(np.log2(weight[order])), kind="stable")]
    fold, load = np.zeros(len(weight), dtype=np.intp), np.zeros(n_folds)
    for unit in order:
        fold[unit] = load.argmin()
        load[fold[unit]] += weight[unit]
    return fold


def _mutated_positions(variants: list[Mutations]) -> csr_array:
    """Return which positions each variant mutates, of shape (n_variants, n_positions)."""
    n_mutations = [len(mutations) for mutations in variants]
    positions = [mutation.position for mutations in variants for mutation in mutations]
    distinct, column = np.unique(np.array(positions, dtype=np.intp), return_inverse=True)
    ones, ends = np.ones(len(column), dtype=np.intp), np.concatenate([[0], np.cumsum(n_mutations)])
    return csr_array((ones, column, ends), shape=(len(variants), len(distinct)))


def _variants_of(X: Any, groups: Any, column: str | None) -> tuple[Any, str]:
    """Return the container of the variants, and how to call it in messages."""
    if groups is not None:
        if len(groups) != _num_samples(X):
            raise DataError(
                f"groups has {len(groups)} variants; expected {_num_samples(X)}, one for each row "
                f"of X."
            )
        return groups, "groups"
    names = column_names(X) or []
    if column is None and len(names) > 1:
        found = [SEQUENCE] if SEQUENCE in names else sequence_columns(X)
        if len(found) != 1:
            raise DataError(
                f"X is a table with {len(found)} columns of protein sequences; expected one. Name "
                f"the column of the variants by variant_column, or pass the variants as groups."
            )
        column = found[0]
    if column is not None:
        if column not in names:
            raise DataError(
                f"X has no column {column!r}; expected a table with this variant_column. It has "
                f"{names or 'no columns with names'}."
            )
        return X[column], f"X[{column!r}]"
    if getattr(X, "ndim", 1) == 2 and X.shape[1] != 1:
        raise DataError(
            f"X has the shape {X.shape} and groups is None; expected variants as X, or any other X "
            f"with groups=variants."
        )
    return X, "X"
