"""Smooth utilities of one hyper-parameter: all local maxima by Chebyshev interpolation.

Source: arXiv 2501.13734, where training objective and utility are the same; here that of a ridge regression.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial.chebyshev import Chebyshev
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput
from overparam.methods.tuning.piecewise import Maximum, check_interval

Array = NDArray[np.float64]


def ridge_objective(first: ArrayLike, second: ArrayLike, y: ArrayLike, *, ridge: float) -> Callable[[Array], Array]:
    """Best value of the objective itself: u(alpha) = -min_w |F w - y|² + ridge |w|² with F = alpha R + (1 - alpha) S.

    It equals -y' (I + F F'/ridge)^-1 y, a rational function of alpha of degree at most 2 min(n, m).

    Args:
        first: R, (n, m).
        second: S, (n, m).
        y: (n,).
        ridge: Positive.

    Returns:
        A function from alphas (q,) to values (q,).

    Raises:
        BadInput: Shapes that do not fit or a ridge that is not positive.
    """
    r, s, t = (np.asarray(v, dtype=np.float64) for v in (first, second, y))
    if r.ndim != 2 or r.shape != s.shape or t.shape != r.shape[:1]:
        raise BadInput(f"R {r.shape}, S {s.shape}, y {t.shape}: (n, m) twice and (n,) are needed")
    if not ridge > 0:
        raise BadInput(f"ridge={ridge}: give a positive number")

    def value(alpha: Array) -> Array:
        features = s + np.asarray(alpha)[:, None, None] * (r - s)
        matrix = np.eye(len(t)) + features @ features.swapaxes(1, 2) / ridge
        found: Array = -(
            t * np.linalg.solve(matrix, np.broadcast_to(t[:, None], (len(matrix), len(t), 1)))[..., 0]
        ).sum(1)
        return found

    return value


def smooth_maximum(
    function: Callable[[Array], ArrayLike], lo: float, hi: float, *, most: int = 1_024
) -> tuple[Maximum, Array]:
    """Find the maximum and all inner local maxima of a smooth function.

    The degree of the interpolant doubles until its last coefficients vanish.

    Args:
        function: Takes alphas (q,), returns values (q,).
        lo: Left end.
        hi: Right end.
        most: Degree at which to give up.

    Returns:
        The maximum, and the inner local maxima (c,).

    Raises:
        BadInput: Bad ends, values that are not finite, or a function that is not smooth at degree `most`.

    Example:
        >>> best, local = smooth_maximum(lambda a: np.sin(3 * a) - 0.1 * a, 0.0, 6.0)
        >>> round(best.alpha, 6), local.round(4).tolist()
        (0.512486, [0.5125, 2.6069, 4.7013])
    """
    check_interval(lo, hi)
    degree = 16
    while True:
        fit = Chebyshev.interpolate(lambda a: np.asarray(function(a), dtype=np.float64), degree, domain=[lo, hi])
        if not np.isfinite(fit.coef).all():
            raise BadInput("the function has values that are not finite")
        if np.abs(fit.coef[-degree // 8 :]).max() <= 1e-11 * np.abs(fit.coef).max():
            break
        if degree >= most:
            raise BadInput(f"the function is not smooth: degree {degree} does not represent it")
        degree *= 2
    slope = fit.deriv()
    roots = slope.roots()
    real = np.sort(roots.real[(np.abs(roots.imag) < 1e-6 * (hi - lo)) & (roots.real > lo) & (roots.real < hi)])
    local = real[slope.deriv()(real) < 0]
    points = np.concatenate([[lo], local, [hi]])
    values = fit(points)
    best = float(points[values.argmax()])
    return Maximum(float(values.max()), ((best, best),), best), local
