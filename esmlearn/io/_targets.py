"""Targets: numbers or classes, decided by all of a column and never in silence."""

import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from esmlearn.exceptions import DataError
from esmlearn.utils._warn import warn

Task = Literal["auto", "regression", "classification"]
Decimal = Literal[".", ","]
Censored = Literal["refuse", "drop", "bound"]

#: Words for "not measured", in a column whose other cells are numbers.
_MISSING = {"NA", "N/A", "NaN", "nan", "null"}
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[iI]nf)", re.ASCII)
_LIKE_A_NUMBER = re.compile(r"\W*\d")  # also behind signs, currencies and brackets
_BOUND = re.compile(r"\s*[<>≤≥]=?(.*)", re.DOTALL)
_SWAP = str.maketrans(".,", ",.")
_FEWEST = 8  # distinct values, below which nothing lies far from the rest


class Target(NamedTuple):
    """A target that was checked.

    Attributes
    ----------
    y : ndarray of shape (n_sequences,)
        Float for regression, NumPy's str for classification.
    task : {"regression", "classification"}
        What it is.
    reason : str
        Why, in words.
    """

    y: np.ndarray
    task: str
    reason: str


def check_target(
    y: Any, *, task: Task = "auto", decimal: Decimal = ".", ids: Any = None, name: str = "y"
) -> tuple[np.ndarray, str]:
    """Validate targets and tell what they are.

    Parameters
    ----------
    y : array-like of shape (n_sequences,)
        Numbers, also as text, or class names.
    task : {"auto", "regression", "classification"}, default="auto"
        As in `read_proteins`.
    decimal : {".", ","}, default="."
        Decimal sign of numbers that are text.
    ids : array-like of str or None, default=None
        Named in messages.
    name : str, default="y"
        How to call the target in messages.

    Returns
    -------
    y : ndarray of shape (n_sequences,)
        Float for regression, NumPy's str for classification.
    task : {"regression", "classification"}
        What it is.

    Raises
    ------
    DataError
        If a target is missing, not finite, no number where one is needed, all are equal, or most
        begin with a number without being one (``30,5``, ``30-40``, ``>60``).

    Warns
    -----
    UserWarning
        If one number lies so far from all others that it may stand for a missing value.

    Examples
    --------
    >>> from esmlearn.io import check_target
    >>> check_target([1.5, 2.5, 7.0])[1], check_target(["Nucleus", "Membrane"])[1]
    ('regression', 'classification')
    >>> check_target(["30,5", "41,0", "60,5"], decimal=",")[0]
    array([30.5, 41. , 60.5])
    """
    values = np.asarray(y, dtype=object) if not isinstance(y, pd.Series) else y
    column = pd.Series(values).reset_index(drop=True)
    return decide_target(column, task=task, decimal=decimal, ids=ids, name=name)[:2]


def decide_target(
    column: pd.Series,
    *,
    task: Task,
    decimal: Decimal = ".",
    ids: Any = None,
    name: str = "y",
    sentinels: bool = True,
) -> Target:
    """Return a checked target; the index of the column holds the numbers of its rows."""
    if task not in ("auto", "regression", "classification"):
        raise DataError(f"task is {task!r}; expected 'auto', 'regression' or 'classification'.")
    rows = column.index.to_numpy()
    cells = column.tolist()
    numbers = parse_numbers(cells, decimal)

    def label(i: int) -> str:
        return f"{name}: row {rows[i]}" + ("" if ids is None else f" (id {ids[i]!r})")

    missing = column.isna().to_numpy(dtype=bool)
    words = np.array([isinstance(cell, str) and cell.strip() in _MISSING for cell in cells], bool)
    present = ~missing & ~words
    n_numbers = int((~np.isnan(numbers[present])).sum())
    found, reason = _choose(cells, numbers, present, task, decimal, label)
    if found == "regression" or (0 < present.sum() == n_numbers):
        missing = missing | words
    if missing.any():
        i = int(np.flatnonzero(missing)[0])
        raise DataError(
            f"{label(i)} has no value ({missing.sum()} such row(s)); remove these rows or fill "
            f"them."
        )
    n_distinct = column.nunique()
    if n_distinct < 2:
        raise DataError(
            f"{name}: all {len(cells)} values are {_show(cells[0])}; expected at least two "
            f"different ones, there is nothing to learn."
        )
    if found == "classification":
        if n_distinct > len(cells) / 2 and len(cells) > 10:
            raise DataError(
                f"{name}: {n_distinct} different values in {len(cells)} rows (row {rows[0]}: "
                f"{_show(cells[0])}); expected classes that hold several proteins each."
            )
        y = column.astype(str).to_numpy(dtype=str)
        return Target(y, found, f"{reason}; {n_distinct} classes")
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise DataError(
            f"{label(bad[0])} is {_show(cells[bad[0]])} ({len(bad)} such row(s)); expected a "
            f"finite number. {_remedy(cells[bad[0]], decimal)}, or pass task='classification'."
        )
    if sentinels:
        _warn_of_sentinels(numbers, cells, label)
    return Target(numbers, found, f"{reason}; {n_distinct} distinct")


