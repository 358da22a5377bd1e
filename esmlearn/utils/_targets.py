"""Tell measurements from classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# A number with more distinct values than this is a measurement, even where all values are whole.
MAX_NUMERIC_CLASSES = 20


def is_continuous(y: NDArray[Any]) -> bool:
    """Tell whether a target is a measurement rather than a set of classes.

    A number is a measurement if any value is not whole or if more than 20 values are distinct.
    """
    if y.dtype.kind not in "iuf":
        return False
    if y.dtype.kind == "f" and not np.equal(np.mod(y, 1), 0).all():
        return True
    return len(np.unique(y)) > MAX_NUMERIC_CLASSES
