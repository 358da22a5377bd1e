import json
import re
from copy import copy
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import NotFittedError

from esmlearn.persistence import load
from esmlearn.study import Study, flattery, headline
from esmlearn.study._metrics import metrics_of
from esmlearn.study._report import escape_markdown
from esmlearn.study._wording import measured, number, p_value, tell
from tests.study.conftest import small_study


class Page(HTMLParser):
    """Collects what a test asks of a page, and complains about tags that do not match."""

    VOID = {"meta", "br", "img", "hr", "link", "input"}

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.text = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def folder(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("report")
    fitted.write(path, source={"name": "<made> & up", "sha256": "f" * 64, "warning": "Untrained!"})
    return path


@pytest.fixture(scope="module")
def page(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_the_folder_holds_everything(folder):
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    expected = {"results.csv", "random_results.csv", "regions.csv", "folds.csv", "fold_table.csv"}
    expected |= {"audit_homology.csv", "audit_random.csv", "model.esmlearn", "model_card.md"}
    expected |= {"report.html", "study.json", "figures/pca.svg", "figures/scatter.svg"}
    assert expected <= names
    assert not any(name.rsplit("/", 1)[-1].startswith(".") for name in names)


def test_the_page_needs_nothing_else(page, folder):
    for tag, attributes in page.seen:
        assert tag not in ("script", "link", "iframe")
        for name in ("src", "href", "xlink:href"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:")), (tag, value)
    assert "@import" not in (folder / "report.html").read_text()


def test_every_figure_has_a_text_and_ids_are_unique(page):
    pictures = [a for t, a in page.seen if t == "div" and a.get("role") == "img"]
    assert len(pictures) >= 8
    assert all(a["aria-label"] for a in pictures)
    ids = [a["id"] for _, a in page.seen if "id" in a]
    assert len(ids) == len(set(ids))
    used = {a["xlink:href"][1:] for _, a in page.seen if a.get("xlink:href", "").startswith("#")}
    assert used <= set(ids)


def test_ink_follows_the_page(folder):
    text = (folder / "report.html").read_text()
    assert "currentColor" in text
    assert "#0b0c0d" not in text
    assert "prefers-color-scheme: dark" in text


def test_the_answer_comes_first_and_the_warning_before_it(page):
    text = " ".join(" ".join(page.text).split())
    assert text.index("Untrained!") < text.index("The answer") < text.index("The models")
    assert text.index("families it has never seen") < text.index("A random split would")
    assert text.index("A random split would") < text.index("The models")
    for word in ("SHA-256", "fingerprint", "Wall time", "Homology graph", "Versions", "Seed"):
        assert word in text


def test_names_are_escaped(folder):
    text = (folder / "report.html").read_text()
    assert "&lt;made&gt; &amp; up" in text
    assert "<made>" not in text


def test_tables_are_the_same_bytes_again(fitted, folder, tmp_path):
    fitted.write(tmp_path)
    for name in ("results.csv", "folds.csv", "regions.csv", "against_none.csv"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_the_saved_model_predicts_the_same(fitted, folder, proteins):
    digest = json.loads((folder / "study.json").read_text())["model_digest"]
    model = load(folder / "model.esmlearn", digest=digest)
    assert np.array_equal(model.predict(proteins[0]), fitted.predict(proteins[0]))


def test_the_card_tells_model_data_and_limits(folder):
    card = (folder / "model_card.md").read_text()
    for text in ("Untrained!", "homology folds", "esmlearn.persistence.load", "single mutations"):
        assert text in card
    assert not re.search(r"\{\{|\{%", card)


def test_results_can_be_read_back(folder, fitted):
    results = pd.read_csv(folder / "results.csv")
    assert len(results) == len(fitted.results_)
    assert np.allclose(results["mae"], fitted.results_["mae"], rtol=1e-7)


def test_predictions_of_unseen_families_can_be_read_back(folder, fitted):
    table = pd.read_csv(folder / "predictions.csv")
    chosen = fitted.conclusion_.chosen.name
    assert list(table.columns) == ["id", "fold", "target", "candidate", "kept", "prediction"]
    assert set(table["candidate"]) == set(fitted.predictions_)
    assert set(table.loc[table["kept"], "candidate"]) == {chosen}
    assert table.loc[0, "kept"]
    for name, rows in table.groupby("candidate"):
        assert (rows["id"] == fitted.data_.ids).all()
        assert np.allclose(rows["prediction"], fitted.predictions_[name], rtol=1e-7)


def test_classes_have_a_report_too(fitted_classes, tmp_path):
    page = Page(fitted_classes.write(tmp_path).read_text(encoding="utf-8"))
    assert "Macro F1" in " ".join(page.text)
    assert (tmp_path / "figures" / "confusion.svg").exists()


def test_without_random_folds_nothing_is_said_about_them(fitted, tmp_path):
    plain = fitted.__class__(**{**fitted.get_params(deep=False), "random_split": False})
    vars(plain).update({k: v for k, v in vars(fitted).items() if k.endswith("_")})
    plain.random_results_ = pd.DataFrame()
    text = plain.write(tmp_path).read_text(encoding="utf-8")
    assert "A random split would" not in text
    assert not (tmp_path / "random_results.csv").exists()


@pytest.mark.parametrize(
    ("random", "said"),
    [
        (
            {"balanced_mae": 1.0, "r2": 0.9},
            "would have been optimistic: balanced MAE 1.00 °C instead of",
        ),
        (
            {"balanced_mae": 99.0, "r2": -9.0},
            "would not have been optimistic here: balanced MAE 99.0",
        ),
        ({"balanced_mae": 1.0, "r2": -9.0}, "would have said: balanced MAE 1.00 °C instead of"),
    ],
)
def test_what_a_random_split_would_have_said(fitted, random, said):
    study = copy(fitted)
    study.random_results_ = fitted.random_results_.assign(**random)
    study.leakage_ = {"random": np.array([np.nan, 0.1])}  # no row of the first fold was searched
    text = flattery(study)
    assert text.startswith(f"A random split {said}")
    share = fitted.audit_["random"].overall("A")
    assert f"{100 * share:.0f} % had a relative in training" in text


def test_the_headline_has_a_yardstick(fitted, fitted_classes):
    assert re.search(r"Answering the same for every protein misses by \S+ °C\.", headline(fitted))
    assert "Answering the same for every protein gives" in headline(fitted_classes)


def test_a_study_that_was_not_run_has_no_report(tmp_path):
    with pytest.raises(NotFittedError):
        Study().write(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"),
        (-1.5, "\u22121.50"),
        (15.0, "15.0"),
        (240.4, "240"),
        (0.000123, "0.000123"),
        (4.2e10, "4.20e+10"),
        (float("nan"), "–"),
        (None, "–"),
        (1234, "1\u202f234"),
        (1234.5, "1234"),
        (0.0, "0"),
    ],
)
def test_numbers_are_written_for_people(value, text):
    assert number(value) == text


def test_a_very_small_p_is_not_zero():
    assert [p_value(x) for x in (1e-9, 0.0012, 0.034, 1.0)] == ["< 0.001", "0.0012", "0.034", "1.0"]


def test_bounded_metrics_have_three_decimals():
    r2, mae = metrics_of("regression")[3], metrics_of("regression")[1]
    assert [measured(x, r2) for x in (0.31, -0.000126, -0.5, np.nan)] == [
        "0.310",
        "0",
        "\u22120.500",
        "–",
    ]
    assert measured(0.000126, mae) == "0.000126"


def test_settings_are_told_without_marks_of_code():
    told = tell({"mode": "sensitive", "--masking": 0, "n_edges": 6607, "sizes": [1.5, None, True]})
    assert told == "mode sensitive, masking 0, edges 6\u202f607, sizes 1.5, none, yes"


def test_no_mark_of_code_is_on_the_page(page):
    text = " ".join(page.text)
    for mark in ("built-in", "object at", "None", "True", "False", "{'", "nan"):
        assert mark not in text, mark


# Text of users ------------------------------------------------------------------------------------

HOSTILE = [
    "$a$",
    "<b>&amp;",
    "a|b`c`*d*",
    "two\nlines # [x](y)",
    "_x_",
    "../up/$\\frac$",
]


@pytest.fixture(scope="module", params=[0, 1])
def hostile(request, checkpoint, proteins, tmp_path_factory):
    """Studies whose every name is hostile: of a continuous target, and of classes."""
    models = {name: small_study(checkpoint).models["ridge"] for name in HOSTILE[:6]}
    options = {"models": {"dummy": DummyRegressor(), **models}, "name": HOSTILE[0] * 2}
    y = proteins[1]
    if request.param:
        options["models"] = {"dummy": DummyClassifier(), HOSTILE[5]: LogisticRegression(C=0.1)}
        options |= {"regions": None, "name": "".join(HOSTILE[:5])}
        y = np.array(HOSTILE[:3], dtype=object)[np.digitize(y, [35, 50])]
    options |= {"resamplers": ("random",), "unit": "<$u$|`>" if not request.param else None}
    study = small_study(checkpoint, random_split=False, **options)
    study.fit(proteins[0], y, ids=[f"${i}$<|`" for i in range(90)])
    folder = tmp_path_factory.mktemp("hostile")
    study.write(folder / "in", source={"name": "".join(HOSTILE[:6]), "sha256": "f" * 64})
    return study, folder


def test_names_of_users_leave_no_figure_out_and_no_file_outside(hostile):
    study, folder = hostile
    about = json.loads((folder / "in" / "study.json").read_text())
    assert not [note for note in about["notes"] if "figure" in note]
    assert [path.name for path in folder.iterdir()] == ["in"]
    pictures = list((folder / "in" / "figures").iterdir())
    assert all(re.fullmatch(r"[\w.-]+\.svg", path.name) for path in pictures)
    n_resampled = study.results_.query("resampler != 'none'")["model"].nunique()
    assert len([p for p in pictures if p.name.startswith("levels-")]) == n_resampled


def test_names_of_users_are_text_in_report_and_card(hostile):
    _, folder = hostile
    page = Page((folder / "in" / "report.html").read_text(encoding="utf-8"))
    assert not any(tag == "b" and not attrs for tag, attrs in page.seen[:5])
    source = "".join(HOSTILE[:6])
    assert " ".join(source.split()) in " ".join("".join(page.text).split())
    card = (folder / "in" / "model_card.md").read_text(encoding="utf-8")
    line = next(line for line in card.splitlines() if line.startswith("- Source: "))
    assert line.startswith(f"- Source: {escape_markdown(source)}, SHA-256 `")
    assert len([line for line in card.splitlines() if line.startswith("# ")]) == 1
    cells = [line for line in card.splitlines() if line.startswith("| ")]
    # The table of metrics, and that of errors by distance.
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in cells} == {3, 5}


@given(st.text())
def test_escaped_markdown_is_the_text_on_one_line(text):
    markdown_it = pytest.importorskip("markdown_it")
    html = markdown_it.MarkdownIt().renderInline(escape_markdown(text))
    shown = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)
    assert Page(html).seen == []
    assert "".join(Page(html).text).strip() == shown.strip()


def test_a_figure_that_fails_does_not_cost_the_report(fitted, tmp_path, monkeypatch):
    def broken(*args, **options):
        raise RuntimeError("no such glyph")

    monkeypatch.setattr("esmlearn.plotting.EmbeddingPCADisplay.from_embedding", broken)
    with pytest.warns(UserWarning, match=r"figure 'Embeddings .*\(pca\) could not .*no such glyph"):
        fitted.write(tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="figure-scatter"' in text
    assert 'id="figure-pca"' not in text
    assert "could not be drawn and is left out" in text
    assert not (tmp_path / "figures" / "pca.svg").exists()
