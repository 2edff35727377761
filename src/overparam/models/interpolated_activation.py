"""An activation between two others.

Source: arXiv 2501.13734, section on activation interpolation.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class InterpolatedActivation(nn.Module):
    """alpha o1(x) + (1 - alpha) o2(x), entry by entry.

    Args:
        first: o1.
        second: o2.
        alpha: A number, or a tensor that broadcasts against the input, such as (q, 1, 1) to try q values at once.

    Example:
        >>> InterpolatedActivation(torch.relu, torch.square, 0.25)(torch.tensor([-2.0, 2.0])).tolist()
        [3.0, 3.5]
    """

    def __init__(
        self, first: Callable[[Tensor], Tensor], second: Callable[[Tensor], Tensor], alpha: float | Tensor
    ) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.register_buffer("alpha", torch.as_tensor(alpha))

    def forward(self, x: Tensor) -> Tensor:
        """Apply.

        Args:
            x: Any shape.

        Returns:
            The same shape.
        """
        assert isinstance(self.alpha, Tensor)
        alpha = self.alpha.to(x.dtype)
        return alpha * self.first(x) + (1 - alpha) * self.second(x)
