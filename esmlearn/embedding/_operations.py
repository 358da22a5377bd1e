"""What the encoder computes token by token, and the buffers that it computes in."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor


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
