import sys
import types
import urllib.error
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from esmlearn.embedding import (
    EmbeddingCache,
    ESMEmbedder,
    ESMVariantScorer,
    model_info,
    write_untrained_checkpoint,
)
from esmlearn.embedding._models import checkpoint as checkpoints_module
from esmlearn.exceptions import CheckpointError, DataError, EngineError, EngineNotFoundError


class Payload:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code out of a checkpoint was run')",))


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    path = tmp_path / "esm2_evil.pt"
    torch.save({"model": Payload()}, path)
    with pytest.raises(CheckpointError, match="UnpicklingError"):
        checkpoints_module.read_checkpoint(path)
    with pytest.raises(CheckpointError, match="no checkpoint of a known model family"):
        ESMEmbedder(path).fit(["MKV"])


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", "half"])
def test_a_damaged_file_is_an_error(content, checkpoint, tmp_path):
    path = tmp_path / "esm2_damaged.pt"
    data = checkpoint.read_bytes()
    path.write_bytes(data[: len(data) // 2] if content == "half" else content)
    with pytest.raises(CheckpointError, match="fetch it again"):
        checkpoints_module.read_checkpoint(path)


def test_another_pickle_is_no_checkpoint(tmp_path):
    path = tmp_path / "other.pt"
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="holds no `model`"):
        checkpoints_module.read_checkpoint(path)


def test_files_from_before_the_zip_format_are_read(checkpoint, tmp_path, proteins):
    path = tmp_path / "esm2_old.pt"
    content = torch.load(checkpoint, weights_only=False)
    torch.save(content, path, _use_new_zipfile_serialization=False)
    old, new = (ESMEmbedder(p, cache=None).transform(proteins) for p in (path, checkpoint))
    assert (old == new).all()


def test_threads_read_at_the_same_time(checkpoint):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(checkpoints_module.read_checkpoint, [checkpoint] * 80))
    assert {read.info for read in found} == {found[0].info}


def test_half_precision_files_are_run_in_float32(checkpoint, tmp_path):
    path = tmp_path / "esm2_half.pt"
    content = torch.load(checkpoint, weights_only=False)
    content["model"] = {key: value.half() for key, value in content["model"].items()}
    torch.save(content, path)
    assert ESMEmbedder(path, cache=None).transform(["MKV"]).dtype == "float32"


def test_no_network_is_told_clearly(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))

    def fail(*args, **kwargs):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    with pytest.raises(CheckpointError, match=r"could not be fetched from https.*no route.*copy"):
        ESMEmbedder("esm1v_t33_650M_UR90S_1").fit(["MKV"])


def test_a_named_model_is_taken_from_the_hub_folder(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))

    def download(address, path, progress):
        assert address.endswith("/fair-esm/models/esm2_t6_8M_UR50D.pt")
        with open(path, "wb") as file:
            file.write(checkpoint.read_bytes())

    monkeypatch.setattr("torch.hub.download_url_to_file", download)
    for _ in range(2):
        assert ESMEmbedder().fit_transform(["MKV"]).shape == (1, 32)


def test_the_other_package_called_esm_is_recognised(checkpoint, monkeypatch):
    other = types.ModuleType("esm")
    other.__file__ = "/somewhere/esm/__init__.py"
    monkeypatch.setitem(sys.modules, "esm", other)
    checkpoints_module.alphabet.cache_clear()
    with pytest.raises(EngineNotFoundError, match=r"belongs to another package.*EvolutionaryScale"):
        checkpoints_module.alphabet("esm2")


def test_untrained_checkpoints_are_the_same_for_the_same_seed(tmp_path):
    paths = [
        write_untrained_checkpoint(
            tmp_path / f"{i}.pt", n_layers=1, width=16, n_heads=2, random_state=seed
        )
        for i, seed in enumerate([0, 0, 1])
    ]
    a, b, c = (ESMEmbedder(p, cache=None).transform(["MKTAY"]) for p in paths)
    assert (a == b).all()
    assert (a != c).any()


def test_untrained_checkpoints_refuse_impossible_shapes(tmp_path):
    with pytest.raises(DataError, match="architecture='esm3'"):
        write_untrained_checkpoint(tmp_path, architecture="esm3")
    with pytest.raises(DataError, match="even multiple"):
        write_untrained_checkpoint(tmp_path, width=30, n_heads=4)


def test_the_default_shape_is_that_of_the_8m_model(tmp_path):
    mine = model_info(write_untrained_checkpoint(tmp_path))
    released = model_info("esm2_t6_8M_UR50D")
    assert mine.n_parameters == released.n_parameters


# Files made by hand ------------------------------------------------------------------------------


def _changed(checkpoints, tmp_path, architecture, change):
    """Write a copy of a checkpoint after a change of its content."""
    content = torch.load(checkpoints[architecture], weights_only=False)
    changed = change(content)
    path = tmp_path / f"{architecture}_changed.pt"
    torch.save(content if changed is None else changed, path)
    return path


