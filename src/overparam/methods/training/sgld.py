"""Stochastic gradient Langevin dynamics: training that samples from the posterior of the weights.

U(theta) = -sum_i ln p(y_i | x_i, theta) + (prior precision / 2) |theta|². A step is
theta <- theta - (lr/2) grad U + sqrt(lr T) N(0, I), where the sum over N examples is N times the mean over a batch.

Source: arXiv 2506.07661 (practice); Welling et al., ICML 2011.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from overparam.errors import BadInput, Diverged


class SGLD(torch.optim.Optimizer):
    """Langevin steps for any torch module whose loss is the mean negative log likelihood of a batch.

    The prior is in here: do not add weight decay to the loss as well. With temperature 0 this is SGD on the mean loss
    with step N lr / 2 and weight decay `prior_precision` / N.

    Args:
        params: Parameters.
        lr: Step eta, positive.
        num_data: N, examples in the training set.
        prior_precision: Of a normal prior around 0, not negative.
        temperature: T; 1 samples from the posterior, 0 only descends.
        generator: Source of randomness, on the device of the parameters.

    Raises:
        BadInput: An argument out of range.

    Source: Welling et al., ICML 2011, equation 4.

    Example:
        >>> weight = torch.zeros(1, requires_grad=True)
        >>> optimiser = SGLD([weight], lr=0.1, num_data=4, temperature=0.0)
        >>> ((weight - 1.0) ** 2 / 2).sum().backward(); optimiser.step()
        >>> round(weight.item(), 6)                                       # (lr/2) N (1 - 0)
        0.2
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        num_data: int,
        *,
        prior_precision: float = 1.0,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        check_langevin(lr, num_data, prior_precision, temperature)
        super().__init__(
            params, {"lr": lr, "num_data": num_data, "prior_precision": prior_precision, "temperature": temperature}
        )
        self.generator = generator
        self._steps = 0

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Args:
            closure: Evaluates the model again and returns the loss.

        Returns:
            The closure's loss, if there is one.

        Raises:
            Diverged: A gradient is not finite; the step is named.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._steps += 1
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            gradients = [p.grad for p in params]
            sizes = torch._foreach_norm(gradients)
            if not bool(torch.isfinite(torch.stack(sizes)).all()):
                raise Diverged(f"a gradient is not finite at step {self._steps}; lower lr={group['lr']:g}")
            half = group["lr"] / 2
            torch._foreach_mul_(params, 1 - half * group["prior_precision"])
            torch._foreach_add_(params, gradients, alpha=-half * group["num_data"])
            if group["temperature"] > 0:
                self._shake(params, math.sqrt(group["lr"] * group["temperature"]))
        return loss

    def _shake(self, params: list[Tensor], scale: float) -> None:
        """Add noise, drawn once for all parameters."""
        total = sum(p.numel() for p in params)
        noise = torch.randn(total, generator=self.generator, dtype=params[0].dtype, device=params[0].device)
        parts = torch.split(noise, [p.numel() for p in params])
        pieces = [part.view_as(p) for part, p in zip(parts, params, strict=True)]
        torch._foreach_add_(params, pieces, alpha=scale)


def check_langevin(lr: float, num_data: int, prior_precision: float, temperature: float) -> None:
    """Refuse settings of a Langevin sampler that are out of range.

    Args:
        lr: Step.
        num_data: Examples.
        prior_precision: Of the prior.
        temperature: T.

    Raises:
        BadInput: One of them is out of range.
    """
    if not (lr > 0 and math.isfinite(lr)):
        raise BadInput(f"lr={lr}: give a positive number")
    if num_data <= 0:
        raise BadInput(f"num_data={num_data}: give the number of training examples")
    if not prior_precision >= 0 or not temperature >= 0:
        raise BadInput(f"prior_precision={prior_precision}, temperature={temperature}: neither can be negative")


def langevin_variance(precision: Tensor, lr: float) -> Tensor:
    """Stationary variance of full-batch SGLD on a normal target, along its eigendirections.

    Args:
        precision: lambda, eigenvalues of the posterior precision, positive.
        lr: Step eta; stable for eta lambda < 4.

    Returns:
        1 / (lambda (1 - eta lambda / 4)), of the same shape: biased by order eta, so its predictions by eta² in KL.

    Raises:
        BadInput: An unstable step, or a precision that is not positive.

    Example:
        >>> langevin_variance(torch.tensor([2.0]), lr=1.0).tolist()
        [1.0]
    """
    if not bool((precision > 0).all()):
        raise BadInput("precisions have to be positive")
    if not 0 < lr * float(precision.max()) < 4:
        raise BadInput(
            f"lr={lr} is unstable: lr times the largest precision {float(precision.max()):g} has to be below 4"
        )
    return 1 / (precision * (1 - lr * precision / 4))
