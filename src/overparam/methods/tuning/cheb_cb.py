"""ChebCB: a contextual bandit that regresses the cost of each arm on Chebyshev polynomials of the context.

For context c in [a, b], f(c) = (T_0(z), ..., T_degree(z)) with z = 2 (c - a) / (b - a) - 1. Arm i predicts
y_i = theta_i f(c). Inverse gap weighting draws p_i = 1 / (d + eta (y_i - min y)) for all but the best arm, which
gets the rest. After each solve of cost l

    K     = largest cost so far,          lip = (K - smallest) / (b - a),
    N     = 2 + 4 (1 + log m) (b - a) lip / K,              scale = K N,        m = degree + 1,
    theta = least squares of (l - least) / scale on that arm's features, of least norm, and where it leaves the box
            |theta_0| <= 1 / N, |theta_j| <= 2 (b - a) lip / (scale j), least squares inside the box,
    alpha = (pi + (2 / pi) log(2 m + 1)) (b - a) lip / (2 scale (m + 1)),
    eta   = 2 t sqrt(d t / (R - residual + 2 alpha² t)),    R = sum of (prediction then - l / scale)².

All sums run over sufficient statistics, so a round costs O(d m + m³) whatever its number.

Departures from the official code, which is otherwise followed:
1. It stores all rounds and refits on them; the sums here give the same numbers up to rounding. Directions that carry
   less than 1e-10 of an arm's largest eigenvalue count as unseen.
2. Its smallest cost is taken over a buffer that is filled with zeros, hence 0 until the last round. That is
   `lipschitz="official"`; "observed" takes the smallest cost seen.
3. R - residual is kept at 0 or above; they use different scales and can cross.

Source: arXiv 2310.02246, section 3 and algorithm 3; official code mkhodak/learning-to-relax.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.polynomial.chebyshev import chebvander
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import lsq_linear

from overparam.errors import BadInput
from overparam.methods.tuning.learner import Array, ContextLearner, Index, Seed, require_interval

UNSEEN = 1e-10


class ChebCB(ContextLearner):
    """Contextual bandit for a cost that varies smoothly with one visible number; approaches the best arm of each.

    Args:
        arms: (d,) parameters.
        interval: (a, b); contexts outside are clipped with a warning.
        degree: Largest power of the context; 5 in the paper's runs.
        rng: Seed or generator; a list makes as many copies.
        least: Smallest possible cost: 1 for iterations, 0 for seconds.
        lipschitz: How the slope of the cost is estimated, see the module.

    Example:
        >>> tuner = ChebCB(np.linspace(1, 1.9, 4), interval=(0.0, 1.0), degree=2, rng=0)
        >>> for t in range(400):
        ...     c = t / 97 % 1
        ...     tuner.update(10 + 100 * abs(tuner.choose(context=c) - 1 - 0.9 * c))
        >>> _ = tuner.choose(0.1), tuner.update(20), tuner.choose(0.9)
        >>> int(tuner.predicted_costs()[0].argmin())
        3
    """

    _state = (
        "rounds", "theta", "gram", "moment", "square", "scale", "eta", "largest", "smallest", "predictions",
    )  # fmt: skip

    def __init__(
        self,
        arms: ArrayLike,
        interval: tuple[float, float],
        degree: int = 5,
        rng: Seed | Sequence[Seed] = 0,
        *,
        least: float = 1.0,
        lipschitz: Literal["official", "observed"] = "official",
    ) -> None:
        super().__init__(arms, rng, least=least)
        if degree < 0:
            raise BadInput(f"degree={degree} is negative; pass degree>=0")
        if lipschitz not in ("official", "observed"):
            raise BadInput(f"lipschitz={lipschitz!r} is unknown; pass 'official' or 'observed'")
        self.interval, self.degree, self.lipschitz = require_interval(interval), degree, lipschitz
        s, d, m = self.copies, self.arms.size, degree + 1
        self.theta = np.zeros((s, d, m))
        self.gram, self.moment, self.square = np.zeros((s, d, m, m)), np.zeros((s, d, m)), np.zeros((s, d))
        self.scale, self.eta = np.zeros(s), np.zeros(s)
        self.largest, self.smallest = np.zeros(s), np.full(s, np.inf if lipschitz == "observed" else 0.0)
        self.predictions = np.zeros((3, s))  # sums of prediction², prediction times cost, cost²
        self._yhat = np.zeros((s, d))

    def predicted_costs(self) -> Array:
        """Return what the regression expected each arm to cost at the last context.

        Returns:
            (S, d).
        """
        return self.least + self.scale[:, None] * self._yhat

    def _features(self, seen: Array) -> Array:
        low, high = self.interval
        return np.asarray(chebvander(2.0 * (seen - low) / (high - low) - 1.0, self.degree))

    def _weigh(self, seen: Array) -> Array:
        self._yhat = np.einsum("sdm,sm->sd", self.theta, self._features(seen))
        return gap_weights(self._yhat, self.eta)

    def _learn(self, arm: Index, probability: Array, cost: Array, seen: Array) -> None:
        f, own = self._features(seen), (self._rows, arm)
        loss, predicted = cost - self.least, self._yhat[own]
        self.gram[own] += f[:, :, None] * f[:, None, :]
        self.moment[own] += loss[:, None] * f
        self.square[own] += loss**2
        self.predictions += np.stack([predicted**2, predicted * cost, cost**2])
        self.largest = np.maximum(self.largest, cost)
        if self.lipschitz == "observed":
            self.smallest = np.minimum(self.smallest, cost)
        m, d, t = self.degree + 1, self.arms.size, self.rounds + 1
        largest = np.maximum(self.largest, np.finfo(float).tiny)  # all costs may be zero
        spread = self.largest - self.smallest  # (b - a) times the estimated slope
        n = 2.0 + 4.0 * (1.0 + math.log(m)) * spread / largest
        changed, self.scale = self.scale != largest * n, largest * n
        box = np.empty((self.copies, m))
        box[:, 0] = 1.0 / n
        box[:, 1:] = (2.0 * spread / self.scale)[:, None] / np.arange(1, m)
        residual = self._fit(arm, changed, box)
        alpha = (math.pi + 2.0 / math.pi * math.log(2 * m + 1)) * spread / (2.0 * self.scale * (m + 1))
        pp, pl, ll = self.predictions
        error = pp - 2.0 * pl / self.scale + ll / self.scale**2 - residual
        below = np.maximum(error, 0.0) + 2.0 * alpha**2 * t
        self.eta = 2.0 * t * np.sqrt(d * t / np.maximum(below, np.finfo(float).tiny))

    def _fit(self, arm: Index, changed: NDArray[np.bool_], box: Array) -> Array:
        """Refit the arm that was played, or all that ever were where the scale changed; return the last residual."""
        wanted = changed[:, None] & (self.gram[:, :, 0, 0] > 0)
        wanted[self._rows, arm] = True
        copy, which = np.nonzero(wanted)
        target = self.moment[copy, which] / self.scale[copy, None]
        values, vectors = np.linalg.eigh(self.gram[copy, which])
        known = values > UNSEEN * values[:, -1:]
        inverse = np.where(known, 1.0 / np.where(known, values, 1.0), 0.0)
        turned = np.einsum("pji,pj->pi", vectors, target)
        theta = np.einsum("pij,pj->pi", vectors, inverse * turned)
        residual = np.zeros(self.copies)
        for p in np.flatnonzero((np.abs(theta) > box[copy]).any(1)):
            root = np.sqrt(np.where(known[p], values[p], 0.0))
            edge = box[copy[p]]
            held = edge > 0.0
            theta[p] = 0.0
            rows = root[:, None] * vectors[p].T[:, held]
            theta[p, held] = lsq_linear(
                rows, np.sqrt(inverse[p]) * turned[p], (-edge[held], edge[held]), method="bvls"
            ).x
            square = self.square[copy[p], which[p]] / self.scale[copy[p]] ** 2
            residual[copy[p]] = theta[p] @ self.gram[copy[p], which[p]] @ theta[p] - 2 * theta[p] @ target[p] + square
        self.theta[copy, which] = theta
        return residual


def gap_weights(predicted: Array, eta: Array) -> Array:
    """Inverse gap weighting: 1 / (d + eta (y_i - min y)), the lowest arm taking what is left.

    Args:
        predicted: (S, d) predicted costs.
        eta: (S,) not negative; 0 is uniform.

    Returns:
        (S, d) probabilities; the lowest arm has at least 1 / d.

    Example:
        >>> gap_weights(np.array([[0.0, 1.0]]), np.array([8.0])).tolist()
        [[0.9, 0.1]]
    """
    rows, lowest = np.arange(len(predicted)), predicted.argmin(1)
    p = 1.0 / (predicted.shape[1] + eta[:, None] * (predicted - predicted[rows, lowest][:, None]))
    p[rows, lowest] = 0.0
    p[rows, lowest] = 1.0 - p.sum(1)
    return np.asarray(p)
