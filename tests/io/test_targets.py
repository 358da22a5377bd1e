import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esmlearn.exceptions import DataError
from esmlearn.io import check_target, read_proteins, write_table


@pytest.mark.parametrize(
    ("y", "task", "expected"),
    [
        ([1, 2, 3], "auto", "regression"),
        ([0, 1, 1], "auto", "classification"),
        ([True, False, True], "auto", "classification"),
        (["a", "b", "a"], "auto", "classification"),
        ([0, 1, 1], "regression", "regression"),
        ([1, 2, 3], "classification", "classification"),
    ],
)
def test_what_a_target_is(y, task, expected):
    values, found = check_target(y, task=task)
    assert found == expected
    assert values.dtype.kind == ("f" if expected == "regression" else "U")


def test_ids_are_no_classes():
    with pytest.raises(DataError, match="20 different values in 20 rows"):
        check_target([f"P{i}" for i in range(20)])


# Text that looks like numbers --------------------------------------------------------------------

N = 24
LOOKS = {
    "comma": ([f"{30 + i % 8},5" for i in range(N)], "decimal=','"),
    "per cent": ([f"{i % 8 * 10}%" for i in range(N)], "one plain number"),
    "range": ([f"{30 + i % 8}-{40 + i % 8}" for i in range(N)], "one plain number"),
    "unit": ([f"{30 + i % 8} °C" for i in range(N)], "one plain number"),
    "deviation": ([f"{30 + i % 8}±2" for i in range(N)], "one plain number"),
    "about": ([f"~{30 + i % 8}" for i in range(N)], "one plain number"),
    "censored": ([f">{i % 8 * 10}" for i in range(N)], "censored='drop'"),
    "mostly censored": ([f"<={i % 8}.5" if i % 3 else "30" for i in range(N)], "censored='drop'"),
    "thousands": ([f"1,{500 + i % 8}.5" for i in range(N)], "one plain number"),
    "minus sign": ([f"−{i % 8}" for i in range(N)], "one plain number"),
    "currency": ([f"€ {i % 8}.5" for i in range(N)], "one plain number"),
    "brackets": ([f"({i % 8})" for i in range(N)], "one plain number"),
    "EC numbers": ([f"3.2.1.{i % 4}" for i in range(N)], "task='classification'"),
}


@pytest.mark.parametrize(("cells", "remedy"), LOOKS.values(), ids=LOOKS)
def test_text_that_begins_with_a_number_is_refused_and_not_taken_for_classes(cells, remedy):
    with pytest.raises(DataError, match=r"^tm: row \d+ .* begin with a number") as caught:
        check_target(cells, name="tm")
    assert remedy in str(caught.value)
    assert check_target(cells, task="classification")[0].tolist() == cells


@given(
    numbers=st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=8, unique=True),
    decimal=st.sampled_from([".", ","]),
)
def test_numbers_come_back_bit_for_bit_with_either_sign(numbers, decimal):
    cells = [repr(x).replace(".", decimal) for x in numbers]
    y, task = check_target(cells, decimal=decimal)
    assert task == "regression"
    assert y.tolist() == numbers


@pytest.mark.parametrize("cell", ["1.5", "1.234,5", "1 234,5", "1'234,5", "1,2,3", ",", "1_0", "٣"])
def test_a_decimal_comma_is_the_only_sign_there_is(cell):
    with pytest.raises(DataError, match=f"y: row 1 is ['\"]?{cell}['\"]? "):
        check_target(["1,5", cell, "2,5", "3", "4"], decimal=",")


def table(tmp_path, values):
    n = len(values)
    columns = {"id": [f"P{i}" for i in range(n)], "sequence": ["MKV" + "A" * i for i in range(n)]}
    write_table(tmp_path / "t.csv", pd.DataFrame({**columns, "tm": values}))
    return tmp_path / "t.csv"


@pytest.mark.parametrize(
    ("sign", "decimal"), [(">", "."), ("<", "."), (">=", "."), ("≤ ", "."), ("> ", ",")]
)
def test_censored_values_are_refused_left_out_or_replaced_by_their_bound(sign, decimal, tmp_path):
    values = ["30.5", f"{sign}60.5", "41", f" {sign}70", "52", "38"]
    path = table(tmp_path, [value.replace(".", decimal) for value in values])
    with pytest.raises(DataError, match=r"tm: row 1 \(id 'P1'\) is .*censored='drop'"):
        read_proteins(path, target="tm", decimal=decimal)
    dropped = read_proteins(path, target="tm", decimal=decimal, censored="drop")
    assert dropped.ids.tolist() == ["P0", "P2", "P4", "P5"] == dropped.frame["id"].tolist()
    assert dropped.y.tolist() == [30.5, 41, 52, 38]
    assert [len(s) for s in dropped.sequences] == [3, 5, 7, 8]
    assert "2 censored row(s) left out" in dropped.reason
    bound = read_proteins(path, target="tm", decimal=decimal, censored="bound")
    assert bound.y.tolist() == [30.5, 60.5, 41, 70, 52, 38]
    assert "the bound taken for 2 censored value(s)" in bound.reason


