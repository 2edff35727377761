"""Laws of tasks: two digits to tell apart, by mixed activations, a graph kernel or a trained network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from overparam.data import load
from overparam.errors import BadInput
from overparam.lab import artefact
from overparam.methods.tuning.exact_duals import exact_graph_kernel, exact_ridge_interpolation
from overparam.methods.tuning.piecewise import PiecewiseFunction
from overparam.models.interpolated_activation import InterpolatedActivation

Array = NDArray[np.float64]
RIDGE = 0.1
TRAIN, VALIDATION = 60, 40
LABELLED = 10
Predict = Callable[[Array], NDArray[np.int64]]


@dataclass(frozen=True)
class Features:
    """A task of mixed activations: features under both, labels of the training and the validation part."""

    first: Array
    second: Array
    y: Array
    split: int

    def exact(self) -> PiecewiseFunction:
        """Accuracy as an exact function of alpha in [0, 1]."""
        n, (r, s, y) = self.split, (self.first, self.second, self.y)
        return exact_ridge_interpolation(r[:n], s[:n], y[:n], r[n:], s[n:], y[n:], ridge=RIDGE)

    def predict(self, alpha: Array) -> NDArray[np.int64]:
        """Labels of the validation part, (q, v)."""
        n = self.split
        mixed = self.second + alpha[:, None, None] * (self.first - self.second)
        train, val = mixed[:, :n], mixed[:, n:]
        gram = train.swapaxes(1, 2) @ train + RIDGE * np.eye(train.shape[2])
        weight = np.linalg.solve(gram, train.swapaxes(1, 2) @ self.y[:n, None])
        return np.where((val @ weight)[..., 0] > 0, 1, -1)

    @property
    def target(self) -> Array:
        """Labels of the validation part."""
        return self.y[self.split :]

    @property
    def bound(self) -> int:
        """Algebraic bound on the breaks."""
        return 2 * len(self.y[self.split :]) * (int(self.first.shape[1]) + 1)


@dataclass(frozen=True)
class Graph:
    """A task of semi-supervised labels on a graph whose weights are a polynomial kernel of the similarity."""

    similarity: Array
    y: Array
    degree: int
    lo: float
    hi: float

    def exact(self) -> PiecewiseFunction:
        """Accuracy as an exact function of alpha."""
        return exact_graph_kernel(
            self.similarity, self.y[:LABELLED], self.target, degree=self.degree, lo=self.lo, hi=self.hi
        )

    def predict(self, alpha: Array) -> NDArray[np.int64]:
        """Labels of the nodes without a label, (q, u)."""
        n = len(self.y)
        weights = (self.similarity + alpha[:, None, None]) ** self.degree * (1 - np.eye(n))
        laplacian = weights.sum(2)[:, :, None] * np.eye(n) - weights
        known = weights[:, LABELLED:, :LABELLED] @ self.y[:LABELLED, None]
        return np.where(np.linalg.solve(laplacian[:, LABELLED:, LABELLED:], known)[..., 0] > 0, 1, -1)

    @property
    def target(self) -> Array:
        """Labels to predict."""
        return self.y[LABELLED:]

    @property
    def bound(self) -> int:
        """Algebraic bound on the breaks."""
        return graph_bound(len(self.y), self.degree)


def graph_bound(nodes: int, degree: int) -> int:
    """Bound the breaks of a graph task."""
    free = nodes - LABELLED
    return degree * free * (free + 1)


@dataclass(frozen=True)
class Network:
    """A small perceptron with a mixed activation, all of it trained from one fixed start for every alpha."""

    x: Array
    y: Array
    hidden: int
    steps: int

    def predict(self, alpha: Array) -> NDArray[np.int64]:
        """Labels of the validation part after training, (q, v); all alphas are trained at once."""
        x, y = torch.from_numpy(self.x[:TRAIN]), torch.from_numpy(self.y[:TRAIN])
        generator = torch.Generator().manual_seed(0)
        shape = (len(alpha), self.x.shape[1], self.hidden)
        first = (torch.randn(shape[1:], generator=generator, dtype=x.dtype) / shape[1] ** 0.5).expand(shape).clone()
        second = (
            (torch.randn(self.hidden, 1, generator=generator, dtype=x.dtype) / self.hidden**0.5)
            .expand(len(alpha), self.hidden, 1)
            .clone()
        )
        mixed = InterpolatedActivation(torch.relu, _half_square, torch.from_numpy(alpha)[:, None, None])
        weights = [first.requires_grad_(), second.requires_grad_()]
        for _ in range(self.steps):
            margin = y[:, None] * (mixed(x @ first) @ second)
            loss = torch.nn.functional.softplus(-margin).mean((1, 2)).sum()
            gradients = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for weight, gradient in zip(weights, gradients, strict=True):
                    weight -= 0.5 * gradient
        with torch.no_grad():
            scores = mixed(torch.from_numpy(self.x[TRAIN:]) @ first) @ second
        return np.where(scores[..., 0].numpy() > 0, 1, -1)

    @property
    def target(self) -> Array:
        """Labels of the validation part."""
        return self.y[TRAIN:]


def _half_square(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * x.square()


def _pair(count: int, noise: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw noisy images of two random digits, and their labels."""
    digits = load("digits")
    two = rng.choice(10, 2, replace=False)
    rows = rng.permutation(np.flatnonzero(np.isin(digits.labels, two)))[:count]
    x = digits.images[rows].reshape(count, -1) / 255.0
    return x + noise * rng.standard_normal(x.shape), np.where(digits.labels[rows] == two[0], 1.0, -1.0)


