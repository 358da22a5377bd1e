"""SequenceAndCovariates: embeddings beside other columns of a table, each block with its weight."""

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context, clone
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.validation import check_is_fitted

from esmlearn.exceptions import DataError
from esmlearn.utils._sequence_column import SEQUENCE, column_names
from esmlearn.utils._sequences import as_items

MISSING = "missing"
_N_PIECES = 6
_LEAST_SHARE = 0.01  # of the rows; rarer categories share a column


class SequenceAndCovariates(TransformerMixin, BaseEstimator):
    """Turn a table of proteins into features: embeddings, numbers and categories.

    Embeddings are standardised. A number becomes a linear spline of six pieces of equal length
    (missing ones are the median), a category a column of zeros and ones (rare ones share a column),
    and both are standardised, too. One column would drown among hundreds of an embedding: the
    covariates are multiplied by the weight that gives them, together, the variance of the embedding
    in the training rows, as multiple factor analysis weighs its blocks [1]_.

    Parameters
    ----------
    embedder : transformer or None
        Takes sequences. None leaves the sequences out.
    numbers : sequence of str, default=()
        Columns of numbers, also as text.
    categories : sequence of str, default=()
        Columns of categories.

    Attributes
    ----------
    embedder_ : transformer or None
        The fitted embedder.
    weight_ : float
        What covariates are multiplied by.

    References
    ----------
    .. [1] Escofier, B. & Pagès, J. Multiple factor analysis (AFMULT package). Comput. Stat. Data
       Anal. 18, 121-140 (1994).

    Examples
    --------
    >>> import pandas as pd
    >>> from esmlearn.study import SequenceAndCovariates
    >>> table = pd.DataFrame({"ogt": ["37", "60", None], "organism": ["a", "b", "a"]})
    >>> columns = SequenceAndCovariates(None, numbers=["ogt"], categories=["organism"])
    >>> columns.fit(table, [40.0, 70.0, 38.0]).transform(table).shape
    (3, 8)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "embedder": [HasMethods(["fit", "transform"]), None],
        "numbers": [list, tuple],
        "categories": [list, tuple],
    }

    def __init__(
        self,
        embedder: Any,
        *,
        numbers: Sequence[str] = (),
        categories: Sequence[str] = (),
    ) -> None:
        self.embedder = embedder
        self.numbers = numbers
        self.categories = categories

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn scales, categories and the weight.

        Parameters
        ----------
        X : table
            With the column ``sequence`` (unless `embedder` is None) and the covariates.
        y : array-like of shape (n_rows,), default=None
            Targets, for the embedder.

        Returns
        -------
        self : SequenceAndCovariates

        Raises
        ------
        DataError
            If a column is missing, or a cell of a column of numbers holds none.
        """
        table = self._table(X)
        columns = table[list(self.numbers)].to_numpy(dtype=float).T
        self.medians_ = np.array([_median(column) for column in columns])
        numbers = self._numbers(table)
        low, high = numbers.min(axis=0, initial=np.inf), numbers.max(axis=0, initial=-np.inf)
        self.knots_ = np.linspace(low, high, _N_PIECES + 1)[1:-1]
        self.encoder_ = OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            min_frequency=max(2, round(_LEAST_SHARE * len(table))),
            sparse_output=False,
        ).fit(table[list(self.categories)])
        self.covariate_scaler_ = StandardScaler()
        covariates = self.covariate_scaler_.fit_transform(self._covariates(table))
        self.embedder_, self.weight_ = None, 1.0
        if self.embedder is not None:
            self.embedder_ = clone(self.embedder).fit(table[SEQUENCE].tolist(), y)
            embedded = self.embedder_.transform(table[SEQUENCE].tolist())
            self.scaler_ = StandardScaler()
            pair = self.scaler_.fit_transform(embedded), covariates
            variance, of_covariates = (float(block.var(axis=0).sum()) for block in pair)
            self.weight_ = float(np.sqrt(variance / of_covariates)) if of_covariates else 1.0
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Return the features.

        Parameters
        ----------
        X : table
            With the columns of `fit`.

        Returns
        -------
        features : ndarray of shape (n_rows, n_features)
            Embeddings, then covariates.

        Raises
        ------
        DataError
            As `fit`.
        """
        check_is_fitted(self)
        table = self._table(X)
        covariates = self.weight_ * self.covariate_scaler_.transform(self._covariates(table))
        if self.embedder_ is None:
            return covariates
        embedded = self.embedder_.transform(table[SEQUENCE].tolist())
        return np.hstack([self.scaler_.transform(embedded), covariates])

    def _numbers(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """Return the columns of numbers, with the median where one is missing."""
        numbers = table[list(self.numbers)].to_numpy(dtype=float)
        return np.where(np.isnan(numbers), self.medians_, numbers)

    def _covariates(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """Return the columns of numbers and of categories, before scaling."""
        numbers = self._numbers(table)
        blocks = [numbers, *(np.maximum(numbers - knots, 0) for knots in self.knots_)]
        if self.categories:
            with warnings.catch_warnings():  # a new category is one of the rare ones
                warnings.filterwarnings("ignore", message="Found unknown categories")
                blocks.append(self.encoder_.transform(table[list(self.categories)]))
        return np.hstack(blocks)

    def _table(self, X: Any) -> pd.DataFrame:
        """Return the columns that are used, numbers as numbers."""
        names = column_names(X)
        wanted = [*self.numbers, *self.categories]
        wanted += [] if self.embedder is None else [SEQUENCE]
        if names is None:
            raise DataError(
                f"X is of type {type(X).__name__}; expected a table with the column(s) "
                f"{', '.join(wanted)}."
            )
        for name in wanted:
            if name not in names:
                raise DataError(
                    f"X has no column {name!r}; expected the column(s) {', '.join(wanted)}, as in "
                    f"training."
                )
        columns = {name: pd.Series(as_items(X[name], name), dtype=object) for name in wanted}
        for name in self.numbers:
            columns[name] = numbers_of(columns[name], name)
        for name in self.categories:
            column = columns[name]
            columns[name] = column.where(column.notna(), MISSING).astype(str)
        return pd.DataFrame(columns)


def _median(column: NDArray) -> float:
    known = column[~np.isnan(column)]
    return float(np.median(known)) if len(known) else 0.0


def numbers_of(column: pd.Series, name: str) -> pd.Series:
    """Return a column of numbers, or name the cell that holds none; missing ones stay missing."""
    values = pd.to_numeric(column, errors="coerce").astype(float)
    bad = np.flatnonzero((values.isna() & column.notna()) | np.isinf(values))
    if len(bad):
        row = int(bad[0])
        raise DataError(
            f"X[{name!r}][{row}] is {column.iloc[row]!r}; expected a finite number, as in the "
            f"rest of that column. Correct the cell, or leave it empty."
        )
    return values


def read_covariates(X: Any, names: Sequence[str]) -> pd.DataFrame:
    """Return columns of a table: as float where all cells are numbers, else as text.

    Parameters
    ----------
    X : table
        The table.
    names : sequence of str
        Columns.

    Returns
    -------
    covariates : pandas.DataFrame
        In the order of `names`; missing cells are NaN, or None.

    Raises
    ------
    DataError
        If X is no table, a column is not there or empty, or is that of the sequences.
    """
    known = column_names(X)
    if known is None:
        raise DataError(
            f"features are {list(names)!r} and the proteins of type {type(X).__name__}; expected a "
            f"table with these columns."
        )
    columns: dict[str, pd.Series] = {}
    for name in names:
        if name not in known or name == SEQUENCE:
            raise DataError(
                f"features has {name!r}; expected columns of the table beside {SEQUENCE!r}: "
                f"{', '.join(n for n in known if n != SEQUENCE)}."
            )
        column = pd.Series(as_items(X[name], name), dtype=object)
        column = column.where(column.notna(), None)
        if column.isna().all():
            raise DataError(f"The column {name!r} is empty; expected numbers or categories.")
        values = pd.to_numeric(column, errors="coerce").astype(float)
        is_number = bool((np.isfinite(values) | column.isna()).all())
        columns[name] = values if is_number else column.where(column.isna(), column.astype(str))
    return pd.DataFrame(columns)


def kinds_of(covariates: pd.DataFrame | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which columns are numbers, and which categories."""
    if covariates is None:
        return (), ()
    numbers = tuple(covariates.select_dtypes("number"))
    return numbers, tuple(name for name in covariates if name not in numbers)


def covariates_of(model: Any) -> list[str]:
    """Return the columns that a fitted model takes beside the sequence."""
    for part in (model, getattr(model, "estimator_", None)):
        part = getattr(part, "best_estimator_", part)
        for _, step in getattr(part, "steps", []):
            if isinstance(step, SequenceAndCovariates):
                return [*step.numbers, *step.categories]
    return []


def describe_covariates(covariates: pd.DataFrame) -> dict[str, str]:
    """Return what each column is, for reports."""
    numbers, _ = kinds_of(covariates)
    described = {}
    for name in covariates:
        column = covariates[name]
        if name in numbers:
            what = f"number from {column.min():g} to {column.max():g}"
        else:
            what = f"{column.nunique()} categories"
        described[str(name)] = f"{what}, {int(column.isna().sum())} missing"
    return described
