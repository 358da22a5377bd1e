import io

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.preprocessing import FunctionTransformer

from esmlearn.cli import main
from esmlearn.exceptions import DataError
from esmlearn.persistence import load
from esmlearn.study import SequenceAndCovariates, Study, headline
from tests.study.conftest import small_study


def residues(sequences):
    return np.array([[s.count(r) / len(s) for r in "ACDEFGHIKL"] for s in sequences])


@pytest.fixture(scope="module")
def table(proteins):
    sequences, y = proteins
    rng = np.random.default_rng(0)
    columns = {
        "id": [f"p{i}" for i in range(90)],
        "sequence": sequences,
        "ogt": np.where(rng.random(90) < 0.1, np.nan, y + rng.normal(0, 6, 90)),
        "organism": np.where(rng.random(90) < 0.1, None, np.where(y > 30, "hot one", "cold")),
        "target": y,
    }
    return pd.DataFrame(columns)


def columns_of(**options):
    options = {"numbers": ["ogt"], "categories": ["organism"], **options}
    return SequenceAndCovariates(FunctionTransformer(residues), **options)


def test_blocks_have_the_same_variance_in_training(table):
    features = columns_of().fit_transform(table)
    variance = features.var(axis=0)
    assert variance[:10].sum() == pytest.approx(variance[10:].sum())
    assert np.isfinite(features).all()
    # a number, its five hinges and three categories, of which "missing" is one
    assert features.shape == (90, 10 + 6 + 3)


def test_a_number_may_bend(table):
    columns = SequenceAndCovariates(None, numbers=["ogt"]).fit(table)
    x = pd.DataFrame({"ogt": np.linspace(-20, 120, 50)})
    bent = Ridge(alpha=1e-6).fit(columns.transform(table), np.abs(table["ogt"].fillna(30) - 30))
    known = table["ogt"].dropna()
    inside = (x["ogt"] > known.min() + 2) & (x["ogt"] < known.max() - 2)
    error = np.abs(bent.predict(columns.transform(x)) - np.abs(x["ogt"] - 30))[inside]
    assert error.mean() < 3


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "text"])
def test_tables_of_every_kind_give_the_same(kind, table):
    fitted = columns_of().fit(table)
    expected = fitted.transform(table)
    if kind == "text":
        other = table.assign(ogt=[None if np.isnan(v) else repr(v) for v in table["ogt"].tolist()])
    elif kind == "polars":
        other = pytest.importorskip("polars").from_pandas(table[["sequence", "ogt", "organism"]])
    else:
        pyarrow = pytest.importorskip("pyarrow")
        other = pyarrow.Table.from_pandas(table[["sequence", "ogt", "organism"]])
    np.testing.assert_allclose(fitted.transform(other), expected)


def test_unknown_and_missing_cells(table):
    fitted = columns_of().fit(table)
    new = table.iloc[:2].assign(ogt=[np.nan, 50.0], organism=["never seen", None])
    assert np.isfinite(fitted.transform(new)).all()
    median = table.iloc[:1].assign(ogt=[table["ogt"].median()])
    np.testing.assert_allclose(
        fitted.transform(table.iloc[:1].assign(ogt=[np.nan])), fitted.transform(median)
    )
    constant = columns_of().fit(table.assign(ogt=7.0, organism="one"))
    assert np.isfinite(constant.transform(table)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.drop(columns="ogt"),
            r"no column 'ogt'; expected .* ogt, organism",
        ),
        (lambda t: t.assign(ogt="warm"), r"X\['ogt'\]\[0\] is 'warm'; expected a finite number"),
        (lambda t: t.assign(ogt=np.inf), r"X\['ogt'\]\[0\] is inf"),
        (lambda t: t["sequence"].tolist(), "X is of type list; expected a table"),
    ],
)
def test_refuses(change, message, table):
    fitted = columns_of().fit(table)
    with pytest.raises(DataError, match=message):
        fitted.transform(change(table))
    assert str(clone(fitted)) == str(columns_of())


def covariate_study(checkpoint, features=("ogt", "organism"), **options):
    options = {"models": ["dummy", "ridge"], "resamplers": ("smote",), "levels": (100,), **options}
    return small_study(checkpoint, features=list(features), **options)


