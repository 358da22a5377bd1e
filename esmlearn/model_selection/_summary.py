"""A splitter's account of itself: one line per fold."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from esmlearn.model_selection._strata import Strata

Pair = tuple[NDArray[np.intp], NDArray[np.intp]]


def summarize(
    pairs: list[Pair], n_rows: int, n_set_aside: list[int], strata: Strata, y: Any
) -> Any:
    """Return a table with one line per split.

    Parameters
    ----------
    pairs : list of (train, test)
        Row indices.
    n_rows : int
        Number of rows in all.
    n_set_aside : list of int
        For each split, the rows that are in no fold of its plan.
    strata : Strata
        One stratum per row.
    y : array-like or None
        The target; its mean is shown where it is a number.

    Returns
    -------
    table : pandas.DataFrame
        Columns fold, n_train, n_test, n_purged, share_<stratum> (of the test rows; only with more
        than one stratum), target_mean (only for a numeric target).
    """
    numeric = _numeric_target(y)
    lines = []
    for fold, (train, test) in enumerate(pairs):
        line: dict[str, Any] = {
            "fold": fold,
            "n_train": len(train),
            "n_test": len(test),
            "n_purged": n_rows - len(train) - len(test) - n_set_aside[fold],
        }
        if strata.n_strata > 1:
            shares = np.bincount(strata.codes[test], minlength=strata.n_strata) / max(len(test), 1)
            line |= {f"share_{name}": s for name, s in zip(strata.names, shares, strict=True)}
        if numeric is not None:
            line["target_mean"] = float(np.mean(numeric[test]))
        lines.append(line)
    return pd.DataFrame(lines)


def _numeric_target(y: Any) -> NDArray[np.float64] | None:
    if y is None:
        return None
    target = np.asarray(y)
    return target.astype(float) if target.dtype.kind in "iuf" and target.ndim == 1 else None
