"""FoldsDisplay and LeakageDisplay: how a data set was cut, and what leaks through the cut."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from esmlearn.exceptions import DataError
from esmlearn.plotting._style import (
    SEQUENTIAL,
    AxesMixin,
    colour,
    marker,
    plain,
    region_names,
    region_of,
    shorten,
)
from esmlearn.utils._optional import import_optional
from esmlearn.utils._parts import SET_ASIDE


class FoldsDisplay(AxesMixin):
    """Size of the test folds, and what each is made of.

    Use `from_folds` or `from_splitter`.

    Parameters
    ----------
    table : pandas.DataFrame of shape (n_folds, n_parts)
        Test rows of each fold in each region or class.

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
    >>> from esmlearn.plotting import FoldsDisplay
    >>> display = FoldsDisplay.from_folds([0, 0, 1, 1], [30.0, 70.0, 40.0, 80.0], regions=[60.0])
    >>> display.table.to_numpy().tolist()
    [[1, 1], [1, 1]]
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table

    @classmethod
    def from_folds(
        cls,
        folds: Any,
        y: Any = None,
        *,
        regions: Any = None,
        ax: Any = None,
        unit: str | None = None,
    ) -> "FoldsDisplay":
        """Draw a table of folds.

        Parameters
        ----------
        folds : array-like of int of shape (n_samples,)
            Test fold of each row; rows below 0, or ``"set_aside"`` in folds that are text (never
            tested), are left out.
        y : array-like of shape (n_samples,), default=None
            Targets.
        regions : TargetRegions, array-like or None, default=None
            Fitted regions or inner edges of a continuous target.
        ax : matplotlib axes, default=None
            Where to draw.
        unit : str or None, default=None
            Unit of the target.

        Returns
        -------
        display : FoldsDisplay
            The drawn display.
        """
        folds, tested = _check_folds(folds)
        if y is None:
            parts, names = np.zeros(len(folds), int), ["rows"]
        elif regions is not None:
            parts, names = region_of(regions, y), region_names(regions, unit)
        else:
            classes, parts = np.unique(np.asarray(y), return_inverse=True)
            names = [str(c) for c in classes]
        if len(parts) != len(folds):
            raise DataError(
                f"folds has {len(folds)} rows and y has {len(parts)}; expected as many."
            )
        table = pd.crosstab(folds[tested], parts[tested])
        table = table.reindex(columns=range(len(names)), fill_value=0)
        table.columns, table.index.name = pd.Index(names), "fold"
        return cls(table).plot(ax=ax)

    @classmethod
    def from_splitter(cls, splitter: Any, X: Any, y: Any = None, **options: Any) -> "FoldsDisplay":
        """Split and draw.

        Parameters
        ----------
        splitter : cross-validator
            Such as `esmlearn.model_selection.CDHitGroupSplitter`.
        X : array-like
            What it splits.
        y : array-like of shape (n_samples,), default=None
            Targets.
        **options : dict
            Passed to `from_folds`.

        Returns
        -------
        display : FoldsDisplay
            The drawn display.
        """
        folds = np.full(len(X), -1)
        for number, (_, test) in enumerate(splitter.split(X, y)):
            folds[test] = number
        return cls.from_folds(folds, y, **options)

    def plot(self, *, ax: Any = None) -> "FoldsDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        self : FoldsDisplay
            With ``ax_`` and ``figure_``.
        """
        n_parts = self.table.shape[1]
        # Below the axes, a legend of many classes needs the height that it takes.
        ax = self._start(ax, size=(5.0, 3.6 if n_parts <= 6 else 3.6 + 0.1 * n_parts))
        pyplot = import_optional("matplotlib.pyplot", extra="plot", purpose="Plotting")
        colours = pyplot.get_cmap(SEQUENTIAL)(np.linspace(0, 1, max(n_parts, 2)))
        left = np.zeros(len(self.table))
        positions = np.arange(len(self.table))
        for index, name in enumerate(self.table.columns):
            counts = self.table[name].to_numpy()
            tint = colour(0) if n_parts == 1 else colours[index]
            ax.barh(positions, counts, left=left, color=tint, label=shorten(name, 18))
            left += counts
        ax.set_yticks(positions, [f"fold {shorten(fold)}" for fold in self.table.index])
        ax.invert_yaxis()
        ax.set_xlabel("Test rows")
        if n_parts > 1:
            ax.legend(
                frameon=False,
                fontsize="x-small",
                ncols=2,
                loc="upper center",
                bbox_to_anchor=(0.5, -0.18),
            )
        return self


def _check_folds(folds: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the fold of each row, and which rows are tested at all."""
    try:
        labels = np.asarray(folds)
    except ValueError as error:
        raise _no_folds(f"a {type(folds).__name__} of parts") from error
    if labels.ndim != 1:
        raise _no_folds(f"of shape {labels.shape}")
    if labels.dtype.kind in "iuf":
        return labels, labels >= 0
    labels = labels.astype(str)
    return labels, ~np.isin(labels, (SET_ASIDE, "-1"))