@pytest.fixture(scope="module")
def studied(checkpoint, table):
    return covariate_study(checkpoint).fit(table, table["target"], ids=table["id"])


def test_covariates_alone_are_a_yardstick(studied, fitted):
    names = set(studied.results_["candidate"])
    assert names == {"dummy", "ridge", "ridge-smote-100", "covariates"}
    means = studied.results_.groupby("candidate")["mae"].mean()
    assert means["covariates"] < means["dummy"]
    assert means["ridge"] < fitted.results_.groupby("candidate")["mae"].mean()["ridge"]
    assert studied.conclusion_.adds_to_covariates in (True, False)
    assert fitted.conclusion_.adds_to_covariates is None
    said = (
        "adds to the covariates" if studied.conclusion_.adds_to_covariates else "not shown to add"
    )
    assert said in headline(studied)
    assert "covariates alone" not in headline(fitted)


def test_report_and_card_count_them(studied, tmp_path):
    page = studied.write(tmp_path).read_text(encoding="utf-8")
    assert "Beside the sequence" in page
    assert "covariates alone, without the sequence" in page
    assert "- Beside the sequence: ogt (number from" in (tmp_path / "model_card.md").read_text()


def test_the_saved_model_asks_for_its_columns(studied, table, tmp_path):
    studied.write(tmp_path)
    model = load(tmp_path / "model.esmlearn")
    np.testing.assert_array_equal(model.predict(table), studied.predict(table))
    assert model.predict_interval(table).shape == (90, 2)
    with pytest.raises(DataError, match="no column 'organism'"):
        model.predict(table.drop(columns="organism"))


@pytest.mark.parametrize(
    ("features", "change", "message"),
    [
        (["sequence"], lambda t: t, "features has 'sequence'"),
        (["ph"], lambda t: t, "features has 'ph'; expected columns of the table beside"),
        (["ogt"], lambda t: t.assign(ogt=None), "The column 'ogt' is empty"),
        (["ogt"], lambda t: t["sequence"].tolist(), "of type list; expected a table"),
    ],
)
def test_a_study_names_what_it_cannot_use(features, change, message, checkpoint, table):
    with pytest.raises(DataError, match=message):
        covariate_study(checkpoint, features).fit(change(table), table["target"])


def test_classes_with_covariates(checkpoint, table, classes):
    study = covariate_study(checkpoint, regions=None, unit=None, resamplers=())
    study.fit(table, classes)
    means = study.results_.groupby("candidate")["macro_f1"].mean()
    assert means["covariates"] > means["dummy"]


def test_command_line(checkpoint, table, tmp_path, capsys):
    table.to_csv(tmp_path / "t.csv", index=False)
    arguments = ["study", tmp_path / "t.csv", "--target", "target", "--model", checkpoint]
    arguments += ["--features", "ogt,organism", "--models", "dummy,ridge", "--resamplers", ""]
    arguments += ["--folds", "3", "--jobs", "1", "--out", tmp_path / "out"]
    assert main([str(a) for a in arguments]) == 0
    capsys.readouterr()
    model = str(tmp_path / "out" / "model.esmlearn")
    assert main(["predict", model, str(tmp_path / "t.csv")]) == 0
    predicted = pd.read_csv(io.StringIO(capsys.readouterr().out))
    expected = load(model).predict(table)
    np.testing.assert_allclose(predicted["prediction"], expected, rtol=1e-5)
    table.drop(columns="ogt").to_csv(tmp_path / "less.csv", index=False)
    assert main(["predict", model, str(tmp_path / "less.csv")]) == 2
    assert "There is no column 'ogt' beside the sequences" in capsys.readouterr().err
    fasta = "".join(f">{i}\n{s}\n" for i, s in zip(table["id"], table["sequence"], strict=True))
    (tmp_path / "p.fasta").write_text(fasta)
    assert main(["predict", model, str(tmp_path / "p.fasta")]) == 2
    assert "There is no column 'ogt'" in capsys.readouterr().err


def test_other_covariates_never_share_fold_results(checkpoint, table, tmp_path):
    for name in ("ogt", "organism"):
        study = covariate_study(checkpoint, [name], work=tmp_path, random_split=False)
        study.fit(table, table["target"])
        assert isinstance(study, Study)
    assert len(list(tmp_path.glob("*-ridge-*.json"))) == 2 * 2 * 3
