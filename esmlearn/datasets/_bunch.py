"""A table of labelled proteins, packed the scikit-learn way."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch


def make_bunch(
    frame: pd.DataFrame, path: Path, descr: str, *, return_X_y: bool, as_frame: bool
) -> Bunch | tuple[Any, Any]:
    """Pack a table with the columns id, sequence and target the scikit-learn way."""
    frame = frame.reset_index(drop=True)
    dtype = float if pd.api.types.is_numeric_dtype(frame["target"]) else object
    data: Any = frame["sequence"] if as_frame else frame["sequence"].to_numpy(dtype=object)
    target: Any = frame["target"] if as_frame else frame["target"].to_numpy(dtype=dtype)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        ids=frame["id"].to_numpy(dtype=object),
        frame=frame,
        feature_names=["sequence"],
        target_names=sorted(np.unique(target)) if dtype is object else ["target"],
        DESCR=descr,
        filename=str(path),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