def _no_folds(got: str) -> DataError:
    return DataError(
        f"folds is {got}; expected the test fold of each row. Pass a splitter to "
        f"FoldsDisplay.from_splitter."
    )


class LeakageDisplay(AxesMixin):
    """Share of the test rows with a relative in their training part, split beside split.

    Use `from_shares`.

    Parameters
    ----------
    shares : mapping of str to array-like of float
        Per split, the leaking share (0 to 1) of each fold.

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
    >>> from esmlearn.plotting import LeakageDisplay
    >>> display = LeakageDisplay.from_shares({"random": [0.6, 0.7], "homology": [0.0, 0.01]})
    >>> [round(x, 3) for x in display.means()]
    [0.65, 0.005]
    """

    def __init__(self, shares: Mapping[str, Any]) -> None:
        self.shares = shares

    @classmethod
    def from_shares(cls, shares: Mapping[str, Any], *, ax: Any = None) -> "LeakageDisplay":
        """Draw leaking shares.

        Parameters
        ----------
        shares : mapping of str to array-like of float, float or LeakageReport
            Per split, the leaking share (0 to 1) of each fold, or what `audit_leakage` returned, of
            which the shares by definition A are drawn.
        ax : matplotlib axes, default=None
            Where to draw.

        Returns
        -------
        display : LeakageDisplay
            The drawn display.
        """
        shares = {name: _shares_of(values) for name, values in shares.items()}
        for name, values in shares.items():
            if values.size == 0 or not ((values >= 0) & (values <= 1)).all():
                raise DataError(f"shares[{name!r}] is {values}; expected shares between 0 and 1.")
        return cls(shares).plot(ax=ax)

    def means(self) -> list[float]:
        """Return the mean share of each split.

        Returns
        -------
        means : list of float
            In the order of `shares`.
        """
        return [float(np.mean(values)) for values in self.shares.values()]

    def plot(self, *, ax: Any = None) -> "LeakageDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        self : LeakageDisplay
            With ``ax_`` and ``figure_``.
        """
        ax = self._start(ax, size=(5.0, 1.2 + 0.55 * len(self.shares)))
        for position, (name, values) in enumerate(self.shares.items()):
            mean = float(np.mean(values))
            ax.barh(position, 100 * mean, color=colour(position), label=plain(name), height=0.6)
            ax.plot(
                100 * np.asarray(values, dtype=float),
                np.full(len(values), position),
                marker(0),
                color="0.5",
                markersize=4,
            )
            top = 100 * max(mean, *np.asarray(values, dtype=float).tolist())
            ax.annotate(
                f"{mean:.1%}",
                (top, position),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
            )
        ax.set_yticks(range(len(self.shares)), [shorten(name, 30) for name in self.shares])
        ax.invert_yaxis()
        ax.set_xlim(0, 115)
        ax.set_xticks(range(0, 101, 20))
        ax.set_xlabel("Test proteins with a relative in training (%)\ndots: folds")
        return self


def _shares_of(values: Any) -> np.ndarray:
    """Return the share of each fold."""
    if hasattr(values, "table"):
        values = values.table["A"].to_numpy()[:-1]  # the last row sums up
    return np.atleast_1d(np.asarray(values, dtype=float))
