import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_union

from esmlearn.embedding import ESMVariantScorer
from esmlearn.exceptions import DataError
from esmlearn.utils._sequences import STANDARD_RESIDUES
from esmlearn.variants import MutationOneHotEncoder
from tests.embedding.conftest import ARCHITECTURES

WILD_TYPE = "MKTAYIAKQRQISFVK"


def reference_table(reference, masked):
    """Return log-probabilities as fair-esm's own variant script computes them, over the 20."""
    alphabet = reference.alphabet
    columns = [alphabet.get_idx(residue) for residue in STANDARD_RESIDUES]
    tokens = reference.convert([("", WILD_TYPE)])[2]
    rows = []
    for position in range(1, len(WILD_TYPE) + 1):
        shown = tokens.clone()
        if masked:
            shown[0, position] = alphabet.mask_idx
        logits = torch.from_numpy(reference("", tokens=shown)[1][position, columns])
        rows.append(torch.log_softmax(logits, dim=-1).numpy())
    return np.array(rows)


@pytest.mark.parametrize("method", ["masked", "wild_type"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_are_those_of_fair_esm(architecture, method, checkpoints, fair_esm):
    table = reference_table(fair_esm[architecture], masked=method == "masked")
    scorer = ESMVariantScorer(
        checkpoints[architecture], wild_type=WILD_TYPE, method=method, batch_residues=50
    ).fit()
    np.testing.assert_allclose(scorer.log_probabilities_, table, atol=1e-4)
    expected = table[1, STANDARD_RESIDUES.index("R")] - table[1, STANDARD_RESIDUES.index("K")]
    assert scorer.transform(["K2R"])[0, 0] == pytest.approx(expected, abs=1e-4)
    own = [table[i, STANDARD_RESIDUES.index(r)] for i, r in enumerate(WILD_TYPE)]
    assert scorer.pseudo_perplexity_ == pytest.approx(np.exp(-np.mean(own)), rel=1e-4)


@pytest.fixture
def scorer(checkpoint):
    return ESMVariantScorer(checkpoint, wild_type=WILD_TYPE.lower()).fit()


def test_mutations_add_up_and_sequences_are_read(scorer):
    single = scorer.transform(["K2R", "q9e", "WT"])
    assert single[2] == 0
    mutant = WILD_TYPE[0] + "R" + WILD_TYPE[2:8] + "E" + WILD_TYPE[9:]
    double = scorer.transform(["K2R:Q9E", "K2R,Q9E", "p.[Lys2Arg;Gln9Glu]", "K2R Q9E M1M"])
    np.testing.assert_allclose(double, np.full((4, 1), single[:2].sum()), rtol=1e-5)
    of_sequences = scorer.transform([mutant, WILD_TYPE.lower()])
    np.testing.assert_array_equal(of_sequences, [double[0], [0]])


def test_positions_may_count_from_elsewhere(scorer):
    shifted = clone(scorer).set_params(offset=22).fit()
    expected = scorer.transform(["K2R", "Q9E"])
    np.testing.assert_array_equal(shifted.transform(["K24R", "Q31E"]), expected)


def test_scores_stand_beside_other_features(scorer):
    variants = np.array(["K2R", "Q9E", "K2R:Q9E"], dtype=object)
    union = make_union(MutationOneHotEncoder(), clone(scorer))
    features = union.fit_transform(variants)
    np.testing.assert_array_equal(features.toarray()[:, [1, 3]], [[1, 0], [0, 1], [1, 1]])
    np.testing.assert_array_equal(features.toarray()[:, 4:], scorer.transform(variants))
    table = pd.DataFrame({"variant": variants, "temperature": [25.0, 30.0, 37.0]})
    columns = make_column_transformer((clone(scorer), "variant"), ("passthrough", ["temperature"]))
    np.testing.assert_array_equal(columns.fit_transform(table)[:, :1], scorer.transform(variants))


@pytest.mark.parametrize(
    "container",
    [
        lambda v: pd.Series(v, index=[7, 8]),
        lambda v: pd.DataFrame({"mutant": v}),
        pl.Series,
        pa.array,
        np.array,
    ],
)
def test_any_container_of_variants_is_taken(container, scorer):
    expected = scorer.transform(["K2R", "Q9E"])
    np.testing.assert_array_equal(scorer.transform(container(["K2R", "Q9E"])), expected)


def test_several_models_are_averaged(checkpoints):
    paths = [checkpoints["esm1v"], checkpoints["esm1b"]]
    parts = [ESMVariantScorer(p, wild_type=WILD_TYPE).fit().transform(["K2R"]) for p in paths]
    both = ESMVariantScorer(paths, wild_type=WILD_TYPE).fit().transform(["K2R"])
    np.testing.assert_allclose(both, np.mean(parts, axis=0), atol=1e-5)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("A2R", r"X\[1\] = 'A2R': A2R replaces A at position 2, where wild_type has K"),
        ("K99R", "K99R is not within wild_type, which has the positions 1 to 16"),
        ("K2R:K2A", "K2R and K2A are at the same position"),
        ("K2X", "expected mutations to one of the 20 amino acids"),
        ("K2R:", "expected mutations to one of the 20 amino acids"),
        (WILD_TYPE, "this looks like a sequence; expected mutations"),
        (None, "X\\[1\\] is None; expected a variant"),
    ],
)
def test_variants_of_something_else_are_refused(variant, message, scorer):
    with pytest.raises(DataError, match=message):
        scorer.transform(["K2R", variant])


def test_wild_types_that_cannot_be_scored_are_refused(checkpoint):
    for wild_type, message in [
        ("", "^wild_type is empty; .* Pass wild_type=sequence"),
        ("MKX", "'X' at position 3"),
        ("A" * 1023, "at most 1022"),
    ]:
        with pytest.raises(DataError, match=message):
            ESMVariantScorer(checkpoint, wild_type=wild_type).fit()
    with pytest.raises(DataError, match="a single str"):
        ESMVariantScorer(checkpoint, wild_type=WILD_TYPE).fit("K2R")


def test_it_is_an_estimator(scorer):
    copy = pickle.loads(pickle.dumps(scorer))
    np.testing.assert_array_equal(copy.transform(["K2R"]), scorer.transform(["K2R"]))
    assert scorer.get_feature_names_out().tolist() == ["esmvariantscorer0"]
    table = clone(scorer).set_output(transform="pandas").fit_transform(["K2R", "Q9E"])
    assert table.shape == (2, 1)
