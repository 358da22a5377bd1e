"""The figures of a report, as SVG that takes its ink from the page."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import StringIO
from typing import Any

import numpy as np
from sklearn.calibration import CalibrationDisplay

from esmlearn.plotting import (
    CoverageDisplay,
    EmbeddingPCADisplay,
    ErrorByIdentityDisplay,
    FoldsDisplay,
    LeakageDisplay,
    PredictionErrorByRegionDisplay,
    RegionConfusionDisplay,
    ResamplingLevelDisplay,
    TargetRegionsDisplay,
    TrainingCurveDisplay,
)
from esmlearn.study._data import StudyData
from esmlearn.study._metrics import metrics_of
from esmlearn.study._result import StudyResult
from esmlearn.utils._optional import import_optional
from esmlearn.utils._paths import file_name
from esmlearn.utils._warn import warn

#: A colour that no figure uses: ink is drawn with it and becomes the page's text colour.
_INK = "#0b0c0d"


@dataclass(frozen=True)
class Figure:
    """One figure of a report.

    Attributes
    ----------
    name : str
        Name of its file.
    title : str
        What it shows.
    caption : str
        How to read it.
    svg : str
        The picture, its ink in the page's text colour.
    """

    name: str
    title: str
    caption: str
    svg: str

    @property
    def standalone(self) -> str:
        """The picture as a file of its own, dark on white."""
        head, body = self.svg.split(">", 1)
        return f'<?xml version="1.0"?>\n{head} style="background:#fff;color:#222">{body}'


def draw_figures(result: StudyResult) -> tuple[list[Figure], list[str]]:
    """Draw every figure of a study, in the order of the report; also return what failed.

    A figure is worth less than the hours behind it: one that fails is warned of and left out.
    """
    figures, failed = [], []
    for name, title, caption, draw in _plan(result):
        with _page_style() as pyplot:
            others = pyplot.get_fignums()
            try:
                figures.append(Figure(name, title, caption, _svg(draw().figure_, name)))
            except Exception as error:
                failed.append(
                    f"The figure {title!r} ({name}) could not be drawn and is left out "
                    f"({type(error).__name__}: {error})."
                )
                warn(failed[-1])
            for number in set(pyplot.get_fignums()).difference(others):
                pyplot.close(number)
    return figures, failed


@contextmanager
def _page_style() -> Iterator[Any]:
    """Draw without a window, with ink that can be told from everything else."""
    matplotlib = import_optional("matplotlib", extra="study", purpose="A report")
    pyplot = import_optional("matplotlib.pyplot", extra="study", purpose="A report")
    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    style = {
        **dict.fromkeys(inked, _INK),
        "hatch.color": _INK,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "font.size": 10,
        "svg.hashsalt": "esmlearn",
        "savefig.dpi": 150,
    }
    backend = matplotlib.get_backend()
    with matplotlib.rc_context(style):
        pyplot.switch_backend("Agg")
        try:
            yield pyplot
        finally:
            pyplot.switch_backend(backend)


def _svg(figure: Any, name: str) -> str:
    """Return a figure as an SVG element whose ids are its own."""
    buffer = StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    # The page sets the size; the view box keeps the shape.
    return re.sub(r'(<svg[^>]*?) width="[\d.]+pt" height="[\d.]+pt"', r"\1", text, count=1)


Plan = Iterator[tuple[str, str, str, Callable[[], Any]]]


def _plan(result: StudyResult) -> Plan:
    """Yield name, title, caption and drawing of every figure."""
    yield from _data_figures(result)
    yield from _prediction_figures(result)
    yield from _reliability_figures(result)
    yield from _training_figures(result)
    yield from _split_figures(result)


def _data_figures(result: StudyResult) -> Plan:
    data = result.data
    names: dict[str, Any] = {"name": result.parameters["name"], "unit": result.unit}
    divided: Any = data.rare if data.regions is None else data.regions
    yield (
        "target",
        "The classes" if data.regions is None else "The target and its rare ranges",
        "Hatched: rare, and so the ones that over-sampling adds to.",
        partial(TargetRegionsDisplay.from_target, data.y, divided, **names),
    )
    yield (
        "pca",
        "Embeddings seen from above",
        "Each point is a protein; proteins that the language model finds similar lie close.",
        partial(EmbeddingPCADisplay.from_embedding, result.embedding, data.y, **names),
    )


def _prediction_figures(result: StudyResult) -> Plan:
    data, conclusion = result.data, result.conclusion
    if data.regions is not None:
        yield from _error_figures(result)
    for suffix, candidate in {"": conclusion.chosen, "-top": conclusion.top}.items():
        if suffix and candidate == conclusion.chosen:
            continue
        yield (
            f"confusion{suffix}",
            f"Confusion: {candidate.title}",
            "Each row adds up to 100 %; a perfect model fills the diagonal.",
            partial(
                RegionConfusionDisplay.from_predictions,
                data.y,
                result.predictions[candidate.name],
                regions=data.regions,
                unit=result.unit,
            ),
        )


def _error_figures(result: StudyResult) -> Plan:
    candidate = result.conclusion.chosen
    draw = partial(
        PredictionErrorByRegionDisplay.from_predictions,
        result.data.y,
        result.predictions[candidate.name],
        regions=result.data.regions,
        name=result.parameters["name"],
        unit=result.unit,
    )
    yield (
        "scatter",
        f"Predicted against measured: {candidate.title}",
        "Every protein was predicted by a model that saw none of its homologs.",
        partial(draw, folds=result.folds["fold"].to_numpy()),
    )
    yield (
        "error",
        f"Error in each range: {candidate.title}",
        "Mean absolute error by range of the measured value; hatched: rare.",
        partial(draw, kind="error"),
    )


def _reliability_figures(result: StudyResult) -> Plan:
    found, continuous = result.reliability, result.data.regions is not None
    yield (
        "distance",
        "How wrong at which distance from training",
        "Proteins without a homolog in training: homology folds; others: random folds. Lines: "
        "95 % intervals over families.",
        partial(
            ErrorByIdentityDisplay.from_table,
            found.errors,
            name="Mean absolute error" if continuous else "Share of wrong classes",
            unit=result.unit if continuous else None,
        ),
    )
    if not found.coverage.empty:
        yield (
            "coverage",
            "Do the intervals hold?" if continuous else "Do the sets of classes hold?",
            "Dashed: the level that is promised; open: clearly below it.",
            partial(CoverageDisplay.from_report, found.coverage.set_index("part")),
        )
    if found.probabilities is not None:
        yield (
            "reliability",
            "Do probabilities mean what they say?",
            "Proteins by the probability of the class that they are predicted as, and the share of "
            "them that is right.",
            partial(_reliability_curve, result.data, found.probabilities),
        )


def _reliability_curve(data: StudyData, probabilities: np.ndarray) -> CalibrationDisplay:
    """Draw how often predictions are right, by their probability."""
    right = np.asarray(data.classes)[probabilities.argmax(axis=1)] == data.y
    display = CalibrationDisplay.from_predictions(right, probabilities.max(axis=1), n_bins=10)
    display.ax_.set(xlabel="Probability of the predicted class", ylabel="Share that is right")
    display.ax_.get_legend().remove()
    return display


def _training_figures(result: StudyResult) -> Plan:
    rare = metrics_of(result.data.task)[-1]
    results = result.results[result.results["resampler"] != "tuned"]
    models = results.loc[results["resampler"] != "none", "model"].unique()
    for number, model in enumerate(models):
        same = file_name(model) == model
        yield (
            f"levels-{model}" if same else f"levels-{number}-{file_name(model)}",
            f"Over-sampling and rare ones: {model}",
            f"{rare.title}, mean and standard deviation over the folds.",
            partial(
                ResamplingLevelDisplay.from_results,
                results,
                rare.column,
                model=model,
                label=rare.title,
            ),
        )
    curves = [
        (one["history"], one["best_epoch"])
        for one in result.fold_results
        if "history" in one and one["resampler"] == "none"
    ]
    if curves:
        histories, best = zip(*curves, strict=True)
        yield (
            "learning",
            "Training of the network",
            "Solid: validation on unrelated, real proteins; dotted: training.",
            partial(TrainingCurveDisplay.from_history, list(histories), best_epochs=list(best)),
        )


def _split_figures(result: StudyResult) -> Plan:
    data = result.data
    yield (
        "folds",
        "What the folds are made of",
        "Whole families go to one fold; every fold gets its share of each range.",
        partial(
            FoldsDisplay.from_folds,
            result.folds["fold"].to_numpy(),
            data.y,
            regions=data.regions,
            unit=result.unit,
        ),
    )
    titles = {"homology": "homology folds", "random": "random folds"}
    shares = {titles[name]: values[np.isfinite(values)] for name, values in result.leakage.items()}
    identity = result.parameters["identity"]
    yield (
        "leakage",
        "What leaks from training to test",
        f"Relatives: at least {identity:.0%} identity over half of the shorter protein.",
        partial(LeakageDisplay.from_shares, shares),
    )
