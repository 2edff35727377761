"""Two solutions of the same task, one by large and one by small batches, and the line between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from overparam.lab import Progress
from overparam.methods.measures.connectivity import barrier, linear_path
from overparam.methods.measures.hessian_operator import HessianOperator
from overparam.methods.training.fixed_steps import Recipe, batch_order, logits_of, train_fixed_steps
from overparam.models.cnn import cnn
from overparam.models.mlp import mlp
from overparam.models.streams import draw
from overparam.papers.hessian_spectrum.setting import INIT, LOSS, ORDER, OTHER, gradient_in_top, images

Row = dict[str, Any]  # numbers, None, and lists of numbers for curves


@dataclass(frozen=True)
class Run:
    """How the networks of one size are trained with large and with small batches.

    Attributes:
        large: Size of the large batches.
        large_steps: Steps with them.
        small: Size of the small batches.
        small_steps: Steps with them.
        rate: Learning rate of all.
    """

    large: int
    large_steps: int
    small: int
    small_steps: int
    rate: float

    def descend(
        self, models: Sequence[nn.Module], x: Tensor, y: Tensor, seeds: Sequence[int], small: bool
    ) -> list[nn.Module]:
        """Train by plain stochastic gradient descent, each network with its own order.

        Args:
            models: Networks of one shape; they are not changed.
            x: Inputs.
            y: Labels.
            seeds: One a network; the same seed gives the same batches.
            small: Whether the batches are the small ones.

        Returns:
            Trained networks in evaluation mode.
        """
        steps, size = (self.small_steps, self.small) if small else (self.large_steps, self.large)
        recipe = Recipe(steps, size, self.rate, momentum=0.0, weight_decay=0.0, schedule="constant")
        every = torch.arange(len(x))
        orders = [batch_order(every, steps=steps, batch_size=size, generator=draw(ORDER, s, small)) for s in seeds]
        trained = train_fixed_steps(models, x, y, orders=torch.stack(orders), recipe=recipe)[steps]
        return [model.eval() for model in trained]


def network(kind: str, x: Tensor, generator: torch.Generator) -> nn.Module:
    """Build a perceptron of two hidden layers, `mlp-64`, or a convolutional network by its first width, `cnn-16`."""
    name, width = kind.split("-")
    if name == "cnn":
        widths = [int(width) * 2**k for k in range(3)]
        return cnn(x.shape[1], 10, widths=widths, generator=generator)
    return mlp(x[0].numel(), [int(width)] * 2, 10, generator=generator)


def between(one: nn.Module, other: nn.Module, x: Tensor, y: Tensor) -> tuple[list[float], float, float]:
    """Return losses on the straight line between two networks, its barrier, and their distance."""
    a, b = ({k: v.detach().clone() for k, v in m.state_dict().items()} for m in (one, other))
    path = linear_path(one, a, b, LOSS, (x, y), n=21)
    distance = math.sqrt(sum(float((a[k] - b[k]).double().square().sum()) for k in a))
    return path.tolist(), barrier(path), distance


def walk(
    data: str, n: int, model: str, run: Run, seeds: Sequence[int], progress: Progress, sabotage: bool = False
) -> list[Row]:
    """Train with large batches, go on with small ones, and walk the line from there and from two controls.

    Args:
        data: Data set.
        n: Training images.
        model: Kind of network.
        run: Sizes of batches and numbers of steps.
        seeds: Seeds.
        progress: Listener.
        sabotage: Whether the small batches start from other weights.

    Returns:
        One row a seed.
    """
    (x, y), (test_x, test_y) = (
        (x.float(), y) for x, y in (images(data, n, 10), images(data, 10_000, 10, split="test"))
    )
    family = model.split("-")[0]
    if family == "cnn":
        mean, spread = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
        x, test_x = (x - mean) / spread, (test_x - mean) / spread
    starts, others = ([network(model, x, draw(role, s)) for s in seeds] for role in (INIT, OTHER))
    progress.step(0, 4, "large batches")
    ends = run.descend(starts, x, y, seeds, small=False)
    progress.step(1, 4, "small batches, going on")
    far = run.descend(others, x, y, seeds, small=True)
    arms = {"continued": far if sabotage else run.descend(ends, x, y, seeds, small=True), "other": far}
    progress.step(3, 4, "small batches from the same start")
    arms["same"] = run.descend(starts, x, y, seeds, small=True)
    rows: list[Row] = []
    for s in range(len(seeds)):
        row: Row = {}
        for name, models in arms.items():
            path, height, distance = between(ends[s], models[s], x, y)
            row |= {f"path_{name}": path, f"barrier_{name}": height, f"distance_{name}": distance}
        right = [
            100 * float((logits_of(m, test_x).argmax(1) == test_y).double().mean())
            for m in (ends[s], arms["continued"][s])
        ]
        if family == "mlp":  # on images this would cost as much as all the rest
            op = HessianOperator(ends[s], LOSS, (x, y))
            row["gradient_share"] = gradient_in_top(op, ends[s], x, y, 10)
        row |= {
            "barrier_share": row["barrier_continued"] / row["barrier_other"] if row["barrier_other"] else None,
            "distance_share": row["distance_continued"] / row["distance_other"],
            "accuracy_large": right[0],
            "accuracy_small": right[1],
            "accuracy_gain": right[1] - right[0],
            "loss_large": row["path_continued"][0],
            "loss_small": row["path_continued"][-1],
        }
        rows.append(row)
    return rows
