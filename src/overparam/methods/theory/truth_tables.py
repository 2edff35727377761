"""Mixtures over Boolean functions, grouped by truth table: exact for classes of millions of networks.

A class of H networks on k bits has at most min(H, 2^(2^k)) different functions. The likelihood of a data set depends
on how often each input came with each label, so all tables and R data sets take one product (U, 2^k) x (2^k, R).

Source: arXiv 2506.07661; the finite class of its key result, here that of random ReLU networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from overparam.errors import BadInput

Array = NDArray[np.float64]
Bits = NDArray[np.bool_]


def all_inputs(bits: int) -> Array:
    """List all inputs of a Boolean function.

    Args:
        bits: k, from 1 to 16.

    Returns:
        (2^k, k) of -1 and 1; the first bit changes slowest.

    Raises:
        BadInput: Another k.
    """
    if not 1 <= bits <= 16:
        raise BadInput(f"bits={bits}: give 1 to 16")
    rows = (np.arange(2**bits)[:, None] >> np.arange(bits)[::-1]) & 1
    return np.asarray(2.0 * rows - 1.0, dtype=np.float64)


class TruthTableMixture:
    """A Bayesian mixture over Boolean functions with label noise.

    Args:
        tables: (U, 2^k) of bool, one function a row.
        weights: (U,) prior mass of each, positive, normalised here; such as how many networks compute it.
        noise: Probability delta that a label is flipped, in (0, 1/2).

    Raises:
        BadInput: Shapes that do not fit, a weight that is not positive, or a noise out of range.

    Source: arXiv 2506.07661.

    Example:
        >>> mixture = TruthTableMixture([[False, False], [False, True]], [3, 1], noise=0.1)
        >>> mixture.divergence([False, True]).round(3).tolist()
        [0.879, 0.0]
    """

    def __init__(self, tables: ArrayLike, weights: ArrayLike, *, noise: float) -> None:
        self.tables = np.asarray(tables, dtype=bool)
        mass = np.asarray(weights, dtype=np.float64)
        if self.tables.ndim != 2 or not len(self.tables) or mass.shape != self.tables.shape[:1]:
            raise BadInput(f"tables {self.tables.shape}, weights {mass.shape}: (U, inputs) and (U,) are needed")
        if not (np.isfinite(mass).all() and (mass > 0).all()):
            raise BadInput("weights have to be positive and finite")
        if not 0 < noise < 0.5:
            raise BadInput(f"noise={noise}: give a probability between 0 and 1/2")
        self.noise = float(noise)
        self.log_prior: Array = np.log(mass / mass.sum())
        self._float = self.tables.astype(np.float64)

    @classmethod
    def of_networks(
        cls, hidden: Sequence[int], *, bits: int, draws: int, noise: float, generator: torch.Generator
    ) -> TruthTableMixture:
        """Draw ReLU networks and take each as one hypothesis, all of equal weight.

        Weights are N(0, 1/fan-in), biases N(0, 1); the function is 1 where the output is positive.

        Args:
            hidden: Width of each hidden layer.
            bits: k.
            draws: Number of networks M.
            noise: Label noise.
            generator: Source of randomness.

        Returns:
            The mixture over their distinct functions.
        """
        inputs = torch.from_numpy(all_inputs(bits)).float()
        sizes = [bits, *hidden, 1]
        cost = len(inputs) * max(sizes) + max(a * b for a, b in pairwise(sizes))
        batch = max(1, min(draws, 4_000_000 // cost))
        words = []
        for start in range(0, draws, batch):
            x, size = inputs, min(batch, draws - start)
            for layer, (a, b) in enumerate(pairwise(sizes)):
                weight = torch.randn(size, a, b, generator=generator) / a**0.5
                bias = torch.randn(size, 1, b, generator=generator)
                x = torch.baddbmm(bias, x.expand(size, -1, -1) if layer == 0 else x, weight)
                x = x.relu() if layer < len(hidden) else x
            words.append(np.packbits((x[..., 0] > 0).numpy(), axis=1))
        packed, counts = np.unique(np.concatenate(words), axis=0, return_counts=True)
        return cls(np.unpackbits(packed, axis=1, count=len(inputs)).astype(bool), counts, noise=noise)

    def divergence(self, target: ArrayLike) -> Array:
        """KL divergence of every function from a target, for inputs drawn uniformly.

        Args:
            target: (2^k,) of bool.

        Returns:
            (U,) nats: Pr[f differs] (1 - 2 delta) ln((1 - delta)/delta).

        Raises:
            BadInput: Another length.
        """
        truth = self._target(target)
        log_odds = np.log((1 - self.noise) / self.noise)
        return np.asarray((self.tables != truth).mean(1) * (1 - 2 * self.noise) * log_odds)

    def _target(self, target: ArrayLike) -> Bits:
        truth = np.asarray(target, dtype=bool)
        if truth.shape != self.tables.shape[1:]:
            raise BadInput(f"target has shape {truth.shape}; {self.tables.shape[1:]} is needed")
        return truth

    def sample_counts(self, target: ArrayLike, n: int, sets: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw data sets from a target with noise, as counts.

        Args:
            target: (2^k,) of bool.
            n: Examples in each set.
            sets: Number of sets R.
            rng: Source of randomness.

        Returns:
            (2, 2^k, R): how often each input came with label 0 and with label 1.
        """
        truth = self._target(target)
        k = len(truth)
        counts = rng.multinomial(n, np.full(k, 1 / k), size=sets).T
        flipped = rng.binomial(counts, self.noise)
        ones = np.where(truth[:, None], counts - flipped, flipped)
        return np.stack([counts - ones, ones])

    def log_likelihood(self, counts: NDArray[Any]) -> Array:
        """Log likelihood of data sets under every function.

        Args:
            counts: (2, 2^k, R).

        Returns:
            (U, R) nats.
        """
        log_odds = np.log((1 - self.noise) / self.noise)
        zeros, ones = counts.astype(np.float64)
        base = zeros.sum(0) * np.log(1 - self.noise) + ones.sum(0) * np.log(self.noise)
        return np.asarray(base + log_odds * (self._float @ (ones - zeros)))

    def regret(self, target: ArrayLike, counts: NDArray[Any]) -> Array:
        """Regret of the mixture on data sets against the target.

        Args:
            target: (2^k,) of bool.
            counts: (2, 2^k, R).

        Returns:
            (R,) nats.
        """
        joint = self.log_likelihood(counts)
        joint += self.log_prior[:, None]
        highest = joint.max(0)
        np.exp(np.subtract(joint, highest, out=joint), out=joint)  # in place: the table is large
        marginal = highest + np.log(joint.sum(0))
        return np.asarray(truth_log_likelihood(self._target(target), counts, self.noise) - marginal)

    def ball_mass(self, target: ArrayLike, counts: NDArray[Any], eps: float) -> Array:
        """Posterior mass within a KL ball around a target.

        Args:
            target: (2^k,) of bool.
            counts: (2, 2^k, R).
            eps: Radius.

        Returns:
            (R,).
        """
        joint = self.log_prior[:, None] + self.log_likelihood(counts)
        inside = self.divergence(target) <= eps
        if not inside.any():
            return np.zeros(joint.shape[1])
        return np.asarray(np.exp(logsumexp(joint[inside], axis=0) - logsumexp(joint, axis=0)))


def truth_log_likelihood(target: Bits, counts: NDArray[Any], noise: float) -> Array:
    """Log likelihood of data sets under one function.

    Args:
        target: (2^k,) of bool.
        counts: (2, 2^k, R).
        noise: Label noise.

    Returns:
        (R,) nats.
    """
    right = np.where(target[:, None], counts[1], counts[0]).sum(0)
    return np.asarray(right * np.log(1 - noise) + (counts.sum((0, 1)) - right) * np.log(noise))


def uniform_regret(target: ArrayLike, counts: NDArray[Any], noise: float) -> Array:
    """Regret of the mixture over all 2^(2^k) functions with equal weight, which factorises over inputs.

    Args:
        target: (2^k,) of bool.
        counts: (2, 2^k, R).
        noise: Label noise.

    Returns:
        (R,) nats, at most 2^k ln 2.
    """
    right, wrong = np.log(1 - noise), np.log(noise)
    zeros, ones = counts.astype(np.float64)
    marginal = np.logaddexp(zeros * right + ones * wrong, ones * right + zeros * wrong) - np.log(2)
    return np.asarray(truth_log_likelihood(np.asarray(target, dtype=bool), counts, noise) - marginal.sum(0))
