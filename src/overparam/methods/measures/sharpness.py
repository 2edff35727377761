"""How far the loss rises when the weights are moved: along random directions and along given ones.

Distances are relative: a radius of 0.01 moves the weights by a hundredth of their norm. Along eigenvector v of the
Hessian with eigenvalue h the rise is close to h (radius ||w||)^2 / 2, while the gradient is small.

Source: Keskar et al., arXiv 1609.04836, section 2.2, and Li et al., arXiv 1712.09913, section 3, for the idea of
sharpness along random directions; the top direction follows from Sagun et al., arXiv 1706.04454. Departures:

1. Random directions are scaled as a whole, not filter by filter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from overparam.errors import BadInput
from overparam.methods.measures.objective import Batches, Loss, batches, check_model, losses


@dataclass(frozen=True)
class Rise:
    """The loss along directions.

    Attributes:
        radii: (r,) relative distances, 0 among them.
        loss: (directions, r) mean loss over the data at each.
    """

    radii: Tensor
    loss: Tensor

    def at(self, radius: float) -> Tensor:
        """Return the mean rise of the loss at a distance, over both signs where both were measured.

        Args:
            radius: One of `radii`, not 0.

        Returns:
            (directions,).

        Raises:
            BadInput: A radius that was not measured.
        """
        near = (self.radii.abs() - abs(radius)).abs() < 1e-12
        if radius == 0 or not bool(near.any()):
            raise BadInput(f"radius={radius} was not measured; there are {self.radii.tolist()}")
        return self.loss[:, near].mean(1) - self.loss[:, self.radii == 0].mean(1)


def loss_along(
    model: nn.Module,
    loss_fn: Loss,
    data: Batches,
    directions: Tensor,
    *,
    radii: Sequence[float] = (-0.01, 0.0, 0.01),
    chunk: int = 512,
) -> Rise:
    """Evaluate the loss at w + radius ||w|| d / ||d||. Costs a pass over the data for each direction and radius.

    Args:
        model: Network in evaluation mode; it is not changed.
        loss_fn: See `objective.losses`.
        data: (x, y), or batches that can be gone through again.
        directions: (k, P) over the trainable weights in the order of `model.parameters()`.
        radii: Relative distances; 0 is added where it is missing.
        chunk: Examples at a time.

    Returns:
        Loss along each direction.

    Raises:
        BadInput: Directions of another length, of zero or of non-finite length; or see `objective`.

    Example:
        >>> model = nn.Linear(2, 1, bias=False)
        >>> with torch.no_grad():
        ...     _ = model.weight.copy_(torch.tensor([[1.0, 0.0]]))
        >>> rise = loss_along(model, nn.MSELoss(), (torch.eye(2), torch.tensor([[1.0], [0.0]])), torch.eye(2))
        >>> [round(value, 8) for value in rise.at(0.01).tolist()]  # 0.01 squared, on one of two examples
        [5e-05, 5e-05]
    """
    check_model(model)
    named = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    weights = torch.cat([p.flatten() for p in named.values()])
    lengths = directions.double().norm(dim=1)
    if directions.dim() != 2 or directions.shape[1] != len(weights):
        raise BadInput(f"directions has shape {tuple(directions.shape)}; pass (k, P) with P={len(weights)}")
    if not bool(torch.isfinite(lengths).all()) or bool((lengths == 0).any()):
        raise BadInput("a direction is zero or not finite; pass directions of positive length")
    steps = sorted({*map(float, radii), 0.0})
    unit = directions / lengths[:, None].to(directions) * float(weights.double().norm())
    still = _mean_loss(model, named, weights, loss_fn, data, chunk)
    rows = [
        [still if r == 0 else _mean_loss(model, named, weights + r * d, loss_fn, data, chunk) for r in steps]
        for d in unit.to(weights)
    ]
    return Rise(torch.tensor(steps, dtype=torch.float64), torch.tensor(rows, dtype=torch.float64))


def random_directions(model: nn.Module, k: int, *, generator: torch.Generator) -> Tensor:
    """Draw k directions uniformly on the sphere of the trainable weights.

    Args:
        model: Network.
        k: Number of directions.
        generator: On the CPU.

    Returns:
        (k, P), of length 1.

    Example:
        >>> tuple(random_directions(nn.Linear(3, 2), 4, generator=torch.Generator()).shape)
        (4, 8)
    """
    size = sum(p.numel() for p in model.parameters() if p.requires_grad)
    drawn = torch.randn(k, size, generator=generator)
    return torch.nn.functional.normalize(drawn, dim=1)


@torch.no_grad()
def _mean_loss(
    model: nn.Module, named: dict[str, Tensor], flat: Tensor, loss_fn: Loss, data: Batches, chunk: int
) -> float:
    parts = torch.split(flat, [p.numel() for p in named.values()])
    moved = {name: part.view_as(p) for (name, p), part in zip(named.items(), parts, strict=True)}
    total, n = 0.0, 0
    for x, y in batches(data, chunk=chunk):
        total += float(losses(loss_fn, functional_call(model, moved, (x,)), y).double().sum())
        n += len(y)
    return total / n if math.isfinite(total) else math.inf
