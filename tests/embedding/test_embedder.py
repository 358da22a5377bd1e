import gc
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from esmlearn.embedding import ESM1V_ENSEMBLE, EmbeddingCache, ESMEmbedder, model_info
from esmlearn.embedding._inference import runtime
from esmlearn.exceptions import CheckpointError, DataError, EngineError
from tests._proteins import random_protein
from tests.embedding.conftest import ARCHITECTURES


@pytest.fixture
def embedder(checkpoint):
    return ESMEmbedder(checkpoint, batch_residues=300)


# Against fair-esm ------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_means_are_those_of_fair_esm(architecture, checkpoints, fair_esm, proteins):
    vectors = ESMEmbedder(checkpoints[architecture]).fit_transform(proteins)
    assert vectors.dtype == np.float32
    expected = [fair_esm[architecture].mean(s) for s in proteins]
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_poolings_are_what_they_say(checkpoint, fair_esm, proteins):
    reference = fair_esm["esm2"]
    residues = [reference.residues(s) for s in proteins]
    expected = {
        "max": [r.max(0) for r in residues],
        "bos": [reference(s)[0][0] for s in proteins],
        "mean+std": [np.concatenate([r.mean(0), r.std(0)]) for r in residues],
    }
    for pooling, vectors in expected.items():
        ours = ESMEmbedder(checkpoint, pooling=pooling).fit_transform(proteins)
        np.testing.assert_allclose(ours, vectors, atol=1e-5)
    per_residue = ESMEmbedder(checkpoint, pooling=None)
    for _ in range(2):  # computed, then out of the cache
        for ours, theirs in zip(per_residue.transform(proteins), residues, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_layers_are_concatenated_in_the_order_given(checkpoint, fair_esm, proteins):
    vectors = ESMEmbedder(checkpoint, layer=[-1, 1, 0]).fit_transform(proteins)
    expected = [
        np.concatenate([fair_esm["esm2"].mean(s, layer) for layer in (3, 1, 0)]) for s in proteins
    ]
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_an_ensemble_concatenates_or_averages(checkpoints, proteins):
    paths = [checkpoints["esm1v"], checkpoints["esm1b"]]
    parts = [ESMEmbedder(path).fit_transform(proteins) for path in paths]
    joined = ESMEmbedder(paths).fit_transform(proteins)
    np.testing.assert_array_equal(joined, np.hstack(parts))
    mean = ESMEmbedder(paths, ensemble="mean").fit_transform(proteins)
    np.testing.assert_allclose(mean, np.mean(parts, axis=0), atol=1e-7)


def test_models_of_different_widths_have_no_mean(checkpoint, proteins):
    embedder = ESMEmbedder([checkpoint, "esmlearn_mini_v3", "esm2_t33_650M_UR50D"], ensemble="mean")
    with pytest.raises(DataError, match=r"one width, got .*: 32, .*: 256, .*: 1280"):
        embedder.get_feature_names_out()
    embedder.set_params(model=embedder.model[:2])
    with pytest.raises(DataError, match=r"one width, got .*: 32, .*: 256\. Use 'concatenate'"):
        embedder.transform(proteins)


# Long sequences ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_protein():
    return random_protein(2500, np.random.default_rng(5))


@pytest.mark.parametrize("architecture", ["esm2", "esm1v"])
def test_windows_are_averaged_per_residue(architecture, checkpoints, fair_esm, long_protein):
    embedder = ESMEmbedder(checkpoints[architecture], pooling=None, cache=None)
    total, count = np.zeros((2500, 32)), np.zeros((2500, 1))
    for start in (0, 739, 1478):  # evenly spread
        total[start : start + 1022] += fair_esm[architecture].residues(
            long_protein[start : start + 1022]
        )
        count[start : start + 1022] += 1
    ours = embedder.transform(["MKV", long_protein])[1]
    np.testing.assert_allclose(ours, total / count, atol=1e-5)
    assert embedder.report_["n_windowed"] == 1
    mean = embedder.set_params(pooling="mean").transform([long_protein])[0]
    np.testing.assert_allclose(mean, ours.mean(0), atol=1e-5)


def test_truncate_takes_the_first_1022(checkpoint, fair_esm, long_protein):
    embedder = ESMEmbedder(checkpoint, long_sequences="truncate")
    vector = embedder.fit_transform([long_protein])[0]
    np.testing.assert_allclose(vector, fair_esm["esm2"].mean(long_protein[:1022]), atol=1e-5)
    assert embedder.report_["n_truncated"] == 1


def test_whole_takes_everything_where_positions_have_no_end(checkpoints, fair_esm, long_protein):
    for architecture in ("esm2", "esm1"):
        embedder = ESMEmbedder(checkpoints[architecture], long_sequences="whole")
        vector = embedder.fit_transform([long_protein])[0]
        np.testing.assert_allclose(vector, fair_esm[architecture].mean(long_protein), atol=1e-5)
    embedder = ESMEmbedder(checkpoints["esm1v"], long_sequences="whole")
    with pytest.raises(DataError, match=r"X\[1\] has 2500 residues.*at most 1022"):
        embedder.transform(["MKV", long_protein])


def test_error_refuses_and_names_the_row(checkpoint, long_protein):
    embedder = ESMEmbedder(checkpoint, long_sequences="error")
    with pytest.raises(DataError, match=r"X\[1\] has 2500 residues.*Use 'window'"):
        embedder.transform(["MKV", long_protein])


# Invariance --------------------------------------------------------------------------------------

sequences = st.lists(st.text("ACDEFGHIKLMNPQRSTVWYX", min_size=1, max_size=60), min_size=1)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    X=sequences, seed=st.integers(0, 2**32 - 1), budget=st.integers(1, 400), cached=st.booleans()
)
def test_a_vector_does_not_depend_on_its_company(checkpoint, X, seed, budget, cached):
    order = np.random.default_rng(seed).permutation(len(X))
    cache = "default" if cached else None
    alone = ESMEmbedder(checkpoint, cache=None, batch_residues=1).transform(X)
    mixed = ESMEmbedder(checkpoint, cache=cache, batch_residues=budget).transform(
        [X[i] for i in order]
    )
    np.testing.assert_allclose(mixed, alone[order], atol=1e-5)


