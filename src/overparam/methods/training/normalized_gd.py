"""Gradient descent with steps of fixed length, under which attention weights reach their direction quickly.

From the experiments of Ataee Tarzanagh, Li, Thrampoulidis and Oymak, arXiv 2308.16898.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor

from overparam.errors import BadInput


class NormalizedGD(torch.optim.Optimizer):
    """Steps of length `lr` against the gradient: w <- w - lr g / (||g|| + eps), with g the gradient plus decay times w.

    The loss of a classifier that separates its data has gradients that vanish exponentially, so plain descent needs
    exponentially many steps. The direction of a step stays well defined; small gradients are scaled before they are
    squared, so that they may lie below 1e-154.

    Args:
        params: Parameters, or groups of them.
        lr: Length of a step, positive.
        eps: Added to the norm, not negative. Zero follows gradients of any size.
        per_param: Whether each tensor has its own norm; otherwise all tensors of a group share one.
        decay: Weight decay, part of the gradient. The official code gives key and query 2 x 2.2e-16.

    Raises:
        BadInput: lr not positive, or eps or decay negative.

    Source: arXiv 2308.16898, appendix on experiments, and its official code.

    Example:
        >>> w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
        >>> optimiser = NormalizedGD([w], lr=1.0, eps=0.0)
        >>> (1e-30 * w.square().sum() / 2).backward()
        >>> optimiser.step()
        >>> w.data
        tensor([2.4000, 3.2000])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        *,
        eps: float = 2.2e-16,
        per_param: bool = True,
        decay: float = 0.0,
    ) -> None:
        if not lr > 0 or not eps >= 0 or not decay >= 0:
            raise BadInput(f"lr={lr}, eps={eps}, decay={decay}: give lr > 0, eps >= 0 and decay >= 0")
        super().__init__(params, {"lr": lr, "eps": eps, "per_param": per_param, "decay": decay})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step.

        Args:
            closure: Evaluates the loss once more, as in any PyTorch optimiser.

        Returns:
            What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            used = [p for p in group["params"] if p.grad is not None]
            slopes = [p.grad + group["decay"] * p for p in used]
            for tensors in [[g] for g in slopes] if group["per_param"] else [slopes]:
                _scale_(tensors, group["eps"])
            for parameter, slope in zip(used, slopes, strict=True):
                parameter.add_(slope, alpha=-group["lr"])
        return loss


def _scale_(tensors: list[Tensor], eps: float) -> None:
    """Divide by the common norm plus eps, in place; zeros stay zeros."""
    top = max((float(t.abs().max()) for t in tensors if t.numel()), default=0.0)
    if top == 0.0:
        return
    for t in tensors:
        t.div_(top)
    length = float(sum(t.square().sum() for t in tensors) ** 0.5)
    for t in tensors:
        t.div_(length + eps / top)
