"""Network with one hidden layer of ReLU units, without biases and with fixed output weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from overparam.errors import BadInput


class TwoLayerReLU(nn.Module):
    """f(x) = sum over j of a_j relu(<w_j, x>), with a_j of random sign and size 1/sqrt(m), and w_j ~ N(0, scale^2 I_p).

    Args:
        p: Numbers in one input.
        m: Hidden units.
        init_scale: Standard deviation of the first layer, positive: a network of zeros would never move.
        frozen_second: Whether the second layer is left as it is drawn.
        generator: Draws both layers, the signs first.

    Attributes:
        weight: (m, p), first layer.
        second: (m,), second layer.

    Raises:
        BadInput: p or m below 1, or init_scale not positive.

    Source: arXiv 2310.02541, section on the setting.

    Example:
        >>> network = TwoLayerReLU(10, 16, 1e-3, generator=torch.Generator().manual_seed(0))
        >>> tuple(network(torch.zeros(3, 10)).shape), float(network.second.abs().max())
        ((3,), 0.25)
    """

    def __init__(
        self, p: int, m: int, init_scale: float, *, generator: torch.Generator, frozen_second: bool = True
    ) -> None:
        super().__init__()
        if p < 1 or m < 1 or not init_scale > 0:
            raise BadInput(f"p={p}, m={m}, init_scale={init_scale}: give p, m >= 1 and init_scale > 0")
        signs = 2.0 * torch.randint(0, 2, (m,), generator=generator) - 1
        self.weight = nn.Parameter(init_scale * torch.randn(m, p, generator=generator))
        self.second = nn.Parameter(signs / math.sqrt(m), requires_grad=not frozen_second)

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate the network.

        Args:
            x: (n, p).

        Returns:
            (n,), one output a point; its sign is the predicted label.
        """
        return torch.relu(x @ self.weight.T) @ self.second
