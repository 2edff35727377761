"""Kernels of infinitely wide fully connected ReLU networks, with the arc-cosine moments that they are made of.

Weights are N(0, 1/fan-in) and there are no biases, as in the kernels of arXiv 2311.14646, so every ReLU halves the
variance. Another scale of the weights multiplies the kernel by a constant, and with it the matching ridge.

Sources: Cho and Saul 2009 for the moments; Lee et al., arXiv 1711.00165, and Jacot et al., arXiv 1806.07572, for the
recursions.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput

Array = NDArray[np.float64]


def relu_moments(cosine: ArrayLike) -> tuple[Array, Array]:
    """Moments of two standard normal variables u, v of correlation c, each behind a ReLU.

    kappa1 = E[relu(u) relu(v)] = (sqrt(1 - c^2) + (pi - arccos c) c) / (2 pi), and
    kappa0 = E[relu'(u) relu'(v)] = (pi - arccos c) / (2 pi), the derivative of kappa1 in c.

    Args:
        cosine: Correlations of any shape; what rounding carries beyond -1 or 1 is clipped.

    Returns:
        kappa1 and kappa0, both between 0 and 1/2 and of the shape of `cosine`.

    Source: Cho and Saul 2009, arc-cosine kernels of order 1 and 0, with a factor 1/2 each.

    Example:
        >>> [moment.round(4).tolist() for moment in relu_moments([-1.0, 0.0, 1.0])]
        [[0.0, 0.1592, 0.5], [0.0, 0.25, 0.5]]
    """
    c = np.clip(np.asarray(cosine, dtype=np.float64), -1.0, 1.0)
    angle = np.pi - np.arccos(c)
    return (np.sqrt((1.0 - c) * (1.0 + c)) + angle * c) / (2 * np.pi), angle / (2 * np.pi)


def arccos_nngp(X: ArrayLike, Z: ArrayLike, depth: int = 1) -> Array:
    """Covariance of the outputs of a random ReLU network of infinite width.

    K_0 = X Z' / d and K_l = |x|_{l-1} |z|_{l-1} kappa1(cosine of K_{l-1}), where |x|_l^2 = |x|^2 / (d 2^l). For
    depth 1 this is E_w[relu(w.x) relu(w.z)] with w ~ N(0, I/d): the kernel of random ReLU features.

    Args:
        X: (n, d) points.
        Z: (m, d) points.
        depth: Hidden layers, at least 1.

    Returns:
        (n, m) kernel. Memory 8 n m bytes times about five.

    Raises:
        BadInput: Shapes that do not match, numbers that are not finite, or a depth below 1.

    Source: arXiv 2311.14646, `fc1` of the official kernels for depth 1.

    Example:
        >>> arccos_nngp([[3.0, 4.0]], [[6.0, 8.0], [-6.0, -8.0]]).tolist()
        [[12.5, 0.0]]
    """
    return _kernels(X, Z, depth)[0]


def fc_ntk(X: ArrayLike, Z: ArrayLike, depth: int = 1) -> Array:
    """Neural tangent kernel of a fully connected ReLU network of infinite width, all layers trained.

    Theta_0 = K_0 and Theta_l = K_l + Theta_{l-1} kappa0(cosine of K_{l-1}), with K_l of `arccos_nngp`.

    Args:
        X: (n, d) points.
        Z: (m, d) points.
        depth: Hidden layers, at least 1.

    Returns:
        (n, m) kernel. Memory 8 n m bytes times about five.

    Raises:
        BadInput: Shapes that do not match, numbers that are not finite, or a depth below 1.

    Source: arXiv 1806.07572, theorem 1.

    Example:
        >>> fc_ntk([[1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]).round(4).tolist()
        [[0.5, 0.0796]]
    """
    return _kernels(X, Z, depth)[1]


def _kernels(X: ArrayLike, Z: ArrayLike, depth: int) -> tuple[Array, Array]:
    x, z = _points("X", X), _points("Z", Z)
    if x.shape[1] != z.shape[1]:
        raise BadInput(f"X has {x.shape[1]} columns and Z {z.shape[1]}; points need the same features")
    if depth < 1:
        raise BadInput(f"depth={depth} gives no hidden layer; pass depth>=1")
    lengths = np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(z, axis=1))
    cosine = np.divide(x @ z.T, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    tangent = cosine  # in units of the product of both lengths over d, of which each layer keeps half
    for _ in range(depth):
        kappa1, kappa0 = relu_moments(cosine)
        cosine, tangent = 2 * kappa1, 2 * (kappa1 + kappa0 * tangent)
    scale = lengths / x.shape[1] * math.ldexp(1.0, -depth)
    return cosine * scale, tangent * scale


def _points(name: str, given: ArrayLike) -> Array:
    points = np.asarray(given, dtype=np.float64)
    if points.ndim != 2 or not points.size:
        raise BadInput(f"{name} has shape {points.shape}; give points as (n, d)")
    if not np.isfinite(points).all():
        raise BadInput(f"{name} has numbers that are not finite; leave those points out")
    return points
