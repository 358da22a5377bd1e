"""Checkpoints of any size with weights nobody trained: for tests, smoke tests and timings."""

import os
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import torch

from esmlearn.exceptions import DataError
from esmlearn.utils._paths import atomic_write

# arch in the file, attribute holding it, prefix of the tensors' names, prefix of the arguments
_FORMATS = {
    "esm1": ("protein_bert_base", "decoder.", "decoder_"),
    "esm1b": ("roberta_large", "encoder.sentence_encoder.", "encoder_"),
    "esm1v": ("roberta_large", "encoder.sentence_encoder.", "encoder_"),
    "esm2": ("esm2", "encoder.sentence_encoder.", "encoder_"),
}
_PAD, _MASK = 1, {"esm1": 33, "esm1b": 32, "esm1v": 32, "esm2": 32}
_VOCABULARY = {"esm1": 35, "esm1b": 33, "esm1v": 33, "esm2": 33}


def write_untrained_checkpoint(
    path: str | os.PathLike[str],
    *,
    architecture: str = "esm2",
    n_layers: int = 6,
    width: int = 320,
    n_heads: int = 20,
    random_state: int = 0,
) -> Path:
    """Write a checkpoint with untrained weights in fair-esm's own file format.

    The file is what the released files are, so it goes through the same loaders, ours and
    fair-esm's; only nobody trained it. Features of an untrained model are a smoke test, not
    science.

    Parameters
    ----------
    path : path-like
        File to write, or an existing directory, in which a name is chosen. fair-esm's own loader
        goes by the name: an ESM-2 file has to start with ``esm2``, and one of ESM-1v has to
        contain ``esm1v``. ESMEmbedder looks into the file instead.
    architecture : {"esm2", "esm1v", "esm1b", "esm1"}, default="esm2"
        ESM-2 has rotary positions; ESM-1b and ESM-1v learned ones for up to 1024 tokens, ESM-1b
        with a layer norm before the first layer; ESM-1 has sinusoidal positions.
    n_layers : int, default=6
        Transformer layers.
    width : int, default=320
        Width of the embedding; the defaults are those of ``esm2_t6_8M_UR50D``.
    n_heads : int, default=20
        Attention heads; `width` must be an even multiple of it.
    random_state : int, default=0
        Seed of the weights.

    Returns
    -------
    path : pathlib.Path
        The file. Where fair-esm's loader asks for it, ``<stem>-contact-regression.pt`` lies beside.

    Raises
    ------
    DataError
        If the architecture is unknown or `width` is no even multiple of `n_heads`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from esmlearn.embedding import write_untrained_checkpoint
    >>> with TemporaryDirectory() as folder:
    ...     write_untrained_checkpoint(folder, n_layers=1, width=16, n_heads=2).name
    'esm2_t1_w16_untrained.pt'
    """
    if architecture not in _FORMATS:
        raise DataError(f"architecture={architecture!r}; expected one of {sorted(_FORMATS)}.")
    if width % (2 * n_heads):
        raise DataError(
            f"width={width} with n_heads={n_heads}; expected width to be an even multiple of it."
        )
    path = Path(path)
    if path.is_dir():
        path = path / f"{architecture}_t{n_layers}_w{width}_untrained.pt"
    generator = torch.Generator().manual_seed(random_state)
    tensors = OrderedDict(_tensors(architecture, n_layers, width, generator))
    if architecture == "esm2":
        half = width // n_heads // 2
        for layer in range(n_layers):
            name = f"encoder.sentence_encoder.layers.{layer}.self_attn.rot_emb.inv_freq"
            tensors[name] = 10000.0 ** (-torch.arange(half) / half)
    arguments = _arguments(architecture, n_layers, width, n_heads)
    head = {"cfg": {"model": arguments}} if architecture == "esm2" else {"args": arguments}
    _save({**head, "model": tensors}, path)
    if architecture != "esm1v":
        _save(_regression(n_layers * n_heads), path.with_name(f"{path.stem}-contact-regression.pt"))
    return path


