"""TargetRegionsDisplay and RegionConfusionDisplay: a target's regions and what becomes of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from esmlearn.exceptions import DataError
from esmlearn.plotting._style import (
    COMMON,
    RARE,
    SEQUENTIAL,
    AxesMixin,
    region_edges,
    region_names,
    region_of,
    shorten,
    with_unit,
)
from esmlearn.utils._finite import check_finite


class TargetRegionsDisplay(AxesMixin):
    """Distribution of a target with its regions, the rare ones marked.

    Use `from_target`.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Targets.
    edges : ndarray of shape (n_regions - 1,) or None
        Inner edges, in units of the target; None for classes.
    rare : ndarray of bool of shape (n_regions,)
        Which regions (or sorted classes) are rare.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from esmlearn.over_sampling import TargetRegions
    >>> from esmlearn.plotting import TargetRegionsDisplay
    >>> y = np.random.default_rng(0).gamma(3, 10, 500)
    >>> regions = TargetRegions(method="edges", edges=[60]).fit(y)
    >>> display = TargetRegionsDisplay.from_target(y, regions, name="Tm", unit="°C")
    >>> display.ax_.get_xlabel()
    'Tm (°C)'
    """

    def __init__(
        self, y: np.ndarray, *, edges: np.ndarray | None = None, rare: np.ndarray | None = None
    ) -> None:
        self.y = y
        self.edges = edges
        self.rare = rare

    @classmethod
    def from_target(
        cls,
        y: Any,
        regions: Any = None,
        *,
        ax: Any = None,
        name: str = "target",
        unit: str | None = None,
    ) -> "TargetRegionsDisplay":
        """Draw the distribution of a target.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            Numbers, or class names.
        regions : TargetRegions, array-like or None, default=None
            Fitted regions or inner edges for numbers; for classes, a boolean per sorted class that
            says which are rare.
        ax : matplotlib axes, default=None
            Where to draw.
        name : str, default="target"
            What the target is.
        unit : str or None, default=None
            Its unit.

        Returns
        -------
        display : TargetRegionsDisplay
            The drawn display.
        """
        y = np.asarray(y)
        if y.dtype.kind in "fiu":
            check_finite(y, "y")
            edges = region_edges(() if regions is None else regions)
            rare = getattr(regions, "rare_", np.zeros(len(edges) + 1, bool))
            display = cls(y, edges=edges, rare=np.asarray(rare))
        else:
            n_classes = len(np.unique(y))
            marks = np.zeros(n_classes, bool) if regions is None else np.asarray(regions, bool)
            display = cls(y, rare=marks)
        return display.plot(ax=ax, name=name, unit=unit)

    def plot(
        self, *, ax: Any = None, name: str = "target", unit: str | None = None
    ) -> "TargetRegionsDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw; None makes a figure.
        name : str, default="target"
            What the target is.
        unit : str or None, default=None
            Its unit.

        Returns
        -------
        self : TargetRegionsDisplay
            With ``ax_`` and ``figure_``.
        """
        if self.edges is None:
            return self._plot_classes(ax)
        ax = self._start(ax)
        counts, bins = np.histogram(self.y, bins=min(60, max(10, int(np.sqrt(len(self.y))))))
        centres = (bins[:-1] + bins[1:]) / 2
        rare = np.asarray(self.rare)[region_of(self.edges, centres)]
        for mask, colour, hatch, label in (
            (~rare, COMMON, "", "common"),
            (rare, RARE, "///", "rare region"),
        ):
            if mask.any():
                ax.bar(
                    centres[mask],
                    counts[mask],
                    width=np.diff(bins)[mask],
                    color=colour,
                    hatch=hatch,
                    label=label,
                )
        for edge in self.edges:
            ax.axvline(edge, color="0.5", linestyle="--", linewidth=1)
        ax.set(xlabel=with_unit(name, unit), ylabel="Number of proteins")
        ax.legend(frameon=False, fontsize="small")
        return self

    def _plot_classes(self, ax: Any) -> "TargetRegionsDisplay":
        classes, counts = np.unique(self.y, return_counts=True)
        ax = self._start(ax, size=(5.0, 1.2 + 0.24 * len(classes)))
        rare = np.asarray(self.rare)
        order = np.argsort(counts, kind="stable")
        colours = [RARE if rare[i] else COMMON for i in order]
        bars = ax.barh(range(len(order)), counts[order], color=colours)
        for bar, position in zip(bars, order, strict=True):
            bar.set_hatch("///" if rare[position] else "")
        ax.bar_label(bars, fontsize="small", padding=2)
        ax.set_yticks(range(len(order)), [shorten(classes[i]) for i in order], fontsize="small")
        ax.margins(x=0.12)
        ax.set_xlabel("Number of proteins" + (" (hatched: rare)" if rare.any() else ""))
        return self


