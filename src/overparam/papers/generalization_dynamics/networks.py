"""Nonlinear students of a nonlinear teacher: a random hidden layer, and networks trained in both layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from overparam.errors import Diverged

Array = NDArray[np.float64]
TEACHER, TEST = 30, 2000  # hidden units, test points
GROW, SHRINK = 1.05, 0.5  # of the step, after a better and after a worse loss
LEAST = 1e-3  # of the step: a smaller one would stay where it meets the kink of a unit
FITTED = 1e-10  # mean squared error at which training ends


@dataclass(frozen=True)
class Lesson:
    """Data of one teacher.

    Attributes:
        x: (n, inputs) training inputs of mean squared length 1.
        y: (n,) noisy outputs; the teacher's have variance 1.
        test_x: (TEST, inputs).
        test_y: (TEST,) noisy outputs.
    """

    x: Array
    y: Array
    test_x: Array
    test_y: Array


def lesson(samples: int, inputs: int, snr: float, seed: int) -> Lesson:
    """Draw a teacher with one hidden layer of ReLU units, and data.

    Args:
        samples: Training samples.
        inputs: Number of inputs.
        snr: Variance of the teacher's outputs over that of the noise.
        seed: Of everything.

    Returns:
        The data.
    """
    rng = np.random.default_rng([seed, 1])
    first, second = rng.normal(size=(inputs, TEACHER)), rng.normal(size=TEACHER)
    x = rng.normal(0.0, inputs**-0.5, (samples + TEST, inputs))
    clean = np.maximum(x @ first, 0.0) @ second
    clean = (clean - clean[samples:].mean()) / clean[samples:].std()
    y = clean + rng.normal(0.0, snr**-0.5, len(x))
    return Lesson(x[:samples], y[:samples], x[samples:], y[samples:])


def hidden_features(width: int, inputs: int, seed: int, *points: Array) -> list[Array]:
    """Pass points through a random hidden layer, relu(xW) sqrt(2 / width), of mean squared length 1 like its inputs."""
    weights = np.random.default_rng([seed, 2]).normal(size=(inputs, width))
    return [np.maximum(x @ weights, 0.0) * (2 / width) ** 0.5 for x in points]


@dataclass(frozen=True)
class Course:
    """Training of several networks.

    Attributes:
        steps: (T,) recorded steps.
        train: (T, s) mean squared errors.
        test: (T, s).
    """

    steps: NDArray[np.int64]
    train: Array
    test: Array


def train_both_layers(
    lessons: Sequence[Lesson], width: int, scale: float, steps: int, seeds: Sequence[int], *, records: int = 60
) -> Course:
    """Train f(x) = sqrt(2 / width) a relu(Wx) by full-batch gradient descent on half the sum of squares.

    All networks run in one program. Each has a step of its own, which grows while its loss falls. Where it rises the
    step is halved and the update taken back, so that what looks like overtraining cannot be divergence; the least step
    is taken in any case. Training ends early once all networks have fitted their samples.

    Args:
        lessons: One a network, of equal sizes.
        width: Hidden units.
        scale: Standard deviation of all initial weights.
        steps: Updates tried.
        seeds: Of the initial weights.
        records: About how many times the errors are taken.

    Returns:
        The course of errors.

    Raises:
        Diverged: The loss left the finite numbers.
    """
    x, test_x = (torch.from_numpy(np.stack(v)) for v in ([k.x for k in lessons], [k.test_x for k in lessons]))
    y, test_y = (torch.from_numpy(np.stack(v)) for v in ([k.y for k in lessons], [k.test_y for k in lessons]))
    inputs, factor = x.shape[2], (2 / width) ** 0.5
    draws = [np.random.default_rng([seed, 3]).normal(0.0, scale, (width, inputs + 1)) for seed in seeds]
    theta = torch.from_numpy(np.stack(draws))  # the last column holds the output weights
    rate = torch.full((len(seeds), 1, 1), LEAST, dtype=theta.dtype)
    loss, gradient = _descent(theta, x, y, factor)
    at = np.unique(np.concatenate([[0], np.geomspace(1, steps, records).round()]).astype(np.int64))
    train: list[Array] = []
    test: list[Array] = []
    taken: list[int] = []
    for step in range(steps + 1):
        done = float(loss.max()) < FITTED * y.shape[1] / 2
        if done or step == at[len(train)]:
            taken.append(step)
            train.append((2 * loss / y.shape[1]).numpy())
            test.append((_outputs(theta, test_x, factor)[1] - test_y).square().mean(1).numpy())
            if not np.isfinite(train[-1]).all():
                raise Diverged(f"the loss left the finite numbers by step {step}; width {width}, scale {scale}")
        if done:
            break
        tried = theta - rate * gradient
        new_loss, new_gradient = _descent(tried, x, y, factor)
        better = (new_loss <= loss)[:, None, None]
        keep = better | (rate <= LEAST)
        theta, gradient = torch.where(keep, tried, theta), torch.where(keep, new_gradient, gradient)
        loss = torch.where(keep[:, 0, 0], new_loss, loss)
        rate = torch.where(better, rate * GROW, rate * SHRINK).clamp_(min=LEAST)
    return Course(np.array(taken), np.stack(train), np.stack(test))


def _outputs(theta: Tensor, x: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    hidden = (x @ theta[:, :, :-1].mT).clamp_(min=0)
    return hidden, factor * (hidden @ theta[:, :, -1:])[:, :, 0]


def _descent(theta: Tensor, x: Tensor, y: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    """Half the sum of squares (s,) and its gradient, of the shape of theta."""
    hidden, outputs = _outputs(theta, x, factor)
    residual = outputs - y
    back = factor * residual[:, :, None] * theta[:, None, :, -1] * (hidden > 0)
    slope = torch.cat([back.mT @ x, factor * (hidden.mT @ residual[:, :, None])], 2)
    return residual.square().sum(1) / 2, slope
