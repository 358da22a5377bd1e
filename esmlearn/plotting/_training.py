"""ResamplingLevelDisplay and TrainingCurveDisplay: what training did."""

from typing import Any

import numpy as np
import pandas as pd

from esmlearn.exceptions import DataError
from esmlearn.plotting._style import AxesMixin, colour, marker, plain


class ResamplingLevelDisplay(AxesMixin):
    """A metric against the amount of over-sampling: means and standard deviations over folds.

    Use `from_results`.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``resampler``, ``level`` (per cent of added rows), ``mean`` and ``std``.
    baseline : float or None
        The metric without resampling.
    metric : str
        What is shown.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure.

    Examples
    --------
    >>> import matplotlib
    >>> import pandas as pd
    >>> matplotlib.use("Agg")
    >>> from esmlearn.plotting import ResamplingLevelDisplay
    >>> results = pd.DataFrame(
    ...     {
    ...         "model": "ridge",
    ...         "resampler": ["none", "smote", "smote"],
    ...         "level": [0, 100, 200],
    ...         "recall_rare": [0.1, 0.3, 0.4],
    ...     }
    ... )
    >>> ResamplingLevelDisplay.from_results(results, "recall_rare", model="ridge").baseline
    0.1
    """

    def __init__(self, table: pd.DataFrame, *, baseline: float | None, metric: str) -> None:
        self.table = table
        self.baseline = baseline
        self.metric = metric

    @classmethod
    def from_results(
        cls,
        results: pd.DataFrame,
        metric: str,
        *,
        model: str,
        ax: Any = None,
        label: str | None = None,
    ) -> "ResamplingLevelDisplay":
        """Draw the results of a study for one model.

        Parameters
        ----------
        results : pandas.DataFrame
            One row per fold, model, resampler and level, as `esmlearn.study.Study` gives it.
        metric : str
            Column to show.
        model : str
            Value of the column ``model``.
        ax : matplotlib axes, default=None
            Where to draw.
        label : str or None, default=None
            Axis label; None takes `metric`.

        Returns
        -------
        display : ResamplingLevelDisplay
            The drawn display.
        """
        missing = {"model", "resampler", "level", metric} - set(results.columns)
        if missing:
            raise DataError(
                f"results has no column {sorted(missing)[0]!r}; it has "
                f"{', '.join(results.columns)}."
            )
        rows = results[results["model"] == model]
        if rows.empty:
            known = ", ".join(sorted(results["model"].unique()))
            raise DataError(f"results has no model {model!r}; it has {known}.")
        grouped = rows.groupby(["resampler", "level"])[metric].agg(["mean", "std"]).reset_index()
        without = grouped["resampler"] == "none"
        baseline = float(grouped.loc[without, "mean"].iloc[0]) if without.any() else None
        display = cls(grouped[~without], baseline=baseline, metric=metric)
        return display.plot(ax=ax, label=label)

    def plot(self, *, ax: Any = None, label: str | None = None) -> "ResamplingLevelDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw; None makes a figure.
        label : str or None, default=None
            Axis label; None takes the name of the metric.

        Returns
        -------
        self : ResamplingLevelDisplay
            With ``ax_`` and ``figure_``.
        """
        ax = self._start(ax)
        groups = self.table.groupby("resampler", sort=True)
        levels = sorted(self.table["level"].unique())
        step = (levels[-1] - levels[0]) / 40 if len(levels) > 1 else 1.0
        for index, (name, rows) in enumerate(groups):
            ax.errorbar(
                rows["level"] + step * (index - (len(groups) - 1) / 2),
                rows["mean"],
                yerr=rows["std"].fillna(0.0),
                color=colour(index),
                marker=marker(index),
                capsize=3,
                label=plain(name),
            )
        if self.baseline is not None:
            ax.axhline(self.baseline, color="0.5", linestyle="--", label="no resampling")
        ax.set_xticks(levels, [f"+{level:g} %" for level in levels])
        ax.set(xlabel="Rows added to the rare regions", ylabel=plain(label or self.metric))
        ax.legend(frameon=False, fontsize="small")
        return self


class TrainingCurveDisplay(AxesMixin):
    """Training and validation loss per epoch, and where training stopped.

    Use `from_history` or `from_estimator`.

    Parameters
    ----------
    history : sequence of pandas.DataFrame
        One table per fold with the columns ``epoch``, ``train_loss`` and, if there was a validation
        part, ``valid_loss``.
    best_epochs : sequence of int or None
        The epoch whose weights were kept.

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
    >>> from esmlearn.plotting import TrainingCurveDisplay
    >>> history = [{"epoch": 1, "train_loss": 2.0, "valid_loss": 2.5},
    ...            {"epoch": 2, "train_loss": 1.0, "valid_loss": 2.2}]
    >>> TrainingCurveDisplay.from_history([history], best_epochs=[2]).best_epochs
    [2]
    """

    def __init__(
        self, history: list[pd.DataFrame], *, best_epochs: list[int] | None = None
    ) -> None:
        self.history = history
        self.best_epochs = best_epochs

    @classmethod
    def from_history(
        cls, histories: Any, *, best_epochs: list[int] | None = None, ax: Any = None
    ) -> "TrainingCurveDisplay":
        """Draw the histories of one network per fold.

        Parameters
        ----------
        histories : sequence of (sequence of dict or pandas.DataFrame)
            Per fold, per epoch: ``train_loss`` and ``valid_loss``.
        best_epochs : sequence of int or None, default=None
            The epoch whose weights were kept, per fold.
        ax : matplotlib axes, default=None
            Where to draw.

        Returns
        -------
        display : TrainingCurveDisplay
            The drawn display.
        """
        tables = []
        for index, history in enumerate(histories):
            table = pd.DataFrame(history)
            if "train_loss" not in table:
                raise DataError(
                    f"histories[{index}] has no 'train_loss'; it has {', '.join(table.columns)}."
                )
            if "epoch" not in table:
                table.insert(0, "epoch", np.arange(1, len(table) + 1))
            tables.append(table)
        return cls(tables, best_epochs=best_epochs).plot(ax=ax)

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> "TrainingCurveDisplay":
        """Draw the history of a fitted network, or of a pipeline that ends in one.

        Parameters
        ----------
        estimator : estimator
            A fitted `esmlearn.neural_network.MLPRegressor` or ``MLPClassifier``, or a pipeline.
        ax : matplotlib axes, default=None
            Where to draw.

        Returns
        -------
        display : TrainingCurveDisplay
            The drawn display.
        """
        steps = getattr(estimator, "steps", None)
        network = steps[-1][1] if steps else estimator
        if not hasattr(network, "history_"):
            raise DataError(
                f"{type(network).__name__} has no history_; expected a fitted network of "
                f"esmlearn.neural_network, or a pipeline that ends in one."
            )
        best = getattr(network, "best_iter_", None)
        return cls.from_history(
            [network.history_], best_epochs=None if best is None else [int(best)], ax=ax
        )

    def plot(self, *, ax: Any = None) -> "TrainingCurveDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        self : TrainingCurveDisplay
            With ``ax_`` and ``figure_``.
        """
        ax = self._start(ax)
        for index, table in enumerate(self.history):
            name = f" fold {index}" if len(self.history) > 1 else ""
            ax.plot(table["epoch"], table["train_loss"], color=colour(index), linestyle=":")
            if "valid_loss" in table and table["valid_loss"].notna().any():
                ax.plot(
                    table["epoch"],
                    table["valid_loss"],
                    color=colour(index),
                    label=f"validation{name}",
                )
            if self.best_epochs is not None:
                best = table[table["epoch"] == self.best_epochs[index]]
                column = "valid_loss" if "valid_loss" in table else "train_loss"
                ax.plot(best["epoch"], best[column], marker(index), color=colour(index))
        ax.plot([], [], color="0.5", linestyle=":", label="training")
        ax.set(xlabel="Epoch", ylabel="Loss (scaled target)")
        # Below: curves go everywhere.
        ax.legend(
            frameon=False,
            fontsize="x-small",
            title="mark: weights kept",
            title_fontsize="x-small",
            ncols=3,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.18),
        )
        return self
