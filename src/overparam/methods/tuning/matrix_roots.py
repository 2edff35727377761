"""Real zeros of the determinant of a matrix polynomial: where a prediction changes sign.

If f(alpha) = p(alpha)' G(alpha)^-1 r(alpha) with polynomial entries and G positive definite, then det [[G, r], [p', 0]]
is -f det G (Schur complement), so f changes sign only at real zeros of that determinant.

Derived here; used for the dual functions of arXiv 2501.13734.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize.elementwise import find_root

from overparam.errors import BadInput

Array = NDArray[np.float64]


def matrix_polynomial_roots(
    coefficients: Sequence[ArrayLike] | Array, lo: float, hi: float, *, imaginary: float = 1e-7
) -> list[Array]:
    """Find the real zeros in (lo, hi) of det(C_0 + C_1 alpha + ... + C_k alpha^k), for many polynomials at once.

    With alpha = c + 1/mu the reversed polynomial has the invertible leading coefficient M(c), so its block companion
    matrix gives an ordinary eigenproblem of size k m. Cost O(batch (k m)³).

    Args:
        coefficients: (k + 1, ..., m, m) in rising powers; axes between are a batch.
        lo: Left end.
        hi: Right end.
        imaginary: Largest imaginary part, relative to the interval, of what counts as real.

    Returns:
        Sorted zeros of each polynomial of the batch, in its flat order. Zeros of even multiplicity are included.

    Raises:
        BadInput: No square matrices, a constant polynomial, lo >= hi, or values that are not finite.

    Example:
        >>> matrix_polynomial_roots([[[-0.25]], [[0.0]], [[1.0]]], 0.0, 1.0)[0].round(12).tolist()
        [0.5]
    """
    given = np.asarray(coefficients, dtype=np.float64)
    if given.ndim < 3 or given.shape[-1] != given.shape[-2] or len(given) < 2:
        raise BadInput(f"coefficients have shape {given.shape}; at least two square matrices of one size are needed")
    if not np.isfinite(given).all():
        raise BadInput("coefficients have to be finite")
    if not lo < hi:
        raise BadInput(f"lo={lo}, hi={hi}: give lo < hi")
    degree, m = len(given) - 1, given.shape[-1]
    flat = given.reshape(degree + 1, -1, m, m)
    centre = _centre(flat, lo, hi)
    shifted = [sum(comb(i, j) * centre ** (i - j) * flat[i] for i in range(j, degree + 1)) for j in range(degree + 1)]
    companion = np.zeros((flat.shape[1], degree * m, degree * m))
    for j in range(1, degree + 1):  # mu^k M(c) + mu^(k-1) C_1 + ... + C_k
        companion[:, :m, (j - 1) * m : j * m] = -np.linalg.solve(shifted[0], shifted[j])
    rows = np.arange((degree - 1) * m)
    companion[:, rows + m, rows] = 1.0
    mu = np.linalg.eigvals(companion)
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha = centre + 1 / mu
        real = np.abs(alpha.imag) <= imaginary * (hi - lo)
    inside = real & (alpha.real > lo) & (alpha.real < hi)
    return [np.sort(a.real[keep]) for a, keep in zip(alpha, inside, strict=True)]


def _centre(flat: Array, lo: float, hi: float) -> float:
    """Choose the point of expansion at which the worst matrix is best conditioned, among a few."""
    powers = np.arange(len(flat))
    candidates = lo + (hi - lo) * np.array([0.381966, 0.618034, 0.14159, 0.857])

    def worst(c: float) -> float:
        return float(np.linalg.cond(np.tensordot(c**powers, flat, axes=1)).max())

    return float(min(candidates, key=worst)) if len(flat[0]) <= 4 else float(candidates[0])


def sign_changes(
    evaluate: Callable[[Array, NDArray[np.int64]], Array], candidates: Sequence[Array], lo: float, hi: float
) -> tuple[list[Array], NDArray[np.bool_]]:
    """Keep the candidates where functions really change sign, and polish them.

    Between neighbouring candidates a function has one sign, so midpoints tell; each change is then bracketed by two of
    them. Zeros that only touch drop out.

    Args:
        evaluate: Takes points (q,) and function numbers (q,), returns values (q,).
        candidates: Sorted candidate zeros of each function; all its zeros in (lo, hi) are among them.
        lo: Left end.
        hi: Right end.

    Returns:
        Sorted sign changes of each function, and whether it is positive left of the first.
    """
    numbers = np.repeat(np.arange(len(candidates)), [len(c) + 1 for c in candidates])
    edges = [np.concatenate([[lo], c, [hi]]) for c in candidates]
    middles = np.concatenate([0.5 * (e[1:] + e[:-1]) for e in edges])
    positive = evaluate(middles, numbers) > 0
    change = np.flatnonzero((positive[1:] != positive[:-1]) & (numbers[1:] == numbers[:-1]))
    found = (
        find_root(evaluate, (middles[change], middles[change + 1]), args=(numbers[change],)).x
        if len(change)
        else change
    )
    own = numbers[change]
    starts = np.searchsorted(numbers, np.arange(len(candidates)))
    return [np.sort(np.asarray(found, np.float64)[own == j]) for j in range(len(candidates))], positive[starts]