def _save(content: object, path: Path) -> None:
    # not by name, which torch would write into the file: the same weights are the same bytes
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        torch.save(content, file)


def _regression(n_attentions: int) -> dict[str, OrderedDict[str, torch.Tensor]]:
    """Return a head for contacts that says nothing; fair-esm's loader wants the file."""
    return {
        "model": OrderedDict(
            {
                "contact_head.regression.weight": torch.zeros(1, n_attentions),
                "contact_head.regression.bias": torch.zeros(1),
            }
        )
    }


def _arguments(architecture: str, n_layers: int, width: int, n_heads: int) -> Namespace:
    arch, _, prefix = _FORMATS[architecture]
    values = {
        "layers": n_layers,
        "embed_dim": width,
        "ffn_embed_dim": 4 * width,
        "attention_heads": n_heads,
    }
    arguments = Namespace(arch=arch, **{prefix + name: value for name, value in values.items()})
    arguments.max_positions = 1024
    arguments.dropout = arguments.attention_dropout = arguments.activation_dropout = 0.0
    if architecture == "esm1":
        arguments.final_bias = True
    else:
        arguments.token_dropout = True
    return arguments


Named = Iterator[tuple[str, torch.Tensor]]


def _tensors(architecture: str, n_layers: int, width: int, generator: torch.Generator) -> Named:
    """Yield the tensors of a checkpoint under the names of the released files."""
    prefix = _FORMATS[architecture][1]
    n_tokens = _VOCABULARY[architecture]
    embedding = torch.randn(n_tokens, width, generator=generator)
    embedding[[_PAD, _MASK[architecture]]] = 0
    if architecture == "esm1":
        embedding *= width**-0.5  # the model multiplies by its square root
    yield prefix + "embed_tokens.weight", embedding
    if architecture in ("esm1b", "esm1v"):
        positions = 0.1 * torch.randn(1024 + _PAD + 1, width, generator=generator)
        positions[_PAD] = 0
        yield prefix + "embed_positions.weight", positions
    for layer in range(n_layers):
        yield from _layer(f"{prefix}layers.{layer}.", width, architecture == "esm1", generator)
    if architecture == "esm1":
        yield "decoder.embed_positions._float_tensor", torch.zeros(1)
        yield "decoder.embed_out", torch.randn(n_tokens, width, generator=generator) * width**-0.5
        yield "decoder.embed_out_bias", torch.zeros(n_tokens)
        return
    if architecture == "esm1b":
        yield from _norm(prefix + "emb_layer_norm_before", width, generator)
    yield from _norm(prefix + "emb_layer_norm_after", width, generator)
    yield "encoder.lm_head.weight", embedding
    yield "encoder.lm_head.bias", torch.zeros(n_tokens)
    yield from _linear("encoder.lm_head.dense", width, width, generator)
    yield from _norm("encoder.lm_head.layer_norm", width, generator)


def _layer(prefix: str, width: int, bias_kv: bool, generator: torch.Generator) -> Named:
    for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
        yield from _linear(f"{prefix}self_attn.{name}", width, width, generator)
    if bias_kv:
        for name in ("bias_k", "bias_v"):
            yield f"{prefix}self_attn.{name}", torch.randn(1, 1, width, generator=generator)
    yield from _norm(prefix + "self_attn_layer_norm", width, generator)
    yield from _linear(prefix + "fc1", width, 4 * width, generator)
    yield from _linear(prefix + "fc2", 4 * width, width, generator)
    yield from _norm(prefix + "final_layer_norm", width, generator)


def _linear(name: str, n_in: int, n_out: int, generator: torch.Generator) -> Named:
    yield name + ".weight", torch.randn(n_out, n_in, generator=generator) * n_in**-0.5
    yield name + ".bias", 0.02 * torch.randn(n_out, generator=generator)


def _norm(name: str, width: int, generator: torch.Generator) -> Named:
    yield name + ".weight", 1 + 0.05 * torch.randn(width, generator=generator)
    yield name + ".bias", 0.05 * torch.randn(width, generator=generator)
