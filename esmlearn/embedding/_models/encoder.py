"""The forward pass of ESM networks without padding, heads and allocations.

Sequences lie one behind the other in one matrix of tokens. Everything that works token by token
(layer norms, projections, feed-forward) runs once over the whole matrix; attention runs per group
of equally long sequences. Large buffers are kept between layers and calls: on virtual machines
handing memory back and faulting it in again costs as much as the arithmetic.
"""

import math
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention

from esmlearn.embedding._models.checkpoint import Checkpoint, alphabet
from esmlearn.embedding._models.settings import BFLOAT16_BUT_SCORES
from esmlearn.exceptions import CheckpointError

# What the products are computed in, and what the scores of attention and their projections are.
_DTYPES = {
    "float32": (torch.float32, torch.float32),
    "bfloat16": (torch.bfloat16, torch.bfloat16),
    BFLOAT16_BUT_SCORES: (torch.bfloat16, torch.float32),
    "float16": (torch.float16, torch.float16),
}
_MASKED_IN_TRAINING = 0.15 * 0.8
_PAD = 1


# Operations on a matrix of tokens, and the buffers they compute in --------------------------------


@dataclass(frozen=True)
class Linear:
    """A projection; `activate` applies GELU to its result."""

    weight: Tensor  # (n_out, n_in)
    bias: Tensor
    onednn: bool

    def __call__(self, x: Tensor, out: Tensor, *, activate: bool = False) -> Tensor:
        if self.onednn:  # with its own result, but GELU in the same pass
            name, algorithm = ("gelu", "none") if activate else ("none", "")
            return torch.ops.mkldnn._linear_pointwise(
                x, self.weight, self.bias, name, [], algorithm
            )
        torch.addmm(self.bias, x, self.weight.t(), out=out)
        return torch.ops.aten.gelu_(out) if activate else out


@cache
def has_onednn(device: str, dtype: torch.dtype) -> bool:
    """Tell whether oneDNN's product can be called here.

    torch hands float32 products to MKL, which runs at less than half of oneDNN's speed on CPUs of
    AMD (95 to 218 GFLOP/s on one core of a Zen 5) and at the same on Intel's.
    """
    if device != "cpu" or dtype == torch.float16 or not torch.backends.mkldnn.is_available():
        return False
    try:
        x = torch.ones(2, 2, dtype=dtype)
        torch.ops.mkldnn._linear_pointwise(x, x, x[0].contiguous(), "gelu", [], "none")
    except (AttributeError, RuntimeError, TypeError):
        return False
    return True


