"""Normalised sub-gradient steps that shrink geometrically, for any torch model and loss.

The step rule of Ma and Fattahi (arXiv 2202.08788) for losses that are not smooth, such as the absolute error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from overparam.errors import BadInput, Diverged


class SubGM(Optimizer):
    """Step p <- p - lr decay^t g / ||g||, with one norm for all parameters.

    The norm is that of the whole gradient unless `step` is given another. For a factored matrix X = U U' the paper
    divides by the norm of the subgradient with respect to X: pass `norm=2 * X.grad.norm()` for a symmetric `X.grad`,
    after `X.retain_grad()`. Only then do steps scale with U, as a small start needs.

    Args:
        params: Parameters or groups of them.
        lr: First step, positive.
        decay: Factor from one step to the next, above 0 and at most 1.

    Raises:
        BadInput: lr or decay out of range.

    Source: arXiv 2202.08788, geometric steps for noisy measurements.

    Example:
        >>> p = torch.tensor([3.0, -4.0], requires_grad=True)
        >>> optimiser = SubGM([p], lr=1.0, decay=0.5)
        >>> for _ in range(2):
        ...     optimiser.zero_grad()
        ...     p.abs().sum().backward()
        ...     optimiser.step()
        >>> [round(v, 3) for v in p.tolist()]  # 1.5 / sqrt(2) from each
        [1.939, -2.939]
    """

    def __init__(self, params: Iterable[Any], lr: float, decay: float = 1.0) -> None:
        if not 0 < lr < math.inf or not 0 < decay <= 1:
            raise BadInput(f"lr={lr}, decay={decay}: give a positive lr and 0 < decay <= 1")
        super().__init__(params, {"lr": lr, "decay": decay, "taken": 0})

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], float] | None = None, *, norm: float | Tensor | None = None
    ) -> float | None:
        """Take one step; parameters stay where the gradient is zero.

        Args:
            closure: Computes the loss and its gradient.
            norm: What to divide by, in place of the norm of the gradient.

        Returns:
            The loss of the closure.

        Raises:
            BadInput: A negative norm.
            Diverged: A gradient or a norm that is not finite; names the step.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        found = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        taken = self.param_groups[0]["taken"]
        size = float(norm) if norm is not None else _norm(found)
        if size < 0:
            raise BadInput(f"norm={size} is negative; give the norm of a gradient")
        if not math.isfinite(size):
            raise Diverged(f"the gradient is not finite at step {taken}; lr={self.param_groups[0]['lr']} is too large")
        for group in self.param_groups:
            rate = group["lr"] * group["decay"] ** group["taken"]
            group["taken"] += 1
            if size > 0:
                for p in group["params"]:
                    if p.grad is not None:
                        p.add_(p.grad, alpha=-rate / size)
        return loss


def _norm(grads: list[Tensor]) -> float:
    return math.sqrt(sum(float(g.double().square().sum()) for g in grads))
