"""Online choice of a solver's parameter from nothing but the cost of each solve.

    tuner = TsallisINF(arms=np.linspace(1, 1.95, 20), rng=0)
    for A, b in systems:
        omega = tuner.choose()
        x, iterations = my_solver(A, b, relaxation=omega)
        tuner.update(iterations)

Tsallis-INF draws arm i with probability p_i = 4 / (eta_t (k_i / s - x))², where k_i sums (cost - least) / p_i over the
rounds in which i was drawn, s is the mean of cost - least so far, eta_t = 2 / sqrt(t), and x makes the sum 1. With a
context, `TsallisINFCB` runs one of it in each bin of an interval. A round costs O(d), whatever the size of the matrix.

Departures from the official code, which is otherwise followed:
1. Newton's method for x starts at min(k / s) - 2 / eta, where the probabilities sum to at least 1, and descends to the
   root. The code starts at -1; once k is large that lies so far left of the root that the first step jumps over the
   pole, and play silently becomes almost uniform.
2. The smallest possible cost is an argument: 1 for iterations, as in the code, or 0 for seconds.

Source: arXiv 2310.02246, sections 2 and 3, algorithms 1 and 2; official code mkhodak/learning-to-relax.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from overparam.errors import BadInput
from overparam.methods.tuning.learner import Array, ContextLearner, Index, Learner, Seed, require_interval


class TsallisINF(Learner):
    """Adversarial bandit with Tsallis entropy 1/2; approaches the best fixed arm, whatever the order of the systems.

    Args:
        arms: (d,) parameters.
        rng: Seed or generator; a list makes as many copies.
        least: Smallest possible cost: 1 for iterations, 0 for seconds.

    Example:
        >>> tuner = TsallisINF(arms=[1.0, 1.5, 1.9], rng=0)
        >>> costs = {1.0: 223, 1.5: 62, 1.9: 187}
        >>> for _ in range(300):
        ...     tuner.update(costs[tuner.choose()])
        >>> bool(tuner.probabilities[0].argmax() == 1), bool(tuner.probabilities[0, 1] > 0.8)
        (True, True)
    """

    _state = ("rounds", "losses", "played", "paid")
    bins = 1

    def __init__(self, arms: ArrayLike, rng: Seed | Sequence[Seed] = 0, *, least: float = 1.0) -> None:
        super().__init__(arms, rng, least=least)
        self._make(1)

    def _make(self, bins: int) -> None:
        self.bins = bins
        self.losses = np.zeros((self.copies, bins, self.arms.size))
        self.played = np.zeros((self.copies, bins))
        self.paid = np.zeros((self.copies, bins))

    def _bin(self, seen: Array) -> Index:
        return np.zeros(self.copies, dtype=np.int64)

    def _weigh(self, seen: Array) -> Array:
        own = self._rows, self._bin(seen)
        played = self.played[own]
        mean = self.paid[own] / np.maximum(played, 1.0)
        scaled = self.losses[own] / np.where(mean > 0.0, mean, 1.0)[:, None]  # no loss at all: all are 0
        return tsallis_probabilities(scaled, 2.0 / np.sqrt(played + 1.0))

    def _learn(self, arm: Index, probability: Array, cost: Array, seen: Array) -> None:
        place = self._bin(seen)
        self.losses[self._rows, place, arm] += (cost - self.least) / probability
        self.played[self._rows, place] += 1.0
        self.paid[self._rows, place] += cost - self.least


def tsallis_probabilities(losses: Array, eta: Array) -> Array:
    """Return p_i = 4 / (eta (l_i - x))² with x < min l such that they sum to 1.

    Args:
        losses: (S, d) cumulative losses, scaled.
        eta: (S,) learning rates, positive.

    Returns:
        (S, d), each row summing to 1 within 1e-12.

    Example:
        >>> tsallis_probabilities(np.array([[0.0, 0.0], [0.0, 1e9]]), np.array([1.0, 1.0])).round(6).tolist()
        [[0.5, 0.5], [1.0, 0.0]]
    """
    lowest, rate = losses.min(1, keepdims=True), eta[:, None]
    above, x = losses - lowest, -2.0 / rate  # measured from the smallest loss, so that large ones cost no digits
    for _ in range(100):  # each step halves the excess at least; about ten are needed
        root = 2.0 / (rate * (above - x))
        p = root * root
        excess = p.sum(1, keepdims=True) - 1.0
        if (excess < 1e-13).all():
            break
        x = x - np.maximum(excess, 0.0) / (rate * (p * root).sum(1, keepdims=True))
    return np.asarray(p / p.sum(1, keepdims=True))


class TsallisINFCB(TsallisINF, ContextLearner):
    """Tsallis-INF in each of m equal bins of the contexts; approaches the best arm of each bin.

    Args:
        arms: (d,) parameters.
        interval: Contexts lie in it; others are clipped with a warning.
        bins: m.
        rng: Seed or generator; a list makes as many copies.
        least: Smallest possible cost.

    Example:
        >>> tuner = TsallisINFCB([1.0, 1.8], interval=(0.0, 1.0), bins=2, rng=0)
        >>> for t in range(400):
        ...     easy = t % 2
        ...     omega = tuner.choose(context=easy)
        ...     tuner.update(20 if (omega == 1.0) == easy else 100)
        >>> _ = tuner.choose(0.1)
        >>> bool(tuner.probabilities[0, 1] > 0.8)
        True
    """

    def __init__(
        self,
        arms: ArrayLike,
        interval: tuple[float, float],
        bins: int = 5,
        rng: Seed | Sequence[Seed] = 0,
        *,
        least: float = 1.0,
    ) -> None:
        super().__init__(arms, rng, least=least)
        if bins < 1:
            raise BadInput(f"bins={bins} is too small; pass bins>=1")
        self.interval = require_interval(interval)
        self._make(bins)

    def _look(self, contexts: ArrayLike | None) -> Array:
        return ContextLearner._look(self, contexts)

    def _bin(self, seen: Array) -> Index:
        low, high = self.interval
        share = (seen - low) / (high - low)
        return np.minimum((share * self.bins).astype(np.int64), self.bins - 1)


class Fixed(Learner):
    """Always the same parameter: what a default does.

    Args:
        arm: The parameter.
        copies: Number of copies.

    Example:
        >>> Fixed(1.5).choose()
        1.5
    """

    def __init__(self, arm: float, copies: int = 1) -> None:
        super().__init__([arm], range(copies), least=0.0)

    def _weigh(self, seen: Array) -> Array:
        return np.ones((self.copies, 1))


class _Means(Learner):
    """Keeps the mean cost of each arm."""

    _state = ("rounds", "played", "total", "largest")

    def __init__(self, arms: ArrayLike, rng: Seed | Sequence[Seed] = 0, *, least: float = 1.0) -> None:
        super().__init__(arms, rng, least=least)
        self.played = np.zeros((self.copies, self.arms.size))
        self.total = np.zeros((self.copies, self.arms.size))
        self.largest = np.zeros(self.copies)

    def _first_lowest(self, index: Array) -> Array:
        """One on the lowest index of each copy, arms that were never played first."""
        lowest = np.where(self.played > 0, index, -np.inf).argmin(1)
        return np.asarray(lowest[:, None] == np.arange(self.arms.size), dtype=np.float64)

    def _learn(self, arm: Index, probability: Array, cost: Array, seen: Array) -> None:
        self.played[self._rows, arm] += 1.0
        self.total[self._rows, arm] += cost
        self.largest = np.maximum(self.largest, cost)


class EpsGreedy(_Means):
    """The arm of lowest mean cost, and any arm with probability epsilon. Simple, and linear in its regret.

    Args:
        arms: (d,) parameters.
        epsilon: In [0, 1]; 1 draws uniformly.
        rng: Seed or generator; a list makes as many copies.
        least: Smallest possible cost.

    Example:
        >>> tuner = EpsGreedy([1.0, 1.5], epsilon=0.0)
        >>> for _ in range(3):
        ...     tuner.update({1.0: 9, 1.5: 5}[tuner.choose()])
        >>> tuner.choose()
        1.5
    """

    def __init__(
        self, arms: ArrayLike, epsilon: float = 0.1, rng: Seed | Sequence[Seed] = 0, *, least: float = 1.0
    ) -> None:
        super().__init__(arms, rng, least=least)
        if not 0.0 <= epsilon <= 1.0:
            raise BadInput(f"epsilon={epsilon} is outside [0, 1]; pass the share of rounds that explore")
        self.epsilon = epsilon

    def _weigh(self, seen: Array) -> Array:
        greedy = self._first_lowest(self.total / np.maximum(self.played, 1.0))
        return (1.0 - self.epsilon) * greedy + self.epsilon / self.arms.size


class UCB1(_Means):
    """The arm of lowest mean cost less its uncertainty, K sqrt(2 log t / n_i), K being the largest cost so far.

    Args:
        arms: (d,) parameters.
        rng: Seed; plays no part.
        least: Smallest possible cost.

    Source: Auer, Cesa-Bianchi, Fischer, 2002, for losses.

    Example:
        >>> tuner = UCB1([1.0, 1.5])
        >>> for _ in range(200):
        ...     tuner.update({1.0: 9, 1.5: 1}[tuner.choose()])
        >>> bool(tuner.played[0, 1] > 150)
        True
    """

    def _weigh(self, seen: Array) -> Array:
        n = np.maximum(self.played, 1.0)
        doubt = self.largest[:, None] * np.sqrt(2.0 * math.log(max(self.rounds, 1)) / n)
        return self._first_lowest(self.total / n - doubt)
