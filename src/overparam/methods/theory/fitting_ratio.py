"""How far to fit: the best ratio of train to test error of kernel regression on a power-law spectrum.

Eigenvalues lambda_i = i^-alpha, squared coefficients v_i^2 = i^-beta, i = 1, 2, ... without end. R is train error over
test error, and relative noise is the variance of the label noise over the test error of interpolating clean labels.

The closed forms are the limit of many samples; `finite_fitting_curve` gives the same at a finite number of them, with
the infinite sums taken to rounding. From Simon, Karkada, Ghosh and Belkin, arXiv 2311.14646; the closed form was
derived anew for this module.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import zeta

from overparam.errors import BadInput

Array = NDArray[np.float64]
TERMS = 30  # of the series beyond the head, whose ratio is at most a quarter


def optimal_fitting_ratio(alpha: float, beta: float, noise_rel: float = 0.0) -> float:
    """Return the ratio R* of train to test error at which test error is least.

    w = sqrt(R*) solves beta - alpha + (alpha - 1) beta w = alpha (alpha - 1) s (1 - w)^beta; R* = 0, which is to
    interpolate, where s <= (beta - alpha) / (alpha (alpha - 1)).

    Args:
        alpha: Exponent of the spectrum, above 1.
        beta: Exponent of the target, between 1 and 2 alpha + 1.
        noise_rel: s, relative noise, not negative.

    Returns:
        R* in [0, 1).

    Raises:
        BadInput: An exponent or the noise out of range.

    Source: arXiv 2311.14646, theorem on the optimal fitting ratio.

    Example:
        >>> optimal_fitting_ratio(1.5, 2.0, 0.5)
        0.0
        >>> round(optimal_fitting_ratio(2.0, 2.5, 5.0), 4)
        0.2516
    """
    _check(alpha, beta, noise_rel)

    def slope(w: float) -> float:
        pull = alpha * (alpha - 1) * noise_rel * math.pow(1 - w, beta)
        return beta - alpha + (alpha - 1) * beta * w - pull

    return float(brentq(slope, 0.0, 1.0, xtol=1e-15)) ** 2 if slope(0.0) < 0 else 0.0


def fitting_curve(ratio: ArrayLike, alpha: float, beta: float, noise_rel: float = 0.0) -> Array:
    """Test error at a fitting ratio, over the test error of interpolating clean labels.

    E(R) = [(1 - w)^(1 - beta) + alpha s] / [1 + (alpha - 1) w] with w = sqrt(R).

    Args:
        ratio: R in [0, 1), any shape.
        alpha: Exponent of the spectrum, above 1.
        beta: Exponent of the target, between 1 and 2 alpha + 1.
        noise_rel: s, relative noise, not negative.

    Returns:
        E(R), the noise on test labels included; E(0) = 1 without noise.

    Raises:
        BadInput: A ratio outside [0, 1), or as in `optimal_fitting_ratio`.

    Source: arXiv 2311.14646, the curve behind that theorem.

    Example:
        >>> fitting_curve([0.0, 0.25], 2.0, 2.0).round(4).tolist()
        [1.0, 1.3333]
    """
    _check(alpha, beta, noise_rel)
    r = np.asarray(ratio, dtype=np.float64)
    if not ((r >= 0) & (r < 1)).all():
        raise BadInput("ratio has values outside [0, 1); train error stays below test error")
    w = np.sqrt(r)
    return np.asarray(((1 - w) ** (1 - beta) + alpha * noise_rel) / (1 + (alpha - 1) * w))


@dataclass(frozen=True)
class FiniteCurve:
    """The fitting curve at a finite number of samples.

    Attributes:
        ratio: (p,) train error over test error, ascending from 0.
        risk: (p,) test error over that of interpolating clean labels.
        best_ratio: Ratio at the least test error over all ridges >= 0.
        best_risk: That test error, in the same unit.
    """

    ratio: Array
    risk: Array
    best_ratio: float
    best_risk: float


def finite_fitting_curve(
    alpha: float, beta: float, noise_rel: float = 0.0, *, n: int, points: int = 100
) -> FiniteCurve:
    """Compute the curve from the eigenframework with all infinitely many modes.

    The modes up to an index where the eigenvalue is a quarter of kappa are summed one by one. Beyond, 1/(1 + x) and
    1/(1 + x)^2 are expanded in x = lambda_i / kappa, and every power sums to a Hurwitz zeta function.

    Args:
        alpha: Exponent of the spectrum, above 1.
        beta: Exponent of the target, between 1 and 2 alpha + 1.
        noise_rel: s, relative noise, not negative.
        n: Samples, at least 1. Cost O(n) for a point.
        points: Points of the curve, evenly spaced in log kappa.

    Returns:
        Curve and optimum.

    Raises:
        BadInput: As in `optimal_fitting_ratio`, or n < 1.

    Source: arXiv 2311.14646, eigenframework of kernel regression.

    Example:
        >>> round(finite_fitting_curve(2.0, 2.5, 5.0, n=1000).best_ratio, 4)
        0.2517
    """
    _check(alpha, beta, noise_rel)
    if n < 1:
        raise BadInput(f"n={n} is no number of samples; pass n>=1")
    guess = math.log((math.pi / alpha / math.sin(math.pi / alpha) / n) ** alpha)
    modes = _Modes(alpha, beta, math.exp(guess - 3.0))
    start = float(brentq(lambda u: modes.sums(math.exp(u))[0] - n, guess - 3.0, guess + 40.0, xtol=1e-14))

    def errors(offset: float, noise: float) -> tuple[float, float]:
        z, s, bias = modes.sums(math.exp(start + offset))
        slack = max(0.0, n - z) if offset > 0 else 0.0
        return (slack / n) ** 2, n / (slack + s) * (bias + noise)

    unit = errors(0.0, 0.0)[1]
    noise = noise_rel * unit
    span = 20.0 + math.log1p(noise_rel) * alpha
    found = minimize_scalar(
        lambda x: errors(x, noise)[1], bounds=(0.0, span), method="bounded", options={"xatol": 1e-9}
    )
    ratio, risk = errors(float(found.x), noise)
    if errors(0.0, noise)[1] <= risk * (1 + 1e-12):
        ratio, risk = 0.0, errors(0.0, noise)[1]
    curve = np.array([errors(float(x), noise) for x in np.linspace(0.0, span, points)])
    return FiniteCurve(curve[:, 0], curve[:, 1] / unit, ratio, risk / unit)


class _Modes:
    """Sums over all modes of a power law, for kappa not below a floor."""

    def __init__(self, alpha: float, beta: float, floor: float) -> None:
        self.floor = floor
        count = math.ceil((4 / floor) ** (1 / alpha))
        index = np.arange(1, count + 1, dtype=np.float64)
        self.lam, self.v2 = index**-alpha, index**-beta
        self.powers = np.arange(TERMS)
        self.signs = (-1.0) ** self.powers
        self.zeta_lam = zeta(alpha * (self.powers + 1), count + 1) / floor ** (self.powers + 1)
        self.zeta_v2 = zeta(beta + alpha * self.powers, count + 1) / floor**self.powers

    def sums(self, kappa: float) -> tuple[float, float, float]:
        """Return sum L, sum L (1 - L) and sum (1 - L)^2 v^2."""
        left = kappa / (self.lam + kappa)
        ratio = (self.floor / kappa) ** self.powers * self.signs
        first = ratio * self.zeta_lam * self.floor / kappa
        z = float((1 - left).sum() + first.sum())
        s = float((left * (1 - left)).sum() + (first * (self.powers + 1)).sum())
        return z, s, float(left**2 @ self.v2 + (ratio * self.zeta_v2) @ (self.powers + 1))


def _check(alpha: float, beta: float, noise_rel: float) -> None:
    if not (alpha > 1 and math.isfinite(alpha)):
        raise BadInput(f"alpha={alpha} is not allowed; a kernel with a trace has alpha > 1")
    if not 1 < beta < 2 * alpha + 1:
        raise BadInput(f"beta={beta} is not allowed; give 1 < beta < 2 alpha + 1 = {2 * alpha + 1:g}")
    if not (noise_rel >= 0 and math.isfinite(noise_rel)):
        raise BadInput(f"noise_rel={noise_rel} is not allowed; give a finite number that is at least 0")
