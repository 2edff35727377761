"""Linear functions over a finite field, learned by Gaussian elimination: where exact learning is all or nothing.

Inputs x are uniform in F_q^d, the target is x -> <w, x>. Two distinct linear functions disagree on exactly 1 - 1/q of
the inputs, so a learner that interpolates has error 0 or 1 - 1/q. The biased learner of arXiv 2309.13658 (section on
algorithms that learn) first looks for a solution among functions of the first k coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput

Whole = NDArray[np.int64]
Rng = int | np.random.Generator


@dataclass(frozen=True)
class Solutions:
    """Solutions of many systems A z = y modulo q.

    Attributes:
        z: (..., d) one solution each, its free variables drawn uniformly; zeros where there is none.
        consistent: (...) whether a solution exists.
        nullity: (...) dimension of the space of solutions of A z = 0.
    """

    z: Whole
    consistent: NDArray[np.bool_]
    nullity: Whole


def solve_mod(a: ArrayLike, y: ArrayLike, q: int, *, rng: Rng) -> Solutions:
    """Solve linear systems modulo a prime, all of them at once.

    Gauss-Jordan elimination over the stack; every consistent system gets a solution that is uniform among all its
    solutions. Setting the free variables to 0 would be a hidden bias. Cost: trials x m x d x min(m, d).

    Args:
        a: (..., m, d) whole numbers.
        y: (..., m) whole numbers.
        q: Prime below 2^31.
        rng: Draws the free variables.

    Returns:
        Solutions, consistency and nullity.

    Raises:
        BadInput: `q` that is no prime, fractions, or shapes that do not fit.

    Example:
        >>> solve_mod([[1, 2], [3, 4]], [1, 0], 5, rng=0).z.tolist()  # 1*3 + 2*4 = 11 = 1, 3*3 + 4*4 = 25 = 0
        [3, 4]
    """
    check_prime(q)
    system, right = np.asarray(a, dtype=np.int64), np.asarray(y, dtype=np.int64)
    if system.ndim < 2 or right.shape != system.shape[:-1]:
        raise BadInput(f"a has shape {system.shape} and y {right.shape}; pass (..., m, d) and (..., m)")
    if (np.asarray(a) != system).any() or (np.asarray(y) != right).any():
        raise BadInput("a or y holds fractions; pass whole numbers")
    shape, (m, d) = system.shape[:-2], system.shape[-2:]
    work = np.concatenate([system, right[..., None]], axis=-1).reshape(math.prod(shape), m, d + 1) % q
    trials = len(work)
    rank, pivots = np.zeros(trials, dtype=np.int64), np.full((trials, d), -1)
    for column in range(d):
        _eliminate(work, column, rank, pivots, q)
    rows = np.arange(m)
    consistent = ~((rows >= rank[:, None]) & (work[:, :, d] != 0)).any(1)
    draw = np.random.default_rng(rng)
    free = pivots < 0
    z = np.where(free, draw.integers(0, q, size=(trials, d)), 0)
    fixed = (work[:, :, d] - _product(work[:, :, :d], z, q)) % q if m else np.zeros((trials, 0), dtype=np.int64)
    at = np.where(free, 0, pivots)
    z = np.where(free, z, np.take_along_axis(fixed, at, axis=1)) if m else z
    z[~consistent] = 0
    return Solutions(z.reshape(*shape, d), consistent.reshape(shape), (d - rank).reshape(shape))


def _eliminate(work: Whole, column: int, rank: Whole, pivots: NDArray[np.int64], q: int) -> None:
    """One column of Gauss-Jordan for every system; in place on our own copies."""
    m = work.shape[1]
    usable = (work[:, :, column] != 0) & (np.arange(m) >= rank[:, None])
    have = np.flatnonzero(usable.any(1))
    if not len(have):
        return
    found, target = usable[have].argmax(1), rank[have]
    row, other = work[have, found].copy(), work[have, target].copy()
    row = row * _inverse(row[:, column], q)[:, None] % q
    work[have, found] = other
    work[have, target] = row
    factors = work[have, :, column].copy()
    factors[np.arange(len(have)), target] = 0
    work[have] = (work[have] - factors[:, :, None] * row[:, None, :]) % q
    pivots[have, column] = target
    rank[have] += 1


def _inverse(values: Whole, q: int) -> Whole:
    """Inverse modulo a prime as the power q - 2, by repeated squaring."""
    result, square, exponent = np.ones_like(values), values % q, q - 2
    while exponent > 0:
        if exponent & 1:
            result = result * square % q
        square, exponent = square * square % q, exponent >> 1
    return result if q > 2 else values % q


def _product(a: Whole, z: Whole, q: int) -> Whole:
    """(..., m, d) times (..., d) modulo q, without overflow: each term is reduced before it is summed."""
    total: Whole = (a * z[..., None, :] % q).sum(-1) % q
    return total


def check_prime(q: int) -> None:
    """Refuse a modulus over which not every number has an inverse.

    Args:
        q: Modulus.

    Raises:
        BadInput: Not a prime below 2^31.
    """
    whole = isinstance(q, int | np.integer) and not isinstance(q, bool)
    if not whole or not 2 <= q < 2**31 or any(q % p == 0 for p in range(2, int(q**0.5) + 1)):
        raise BadInput(f"q={q} is no prime below 2^31; pass 2, 3, 5, 101, ...")


@dataclass(frozen=True)
class Learned:
    """What a learner returned on many samples.

    Attributes:
        w: (..., d) functions.
        biased: (...) whether they were found among those of the first k coordinates.
        nullity: (...) of the system in which they were found.
    """

    w: Whole
    biased: NDArray[np.bool_]
    nullity: Whole


@dataclass(frozen=True)
class FiniteFieldLinear:
    """Linear functions F_q^d -> F_q.

    Attributes:
        q: Prime.
        d: Dimension.

    Raises:
        BadInput: `q` that is no prime, or `d` below 1.

    Example:
        >>> space = FiniteFieldLinear(5, 8)
        >>> w = space.target(1, rng=0)
        >>> x, y = space.sample(w, 12, rng=1)
        >>> learned = space.erm(x, y, rng=2)
        >>> space.disagreement(learned.w, w).tolist(), learned.nullity.tolist()
        ([0.0], [0])
    """

    q: int
    d: int

    def __post_init__(self) -> None:
        check_prime(self.q)
        if self.d < 1:
            raise BadInput(f"d={self.d} is no dimension; pass 1 or more")

    def target(self, trials: int, *, rng: Rng, support: int | None = None) -> Whole:
        """Draw targets uniformly.

        Args:
            trials: How many.
            rng: Draws them.
            support: Coordinates that may differ from 0, the first ones; None for all.

        Returns:
            (trials, d).

        Raises:
            BadInput: A support that is not between 0 and d.
        """
        k = self._within(support)
        w = np.random.default_rng(rng).integers(0, self.q, size=(trials, self.d))
        w[:, k:] = 0
        return w

    def sample(self, w: ArrayLike, n: int, *, rng: Rng) -> tuple[Whole, Whole]:
        """Draw a training set for each target.

        Args:
            w: (..., d) targets.
            n: Size of each set.
            rng: Draws the inputs.

        Returns:
            Inputs (..., n, d) and labels (..., n).
        """
        targets = np.asarray(w, dtype=np.int64)
        x = np.random.default_rng(rng).integers(0, self.q, size=(*targets.shape[:-1], n, self.d))
        return x, _product(x, targets, self.q)

    def erm(self, x: ArrayLike, y: ArrayLike, *, rng: Rng, bias_k: int | None = None) -> Learned:
        """Interpolate: among functions of the first `bias_k` coordinates if one fits, else among all.

        Args:
            x: (..., n, d).
            y: (..., n), consistent with a linear function.
            rng: Draws the free variables.
            bias_k: Coordinates that are preferred; None for no preference.

        Returns:
            A function for each training set, uniform among those it was chosen from.

        Raises:
            BadInput: `bias_k` above d, or labels that no linear function gives.
        """
        k = self._within(bias_k)
        draw = np.random.default_rng(rng)
        inputs, labels = np.asarray(x, dtype=np.int64), np.asarray(y, dtype=np.int64)
        near = solve_mod(inputs[..., :k], labels, self.q, rng=draw)
        w = np.zeros((*labels.shape[:-1], self.d), dtype=np.int64)
        w[..., :k] = near.z
        nullity, biased = near.nullity.copy(), near.consistent
        if not biased.all():
            rest = solve_mod(inputs[~biased], labels[~biased], self.q, rng=draw)
            if not rest.consistent.all():
                raise BadInput("y is no linear function of x; this learner interpolates labels without noise")
            w[~biased], nullity[~biased] = rest.z, rest.nullity
        return Learned(w, biased, nullity)

    def disagreement(self, w: ArrayLike, v: ArrayLike) -> NDArray[np.float64]:
        """Share of inputs on which two linear functions differ: 0 or 1 - 1/q.

        Args:
            w: (..., d).
            v: (..., d).

        Returns:
            (...).
        """
        differ = ((np.asarray(w) - np.asarray(v)) % self.q != 0).any(-1)
        return np.where(differ, 1 - 1 / self.q, 0.0)

    def _within(self, k: int | None) -> int:
        if k is not None and not 0 <= k <= self.d:
            raise BadInput(f"k={k} is not between 0 and d={self.d}; pass a number of coordinates")
        return self.d if k is None else k
