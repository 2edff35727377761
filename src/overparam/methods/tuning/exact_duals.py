"""Utility of a task as an exact function of its hyper-parameter: mixed activations and graph kernels.

Both have predictions p(alpha)' G(alpha)^-1 r(alpha) with polynomial entries, so every change of a predicted label is a
real zero of a determinant (`matrix_roots`). Nothing between two breaks can be missed.

Source: the two applications of arXiv 2501.13734, with a trained read-out in closed form; the method is derived here.
"""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput
from overparam.methods.tuning.matrix_roots import matrix_polynomial_roots, sign_changes
from overparam.methods.tuning.piecewise import PiecewiseFunction, check_interval

Array = NDArray[np.float64]


def exact_ridge_interpolation(
    first: ArrayLike,
    second: ArrayLike,
    y: ArrayLike,
    first_val: ArrayLike,
    second_val: ArrayLike,
    y_val: ArrayLike,
    *,
    ridge: float,
    lo: float = 0.0,
    hi: float = 1.0,
) -> PiecewiseFunction:
    """Validation accuracy of a ridge read-out on alpha R + (1 - alpha) S, as a function of alpha.

    Args:
        first: R, (n, m) features with one activation.
        second: S, (n, m) features with the other.
        y: (n,) labels -1 and 1.
        first_val: (v, m).
        second_val: (v, m).
        y_val: (v,) labels -1 and 1.
        ridge: Positive.
        lo: Left end.
        hi: Right end.

    Returns:
        Piecewise constant accuracy with at most 2 v (m + 1) breaks. Cost O(v (2 m)³).

    Raises:
        BadInput: Shapes that do not fit, labels other than -1 and 1, a ridge that is not positive, or bad ends.
    """
    r, s, rv, sv = (np.asarray(v, dtype=np.float64) for v in (first, second, first_val, second_val))
    t, tv = _labels("y", y), _labels("y_val", y_val)
    if r.ndim != 2 or r.shape != s.shape or rv.shape != sv.shape or rv.shape[1:] != r.shape[1:]:
        raise BadInput(f"features have shapes {r.shape}, {s.shape}, {rv.shape}, {sv.shape}; (n, m) and (v, m) needed")
    if t.shape != r.shape[:1] or tv.shape != rv.shape[:1]:
        raise BadInput(f"{t.shape} and {tv.shape} labels for {len(r)} and {len(rv)} examples")
    if not ridge > 0:
        raise BadInput(f"ridge={ridge}: give a positive number")
    check_interval(lo, hi)
    change = r - s
    gram = np.stack([s.T @ s + ridge * np.eye(r.shape[1]), s.T @ change + change.T @ s, change.T @ change])
    target = np.stack([s.T @ t, change.T @ t, np.zeros(r.shape[1])])
    border = np.stack([sv, rv - sv, np.zeros_like(sv)])
    return _accuracy(gram, target, border, tv, lo, hi)


def exact_graph_kernel(
    similarity: ArrayLike, y: ArrayLike, y_unlabelled: ArrayLike, *, degree: int, lo: float, hi: float
) -> PiecewiseFunction:
    """Accuracy of harmonic labels on a graph with weights (S + alpha)^degree, as a function of alpha.

    Args:
        similarity: S, (n, n) symmetric; the first nodes are the labelled ones, the diagonal is ignored.
        y: (l,) labels -1 and 1 of the first nodes.
        y_unlabelled: (n - l,) labels of the others, which are predicted.
        degree: Of the kernel, at least 1.
        lo: Left end; with an odd degree all weights have to be positive there.
        hi: Right end.

    Returns:
        Piecewise constant accuracy with at most (n - l) degree (n - l + 1) breaks. Cost O((n - l) (degree (n - l))³).

    Raises:
        BadInput: Shapes that do not fit, an asymmetric S, other labels, a degree below 1, or negative weights.
    """
    s, t, tu = np.array(similarity, dtype=np.float64), _labels("y", y), _labels("y_unlabelled", y_unlabelled)
    n, known = len(t) + len(tu), len(t)
    if s.shape != (n, n) or not np.allclose(s, s.T, rtol=0, atol=1e-10 * max(1.0, float(np.abs(s).max(initial=0)))):
        raise BadInput(f"similarity has shape {s.shape}; a symmetric matrix for {n} labels is needed")
    if degree < 1:
        raise BadInput(f"degree={degree}: give at least 1")
    check_interval(lo, hi)
    off = ~np.eye(n, dtype=bool)
    if degree % 2 and (s[off] + lo).min() <= 0:
        raise BadInput(
            f"lo={lo:g} makes weights negative with the odd degree {degree}; raise lo above {-s[off].min():g}"
        )
    weights = np.stack([comb(degree, i) * np.where(off, s, 0.0) ** (degree - i) * off for i in range(degree + 1)])
    laplacian = weights.sum(2)[:, :, None] * np.eye(n) - weights
    gram, across = laplacian[:, known:, known:], weights[:, known:, :known]
    border = np.zeros((degree + 1, n - known, n - known))
    border[0] = np.eye(n - known)
    return _accuracy(gram, across @ t, border, tu, lo, hi)


def _labels(name: str, given: ArrayLike) -> Array:
    found = np.asarray(given, dtype=np.float64)
    if found.ndim != 1 or not len(found) or not np.isin(found, (-1.0, 1.0)).all():
        raise BadInput(f"{name} needs labels -1 and 1 in one dimension, at least one")
    return found


def _accuracy(gram: Array, target: Array, border: Array, y: Array, lo: float, hi: float) -> PiecewiseFunction:
    """Accuracy of sign(p_j' G^-1 r) from coefficients G (k+1, m, m), r (k+1, m) and p (k+1, v, m)."""
    degree, m = len(gram) - 1, gram.shape[1]
    matrices = np.zeros((degree + 1, len(y), m + 1, m + 1))
    matrices[:, :, :m, :m] = gram[:, None]
    matrices[:, :, :m, m] = target[:, None]
    matrices[:, :, m, :m] = border
    powers = np.arange(degree + 1)

    def evaluate(alpha: Array, number: NDArray[np.int64]) -> Array:
        scale = alpha[:, None] ** powers
        solved = np.linalg.solve(np.tensordot(scale, gram, axes=1), (scale @ target)[:, :, None])[:, :, 0]
        rows = np.einsum("qk,kqm->qm", scale, border[:, number])
        found: Array = (rows * solved).sum(1)
        return found

    changes, positive = sign_changes(evaluate, matrix_polynomial_roots(matrices, lo, hi), lo, hi)
    right = np.where(positive, 1.0, -1.0) == y
    points = np.concatenate(changes) if changes else np.empty(0)
    # every change turns a right prediction wrong or back
    flips = np.concatenate([
        np.where(np.arange(len(c)) % 2 == 0, -1.0, 1.0) * (2 * w - 1) for c, w in zip(changes, right, strict=True)
    ])
    order = np.argsort(points, kind="stable")
    breaks, first = np.unique(points[order], return_index=True)
    jumps = np.add.reduceat(flips[order], first) if len(breaks) else np.empty(0)
    counts = right.sum() + np.concatenate([[0.0], np.cumsum(jumps)])
    return PiecewiseFunction(breaks, counts / len(y), lo, hi)
