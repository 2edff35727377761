"""Privacy spent by DP-SGD: Rényi accountant of the Poisson-subsampled Gaussian mechanism.

One step with sampling rate q and noise multiplier s satisfies Rényi differential privacy of integer order a >= 2 with

    rdp(a) = 1/(a-1) log sum_i C(a, i) (1-q)^(a-i) q^i exp(i (i-1) / (2 s^2))

(arXiv 1908.10530, section 3.3, for adding or removing one example). Orders add up over steps, and the best order gives
epsilon = min over a of steps rdp(a) + log(1 - 1/a) - (log delta + log a) / (a - 1) (arXiv 1905.09982, theorem 21).

Departure: integer orders only, 2 to 4096. Libraries also try fractional orders, which matters where epsilon is large
(above about 10) and the best order lies below 2; the value here is then an upper bound that is less tight.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

from overparam.errors import BadInput

Array = NDArray[np.float64]
ORDERS = tuple(range(2, 129)) + tuple(int(a) for a in np.geomspace(136, 4096, 40))


def epsilon(sample_rate: float, noise: float, steps: int, delta: float) -> float:
    """Return epsilon such that the training is (epsilon, delta)-differentially private.

    Args:
        sample_rate: Chance q of each example to be in a batch, in [0, 1].
        noise: Noise multiplier s: deviation of the noise over the clipping norm, not negative.
        steps: Number of batches, not negative.
        delta: In (0, 1); below one over the number of examples to mean anything.

    Returns:
        Not negative; infinite without noise, zero where nothing was released.

    Raises:
        BadInput: A number out of range.

    Example:
        >>> round(epsilon(0.01, 1.0, 1000, 1e-5), 3)
        2.108
        >>> epsilon(0.01, 0.0, 1, 1e-5)
        inf
    """
    if not 0.0 < delta < 1.0 or steps < 0:
        raise BadInput(f"delta={delta}, steps={steps}: pass delta in (0, 1) and a number of steps")
    orders = np.array(ORDERS, dtype=np.float64)
    spent = steps * renyi(sample_rate, noise)
    if steps == 0 or sample_rate == 0:
        return 0.0
    found = spent + np.log1p(-1 / orders) - (math.log(delta) + np.log(orders)) / (orders - 1)
    return max(0.0, float(found.min()))


def noise_for(target: float, sample_rate: float, steps: int, delta: float) -> float:
    """Return the smallest noise multiplier whose epsilon does not exceed a target, to one part in a thousand.

    Args:
        target: Epsilon to stay below, positive.
        sample_rate: Chance of each example to be in a batch, in [0, 1].
        steps: Number of batches.
        delta: In (0, 1).

    Returns:
        Noise multiplier.

    Raises:
        BadInput: A number out of range, or a target that no noise up to 10,000 reaches.

    Example:
        >>> noise = noise_for(2.0, 0.01, 1000, 1e-5)
        >>> 1.99 < epsilon(0.01, noise, 1000, 1e-5) <= 2.0
        True
    """
    if not target > 0.0:
        raise BadInput(f"target={target} is not positive; pass an epsilon above 0")
    low, high = 0.0, 1.0
    while epsilon(sample_rate, high, steps, delta) > target:
        low, high = high, 2 * high
        if high > 1e4:
            raise BadInput(f"target={target} needs a noise above 10,000; take fewer steps or a larger target")
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon(sample_rate, middle, steps, delta) > target else (low, middle)
    return high


@lru_cache(maxsize=256)
def renyi(sample_rate: float, noise: float) -> Array:
    """Return the Rényi divergence bound of one step for each of `ORDERS`.

    Args:
        sample_rate: In [0, 1].
        noise: Noise multiplier, not negative.

    Returns:
        (orders,), not to be written to.

    Raises:
        BadInput: A number out of range.

    Example:
        >>> renyi(1.0, 2.0)[:3].tolist()  # without subsampling: order / (2 noise^2)
        [0.25, 0.375, 0.5]
    """
    if not 0.0 <= sample_rate <= 1.0 or not 0.0 <= noise < math.inf:
        raise BadInput(f"sample_rate={sample_rate}, noise={noise}: pass a rate in [0, 1] and a noise of at least 0")
    orders = np.array(ORDERS, dtype=np.float64)
    if sample_rate == 0.0:
        found = np.zeros_like(orders)
    elif noise == 0.0:
        found = np.full_like(orders, np.inf)
    elif sample_rate == 1.0:
        found = orders / (2 * noise**2)
    else:
        found = np.array([_divergence(a, sample_rate, noise) for a in ORDERS])
    found.flags.writeable = False
    return found


def _divergence(order: int, rate: float, noise: float) -> float:
    i = np.arange(order + 1, dtype=np.float64)
    choices = gammaln(order + 1) - gammaln(i + 1) - gammaln(order - i + 1)
    drawn = i * math.log(rate) + (order - i) * math.log1p(-rate)
    return max(0.0, float(logsumexp(choices + drawn + i * (i - 1) / (2 * noise**2))) / (order - 1))
