"""Log evidence by thermodynamic integration: -ln of the weight that the prior gives to the data.

ln q(y^n) = integral over beta from 0 to 1 of E_beta[ln p(y^n | theta)], under the posterior with likelihood^beta.

Source: arXiv 2506.07661 uses ln q(y^n) as code length; the identity is standard.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput
from overparam.stats import Interval

Array = NDArray[np.float64]


def log_evidence_ti(log_likelihoods: Callable[[float], ArrayLike], *, points: int = 17, power: float = 4.0) -> Interval:
    """Integrate the mean log likelihood along the temperatures.

    Nodes are (i/(points - 1))^power, dense near beta = 0 where the mean changes fastest; Simpson's rule in i.

    Args:
        log_likelihoods: Takes beta in [0, 1] and returns total log likelihoods (s,) of samples of the tempered
            posterior, at least 2 and nearly independent.
        points: Nodes, odd and at least 3.
        power: Of the nodes, at least 1.

    Returns:
        Estimate in nats with a 95 % interval for the noise of sampling; the error of quadrature is not in it.

    Raises:
        BadInput: Settings out of range, or samples that are too few or not finite.

    Example:
        >>> round(log_evidence_ti(lambda beta: np.array([-3.0, -3.0])).estimate, 12)
        -3.0
    """
    if points < 3 or points % 2 == 0 or not power >= 1:
        raise BadInput(f"points={points}, power={power}: give an odd number of at least 3, and a power of at least 1")
    steps = np.arange(points) / (points - 1)
    means, errors = np.empty(points), np.empty(points)
    for i, beta in enumerate(steps**power):
        values = np.asarray(log_likelihoods(float(beta)), dtype=np.float64).ravel()
        if len(values) < 2 or not np.isfinite(values).all():
            raise BadInput(f"beta={beta:.3g} gave {len(values)} samples; at least 2, all finite, are needed")
        means[i], errors[i] = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    simpson = np.where(np.arange(points) % 2, 4.0, 2.0)
    simpson[[0, -1]] = 1.0
    weights = simpson / (3 * (points - 1)) * power * steps ** (power - 1)
    estimate = float(weights @ means)
    margin = 1.96 * float(np.sqrt(((weights * errors) ** 2).sum()))
    return Interval(estimate, estimate - margin, estimate + margin, points, 0.95)