def _choose(
    cells: list[Any],
    numbers: np.ndarray,
    present: np.ndarray,
    task: Task,
    decimal: Decimal,
    label: Callable[[int], str],
) -> tuple[str, str]:
    """Return the task and why; refuse text that is meant as numbers."""
    if task != "auto":
        return task, "as asked"
    n, n_numbers = int(present.sum()), int((~np.isnan(numbers[present])).sum())
    if n and n_numbers == n and len({cells[i] for i in np.flatnonzero(present)}) == 2:
        return "classification", "the column holds two distinct values"
    # Mostly numbers means numbers: one cell of text must not turn a regression into classes.
    if n_numbers > n / 2:
        return "regression", f"{n_numbers} of {n} values are numbers"
    text = np.flatnonzero(present & np.isnan(numbers)).tolist()
    like = [i for i in text if isinstance(cells[i], str) and _LIKE_A_NUMBER.match(cells[i])]
    if len(like) > len(text) / 2:
        i = like[0]
        raise DataError(
            f"{label(i)} is {_show(cells[i])}: {len(like)} of {n} values begin with a number and "
            f"are none; expected numbers or classes. {_remedy(cells[i], decimal)}; or pass "
            f"task='classification' if these are names of classes."
        )
    return "classification", f"{n - n_numbers} of {n} values are text"


def parse_numbers(cells: list[Any], decimal: Decimal) -> np.ndarray:
    """Return cells as numbers, NaN where one is none; text must be a plainly written number."""
    if decimal not in (".", ","):
        raise DataError(f"decimal is {decimal!r}; expected '.' or ','.")
    return np.array([_parse(cell, decimal) for cell in cells], dtype=float)


def _parse(cell: Any, decimal: Decimal) -> float:
    if isinstance(cell, str):
        # With a decimal comma a point becomes the comma that no number may hold.
        text = cell.strip().translate(_SWAP) if decimal == "," else cell.strip()
        return float(text) if _NUMBER.fullmatch(text) else np.nan
    try:
        return float(cell)
    except (TypeError, ValueError):
        return np.nan


def parse_bounds(cells: list[Any], decimal: Decimal) -> np.ndarray:
    """Return the bound of each censored cell, such as 60 of ``>60``; NaN of any other."""
    found = [_BOUND.fullmatch(cell) if isinstance(cell, str) else None for cell in cells]
    return parse_numbers([None if match is None else match[1] for match in found], decimal)


def _remedy(cell: Any, decimal: Decimal) -> str:
    """Say what to do about a cell that is no number, by what it looks like."""
    if not np.isnan(_parse(cell, decimal)):  # infinite
        return "Remove the row"
    other: Decimal = "." if decimal == "," else ","
    if not np.isnan(_parse(cell, other)):
        return (
            f"Pass decimal={other!r} if that is the decimal sign, as it often is where semicolons "
            f"separate the cells; thousands separators are not read"
        )
    if not np.isnan([parse_bounds([cell], sign)[0] for sign in (decimal, other)]).all():
        return (
            "Pass censored='drop' to leave such rows out, or censored='bound' to take the bound "
            "for the value"
        )
    if isinstance(cell, str) and _LIKE_A_NUMBER.match(cell):
        return "Write one plain number, without per cent signs, units or ranges"
    return "Remove the row"


def _warn_of_sentinels(numbers: np.ndarray, cells: list[Any], label: Callable[[int], str]) -> None:
    """Warn of a smallest or largest number farther from the rest than the rest is wide."""
    values = np.unique(numbers)
    if len(values) <= _FEWEST:
        return
    for value, low, high in [
        (values[0], values[1], values[-1]),
        (values[-1], values[0], values[-2]),
    ]:
        gap = low - value if value < low else value - high
        if gap > high - low:
            where = np.flatnonzero(numbers == value)
            warn(
                f"{label(where[0])} is {_show(cells[where[0]])} ({len(where)} such row(s)), far "
                f"from all other values ({low:g} to {high:g}). If it stands for a missing value, "
                f"remove the row(s)."
            )


def _show(value: Any) -> str:
    """Return a value as the user wrote it: numbers bare, and without NumPy's type names."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return value
    return repr(value.item() if isinstance(value, np.generic) else value)