def padded_rows(rows: int) -> int:
    """Return a number of rows that recurs: at most 1/16 more, one of 16 between powers of two.

    oneDNN compiles a product for each shape that it meets and keeps the last thousands of them,
    about a megabyte each. Batches of any number of tokens filled gigabytes with them.

    Examples
    --------
    >>> [padded_rows(n) for n in (1, 100, 3900, 4096)]
    [16, 112, 3968, 4096]
    """
    step = max(16, (1 << rows.bit_length()) // 32)
    return -(-rows // step) * step


@dataclass(frozen=True)
class Norm:
    """Layer norm into a given buffer."""

    weight: Tensor
    bias: Tensor
    epsilon: float

    def __call__(self, x: Tensor, out: Tensor, statistics: Tensor) -> Tensor:
        shape = (x.shape[-1],)
        torch.ops.aten.native_layer_norm.out(
            x,
            shape,
            self.weight,
            self.bias,
            self.epsilon,
            out0=out,
            out1=statistics[0, : len(x), None],
            out2=statistics[1, : len(x), None],
        )
        return out


class Workspace:
    """Buffers that grow to the largest batch seen and are used again."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._buffers: dict[str, Tensor] = {}

    def __call__(self, name: str, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
        size = rows * columns
        buffer = self._buffers.get(name)
        if buffer is None or buffer.numel() < size:
            self._buffers.pop(name, None)
            buffer = torch.empty(size, dtype=dtype, device=self._device)
            self._buffers[name] = buffer
        return buffer[:size].view(rows, columns)


# Network -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layer:
    norm_attention: Norm
    query_key: Linear
    value: Linear
    extra_key_value: Tensor | None  # (2, n_heads, 1, head_width)
    out: Linear
    norm_feed_forward: Norm
    expand: Linear
    contract: Linear


class ESMEncoder:
    """ESM-1, ESM-1b, ESM-1v and ESM-2 over packed sequences.

    Parameters
    ----------
    checkpoint : Checkpoint
        Arguments and tensors of the network.
    device : str, default="cpu"
        Where to run.
    precision : {"float32", "bfloat16", BFLOAT16_BUT_SCORES, "float16"}, default="float32"
        Type of weights and of what the layers compute in. The residual stream, layer norms and the
        states that are returned are float32; with BFLOAT16_BUT_SCORES queries, keys and attention
        are, too.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, device: str = "cpu", precision: str = "float32"
    ) -> None:
        info = checkpoint.info
        self.info = info
        self.n_layers, self.width, self.n_heads = info.n_layers, info.width, info.n_heads
        self.device = torch.device(device)
        self.dtype, self._scores = _DTYPES[precision]
        self.lock: AbstractContextManager[Any] = threading.RLock()
        self._tensors = checkpoint.tensors
        self._token_dropout = checkpoint.token_dropout
        self._alphabet = alphabet(info.architecture)
        self.n_prefix, self.n_suffix = 1, int(self._alphabet.append_eos)
        self.mask_token = self._alphabet.mask
        self._epsilon = 1e-12 if info.architecture == "esm1" else 1e-5
        self._workspace = Workspace(self.device)
        self._rotary = info.architecture == "esm2"
        # In float32 the two halves of a head that are rotated against each other are interleaved,
        # so that the rotation is one complex product in place; attention does not see the order.
        on_cpu = self.device.type == "cpu"
        self._interleaved = self._rotary and self._scores == torch.float32 and on_cpu
        self._positions = torch.empty(0, 0)
        self._load()

    def _load(self) -> None:
        self._embedding = self._float("embed_tokens.weight").clone()
        if self._token_dropout:
            self._embedding[self._alphabet.mask] = 0
        if self.info.architecture == "esm1":
            self._embedding *= math.sqrt(self.width)
        self._norm_before = self._norm("emb_layer_norm_before")
        self._norm_after = self._norm("emb_layer_norm_after")
        self._layers = [self._layer(f"layers.{i}.") for i in range(self.n_layers)]
        self._token_table = self._make_token_table()

    def _make_token_table(self) -> np.ndarray:
        """Map the byte of a character to its token; what the alphabet lacks is unknown."""
        table = np.full(256, self._alphabet.unknown, dtype=np.int64)
        for token, index in self._alphabet.index.items():
            if len(token) == 1:
                table[ord(token)] = index
        return table

    # Loading ---------------------------------------------------------------------------------

    def _float(self, name: str) -> Tensor:
        if name not in self._tensors:  # a head, which embeddings do not need
            raise CheckpointError(
                f"The checkpoint of {self.info.name} has no tensor {name}; expected the head of "
                f"the language model. Take a checkpoint that fair-esm released."
            )
        return self._tensors[name].to(self.device, torch.float32)

    def _norm(self, name: str) -> Norm | None:
        return self._required_norm(name) if f"{name}.weight" in self._tensors else None

    def _required_norm(self, name: str) -> Norm:
        return Norm(self._float(f"{name}.weight"), self._float(f"{name}.bias"), self._epsilon)

    def _linear(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Linear:
        return Linear(
            weight.to(self.device, dtype).contiguous(),
            bias.to(self.device, dtype).contiguous(),
            has_onednn(self.device.type, dtype),
        )

    def _named_linear(self, name: str) -> Linear:
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return self._linear(weight, bias, self.dtype)

    def _layer(self, prefix: str) -> _Layer:
        weights, biases = [], []
        for name in ("q_proj", "k_proj"):
            weight = self._tensors[f"{prefix}self_attn.{name}.weight"]
            bias = self._tensors[f"{prefix}self_attn.{name}.bias"]
            if self._interleaved:
                weight, bias = weight[self._interleaving], bias[self._interleaving]
            weights.append(weight)
            biases.append(bias)
        return _Layer(
            norm_attention=self._required_norm(f"{prefix}self_attn_layer_norm"),
            query_key=self._linear(torch.cat(weights), torch.cat(biases), self._scores),
            value=self._named_linear(f"{prefix}self_attn.v_proj"),
            extra_key_value=self._extra_key_value(prefix),
            out=self._named_linear(f"{prefix}self_attn.out_proj"),
            norm_feed_forward=self._required_norm(f"{prefix}final_layer_norm"),
            expand=self._named_linear(f"{prefix}fc1"),
            contract=self._named_linear(f"{prefix}fc2"),
        )

    @property
    def _interleaving(self) -> Tensor:
        half = self.width // self.n_heads // 2
        order = torch.arange(self.width).view(self.n_heads, 2, half)
        return order.transpose(1, 2).reshape(-1)

    def _extra_key_value(self, prefix: str) -> Tensor | None:
        """Return the key and value that ESM-1 appends to every sequence."""
        if f"{prefix}self_attn.bias_k" not in self._tensors:
            return None
        pair = [self._float(f"{prefix}self_attn.bias_{x}").view(-1) for x in "kv"]
        return torch.stack(pair).view(2, self.n_heads, 1, -1).to(self._scores)

    # Tokens and positions ----------------------------------------------------------------------

    def tokenize(self, sequence: str) -> np.ndarray:
        """Return the int64 tokens of a sequence, with BOS and (but for ESM-1) EOS."""
        tokens = np.empty(len(sequence) + self.n_prefix + self.n_suffix, dtype=np.int64)
        tokens[0] = self._alphabet.cls
        body = np.frombuffer(sequence.encode("ascii"), dtype=np.uint8)
        tokens[1 : 1 + len(body)] = self._token_table[body]
        if self.n_suffix:
            tokens[-1] = self._alphabet.eos
        return tokens

    def _position_table(self, length: int) -> Tensor:
        """Return one row per position: vectors to add, or rotations as cosine and sine."""
        if len(self._positions) < length:
            if self._rotary:
                self._positions = self._rotations(2 * length)
            elif self.info.architecture == "esm1":
                self._positions = self._sinusoids(2 * length)
            else:
                self._positions = self._float("embed_positions.weight")[_PAD + 1 :]
        return self._positions

    def _rotations(self, length: int) -> Tensor:
        frequencies = self._float("layers.0.self_attn.rot_emb.inv_freq")
        angles = torch.outer(torch.arange(length, device=self.device).float(), frequencies)
        if self._interleaved:
            return torch.polar(torch.ones_like(angles), angles)
        return torch.stack([angles.cos(), angles.sin()], dim=1)

    def _sinusoids(self, length: int) -> Tensor:
        half = self.width // 2
        step = math.log(10000) / (half - 1)
        frequencies = torch.exp(torch.arange(half, dtype=torch.float32) * -step)
        angles = torch.arange(_PAD + 1, _PAD + 1 + length).float()[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1).to(self.device)

    def _embed(self, tokens: Sequence[np.ndarray], positions: Tensor) -> Tensor:
        flat = np.concatenate(tokens)
        whole = self._workspace("x", self._n_rows(len(flat)), self.width, torch.float32)
        x, padding = whole[: len(flat)], whole[len(flat) :]
        padding.zero_()
        torch.index_select(self._embedding, 0, self._to_device(flat), out=x)
        if self._token_dropout:
            x.mul_(1 - _MASKED_IN_TRAINING)
            if (flat == self._alphabet.mask).any():
                seen = [np.mean(t != self._alphabet.mask, dtype=np.float32) for t in tokens]
                share = np.repeat(np.stack(seen), [len(t) for t in tokens])
                x.div_(self._to_device(share)[:, None])
        if not self._rotary:
            x.add_(self._positions[positions])
        if self._norm_before is not None:
            self._norm_before(x, x, self._statistics(len(x)))
        return whole

    def _n_rows(self, tokens: int) -> int:
        return padded_rows(tokens) if has_onednn(self.device.type, self.dtype) else tokens

    def _to_device(self, values: np.ndarray) -> Tensor:
        """Copy from the host; to CUDA through pinned memory, so that nobody waits for it."""
        tensor = torch.from_numpy(values)
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def _statistics(self, rows: int) -> Tensor:
        return self._workspace("statistics", 2, rows, torch.float32)

    # Forward -----------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, tokens: Sequence[np.ndarray], layers: Sequence[int]) -> list[Tensor]:
        """Return float32 states of shape (n_tokens in all, width), one tensor per layer asked for.

        The last one may share memory with a buffer and is overwritten by the next call.
        """
        lengths = [len(t) for t in tokens]
        n_tokens = sum(lengths)
        self._position_table(max(lengths))
        positions = self._to_device(np.concatenate([np.arange(n) for n in lengths]))
        x = self._embed(tokens, positions)
        rotation = self._positions[positions] if self._rotary else None
        groups = _equal_length_groups(lengths)
        kept: dict[int, Tensor] = {}
        for index, layer in enumerate(self._layers):
            if index in layers:
                kept[index] = x[:n_tokens].clone()
            if index == max(layers):
                break
            self._attend(layer, x, rotation, groups)
            self._feed_forward(layer, x)
        if self.n_layers in layers:
            kept[self.n_layers] = self._finish(x[:n_tokens])
        return [kept[layer] for layer in layers]

    def _finish(self, x: Tensor) -> Tensor:
        if self._norm_after is None:
            return x
        return self._norm_after(x, x, self._statistics(len(x)))

    def _normalised(self, norm: Norm, x: Tensor) -> Tensor:
        out = self._workspace("normalised", len(x), self.width, torch.float32)
        return norm(x, out, self._statistics(len(x)))

    def _in(self, dtype: torch.dtype, x: Tensor) -> Tensor:
        if x.dtype == dtype:
            return x
        return self._workspace(f"in {dtype}", len(x), self.width, dtype).copy_(x)

    def _attend(
        self, layer: _Layer, x: Tensor, rotation: Tensor | None, groups: list[tuple[int, int, int]]
    ) -> None:
        rows, width, heads = len(x), self.width, self.n_heads
        h = self._in(self._scores, self._normalised(layer.norm_attention, x))
        query_key = layer.query_key(h, self._workspace("qk", rows, 2 * width, self._scores))
        if rotation is not None:
            self._rotate(query_key[: len(rotation)], rotation)
        value = layer.value(self._in(self.dtype, h), self._workspace("v", rows, width, self.dtype))
        value = self._in(self._scores, value)
        mixed = self._workspace("mixed", rows, width, self.dtype)
        for start, number, length in groups:
            stop = start + number * length
            q, k = query_key[start:stop].view(number, length, 2, heads, -1).permute(2, 0, 3, 1, 4)
            v = value[start:stop].view(number, length, heads, -1).transpose(1, 2)
            if layer.extra_key_value is not None:
                extra = layer.extra_key_value[:, None].expand(-1, number, -1, -1, -1)
                k, v = torch.cat([k, extra[0]], dim=2), torch.cat([v, extra[1]], dim=2)
            attended = scaled_dot_product_attention(q, k, v)
            mixed[start:stop].view(number, length, heads, -1).copy_(attended.transpose(1, 2))
        mixed[stop:].zero_()
        self._add(layer.out, mixed, x)

    def _rotate(self, query_key: Tensor, rotation: Tensor) -> None:
        half = self.width // self.n_heads // 2
        if self._interleaved:
            pairs = query_key.unflatten(1, (2 * self.n_heads, half, 2))
            torch.view_as_complex(pairs).mul_(rotation[:, None])
            return
        first, second = query_key.unflatten(1, (2 * self.n_heads, 2, half)).unbind(2)
        cosine, sine = rotation.to(self._scores).unbind(1)
        cosine, sine = cosine[:, None], sine[:, None]
        rotated = first * cosine - second * sine
        second.mul_(cosine).add_(first * sine)
        first.copy_(rotated)

    def _add(self, projection: Linear, h: Tensor, x: Tensor) -> None:
        """Add ``projection(h)`` to the residual stream in place."""
        out = self._workspace("delta", len(x), self.width, h.dtype)
        x.add_(projection(h, out))

    def _feed_forward(self, layer: _Layer, x: Tensor) -> None:
        h = self._in(self.dtype, self._normalised(layer.norm_feed_forward, x))
        wide = self._workspace("wide", len(x), len(layer.expand.weight), self.dtype)
        self._add(layer.contract, layer.expand(h, wide, activate=True), x)

    @torch.inference_mode()
    def logits(self, states: Tensor) -> Tensor:
        """Return the language model's logits of states of the last layer, in float32."""
        if self.info.architecture == "esm1":
            bias = self._float("embed_out_bias") if "embed_out_bias" in self._tensors else None
            return linear(states, self._float("embed_out"), bias)
        h = linear(states, self._float("lm_head.dense.weight"), self._float("lm_head.dense.bias"))
        h = layer_norm(
            gelu(h),
            (self.width,),
            self._float("lm_head.layer_norm.weight"),
            self._float("lm_head.layer_norm.bias"),
            self._epsilon,
        )
        return linear(h, self._float("lm_head.weight"), self._float("lm_head.bias"))


def _equal_length_groups(lengths: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return (first token, number of sequences, length) of each run of equally long sequences."""
    groups: list[tuple[int, int, int]] = []
    start = 0
    for length in lengths:
        if groups and groups[-1][2] == length:
            groups[-1] = (groups[-1][0], groups[-1][1] + 1, length)
        else:
            groups.append((start, 1, length))
        start += length
    return groups
