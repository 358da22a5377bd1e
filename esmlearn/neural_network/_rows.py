"""Training and validation rows, in the order of the table."""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from esmlearn.exceptions import DataError

__all__ = ["Part", "all_rows", "draw", "split_rows"]

_MAX_COPIES = 100


def draw(weight: np.ndarray, start: float) -> np.ndarray:
    """Return how often each row is drawn, by systematic sampling: ``weight`` times on average.

    Parameters
    ----------
    weight : ndarray of shape (n_rows,)
        Not negative.
    start : float
        A random number from 0 to 1; all rows are drawn with this one number, so that the total is
        within one of the sum of the weights.

    Returns
    -------
    copies : ndarray of int of shape (n_rows,)
        The weight, rounded down or up.
    """
    # The last bits of a sum of n weights must not turn n into n - 1.
    reached = np.floor(np.cumsum(weight, dtype=np.float64) + start + 1e-9)
    return np.diff(reached, prepend=0.0).astype(np.intp)


@dataclass(frozen=True)
class Part:
    """Rows of a table, and their weights with a mean of 1 (None: all equal)."""

    index: np.ndarray
    weight: np.ndarray | None

    def take(self, chosen: np.ndarray) -> "Part":
        """Return the part of the rows where `chosen` is true."""
        if self.weight is None:
            return Part(self.index[chosen], None)
        weight = self.weight[chosen]
        return Part(self.index[chosen], weight / weight.mean())


def all_rows(n_rows: int, weight: np.ndarray | None) -> Part:
    """Turn whole-numbered weights into repeated rows and scale others to a mean of 1."""
    rows = np.arange(n_rows)
    if weight is None:
        return Part(rows, None)
    total = weight.sum()
    if not total > 0:
        raise DataError(
            "sample_weight is zero for every row; expected at least one positive weight. "
            "(Sample weights: all zero.)"
        )
    if np.array_equal(weight, np.rint(weight)) and total <= _MAX_COPIES * n_rows:
        return Part(np.repeat(rows, weight.astype(np.intp)), None)
    return Part(rows, weight).take(weight > 0)


def _identical_rows(X: np.ndarray) -> np.ndarray:
    """Number the distinct rows of X by first appearance.

    Numbers sorted by content would make the last bit of a feature act like another seed.
    """
    numbers: dict[bytes, int] = {}
    digests = (blake2b(row, digest_size=16).digest() for row in np.ascontiguousarray(X))
    return np.array([numbers.setdefault(digest, len(numbers)) for digest in digests], np.intp)


def _choose_units(
    units: np.ndarray, strata: np.ndarray, fraction: float, rng: np.random.RandomState
) -> np.ndarray:
    """Draw whole units until each stratum's share is reached; return the units."""
    n_units, n_strata = int(units.max()) + 1, int(strata.max()) + 1
    table = np.zeros((n_units, n_strata), dtype=np.intp)
    np.add.at(table, (units, strata), 1)
    remaining = np.rint(fraction * table.sum(axis=0)).astype(np.intp)
    if not remaining.any():
        remaining[np.argmax(table.sum(axis=0))] = 1
    chosen = []
    for unit in rng.permutation(n_units):
        if (table[unit] <= remaining).all():
            remaining = remaining - table[unit]
            chosen.append(unit)
        if not remaining.any():
            break
    return np.array(chosen if chosen else [int(np.argmin(table.sum(axis=1)))])


def split_rows(
    X: np.ndarray,
    weight: np.ndarray | None,
    *,
    groups: np.ndarray | None,
    strata: np.ndarray | None,
    fraction: float,
    rng: np.random.RandomState,
) -> tuple[Part, Part]:
    """Draw a validation part of whole units.

    A unit is a group or, without groups, all rows with the same X: a copy that random
    over-sampling made must not be validated on while its original is trained on.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
    weight : ndarray of shape (n_rows,) or None
        Whole numbers are counts (a row of weight 3 is three equal rows), others are relative; rows
        of weight zero are left out.
    groups : ndarray of shape (n_rows,) or None
        Labels of groups that must not be torn apart.
    strata : ndarray of int of shape (n_rows,) or None
        Classes whose shares are kept.
    fraction : float
        Share of the rows to validate on.
    rng : RandomState
        Draws the units.

    Returns
    -------
    train, valid : Part

    Raises
    ------
    DataError
        If there are fewer than two units.
    """
    part = all_rows(len(X), weight)
    labels = _identical_rows(X) if groups is None else groups
    units = np.unique(labels[part.index], return_inverse=True)[1].ravel()
    if units[-1:].size == 0 or units.max() == 0:
        what = "distinct row" if groups is None else "group"
        raise DataError(
            f"early stopping needs a validation part, but X has n_samples = {len(X)} with only 1 "
            f"{what}; expected at least 2. Pass X_val and y_val, or set early_stopping=False."
        )
    classes = np.zeros(len(units), np.intp) if strata is None else strata[part.index]
    chosen = np.isin(units, _choose_units(units, classes, fraction, rng))
    return part.take(~chosen), part.take(chosen)
