"""Write the averaged weights of a run as a checkpoint in fair-esm's ESM-2 format.

    python -m benchmarks.pretrain.export RUN esmlearn_mini_v3.pt

Weights are stored in half precision; both loaders compute in single precision. The arguments lie
in an ``argparse.Namespace``, as in the released files. fair-esm tells ESM-2 by the file's name:
its ``load_model_and_alphabet_local`` needs a copy whose name starts with ``esm2`` (and, beside it,
``<stem>-contact-regression.pt``); without a copy, this loads the file as it is:

    with torch.serialization.safe_globals([argparse.Namespace]):
        data = torch.load("esmlearn_mini_v3.pt", weights_only=True)
    model, alphabet = esm.pretrained.load_model_and_alphabet_core("esm2", data)
"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.pretrain._model import Architecture, MaskedLanguageModel, rotary_frequencies
from benchmarks.pretrain._training import load_state

_ENCODER, _HEAD = "encoder.sentence_encoder.", "encoder.lm_head."
_BLOCK_NAMES = {
    "attention_norm": "self_attn_layer_norm",
    "out": "self_attn.out_proj",
    "feed_forward_norm": "final_layer_norm",
    "fc1": "fc1",
    "fc2": "fc2",
}


def fair_esm_state(weights: dict[str, Tensor], size: Architecture) -> OrderedDict[str, Tensor]:
    """Rename the weights of a `MaskedLanguageModel` to what fair-esm's ESM-2 files hold."""
    state = OrderedDict({f"{_ENCODER}embed_tokens.weight": weights["embedding.weight"]})
    for number in range(size.n_layers):
        state.update(_block(weights, f"blocks.{number}.", f"{_ENCODER}layers.{number}."))
        frequencies = rotary_frequencies(size.width // size.n_heads)
        state[f"{_ENCODER}layers.{number}.self_attn.rot_emb.inv_freq"] = frequencies
    for kind in ("weight", "bias"):
        state[f"{_ENCODER}emb_layer_norm_after.{kind}"] = weights[f"norm.{kind}"]
        state[f"{_HEAD}dense.{kind}"] = weights[f"head_dense.{kind}"]
        state[f"{_HEAD}layer_norm.{kind}"] = weights[f"head_norm.{kind}"]
    state[f"{_HEAD}weight"] = weights["embedding.weight"]
    state[f"{_HEAD}bias"] = weights["head_bias"]
    return state


def _block(weights: dict[str, Tensor], ours: str, theirs: str) -> dict[str, Tensor]:
    state = {}
    for kind in ("weight", "bias"):
        parts = weights[f"{ours}qkv.{kind}"].chunk(3)
        for letter, part in zip("qkv", parts, strict=True):
            state[f"{theirs}self_attn.{letter}_proj.{kind}"] = part
        for old, new in _BLOCK_NAMES.items():
            state[f"{theirs}{new}.{kind}"] = weights[f"{ours}{old}.{kind}"]
    return state


def fair_esm_checkpoint(weights: dict[str, Tensor], size: Architecture) -> dict:
    """Content of the checkpoint file: arguments and weights in half precision."""
    arguments = argparse.Namespace(
        arch="esm2",
        encoder_layers=size.n_layers,
        encoder_embed_dim=size.width,
        encoder_attention_heads=size.n_heads,
        token_dropout=True,
        max_positions=1024,
    )
    state = fair_esm_state(weights, size)
    for name, tensor in state.items():
        # Cloned, so that no part drags the whole it was cut from into the file. The rotary
        # frequencies stay exact: half precision would turn distant positions wrongly.
        exact = name.endswith("inv_freq")
        state[name] = tensor.clone() if exact else tensor.to(torch.float16, copy=True)
    state[f"{_HEAD}weight"] = state[f"{_ENCODER}embed_tokens.weight"]
    return {"cfg": {"model": arguments}, "model": state}


@torch.no_grad()
def read_checkpoint(path: Path) -> MaskedLanguageModel:
    """The model of a file that `main` wrote, in single precision."""
    with torch.serialization.safe_globals([argparse.Namespace]):
        content = torch.load(path, weights_only=True)
    told = content["cfg"]["model"]
    size = Architecture(told.encoder_layers, told.encoder_embed_dim, told.encoder_attention_heads)
    model = MaskedLanguageModel(size)
    # The renamed tensors are views of the model's own: filling them fills the model.
    for name, view in fair_esm_state(model.state_dict(), size).items():
        view.copy_(content["model"][name])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of the run, after its cooldown")
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    state = load_state(args.run / "state.pt")
    size = Architecture(**state["settings"]["architecture"])
    torch.save(fair_esm_checkpoint(state["averaged"], size), args.output)


if __name__ == "__main__":
    main()
