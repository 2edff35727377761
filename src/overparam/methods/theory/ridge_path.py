"""Train and test error of kernel and random-feature ridge regression for many ridges from one decomposition.

With K = U diag(d) U' the predictor of every ridge delta is diagonal in U: residuals on the training points are
delta / (d + delta) U'Y, so that fifty ridges cost about as much as one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh, svd

from overparam.errors import BadInput

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RidgePath:
    """Errors by ridge.

    Attributes:
        ridges: (r,).
        train_by_output: (r, o) squared error on the training labels, averaged over points.
        test_by_output: (r, o) the same on the test labels.
    """

    ridges: Array
    train_by_output: Array
    test_by_output: Array

    @property
    def train(self) -> Array:
        """(r,) training error summed over outputs."""
        return np.asarray(self.train_by_output.sum(1))

    @property
    def test(self) -> Array:
        """(r,) test error summed over outputs."""
        return np.asarray(self.test_by_output.sum(1))


def kernel_ridge_path(K: ArrayLike, Y: ArrayLike, K_test: ArrayLike, Y_test: ArrayLike, ridges: ArrayLike) -> RidgePath:
    """Errors of f(x) = K(x, X) (K + delta I)^-1 Y for many ridges delta.

    Args:
        K: (n, n) kernel of the training points, symmetric and positive semi-definite.
        Y: (n,) or (n, o) training labels.
        K_test: (m, n) kernel of test with training points.
        Y_test: (m,) or (m, o) test labels.
        ridges: (r,), not negative; 0 takes the pseudo-inverse.

    Returns:
        The path. Cost O(n^3 + n m (n + r o)).

    Raises:
        BadInput: Shapes that do not fit, or a ridge that is negative or not finite.

    Example:
        >>> kernel_ridge_path([[1.0]], [2.0], [[1.0]], [2.0], [0.0, 1.0]).test.tolist()
        [0.0, 1.0]
    """
    kernel, across = np.asarray(K, dtype=np.float64), np.asarray(K_test, dtype=np.float64)
    labels, wanted, deltas = _labels(Y), _labels(Y_test), _ridges(ridges)
    n, m = len(labels), len(wanted)
    if kernel.shape != (n, n) or across.shape != (m, n):
        raise BadInput(f"K {kernel.shape} and K_test {across.shape} do not fit {n} training and {m} test labels")
    values, vectors = eigh(kernel, driver="evd", check_finite=False)
    values = np.where(values > n * np.finfo(float).eps * values[-1], values, 0.0)
    return _path(deltas, values, vectors.T @ labels, np.zeros(1), across @ vectors, wanted, n)


def feature_ridge_path(
    psi: ArrayLike, Y: ArrayLike, psi_test: ArrayLike, Y_test: ArrayLike, ridges: ArrayLike
) -> RidgePath:
    """Errors of ridge regression on features, with K_hat = psi psi' / k and the ridge of the kernel.

    Args:
        psi: (n, k) features of the training points, not divided by their number.
        Y: (n,) or (n, o) training labels.
        psi_test: (m, k) features of the test points.
        Y_test: (m,) or (m, o) test labels.
        ridges: (r,), not negative; 0 is the solution of least norm.

    Returns:
        The path. Cost O(n k min(n, k)): in n dimensions if n <= k, otherwise in k.

    Raises:
        BadInput: Shapes that do not fit, or a ridge that is negative or not finite.

    Example:
        >>> feature_ridge_path([[1.0], [1.0]], [1.0, 3.0], [[1.0]], [2.0], [0.0]).train.round(12).tolist()
        [1.0]
    """
    own, others = np.asarray(psi, dtype=np.float64), np.asarray(psi_test, dtype=np.float64)
    labels, wanted, deltas = _labels(Y), _labels(Y_test), _ridges(ridges)
    n, k = len(labels), own.shape[-1]
    if own.shape != (n, k) or others.shape != (len(wanted), k):
        raise BadInput(f"psi {own.shape} and psi_test {others.shape} do not fit {n} and {len(wanted)} labels")
    if n <= k:
        return kernel_ridge_path(own @ own.T / k, labels, others @ own.T / k, wanted, deltas)
    left, sizes, right = svd(own / np.sqrt(k), full_matrices=False, check_finite=False)
    inside = left.T @ labels
    beyond = np.maximum(0.0, (labels**2).sum(0) - (inside**2).sum(0))
    sizes = np.where(sizes > n * np.finfo(float).eps * sizes[0], sizes, 0.0)
    return _path(deltas, sizes**2, inside, beyond, (others @ right.T) * (sizes / np.sqrt(k)), wanted, n)


def _path(
    deltas: Array, values: Array, inside: Array, beyond: Array, across: Array, wanted: Array, n: int
) -> RidgePath:
    below = values[None] + deltas[:, None]  # (r, n); zero only for the pseudo-inverse
    inverse = np.divide(1.0, below, out=np.zeros_like(below), where=below > 0)
    left = np.where(values > 0, deltas[:, None] * inverse, 1.0)
    train = ((left**2) @ (inside**2) + beyond) / n
    fits = across @ (inverse[:, :, None] * inside).transpose(1, 0, 2).reshape(len(values), -1)
    errors = fits.reshape(len(wanted), len(deltas), -1) - wanted[:, None]
    return RidgePath(deltas, train, (errors**2).mean(0))


def _labels(given: ArrayLike) -> Array:
    labels = np.asarray(given, dtype=np.float64)
    return labels[:, None] if labels.ndim == 1 else labels


def _ridges(given: ArrayLike) -> Array:
    ridges = np.atleast_1d(np.asarray(given, dtype=np.float64))
    if not ((ridges >= 0) & np.isfinite(ridges)).all():
        bad = ridges[~((ridges >= 0) & np.isfinite(ridges))][0]
        raise BadInput(f"ridges holds {bad:g}; give finite numbers that are at least 0")
    return ridges
