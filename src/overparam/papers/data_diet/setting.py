"""What all experiments of the paper share: the task, the networks and their training."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from overparam.data import load
from overparam.data.cifar10n import load_cifar10n
from overparam.data.noise import permute_labels
from overparam.errors import BadInput
from overparam.methods.training.crop_flip import crop_and_flip
from overparam.methods.training.fixed_steps import Recipe, batch_order, logits_of, train_fixed_steps
from overparam.models.cnn import cnn
from overparam.models.mlp import mlp
from overparam.models.resnet import resnet18
from overparam.models.streams import draw

SCORING, FINAL, ORDER, CROPS, CHILD = range(1, 6)  # roles that never share random numbers
WRONG = 0.1


@dataclass(frozen=True)
class Task:
    """Images as networks see them.

    Attributes:
        x: (n, c, h, w), standardised by channel.
        y: (n,) labels to train on.
        truth: (n,) right labels.
        test_x: Test images, standardised like x.
        test_y: Their labels.
        classes: Number of classes.
    """

    x: Tensor
    y: Tensor
    truth: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: int


def read_task(data: str, size: int, labels: str = "clean", seed: int = 0) -> Task:
    """Read the first training images and all test images.

    Args:
        data: Name of the data set.
        size: Number of training images, all if there are fewer.
        labels: `clean`, `permuted` (a tenth shuffled), or a human annotation of CIFAR-10.
        seed: Chooses the shuffled labels.

    Returns:
        The task.

    Raises:
        BadInput: Human annotations for images in another order.
    """
    x, truth, test_x, test_y = _images(data, size)
    if labels in ("clean", "permuted"):
        y = permute_labels(truth, WRONG, seed=seed) if labels == "permuted" else truth
    else:
        clean = load_cifar10n(kind="clean")[:size]
        if not np.array_equal(clean, truth):
            raise BadInput(f"{data} is not in the order of CIFAR-10N; use a copy in the original order")
        y = load_cifar10n(kind=labels)[:size]  # type: ignore[arg-type]
    return Task(x, torch.from_numpy(y), torch.from_numpy(truth), test_x, torch.from_numpy(test_y), 10)


@functools.lru_cache(maxsize=1)
def _images(data: str, size: int) -> tuple[Tensor, NDArray[np.int64], Tensor, NDArray[np.int64]]:
    """Read and standardise by channel; nobody writes into what this returns."""
    train, test = load(data, split="train"), load(data, split="test")
    x, test_x = (torch.from_numpy(np.array(i, dtype=np.float32)) for i in (train.images[:size], test.images))
    deviation, mean = torch.std_mean(x, (0, 2, 3), keepdim=True)
    labels = train.labels[:size].copy(), test.labels.copy()
    return (x - mean) / deviation, labels[0], (test_x - mean) / deviation, labels[1]


def build(model: str, task: Task, generator: torch.Generator) -> nn.Module:
    """Make a network by name: mlp-WIDTH, cnn or resnet18."""
    channels = task.x.shape[1]
    if model == "cnn":
        return cnn(channels, task.classes, generator=generator)
    if model == "resnet18":
        return resnet18(channels, task.classes, generator=generator)
    return mlp(task.x[0].numel(), [int(model.removeprefix("mlp-"))], task.classes, generator=generator)


def recipe_for(model: str, n: int, epochs: float, rate: float = 1.0) -> Recipe:
    """Return the training of a network: `epochs` counts passes over all n examples, whatever subset is trained on."""
    if model == "resnet18":
        return Recipe(round(epochs * (n // 128)), 128, 0.1 * rate, schedule="step")
    return Recipe(round(epochs * (n // 64)), 64, 0.05 * rate)


def train(
    task: Task,
    y: Tensor,
    model: str,
    recipe: Recipe,
    subsets: Sequence[NDArray[np.int64]],
    seeds: Sequence[int],
) -> list[nn.Module]:
    """Train one network a seed on its subset, with labels (n,) or one row a seed."""
    nets = [build(model, task, draw(FINAL, s)) for s in seeds]
    orders = orders_for(subsets, recipe, [draw(ORDER, FINAL, s) for s in seeds])
    x, augment = on_device(task.x, model), crops_for(model, FINAL, *seeds)
    return train_fixed_steps(nets, x, y.to(x.device), orders=orders, recipe=recipe, augment=augment)[recipe.steps]


def crops_for(model: str, *words: int) -> Callable[[Tensor], Tensor] | None:
    """Augmentation of a network's inputs: random crops and mirror images for the large one, none for the others."""
    if model != "resnet18":
        return None
    generator = draw(CROPS, *words)
    return lambda batch: crop_and_flip(batch, generator=generator)


def orders_for(
    subsets: Sequence[NDArray[np.int64]],
    recipe: Recipe,
    generators: Sequence[torch.Generator],
    steps: int | None = None,
) -> Tensor:
    """Draw the batches of each network."""
    count = recipe.steps if steps is None else steps
    return torch.stack([
        batch_order(torch.from_numpy(s), steps=count, batch_size=recipe.batch_size, generator=g)
        for s, g in zip(subsets, generators, strict=True)
    ])


def on_device(x: Tensor, model: str) -> Tensor:
    """Put inputs where the network runs: the large one on an accelerator if there is one."""
    return x.cuda() if model == "resnet18" and torch.cuda.is_available() else x


def accuracy(nets: Sequence[nn.Module], task: Task, model: str) -> list[float]:
    """Test accuracy of each network in per cent."""
    x = on_device(task.test_x, model)
    return [float((logits_of(net, x).argmax(1).cpu() == task.test_y).float().mean()) * 100 for net in nets]
