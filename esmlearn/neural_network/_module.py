"""The network: linear layers with ReLU, batch norm and dropout, and one linear output."""

import math
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

__all__ = ["MLPModule"]


class _SeededDropout(nn.Module):
    """Dropout that draws from its own generator, so that no global random state is touched."""

    def __init__(self, probability: float, generator: torch.Generator) -> None:
        super().__init__()
        self.keep = 1.0 - probability
        self.generator = generator

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        mask = torch.empty_like(x).bernoulli_(self.keep, generator=self.generator)
        return x * mask.div_(self.keep)


class _BatchNorm(nn.BatchNorm1d):
    """Batch norm whose running statistics are right from the first step.

    torch starts them at mean 0 and variance 1 and moves them by a tenth per step; a small table has
    few steps per epoch, and its first validation losses would mean nothing. Here the first ten
    steps are averaged evenly. What is trained does not change.
    """

    steps = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and self.steps < 10:
            self.steps += 1
            self.momentum = 1.0 / self.steps
        return super().forward(x)


def _linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """Make a linear layer with torch's default initialisation, drawn from `generator`."""
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out)
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    bound = 1.0 / math.sqrt(n_in)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer


class MLPModule(nn.Module):
    """Hidden layers of linear -> ReLU -> batch norm -> dropout, then one linear layer.

    Parameters
    ----------
    n_features : int
        Width of the input.
    n_outputs : int
        Width of the output.
    hidden_layer_sizes : sequence of int
        Widths of the hidden layers.
    dropout : float
        Probability with which a hidden unit is dropped in training.
    batch_norm : bool
        Whether a batch norm follows each hidden layer.
    seed : int
        Seeds the initial weights (drawn on the CPU: the same on every device) and the dropout.
    device : str or torch.device
        Where the network computes.
    """

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        *,
        hidden_layer_sizes: Sequence[int],
        dropout: float,
        batch_norm: bool,
        seed: int,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__()
        initial = torch.Generator().manual_seed(seed)
        noise = torch.Generator(device).manual_seed(seed)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width = n_features
        for i, size in enumerate(hidden_layer_sizes):
            layers[f"linear_{i}"] = _linear(width, size, initial)
            layers[f"relu_{i}"] = nn.ReLU()
            if batch_norm:
                layers[f"norm_{i}"] = _BatchNorm(size)
            if dropout > 0:
                layers[f"dropout_{i}"] = _SeededDropout(dropout, noise)
            width = size
        layers["output"] = _linear(width, n_outputs, initial)
        self.layers = nn.Sequential(layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs, of shape (n_rows, n_outputs)."""
        return self.layers(x)

    def get_weights(self) -> dict[str, np.ndarray]:
        """Return the parameters and batch-norm statistics as NumPy arrays."""
        state = self.layers.state_dict()
        return {name: value.detach().cpu().numpy().copy() for name, value in state.items()}

    def set_weights(self, weights: dict[str, np.ndarray]) -> None:
        """Take weights as `get_weights` gives them."""
        self.layers.load_state_dict({name: torch.tensor(w) for name, w in weights.items()})