def test_rows_keep_their_numbers_where_censored_ones_are_left_out(tmp_path):
    path = table(tmp_path, ["30", ">60", "41", "hot", "52"])
    with pytest.raises(DataError, match=r"tm: row 3 \(id 'P3'\) is 'hot'"):
        read_proteins(path, target="tm", censored="drop")


@pytest.mark.parametrize("options", [{"censored": "drop"}, {"decimal": ","}])
def test_options_of_numbers_are_refused_for_classes(options, tmp_path):
    path = table(tmp_path, ["a", "b", "a", "b"])
    with pytest.raises(DataError, match="holds names of classes; expected them for numbers only"):
        read_proteins(path, target="tm", task="classification", **options)


@pytest.mark.parametrize("options", [{"censored": "drop"}, {"decimal": ","}])
def test_options_of_a_target_without_one_are_refused(options, tmp_path):
    with pytest.raises(DataError, match="without a target"):
        read_proteins(table(tmp_path, ["1", "2"]), **options)


@pytest.mark.parametrize("options", [{"censored": "keep"}, {"decimal": ";"}, {"task": "rank"}])
def test_unknown_options_are_refused_with_the_known_ones(options, tmp_path):
    with pytest.raises(DataError, match=rf"{next(iter(options))} is '.*'; expected '"):
        read_proteins(table(tmp_path, ["1", "2", "3"]), target="tm", **options)


def test_nothing_is_left_of_censored_rows_alone(tmp_path):
    path = table(tmp_path, [">60", ">70", ">60"])
    with pytest.raises(DataError, match=r"0 row\(s\) are left without 3 censored ones"):
        read_proteins(path, target="tm", censored="drop")


@pytest.mark.parametrize(
    ("values", "options", "reason"),
    [
        (["30", "41", "52"], {}, "3 of 3 values are numbers; 3 distinct"),
        (["0", "1", "1"], {}, "two distinct values; 2 classes"),
        (["a", "b", "a"], {}, "3 of 3 values are text; 2 classes"),
        (["1", "2", "1"], {"task": "regression"}, "as asked; 2 distinct"),
    ],
)
def test_the_reason_of_a_task_is_told(values, options, reason, tmp_path):
    assert reason in read_proteins(table(tmp_path, values), target="tm", **options).reason


@pytest.mark.parametrize("word", ["NA", "N/A", "NaN", "nan", "null", " NA "])
def test_words_for_missing_values_are_missing_among_numbers_and_text_among_classes(word, tmp_path):
    for values in (["1", word, "2.5"], ["1", word, "2"]):
        with pytest.raises(DataError, match=r"tm: row 1 \(id 'P1'\) has no value \(1 such"):
            read_proteins(table(tmp_path, values), target="tm")
    y = read_proteins(table(tmp_path, ["a", word, "a"]), target="tm").y
    assert y.tolist() == ["a", word, "a"]


# Values that may mean another thing --------------------------------------------------------------


@pytest.mark.parametrize("sentinel", [-999, 999, 9999.0, -1000, -9.99e5, 0])
@pytest.mark.parametrize("n", [1, 3])
def test_a_value_far_from_all_others_is_warned_of_by_its_row(sentinel, n, tmp_path):
    values = [str(50 + i) for i in range(20)]
    values[5 : 5 + n] = [str(sentinel)] * n
    with pytest.warns(UserWarning, match=rf"^tm: row 5 \(id 'P5'\) is {sentinel} \({n} such"):
        y = read_proteins(table(tmp_path, values), target="tm").y
    assert y[5] == sentinel


@pytest.mark.parametrize("seed", range(5))
def test_usual_targets_are_not_warned_of(seed):
    rng = np.random.default_rng(seed)
    for y in (rng.normal(50, 10, 200), rng.gamma(2, 10, 200), rng.uniform(size=30)):
        assert check_target(y)[1] == "regression"
