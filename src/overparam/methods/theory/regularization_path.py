"""The regularisation path of attention weights: the best weights in balls of growing radius.

Its limit direction is the machine of `attention_svm`: Frobenius for balls of that norm, which is what ridge on W
amounts to, and nuclear for ridge on K and Q. From Ataee Tarzanagh, Li, Thrampoulidis and Oymak, arXiv
2308.16898.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from overparam.errors import BadInput
from overparam.methods.theory.attention_svm import Array, Norm
from overparam.methods.theory.attention_training import attention_gradient, check_batch, normalised

TIED = 1e-12  # losses that agree to this part count as equal


@dataclass(frozen=True)
class RegularizationPath:
    """Constrained optima over growing radii.

    Attributes:
        radii: (k,).
        weights: (k, r, d, q), with the smallest loss that was found.
        loss: (k, r).
    """

    radii: Array
    weights: Array
    loss: Array


def regularization_path(
    X: ArrayLike,
    Y: ArrayLike,
    z: ArrayLike,
    v: Array,
    *,
    radii: Sequence[float],
    norm: Norm = "fro",
    steps: int = 600,
    starts: Sequence[Array] = (),
) -> RegularizationPath:
    """Minimise the loss over ||W|| <= R for growing R, each radius from the optimum of the one before.

    Projected descent with normalised steps of length R / 4 (1 + k)^-0.7: beyond a margin of about 36 the loss is
    constant in double precision, so no line search can follow it. The problem is not convex: at each radius the
    descent also begins from every given start, and the smallest loss is kept; among equal ones the continued path
    comes first.

    Args:
        X: (r, n, T, d) tokens.
        Y: (r, n) labels.
        z: (r, n, q) queries.
        v: (r, d) heads.
        radii: Ascending, positive.
        norm: `fro` or `nuc`.
        steps: Steps at each radius.
        starts: Each (r, d, q), scaled to each radius; the path itself begins from W = 0.

    Returns:
        The path.

    Raises:
        BadInput: Data that do not fit, radii that are not positive and ascending, steps below one, an unknown norm,
            or a start of another shape.

    Source: arXiv 2308.16898, regularisation path.
    """
    tokens, labels, queries = check_batch(X, Y, z, v)
    r, _, _, d = tokens.shape
    shape = (r, d, queries.shape[-1])
    edges = np.asarray(radii, dtype=np.float64)
    if not len(edges) or not (edges > 0).all() or not (np.diff(edges) > 0).all() or steps < 1:
        raise BadInput(f"radii={list(radii)}, steps={steps}: give positive ascending radii and steps >= 1")
    if norm not in ("fro", "nuc") or any(s.shape != shape for s in starts):
        raise BadInput(f"norm={norm!r}, starts {[s.shape for s in starts]}: give fro or nuc, and starts of {shape}")
    project = project_frobenius if norm == "fro" else project_nuclear
    fresh = [normalised(s) for s in starts]
    many = 1 + len(fresh)
    x, y, q, head = (np.concatenate([a] * many) for a in (tokens, labels, queries, v))
    own, best = np.arange(r), np.zeros(shape)
    found, losses = [], []
    for before, radius in zip([edges[0], *edges], edges, strict=False):
        W = project(np.concatenate([best * (radius / before), *(radius * s for s in fresh)]), radius)
        for k in range(steps):
            gradient, _, _ = attention_gradient(x, y, q, head, W)
            W = project(W - radius / 4 / (1 + k) ** 0.7 * normalised(gradient), radius)
        table = attention_gradient(x, y, q, head, W)[2].reshape(many, r)
        first = (table <= table.min(0) * (1 + TIED)).argmax(0)
        best = W.reshape(many, *shape)[first, own]
        found.append(best)
        losses.append(table[first, own])
    return RegularizationPath(edges, np.stack(found), np.stack(losses))


def project_frobenius(W: Array, radius: float) -> Array:
    """Nearest matrices of Frobenius norm at most R.

    Args:
        W: (r, d, q).
        radius: R, positive.

    Returns:
        (r, d, q).
    """
    length = np.linalg.norm(W, axis=(1, 2), keepdims=True)
    return np.asarray(W * np.minimum(1.0, radius / np.maximum(length, radius)))


def project_nuclear(W: Array, radius: float) -> Array:
    """Nearest matrices of nuclear norm at most R: singular values are projected on the simplex of that size.

    Args:
        W: (r, d, q).
        radius: R, positive.

    Returns:
        (r, d, q).

    Example:
        >>> project_nuclear(np.diag([3.0, 1.0])[None], 2.0)[0].round(12).tolist()
        [[2.0, 0.0], [0.0, 0.0]]
    """
    left, s, right = np.linalg.svd(W, full_matrices=False)
    sums = np.cumsum(s, -1) - radius  # descending, as the projection needs them
    count = np.arange(1, s.shape[-1] + 1)
    last = (s * count > sums).sum(-1, keepdims=True) - 1
    cut = np.maximum(np.take_along_axis(sums, last, -1) / (last + 1), 0.0)
    return np.asarray((left * np.maximum(s - cut, 0.0)[:, None]) @ right)
