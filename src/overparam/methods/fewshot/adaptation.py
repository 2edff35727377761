"""What every start of first-order MAML shares: the inner loop's settings, the slope of its loss, clipping."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn.functional import one_hot

from overparam.errors import BadInput
from overparam.methods.fewshot.episodes import Tasks


@dataclass(frozen=True)
class Inner:
    """Gradient descent of a task on the mean cross-entropy of its support.

    Attributes:
        lr: Step size.
        steps: Number of steps.

    Raises:
        BadInput: Not positive.
    """

    lr: float
    steps: int

    def __post_init__(self) -> None:
        if not (self.lr > 0 and self.steps >= 1):
            raise BadInput(f"inner lr={self.lr}, steps={self.steps}; give a positive rate and at least one step")


class Start(Protocol):
    """What the loop needs from a model: a step of the outer descent, and outputs after adapting."""

    def outer_step(self, tasks: Tasks, inner: Inner, lr: float, clip: float) -> float:
        """Move the start against the summed query gradient.

        Args:
            tasks: A batch.
            inner: How each task adapts.
            lr: Outer learning rate.
            clip: Largest global norm of the summed gradient.

        Returns:
            Mean query loss of the adapted models.
        """
        ...

    def adapted_logits(self, tasks: Tasks, inner: Inner) -> Tensor:
        """Adapt to each task and look at its query.

        Args:
            tasks: A batch.
            inner: How each task adapts.

        Returns:
            (t, q, ways).
        """
        ...


def clipping(squared_norm: float, clip: float) -> float:
    """Factor that brings a gradient down to a norm.

    Args:
        squared_norm: Of the gradient.
        clip: Largest norm.

    Returns:
        1 or less.

    Example:
        >>> clipping(16.0, 0.5), clipping(0.01, 0.5)
        (0.125, 1.0)
    """
    norm = math.sqrt(squared_norm)
    return min(1.0, clip / norm) if norm else 1.0


def residuals(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of the mean cross-entropy by the outputs, task by task.

    Args:
        logits: (t, m, k).
        labels: (t, m).

    Returns:
        (t, m, k), softmax less one-hot over m, and the mean loss of each task, (t,).

    Example:
        >>> import torch
        >>> residuals(torch.zeros(1, 1, 2), torch.tensor([[0]]))[0].tolist()
        [[[-0.5, 0.5]]]
    """
    logs = logits.log_softmax(-1)
    losses = -logs.gather(-1, labels[..., None])[..., 0].mean(-1)
    return (logs.exp() - one_hot(labels, logits.shape[-1])) / logits.shape[1], losses
