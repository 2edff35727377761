"""Weight of a hypothesis and the regret bound that depends on it alone.

A_eps is the ball of hypotheses within KL divergence eps of the truth and W_eps its prior mass. Keeping only that ball
in the mixture, and applying Jensen's inequality to -ln, gives for every eps

    E regret after n examples <= n eps + ln(1 / W_eps),

so the bound is the infimum over eps. The number of parameters does not enter.

Source: arXiv 2506.07661, key result; the three lines are derived here.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput
from overparam.methods.theory.mixture_learner import check_log_prior
from overparam.stats import wilson

Array = NDArray[np.float64]


@dataclass(frozen=True)
class WeightEstimate:
    """Prior mass of a KL ball.

    Attributes:
        value: Mass.
        low: Lower end of the 95 % interval; the value itself for an exact class.
        high: Upper end.
        hits: Hypotheses or draws inside.
    """

    value: float
    low: float
    high: float
    hits: int


@dataclass(frozen=True)
class RegretBound:
    """Bound on the expected regret.

    Attributes:
        value: (...,) nats, for each n.
        eps_star: (...,) radius at which it is attained.
        weight: (...,) prior mass of that ball.
    """

    value: Array
    eps_star: Array
    weight: Array


def kl_ball_weight(kl: ArrayLike, eps: float, *, log_prior: ArrayLike | None = None) -> WeightEstimate:
    """Measure the prior mass within eps of the truth.

    Args:
        kl: (H,), E_x KL(truth || hypothesis) in nats; infinity allowed.
        eps: Radius, not negative.
        log_prior: (H,) of a finite class, whose mass is exact; None if the hypotheses are draws from the prior.

    Returns:
        Mass with Wilson's interval for draws. Without a hit the upper end is 3/draws, with a warning: 0 hits do not
        mean mass 0.

    Raises:
        BadInput: A negative radius or divergence, or shapes that do not fit.

    Source: arXiv 2506.07661, weight of a hypothesis.

    Example:
        >>> kl_ball_weight([0.0, 0.5, 2.0], 1.0, log_prior=np.log([0.2, 0.3, 0.5])).value
        0.5
    """
    divergence = _divergences(kl)
    if not eps >= 0:
        raise BadInput(f"eps={eps}: give a radius that is not negative")
    inside = divergence <= eps
    hits = int(inside.sum())
    if log_prior is not None:
        prior = _fitting(log_prior, divergence)
        value = float(np.exp(prior[inside]).sum())
        return WeightEstimate(value, value, value, hits)
    if not hits:
        warnings.warn(f"none of {len(inside)} draws lies within {eps:g}; the mass is below 3/draws", stacklevel=2)
        return WeightEstimate(0.0, 0.0, 3 / len(inside), 0)
    interval = wilson(hits, len(inside))
    return WeightEstimate(interval.estimate, interval.low, interval.high, hits)


def regret_bound(kl: ArrayLike, n: ArrayLike, *, log_prior: ArrayLike) -> RegretBound:
    """Bound the expected regret of the mixture after n examples: inf over eps of n eps + ln(1/W_eps).

    Args:
        kl: (H,), E_x KL(truth || hypothesis) in nats.
        n: Numbers of examples, any shape, not negative.
        log_prior: (H,).

    Returns:
        Bound, its radius and the mass there. Cost O(H log H + H |n|).

    Raises:
        BadInput: A negative n or divergence, shapes that do not fit, or no hypothesis at finite divergence.

    Source: arXiv 2506.07661, key result.

    Example:
        >>> bound = regret_bound([0.0, 1.0, 1.0, 1.0], 100, log_prior=np.log(np.full(4, 0.25)))
        >>> bool(np.isclose(bound.value, np.log(4))), float(bound.eps_star)
        (True, 0.0)
    """
    divergence, many = _divergences(kl), np.asarray(n, dtype=np.float64)
    if not (many >= 0).all():
        raise BadInput("n has to be numbers of examples, none negative")
    prior = _fitting(log_prior, divergence)
    keep = np.isfinite(divergence) & (prior > -np.inf)
    if not keep.any():
        raise BadInput(
            "no hypothesis of positive weight lies at finite divergence from the truth; the bound is infinite"
        )
    order = np.argsort(divergence[keep])
    eps, log_weight = divergence[keep][order], np.logaddexp.accumulate(prior[keep][order])
    total = many[..., None] * eps - log_weight
    best = total.argmin(-1)
    value = np.take_along_axis(total, best[..., None], -1)[..., 0]
    return RegretBound(value, eps[best], np.exp(log_weight[best]))


def effective_dimension(kl: ArrayLike, eps: float, *, log_prior: ArrayLike, factor: float = 2.0) -> float:
    """Measure how many dimensions a class has at a scale: 2 d ln W_eps / d ln eps.

    Args:
        kl: (H,), a fine grid or many hypotheses.
        eps: Radius, positive.
        log_prior: (H,).
        factor: The derivative is taken between eps / factor and eps * factor.

    Returns:
        Twice the slope; k for a smooth family of k identifiable parameters, less where parameters are redundant.

    Raises:
        BadInput: A radius that is not positive, a factor of at most 1, or an empty inner ball.

    Source: arXiv 2506.07661, via W_eps of order eps^(k/2).
    """
    if not eps > 0 or not factor > 1:
        raise BadInput(f"eps={eps}, factor={factor}: give eps > 0 and factor > 1")
    inner, outer = (kl_ball_weight(kl, r, log_prior=log_prior).value for r in (eps / factor, eps * factor))
    if not inner > 0:
        raise BadInput(f"no hypothesis lies within {eps / factor:g}; take a larger eps or a finer class")
    return float(2 * np.log(outer / inner) / np.log(factor**2))


def _divergences(kl: ArrayLike) -> Array:
    found = np.asarray(kl, dtype=np.float64)
    if found.ndim != 1 or not len(found) or not (found >= 0).all():
        raise BadInput(f"kl has shape {found.shape}; one divergence a hypothesis is needed, none negative")
    return found


def _fitting(log_prior: ArrayLike, divergence: Array) -> Array:
    prior = check_log_prior(log_prior)
    if prior.shape != divergence.shape:
        raise BadInput(f"log_prior has shape {prior.shape}, kl {divergence.shape}; they have to be equal")
    return prior
