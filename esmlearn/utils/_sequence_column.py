"""Find the column of sequences in a table: pandas, polars or pyarrow."""

from typing import Any

from esmlearn.exceptions import DataError
from esmlearn.utils._sequences import as_items, check_sequences, is_sequence_like, scan_sequences

#: The column that a table of proteins usually has.
SEQUENCE = "sequence"
_SHOWN = 10


def column_names(X: Any) -> list[str] | None:
    """Return the names of a table's columns; None where X is no table."""
    if hasattr(X, "column_names"):  # pyarrow
        return list(X.column_names)
    names = getattr(X, "columns", None)
    return None if names is None or not hasattr(X, "__getitem__") else list(names)


def table_sequences(X: Any, column: str | None = None, *, name: str = "X") -> list[str] | None:
    """Return the sequences of a table; None where X is no table of several columns.

    Parameters
    ----------
    X : object
        Anything.
    column : str or None, default=None
        Column of the sequences. None takes the one that is called ``"sequence"``, else the only
        one that holds protein sequences alone.
    name : str, default="X"
        How to call `X` in messages.

    Returns
    -------
    sequences : list of str or None
        Upper-case sequences.

    Raises
    ------
    DataError
        If the column is not there, holds something else, or cannot be told from others.
    """
    names = column_names(X)
    if names is None:
        if column is not None:
            raise DataError(
                f"sequence_column is {column!r} and {name} is of type {type(X).__name__}, without "
                f"names of columns; expected a table. Leave sequence_column out."
            )
        return None
    if column is None:
        if len(names) == 1 and is_sequence_like(X):
            return None  # as any other column
        column = SEQUENCE if SEQUENCE in names else _only_candidate(X, names, name)
    elif column not in names:
        raise DataError(
            f"{name} has no column {column!r}; expected one of {_listed(names)} as sequence_column."
        )
    return check_sequences(X[column], name=f"{name}[{column!r}]")


def read_sequences(
    X: Any, column: str | None = None, *, name: str = "X", min_sequences: int = 1
) -> list[str]:
    """Return the sequences of a table, as `table_sequences`, or of any other container."""
    found = table_sequences(X, column, name=name)
    return check_sequences(X, name=name, min_sequences=min_sequences) if found is None else found


def sequence_columns(X: Any) -> list[str]:
    """Return the columns of a table that hold protein sequences alone; none of what is no table."""
    names = column_names(X) or []
    return [name for name in names if is_sequence_like(X[name]) and _all_proteins(X[name])]


def _all_proteins(values: Any) -> bool:
    items = as_items(values, "X")
    return all(isinstance(item, str) for item in items) and scan_sequences(items) is not None


def _only_candidate(X: Any, names: list[str], name: str) -> str:
    found = sequence_columns(X)
    if len(found) == 1:
        return found[0]
    which = f"{_listed(found)} hold" if found else f"none of {_listed(names)} holds"
    raise DataError(
        f"{name} is a table without a column 'sequence', and {which} nothing but protein "
        f"sequences; expected one such column. Name it by sequence_column=, or pass the sequences "
        f"as groups=."
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} others" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more
