"""How large a relative change of the weights a classifier stands in the worst case: alpha' of sharpness measures.

Source: arXiv 1912.02178, appendix C (magnitude-aware sharpness). Departure: the worst case is sought by signed ascent
from the weights themselves, not from random starts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from overparam.methods.measures.margins import classified, undisturbed
from overparam.methods.measures.objective import Batches, check_model
from overparam.methods.measures.pac_bayes import (
    Scale,
    bisect_scale,
    check_search,
    count_right,
    kept_batches,
    late,
    perturbed,
)


def worst_case_scale(
    model: nn.Module,
    data: Batches,
    *,
    target_drop: float = 0.1,
    steps: int = 10,
    depth: int = 12,
    tolerance: float = 0.01,
    high: float = 1.0,
    deadline: float | None = None,
) -> Scale:
    """Find the relative change of the weights that costs a given part of the accuracy in the worst case.

    Bisection for the alpha' such that some change |u_j| <= alpha' |w_j| lowers accuracy by `target_drop`. The worst
    case is sought by `steps` ascents of the cross-entropy along the sign of its gradient, each of 2 alpha' |w_j| /
    steps and clipped to the box, so the alpha' found is an upper bound on the true one. Multiplying a weight matrix
    by a number and the next by its inverse does not change alpha'. Cost: depth x steps forward and backward passes.

    Source: arXiv 1912.02178, appendix C.4 (magnitude-aware sharpness).

    Args:
        model: Classifier in evaluation mode where that matters; left as it is.
        data: (x, y) or batches of them; kept in memory.
        target_drop: Fall in accuracy, in (0, 1).
        steps: Ascents.
        depth: Halvings at most.
        tolerance: How near to `target_drop` is near enough.
        high: Upper end of the first bracket.
        deadline: Moment of `time.monotonic()` at which the search stops.

    Returns:
        The scale and how it was found.

    Raises:
        BadInput: As for `pacbayes_sigma`.

    Example:
        >>> model = nn.Linear(1, 2, bias=False)
        >>> with torch.no_grad():
        ...     _ = model.weight.copy_(torch.tensor([[1.0], [3.0]]))
        >>> found = worst_case_scale(model, (torch.ones(10, 1), torch.ones(10, dtype=torch.long)))
        >>> abs(float(found) - 0.5) < 0.01  # 3 (1 - alpha) = 1 (1 + alpha)
        True
    """
    check_search(target_drop, steps, depth, tolerance, high)
    check_model(model)
    with undisturbed(model) as copy:
        weights = perturbed(copy, everything=False)
        kept = kept_batches(copy, data)
        ascent = _Ascent(copy, kept, weights, steps, target_drop, deadline)
        return bisect_scale(ascent.drop, target_drop, depth, tolerance, high, deadline)


class _Ascent:
    """Accuracy after the worst change that projected ascent finds in a box around the weights."""

    def __init__(
        self,
        model: nn.Module,
        kept: list[tuple[Tensor, Tensor]],
        weights: dict[str, Tensor],
        steps: int,
        target: float,
        deadline: float | None,
    ) -> None:
        self.model, self.kept, self.weights = model, kept, weights
        self.steps, self.deadline = steps, deadline
        self.size = sum(y.numel() for _, y in kept)
        self.gradient, self.accuracy = self._pass(weights)

    def _pass(self, weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], float]:
        """Gradient of the summed cross-entropy, and accuracy."""
        own = {name: w.detach().requires_grad_() for name, w in weights.items()}
        total: list[Tensor] = []
        right = 0
        for x, y in self.kept:
            with torch.enable_grad():
                logits, labels = classified(functional_call(self.model, own, (x,)), y)
                loss = functional.cross_entropy(logits, labels, reduction="sum")
            slopes = torch.autograd.grad(loss, list(own.values()), materialize_grads=True)
            total = [a + b for a, b in zip(total, slopes, strict=True)] if total else list(slopes)
            right += count_right(logits.detach(), labels)
        return dict(zip(own, total, strict=True)), right / self.size

    def drop(self, alpha: float, enough: float, too_much: float) -> tuple[float, bool] | None:
        """Largest fall in accuracy along the ascent; None at the deadline."""
        del enough
        box = {name: alpha * w.abs() for name, w in self.weights.items()}
        change = {name: torch.zeros_like(w) for name, w in self.weights.items()}
        gradient, worst = self.gradient, 0.0
        for _ in range(self.steps):
            if late(self.deadline):
                return None
            for name, edge in box.items():
                step = 2 * edge / self.steps * torch.nan_to_num(gradient[name]).sign()
                change[name] = torch.minimum(torch.maximum(change[name] + step, -edge), edge)
            gradient, accuracy = self._pass({name: w + change[name] for name, w in self.weights.items()})
            worst = max(worst, self.accuracy - accuracy)
            if worst > too_much:
                return worst, False
        return worst, True
