"""The task, the wrong labels and the training that the experiments share."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from overparam.data import load
from overparam.methods.training.fixed_steps import Recipe, batch_order, logits_of, train_fixed_steps
from overparam.models.cnn import cnn
from overparam.models.mlp import mlp
from overparam.models.resnet import resnet18
from overparam.models.streams import draw

WEIGHTS, ORDER, LABELS, SPLIT = range(1, 5)  # roles that never share random numbers
UNDECIDED = 0.1


@dataclass(frozen=True)
class Task:
    """Images as networks see them.

    Attributes:
        x: (n, c, h, w), standardised.
        y: (n,) right labels.
        test_x: Test images.
        test_y: Their labels.
        classes: Number of classes.
    """

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: int


@functools.lru_cache(maxsize=2)
def read_task(data: str, size: int) -> Task:
    """Read the first training images and up to 2,000 test images.

    Args:
        data: Name of the data set.
        size: Number of training images, all if there are fewer.

    Returns:
        The task; do not change it.
    """
    train, test = load(data, split="train"), load(data, split="test")
    x, test_x = (
        torch.from_numpy(np.array(part.images[:n], dtype=np.float32)) for part, n in ((train, size), (test, 2000))
    )
    deviation, mean = torch.std_mean(x, (0, 2, 3), keepdim=True)
    y, test_y = (torch.from_numpy(part.labels[:n].copy()) for part, n in ((train, size), (test, 2000)))
    return Task((x - mean) / deviation, y, (test_x - mean) / deviation, test_y, len(train.classes))


def redraw(y: Tensor, share: float, classes: int, seed: int) -> Tensor:
    """Draw the labels of a random part of the examples anew, uniformly among all classes.

    Args:
        y: (n,) right labels.
        share: Part of the examples, 0 to 1.
        classes: Number of classes.
        seed: Of the choice and of the labels.

    Returns:
        (n,) new tensor.
    """
    g = draw(LABELS, seed)
    chosen = torch.randperm(len(y), generator=g)[: round(share * len(y))]
    labels = y.clone()
    labels[chosen] = torch.randint(0, classes, (len(chosen),), generator=g)
    return labels


def build(model: str, task: Task, seed: int) -> nn.Module:
    """Make a network by name: mlp-WIDTH, cnn or resnet18.

    Its last layer is scaled down, so that it starts out undecided. Otherwise all examples share the error of the
    untrained softmax, and their gradients agree whatever the labels are.

    Args:
        model: Name.
        task: Data that it has to fit.
        seed: Of its weights.

    Returns:
        Network in training mode.
    """
    g, channels = draw(WEIGHTS, seed), task.x.shape[1]
    if model == "cnn":
        net: nn.Module = cnn(channels, task.classes, generator=g)
    elif model == "resnet18":
        net = resnet18(channels, task.classes, generator=g)
    else:
        net = mlp(task.x[0].numel(), [int(model.removeprefix("mlp-"))], task.classes, generator=g)
    last = [layer for layer in net.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.mul_(UNDECIDED)
    return net


def train(
    task: Task,
    labels: Tensor,
    model: str,
    seeds: Sequence[int],
    *,
    epochs: Sequence[int],
    batch: int,
    rate: float,
    rows: Tensor | None = None,
) -> dict[int, list[nn.Module]]:
    """Train one network a seed by plain stochastic gradient descent, and keep it after some epochs.

    Args:
        task: Data.
        labels: (m, n), one row a seed.
        model: Name of the network.
        seeds: m of them: weights and order.
        epochs: After which to keep the networks, increasing; 0 is before training.
        batch: Examples a step.
        rate: Learning rate.
        rows: Positions to train on; all if None.

    Returns:
        Epoch to networks in evaluation mode.
    """
    rows = torch.arange(len(task.x)) if rows is None else rows
    a_round = len(rows) // batch
    recipe = Recipe(epochs[-1] * a_round, batch, rate, momentum=0.0, weight_decay=0.0, schedule="constant")
    orders = torch.stack([
        batch_order(rows, steps=recipe.steps, batch_size=batch, generator=draw(ORDER, seed)) for seed in seeds
    ])
    nets = [build(model, task, seed) for seed in seeds]
    x = task.x.cuda() if model == "resnet18" and torch.cuda.is_available() else task.x
    kept = train_fixed_steps(
        nets, x, labels.to(x.device), orders=orders, recipe=recipe, at_steps=[e * a_round for e in epochs]
    )
    return {e: [net.cpu().eval() for net in kept[e * a_round]] for e in epochs}


def accuracy(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of right answers in per cent."""
    return 100 * float((logits_of(net, x).argmax(1) == y).double().mean())
