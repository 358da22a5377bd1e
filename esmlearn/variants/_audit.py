"""audit_variant_split: what the two parts of a split of variants share."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from esmlearn.exceptions import DataError
from esmlearn.utils._mutations import Mutations, distinct_mutations, read_variants

_BLOCK = 20_000_000  # pairs of variants whose distances are held at once: 0.3 GB
_LISTED = 3  # distances, from the least, that the summary lists


@dataclass(frozen=True, eq=False)
class VariantSplitAudit:
    """Overlap of the test and the training part of a split of variants.

    Attributes
    ----------
    n_train, n_test : int
        Rows.
    train_positions, test_positions : ndarray of int
        Mutated positions of each part, ascending.
    train_mutations, test_mutations : ndarray of str
        Mutations of each part, such as ``"A110D"``, in the order of their positions.
    distance : ndarray of int of shape (n_test,)
        Residues in which each test variant differs from the nearest training variant.

    See Also
    --------
    audit_variant_split : Makes one.
    """

    n_train: int
    n_test: int
    train_positions: NDArray[np.intp]
    test_positions: NDArray[np.intp]
    train_mutations: NDArray[np.object_]
    test_mutations: NDArray[np.object_]
    distance: NDArray[np.intp]

    @property
    def shared_positions(self) -> NDArray[np.intp]:
        """Positions that are mutated in both parts, ascending."""
        return self.test_positions[np.isin(self.test_positions, self.train_positions)]

    @property
    def shared_mutations(self) -> NDArray[np.object_]:
        """Mutations that are in both parts, in the order of their positions."""
        return self.test_mutations[np.isin(self.test_mutations, self.train_mutations)]

    def __repr__(self) -> str:
        return (
            f"<VariantSplitAudit: {len(self.shared_positions)} of {len(self.test_positions)} test "
            f"positions are mutated in training>"
        )

    def __str__(self) -> str:
        return self.summary()

    def summary(self) -> str:
        """Return the findings in words.

        Returns
        -------
        text : str
            A few lines.
        """
        shares = [f"{d} {np.mean(self.distance == d):.1%}" for d in range(_LISTED)]
        shares.append(f"more {np.mean(self.distance >= _LISTED):.1%}")
        return "\n".join(
            [
                f"{self.n_test} test variants, {self.n_train} training variants:",
                f"  {len(self.shared_positions)} of {len(self.test_positions)} positions of the "
                f"test part are mutated in training",
                f"  {len(self.shared_mutations)} of {len(self.test_mutations)} mutations of the "
                f"test part are in training",
                f"  residues to the nearest training variant: {', '.join(shares)}",
            ]
        )


def audit_variant_split(
    variants: Any,
    train: ArrayLike,
    test: ArrayLike,
    *,
    wild_type: str | None = None,
    offset: int = 0,
) -> VariantSplitAudit:
    """Measure what the two parts of a split of one protein's variants share.

    Parameters
    ----------
    variants : array-like of str of shape (n_rows,)
        Mutations as :func:`parse_mutations` reads them, or sequences of one length.
    train, test : array-like of int, or of bool of shape (n_rows,)
        Rows of the two parts, as a splitter returns them, or masks.
    wild_type : str, default=None
        The protein that is mutated; None as in :class:`VariantSplitter`.
    offset : int, default=0
        Position before the first residue of `wild_type`; see :func:`parse_mutations`.

    Returns
    -------
    audit : VariantSplitAudit
        Positions and mutations of both parts, distances, and ``summary()`` in words.

    Raises
    ------
    DataError
        If a variant is invalid, or a part is empty or holds a row that is not there.

    Examples
    --------
    >>> from esmlearn.variants import audit_variant_split
    >>> variants = ["K2R", "K2E", "T3A", "K2R:T3A", "WT"]
    >>> print(audit_variant_split(variants, train=[0, 1, 4], test=[2, 3]))
    2 test variants, 3 training variants:
      1 of 2 positions of the test part are mutated in training
      1 of 2 mutations of the test part are in training
      residues to the nearest training variant: 0 0.0%, 1 100.0%, 2 0.0%, more 0.0%
    """
    read, _ = read_variants(variants, wild_type, offset, name="variants")
    train_part = [read[row] for row in _rows(train, "train", len(read))]
    test_part = [read[row] for row in _rows(test, "test", len(read))]
    train_mutations, test_mutations = distinct_mutations(train_part), distinct_mutations(test_part)
    return VariantSplitAudit(
        n_train=len(train_part),
        n_test=len(test_part),
        train_positions=np.unique([m.position for m in train_mutations]).astype(np.intp),
        test_positions=np.unique([m.position for m in test_mutations]).astype(np.intp),
        train_mutations=np.array([str(m) for m in train_mutations], dtype=object),
        test_mutations=np.array([str(m) for m in test_mutations], dtype=object),
        distance=_distances(test_part, train_part),
    )


def _rows(rows: ArrayLike, name: str, n_rows: int) -> NDArray[np.intp]:
    """Return a part's rows, given as such or as a mask."""
    given = np.asarray(rows)
    if given.dtype == bool and given.shape == (n_rows,):
        given = np.flatnonzero(given)
    if given.ndim != 1 or not len(given) or given.dtype.kind not in "iu":
        raise DataError(
            f"{name} has the shape {given.shape} and the type {given.dtype}; expected at least one "
            f"row number, or a mask of {n_rows} rows."
        )
    outside = given[(given < 0) | (given >= n_rows)]
    if len(outside):
        raise DataError(f"{name} holds the row {outside[0]}; expected rows from 0 to {n_rows - 1}.")
    return given


def _distances(test: list[Mutations], train: list[Mutations]) -> NDArray[np.intp]:
    """Return the Hamming distance of each test variant to the nearest training variant.

    Two variants with m and n mutations, of which p are at common positions and q are the same,
    differ in m + n - p - q residues. Only pairs with a common position need p and q; of the others
    the nearest is the training variant with the fewest mutations.
    """
    n_test, n_train = _counts(test), _counts(train)
    columns = _columns([*test, *train])
    ours, theirs = _indicators(test, columns), _indicators(train, columns).T.tocsr()
    nearest = n_test + n_train.min()
    step = max(1, _BLOCK // len(train))
    for start in range(0, len(test), step):
        rows = slice(start, start + step)
        common = ours[rows] @ theirs
        found = np.flatnonzero(np.diff(common.indptr))
        if len(found):
            beyond = n_train[common.indices] - common.data
            least = np.minimum.reduceat(beyond, common.indptr[found])
            nearest[start + found] = np.minimum(
                nearest[start + found], n_test[start + found] + least
            )
    return nearest


def _counts(variants: list[Mutations]) -> NDArray[np.intp]:
    return np.array([len(mutations) for mutations in variants], dtype=np.intp)


def _columns(variants: list[Mutations]) -> dict[Any, int]:
    """Return a column for every position and every mutation."""
    columns: dict[Any, int] = {}
    for mutations in variants:
        for mutation in mutations:
            columns.setdefault(mutation.position, len(columns))
            columns.setdefault(mutation, len(columns))
    return columns


def _indicators(variants: list[Mutations], columns: dict[Any, int]) -> csr_array:
    """Return which positions and mutations each variant has."""
    indices = [columns[key] for ms in variants for m in ms for key in (m.position, m)]
    ends = np.concatenate([[0], np.cumsum(2 * _counts(variants))])
    ones, keys = np.ones(len(indices), dtype=np.int32), np.array(indices, dtype=np.intp)
    return csr_array((ones, keys, ends), shape=(len(variants), len(columns)))
