"""Eigenstructure of a learning task: the spectrum of a kernel on data and the labels in its eigenbasis.

From Simon, Karkada, Ghosh and Belkin, arXiv 2311.14646, and the official measuring code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import LinAlgError, cholesky, eigh, solve_triangular

from overparam.errors import BadInput
from overparam.stats import Interval, slope

Array = NDArray[np.float64]
ROUNDING = 1e-8  # relative size of asymmetry and negative eigenvalues that count as rounding


def eigenstructure(K: ArrayLike, Y: ArrayLike) -> tuple[Array, Array]:
    """Decompose labels in the eigenbasis of a kernel matrix.

    lambda_i are the eigenvalues of K / n, phi_i its eigenvectors times sqrt(n), and v_i = phi_i' Y / n, so that
    K = sum_i lambda_i phi_i phi_i' and Y = sum_i v_i phi_i.

    Args:
        K: (n, n) kernel on n points, symmetric and positive semi-definite.
        Y: (n,) or (n, o) labels.

    Returns:
        (n,) eigenvalues, descending, and (n, o) coefficients. Cost O(n^3).

    Raises:
        BadInput: K is not square, not symmetric, indefinite or not finite; Y does not match.

    Source: arXiv 2311.14646, official code.

    Example:
        >>> eigvals, v = eigenstructure(np.diag([3.0, 1.0]), [2.0, 0.0])
        >>> eigvals.tolist(), round(float((v**2).sum()), 12)
        ([1.5, 0.5], 2.0)
    """
    kernel, labels = _checked(K, Y)
    n = len(kernel)
    values, vectors = eigh(kernel, driver="evd", check_finite=False)
    if values[0] < -ROUNDING * max(values[-1], 0.0) or values[-1] <= 0:
        raise BadInput(
            f"K has the eigenvalue {values[0]:.3g} beside {values[-1]:.3g}; a kernel has none below zero: check that "
            "it is one, or add the missing multiple of the identity"
        )
    return np.maximum(values[::-1], 0.0) / n, (vectors[:, ::-1].T @ labels) / math.sqrt(n)


@dataclass(frozen=True)
class ExponentFits:
    """What the exponents were fitted to.

    Attributes:
        sizes: (p,) numbers of samples.
        kappa: (p,) 1 / tr(K_n^-1), geometric mean over trials.
        test: (p,) squared error of the ridgeless predictor on the other points, mean over trials.
        alpha: Interval of alpha from the line through log kappa.
        beta: Interval of beta from the line through log test error.
        r2: Share of variance of each that its line explains.
    """

    sizes: NDArray[np.int64]
    kappa: Array
    test: Array
    alpha: Interval
    beta: Interval
    r2: tuple[float, float]


def estimate_exponents(
    K: ArrayLike, Y: ArrayLike, sizes: Sequence[int], rng: np.random.Generator, *, trials: int = 3
) -> tuple[float, float, ExponentFits]:
    """Measure alpha and beta of a power-law task by how ridgeless kernel regression scales with n.

    kappa(n) = 1 / tr(K_n^-1) falls as n^-alpha and the ridgeless test error as n^-(beta - 1). Eigenvalues and
    coefficients of a finite sample are biased in the tail, where these two are not.

    All sizes of a trial are nested, and one Cholesky factor serves them all: its leading block belongs to the leading
    points, so traces and predictions of every n are cumulative sums.

    Args:
        K: (n, n) kernel, positive definite.
        Y: (n,) or (n, o) labels.
        sizes: At least three numbers of samples, all below n.
        rng: Draws the order of the points.
        trials: Orders to average over.

    Returns:
        alpha, beta and the fits. Cost O(n m^2) a trial for the largest size m.

    Raises:
        BadInput: As in `eigenstructure`, sizes that do not fit, trials below 1, or a singular K.

    Source: arXiv 2311.14646, official code.

    Example:
        >>> x = np.random.default_rng(0).standard_normal((200, 4))
        >>> K = np.exp(-np.linalg.norm(x[:, None] - x, axis=2))
        >>> alpha, beta, fits = estimate_exponents(K, x[:, 0], [20, 40, 80, 160], np.random.default_rng(1))
        >>> alpha > 1, beta > 1, fits.r2[0] > 0.95
        (True, True, True)
    """
    kernel, labels = _checked(K, Y)
    ns = np.unique(np.asarray(sizes, dtype=np.int64))
    if len(ns) < 3 or ns[0] < 1 or ns[-1] >= len(kernel):
        raise BadInput(f"sizes={list(sizes)} do not fit {len(kernel)} points; give three or more between 1 and that")
    if trials < 1:
        raise BadInput(f"trials={trials} gives nothing to average; pass trials>=1")
    pairs = [_ridgeless(kernel, labels, ns, rng.permutation(len(kernel))) for _ in range(trials)]
    kappa = np.exp(np.mean([np.log(p[0]) for p in pairs], axis=0))
    test = np.mean([p[1] for p in pairs], axis=0)
    falls = [_line(ns, kappa), _line(ns, test)]
    alpha, beta = (
        Interval(c - f.estimate, c - f.high, c - f.low, f.n, f.level) for c, (f, _) in zip((0, 1), falls, strict=True)
    )
    fits = ExponentFits(ns, kappa, test, alpha, beta, (falls[0][1], falls[1][1]))
    return alpha.estimate, beta.estimate, fits


def _ridgeless(K: Array, Y: Array, sizes: NDArray[np.int64], order: NDArray[np.int64]) -> tuple[Array, Array]:
    """1 / tr(K_n^-1) and ridgeless test error of every size, on nested samples in the given order."""
    most = int(sizes[-1])
    train, rest = order[:most], order[most:]
    try:
        factor = cholesky(K[np.ix_(train, train)], lower=True, check_finite=False)
    except LinAlgError:
        raise BadInput("K is singular on a sample, as with points that occur twice; keep one of each") from None
    inverse = solve_triangular(factor, np.eye(most), lower=True, check_finite=False)
    trace = np.cumsum(np.einsum("ij,ij->i", inverse, inverse))[sizes - 1]
    weights = inverse @ Y[train]
    across = K[np.ix_(rest, train)] @ inverse.T
    left, at = Y[rest].copy(), 0
    test = np.empty(len(sizes))
    for i, n in enumerate(sizes):
        left -= across[:, at:n] @ weights[at:n]
        at = int(n)
        test[i] = (left**2).sum(1).mean()
    return 1 / trace, test


def _line(sizes: NDArray[np.int64], values: Array) -> tuple[Interval, float]:
    x, y = np.log(sizes), np.log(values)
    found = slope(x, y)
    return found, float(np.corrcoef(x, y)[0, 1] ** 2)


def _checked(K: ArrayLike, Y: ArrayLike) -> tuple[Array, Array]:
    kernel, labels = np.asarray(K, dtype=np.float64), np.asarray(Y, dtype=np.float64)
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or not kernel.size:
        raise BadInput(f"K has shape {kernel.shape}; give a square kernel matrix")
    labels = labels[:, None] if labels.ndim == 1 else labels
    if labels.ndim != 2 or len(labels) != len(kernel):
        raise BadInput(f"Y has shape {labels.shape} for {len(kernel)} points; give one row of labels a point")
    for name, values in (("K", kernel), ("Y", labels)):
        if not np.isfinite(values).all():
            raise BadInput(f"{name} has numbers that are not finite; leave those points out")
    gap = float(np.abs(kernel - kernel.T).max())
    if gap > ROUNDING * float(np.abs(kernel).max()):
        raise BadInput(f"K differs from its transpose by up to {gap:.3g}; a kernel matrix is symmetric")
    return kernel, labels
