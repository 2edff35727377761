"""Images with some wrong labels, a bank of networks on random subsets, and networks without some of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from overparam.data import load
from overparam.lab import artefact
from overparam.methods.measures.memorization import Mask, estimate_memorization
from overparam.methods.measures.mlp_bank import MLPBank
from overparam.methods.training.fixed_steps import Recipe, batch_order, logits_of, train_fixed_steps
from overparam.models.resnet import resnet18
from overparam.models.streams import draw

WRONG, FRACTION = 0.05, 0.7
BANK = MLPBank(widths=(64,), steps=150, learning_rate=0.01)
ORDER, WEIGHTS, REMOVED, SUBSETS = 11, 12, 13, 14  # roles that share no random numbers


@dataclass(frozen=True)
class Task:
    """Images as networks see them.

    Attributes:
        x: (n, c, h, w) float32 between 0 and 1.
        y: (n,) labels to train on.
        wrong: (n,) where they are not the true ones.
        test_x: (k, c, h, w) test images.
        test_y: (k,) their labels.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    wrong: Mask
    test_x: NDArray[np.float32]
    test_y: NDArray[np.int64]


def read_task(data: str, size: int, seed: int) -> Task:
    """Draw training images, test on the others, and replace some labels by one of the other nine.

    Args:
        data: Name of the data set.
        size: Number of training images.
        seed: Draws the images and the wrong labels.

    Returns:
        The task. Digits are split anew for each seed; larger sets keep their test images.
    """
    train, test = load(data, split="train"), load(data, split="test")
    rng = np.random.default_rng([seed, 0])
    if data == "digits":
        images, labels = np.concatenate([train.images, test.images]), np.concatenate([train.labels, test.labels])
        order = rng.permutation(len(labels))
        parts = (images[order[:size]], labels[order[:size]], images[order[size:]], labels[order[size:]])
    else:
        order = rng.permutation(len(train.labels))[:size]
        parts = (train.images[order], train.labels[order], test.images, test.labels)
    x, truth, test_x, test_y = parts
    wrong = np.zeros(len(truth), dtype=bool)
    wrong[rng.permutation(len(truth))[: round(WRONG * len(truth))]] = True
    y = np.where(wrong, (truth + rng.integers(1, 10, len(truth))) % 10, truth)
    return Task(_scaled(x), y, wrong, _scaled(test_x), np.asarray(test_y))


def _scaled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(images, dtype=np.float32) / np.float32(255)


@artefact(reads=("data",))
def bank_of(data: str, size: int, model: str, members: int, seed: int) -> dict[str, Mask]:
    """Train the networks of the estimator.

    Args:
        data: Name of the data set.
        size: Number of training images.
        model: `mlp` or `resnet18`.
        members: Number of networks.
        seed: Of data, subsets and weights.

    Returns:
        `masks` and `correct`, both (members, size).
    """
    task = read_task(data, size, seed)
    learner = BANK if model == "mlp" else _resnet
    found = estimate_memorization(
        learner, task.x, task.y, n_subsets=members, fraction=FRACTION, seed=_word(SUBSETS, seed)
    )
    return {"masks": found.masks, "correct": found.correct}


def accuracies(task: Task, model: str, keep: Mask, seed: int) -> list[float]:
    """Test accuracy in per cent of networks of fresh seeds, each trained on the images that its mask keeps.

    Args:
        task: Images.
        model: `mlp` or `resnet18`.
        keep: (m, n) which network sees which image.
        seed: Of the weights; none of the bank's.

    Returns:
        m accuracies.
    """
    seeds = [_word(WEIGHTS, seed, k) for k in range(len(keep))]
    if model == "mlp":
        labels = BANK.train(task.x, task.y, keep, seeds).predictions(task.test_x)
    else:
        labels = np.stack([
            _classes(_resnet(task.x[mask], task.y[mask], s), task.test_x) for mask, s in zip(keep, seeds, strict=True)
        ])
    return [100 * float(a) for a in (labels == task.test_y).mean(1)]


def without(scores: NDArray[np.float64], clean: Mask, count: int, arm: str, networks: int, seed: int) -> Mask:
    """Choose which images each network sees: all but some clean ones.

    Args:
        scores: (n,) memorisation.
        clean: (n,) images whose label is right; only these are removed.
        count: How many to remove.
        arm: `memorised` (the highest scores, the same for all networks) or `random` (a new draw for each).
        networks: Number m of networks.
        seed: Of the random draws.

    Returns:
        (m, n) masks.
    """
    keep = np.ones((networks, len(scores)), dtype=bool)
    candidates = np.flatnonzero(clean)
    if arm == "memorised":
        ranked = candidates[np.argsort(-scores[candidates], kind="stable")]
        keep[:, ranked[:count]] = False
    else:
        for k, row in enumerate(keep):
            row[np.random.default_rng([REMOVED, seed, k]).permutation(candidates)[:count]] = False
    return keep


def _word(*words: int) -> int:
    return int(np.random.SeedSequence(words).generate_state(1, np.uint32)[0])


def _resnet(x: Any, y: Any, seed: int) -> nn.Module:
    """The learner of the paper's scale: a residual network, 160 passes of SGD."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    inputs, labels = (torch.as_tensor(v).to(device) for v in (x, y))
    recipe = Recipe(steps=160 * (len(labels) // 512), batch_size=512, learning_rate=0.4)
    orders = batch_order(torch.arange(len(labels)), steps=recipe.steps, batch_size=512, generator=draw(ORDER, seed))
    net = resnet18(inputs.shape[1], 10, generator=draw(WEIGHTS, seed))
    (trained,) = train_fixed_steps([net], inputs, labels, orders=orders[None], recipe=recipe)[recipe.steps]
    return trained


def _classes(net: nn.Module, points: NDArray[np.float32]) -> NDArray[np.int64]:
    device = next(net.parameters()).device
    return np.asarray(logits_of(net, torch.as_tensor(points).to(device)).argmax(1).cpu().numpy())


def halves(correct: Mask, masks: Mask) -> Sequence[tuple[Mask, Mask]]:
    """Split the networks in two halves that share none."""
    half = len(masks) // 2
    return ((correct[:half], masks[:half]), (correct[half : 2 * half], masks[half : 2 * half]))
