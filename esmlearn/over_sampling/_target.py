"""Checks of a target: continuous or classes, and whether it can be used."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pandas.api.types import infer_dtype
from sklearn.utils import column_or_1d

from esmlearn.exceptions import DataError
from esmlearn.utils._targets import refuse_words

MAX_INTEGER_CLASSES = 20
_ROUNDING = 1e-12  # of the largest value; a grid of 2048 steps must fit between two values
_LARGEST_SPREAD = 1e150  # its square is a number


def check_continuous_target(y: ArrayLike) -> NDArray:
    """Return a continuous target as float64, or say what is wrong with it.

    Raises
    ------
    DataError
        If `y` is not numeric and 1-D, has fewer than two values, is constant or not finite.
    """
    values = as_numeric_column(y)
    if values.size < 2:
        raise DataError(
            "A target needs at least two values to be divided into regions, got "
            f"n_samples={values.size}."
        )
    with np.errstate(over="ignore"):
        spread = np.ptp(values)
    # Values that differ in their last digits only, as 0.1 + 0.2 and 0.3 do, are equal.
    if spread <= _ROUNDING * np.abs(values).max():
        raise DataError(
            f"The target is constant ({values[0]:g} in all {values.size} rows): it has one class "
            "of value and no regions to tell apart."
        )
    if spread > _LARGEST_SPREAD:
        raise DataError(
            f"The target reaches from {values.min():g} to {values.max():g}, too far for its "
            "density to be computed. Rescale it, or take its logarithm."
        )
    return values


def as_numeric_column(y: ArrayLike, *, name: str = "y") -> NDArray:
    """Return a finite 1-D float64 array, or name the index and value that is not."""
    raw = np.asarray(y)
    if raw.dtype.kind == "c":
        raise DataError(f"Complex data not supported: {name} must be real, got {raw.dtype}.")
    raw = column_or_1d(raw)
    try:
        values = raw.astype(np.float64)
    except (TypeError, ValueError) as error:
        refuse_words(raw, name, error)
        raise DataError(f"{name} is not numeric: {error}.") from error
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        i = int(bad[0])
        raise DataError(
            f"{name}[{i}] is {raw[i]} ({bad.size} of {raw.size} values are NaN or infinite). "
            "Remove those rows or fill in their targets."
        )
    return values


def is_continuous(y: Any, target: str) -> bool:
    """Whether `y` is a quantity rather than a class, as the user says or by its type.

    Floating-point numbers are quantities, also whole ones such as 37.0. Integers are quantities
    when they take more than `MAX_INTEGER_CLASSES` values. Anything else is a class. Columns of
    type object are what they hold.
    """
    if target != "auto":
        return target == "continuous"
    values = np.asarray(y)
    if values.ndim > 1 and values.shape[1] > 1:
        return False
    if values.dtype.kind == "O":
        held = infer_dtype(values.ravel(), skipna=True)
        if held in ("floating", "mixed-integer-float", "decimal"):
            return True
        return held == "integer" and len(set(values.ravel().tolist())) > MAX_INTEGER_CLASSES
    if values.dtype.kind in "iu":
        return np.unique(values).size > MAX_INTEGER_CLASSES
    return values.dtype.kind == "f"
