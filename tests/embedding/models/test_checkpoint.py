import sys
import types
import urllib.error
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from esmlearn.embedding import ESMEmbedder, model_info, write_untrained_checkpoint
from esmlearn.embedding._models import checkpoint as checkpoints_module
from esmlearn.exceptions import CheckpointError, DataError, EngineNotFoundError


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