def test_case_and_duplicates_cost_nothing(embedder, proteins):
    once = embedder.fit_transform(proteins)
    again = embedder.transform([s.lower() for s in proteins] + proteins)
    assert embedder.n_computed_ == 0
    np.testing.assert_array_equal(again, np.vstack([once, once]))


@pytest.mark.parametrize(
    "make",
    [
        tuple,
        np.array,
        lambda s: np.array(s, dtype=object),
        pd.Series,
        lambda s: pd.DataFrame({"sequence": s}),
        pl.Series,
        pa.array,
    ],
)
def test_any_column_of_str_is_taken(make, embedder, proteins):
    np.testing.assert_array_equal(
        embedder.transform(make(proteins)), embedder.transform(list(proteins))
    )


def test_the_report_counts_what_policies_met(embedder):
    embedder.transform(["MKV", "mkv", "MXB", "M-K*", "A" * 1100])
    report = embedder.report_
    assert {k: report[k] for k in ("n_sequences", "n_distinct", "n_duplicates")} == {
        "n_sequences": 5,
        "n_distinct": 4,
        "n_duplicates": 1,
    }
    assert (report["n_lower_case"], report["n_ambiguous"], report["n_gapped"]) == (1, 1, 1)
    assert (report["n_short"], report["n_windowed"], report["n_computed"]) == (4, 1, 4)
    assert report["models"] == ["esm2_t3_w32_untrained"]


# scikit-learn ------------------------------------------------------------------------------------


def test_clone_and_pickle_carry_no_model(checkpoint, proteins, tmp_path):
    embedder = ESMEmbedder(checkpoint, cache=EmbeddingCache(tmp_path))
    vectors = embedder.fit_transform(proteins)
    copies = [clone(embedder), pickle.loads(pickle.dumps(embedder))]
    assert len(pickle.dumps(embedder)) < 3000
    for copy in copies:
        np.testing.assert_array_equal(copy.transform(proteins), vectors)
        assert copy.n_computed_ == 0


def test_feature_names_and_set_output(embedder, proteins):
    model = make_pipeline(embedder, StandardScaler()).set_output(transform="pandas")
    table = model.fit_transform(proteins)
    assert table.shape == (len(proteins), 32)
    assert list(table.columns[:2]) == ["esmembedder0", "esmembedder1"]
    assert len(embedder.get_feature_names_out()) == 32


