"""Targets on five bits, the batch learners on them, and how flat trained networks are."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp

from overparam.lab import artefact
from overparam.methods.theory.hypothesis_weight import regret_bound
from overparam.methods.theory.mixture_learner import online_to_batch
from overparam.methods.theory.truth_tables import TruthTableMixture, all_inputs
from overparam.models.streams import draw

Array = NDArray[np.float64]
Bits = NDArray[np.bool_]
BITS, NOISE, EPS = 5, 0.1, 0.11
NAMED = ("constant", "first bit", "majority of 3", "xor of 2", "parity", "random")


def targets(seed: int) -> dict[str, Bits]:
    """Six named functions, ten different ones of random networks and eight random ones of several biases."""
    x, rng = all_inputs(BITS), np.random.default_rng((31, seed))
    found: dict[str, Bits] = {
        "constant": np.ones(len(x), dtype=bool),
        "first bit": x[:, 0] > 0,
        "majority of 3": x[:, :3].sum(1) > 0,
        "xor of 2": x[:, 0] * x[:, 1] > 0,
        "parity": x.prod(1) > 0,
        "random": rng.random(len(x)) < 0.5,
    }
    drawn = TruthTableMixture.of_networks([16], bits=BITS, draws=100, noise=NOISE, generator=draw(32, seed))
    found |= {f"network {i}": table for i, table in enumerate(rng.permutation(drawn.tables)[:10])}
    found |= {f"random {i}": rng.random(len(x)) < p for i, p in enumerate(np.linspace(0.05, 0.5, 8))}
    return found


def network_class(hidden: str, draws: int, seed: int) -> TruthTableMixture:
    """Draw the class of an architecture such as 32-32."""
    held = _drawn(hidden, draws, seed)
    return TruthTableMixture(held["tables"], held["counts"], noise=NOISE)


@artefact()
def _drawn(hidden: str, draws: int, seed: int) -> dict[str, NDArray[Any]]:
    sizes = [int(width) for width in hidden.split("-")]
    mixture = TruthTableMixture.of_networks(sizes, bits=BITS, draws=draws, noise=NOISE, generator=draw(33, seed))
    return {"tables": mixture.tables, "counts": np.rint(np.exp(mixture.log_prior) * draws)}


def parameters_of(hidden: str) -> int:
    """Number of weights and biases."""
    sizes = [BITS, *(int(width) for width in hidden.split("-")), 1]
    return sum((a + 1) * b for a, b in pairwise(sizes))


def batch_risks(mixture: TruthTableMixture, target: Bits, n: int, rng: np.random.Generator) -> tuple[float, Array]:
    """Follow one path of n examples.

    Returns:
        Risk of the averaged learner, and (n,) of the mixture after 0..n - 1 examples: E_x KL(truth || prediction) over
        uniform inputs, exact.
    """
    k = len(target)
    x = rng.integers(k, size=n)
    y = target[x] ^ (rng.random(n) < NOISE)
    right, wrong = np.log(1 - NOISE), np.log(NOISE)
    seen = np.where(mixture.tables[:, x] == y, right, wrong)
    joint = mixture.log_prior[:, None] + np.concatenate([np.zeros((len(seen), 1)), np.cumsum(seen, 1)[:, :-1]], axis=1)
    posterior = np.exp(joint - logsumexp(joint, axis=0))
    ones = posterior.T @ np.where(mixture.tables, 1 - NOISE, NOISE)  # (n, inputs)
    log_predictions = np.log(np.stack([1 - ones, ones], axis=-1))
    truth = np.where(target, 1 - NOISE, NOISE)
    law = np.stack([1 - truth, truth], axis=-1)

    def risk(log_q: Array) -> Array:
        return np.asarray((law * (np.log(law) - log_q)).sum(-1).mean(-1))

    return float(risk(online_to_batch(log_predictions))), risk(log_predictions)


def expected_bound(mixture: TruthTableMixture, target: Bits, n: int) -> float:
    """Bound on the regret, in nats."""
    return float(regret_bound(mixture.divergence(target), n, log_prior=mixture.log_prior).value)


def log_volumes(tables: Bits, width: int, steps: int, seed: int) -> tuple[Array, NDArray[np.bool_]]:
    """Train a network on each function and measure the log volume around it in which the function stays the same.

    Along random directions the first radius at which a prediction changes is r; the volume is the mean of r^d, relative
    to the length of the weights.

    Returns:
        Log volumes (targets,), and which networks fit their function.
    """
    generator = draw(34, seed)
    x = torch.from_numpy(all_inputs(BITS)).float()
    y = torch.from_numpy(tables).float()
    count = len(tables)
    shapes = [(count, BITS, width), (count, 1, width), (count, width, 1), (count, 1, 1)]
    weights = [torch.randn(s, generator=generator) / s[1] ** 0.5 for s in shapes]
    for w in weights:
        w.requires_grad_()
    optimiser = torch.optim.Adam(weights, lr=0.03)
    for _ in range(steps):
        optimiser.zero_grad()
        scores = _scores(x, weights)
        torch.nn.functional.binary_cross_entropy_with_logits(scores, y, reduction="none").mean(1).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    flat = torch.cat([w.detach().flatten(1) for w in weights], dim=1)
    with torch.no_grad():
        fits = ((_scores(x, _split(flat, width)) > 0) == y.bool()).all(1).numpy()
        return np.array([
            _log_volume(point, target, x, width, generator) for point, target in zip(flat, y.bool(), strict=True)
        ]), fits


def _scores(x: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    first, bias, second, last = weights
    return (torch.relu(x @ first + bias) @ second + last)[..., 0]


def _split(flat: torch.Tensor, width: int) -> list[torch.Tensor]:
    parts = torch.split(flat, [BITS * width, width, width, 1], dim=1)
    return [parts[0].view(-1, BITS, width), parts[1][:, None], parts[2][..., None], parts[3][..., None]]


def _log_volume(
    point: torch.Tensor, target: torch.Tensor, x: torch.Tensor, width: int, generator: torch.Generator
) -> float:
    directions = torch.randn(200, len(point), generator=generator)
    directions *= point.norm() / directions.norm(dim=1, keepdim=True)
    radii = np.geomspace(1e-3, 10.0, 60)
    first = np.full(200, radii[-1])
    alive = np.ones(200, dtype=bool)
    for radius in radii:
        same = ((_scores(x, _split(point + radius * directions, width)) > 0) == target).all(1).numpy()
        first[alive & ~same] = radius
        alive &= same
    return float(logsumexp(len(point) * np.log(first)) - np.log(200))
