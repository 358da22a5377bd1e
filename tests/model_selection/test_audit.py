import json

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold

from esmlearn.clustering import available_engines
from esmlearn.exceptions import DataError
from esmlearn.model_selection import (
    CDHitGroupSplitter,
    _audit,
    audit_leakage,
    train_validation_test_split,
)
from tests._proteins import make_families, mutate, random_protein


@pytest.fixture(scope="module")
def proteins():
    """40 proteins: 10 families of three, 10 singletons."""
    return make_families(20, [3] * 10 + [1] * 10, length=80, identity=0.8, seed=2)


def test_random_folds_leak_as_counted_by_family(proteins):
    sequences, family = proteins
    folds = np.random.default_rng(0).integers(0, 4, len(sequences))
    report = audit_leakage(sequences, folds)
    leaking = [bool(set(family[folds != f]) & {g}) for g, f in zip(family, folds, strict=True)]
    assert report.overall("A") == pytest.approx(np.mean(leaking))
    assert report.table["split"].tolist() == ["0", "1", "2", "3", "overall"]
    assert report.table["n_test"].tolist()[:4] == np.bincount(folds).tolist()


def test_our_folds_do_not_leak(proteins):
    sequences, _ = proteins
    report = audit_leakage(sequences, CDHitGroupSplitter(4, random_state=0))
    assert [report.overall(name) for name in "ABC"] == [0, 0, 0]
    assert "0.00%" in report.summary()


def test_all_ways_of_writing_a_split_agree(proteins):
    sequences, _ = proteins
    pairs = list(KFold(3, shuffle=True, random_state=0).split(sequences))
    labels = np.zeros(len(sequences), dtype=int)
    for fold, (_, test) in enumerate(pairs):
        labels[test] = fold
    tables = [
        audit_leakage(sequences, form).table
        for form in (pairs, labels, labels.tolist(), KFold(3, shuffle=True, random_state=0))
    ]
    for table in tables[1:]:
        assert table.equals(tables[0])


def test_negative_labels_are_in_no_fold(proteins):
    sequences, family = proteins
    folds = np.where(family == 0, -1, family % 2)
    report = audit_leakage(sequences, folds)
    assert report.table["n_test"].iloc[-1] == (family != 0).sum()
    assert report.overall("A") == 0


@pytest.mark.parametrize("names", [("train", "validation", "test"), ("Training", "val", "TEST")])
def test_labels_that_name_parts_are_parts(proteins, names):
    sequences, _ = proteins
    labels = np.array(names, dtype=object)[np.arange(40) % 3]
    rows = {
        name: np.arange(40)[np.arange(40) % 3 == i]
        for i, name in enumerate(("train", "validation", "test"))
    }
    expected = audit_leakage(sequences, rows).table
    for form in (labels, labels.tolist(), pd.Series(labels, index=np.arange(40)[::-1])):
        assert audit_leakage(sequences, form).table.equals(expected)
    assert audit_leakage(sequences, pd.Series(labels).astype("category")).table.equals(expected)
    named = dict(zip(names, rows.values(), strict=True))
    assert audit_leakage(sequences, named).table.equals(expected)


def test_rows_labelled_set_aside_are_in_no_part(proteins):
    sequences, _ = proteins
    folds = np.where(np.arange(40) < 4, "set_aside", (np.arange(40) % 2).astype(str))
    table = audit_leakage(sequences, folds).table
    assert table["split"].tolist() == ["0", "1", "overall"]
    assert table["n_test"].iloc[-1] == 36
    parts = np.where(np.arange(40) < 4, "set_aside", np.array(["train", "test"])[np.arange(40) % 2])
    assert audit_leakage(sequences, parts).table["split"].tolist() == ["test", "overall"]


def test_parts_are_compared_with_training_and_each_other(proteins):
    sequences, family = proteins
    first = np.unique(family, return_index=True)[1][:10]
    parts = {"train": first, "validation": first + 1, "test": np.arange(30, 40)}
    table = audit_leakage(sequences, parts).table.set_index("split")
    assert table.loc["validation", "A"] == 1
    assert table.loc["test", "A"] == 0
    assert table.loc["test, validation", "A"] == 0


def test_a_drawn_design_is_clean(proteins):
    sequences, _ = proteins
    parts = train_validation_test_split(sequences, n_validation=4, n_test=4, max_component=0.2)
    assert audit_leakage(sequences, parts).overall("A") == 0


