"""Data and training of the paper's page: perceptrons side by side, each until its loss is small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from overparam import data as data_sets
from overparam.errors import Diverged
from overparam.models.mlp import mlp
from overparam.models.resnet import resnet18

LEVEL = 0.01  # cross-entropy at which the networks of arXiv 1912.02178 are stopped
MOMENTUM = 0.9


@dataclass(frozen=True)
class Split:
    """A training set and what is left of the data.

    Attributes:
        x: (n, ...) training inputs.
        y: (n,) labels.
        pool: (p, ...) other inputs.
        pool_y: (p,) their labels.
    """

    x: Tensor
    y: Tensor
    pool: Tensor
    pool_y: Tensor


def read(name: str, size: int, seed: int) -> Split:
    """Draw a training set from all images of a data set; the rest is the pool."""
    parts = [data_sets.load(name, split=split) for split in ("train", "test")]
    images = np.concatenate([p.images for p in parts])
    labels = np.concatenate([p.labels for p in parts])
    order = np.random.default_rng([seed, 17]).permutation(len(labels))
    x = torch.from_numpy(images[order].astype(np.float32)) / 255.0
    y = torch.from_numpy(labels[order].astype(np.int64))
    x = (x - x.mean()) / x.std()
    return Split(x[:size], y[:size], x[size:], y[size:])


def generator(*numbers: int) -> torch.Generator:
    """Seed a generator by several numbers."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1))


def build(model: str, x: Tensor, draw: torch.Generator) -> nn.Module:
    """Build `resnet18`, or a perceptron such as `mlp-256` or `mlp-32-32`."""
    if model == "resnet18":
        return resnet18(x.shape[1], 10, generator=draw)
    return mlp(x[0].numel(), [int(w) for w in model.split("-")[1:]], 10, generator=draw)


@dataclass
class Fitted:
    """Networks after training.

    Attributes:
        models: In the order given, in evaluation mode.
        losses: Of each, the training loss after each round through the data.
        steps: Updates in a round.
    """

    models: list[nn.Module]
    losses: list[list[float]]
    steps: int


def fit(
    models: Sequence[nn.Module],
    x: Tensor,
    y: Tensor,
    *,
    rates: Sequence[float],
    decays: Sequence[float],
    batch: int,
    draw: torch.Generator,
    rounds: int,
) -> Fitted:
    """Train perceptrons of one shape side by side until each has a cross-entropy of 0.01.

    Each has its own labels, learning rate, decay and batches. Those that are done leave the stack.

    Args:
        models: m networks.
        x: (n, ...) inputs, shared.
        y: (m, n) labels.
        rates: m learning rates.
        decays: m weight decays.
        batch: Examples an update.
        draw: Draws the batches.
        rounds: Rounds through the data at most.

    Returns:
        The networks and their losses.

    Raises:
        Diverged: A loss left the finite numbers.
    """
    flat, n = x.flatten(1), len(x)
    weights = _stack(models)
    speed = [torch.zeros_like(w) for w in weights]
    left = torch.arange(len(models))
    rate, decay = (torch.tensor(v).view(-1, 1, 1) for v in (rates, decays))
    done: dict[int, list[Tensor]] = {}
    losses: list[list[float]] = [[] for _ in models]
    for _ in range(rounds):
        order = torch.rand(len(models), n, generator=draw).argsort(1)[left]
        for rows in torch.split(order[:, : n // batch * batch], batch, 1):
            _update(weights, speed, flat[rows], y[left[:, None], rows], rate[left], decay[left])
        with torch.no_grad():
            loss = _loss(_forward(weights, flat.expand(len(left), -1, -1)), y[left])
        if not bool(torch.isfinite(loss).all()):
            raise Diverged(f"a training loss is {float(loss.max())}; lower the learning rate")
        for k, value in zip(left.tolist(), loss.tolist(), strict=True):
            losses[k].append(value)
        reached = loss <= LEVEL
        if bool(reached.any()):
            done |= {int(left[i]): [w[i].detach().clone() for w in weights] for i in reached.nonzero()[:, 0]}
            keep = ~reached
            weights = [w.detach()[keep].requires_grad_() for w in weights]
            speed, left = [v[keep] for v in speed], left[keep]
        if not len(left):
            break
    done |= {int(k): [w[i].detach() for w in weights] for i, k in enumerate(left)}
    return Fitted([_unstack(m, done[k]) for k, m in enumerate(models)], losses, n // batch)


def _stack(models: Sequence[nn.Module]) -> list[Tensor]:
    layers = zip(*[[layer for layer in m.modules() if isinstance(layer, nn.Linear)] for m in models], strict=True)
    found = []
    for own in layers:
        found.append(torch.stack([layer.weight.detach().T for layer in own]).contiguous().requires_grad_())
        found.append(torch.stack([layer.bias.detach()[None] for layer in own]).requires_grad_())
    return found


def _unstack(model: nn.Module, weights: Sequence[Tensor]) -> nn.Module:
    left = iter(weights)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.copy_(next(left).T)
                layer.bias.copy_(next(left)[0])
    return model.eval()


def _forward(weights: Sequence[Tensor], x: Tensor) -> Tensor:
    for k in range(0, len(weights), 2):
        x = torch.baddbmm(weights[k + 1], torch.relu(x) if k else x, weights[k])
    return x


def _loss(logits: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(y.shape).mean(1)


def _update(weights: list[Tensor], speed: list[Tensor], x: Tensor, y: Tensor, rate: Tensor, decay: Tensor) -> None:
    slopes = torch.autograd.grad(_loss(_forward(weights, x), y).sum(), weights)
    with torch.no_grad():
        for w, v, g in zip(weights, speed, slopes, strict=True):
            v.mul_(MOMENTUM).add_(g + decay * w)
            w.sub_(rate * v)


def fit_each(model: nn.Module, x: Tensor, y: Tensor, *, draw: torch.Generator, rounds: int) -> nn.Module:
    """Train any network until its cross-entropy is 0.01, or for all the rounds."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=MOMENTUM)
    for _ in range(rounds):
        model.train()
        for rows in torch.split(torch.randperm(len(x), generator=draw), 128):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        model.eval()
        with torch.no_grad():
            outputs = torch.cat([model(part) for part in torch.split(x, 512)])
        if float(nn.functional.cross_entropy(outputs, y)) <= LEVEL and bool((outputs.argmax(1) == y).all()):
            break
    return model.eval()


@torch.no_grad()
def error(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of examples that a network gets wrong."""
    predicted = torch.cat([model(part).argmax(1) for part in torch.split(x, 2048)])
    return float((predicted != y).double().mean())


def shuffled_labels(y: Tensor, share: float, draw: torch.Generator) -> Tensor:
    """Replace a share of the labels by other ones, uniformly among the nine that are wrong."""
    wrong = torch.rand(len(y), generator=draw) < share
    other = (y + torch.randint(1, 10, y.shape, generator=draw)) % 10
    return torch.where(wrong, other, y)


def noisy_error(clean: float, share: float) -> float:
    """Error on labels of which a share is replaced by wrong ones, from the error on clean labels."""
    return (1 - share) * clean + share * (1 - clean / 9)


def plain(values: dict[str, float], prefix: str = "") -> dict[str, float | None]:
    """Write infinite values as None."""
    return {prefix + name: value if math.isfinite(value) else None for name, value in values.items()}
