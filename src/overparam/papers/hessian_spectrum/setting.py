"""Data, networks and training of the experiments."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from overparam import data
from overparam.data.images import Split
from overparam.methods.measures.hessian_operator import HessianOperator
from overparam.methods.measures.lanczos import lanczos
from overparam.methods.measures.outliers import count_outliers
from overparam.methods.measures.spectral_density import spectral_density

LOSS = nn.CrossEntropyLoss()
EXACT = 6000  # weights up to which the whole spectrum is computed
NEAR = 1e-3  # of the largest eigenvalue: what counts as near zero
SHOWN = 40
INIT, ORDER, DATA, OTHER, GUESS = range(1, 6)  # roles that never share random numbers


def images(name: str, n: int, classes: int, *, split: Split = "train") -> tuple[Tensor, Tensor]:
    """Read the first n images of some classes, in double precision, 0 to 1."""
    found = data.load(name, split=split)
    rows = np.flatnonzero(found.labels < classes)[:n]
    x = torch.from_numpy(found.images[rows].astype(np.float64) / 255)
    return x, torch.from_numpy(found.labels[rows].astype(np.int64))


def blobs(
    n: int, clusters: int, dimension: int, separation: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw Gaussian clusters of equal size whose centres lie 2 x separation standard deviations apart on average."""
    directions = torch.randn(clusters, dimension, generator=generator, dtype=torch.float64)
    centres = directions / directions.norm(dim=1, keepdim=True) * separation * math.sqrt(2)
    y = torch.arange(n) % clusters
    return centres[y] + torch.randn(n, dimension, generator=generator, dtype=torch.float64), y


@dataclass(frozen=True)
class Trained:
    """A network in double precision with its loss before and after training."""

    initial: nn.Module
    model: nn.Module
    steps: int
    loss: float


def train(
    model: nn.Module, x: Tensor, y: Tensor, *, steps: int, rate: float = 0.01, until: float | None = None
) -> Trained:
    """Train by full-batch Adam for some steps, or until the loss is as low as wanted.

    Args:
        model: Network; it is not changed.
        x: Inputs.
        y: Labels.
        steps: At most.
        rate: Learning rate.
        until: Loss at which to stop; never if None.

    Returns:
        Both networks, in double precision.
    """
    initial, moving = copy.deepcopy(model).double().eval(), copy.deepcopy(model).double().eval()
    optimiser = torch.optim.Adam(moving.parameters(), lr=rate, fused=True)
    done = 0
    while True:
        loss = LOSS(moving(x), y)
        if done == steps or (until is not None and loss.item() <= until):
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        done += 1
    optimiser.zero_grad()
    return Trained(initial, moving, done, loss.item())


@dataclass(frozen=True)
class Spectrum:
    """What is kept of a spectrum.

    Attributes:
        top: The largest eigenvalues, descending; all of them where the network is small.
        lowest: The smallest eigenvalue.
        near_zero: Share of eigenvalues within a thousandth of the largest magnitude.
        negative: Share of eigenvalues below minus a millionth of the largest.
        middle: Median magnitude; None where only the top is known.
    """

    top: Tensor
    lowest: float
    near_zero: float
    negative: float
    middle: float | None


def spectrum_of(op: HessianOperator, *, seed: int = 0) -> Spectrum:
    """Take the whole spectrum, or its ends and density where there are more than 6,000 weights.

    Args:
        op: Operator in double precision.
        seed: Of the start vectors.

    Returns:
        The spectrum.
    """
    if op.shape[0] <= EXACT:
        values = torch.linalg.eigvalsh(op.to_dense()).flip(0)
        size = float(values.abs().max())
        return Spectrum(
            values,
            float(values[-1]),
            float((values.abs() < NEAR * size).double().mean()),
            float((values < -1e-6 * size).double().mean()),
            float(values.abs().median()),
        )
    top = lanczos(op, SHOWN, max_iter=1000, seed=seed).values
    lowest = float(lanczos(op, 1, which="SA", max_iter=400, seed=seed).values[0])
    density = spectral_density(op, n_vectors=8, steps=120, seed=seed)
    size = max(float(top[0]), -lowest)
    near, negative = density.share(-NEAR * size, NEAR * size), density.share(-math.inf, -1e-6 * size)
    return Spectrum(top, lowest, near, negative, None)


def outlier_metrics(found: Spectrum, classes: int) -> dict[str, float | int | None]:
    """Count outliers, and compare the gap behind the first K - 1 eigenvalues with the ten next gaps.

    Args:
        found: Spectrum.
        classes: K.

    Returns:
        Metrics of a trial.
    """
    report = count_outliers(found.top, n_classes=classes)
    logs = found.top[: classes + 11].clamp_min(1e-300).log()
    gaps = (logs[:-1] - logs[1:]).tolist()
    return {
        "gap_index": report.gap_index,
        "second_index": report.second_index,
        "above_edge": report.above_edge,
        "log_ratio": gaps[classes - 2],
        "neighbour_log_ratio": sum(gaps[classes - 1 : classes + 9]) / 10,
        "contrast": gaps[classes - 2] - sum(gaps[classes - 1 : classes + 9]) / 10,
        "lambda_1": float(found.top[0]),
        "log_outliers": float(found.top[: classes - 1].clamp_min(1e-300).log().mean()),
        "near_zero_share": found.near_zero,
        "negative_share": found.negative,
        "negative_ratio": max(0.0, -found.lowest) / float(found.top[0]),
    }


def gradient_in_top(op: HessianOperator, model: nn.Module, x: Tensor, y: Tensor, classes: int) -> float:
    """Return the part of the squared gradient that lies along the K leading eigenvectors."""
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(LOSS(model(x), y), list(model.parameters()))])
    vectors = lanczos(op, classes, tol=1e-6, max_iter=1000).vectors
    return float((vectors.T @ gradient).square().sum() / gradient.square().sum())
