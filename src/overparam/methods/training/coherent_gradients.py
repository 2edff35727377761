"""Steps that follow the gradient only where many examples agree: winsorised means and medians of micro-batches.

Source: Chatterjee, arXiv 2002.10657 (winsorised gradients); Chatterjee and Zielinski, arXiv 2003.07422 (M3, RM3) and
arXiv 2203.10036. Departures:

1. RM3 starts with two plain steps, until three gradients are at hand; the papers read here do not say.
2. M3 takes any odd number of micro-batches; a batch that does not divide drops its last few examples, at random.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from overparam.errors import BadInput
from overparam.methods.measures.coherence import per_example_grads
from overparam.methods.measures.objective import Loss, check_model, losses

Rule = Literal["mean", "winsor", "m3", "rm3"]


class RollingMedian:
    """Coordinate-wise median of the last gradients, each taken at the weights of its own time.

    Belongs to one model and one optimiser: make a new one when either changes.

    Source: arXiv 2003.07422, RM3.

    Args:
        window: Number of gradients, odd; 3 in the paper.

    Example:
        >>> rolling = RollingMedian()
        >>> [rolling.update(torch.tensor([g])).item() for g in (1.0, 5.0, 2.0, 9.0)]
        [1.0, 5.0, 2.0, 5.0]
    """

    def __init__(self, window: int = 3) -> None:
        if window < 1 or window % 2 == 0:
            raise BadInput(f"window={window} has no middle; pass an odd number, such as 3")
        self._kept: deque[Tensor] = deque(maxlen=window)

    def update(self, grads: Tensor) -> Tensor:
        """Take in a gradient and return the step to follow.

        Args:
            grads: (P,).

        Returns:
            (P,): the median, or the gradient itself until the window is full.

        Raises:
            BadInput: Another shape than before: the model has changed.
        """
        if self._kept and self._kept[-1].shape != grads.shape:
            raise BadInput(
                f"grads has shape {tuple(grads.shape)} after {tuple(self._kept[-1].shape)}; make a new RollingMedian"
            )
        self._kept.append(grads.detach().clone())
        if len(self._kept) < (self._kept.maxlen or 1):
            return grads.detach().clone()
        return torch.stack(tuple(self._kept)).median(0).values

    def state_dict(self) -> dict[str, Any]:
        """Return the gradients at hand, for a checkpoint."""
        return {"window": self._kept.maxlen, "kept": list(self._kept)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the gradients of a checkpoint.

        Args:
            state: From `state_dict`.
        """
        self._kept = deque(state["kept"], maxlen=state["window"])


def winsorized_mean(grads: Tensor, c: int) -> Tensor:
    """Average gradients after moving the c smallest and c largest of each coordinate to the next value inside.

    Costs O(P B log B). With c = 0 it is the mean.

    Source: arXiv 2002.10657, the section on suppressing weak directions.

    Args:
        grads: (B, P).
        c: Values moved at each end, 0 <= c < B/2.

    Returns:
        (P,).

    Raises:
        BadInput: c out of range.

    Example:
        >>> winsorized_mean(torch.tensor([[0.0], [1.0], [2.0], [99.0]]), 1).item()  # 1, 1, 2, 2
        1.5
    """
    size = len(grads)
    if c < 0 or 2 * c >= size:
        raise BadInput(f"c={c} with {size} gradients leaves none inside; pass 0 <= c < {size / 2:g}")
    if c == 0:
        return grads.mean(0)
    ordered = _sorted(grads)
    inside = ordered[c : size - c].sum(0)
    return (inside + c * (ordered[c] + ordered[size - 1 - c])) / size


def _sorted(grads: Tensor) -> Tensor:
    """Sort each coordinate. NumPy sorts many short columns several times faster than torch does on a CPU."""
    if grads.device.type == "cpu" and grads.dtype in (torch.float32, torch.float64):
        return torch.from_numpy(np.sort(grads.detach().numpy(), axis=0))
    return grads.sort(0).values


def median_of_groups(grads: Tensor) -> Tensor:
    """Return the coordinate-wise median of the gradients of k micro-batches.

    Source: arXiv 2003.07422, M3 for k = 3.

    Args:
        grads: (k, P), k odd.

    Returns:
        (P,).

    Raises:
        BadInput: k is even.

    Example:
        >>> median_of_groups(torch.tensor([[1.0, 5.0], [2.0, 4.0], [9.0, 0.0]])).tolist()
        [2.0, 4.0]
    """
    if len(grads) % 2 == 0:
        raise BadInput(f"grads holds {len(grads)} groups, which have no middle; pass an odd number")
    return grads.contiguous().median(0).values  # torch 2.13 reads wrong memory of an expanded tensor