def test_definitions_differ_by_coverage():
    rng = np.random.default_rng(0)
    core, tail = random_protein(100, rng), random_protein(300, rng)
    inside_long = core + tail  # all of the shorter, a quarter of the longer
    shared_part = core[:60] + random_protein(40, rng)  # 60 % of the shorter
    weak = core[:30] + random_protein(70, rng)
    sequences = [core, inside_long, core, shared_part, core, weak]
    shares = {}
    for name, other in {"inside": 1, "part": 3, "weak": 5}.items():
        report = audit_leakage(sequences, [([0], [other])])
        shares[name] = [report.overall(d) for d in "ABCD"]
    assert shares == {"inside": [1, 1, 0, 1], "part": [1, 0, 0, 1], "weak": [0, 0, 0, 1]}


def test_nearest_identical_and_near_identical_rows():
    rng = np.random.default_rng(1)
    a, b = random_protein(100, rng), random_protein(100, rng)
    near = mutate(a, 0.98, rng)
    sequences = [a, mutate(a, 0.5, rng), b, a.lower(), near, random_protein(90, rng)]
    report = audit_leakage(sequences, [([0, 1, 2], [3, 4, 5])])
    nearest = report.nearest.set_index("test_row")
    assert nearest["train_row"].to_dict() == {3: 0, 4: 0, 5: -1}
    assert nearest.loc[3, "identity"] == 1
    assert nearest.loc[4, "identity"] == pytest.approx(0.98, abs=0.03)
    assert np.isnan(nearest.loc[5, "identity"])
    assert report.identical[["test_row", "train_row"]].to_numpy().tolist() == [[3, 0]]
    line = report.table.iloc[-1]
    assert line["identical"] == pytest.approx(1 / 3)
    assert line["near_identical"] == pytest.approx(2 / 3)
    assert line["max_identity"] == 1


def test_a_copy_counts_however_short_it_is():
    report = audit_leakage(["MKV", "MKV", "WWHHPPGGAACC"], [0, 1, 1])
    assert report.table.iloc[-1]["identical"] == pytest.approx(2 / 3)
    assert report.overall("D") == pytest.approx(2 / 3)


def test_the_curve_falls_with_identity(proteins):
    sequences, _ = proteins
    curve = audit_leakage(sequences, np.arange(len(sequences)) % 2).curve
    assert curve.columns.tolist() == ["identity", "0", "1", "overall"]
    assert (np.diff(curve["overall"]) <= 0).all()
    assert curve["overall"].iloc[0] > 0.5


def test_conflicting_targets_of_copies_are_named():
    sequences = ["MKVLATGG", "mkvlatgg", "WWHHPPGG", "WWHHPPGG"]
    report = audit_leakage(sequences, [0, 1, 0, 1], y=[1.0, 2.0, 3.0, 3.0])
    assert report.conflicts.to_dict("records") == [{"rows": [0, 1], "targets": [1.0, 2.0]}]
    assert "1 sequences have copies with different targets" in report.summary()


def test_what_is_found_can_be_fed_back(proteins):
    sequences, _ = proteins
    blind = CDHitGroupSplitter(2, identity=1.0, coverage=1.0, margin=0.0, random_state=0)
    report = audit_leakage(sequences, blind)
    assert report.overall("A") > 0
    told = CDHitGroupSplitter(
        2, identity=1.0, coverage=1.0, margin=0.0, random_state=0, extra_edges=report.extra_edges
    )
    assert audit_leakage(sequences, told).overall("A") < report.overall("A")


def test_a_sample_is_stated_with_its_interval(proteins):
    sequences, _ = proteins
    folds = np.arange(len(sequences)) % 2
    report = audit_leakage(sequences, folds, n_sample=15, random_state=0)
    low, high = report.interval("A")
    assert report.description["n_audited"] == len(report.nearest) == 15
    assert 0 <= low < report.overall("A") < high <= 1
    assert "a random sample of 15 of 40 test rows" in report.summary()
    again = audit_leakage(sequences, folds, n_sample=15, random_state=0)
    assert again.nearest.equals(report.nearest)


def test_large_searches_are_sampled_and_exact_is_not(proteins, monkeypatch):
    sequences, _ = proteins
    folds = np.arange(len(sequences)) % 2
    monkeypatch.setattr(_audit, "AFFORDABLE_CELLS", 1e6)
    monkeypatch.setattr(_audit, "LEAST_SAMPLE", 5)
    assert 5 <= audit_leakage(sequences, folds).description["n_audited"] < 40
    assert audit_leakage(sequences, folds, engine="exact").description["n_audited"] == 40


