"""Error as a sum of two power laws, one in each kind of example: E(m, n) = a m^-p + b n^-q.

Source: arXiv 2303.01566, whose bound has p = q = 1/2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from overparam.errors import BadInput
from overparam.stats import Interval

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AdditiveRate:
    """A fitted sum of power laws.

    Attributes:
        a: Factor of the first term.
        p: Exponent in the unlabelled examples, with its bootstrap interval.
        b: Factor of the second term.
        q: Exponent in the labelled examples, with its bootstrap interval.
    """

    a: float
    p: Interval
    b: float
    q: Interval


def fit_additive_rate(
    m: ArrayLike, n: ArrayLike, error: ArrayLike, *, level: float = 0.95, resamples: int = 200, seed: int = 0
) -> AdditiveRate:
    """Fit a m^-p + b n^-q to a surface of errors, by least squares of logarithms.

    The mean over seeds is fitted; intervals come from drawing seeds with replacement.

    Args:
        m: (cells,) unlabelled examples, positive.
        n: (cells,) labelled examples, positive.
        error: (cells, seeds), positive.
        level: Of the intervals.
        resamples: Bootstrap draws.
        seed: Of the bootstrap.

    Returns:
        Factors and exponents.

    Raises:
        BadInput: Shapes that do not fit, fewer than 5 cells, a single m or n, or an error that is not positive.

    Example:
        >>> m, n = (v.ravel() for v in np.meshgrid([10.0, 100, 1000], [5.0, 20, 80]))
        >>> found = fit_additive_rate(m, n, (2 / m + n**-0.5)[:, None] * np.ones(3), resamples=10)
        >>> round(found.p.estimate, 3), round(found.q.estimate, 3)
        (1.0, 0.5)
    """
    x, y, e = np.asarray(m, np.float64), np.asarray(n, np.float64), np.asarray(error, np.float64)
    if x.ndim != 1 or x.shape != y.shape or e.shape[:1] != x.shape or e.ndim != 2:
        raise BadInput(f"m {x.shape}, n {y.shape}, error {e.shape}: (cells,), (cells,) and (cells, seeds) are needed")
    if len(x) < 5 or len(set(x)) < 2 or len(set(y)) < 2:
        raise BadInput(f"{len(x)} cells; four numbers need at least 5, with two values of both m and n")
    if not ((x > 0).all() and (y > 0).all() and np.isfinite(e).all() and (e > 0).all()):
        raise BadInput("m, n and error have to be positive and finite")
    logs = np.log(x), np.log(y)
    best = _fit(*logs, np.log(e.mean(1)), np.array([np.log(e.mean()), 0.7, np.log(e.mean()), 0.7]))
    rng = np.random.default_rng(seed)
    draws = [
        _fit(*logs, np.log(e[:, rng.integers(e.shape[1], size=e.shape[1])].mean(1)), best) for _ in range(resamples)
    ]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    p, q = (Interval(float(best[i]), float(low[i]), float(high[i]), e.shape[1], level) for i in (1, 3))
    return AdditiveRate(float(np.exp(best[0])), p, float(np.exp(best[2])), q)


def _fit(log_m: Array, log_n: Array, log_error: Array, start: Array) -> Array:
    def residual(w: Array) -> Array:
        found: Array = np.logaddexp(w[0] - w[1] * log_m, w[2] - w[3] * log_n) - log_error
        return found

    found: Array = least_squares(residual, start).x
    return found
