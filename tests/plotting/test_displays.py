"""Structural tests: axes, labels with units, and artists of every display."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold

from esmlearn import plotting
from esmlearn.conformal import coverage_report
from esmlearn.exceptions import DataError, EngineNotFoundError
from esmlearn.model_selection import audit_leakage
from esmlearn.over_sampling import TargetRegions
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

ERRORS = pd.DataFrame(
    {
        "identity_low": [0.0, 0.3, 0.5],
        "identity_high": [0.3, 0.5, 1.0],
        "count": [1900, 300, 40],
        "error": [12.0, 9.0, 7.0],
        "low": [11.0, 8.0, 4.0],
        "high": [13.0, 10.0, 11.0],
    }
)
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
    "curves": lambda d, ax: TrainingCurveDisplay.from_history(
        [HISTORY, HISTORY], best_epochs=[3, 2], ax=ax
    ),
    "folds": lambda d, ax: FoldsDisplay.from_splitter(
        KFold(3), d[0], d[0], regions=d[2], ax=ax, unit="°C"
    ),
    "coverage": lambda d, ax: CoverageDisplay.from_report(
        coverage_report(d[0], np.c_[d[0] - 5, d[0] + d[0] % 9], regions=d[2]), ax=ax
    ),
    "distance": lambda d, ax: ErrorByIdentityDisplay.from_table(ERRORS, unit="°C", ax=ax),
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
        TrainingCurveDisplay.from_estimator(LinearRegression())


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
        (lambda: TrainingCurveDisplay.from_history([[{"loss": 1}]]), "has no 'train_loss'"),
        (lambda: LeakageDisplay.from_shares({"a": [1.2]}), r"shares\['a'\]"),
        (lambda: FoldsDisplay.from_folds([0, 1], ["a"]), "folds has 2 rows and y has 1"),
        (lambda: FoldsDisplay.from_folds([([0, 1], [2]), ([2], [0, 1])]), "from_splitter"),
        (lambda: FoldsDisplay.from_folds([[0, 1], [1, 0]]), r"shape \(2, 2\).*from_splitter"),
        (lambda: EmbeddingPCADisplay.from_embedding(np.eye(3), [1.0, 2.0]), r"y has shape \(2,\)"),
        (lambda: TargetRegionsDisplay.from_target([1.0, np.nan, 2.0]), r"y\[1\] is NaN"),
        (lambda: TargetRegionsDisplay.from_target([1.0, 2.0], [2.0, 1.0]), "ascending"),
        (lambda: TargetRegionsDisplay.from_target([1.0, 2.0], 1.5), r"regions is 1\.5; expected"),
        (
            lambda: PredictionErrorByRegionDisplay.from_predictions([1.0, 2.0], [1.0, np.inf]),
            r"y_pred\[1\] is inf",
        ),
        (
            lambda: RegionConfusionDisplay.from_predictions([1.0], [np.nan], regions=[1.0]),
            r"y\[0\] is NaN",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_regions_must_be_fitted():
    with pytest.raises(NotFittedError, match="TargetRegions"):
        TargetRegionsDisplay.from_target([1.0, 2.0], TargetRegions())


def test_folds_that_are_text_may_be_set_aside():
    table = FoldsDisplay.from_folds(["0", "1", "set_aside", "1"]).table
    assert table["rows"].to_dict() == {"0": 1, "1": 2}


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


# What each display draws, looked up in its axes


def test_target_regions_draw_a_histogram_and_hatch_what_is_rare(data):
    y, _, regions = data
    ax = DRAW["regions"](data, None).ax_
    assert sum(bar.get_height() for bar in ax.patches) == len(y)
    hatched = [bar for bar in ax.patches if bar.get_hatch()]
    assert hatched
    assert all(bar.get_x() + bar.get_width() / 2 >= 60 for bar in hatched)
    assert [line.get_xdata()[0] for line in ax.lines] == regions.edges_.tolist()


def test_target_classes_are_bars_from_small_to_large():
    ax = TargetRegionsDisplay.from_target(["a"] * 3 + ["b"] + ["c"] * 2, [False, True, False]).ax_
    assert [bar.get_width() for bar in ax.patches] == [1, 2, 3]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["b", "c", "a"]
    assert [bool(bar.get_hatch()) for bar in ax.patches] == [True, False, False]


def test_pca_points_lie_at_their_coordinates(data):
    display = DRAW["pca"](data, None)
    (points,) = display.ax_.collections
    assert np.allclose(points.get_offsets(), display.coordinates)
    assert np.allclose(points.get_array(), data[0])


def test_predictions_are_points_of_their_fold(data):
    y, prediction, _ = data
    folds = np.arange(300) % 3
    ax = PredictionErrorByRegionDisplay.from_predictions(y, prediction, folds=folds).ax_
    for fold, points in enumerate(ax.collections):
        assert np.allclose(points.get_offsets(), np.c_[y, prediction][folds == fold])
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert labels == ["fold 0", "fold 1", "fold 2", "perfect"]


def test_error_bars_are_as_high_as_the_errors(data):
    display = DRAW["error"](data, None)
    assert np.allclose([b.get_height() for b in display.ax_.patches], display.region_errors())
    assert [bool(bar.get_hatch()) for bar in display.ax_.patches] == data[2].rare_.tolist()


def test_a_confusion_matrix_is_an_image_of_shares(data):
    display = DRAW["confusion"](data, None)
    (image,) = display.ax_.images
    assert np.allclose(image.get_array().sum(axis=1), 1)
    assert display.figure_.axes[1].get_ylabel() == "Share of the measured row"
    rows = [t.get_text() for t in display.ax_.get_yticklabels()]
    assert rows[0].startswith("below 20 °C (n=")


def test_levels_are_lines_over_their_levels(data):
    ax = DRAW["levels"](data, None).ax_
    assert [t.get_text() for t in ax.get_xticklabels()] == ["+100 %", "+200 %", "+300 %"]
    for container in ax.containers:
        assert np.allclose(container.lines[0].get_ydata(), [0.4, 0.5, 0.6])
    assert len(ax.containers) == 2


def test_learning_curves_are_two_lines_and_a_mark_per_fold(data):
    ax = DRAW["curves"](data, None).ax_
    lines = [line for line in ax.lines if len(line.get_xdata())]
    assert [len(line.get_xdata()) for line in lines] == [3, 3, 1] * 2
    assert [line.get_linestyle() for line in lines] == [":", "-", "None"] * 2
    assert [line.get_xdata()[0] for line in lines[2::3]] == [3, 2]


def test_folds_are_bars_of_their_regions(data):
    display = DRAW["folds"](data, None)
    widths = np.array([bar.get_width() for bar in display.ax_.patches]).reshape(3, 3)
    assert (widths == display.table.to_numpy().T).all()
    assert widths.sum() == len(data[0])


def test_leakage_is_a_bar_and_a_dot_for_each_fold(data):
    ax = DRAW["leakage"](data, None).ax_
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([65, 0])
    assert [line.get_xdata().tolist() for line in ax.lines] == [pytest.approx([60, 70]), [0, 0]]
    assert [t.get_text() for t in ax.texts] == ["65.0%", "0.0%"]


def test_every_display_has_an_example_in_the_gallery():
    gallery = Path(__file__).parents[2] / "docs" / "gallery"
    text = "".join(path.read_text() for path in gallery.glob("*.py"))
    for name in plotting.__all__:
        assert not name.endswith("Display") or f"{name}.from_" in text, name


def test_leakage_is_drawn_from_audits_and_from_single_numbers():
    one, other = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ", "GSHMWWPFNDEHCKRTLLPQAVGSNDMEEKYIH"
    report = audit_leakage([one, one, other, other], [0, 1, 1, 1])
    display = LeakageDisplay.from_shares({"audit": report, "published": 0.25})
    folds = report.table["A"].to_numpy()[:-1]
    assert display.means() == [pytest.approx(folds.mean()), 0.25]
    assert len(folds) == 2


TEXTS = [
    "$a$",
    "$",
    "a$b$c$",
    r"\$x$",
    r"$\frac$",
    "_x",
    "two\nlines",
    "tab\t",
    "%s",
    "é °",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("draw", ["labels", "classes", "folds", "shares", "levels", "errors"])
def test_text_of_users_is_drawn_as_it_is(text, draw, data, tmp_path):
    y, predicted, regions = data
    classes = np.array([text, "other", "third"], dtype=object)[np.arange(300) % 3]
    displays = {
        "labels": lambda: [
            TargetRegionsDisplay.from_target(y, regions, name=text, unit=text),
            EmbeddingPCADisplay.from_embedding(np.c_[y, y], y, name=text, unit=text),
        ],
        "classes": lambda: [
            TargetRegionsDisplay.from_target(classes, np.zeros(3, bool)),
            EmbeddingPCADisplay.from_embedding(np.c_[y, y], classes),
            RegionConfusionDisplay.from_predictions(classes, classes),
        ],
        "folds": lambda: [FoldsDisplay.from_folds(classes, classes)],
        "coverage": lambda: [
            CoverageDisplay.from_report(
                coverage_report(classes, np.ones((300, 2)), classes=[text, "other"])
            ),
            ErrorByIdentityDisplay.from_table(ERRORS, name=text, unit=text),
        ],
        "shares": lambda: [LeakageDisplay.from_shares({text: [0.5], "other": [0.1]})],
        "levels": lambda: [
            ResamplingLevelDisplay.from_results(
                RESULTS.replace("smote", text), "recall_rare", model="ridge", label=text
            )
        ],
        "errors": lambda: [
            PredictionErrorByRegionDisplay.from_predictions(
                y, predicted, regions=regions, name=text, unit=text, folds=classes, kind=kind
            )
            for kind in ("scatter", "error")
        ],
    }
    shown = "".join(c if c.isprintable() else " " for c in text)
    for display in displays[draw]():
        display.figure_.savefig(tmp_path / "x.svg")
        drawn = display.figure_.findobj(matplotlib.text.Text)
        found = [t._preprocess_math(t.get_text()) for t in drawn]
        assert not any(math for _, math in found)
        assert any(shown in label for label, _ in found)
