"""A generator of tasks: XOR clusters, four Gaussian clouds whose opposite pairs share a label, some labels flipped.

From Xu, Wang, Frei, Vardi and Hu, arXiv 2310.02541.

Departure: 1. the two means lie along the first two axes; the noise is isotropic, so any orthogonal pair gives the same
task up to a rotation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from overparam.errors import BadInput

if TYPE_CHECKING:
    from torch.utils.data import TensorDataset

CHUNK = 2**22  # normal numbers that are drawn at a time


@dataclass(frozen=True)
class Batch:
    """Points of XOR clusters.

    Attributes:
        x: (n, d) points.
        y: (n,) labels -1 and 1 to train on.
        y_clean: (n,) labels before the flips.
        cluster: (n,) 0 to 3 for the centres +mu_1, -mu_1, +mu_2, -mu_2.
        flipped: (n,) where `y` is not `y_clean`.
    """

    x: NDArray[Any]
    y: NDArray[np.int64]
    y_clean: NDArray[np.int64]
    cluster: NDArray[np.int64]
    flipped: NDArray[np.bool_]

    def dataset(self) -> TensorDataset:
        """Hand the points to PyTorch.

        Returns:
            Pairs of a point and its label as float32, with the labels that may be flipped.
        """
        import torch
        from torch.utils.data import TensorDataset

        return TensorDataset(torch.as_tensor(self.x).float(), torch.as_tensor(self.y).float())


@dataclass(frozen=True)
class XORClusters:
    """The distribution: x = centre + N(0, I_p), label 1 for the centres ±mu_1 and -1 for ±mu_2, flipped by chance.

    A linear rule through the origin is right on exactly half of the clean points, since x and -x have one label. With
    an offset the best linear rule cuts off one cluster and reaches three quarters.

    Attributes:
        p: Dimension, at least 2.
        mu_norm: Length of the orthogonal means mu_1 and mu_2, positive.
        flip: Probability that a label is flipped, in [0, 0.5).

    Raises:
        BadInput: An attribute out of its range.

    Source: arXiv 2310.02541, section on the setting.

    Example:
        >>> batch = XORClusters(p=50, mu_norm=20.0).sample(1000, rng=0)
        >>> batch.x.shape, bool(((batch.x[:, 0] ** 2 > batch.x[:, 1] ** 2) == (batch.y_clean == 1)).all())
        ((1000, 50), True)
        >>> float(batch.flipped.mean())
        0.105
    """

    p: int
    mu_norm: float
    flip: float = 0.1

    def __post_init__(self) -> None:
        if not self.p >= 2:
            raise BadInput(f"p={self.p}: two orthogonal means need at least 2 dimensions")
        if not 0 < self.mu_norm < np.inf:
            raise BadInput(f"mu_norm={self.mu_norm} is not positive and finite; give the length of the means")
        if not 0 <= self.flip < 0.5:
            raise BadInput(f"flip={self.flip} is outside [0, 0.5); beyond it the flipped label would be the right one")

    def means(self, dimensions: int | None = None) -> NDArray[np.float64]:
        """Return mu_1 and mu_2.

        Args:
            dimensions: Width of the points, p where it is not given; `rotated` makes narrower ones.

        Returns:
            (2, dimensions).
        """
        return self.mu_norm * np.eye(2, self.p if dimensions is None else dimensions)

    def sample(self, n: int, rng: np.random.Generator | int) -> Batch:
        """Draw points in all p coordinates.

        Args:
            n: Number of points, at least 1. They take 4 n p bytes.
            rng: Generator, or the seed of one.

        Returns:
            Points as float32 of shape (n, p).

        Raises:
            BadInput: n below 1.
        """
        draw = np.random.default_rng(rng)
        cluster, flipped = self._labels(n, draw)
        x = np.empty((n, self.p), dtype=np.float32)
        rows = max(1, CHUNK // self.p)
        for start in range(0, n, rows):
            draw.standard_normal(out=x[start : start + rows], dtype=np.float32)
        return self._batch(x, cluster, flipped)

    def rotated(self, n: int, n_test: int, rng: np.random.Generator | int) -> tuple[Batch, Batch]:
        """Draw training and test points in rotated coordinates: N + 2 numbers each for N = n + n_test, whatever p is.

        Beyond the plane of the means the noise of N points is an (N, p - 2) normal matrix Z = L Q with orthonormal
        rows in Q. L is lower triangular, its entries are independent, N(0, 1) below the diagonal and the root of
        chi-square with p - 2 - i degrees of freedom on it (Bartlett), so it is drawn without Z. Norms and angles of all
        points and means have exactly the law of `sample`. So has everything that a rotation of the space leaves as it
        is: gradient descent from a start with isotropic weights, ridge regression, support vectors. Cost O(N^2).

        Args:
            n: Number of training points, at least 1. Beyond their first n + 2 coordinates they are zero.
            n_test: Number of test points, at least 1; no label is flipped.
            rng: Generator, or the seed of one.

        Returns:
            Training and test points as float64 of width N + 2.

        Raises:
            BadInput: A number below 1, or p below N + 2, where `sample` is the shorter way.

        Source: Bartlett's decomposition of a Wishart matrix.

        Example:
            >>> train, test = XORClusters(p=10**12, mu_norm=1e4).rotated(30, 20, rng=0)
            >>> train.x.shape, bool(np.allclose((train.x**2).sum(1) / 1e12, 1, atol=1e-3))
            ((30, 52), True)
        """
        total = n + n_test
        if self.p < total + 2:
            raise BadInput(f"p={self.p} is below n + n_test + 2 = {total + 2}; use sample")
        draw = np.random.default_rng(rng)
        cluster, flipped = self._labels(n, draw)
        more, none = self._labels(n_test, draw)
        none[:] = False
        x = np.zeros((total, total + 2))
        x[:, :2] = draw.standard_normal((total, 2))
        x[:, 2:] = np.tril(draw.standard_normal((total, total)), -1)
        x[np.arange(total), np.arange(2, total + 2)] = np.sqrt(draw.chisquare(self.p - 2.0 - np.arange(total)))
        return self._batch(x[:n], cluster, flipped), self._batch(x[n:], more, none)

    def _labels(self, n: int, draw: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        if n < 1:
            raise BadInput(f"n={n}: draw at least one point")
        return draw.integers(0, 4, n), draw.random(n) < self.flip

    def _batch(self, x: NDArray[Any], cluster: NDArray[np.int64], flipped: NDArray[np.bool_]) -> Batch:
        """Move noise to its centres, in place, and label it."""
        x[np.arange(len(x)), cluster // 2] += self.mu_norm * (1 - 2 * (cluster % 2))
        clean = 1 - 2 * (cluster // 2)
        return Batch(x, np.where(flipped, -clean, clean), clean, cluster, flipped)
