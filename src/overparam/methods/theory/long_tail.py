"""What a long tail of frequencies says about the price of not fitting rare examples.

Feldman's discrete model (arXiv 1906.05271, section 2): N points. Each point x gets a value p_x, drawn independently and
uniformly from a list of levels pi, and the frequency D(x) = p_x / sum of all p. A sample of n points is drawn from D.
With a = D(x) for one fixed x ("marginal prior") everything about an x that was seen l times follows from

    tau_l = E[D(x) | x seen l times] = E[a^(l+1) (1-a)^(n-l)] / E[a^l (1-a)^(n-l)],

and a learner that fails to fit errn_l of the points seen l times has an expected error of opt + sum_l tau_l E[errn_l].

Two forms of the marginal prior:
1. `list` (the default): a = pi_i / sum(pi). Exact when p_x are a random permutation of the levels; for independent
   draws an approximation that is off by 2 % at N = 1000 under Zipf's law.
2. `sampled`: a = pi_i / (pi_i + S) for every level i and for many draws of S, the sum over the other N - 1 points. The
   first part is summed exactly, so only S is left to chance.

The theorem's floor tau_1 >= weight([1/(3n), 2/n]) / (5n) is checked by our own derivation: inside the interval
n a (1-a)^(n-1) >= 0.2 for n >= 3, and N E[a (1-a)^(n-1)] <= 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, xlog1py, xlogy

from overparam.errors import BadInput

Array = NDArray[np.float64]
VALUES = 500_000  # least number of values that a sampled prior aims at
BLOCK = 2**22  # draws held at a time


@dataclass(frozen=True)
class FrequencyPrior:
    """Distribution of the frequencies of N kinds of example.

    Make one with `zipf`, `uniform`, `geometric`, `two_level` or `from_list`.

    Attributes:
        size: Number N of points.
        levels: (k,) different levels pi, positive.
        shares: (k,) part of the list that each takes; sums to 1.
        values: (v,) values a of the marginal prior.
        weights: (v,) their probabilities; sum to 1.

    Example:
        >>> prior = FrequencyPrior.zipf(50_000)
        >>> n = 50_000
        >>> round(n * prior.tau(n, 1), 4)  # an example seen once stands for half of its share of the sample
        0.4717
        >>> round(prior.expected_counts(n, 1) / n, 4)  # part of the sample that was seen once
        0.1704
        >>> round(prior.excess(n, {1: 0.9 * prior.expected_counts(n, 1)}), 3)  # price of guessing them, ten labels
        0.072
    """

    size: int
    levels: Array
    shares: Array
    values: Array
    weights: Array

    @classmethod
    def from_list(cls, levels: ArrayLike) -> FrequencyPrior:
        """Take any list of N levels.

        Args:
            levels: (N,) positive numbers, in any order and scale.

        Returns:
            The prior in its list form.

        Raises:
            BadInput: An empty list, or a level that is not positive and finite.

        Example:
            >>> FrequencyPrior.from_list([1, 1, 2]).values.tolist()
            [0.25, 0.5]
        """
        given = np.asarray(levels, dtype=np.float64)
        if given.ndim != 1 or given.size == 0:
            raise BadInput(f"levels has shape {given.shape}; pass a list of positive numbers")
        if not (np.isfinite(given) & (given > 0)).all():
            first = int(np.argmin(np.isfinite(given) & (given > 0)))
            raise BadInput(f"levels[{first}]={given[first]:g} is not positive and finite; pass positive numbers")
        different, counts = np.unique(given, return_counts=True)
        return cls._of(different, counts)

    @classmethod
    def _of(cls, levels: Array, counts: NDArray[np.int64]) -> FrequencyPrior:
        shares = counts / counts.sum()
        return cls(int(counts.sum()), levels, shares, levels / (levels @ counts), shares)

    @classmethod
    def zipf(cls, size: int, exponent: float = 1.0) -> FrequencyPrior:
        """Levels i^-exponent for i = 1..N.

        Args:
            size: N, at least 1.
            exponent: 1 is Zipf's law; 0 is uniform.

        Returns:
            The prior in its list form.

        Raises:
            BadInput: No points, or an exponent for which levels leave the floating-point range.
        """
        return cls.from_list(np.arange(1, _at_least_one("size", size) + 1) ** -float(exponent))

    @classmethod
    def uniform(cls, size: int) -> FrequencyPrior:
        """All points equally frequent.

        Args:
            size: N, at least 1.

        Returns:
            The prior.

        Raises:
            BadInput: No points.
        """
        return cls.from_list(np.ones(_at_least_one("size", size)))

    @classmethod
    def geometric(cls, size: int, ratio: float = 0.99) -> FrequencyPrior:
        """Levels ratio^i for i = 0..N-1.

        Args:
            size: N, at least 1.
            ratio: In (0, 1].

        Returns:
            The prior in its list form.

        Raises:
            BadInput: No points, a ratio outside (0, 1], or so many points that the last levels underflow.
        """
        if not 0.0 < ratio <= 1.0:
            raise BadInput(f"ratio={ratio} is outside (0, 1]; pass the factor from one level to the next")
        return cls.from_list(float(ratio) ** np.arange(_at_least_one("size", size)))

    @classmethod
    def two_level(cls, n: int, gap: float, *, share: float = 0.9) -> FrequencyPrior:
        """Points that are `gap` times more frequent than 1/n or `gap` times rarer, and nothing in between.

        Args:
            n: Sample size.
            gap: At least 1; 1 puts all points at about 1/n.
            share: Part of the mass on the frequent points, in (0, 1).

        Returns:
            The prior in its list form; N is about n (share / gap + (1 - share) gap).

        Raises:
            BadInput: Arguments out of range.

        Example:
            >>> prior = FrequencyPrior.two_level(1000, 20.0)
            >>> (1000 * prior.values).round(2).tolist()
            [0.05, 20.0]
        """
        n = _at_least_one("n", n)
        if not (gap >= 1.0 and 0.0 < share < 1.0):
            raise BadInput(f"gap={gap}, share={share}: pass gap>=1 and a share in (0, 1)")
        frequent, rare = max(1, round(n * share / gap)), max(1, round(n * (1 - share) * gap))
        levels, counts = np.array([(1 - share) / rare, share / frequent]), np.array([rare, frequent])
        order = np.argsort(levels)
        return cls._of(levels[order], counts[order])

    def sampled(self, *, draws: int | None = None, seed: int = 0) -> FrequencyPrior:
        """Return the prior for independent draws of the levels, as the model has it, by Monte Carlo.

        Args:
            draws: Number of draws of the sum over the other points; by default enough for 500,000 values.
            seed: Draws them.

        Returns:
            The same levels with `draws` times as many values. Costs draws x N random numbers.

        Raises:
            BadInput: Fewer than one draw.

        Example:
            >>> prior = FrequencyPrior.zipf(1000)
            >>> round(1000 * prior.tau(1000, 1), 3), round(1000 * prior.sampled(draws=2000).tau(1000, 1), 2)
            (0.559, 0.57)
        """
        count = max(64, -(-VALUES // len(self.levels))) if draws is None else _at_least_one("draws", draws)
        rng = np.random.default_rng(seed)
        sums = np.concatenate([self._draw(rng, rows, self.size - 1).sum(1) for rows in _blocks(count, self.size)])
        values = self.levels / (self.levels + sums[:, None])
        weights = np.broadcast_to(self.shares / count, values.shape)
        return FrequencyPrior(self.size, self.levels, self.shares, values.ravel(), weights.ravel())

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """Draw frequencies of all points: levels at random, divided by their sum.

        Args:
            rng: Draws them.
            count: Number of independent distributions.

        Returns:
            (count, N); each row sums to 1.
        """
        drawn = self._draw(rng, count, self.size)
        frequencies: Array = drawn / drawn.sum(1, keepdims=True)
        return frequencies

    def _draw(self, rng: np.random.Generator, rows: int, columns: int) -> Array:
        edges = np.cumsum(self.shares)
        edges[-1] = 1.0  # rounding must not leave a gap at the end
        drawn: Array = self.levels[np.searchsorted(edges, rng.random((rows, columns)), side="right")]
        return drawn

    def tau(self, n: int, l: int) -> float:  # noqa: E741
        """Return the expected frequency of a point that a sample of n holds l times.

        Args:
            n: Sample size, at least 1.
            l: 0 to n.

        Returns:
            tau_l, increasing in l; NaN where no point can be seen l times.

        Raises:
            BadInput: n < 1, or l outside 0 to n.
        """
        likelihood, largest = self._likelihood(n, l)
        total = float(likelihood.sum())
        return float(likelihood @ self.values) / total if largest > -np.inf else float("nan")

    def expected_counts(self, n: int, l: int) -> float:  # noqa: E741
        """Return the expected number of points seen l times: N C(n, l) E[a^l (1-a)^(n-l)].

        Args:
            n: Sample size, at least 1.
            l: 0 to n.

        Returns:
            Between 0 and N.

        Raises:
            BadInput: n < 1, or l outside 0 to n.
        """
        likelihood, largest = self._likelihood(n, l)
        choices = gammaln(n + 1) - gammaln(l + 1) - gammaln(n - l + 1)
        return float(self.size * likelihood.sum() * np.exp(choices + largest)) if largest > -np.inf else 0.0

    def expected_mass(self, n: int, l: int) -> float:  # noqa: E741
        """Return the expected total frequency of the points seen l times; l = 0 is the unseen mass.

        Args:
            n: Sample size, at least 1.
            l: 0 to n.

        Returns:
            Between 0 and 1; sums to 1 over l.

        Raises:
            BadInput: n < 1, or l outside 0 to n.
        """
        count = self.expected_counts(n, l)
        return count * self.tau(n, l) if count else 0.0

    def weight(self, low: float, high: float) -> float:
        """Return the expected total frequency of the points whose frequency lies in [low, high].

        Args:
            low: Lower edge, inside.
            high: Upper edge, inside.

        Returns:
            N E[a 1(low <= a <= high)], between 0 and 1.

        Raises:
            BadInput: low > high.
        """
        if not low <= high:
            raise BadInput(f"low={low} exceeds high={high}; pass low<=high")
        inside = (self.values >= low) & (self.values <= high)
        return float(self.size * (self.weights[inside] @ self.values[inside]))

    def singleton_floor(self, n: int) -> float:
        """Return a lower bound on tau_1: weight([1/(3n), 2/n]) / (5n).

        Args:
            n: Sample size, at least 3.

        Returns:
            The bound; without mass around 1/n it says nothing.

        Raises:
            BadInput: n < 3.

        Source: arXiv 1906.05271, lemma on tau_1; constants as derived above.
        """
        if n < 3:
            raise BadInput(f"n={n} is too small for the bound; pass n>=3")
        return self.weight(1 / (3 * n), 2 / n) / (5 * n)

    def opt_error(self, n: int, n_classes: int) -> float:
        """Return the least expected error when labels are uniform and independent: (1 - 1/m) times the unseen mass.

        Args:
            n: Sample size, at least 1.
            n_classes: m, at least 1; with one class there is nothing to get wrong.

        Returns:
            Error of the best learner.

        Raises:
            BadInput: n < 1 or no classes.
        """
        return (1 - 1 / _at_least_one("n_classes", n_classes)) * self.expected_mass(n, 0)

    def excess(self, n: int, errn: Mapping[int, float]) -> float:
        """Return the price of unfitted examples: sum over l of tau_l errn_l.

        Args:
            n: Sample size, at least 1.
            errn: Times seen to the expected number of points seen so often whose label is not fitted.

        Returns:
            Expected error above the optimum.

        Raises:
            BadInput: n < 1, or times outside 0 to n.
        """
        return float(sum(self.tau(n, times) * missed for times, missed in errn.items()))

    def _likelihood(self, n: int, l: int) -> tuple[Array, float]:  # noqa: E741
        """Weights times a^l (1-a)^(n-l), divided by the exponential of the largest log, which is returned."""
        _at_least_one("n", n)
        if not 0 <= l <= n:
            raise BadInput(f"l={l} is outside 0 to n={n}; a sample of n holds a point at most n times")
        logs = xlogy(l, self.values) + xlog1py(n - l, -self.values)
        largest = float(logs.max())
        return (self.weights * np.exp(logs - largest) if largest > -np.inf else logs), largest


def _at_least_one(name: str, value: int) -> int:
    if value < 1:
        raise BadInput(f"{name}={value} is too small; pass {name}>=1")
    return int(value)


def _blocks(rows: int, columns: int) -> list[int]:
    """Cut a number of rows so that a block of them stays within memory."""
    at_once = max(1, BLOCK // max(1, columns))
    return [min(at_once, rows - start) for start in range(0, rows, at_once)]
