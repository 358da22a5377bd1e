"""Give resampled rows back in the kind of container in which the user brought them."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse


def float_types(X: Any) -> list[type]:
    """Types in which features may be computed; scikit-learn cannot see those of a polars frame."""
    if _is_polars(X) and {str(dtype) for dtype in X.dtypes} == {"Float32"}:
        return [np.float32]
    return [np.float64, np.float32, np.float16]


def restore_features(X: Any, like: Any, *, copies_only: bool) -> Any:
    """Put a feature matrix into the container of `like`: list, array, pandas, polars or sparse.

    Columns keep their dtypes; integer columns become floats where rows were interpolated.
    """
    if isinstance(like, list):
        return X.tolist()
    if isinstance(like, pd.DataFrame):
        frame = (
            pd.DataFrame.sparse.from_spmatrix(X, columns=like.columns)
            if sparse.issparse(X)
            else pd.DataFrame(X, columns=like.columns)
        )
        kept = {
            name: dtype
            for name, dtype in like.dtypes.items()
            if copies_only or pd.api.types.is_float_dtype(dtype)
        }
        return frame.astype(kept)
    if _is_polars(like):
        frame = type(like)(X, schema=like.columns)
        kept = {
            name: dtype for name, dtype in like.schema.items() if copies_only or dtype.is_float()
        }
        return frame.cast(kept)
    return X


def restore_target(y: NDArray, like: Any, X: Any = None) -> Any:
    """Put a target into the container of `like`; a pandas target gets the index of `X`."""
    index = X.index if isinstance(X, pd.DataFrame) else None
    if isinstance(like, list):
        return y.tolist()
    if isinstance(like, pd.Series):
        dtype = like.dtype if isinstance(like.dtype, pd.CategoricalDtype) else None
        return pd.Series(y, name=like.name, index=index, dtype=dtype)
    if isinstance(like, pd.DataFrame):
        return pd.DataFrame(y, columns=like.columns, index=index)
    if _is_polars(like):
        if hasattr(like, "columns"):
            return type(like)(y.reshape(len(y), -1), schema=like.columns)
        return type(like)(like.name, y)
    return y


def stack_rows(X: Any, new: list[Any]) -> Any:
    """Append blocks of rows to a dense or sparse matrix, keeping its dtype and format."""
    if sparse.issparse(X):
        return sparse.vstack([X, *new], format=X.format, dtype=X.dtype)
    if not new:
        return X.copy()
    stacked = np.empty((len(X) + sum(map(len, new)), X.shape[1]), dtype=X.dtype)
    np.concatenate([X, *new], out=stacked, casting="same_kind")
    return stacked


def _is_polars(container: Any) -> bool:
    return type(container).__module__.split(".")[0] == "polars"