@pytest.mark.slow
def test_another_engine_can_search(proteins):
    if available_engines()["mmseqs"] is None:
        pytest.skip("mmseqs is not installed")
    sequences, _ = proteins
    report = audit_leakage(sequences, np.arange(len(sequences)) % 2, engine="mmseqs")
    assert report.description["engine"] == "mmseqs"
    assert report.overall("A") > 0


def test_the_report_is_plain_data(proteins):
    sequences, _ = proteins
    report = audit_leakage(sequences, KFold(2), y=np.arange(len(sequences)))
    written = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert written["table"][-1]["A"] == report.overall("A")
    assert written["description"]["engine"] == "exact"
    assert "leak by definition A" in repr(report)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": [0], "holdout": [1]}, "expected 'train' with"),
        ({"train": [0]}, "expected 'train' with"),
        ([[0, 1, 2]], r"splits\[0\] is no pair"),
        (([0.0, 1.0], [2.0, 3.0]), r"type float64; expected a flat array of row numbers"),
        ([([0.5], [1.5])], r"type float64; expected a flat array of row numbers"),
        (([0, 1], []), "'0' has an empty part"),
        ([([0, 1], [2, 99])], "has the row 99; expected rows 0-39"),
        ([([0, 1], [])], "has an empty part"),
        ([([True, False], [False, True])], r"mask of shape \(2,\); expected \(40,\)"),
        ({"train": [0], "test": [True, False]}, r"mask of shape \(2,\); expected \(40,\)"),
        ([], "no splits to audit"),
        ([0, 1, 0], "3 labels for 40 sequences"),
        ([0, 1, np.nan, *[0] * 37], r"splits\[2\] is nan; expected a label"),
        ([*["train"] * 39, None], r"splits\[39\] is None; expected a label"),
        (None, "splits is of type NoneType; expected"),
        (5, "splits is of type int; expected"),
        ("train", "splits is of type str; expected"),
    ],
)
def test_splits_of_no_known_form(proteins, splits, message):
    with pytest.raises(DataError, match=message):
        audit_leakage(proteins[0], splits)


@pytest.mark.parametrize("n_sample", [0, 0.5, True])
def test_the_sample_is_a_number_of_rows(proteins, n_sample):
    with pytest.raises(DataError, match="n_sample is"):
        audit_leakage(proteins[0], KFold(2), n_sample=n_sample)


def test_y_goes_with_the_rows(proteins):
    with pytest.raises(DataError, match="y has 2 values; expected 40"):
        audit_leakage(proteins[0], np.arange(40) % 2, y=[1, 2])


def test_every_way_to_write_a_split_says_the_same(proteins):
    sequences, _ = proteins
    folds = KFold(4, shuffle=True, random_state=0)
    pairs = list(folds.split(sequences))
    masks = [(~np.isin(range(40), test), np.isin(range(40), test)) for _, test in pairs]
    expected = audit_leakage(sequences, pairs).table
    for splits in (folds.split(sequences), iter(pairs), masks):
        assert audit_leakage(sequences, splits).table.equals(expected)
    (train, test), (train_mask, test_mask) = pairs[0], masks[0]
    for one in ((train, test), [train.tolist(), test.tolist()], (train_mask, test_mask)):
        pd.testing.assert_frame_equal(
            audit_leakage(sequences, one).table, audit_leakage(sequences, pairs[:1]).table
        )
    by_mask = audit_leakage(sequences, {"train": train_mask, "test": test_mask})
    assert by_mask.table.equals(audit_leakage(sequences, {"train": train, "test": test}).table)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"identity": 30}, r"Did you mean 0\.3"), ({"evalue": 0}, "evalue is 0")],
)
def test_thresholds_that_nothing_can_reach_are_refused(proteins, parameters, message):
    with pytest.raises(DataError, match=message):
        audit_leakage(proteins[0], KFold(2), **parameters)


def test_several_targets_conflict_only_where_they_differ(proteins):
    sequences = [*proteins[0], proteins[0][0], proteins[0][1]]
    y = np.column_stack([np.arange(42), np.arange(42) + 5])
    y[40], y[41] = y[0], y[1] + [0, 1]
    report = audit_leakage(sequences, KFold(2), y=y)
    assert report.conflicts["rows"].tolist() == [[1, 41]]
