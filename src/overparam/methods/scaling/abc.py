"""The abc family: how initial weights and learning rates scale with width, and what follows from it.

From Yang and Hu, arXiv 2011.14522. A network with L hidden layers of width n has weights W^l = n^(-a_l) w^l with
w^l trained, w^l_ij ~ N(0, n^(-2 b_l)), and SGD with the learning rate eta n^(-c). Layer 1 reads the inputs, layer
L + 1 is the readout. With m = min(a_out + b_out, 2 a_out + c), the exponent of the readout after a step, layer l on
its own moves its features by n^(-r_l), r_l = m + c - 1 + 2 a_l + [l = 1], and r is the least of them.

Departure: the exponents of single layers are our own reading of the same calculation; the paper states r alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from overparam.errors import BadInput

Regime = Literal["feature", "kernel", "trivial", "unstable"]
REGIMES: tuple[Regime, ...] = ("feature", "kernel", "trivial", "unstable")
ROUNDING = 1e-9  # exponents are sums of a few halves and quarters
CLEAR = 0.25  # distance from the edge of a regime at which a few doublings of width show the regime


@dataclass(frozen=True)
class ABC:
    """A parametrisation of the family.

    Attributes:
        a: (L + 1,) exponents of the multipliers.
        b: (L + 1,) exponents of the initial standard deviations.
        c: Exponent of the learning rate.

    Raises:
        BadInput: Fewer than two layers, tuples of different length, or numbers that are not finite.

    Source: arXiv 2011.14522, definitions of the abc-parametrisation and of r, theorem on stability, dichotomy.

    Example:
        >>> ABC.mup(2).regime(), ABC.mup(2).r()
        ('feature', 0.0)
        >>> ABC.ntk(2).regime(), ABC.ntk(2).r()
        ('kernel', 0.5)
        >>> ABC.sp(2).regime(), ABC.sp(2, c=0).regime()
        ('kernel', 'unstable')
        >>> ABC.mup(1).shift(0.5) == ABC.mean_field()  # the same network in another gauge
        True
    """

    a: tuple[float, ...]
    b: tuple[float, ...]
    c: float

    def __post_init__(self) -> None:
        if len(self.a) != len(self.b) or len(self.a) < 2:
            raise BadInput(
                f"a has {len(self.a)} exponents and b {len(self.b)}; give one a layer, hidden and readout, 2 at least"
            )
        if not all(math.isfinite(v) for v in (*self.a, *self.b, self.c)):
            raise BadInput(f"a={self.a}, b={self.b}, c={self.c}: all exponents have to be finite")

    @property
    def depth(self) -> int:
        """Number L of hidden layers."""
        return len(self.a) - 1

    @classmethod
    def sp(cls, depth: int, c: float = 1.0) -> ABC:
        """Standard parametrisation: what deep learning libraries start from. Stable for c >= 1.

        Args:
            depth: Hidden layers.
            c: Exponent of the learning rate; 0 is what is used in practice.

        Returns:
            The parametrisation.
        """
        return cls((0.0,) * (_layers(depth) + 1), (0.0,) + (0.5,) * depth, c)

    @classmethod
    def ntk(cls, depth: int) -> ABC:
        """Parametrisation of the neural tangent kernel.

        Args:
            depth: Hidden layers.

        Returns:
            The parametrisation.
        """
        return cls((0.0,) + (0.5,) * _layers(depth), (0.0,) * (depth + 1), 0.0)

    @classmethod
    def mup(cls, depth: int) -> ABC:
        """Maximal updates: every layer learns features.

        Args:
            depth: Hidden layers.

        Returns:
            The parametrisation.
        """
        return cls((-0.5,) + (0.0,) * (_layers(depth) - 1) + (0.5,), (0.5,) * (depth + 1), 0.0)

    @classmethod
    def mean_field(cls) -> ABC:
        """Mean field parametrisation of one hidden layer."""
        return cls((0.0, 1.0), (0.0, 0.0), -1.0)

    def shift(self, theta: float) -> ABC:
        """Change the gauge: (a + theta, b - theta, c - 2 theta) has the same function at every step of SGD.

        Args:
            theta: Any number.

        Returns:
            The parametrisation in the other gauge.
        """
        return ABC(tuple(v + theta for v in self.a), tuple(v - theta for v in self.b), self.c - 2 * theta)

    def readout_exponent(self) -> float:
        """Return m = min(a_out + b_out, 2 a_out + c): readout weights are of size n^(-m) after a step."""
        return min(self.a[-1] + self.b[-1], 2 * self.a[-1] + self.c)

    def movement_exponents(self) -> tuple[float, ...]:
        """Say how the change of each layer's features scales: rms of the change of h^l ~ n^(-exponent).

        What an earlier layer moved moves the later ones as well, so the exponents fall with depth; the last is r. They
        hold where the parametrisation is stable; otherwise changes may grow faster with every step.

        Returns:
            (L,) exponents.
        """
        m = self.readout_exponent()
        own = [m + self.c - 1 + 2 * a + (l == 0) for l, a in enumerate(self.a[:-1])]  # noqa: E741
        return tuple(min(own[: l + 1]) for l in range(self.depth))  # noqa: E741

    def r(self) -> float:
        """Return the number that decides: 0 where features are learned, above 0 where a kernel rules."""
        return self.movement_exponents()[-1]

    def output_exponent(self) -> float:
        """Say how the change of the outputs scales: rms of the change ~ n^(-exponent).

        Returns:
            0 where a stable parametrisation moves its function at a rate that the width does not change.
        """
        return min(2 * self.a[-1] + self.c - 1, self.a[-1] + self.b[-1] + self.r() - 1)

    def stable(self) -> bool:
        """Whether activations, outputs and their changes stay bounded as the width grows."""
        s, t = self.a[-1] + self.b[-1], 2 * self.a[-1] + self.c
        inner = [a + b - 0.5 for a, b in zip(self.a[1:-1], self.b[1:-1], strict=True)]
        equal = all(abs(gap) < ROUNDING for gap in (self.a[0] + self.b[0], *inner))
        return equal and min(s - 0.5, self.r(), t - 1, s + self.r() - 1) > -ROUNDING

    def nontrivial(self) -> bool:
        """Whether a stable parametrisation moves its outputs in the limit."""
        s, t = self.a[-1] + self.b[-1], 2 * self.a[-1] + self.c
        return min(abs(s + self.r() - 1), abs(t - 1)) < ROUNDING

    def starts_at_zero(self) -> bool:
        """Whether the initial function vanishes in the limit."""
        return self.a[-1] + self.b[-1] > 0.5 + ROUNDING

    def regime(self) -> Regime:
        """Name the regime: `unstable`, `trivial`, or by the dichotomy either `feature` or `kernel`."""
        if not self.stable():
            return "unstable"
        if not self.nontrivial():
            return "trivial"
        return "feature" if self.r() < ROUNDING else "kernel"


def _layers(depth: int) -> int:
    if depth < 1:
        raise BadInput(f"depth={depth} is below 1; give the number of hidden layers")
    return depth


def scan_points(regime: Regime, count: int, rng: np.random.Generator) -> list[ABC]:
    """Draw parametrisations with two hidden layers of one regime, clear of its edges.

    Stability and non-triviality are equalities, so that uniform draws are unstable nearly always. In the gauge
    a_1 = b_1 = 0 with b_2 = 1/2 - a_2 there are four free numbers: s = a_3 + b_3, t = 2 a_3 + c, u = min(1, 2 a_2)
    and r. Feature and kernel points lie on the faces s + r = 1 or t = 1 with r = 0 or r >= 1/4; the others keep 1/4
    from every edge. A random change of gauge comes last.

    Args:
        regime: Which one.
        count: How many.
        rng: Draws them.

    Returns:
        The parametrisations, all with the regime that was asked for.

    Raises:
        BadInput: An unknown regime or a negative count.

    Example:
        >>> [p.regime() for p in scan_points("trivial", 3, np.random.default_rng(0))]
        ['trivial', 'trivial', 'trivial']
    """
    if regime not in REGIMES:
        raise BadInput(f"regime={regime!r} is unknown; choose {', '.join(REGIMES)}")
    if count < 0:
        raise BadInput(f"count={count} is negative; give how many points to draw")
    drawn = _draws(regime, rng)
    return [next(drawn) for _ in range(count)]


def _draws(regime: Regime, rng: np.random.Generator) -> Iterator[ABC]:
    draw = {"feature": _feature, "kernel": _kernel, "trivial": _trivial, "unstable": _unstable}[regime]
    while True:
        s, t, r = draw(rng)
        u = float(rng.choice([1.0, rng.uniform(-1.0, 0.75)]))  # the first layer decides r in half of the cases
        c = r + 1 - u - min(s, t)
        a_out, a_two = (t - c) / 2, u / 2 if u < 1 else rng.uniform(0.5, 1.0)
        yield ABC((0.0, a_two, a_out), (0.0, 0.5 - a_two, s - a_out), c).shift(float(rng.uniform(-1.0, 1.0)))


def _above(rng: np.random.Generator, edge: float) -> float:
    return edge + float(rng.uniform(CLEAR, 3 * CLEAR))


def _feature(rng: np.random.Generator) -> tuple[float, float, float]:
    s, t = [(1.0, 1.0), (1.0, _above(rng, 1.0)), (_above(rng, 1.0), 1.0)][rng.integers(3)]
    return s, t, 0.0


def _kernel(rng: np.random.Generator) -> tuple[float, float, float]:
    r = float(rng.uniform(CLEAR, 0.5))
    s, t = [(1 - r, 1.0), (1 - r, _above(rng, 1.0)), (_above(rng, 1 - r), 1.0)][rng.integers(3)]
    return s, t, r


def _trivial(rng: np.random.Generator) -> tuple[float, float, float]:
    r = _above(rng, 0.0)
    return _above(rng, max(0.5, 1 - r)), _above(rng, 1.0), r


def _unstable(rng: np.random.Generator) -> tuple[float, float, float]:
    s, t, r = _trivial(rng)
    edges = (0.5, 1.0, 0.0)
    broken = int(rng.integers(3))
    found = [s, t, r]
    found[broken] = edges[broken] - float(rng.uniform(CLEAR, 2 * CLEAR))
    return found[0], found[1], found[2]
