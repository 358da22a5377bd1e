"""Checks of numbers that name the offending index."""

from typing import Any

import numpy as np
from scipy import sparse

from esmlearn.exceptions import DataError

__all__ = ["check_finite"]

_REMEDY = {
    "X": "Remove or impute it (SimpleImputer).",
    "y": "Remove rows without a measured target.",
}


def check_finite(array: Any, name: str) -> None:
    """Raise a DataError that names the first element that is NaN or infinite.

    Parameters
    ----------
    array : ndarray or sparse matrix
        Of any shape and a float dtype; other dtypes pass, and so do sparse matrices.
    name : str
        How to call it in the message.
    """
    if array.dtype.kind != "f" or sparse.issparse(array):
        return
    # A finite sum proves that all are finite, and costs no temporary array. One of many large
    # values may be too large for a small type, in which it takes half the time.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum()) or np.isfinite(array.sum(dtype=np.float64)):
            return
    bad = np.argwhere(~np.isfinite(array))
    if len(bad) == 0:
        return
    index = tuple(int(i) for i in bad[0])
    value = array[index]
    shown = "NaN" if np.isnan(value) else "inf" if value > 0 else "-inf"
    where = ", ".join(map(str, index))
    too_large = "" if np.isnan(value) else f" (infinity or too large for {array.dtype})"
    remedy = _REMEDY[name[0]]
    raise DataError(
        f"{name}[{where}] is {shown}{too_large}, the first of {len(bad)} such value(s); expected "
        f"finite numbers. {remedy}"
    )
