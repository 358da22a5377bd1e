"""CoverageDisplay and ErrorByIdentityDisplay: how far predictions can be trusted."""

from typing import Any

import numpy as np
import pandas as pd

from esmlearn.exceptions import DataError
from esmlearn.plotting._style import COMMON, RARE, AxesMixin, shorten, with_unit


class CoverageDisplay(AxesMixin):
    """Share of targets that lie in their prediction sets, in all and in each part of the data.

    Use `from_report`.

    Parameters
    ----------
    table : DataFrame
        Columns ``nominal``, ``coverage``, ``low`` and ``high``; the index names the parts.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from esmlearn.conformal import coverage_report
    >>> from esmlearn.plotting import CoverageDisplay
    >>> table = coverage_report([37, 60, 91], [[30, 40], [50, 70], [40, 80]], regions=[85])
    >>> CoverageDisplay.from_report(table).ax_.get_xlabel()
    'Targets in their set (share)'
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table

    @classmethod
    def from_report(cls, table: pd.DataFrame, *, ax: Any = None) -> "CoverageDisplay":
        """Draw a table of `esmlearn.conformal.coverage_report`.

        Parameters
        ----------
        table : DataFrame
            The table.
        ax : matplotlib axes, default=None
            Where to draw.

        Returns
        -------
        display : CoverageDisplay
            The drawn display.
        """
        _check_columns(table, ("nominal", "coverage", "low", "high", "count"))
        return cls(table).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> "CoverageDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        self : CoverageDisplay
            With ``ax_`` and ``figure_``.
        """
        table = self.table[self.table["count"] > 0]
        ax = self._start(ax, size=(6.0, 1.2 + 0.3 * len(table)))
        place = np.arange(len(table))
        nominal = table["nominal"].to_numpy(dtype=float)
        found = table["coverage"].to_numpy(dtype=float)
        reaches = table["high"].to_numpy(dtype=float) >= nominal
        bars = np.abs(table[["low", "high"]].to_numpy(dtype=float).T - found)
        for rows, tint, face in ((reaches, COMMON, COMMON), (~reaches, RARE, "none")):
            ax.errorbar(
                found[rows],
                place[rows],
                xerr=bars[:, rows],
                fmt="o",
                color=tint,
                markerfacecolor=face,
                capsize=3,
            )
        ax.plot(nominal, place, color="0.5", linestyle="--", linewidth=1)
        names = [
            f"{shorten(part, 34)} ({count:,})"
            for part, count in zip(table.index, table["count"], strict=True)
        ]
        ax.set_yticks(place, names)
        ax.invert_yaxis()
        ax.set_xlabel("Targets in their set (share)")
        return self


class ErrorByIdentityDisplay(AxesMixin):
    """Error of predictions by the distance of the protein from training.

    Use `from_table`.

    Parameters
    ----------
    table : DataFrame
        One row per bin of the nearest training protein's identity: ``identity_low``,
        ``identity_high``, ``count``, ``error``, ``low`` and ``high``.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import pandas as pd
    >>> from esmlearn.plotting import ErrorByIdentityDisplay
    >>> table = pd.DataFrame(
    ...     {"identity_low": [0, 0.3], "identity_high": [0.3, 1], "count": [90, 30],
    ...      "error": [12.0, 8.0], "low": [11.0, 6.5], "high": [13.0, 9.5]})
    >>> display = ErrorByIdentityDisplay.from_table(table, unit="°C")
    >>> [label.get_text().split()[0] for label in display.ax_.get_xticklabels()]
    ['none', '30-100']
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table

    @classmethod
    def from_table(
        cls,
        table: pd.DataFrame,
        *,
        name: str = "Mean absolute error",
        unit: str | None = None,
        ax: Any = None,
    ) -> "ErrorByIdentityDisplay":
        """Draw a table of errors by identity, as `Study` keeps it in ``reliability_.errors``.

        Parameters
        ----------
        table : DataFrame
            The table.
        name : str, default="Mean absolute error"
            What the error is.
        unit : str or None, default=None
            Its unit.
        ax : matplotlib axes, default=None
            Where to draw.

        Returns
        -------
        display : ErrorByIdentityDisplay
            The drawn display.
        """
        _check_columns(table, ("identity_low", "identity_high", "count", "error", "low", "high"))
        return cls(table).plot(name=name, unit=unit, ax=ax)

    def plot(
        self, *, name: str = "Mean absolute error", unit: str | None = None, ax: Any = None
    ) -> "ErrorByIdentityDisplay":
        """Draw the display.

        Parameters
        ----------
        name : str, default="Mean absolute error"
            What the error is.
        unit : str or None, default=None
            Its unit.
        ax : matplotlib axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        self : ErrorByIdentityDisplay
            With ``ax_`` and ``figure_``.
        """
        ax, table = self._start(ax), self.table
        place, found = np.arange(len(table)), table["error"].to_numpy(dtype=float)
        bars = np.abs(table[["low", "high"]].to_numpy(dtype=float).T - found)
        ax.bar(place, found, color=COMMON, width=0.6)
        ax.errorbar(place, found, yerr=bars, fmt="none", color="0.5", capsize=4)
        names = [
            f"{'none' if low == 0 else f'{low * 100:.0f}-{high * 100:.0f} %'}\n{count:,.0f}"
            for low, high, count in table[["identity_low", "identity_high", "count"]].to_numpy()
        ]
        ax.set_xticks(place, names)
        ax.set(
            xlabel="Identity of the nearest training protein; number",
            ylabel=with_unit(name, unit),
        )
        return self


def _check_columns(table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        raise DataError(
            f"the table lacks the column {missing[0]!r}; expected {', '.join(columns)}."
        )
