"""Rates of convergence: exponential against power law, fitted to an error curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput
from overparam.stats import Interval, slope


@dataclass(frozen=True)
class Rate:
    """A fitted rate.

    Attributes:
        slope: Of log error on the step (`exp`) or on the log of the step (`power`), with its 95 % interval.
        r2: Share of the variance of log error that the line explains.
        aic: Akaike's criterion of the line under normal errors; smaller is better.
    """

    slope: Interval
    r2: float
    aic: float


def fit_rate(
    steps: ArrayLike,
    error: ArrayLike,
    kind: Literal["exp", "power"],
    *,
    steps_within: tuple[float, float] = (1, math.inf),
    error_within: tuple[float, float] = (0.0, math.inf),
) -> Rate:
    """Fit log error = a + b t (`exp`) or a + b log t (`power`) inside a window.

    Args:
        steps: (n,), not negative.
        error: (n,), positive where it is used.
        kind: Which law.
        steps_within: Steps to use.
        error_within: Errors to use: leave out the time before the asymptotic regime, and the floor of rounding.

    Returns:
        Slope b, explained share and AIC.

    Raises:
        BadInput: An unknown kind, or fewer than three points in the window.

    Example:
        >>> t = np.arange(1, 50)
        >>> round(fit_rate(t, 3.0 * t**-2.0, "power").slope.estimate, 6)
        -2.0
    """
    if kind not in ("exp", "power"):
        raise BadInput(f"kind={kind!r} is unknown; give 'exp' or 'power'")
    t, e = np.asarray(steps, dtype=np.float64), np.asarray(error, dtype=np.float64)
    keep = (t >= steps_within[0]) & (t <= steps_within[1]) & (e > max(0.0, error_within[0])) & (e <= error_within[1])
    if keep.sum() < 3:
        raise BadInput(f"the window holds {int(keep.sum())} of {len(t)} points; widen steps_within or error_within")
    x: NDArray[np.float64] = t[keep] if kind == "exp" else np.log(t[keep])
    y = np.log(e[keep])
    line = slope(x, y)
    residual = y - y.mean() - line.estimate * (x - x.mean())
    rest, total = float(residual @ residual), float(((y - y.mean()) ** 2).sum())
    aic = len(x) * math.log(max(rest, 1e-300) / len(x)) + 4
    return Rate(line, 1 - rest / total if total else 1.0, aic)


def compare_rates(
    steps: ArrayLike,
    error: ArrayLike,
    *,
    steps_within: tuple[float, float] = (1, math.inf),
    error_within: tuple[float, float] = (0.0, math.inf),
) -> float:
    """Compare both laws on the same window.

    Args:
        steps: (n,).
        error: (n,).
        steps_within: Steps to use.
        error_within: Errors to use.

    Returns:
        AIC of the power law minus AIC of the exponential, per point: positive where the exponential fits better.

    Raises:
        BadInput: Fewer than three points in the window.

    Example:
        >>> t = np.arange(1, 50)
        >>> compare_rates(t, np.exp(-0.1 * t)) > 0, compare_rates(t, 1.0 / t) > 0
        (True, False)
    """
    window = {"steps_within": steps_within, "error_within": error_within}
    exponential = fit_rate(steps, error, "exp", **window)
    power = fit_rate(steps, error, "power", **window)
    return (power.aic - exponential.aic) / exponential.slope.n
