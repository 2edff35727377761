"""Simulated teachers and students, to hold against the closed forms of `linear_dynamics`.

From Advani and Saxe, High-dimensional dynamics of generalization error in neural networks (arXiv 1710.03667).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput
from overparam.methods.theory.gradient_flow import SpectralFit

Array = NDArray[np.float64]


class TeacherSample(NamedTuple):
    """Training data and initial weights of k students that share their inputs.

    Attributes:
        features: (P, N), entries of variance 1/N.
        targets: (P, k), noisy outputs of k teachers.
        teacher: (N, k) weights.
        start: (N, k) initial weights of the students.
    """

    features: Array
    targets: Array
    teacher: Array
    start: Array


class Curves(NamedTuple):
    """Errors of simulated students.

    Attributes:
        test: (matrices, teachers, T), exact for the population of inputs, noise of test labels included.
        train: (matrices, teachers, T).
        smallest: (matrices,) smallest non-zero eigenvalue of XX'.
    """

    test: Array
    train: Array
    smallest: Array


@dataclass(frozen=True)
class LinearTeacher:
    """A linear teacher with Gaussian weights and noise.

    Attributes:
        inputs: Number of inputs N.
        alpha: Samples an input; round(alpha N) samples are drawn.
        snr: Variance of the teacher's weights, which is 1, over that of the noise.
        inr: Variance of the initial weights over that of the noise.

    Raises:
        BadInput: No inputs, no samples, snr not positive or inr negative.

    Source: arXiv 1710.03667, section 2.
    """

    inputs: int
    alpha: float
    snr: float
    inr: float = 0.0

    def __post_init__(self) -> None:
        if self.inputs < 1 or not 0 < self.alpha < math.inf or self.samples < 1:
            raise BadInput(f"inputs={self.inputs}, alpha={self.alpha}: pass at least one input and one sample")
        if not 0 < self.snr < math.inf or not 0 <= self.inr < math.inf:
            raise BadInput(f"snr={self.snr}, inr={self.inr}: pass snr above 0 and inr from 0 on")

    @property
    def samples(self) -> int:
        """Number of samples P."""
        return round(self.alpha * self.inputs)

    def sample(self, seed: int | np.random.Generator, *, teachers: int = 1) -> TeacherSample:
        """Draw inputs, teachers, noise and initial weights.

        Args:
            seed: Seed or generator.
            teachers: How many teachers share the inputs.

        Returns:
            The data. Samples of the same seed differ only in scale where only snr or inr differ.
        """
        rng = np.random.default_rng(seed)
        n, p = self.inputs, self.samples
        features = rng.normal(0.0, n**-0.5, (p, n))
        teacher, noise = rng.normal(size=(n, teachers)), rng.normal(size=(p, teachers))
        start = rng.normal(size=(n, teachers))
        scale = self.snr**-0.5
        return TeacherSample(
            features, features @ teacher + scale * noise, teacher, math.sqrt(self.inr) * scale * start
        )  # fmt: skip


def simulate(
    world: LinearTeacher, t: ArrayLike, *, matrices: int = 1, teachers: int = 1, seed: int | np.random.Generator = 0
) -> Curves:
    """Train students by exact gradient flow and measure their errors.

    Args:
        world: Sizes and variances.
        t: (T,) times.
        matrices: How many input matrices to draw.
        teachers: Teachers, noises and initial weights drawn for each; they share its eigendecomposition.
        seed: Seed or generator.

    Returns:
        Errors; the test error is |wbar - w(t)|^2 / N + noise, exact since inputs are isotropic.

    Raises:
        BadInput: A negative time, or counts below 1.

    Source: arXiv 1710.03667, section 2.

    Example:
        >>> curves = simulate(LinearTeacher(100, 0.5, snr=5.0), [0.0, 3.0], matrices=4, teachers=50)
        >>> curves.test.mean((0, 1)).round(1).tolist()  # 1.2 and 0.826 in the limit of many inputs
        [1.2, 0.8]
    """
    if matrices < 1 or teachers < 1:
        raise BadInput(f"matrices={matrices}, teachers={teachers}: pass at least one of each")
    rng = np.random.default_rng(seed)
    test, train, smallest = [], [], []
    for _ in range(matrices):
        drawn = world.sample(rng, teachers=teachers)
        fit = SpectralFit(drawn.features, drawn.targets, drawn.start)
        filters = fit.flow(t)
        test.append(fit.distance(drawn.teacher, filters).T / world.inputs + 1 / world.snr)
        train.append(fit.training_error(filters).T)
        smallest.append(fit.eigenvalues[fit.eigenvalues > 0].min())
    return Curves(np.stack(test), np.stack(train), np.array(smallest))