def _named(content, ending):
    return next(name for name in content["model"] if name.endswith(ending))


def _set(ending, change):
    def apply(content):
        name = _named(content, ending)
        content["model"][name] = change(content["model"][name])

    return apply


def _argue(**values):
    def apply(content):
        arguments = content["cfg"]["model"] if "cfg" in content else content["args"]
        for name in list(vars(arguments)):
            bare = name.removeprefix("encoder_").removeprefix("decoder_")
            if bare in values:
                setattr(arguments, name, values[bare])

    return apply


def _without(ending):
    def apply(content):
        del content["model"][_named(content, ending)]

    return apply


BROKEN = {
    "no dict": lambda content: [1, 2],
    "tensors in a list": lambda content: {**content, "model": list(content["model"].values())},
    "numbers for names": lambda content: {**content, "model": {1: torch.zeros(1)}},
    "no tensors": lambda content: {**content, "model": {}},
    "no arguments": lambda content: {"model": content["model"]},
    "arguments in a list": lambda content: {"model": content["model"], "args": [1]},
    "no layers": _argue(layers=0),
    "a billion layers": _argue(layers=10**9),
    "layers in words": _argue(layers="three"),
    "more layers than tensors": _argue(layers=4),
    "heads that do not divide the width": _argue(attention_heads=5),
    "no heads": _argue(attention_heads=None),
    "an embedding that is flat": _set("embed_tokens.weight", lambda t: t[0]),
    "an embedding of few tokens": _set("embed_tokens.weight", lambda t: t[:9]),
    "an embedding that is no tensor": _set("embed_tokens.weight", lambda t: "x"),
    "whole numbers": _set("layers.1.fc1.weight", lambda t: t.long()),
    "a sparse tensor": _set("layers.1.fc1.weight", lambda t: t.to_sparse()),
    "another width": _set("layers.2.fc2.weight", lambda t: t[:, :-1]),
    "a bias that is missing": _without("layers.0.self_attn.k_proj.bias"),
    "a norm that is missing": _without("layers.2.final_layer_norm.weight"),
    "half a norm": _without("emb_layer_norm_after.bias"),
    "NaN": _set("layers.1.fc1.bias", lambda t: t * torch.nan),
    "one infinity": _set("layers.2.fc2.weight", lambda t: t.flatten().index_fill(
        0, torch.tensor([7]), torch.inf).view_as(t)),
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("architecture", ["esm1", "esm1v", "esm2"])
def test_a_malformed_checkpoint_is_one_clear_error(
    how, architecture, checkpoints, tmp_path, proteins
):
    if how == "half a norm" and architecture == "esm1":
        pytest.skip("ESM-1 has no norm after its layers")
    path = _changed(checkpoints, tmp_path, architecture, BROKEN[how])
    cache = tmp_path / "cache"
    with pytest.raises(CheckpointError):
        ESMEmbedder(path, cache=cache).transform(proteins)
    with EmbeddingCache(cache) as opened:
        assert opened.stats()["n_vectors"] == 0


def test_rotary_frequencies_and_positions_are_checked(checkpoints, tmp_path, proteins):
    named = {"esm2": "0.self_attn.rot_emb.inv_freq", "esm1b": "embed_positions.weight"}
    for architecture, ending in named.items():
        path = _changed(checkpoints, tmp_path, architecture, _set(ending, lambda t: t[..., :-1]))
        with pytest.raises(CheckpointError, match="has the shape"):
            ESMEmbedder(path, cache=None).transform(proteins)


def test_a_packed_checkpoint_is_not_unpacked(checkpoint, tmp_path):
    path = tmp_path / "esm2_packed.pt"
    with zipfile.ZipFile(checkpoint) as stored, zipfile.ZipFile(path, "w") as packed:
        for entry in stored.infolist():
            content = stored.read(entry)
            if entry.filename.endswith("data.pkl"):
                content += bytes(10_000_000)
            packed.writestr(entry.filename, content, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(CheckpointError, match="no checkpoint of a known model family"):
        ESMEmbedder(path).fit(["MKV"])


def test_vectors_that_are_not_finite_are_neither_given_out_nor_stored(
    checkpoints, tmp_path, proteins
):
    """Weights may be finite, and what they give is not."""
    path = _changed(checkpoints, tmp_path, "esm2", _set("after.weight", lambda t: t * 0 + 3e38))
    with pytest.raises(EngineError, match="gives NaN or infinity for the sequence"):
        ESMEmbedder(path, cache=tmp_path / "cache").transform(proteins)
    with EmbeddingCache(tmp_path / "cache") as opened:
        assert opened.stats()["n_vectors"] == 0


def test_scores_without_the_head_say_so(checkpoints, tmp_path):
    path = _changed(checkpoints, tmp_path, "esm2", _without("lm_head.dense.weight"))
    with pytest.raises(CheckpointError, match="head of the language model"):
        ESMVariantScorer(path, wild_type="MKVLAT").fit()
