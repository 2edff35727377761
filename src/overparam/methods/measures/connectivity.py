"""Linear mode connectivity: the error on the straight line between two trained networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from overparam.errors import BadInput
from overparam.methods.measures.grand import check_scoring


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
    own = model.state_dict()
    for name, state in (("start", start), ("end", end)):
        odd = sorted(set(own) ^ set(state)) or [k for k in own if own[k].shape != state[k].shape]
        if odd:
            raise BadInput(f"{name} does not fit the model at {odd[0]!r}; pass the state dict of the same architecture")
    at = torch.linspace(0, 1, points, dtype=torch.float64)
    rows = []
    for t in at.tolist():
        mixed = {k: torch.lerp(v, end[k], t) if v.is_floating_point() else v for k, v in start.items()}
        parts = zip(torch.split(x, chunk), torch.split(y, chunk), strict=True)
        rows.append(torch.cat([functional_call(model, mixed, (xs,)).argmax(-1) != ys for xs, ys in parts]))
    return Path(at, torch.stack(rows).cpu())