class RegionConfusionDisplay(AxesMixin):
    """Confusion matrix of target regions or classes, each row adding up to 100 %.

    Use `from_predictions` or `from_estimator`.

    Parameters
    ----------
    matrix : ndarray of int of shape (n_regions, n_regions)
        Counts: true regions in rows, predicted ones in columns.
    labels : sequence of str
        Names of the regions.

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
    >>> from esmlearn.plotting import RegionConfusionDisplay
    >>> display = RegionConfusionDisplay.from_predictions(
    ...     [35.0, 40.0, 90.0, 95.0], [36.0, 41.0, 88.0, 50.0], regions=[60.0], unit="°C"
    ... )
    >>> display.matrix
    array([[2, 0],
           [1, 1]])
    """

    def __init__(self, matrix: np.ndarray, *, labels: Sequence[str]) -> None:
        self.matrix = matrix
        self.labels = labels

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        regions: Any = None,
        ax: Any = None,
        unit: str | None = None,
    ) -> "RegionConfusionDisplay":
        """Count which regions or classes are predicted for which.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Measured targets.
        y_pred : array-like of shape (n_samples,)
            Predicted targets.
        regions : TargetRegions, array-like or None, default=None
            Fitted regions or inner edges; None for classes.
        ax : matplotlib axes, default=None
            Where to draw.
        unit : str or None, default=None
            Unit of the target.

        Returns
        -------
        display : RegionConfusionDisplay
            The drawn display.
        """
        if len(y_true) != len(y_pred):
            raise DataError(
                f"y_true has {len(y_true)} values and y_pred has {len(y_pred)}; expected as many."
            )
        if regions is None:
            classes = np.unique(np.concatenate([np.asarray(y_true), np.asarray(y_pred)]))
            rows, columns = (np.searchsorted(classes, np.asarray(y)) for y in (y_true, y_pred))
            labels = [str(label) for label in classes]
        else:
            rows, columns = region_of(regions, y_true), region_of(regions, y_pred)
            labels = region_names(regions, unit)
        matrix = np.zeros((len(labels), len(labels)), dtype=int)
        np.add.at(matrix, (rows, columns), 1)
        return cls(matrix, labels=labels).plot(ax=ax)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, **options: Any
    ) -> "RegionConfusionDisplay":
        """Predict with a fitted estimator and count.

        Parameters
        ----------
        estimator : estimator
            A fitted regressor or classifier.
        X : array-like
            What it predicts from.
        y : array-like of shape (n_samples,)
            Measured targets.
        **options : dict
            Passed to `from_predictions`.

        Returns
        -------
        display : RegionConfusionDisplay
            The drawn display.
        """
        return cls.from_predictions(y, estimator.predict(X), **options)

    def plot(self, *, ax: Any = None) -> "RegionConfusionDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        self : RegionConfusionDisplay
            With ``ax_`` and ``figure_``.
        """
        n = len(self.labels)
        ax = self._start(ax, size=(5.0, 4.2) if n <= 6 else (5.6, 5.4))
        totals = self.matrix.sum(axis=1, keepdims=True)
        shares = self.matrix / np.maximum(totals, 1)
        image = ax.imshow(shares, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
        size = "small" if n <= 6 else 7
        for row, column in np.ndindex(n, n):
            if n <= 6 or self.matrix[row, column]:
                ax.text(
                    column,
                    row,
                    self._cell(row, column, shares[row, column]),
                    ha="center",
                    va="center",
                    fontsize=size,
                    color="black" if shares[row, column] > 0.5 else "white",
                )
        names = [shorten(label, 18) for label in self.labels]
        font = "small" if n <= 6 else 7
        ax.set_xticks(
            range(n), names, rotation=35, ha="right", rotation_mode="anchor", fontsize=font
        )
        rows = [f"{name} (n={int(t)})" for name, t in zip(names, totals[:, 0], strict=True)]
        ax.set_yticks(range(n), rows, fontsize=font)
        ax.set(xlabel="Predicted", ylabel="Measured")
        self.figure_.colorbar(image, ax=ax, label="Share of the measured row")
        return self

    def _cell(self, row: int, column: int, share: float) -> str:
        if len(self.labels) > 6:
            return f"{share:.0%}".rstrip("%")
        return f"{share:.0%}\n{self.matrix[row, column]}"