def features_task(seed: int, *, width: int = 40, validation: int = VALIDATION) -> Features:
    """Draw a task of mixed activations: ReLU and half the square, on random features of noisy digits."""
    rng = np.random.default_rng((21, seed))
    x, y = _pair(TRAIN + validation, 0.6, rng)
    hidden = x @ rng.standard_normal((x.shape[1], width)) / x.shape[1] ** 0.5
    return Features(np.maximum(hidden, 0), 0.5 * hidden**2, y, TRAIN)


def graph_task(seed: int, *, nodes: int = 30, degree: int = 6, lo: float = -0.9, hi: float = 1.0) -> Graph:
    """Draw a task on a graph: similarity is 1 minus the squared distance over the largest one."""
    x, y = _pair(nodes, 0.3, np.random.default_rng((22, seed)))
    distance = ((x[:, None] - x) ** 2).sum(2)
    return Graph(1 - distance / distance.max(), y, degree, lo, hi)


def network_task(seed: int, *, hidden: int = 8, steps: int = 200) -> Network:
    """Draw a task for a network that is trained in full."""
    x, y = _pair(TRAIN + VALIDATION, 0.6, np.random.default_rng((23, seed)))
    return Network(x, y, hidden, steps)


def task(law: str, seed: int) -> Features | Graph:
    """Draw a task of a law by its name."""
    if law == "activation":
        return features_task(seed)
    if law == "graph":
        return graph_task(seed)
    if law == "calm graph":
        return graph_task(seed, lo=0.0, hi=4.0)
    raise BadInput(f"law={law!r} is unknown; give 'activation', 'graph' or 'calm graph'")


@artefact(reads=("digits",))
def graph_utilities(start: int, count: int, degree: int, points: int) -> dict[str, Array]:
    """Accuracy of tasks start, start + 1, ... on a grid of alphas, and the breaks that the grid sees."""
    first = graph_task(start, degree=degree)
    alphas = np.linspace(first.lo, first.hi, points)
    table, breaks = np.empty((count, points)), np.empty(count)
    for i in range(count):
        drawn = graph_task(start + i, degree=degree)
        labels = np.concatenate([drawn.predict(part) for part in np.array_split(alphas, max(1, points // 100))])
        table[i] = (labels == drawn.target).mean(1)
        breaks[i] = (labels[1:] != labels[:-1]).any(1).sum()
    return {"alphas": alphas, "utility": table, "breaks": breaks}
