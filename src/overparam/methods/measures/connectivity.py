"""Linear mode connectivity: error and loss on the straight line between two trained networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from overparam.errors import BadInput
from overparam.methods.measures.grand import check_scoring
from overparam.methods.measures.objective import Batches, Loss, batches, losses


@dataclass(frozen=True)
class Path:
    """Error along a line between two networks.

    Attributes:
        at: (p,) positions, 0 to 1.
        wrong: (p, n) whether each example is classified wrongly at each position.
    """

    at: Tensor
    wrong: Tensor

    def error(self, indices: Tensor | None = None) -> Tensor:
        """Return the share of errors along the line.

        Args:
            indices: Examples to count; all if None.

        Returns:
            (p,), 0 to 1.
        """
        wrong = self.wrong if indices is None else self.wrong[:, indices]
        return wrong.double().mean(1)

    def barrier(self, indices: Tensor | None = None) -> float:
        """Return how far the error rises above the line between its ends, at most.

        Args:
            indices: Examples to count; all if None.

        Returns:
            0 to 1; 0 where the networks are linearly connected.
        """
        error = self.error(indices)
        straight = (1 - self.at) * error[0] + self.at * error[-1]
        return max(0.0, float((error - straight).max()))


@torch.no_grad()
def error_path(
    model: nn.Module,
    start: Mapping[str, Tensor],
    end: Mapping[str, Tensor],
    x: Tensor,
    y: Tensor,
    *,
    points: int = 11,
    chunk: int = 512,
) -> Path:
    """Classify all examples with the networks on the straight line between two sets of weights.

    Buffers that hold real numbers, such as running statistics, are interpolated like weights. Costs `points` passes.

    Source: Frankle et al., arXiv 1912.05671, section 2 (error barrier); by subsets of examples arXiv 2107.07075,
    section 5. Departure: the barrier is measured above the line between both ends, not above their mean, which is
    the same where the ends err alike.

    Args:
        model: Network that the weights fit, in evaluation mode; it is not changed.
        start: State dict of one end.
        end: State dict of the other.
        x: (n, ...) inputs.
        y: (n,) labels.
        points: Positions on the line, ends included.
        chunk: Inputs at a time.

    Returns:
        Path; its `barrier` takes subsets, so that one call serves many.

    Raises:
        BadInput: Fewer than two points, weights that do not match, or a layer in training mode.

    Example:
        >>> model, other = nn.Linear(2, 2), nn.Linear(2, 2)
        >>> x, y = torch.randn(20, 2), torch.zeros(20).long()
        >>> error_path(model, model.state_dict(), model.state_dict(), x, y).barrier()
        0.0
    """
    if points < 2:
        raise BadInput(f"points={points} is too few for a line; pass points>=2")
    check_scoring(model)
    _check_ends(model, {"start": start, "end": end})
    at = torch.linspace(0, 1, points, dtype=torch.float64)
    rows = []
    for t in at.tolist():
        mixed = _mixed(start, end, t)
        parts = zip(torch.split(x, chunk), torch.split(y, chunk), strict=True)
        rows.append(torch.cat([functional_call(model, mixed, (xs,)).argmax(-1) != ys for xs, ys in parts]))
    return Path(at, torch.stack(rows).cpu())


@torch.no_grad()
def linear_path(
    model: nn.Module,
    w_a: Mapping[str, Tensor],
    w_b: Mapping[str, Tensor],
    loss_fn: Loss,
    data: Batches,
    n: int = 21,
) -> Tensor:
    """Return the mean loss of the networks on the straight line between two sets of weights.

    Goes through the data once, with all n networks on each batch. The ends must be copies: `state_dict()` gives
    references, and weights set by `vector_to_parameters` are views of the vector, so that further training moves a
    saved end along, and the path becomes a point.

    Source: arXiv 1706.04454, section on small and large batches (straight line between both solutions).

    Args:
        model: Network that the weights fit, in evaluation mode; it is not changed.
        w_a: State dict of one end, as copies.
        w_b: State dict of the other.
        loss_fn: Any loss that `objective.losses` takes.
        data: Tensors (x, y), or batches of them; each example weighs the same.
        n: Positions t = 0 ... 1 of (1 - t) a + t b, ends included.

    Returns:
        (n,) in double precision, for `barrier`.

    Raises:
        BadInput: n below 2, weights that do not match or are the same memory, a layer in training mode, or no data.

    Example:
        >>> model, other = nn.Linear(2, 1).double(), nn.Linear(2, 1).double()
        >>> x, y = torch.randn(20, 2).double(), torch.zeros(20, 1).double()
        >>> path = linear_path(model, model.state_dict(), other.state_dict(), nn.MSELoss(), (x, y), n=5)
        >>> barrier(path)  # a convex loss has none
        0.0
    """
    if n < 2:
        raise BadInput(f"n={n} is too few for a line; pass n>=2")
    check_scoring(model)
    _check_ends(model, {"w_a": w_a, "w_b": w_b})
    if w_a is not w_b and all(w_a[k].data_ptr() == w_b[k].data_ptr() for k in w_a):
        raise BadInput("w_a and w_b are the same memory; clone the tensors of one end before training on")
    device = next(iter(w_a.values())).device
    networks = [_mixed(w_a, w_b, t) for t in torch.linspace(0, 1, n, dtype=torch.float64).tolist()]
    total, examples = [0.0] * n, 0
    for x, y in batches(data):
        x, y = x.to(device), y.to(device)
        for k, weights in enumerate(networks):
            total[k] += float(losses(loss_fn, functional_call(model, weights, (x,)), y).sum())
        examples += len(y)
    return torch.tensor(total, dtype=torch.float64) / examples


def barrier(losses: Tensor | Sequence[float]) -> float:
    """Return how far the loss rises above the straight line between its ends, at most.

    Source: Frankle et al., arXiv 1912.05671, section 2. Departure: above the chord, not above the mean of both ends,
    which is the same where the ends are alike.

    Args:
        losses: (n,) loss at evenly spaced positions of a path, n >= 2.

    Returns:
        0 or more; 0 where the loss nowhere exceeds the chord.

    Raises:
        BadInput: Fewer than two positions, or losses that are not finite.

    Example:
        >>> barrier([1.0, 2.5, 3.0])
        0.5
    """
    values = torch.as_tensor(losses, dtype=torch.float64)
    if values.dim() != 1 or len(values) < 2:
        raise BadInput(f"losses has shape {tuple(values.shape)}; pass (n,) with n>=2")
    if not bool(torch.isfinite(values).all()):
        raise BadInput("losses holds NaN or infinity on the path; a barrier needs finite losses")
    at = torch.linspace(0, 1, len(values), dtype=torch.float64)
    return max(0.0, float((values - (1 - at) * values[0] - at * values[-1]).max()))


def _check_ends(model: nn.Module, ends: Mapping[str, Mapping[str, Tensor]]) -> None:
    own = model.state_dict()
    for name, state in ends.items():
        odd = sorted(set(own) ^ set(state)) or [k for k in own if own[k].shape != state[k].shape]
        if odd:
            raise BadInput(f"{name} does not fit the model at {odd[0]!r}; pass the state dict of the same architecture")


def _mixed(start: Mapping[str, Tensor], end: Mapping[str, Tensor], t: float) -> dict[str, Tensor]:
    return {k: torch.lerp(v, end[k], t) if v.is_floating_point() else v for k, v in start.items()}
