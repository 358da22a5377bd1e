"""Structural tests: axes, labels with units, and artists of every display."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold

from esmlearn import plotting
from esmlearn.exceptions import DataError, EngineNotFoundError
from esmlearn.model_selection import audit_leakage
from esmlearn.over_sampling import TargetRegions
from esmlearn.plotting import (
    EmbeddingPCADisplay,
    FoldsDisplay,
    LeakageDisplay,
    LearningCurveDisplay,
    PredictionErrorByRegionDisplay,
    RegionConfusionDisplay,
    ResamplingLevelDisplay,
    TargetRegionsDisplay,
    region_names,
)


@pytest.fixture(autouse=True)
def no_windows():
    matplotlib.use("Agg")
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = rng.gamma(3, 10, 300)
    regions = TargetRegions(method="edges", edges=[20.0, 60.0], rare=[-1]).fit(y)
    return y, y + rng.normal(0, 5, 300), regions


RESULTS = pd.DataFrame(
    [("ridge", "none", 0, 0.1), ("ridge", "none", 0, 0.2)]
    + [("ridge", r, v, 0.3 + v / 1000) for r in ("smote", "random") for v in (100, 200, 300)],
    columns=["model", "resampler", "level", "recall_rare"],
)
HISTORY = [{"epoch": e, "train_loss": 1 / e, "valid_loss": 1 / e + 0.1} for e in (1, 2, 3)]

DRAW = {
    "pca": lambda d, ax: EmbeddingPCADisplay.from_embedding(
        np.random.default_rng(0).normal(size=(300, 5)), d[0], name="Tm", unit="°C", ax=ax
    ),
    "regions": lambda d, ax: TargetRegionsDisplay.from_target(
        d[0], d[2], name="Tm", unit="°C", ax=ax
    ),
    "confusion": lambda d, ax: RegionConfusionDisplay.from_predictions(
        d[0], d[1], regions=d[2], ax=ax, unit="°C"
    ),
    "scatter": lambda d, ax: PredictionErrorByRegionDisplay.from_predictions(
        d[0], d[1], regions=d[2], ax=ax, name="Tm", unit="°C"
    ),
    "error": lambda d, ax: PredictionErrorByRegionDisplay.from_predictions(
        d[0], d[1], regions=d[2], ax=ax, name="Tm", unit="°C", kind="error"
    ),
    "levels": lambda d, ax: ResamplingLevelDisplay.from_results(
        RESULTS, "recall_rare", model="ridge", ax=ax
    ),
    "curves": lambda d, ax: LearningCurveDisplay.from_history(
        [HISTORY, HISTORY], best_epochs=[3, 2], ax=ax
    ),
    "folds": lambda d, ax: FoldsDisplay.from_splitter(
        KFold(3), d[0], d[0], regions=d[2], ax=ax, unit="°C"
    ),
    "leakage": lambda d, ax: LeakageDisplay.from_shares(
        {"random": [0.6, 0.7], "homology": [0.0, 0.0]}, ax=ax
    ),
}


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_every_display_draws_into_given_axes_and_alone(draw, data):
    _, ax = pyplot.subplots(layout="constrained")
    given = draw(data, ax)
    assert given.ax_ is ax
    assert given.figure_ is ax.figure
    alone = draw(data, None)
    assert alone.ax_ is not ax
    alone.figure_.canvas.draw()
    assert alone.ax_.get_xlabel() == given.ax_.get_xlabel() != ""
    assert alone.ax_.has_data()


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_no_label_is_cut_off_or_lies_on_another(draw, data):
    figure = draw(data, None).figure_
    figure.canvas.draw()
    box = figure.bbox.padded(2)
    for ax in figure.axes:
        extent = ax.get_tightbbox()
        assert box.x0 <= extent.x0
        assert extent.x1 <= box.x1
        assert box.y0 <= extent.y0
        assert extent.y1 <= box.y1


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("regions", ("Tm (°C)", "Number of proteins")),
        ("scatter", ("Measured Tm (°C)", "Predicted Tm (°C)")),
        ("error", ("Region of the measured Tm (hatched: rare)", "Mean absolute error (°C)")),
        ("confusion", ("Predicted", "Measured")),
    ],
)
def test_labels_carry_units(name, labels, data):
    ax = DRAW[name](data, None).ax_
    assert (ax.get_xlabel(), ax.get_ylabel()) == labels


def test_pca_axes_say_how_much_they_explain(data):
    display = DRAW["pca"](data, None)
    assert display.ax_.get_xlabel().startswith("PC 1 (")
    assert len(display.figure_.axes) == 2  # the colour bar
    assert display.figure_.axes[1].get_ylabel() == "Tm (°C)"


def test_pca_of_classes_has_a_legend_for_each(data):
    X = np.random.default_rng(0).normal(size=(26, 5))
    classes = np.array([f"a long name of class number {i % 13}" for i in range(26)])
    display = EmbeddingPCADisplay.from_embedding(X, classes)
    texts = [t.get_text() for t in display.ax_.get_legend().get_texts()]
    assert len(set(texts)) == 13
    assert all(len(t) <= 22 for t in texts)


def test_pca_from_estimator_takes_a_pipelines_first_step():
    class Embedder:
        def transform(self, sequences):
            return np.array([[len(s), s.count("A"), 1.0] for s in sequences])

    class Line:
        steps = [("embed", Embedder()), ("net", None)]

    display = EmbeddingPCADisplay.from_estimator(Line(), ["AAA", "AAKK", "M"])
    assert display.coordinates.shape == (3, 2)


def test_from_estimator_predicts(data):
    y, _, regions = data
    model = LinearRegression().fit(y[:, None], y)
    confusion = RegionConfusionDisplay.from_estimator(model, y[:, None], y, regions=regions)
    assert np.array_equal(confusion.matrix, np.diag(regions.counts_))
    error = PredictionErrorByRegionDisplay.from_estimator(model, y[:, None], y, regions=regions)
    assert np.allclose(error.region_errors(), 0)


def test_confusion_of_classes_shows_shares_of_rows():
    display = RegionConfusionDisplay.from_predictions(["a", "a", "b"], ["a", "b", "b"])
    assert display.matrix.tolist() == [[1, 1], [0, 1]]
    assert [t.get_text() for t in display.ax_.texts] == ["50%\n1", "50%\n1", "0%\n0", "100%\n1"]


def test_levels_show_mean_and_baseline():
    display = DRAW["levels"](None, None)
    assert display.baseline == pytest.approx(0.15)
    assert sorted(t.get_text() for t in display.ax_.get_legend().get_texts()) == [
        "no resampling",
        "random",
        "smote",
    ]


def test_learning_curve_needs_a_fitted_network():
    with pytest.raises(DataError, match="LinearRegression has no history_"):
        LearningCurveDisplay.from_estimator(LinearRegression())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: EmbeddingPCADisplay.from_embedding([[1.0, 2.0]]), r"shape \(1, 2\)"),
        (lambda: EmbeddingPCADisplay.from_embedding(np.eye(3), method="x"), "method is 'x'"),
        (lambda: RegionConfusionDisplay.from_predictions([1.0], [1.0, 2.0]), "1 values .* has 2"),
        (
            lambda: PredictionErrorByRegionDisplay.from_predictions([1.0], [[1.0]]),
            r"shape \(1,\) and y_pred has \(1, 1\)",
        ),
        (
            lambda: PredictionErrorByRegionDisplay.from_predictions([1.0], [1.0], kind="x"),
            "kind is 'x'",
        ),
        (
            lambda: ResamplingLevelDisplay.from_results(RESULTS, "x", model="ridge"),
            "no column 'x'",
        ),
        (
            lambda: ResamplingLevelDisplay.from_results(RESULTS, "recall_rare", model="x"),
            "no model 'x'; it has ridge",
        ),
        (lambda: LearningCurveDisplay.from_history([[{"loss": 1}]]), "has no 'train_loss'"),
        (lambda: LeakageDisplay.from_shares({"a": [1.2]}), r"shares\['a'\]"),
        (lambda: FoldsDisplay.from_folds([0, 1], ["a"]), "folds has 2 rows and y has 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_umap_without_its_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    with pytest.raises(EngineNotFoundError, match=r"esmlearn\[umap\]"):
        EmbeddingPCADisplay.from_embedding(np.eye(3), method="umap")


def test_regions_are_named_by_their_bounds():
    assert region_names([30.0, 65.0], "°C") == ["below 30 °C", "30 to 65 °C", "65 °C and more"]
    assert region_names([]) == ["all"]


def test_every_display_is_tested():
    displays = {name for name in plotting.__all__ if name.endswith("Display")}
    tested = {type(draw(_data(), None)).__name__ for draw in DRAW.values()}
    assert displays == tested


def _data():
    y = np.random.default_rng(0).gamma(3, 10, 300)
    return y, y, TargetRegions(method="edges", edges=[20.0, 60.0], rare=[-1]).fit(y)


def test_leakage_is_drawn_from_audits_and_from_single_numbers():
    one, other = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ", "GSHMWWPFNDEHCKRTLLPQAVGSNDMEEKYIH"
    report = audit_leakage([one, one, other, other], [0, 1, 1, 1])
    display = LeakageDisplay.from_shares({"audit": report, "published": 0.25})
    folds = report.table["A"].to_numpy()[:-1]
    assert display.means() == [pytest.approx(folds.mean()), 0.25]
    assert len(folds) == 2
