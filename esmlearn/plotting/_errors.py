"""PredictionErrorByRegionDisplay: predicted against measured, and the error of every region."""

from typing import Any, Literal

import numpy as np

from esmlearn.exceptions import DataError
from esmlearn.plotting._style import (
    COMMON,
    RARE,
    AxesMixin,
    colour,
    marker,
    plain,
    region_edges,
    region_names,
    region_of,
    shorten,
    with_unit,
)
from esmlearn.utils._finite import check_finite


class PredictionErrorByRegionDisplay(AxesMixin):
    """Predictions of a continuous target, judged region by region.

    Use `from_predictions` or `from_estimator`.

    Parameters
    ----------
    y_true : ndarray of shape (n_samples,)
        Measured targets.
    y_pred : ndarray of shape (n_samples,)
        Predicted targets.
    edges : ndarray of shape (n_regions - 1,)
        Inner edges of the regions.
    rare : ndarray of bool of shape (n_regions,)
        Which regions are rare.
    folds : ndarray of shape (n_samples,) or None
        Test fold of each row.

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
    >>> from esmlearn.plotting import PredictionErrorByRegionDisplay
    >>> display = PredictionErrorByRegionDisplay.from_predictions(
    ...     [35.0, 40.0, 90.0, 95.0], [36.0, 41.0, 88.0, 50.0], regions=[60.0], kind="error"
    ... )
    >>> display.region_errors().tolist()
    [1.0, 23.5]
    """

    def __init__(
        self,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        *,
        edges: np.ndarray,
        rare: np.ndarray | None = None,
        folds: np.ndarray | None = None,
    ) -> None:
        self.y_true = y_true
        self.y_pred = y_pred
        self.edges = edges
        self.rare = rare
        self.folds = folds

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        regions: Any = (),
        folds: Any = None,
        kind: Literal["scatter", "error"] = "scatter",
        ax: Any = None,
        name: str = "target",
        unit: str | None = None,
    ) -> "PredictionErrorByRegionDisplay":
        """Draw predictions against measurements.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Measured targets.
        y_pred : array-like of shape (n_samples,)
            Predicted targets.
        regions : TargetRegions or array-like of float, default=()
            Fitted regions, or inner edges.
        folds : array-like of shape (n_samples,), default=None
            Test fold of each row.
        kind : {"scatter", "error"}, default="scatter"
            Predicted against measured, or the mean absolute error of each region.
        ax : matplotlib axes, default=None
            Where to draw.
        name : str, default="target"
            What the target is.
        unit : str or None, default=None
            Its unit.

        Returns
        -------
        display : PredictionErrorByRegionDisplay
            The drawn display.
        """
        true, pred = np.asarray(y_true, dtype=float), np.asarray(y_pred, dtype=float)
        if true.shape != pred.shape or true.ndim != 1:
            raise DataError(
                f"y_true has shape {true.shape} and y_pred has {pred.shape}; expected two "
                f"one-dimensional arrays of equal length."
            )
        check_finite(true, "y_true")
        check_finite(pred, "y_pred")
        edges = region_edges(regions)
        rare = np.asarray(getattr(regions, "rare_", np.zeros(len(edges) + 1, bool)))
        folds = None if folds is None else np.asarray(folds)
        display = cls(true, pred, edges=edges, rare=rare, folds=folds)
        return display.plot(kind=kind, ax=ax, name=name, unit=unit)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, **options: Any
    ) -> "PredictionErrorByRegionDisplay":
        """Predict with a fitted regressor and draw.

        Parameters
        ----------
        estimator : estimator
            A fitted regressor.
        X : array-like
            What it predicts from.
        y : array-like of shape (n_samples,)
            Measured targets.
        **options : dict
            Passed to `from_predictions`.

        Returns
        -------
        display : PredictionErrorByRegionDisplay
            The drawn display.
        """
        return cls.from_predictions(y, estimator.predict(X), **options)

    def region_errors(self) -> np.ndarray:
        """Return the mean absolute error of each region, NaN where it has no row.

        Returns
        -------
        errors : ndarray of shape (n_regions,)
            In units of the target.
        """
        region = region_of(self.edges, self.y_true)
        n_regions = len(self.edges) + 1
        total = np.bincount(region, np.abs(self.y_pred - self.y_true), n_regions)
        with np.errstate(invalid="ignore"):
            return total / np.bincount(region, minlength=n_regions)

    def plot(
        self,
        *,
        kind: Literal["scatter", "error"] = "scatter",
        ax: Any = None,
        name: str = "target",
        unit: str | None = None,
    ) -> "PredictionErrorByRegionDisplay":
        """Draw the display.

        Parameters
        ----------
        kind : {"scatter", "error"}, default="scatter"
            Predicted against measured, or the mean absolute error of each region.
        ax : matplotlib axes, default=None
            Where to draw; None makes a figure.
        name : str, default="target"
            What the target is.
        unit : str or None, default=None
            Its unit.

        Returns
        -------
        self : PredictionErrorByRegionDisplay
            With ``ax_`` and ``figure_``.
        """
        if kind not in ("scatter", "error"):
            raise DataError(f"kind is {kind!r}; expected 'scatter' or 'error'.")
        draw = self._draw_scatter if kind == "scatter" else self._draw_errors
        draw(self._start(ax, size=(5.0, 4.2) if kind == "scatter" else (5.0, 3.6)), name, unit)
        return self

    def _draw_scatter(self, ax: Any, name: str, unit: str | None) -> None:
        size = float(np.clip(15000 / len(self.y_true), 5, 25))
        folds = np.zeros(len(self.y_true), int) if self.folds is None else self.folds
        for index, fold in enumerate(np.unique(folds)):
            rows = folds == fold
            ax.scatter(
                self.y_true[rows],
                self.y_pred[rows],
                s=size,
                color=colour(index),
                marker=marker(index),
                alpha=0.5,
                linewidths=0,
                label=None if self.folds is None else f"fold {shorten(fold)}",
                rasterized=True,
            )
        ends = [
            min(self.y_true.min(), self.y_pred.min()),
            max(self.y_true.max(), self.y_pred.max()),
        ]
        ax.plot(ends, ends, color="0.5", linewidth=1, linestyle="--", label="perfect")
        for edge in self.edges:
            ax.axvline(edge, color="0.5", linewidth=0.8, linestyle=":")
        ax.set(
            xlabel=with_unit(f"Measured {name}", unit), ylabel=with_unit(f"Predicted {name}", unit)
        )
        ax.legend(frameon=False, fontsize="small", markerscale=2)

    def _draw_errors(self, ax: Any, name: str, unit: str | None) -> None:
        errors = self.region_errors()
        rare = np.zeros(len(errors), bool) if self.rare is None else self.rare
        bars = ax.bar(
            range(len(errors)),
            np.nan_to_num(errors),
            color=[RARE if r else COMMON for r in rare],
            hatch=["///" if r else "" for r in rare],
        )
        ax.bar_label(bars, labels=[f"{e:.3g}" if np.isfinite(e) else "none" for e in errors])
        names = [plain(region) for region in region_names(self.edges, unit)]
        ax.set_xticks(range(len(errors)), names, rotation=20, ha="right", rotation_mode="anchor")
        ax.set(
            xlabel=f"Region of the measured {plain(name)}"
            + (" (hatched: rare)" if rare.any() else ""),
            ylabel=with_unit("Mean absolute error", unit),
        )