def test_looking_at_an_embedder_fetches_nothing(monkeypatch, tmp_path, private_cache):
    """Notebooks and tab completion read attributes and column names of what is on display."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: pytest.fail("fetched"))
    embedder = ESMEmbedder("esm1v_t33_650M_UR90S_1")
    assert "transform" in dir(embedder)
    assert "esmembedder0" in embedder._repr_html_()
    assert len(embedder.get_feature_names_out()) == 1280
    assert len(ESMEmbedder(ESM1V_ENSEMBLE, pooling="mean+std").get_feature_names_out()) == 12800
    for unusable in (ESMEmbedder("no such model"), ESMEmbedder(layer=99)):
        assert "transform" in dir(unusable)
        assert "ESMEmbedder" in unusable._repr_html_()
    assert not list(private_cache.iterdir())


def test_there_are_no_column_names_without_pooling(checkpoint, proteins):
    embedder = ESMEmbedder(checkpoint, pooling=None).fit(proteins)
    for act in (
        embedder.get_feature_names_out,
        lambda: clone(embedder).set_output(transform="pandas").transform(proteins),
    ):
        with pytest.raises(DataError, match=r"pooling=None gives .* Set pooling='mean'"):
            act()


def test_transform_needs_no_fit_and_checks_parameters(checkpoint):
    assert ESMEmbedder(checkpoint).transform(["MKV"]).shape == (1, 32)
    with pytest.raises(ValueError, match="'pooling' parameter"):
        ESMEmbedder(checkpoint, pooling="sum").transform(["MKV"])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (["MKV", "MK1"], r"X\[1\] has the character '1' at position 2"),
        (["MKV", ""], r"X\[1\] is an empty sequence"),
        (["MKV", None], r"X\[1\] is None of type NoneType"),
        ("MKV", "X is a single str"),
        ([], r"X has 0 sequence"),
        (np.ones((3, 2)), r"X has shape \(3, 2\)"),
    ],
)
def test_what_is_no_sequence_is_refused(X, message, embedder):
    for method in (embedder.fit, embedder.transform):
        with pytest.raises(DataError, match=message):
            method(X)


def test_parameters_that_fit_no_model_are_refused(checkpoints):
    with pytest.raises(DataError, match=r"layer=4 does not exist.*0 \(token embedding\) to 3"):
        ESMEmbedder(checkpoints["esm2"], layer=4).fit(["MKV"])
    with pytest.raises(DataError, match="several different ones"):
        ESMEmbedder(checkpoints["esm2"], layer=[3, -1]).fit(["MKV"])
    with pytest.raises(DataError, match=r"1\.7; expected whole numbers"):
        ESMEmbedder(checkpoints["esm2"], layer=[1.7]).fit(["MKV"])
    with pytest.raises(DataError, match="model is an empty list"):
        ESMEmbedder([]).fit(["MKV"])
    with pytest.raises(DataError, match="device='nonsense'"):
        ESMEmbedder(checkpoints["esm2"], device="nonsense", cache=None).transform(["MKV"])


def test_an_unknown_model_is_told_with_its_neighbours():
    with pytest.raises(CheckpointError, match="Did you mean esm2_t6_8M_UR50D"):
        ESMEmbedder("esm2_t6_8M_UR50").fit(["MKV"])


def test_the_fingerprint_follows_what_decides_a_vector(checkpoint, checkpoints):
    base = ESMEmbedder(checkpoint)
    same = [
        ESMEmbedder(str(checkpoint), layer=3, batch_residues=7, cache=None, n_jobs=2),
        ESMEmbedder(checkpoint, device="cpu", verbose=1),
    ]
    other = [
        ESMEmbedder(checkpoints["esm1v"]),
        ESMEmbedder(checkpoint, layer=2),
        ESMEmbedder(checkpoint, pooling="max"),
        ESMEmbedder(checkpoint, precision="bfloat16"),
        ESMEmbedder(checkpoint, long_sequences="truncate"),
        ESMEmbedder([checkpoint, checkpoint]),
    ]
    assert {e.fingerprint() for e in same} == {base.fingerprint()}
    assert len({e.fingerprint() for e in [base, *other]}) == 7


def test_a_rewritten_checkpoint_is_another_model(checkpoint, proteins, tmp_path):
    path = tmp_path / "esm2_mine.pt"
    path.write_bytes(checkpoint.read_bytes())
    before = ESMEmbedder(path).fingerprint()
    assert before == ESMEmbedder(checkpoint).fingerprint()
    content = torch.load(path, weights_only=False)
    content["model"]["encoder.sentence_encoder.embed_tokens.weight"] += 1
    torch.save(content, path)
    assert ESMEmbedder(path).fingerprint() != before


# Model in memory ---------------------------------------------------------------------------------


def test_the_model_is_loaded_once_and_only_when_needed(embedder, proteins, monkeypatch):
    runtime.release_models()
    loads = []
    load = type(runtime.families()["esm"]).load
    monkeypatch.setattr(
        "esmlearn.embedding._models.families.ESMFamily.load",
        lambda *args, **kwargs: loads.append(1) or load(*args, **kwargs),
    )
    embedder.fit(proteins)
    assert not loads
    embedder.transform(proteins[:5])
    embedder.transform(proteins)
    clone(embedder).set_params(layer=1).transform(proteins)
    assert len(loads) == 1
    runtime.release_models()
    embedder.transform(proteins)
    assert len(loads) == 1


def test_what_is_cached_needs_no_torch(checkpoint, proteins, private_cache):
    code = (
        "import sys\n"
        "from esmlearn.embedding import ESMEmbedder\n"
        "embedder = ESMEmbedder(sys.argv[1])\n"
        "embedder.fit_transform(sys.argv[2:])\n"
        "print(embedder.n_computed_, 'torch' in sys.modules)\n"
    )
    ESMEmbedder(checkpoint).fit_transform(proteins)
    result = subprocess.run(
        [sys.executable, "-c", code, str(checkpoint), *proteins],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == ["0", "False"]


def test_out_of_memory_halves_the_batch_and_says_so(checkpoint, proteins, monkeypatch):
    embedder = ESMEmbedder(checkpoint, cache=None, batch_residues=1000)
    expected = embedder.transform(proteins)
    from esmlearn.embedding._models.encoder import ESMEncoder

    encode = ESMEncoder.encode

    def greedy(self, tokens, layers):
        if sum(map(len, tokens)) > 400:
            raise torch.OutOfMemoryError("no more")
        return encode(self, tokens, layers)

    monkeypatch.setattr(ESMEncoder, "encode", greedy)
    runtime.release_models()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ours = embedder.transform(proteins)
    tried = [int(str(w.message).split("batch_residues=")[1].split()[0]) for w in caught]
    assert tried == [500, 250]  # once for the whole process, not once for each batch
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    with pytest.raises(EngineError, match="a single sequence of 902 tokens"):
        embedder.transform(["A" * 900])
    runtime.release_models()


def test_models_are_described_before_they_are_there(checkpoint):
    info = model_info("esm2_t48_15B_UR50D")
    assert (info.n_layers, info.width, info.max_residues) == (48, 5120, None)
    assert 14e9 < info.n_parameters < 16e9
    assert model_info("esm1v_t33_650M_UR90S").name == "esm1v_t33_650M_UR90S_1"
    mine = model_info(checkpoint)
    assert (mine.architecture, mine.n_layers, mine.width, mine.n_heads) == ("esm2", 3, 32, 4)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's list of open files")
def test_a_cache_that_a_transform_opens_is_closed_by_it(checkpoint, proteins, tmp_path):
    embedder = ESMEmbedder(checkpoint, cache=tmp_path)
    embedder.transform(proteins)
    gc.disable()  # which closes them too, some time
    try:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            embedder.transform(proteins)
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        gc.enable()


def test_dna_is_warned_of(embedder):
    genes = ["ATGGCC" * 10, "uuaagc" * 10]
    with pytest.warns(UserWarning, match="only the letters A C G T U N .* looks like DNA or RNA"):
        embedder.fit_transform(genes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embedder.transform([*genes, "MKV"])  # a protein among them
        embedder.transform(["GATTACA"])  # too short to tell
        embedder.transform(["GA" * 60])