def robust_step(
    model: nn.Module,
    loss_fn: Loss,
    x: Tensor,
    y: Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    rule: Rule = "winsor",
    c: int = 1,
    k: int = 3,
    generator: torch.Generator | None = None,
    state: RollingMedian | None = None,
) -> float:
    """Fill `.grad` by a robust average of the batch, and let the optimiser make its step.

    Cost of one plain step for `mean`, `m3` and `rm3`; `winsor` forms all gradients of the batch, B x weights.
    Momentum, weight decay and adaptive rates of the optimiser act after the average, as they should.

    Source: see the module.

    Args:
        model: Network without layers that use the batch or chance.
        loss_fn: See `objective.losses`.
        x: (B, ...) inputs.
        y: (B, ...) labels.
        optimizer: Over weights of the model.
        rule: `winsor` with c, `m3` with k micro-batches, `rm3` with the last three batches, or the plain `mean`.
        c: Values that `winsor` moves at each end of each coordinate.
        k: Micro-batches of `m3`, odd.
        generator: Splits the batch for `m3`; needed there, since data in order are no random parts.
        state: The gradients that `rm3` remembers.

    Returns:
        Mean loss of the batch before the step.

    Raises:
        BadInput: An unknown rule, c or k out of range, or a missing generator or state.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> _ = nn.init.zeros_(model.weight), nn.init.zeros_(model.bias)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), torch.ones(3, 1)
        >>> first = robust_step(model, nn.MSELoss(), x, y, optimizer, c=1)
        >>> all(robust_step(model, nn.MSELoss(), x, y, optimizer, c=1) < first for _ in range(20))
        True
    """
    check_model(model)
    weights = [p for p in model.parameters() if p.requires_grad]
    if rule == "winsor":
        with torch.no_grad():
            value = float(losses(loss_fn, model(x), y).mean())
        found = winsorized_mean(per_example_grads(model, loss_fn, x, y), c)
    elif rule == "m3":
        found, value = _median_of_parts(model, loss_fn, x, y, weights, k, generator)
    elif rule in ("mean", "rm3"):
        found, value = _mean(model, loss_fn, x, y, weights)
        if rule == "rm3":
            if state is None:
                raise BadInput("rule='rm3' remembers gradients; pass state=RollingMedian(), the same one at each step")
            found = state.update(found)
    else:
        raise BadInput(f"rule={rule!r} is unknown; give 'mean', 'winsor', 'm3' or 'rm3'")
    optimizer.zero_grad()
    for p, g in zip(weights, torch.split(found, [p.numel() for p in weights]), strict=True):
        p.grad = g.view_as(p).clone()
    optimizer.step()
    return value


def _mean(model: nn.Module, loss_fn: Loss, x: Tensor, y: Tensor, weights: list[nn.Parameter]) -> tuple[Tensor, float]:
    loss = losses(loss_fn, model(x), y).mean()
    grads = torch.autograd.grad(loss, weights, materialize_grads=True)
    return torch.cat([g.flatten() for g in grads]), float(loss.detach())


def _median_of_parts(
    model: nn.Module,
    loss_fn: Loss,
    x: Tensor,
    y: Tensor,
    weights: list[nn.Parameter],
    k: int,
    generator: torch.Generator | None,
) -> tuple[Tensor, float]:
    if k < 1 or k % 2 == 0 or k > len(x):
        raise BadInput(f"k={k} micro-batches of {len(x)} examples; pass an odd k<={len(x)}")
    if generator is None:
        raise BadInput("rule='m3' splits the batch at random; pass generator=torch.Generator()")
    rows = torch.randperm(len(x), generator=generator)[: len(x) // k * k].to(x.device).chunk(k)
    parts = [_mean(model, loss_fn, x[r], y[r], weights) for r in rows]
    return median_of_groups(torch.stack([g for g, _ in parts])), sum(v for _, v in parts) / k


def learning_time(correct: Tensor) -> Tensor:
    """Return the first epoch from which on each example stays right; the number of epochs where it never does.

    Source: arXiv 2203.10036, the section on easy and hard examples.

    Args:
        correct: (epochs, n) whether each example was right after each epoch.

    Returns:
        (n,) whole numbers, 0 to epochs.

    Raises:
        BadInput: Another number of dimensions.

    Example:
        >>> learning_time(torch.tensor([[1, 0, 1], [1, 1, 0], [1, 1, 0]]).bool()).tolist()
        [0, 1, 3]
    """
    if correct.dim() != 2:
        raise BadInput(f"correct has shape {tuple(correct.shape)}; pass (epochs, examples)")
    lasting = correct.bool().flip(0).long().cumprod(0).sum(0)
    return len(correct) - lasting
