"""Distinguish measurements from classes, and find rows whose target or group cannot be used."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from esmlearn.exceptions import DataError

# A number with more distinct values than this is a measurement, even where all values are whole.
MAX_NUMERIC_CLASSES = 20


def is_continuous(y: NDArray[Any]) -> bool:
    """Return whether a target is a measurement rather than a set of classes.

    A number is a measurement if any value is not whole or if more than 20 values are distinct.
    """
    if y.dtype.kind not in "iuf":
        return False
    if y.dtype.kind == "f" and not np.equal(np.mod(y, 1), 0).all():
        return True
    return len(np.unique(y)) > MAX_NUMERIC_CLASSES


def check_no_missing(y: Any, name: str, *, what: str = "class") -> None:
    """Raise a DataError that names the first row whose class or group is None, NaN or NA."""
    if sparse.issparse(y):  # a matrix of labels
        return
    values = np.atleast_1d(np.asarray(y))
    missing = np.flatnonzero(pd.isna(values).reshape(len(values), -1).any(axis=1))
    if missing.size:
        i = int(missing[0])
        raise DataError(
            f"{name}[{i}] is {values[i]}, the first of {missing.size} such value(s); expected the "
            f"{what} of every row. Remove rows without a {what} first."
        )


def refuse_words(y: Any, name: str, error: Exception, *, otherwise: str = "") -> None:
    """Raise the error that names the first value that is text and no number, if there is one."""
    for index, value in enumerate(np.ravel(np.asarray(y, dtype=object)).tolist()):
        try:
            float(value if isinstance(value, str) else 0)
        except ValueError:
            raise DataError(
                f"{name}[{index}] is {value!r}; expected numbers. Correct or remove it{otherwise}."
            ) from error
