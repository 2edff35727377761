"""One direction of a deep linear network: the product of D weights that start small and alike.

From Advani and Saxe, High-dimensional dynamics of generalization error in neural networks (arXiv 1710.03667), after
Saxe, McClelland and Ganguli (arXiv 1312.6120). In the direction of an eigenvalue l of the inputs the product u of D
equal weights follows du/dt = D u^(2 - 2/D) (s - l u): the same end as a single layer, reached later from small weights.

Departure: the reduction is reconstructed for layers that start aligned and balanced, and u keeps the sign of s / l.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicHermiteSpline

from overparam.errors import BadInput

Array = NDArray[np.float64]
CLOSE = 45.0  # log odds at which the rest is below rounding
POINTS_A_UNIT = 60


def deep_linear_mode(t: ArrayLike, eigenvalue: ArrayLike, target: ArrayLike, *, start: float, depth: int) -> Array:
    """Return the strength u(t) of directions in a linear network of D layers.

    With v = u / target the equation separates: the integral of dv / (v^c (1 - v)), c = 2 - 2/D, grows linearly in time.
    It is tabulated in the log odds of v and inverted by cubic interpolation, to about 1e-6; D = 1, 2 are closed forms.

    Args:
        t: (T,) times, not negative and finite.
        eigenvalue: (r,), positive.
        target: (r,), the end s / l of the descent, of any sign.
        start: Size of the product at time 0, positive; below |target| for each direction that learns.
        depth: Number of layers D.

    Returns:
        (T, r). A direction whose target is smaller than `start` shrinks to it.

    Raises:
        BadInput: Times, eigenvalues, start or depth out of range, or lengths that differ.

    Source: arXiv 1710.03667, section on deep linear networks (reconstructed).

    Example:
        >>> deep_linear_mode([0.0, 5.0, 50.0], [1.0], [2.0], start=0.001, depth=2).round(4).ravel().tolist()
        [0.001, 2.0, 2.0]
    """
    times, rate, end = (np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (t, eigenvalue, target))
    if not (np.isfinite(times) & (times >= 0)).all() or times.ndim != 1:
        raise BadInput(f"t of shape {times.shape}: pass a vector of finite times from 0 on")
    if rate.shape != end.shape or rate.ndim != 1 or not (rate > 0).all() or not np.isfinite(end).all():
        raise BadInput(
            f"eigenvalue of shape {rate.shape}, target of shape {end.shape}: pass equal lengths, positive values"
        )
    if depth < 1 or not 0 < start < math.inf:
        raise BadInput(f"depth={depth}, start={start}: pass at least one layer and a positive start")
    size = np.maximum(np.abs(end), 1e-12)
    power = 2 - 2 / depth
    clock = times[:, None] * depth * rate * size**power
    begin = start / size
    if depth == 1:
        share = 1 + (begin - 1) * np.exp(-clock)
    else:
        share = np.where(begin < 1, _rising(clock, np.minimum(begin, 1 - 1e-15), depth), 1.0)
        share = np.where(begin > 1, _falling(clock, np.maximum(begin, 1 + 1e-15), depth), share)
    return np.sign(end) * size * share


def _rising(clock: Array, begin: Array, depth: int) -> Array:
    odds = np.log(begin) - np.log1p(-begin)
    if depth == 2:
        return 1 / (1 + np.exp(-(odds + clock)))
    exponent = 2 / depth - 1
    x = _travel(odds, clock, lambda x: np.exp(-exponent * np.logaddexp(0.0, -x)))
    return 1 / (1 + np.exp(-x))


def _falling(clock: Array, begin: Array, depth: int) -> Array:
    """The same from above, in x = log(v / (v - 1))."""
    gap = -np.log1p(-1 / begin)
    if depth == 2:
        return -1 / np.expm1(-(gap + clock))
    exponent = 2 / depth - 1
    x = _travel(gap, clock, lambda x: (-np.expm1(-x)) ** -exponent)
    return -1 / np.expm1(-x)


def _travel(first: Array, clock: Array, speed: Callable[[Array], Array]) -> Array:
    """Solve integral of speed from first to x = clock, for all directions."""
    low = float(first.min())
    grid = np.linspace(low, max(CLOSE, low + 1), math.ceil(POINTS_A_UNIT * (max(CLOSE, low + 1) - low)) + 1)
    middle = (grid[1:] + grid[:-1]) / 2
    slope = speed(grid)
    pieces = np.diff(grid) * (slope[1:] + slope[:-1] + 4 * speed(middle)) / 6
    passed = np.concatenate([[0.0], np.cumsum(pieces)])
    ahead, back = CubicHermiteSpline(grid, passed, slope), CubicHermiteSpline(passed, grid, 1 / slope)
    goal = ahead(np.minimum(first, grid[-1])) + clock
    return np.asarray(back(np.minimum(goal, passed[-1])))
