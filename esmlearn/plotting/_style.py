"""Shared style of all figures: colours for the colour-blind, lazy matplotlib, short labels."""

from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from sklearn.utils.validation import check_is_fitted

from esmlearn.exceptions import DataError
from esmlearn.utils._finite import check_finite
from esmlearn.utils._optional import import_optional

#: Okabe and Ito's palette without black and yellow: distinct in every kind of colour vision, and
#: readable on white and on near-black.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9"]
RARE = COLOURS[4]
COMMON = COLOURS[0]
#: Perceptually uniform, rises in lightness, safe in every kind of colour vision.
SEQUENTIAL = "cividis"
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h", "p", "d"]


class HasRegions(Protocol):
    """Attributes of a fitted `TargetRegions` that the displays use."""

    edges_: np.ndarray
    rare_: np.ndarray


class AxesMixin:
    """Axes that a display draws on; sets ``ax_`` and ``figure_``."""

    ax_: Any
    figure_: Any

    def _start(self, ax: Any, *, size: tuple[float, float] = (5.0, 3.6)) -> Any:
        """Return the axes to draw on, new ones if none were given."""
        pyplot = import_optional("matplotlib.pyplot", extra="plot", purpose="Plotting")
        if ax is None:
            _, ax = pyplot.subplots(figsize=size, layout="constrained")
        self.ax_ = ax
        self.figure_ = ax.figure
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        return ax


def colour(index: int) -> str:
    """Return a categorical colour; with `marker`, 13 and more categories stay distinct."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """Return the marker that goes with `colour`."""
    return MARKERS[index % len(MARKERS)]


def plain(text: Any) -> str:
    """Return text of a user as matplotlib draws it character by character.

    Between two dollars it would read a formula, it leaves labels that begin with an underscore out
    of legends, and it cannot draw line breaks and other control characters.
    """
    text = "".join(c if c.isprintable() else " " for c in str(text)).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def shorten(text: Any, length: int = 22) -> str:
    """Return text of a user as a label, cut in its middle so that both ends stay readable."""
    text = str(text)
    if len(text) > length:
        half = (length - 1) // 2
        text = f"{text[:half]}…{text[-half:]}"
    return plain(text)


def with_unit(name: str, unit: str | None) -> str:
    """Return an axis label with its unit, both of them text of a user."""
    return plain(f"{name} ({unit})" if unit else name)


def region_names(regions: HasRegions | Any, unit: str | None = None) -> list[str]:
    """Name the regions of a target by their bounds.

    Parameters
    ----------
    regions : TargetRegions or array-like of float
        Fitted regions, or their inner edges.
    unit : str or None, default=None
        Unit of the target.

    Returns
    -------
    names : list of str
        From the lowest region to the highest.
    """
    edges = [f"{edge:.3g}" for edge in region_edges(regions)]
    tail = f" {unit}" if unit else ""
    if not edges:
        return ["all"]
    inner = [f"{low} to {high}{tail}" for low, high in pairwise(edges)]
    return [f"below {edges[0]}{tail}", *inner, f"{edges[-1]}{tail} and more"]


def region_edges(regions: HasRegions | Any) -> np.ndarray:
    """Return the inner edges of fitted regions, or edges as an array."""
    if hasattr(regions, "fit"):
        check_is_fitted(regions, "edges_")
        return np.asarray(regions.edges_, dtype=float)
    edges = np.asarray(regions, dtype=float)
    if edges.ndim != 1 or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise DataError(
            f"regions is {regions!r}; expected fitted TargetRegions, or a list of their inner "
            f"edges, finite and ascending, such as [65.0]."
        )
    return edges


def region_of(regions: HasRegions | Any, values: Any) -> np.ndarray:
    """Return the number of the region of each value."""
    values = np.asarray(values, dtype=float)
    check_finite(values, "y")
    return np.searchsorted(region_edges(regions), values, side="right")
