"""A network trained on photographs with the labels that people gave them, right or wrong.

`overparam examine examples/cifar10n.py:worst` examines it; `random1` and `aggre` have fewer wrong labels, and
`memorised` knows them by heart. The first call trains for minutes, later ones read the states from the cache. Needs
CIFAR-10 and CIFAR-10N at hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from overparam.data import load
from overparam.lab import artefact
from overparam.methods.training.fixed_steps import Recipe, batch_order, train_fixed_steps
from overparam.models.cnn import cnn
from overparam.models.streams import draw

SIZE, KEPT = 10_000, (0.15, 0.35, 0.6)  # images; parts of the training after which a state is kept
WIDTHS = (32, 64, 128)


def photographs(kind: str) -> tuple[Tensor, Tensor, Tensor]:
    """The first 10,000 images, the labels that people gave, and the right ones."""
    images = load("cifar10", split="train")
    x = torch.from_numpy(np.array(images.images[:SIZE], dtype=np.float32)) / 255
    deviation, mean = torch.std_mean(x, (0, 2, 3), keepdim=True)
    given = load("cifar10n", kind=kind)[:SIZE]
    return (x - mean) / deviation, torch.from_numpy(given.copy()), torch.from_numpy(images.labels[:SIZE].copy())


@artefact(reads=("cifar10", "cifar10n"))
def states(kind: str, epochs: int) -> dict[str, np.ndarray]:
    """Train, and keep the weights before, along and after training."""
    x, y, _ = photographs(kind)
    a_round = SIZE // 128
    recipe = Recipe(epochs * a_round, 128, 0.05, weight_decay=5e-4 if epochs < 20 else 0.0)
    order = batch_order(torch.arange(SIZE), steps=recipe.steps, batch_size=128, generator=draw(1))
    path = train_fixed_steps([cnn(3, 10, widths=WIDTHS, generator=draw(0))], x, y, orders=order[None], recipe=recipe,
                             at_steps=[0, *(round(k * recipe.steps) for k in KEPT)])  # fmt: skip
    return {
        f"{step}/{name}": value.numpy() for step, nets in path.items() for name, value in nets[0].state_dict().items()
    }


def target(kind: str, epochs: int = 15) -> dict[str, Any]:
    """What `overparam examine` asks for."""
    x, y, _ = photographs(kind)
    found = states(kind, epochs)
    steps = sorted({int(key.split("/")[0]) for key in found})
    path = [
        {key.split("/")[1]: torch.from_numpy(v) for key, v in found.items() if key.startswith(f"{s}/")} for s in steps
    ]
    model = cnn(3, 10, widths=WIDTHS, generator=draw(0))
    model.load_state_dict(path[-1])
    return {
        "model": model,
        "loss": functional.cross_entropy,
        "data": (x, y),
        "checkpoints": path[1:-1],
        "initial": path[0],
        "classes": load("cifar10").classes,
        "name": f"CIFAR-10 with the labels “{kind}” of CIFAR-10N, {epochs} epochs",
    }


def worst() -> dict[str, Any]:
    """Two in five labels are wrong."""
    return target("worst")


def random1() -> dict[str, Any]:
    """One in six labels is wrong."""
    return target("random1")


def memorised() -> dict[str, Any]:
    """One in six labels is wrong, and the network has been trained until it knows nearly all of them by heart."""
    return target("random1", epochs=60)


def aggre() -> dict[str, Any]:
    """One in eleven labels is wrong."""
    return target("aggre")
