"""EmbeddingPCADisplay: what the embeddings look like from above."""

from typing import Any, Literal

import numpy as np
from sklearn.decomposition import PCA

from esmlearn.exceptions import DataError
from esmlearn.plotting._style import (
    SEQUENTIAL,
    AxesMixin,
    colour,
    marker,
    shorten,
    with_unit,
)
from esmlearn.utils._optional import import_optional


class EmbeddingPCADisplay(AxesMixin):
    """Embeddings in two dimensions, coloured by target.

    Use `from_embedding` or `from_estimator`.

    Parameters
    ----------
    coordinates : ndarray of shape (n_sequences, 2)
        Where each protein lies.
    y : ndarray of shape (n_sequences,) or None
        Targets: numbers give a colour bar, text a legend.
    explained : ndarray of shape (2,) or None
        Share of the variance along each axis, for a PCA.
    method : {"pca", "umap"}, default="pca"
        How the coordinates came about.

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
    >>> from esmlearn.plotting import EmbeddingPCADisplay
    >>> X = np.random.default_rng(0).normal(size=(50, 8))
    >>> display = EmbeddingPCADisplay.from_embedding(X, X[:, 0], name="Tm", unit="°C")
    >>> display.coordinates.shape
    (50, 2)
    """

    def __init__(
        self,
        coordinates: np.ndarray,
        *,
        y: np.ndarray | None = None,
        explained: np.ndarray | None = None,
        method: Literal["pca", "umap"] = "pca",
    ) -> None:
        self.coordinates = coordinates
        self.y = y
        self.explained = explained
        self.method = method

    @classmethod
    def from_embedding(
        cls,
        X: Any,
        y: Any = None,
        *,
        method: Literal["pca", "umap"] = "pca",
        random_state: int | None = 0,
        ax: Any = None,
        name: str = "target",
        unit: str | None = None,
    ) -> "EmbeddingPCADisplay":
        """Reduce embeddings to two dimensions and draw them.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_features)
            Embeddings.
        y : array-like of shape (n_sequences,), default=None
            Targets.
        method : {"pca", "umap"}, default="pca"
            ``"umap"`` needs the library umap-learn.
        random_state : int or None, default=0
            Seed of UMAP, and of the PCA's solver for large tables.
        ax : matplotlib axes, default=None
            Where to draw.
        name : str, default="target"
            What the target is.
        unit : str or None, default=None
            Its unit.

        Returns
        -------
        display : EmbeddingPCADisplay
            The drawn display.
        """
        X = np.asarray(X)
        if X.ndim != 2 or len(X) < 2:
            raise DataError(
                f"X has shape {X.shape}; expected one row for each of at least two sequences."
            )
        y = None if y is None else np.asarray(y)
        if y is not None and y.shape not in ((len(X),), (len(X), 1)):
            raise DataError(f"y has shape {y.shape}; expected ({len(X)},), one for each row of X.")
        explained = None
        if method == "pca":
            pca = PCA(n_components=2, random_state=random_state)
            coordinates = pca.fit_transform(X)
            explained = pca.explained_variance_ratio_
        elif method == "umap":
            umap = import_optional("umap", extra="umap", purpose="A UMAP plot")
            # With a seed UMAP runs in one thread, and warns unless `n_jobs` says so.
            threads = -1 if random_state is None else 1
            reducer = umap.UMAP(n_components=2, random_state=random_state, n_jobs=threads)
            coordinates = reducer.fit_transform(X)
        else:
            raise DataError(f"method is {method!r}; expected 'pca' or 'umap'.")
        display = cls(coordinates, y=y, explained=explained, method=method)
        return display.plot(ax=ax, name=name, unit=unit)

    @classmethod
    def from_estimator(
        cls, estimator: Any, sequences: Any, y: Any = None, **options: Any
    ) -> "EmbeddingPCADisplay":
        """Embed sequences and draw them.

        Parameters
        ----------
        estimator : estimator
            A transformer of sequences, such as `esmlearn.embedding.ESMEmbedder`, or a pipeline
            whose first step is one.
        sequences : array-like of str of shape (n_sequences,)
            Protein sequences.
        y : array-like of shape (n_sequences,), default=None
            Targets.
        **options : dict
            Passed to `from_embedding`.

        Returns
        -------
        display : EmbeddingPCADisplay
            The drawn display.
        """
        steps = getattr(estimator, "steps", None)
        embedder = steps[0][1] if steps else estimator
        return cls.from_embedding(embedder.transform(sequences), y, **options)

    def plot(
        self, *, ax: Any = None, name: str = "target", unit: str | None = None
    ) -> "EmbeddingPCADisplay":
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
        self : EmbeddingPCADisplay
            With ``ax_`` and ``figure_``.
        """
        classes = None if self.y is None or self.y.dtype.kind in "fiub" else np.unique(self.y)
        # Below the axes, a legend of many classes needs the height that it takes.
        rows = 0 if classes is None else len(classes) / 2
        ax = self._start(ax, size=(5.0, 3.6 + 0.2 * rows))
        size = float(np.clip(12000 / len(self.coordinates), 4, 25))
        if classes is None:
            self._draw_numbers(ax, size, with_unit(name, unit))
        else:
            self._draw_classes(ax, size)
        for axis, set_label in enumerate((ax.set_xlabel, ax.set_ylabel)):
            label = f"{self.method.upper() if self.method == 'umap' else 'PC'} {axis + 1}"
            if self.explained is not None:
                label += f" ({self.explained[axis]:.0%} of variance)"
            set_label(label)
        return self

    def _draw_numbers(self, ax: Any, size: float, label: str) -> None:
        x, y = self.coordinates.T
        colours = colour(0) if self.y is None else self.y
        cmap = None if self.y is None else SEQUENTIAL
        points = ax.scatter(x, y, c=colours, cmap=cmap, s=size, linewidths=0, rasterized=True)
        if self.y is not None:
            self.figure_.colorbar(points, ax=ax, label=label)

    def _draw_classes(self, ax: Any, size: float) -> None:
        assert self.y is not None
        classes, counts = np.unique(self.y, return_counts=True)
        # Large classes first: small ones would vanish below them.
        for index, position in enumerate(np.argsort(-counts, kind="stable")):
            rows = self.y == classes[position]
            ax.scatter(
                *self.coordinates[rows].T,
                s=size * 1.5,
                color=colour(index),
                marker=marker(index // 6),
                linewidths=0,
                alpha=0.8,
                label=shorten(classes[position]),
                rasterized=True,
            )
        columns = 2 if len(classes) > 3 else len(classes)
        ax.legend(
            fontsize="x-small",
            markerscale=1.5,
            ncols=columns,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.18),
            frameon=False,
        )
