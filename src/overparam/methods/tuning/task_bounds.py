"""How many tasks are needed to tune one hyper-parameter: pseudo-dimension and deviations with explicit constants.

If every task's utility has at most B breaks, N tasks take at most N B + 1 different vectors of values as alpha moves.
Massart's lemma on those vectors and McDiarmid's inequality give the deviations. The constants are derived here; arXiv
2501.13734 states orders: `order_of_activation` and `order_of_graph` return them as terms, never as numbers of tasks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from overparam.errors import BadInput


def pdim_upper(breaks: int) -> int:
    """Bound the pseudo-dimension of piecewise constant utilities with B breaks each.

    m tasks with thresholds are shattered only if 2^m <= m B + 1, since their values change at most m B times.

    Args:
        breaks: B, not negative.

    Returns:
        The largest such m.

    Raises:
        BadInput: A negative number.

    Example:
        >>> pdim_upper(0), pdim_upper(1), pdim_upper(30)
        (0, 1, 7)
    """
    if breaks < 0:
        raise BadInput(f"breaks={breaks}: give a number that is not negative")
    m = 0
    while 2 ** (m + 1) <= (m + 1) * breaks + 1:
        m += 1
    return m


def uniform_deviation(tasks: int, breaks: float, *, height: float = 1.0, delta: float = 0.05) -> float:
    """Bound |mean over N tasks - expectation| for all alpha at once, with probability 1 - delta.

    H sqrt(2 ln(N B + 1) / N) + H sqrt(ln(2/delta) / (2 N)). B has to bound every task of the law: take the algebraic
    count, not the largest count seen; for counts seen there is `observed_deviation`.

    Args:
        tasks: N, at least 1.
        breaks: B, not negative.
        height: H; utilities lie in an interval of this length.
        delta: Probability of failure, in (0, 1).

    Returns:
        The deviation, in units of the utility.

    Raises:
        BadInput: An argument out of range.
    """
    _check(tasks, height, delta)
    if not breaks >= 0:
        raise BadInput(f"breaks={breaks}: give a number that is not negative")
    massart = math.sqrt(2 * math.log(tasks * breaks + 1) / tasks)
    return height * (massart + math.sqrt(math.log(2 / delta) / (2 * tasks)))


def observed_deviation(counts: Sequence[int], *, height: float = 1.0, delta: float = 0.05) -> float:
    """Bound the same deviation from the breaks of the tasks at hand, by the empirical Rademacher complexity.

    H sqrt(2 ln(1 + sum B_i) / N) + 3 H sqrt(ln(4/delta) / (2 N)).

    Args:
        counts: Breaks of each task.
        height: H; utilities lie in an interval of this length.
        delta: Probability of failure, in (0, 1).

    Returns:
        The deviation, in units of the utility.

    Raises:
        BadInput: No counts, a negative one, or another argument out of range.
    """
    n = len(counts)
    _check(n, height, delta)
    if min(counts) < 0:
        raise BadInput(f"counts hold {min(counts)}; breaks cannot be negative")
    massart = math.sqrt(2 * math.log(1 + sum(counts)) / n)
    return height * (massart + 3 * math.sqrt(math.log(4 / delta) / (2 * n)))


def tasks_needed(accuracy: float, breaks: float, *, height: float = 1.0, delta: float = 0.05) -> int:
    """Find how many tasks bring the uniform deviation down to an accuracy.

    The tuned alpha is then within twice that of the best one.

    Args:
        accuracy: Wanted deviation, positive.
        breaks: B, not negative.
        height: H; utilities lie in an interval of this length.
        delta: Probability of failure, in (0, 1).

    Returns:
        The smallest N from which on the bound stays below.

    Raises:
        BadInput: An argument out of range.

    Example:
        >>> n = tasks_needed(0.1, 30)
        >>> uniform_deviation(n, 30) <= 0.1 < uniform_deviation(n - 1, 30)
        True
    """
    if not accuracy > 0:
        raise BadInput(f"accuracy={accuracy}: give a positive number")
    high = 1
    while uniform_deviation(high, breaks, height=height, delta=delta) > accuracy:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        small = uniform_deviation(middle, breaks, height=height, delta=delta) <= accuracy
        low, high = (low, middle) if small else (middle, high)
    return high


@dataclass(frozen=True)
class Certificate:
    """What a tuned hyper-parameter is guaranteed.

    Attributes:
        observed: Deviation from the breaks seen; valid without knowing the law.
        algebraic: Deviation from a bound on the breaks of every task; None if no such bound was given.
        tasks: N.
        counts: Breaks of each task.
        delta: Probability of failure.
    """

    observed: float
    algebraic: float | None
    tasks: int
    counts: tuple[int, ...]
    delta: float

    @property
    def suboptimality(self) -> float:
        """How far the tuned alpha can be from the best one on new tasks: twice the smaller deviation."""
        return 2 * min(self.observed, math.inf if self.algebraic is None else self.algebraic)


def order_of_activation(
    *, layers: int, weights: int, units: int, pieces: int, degree: int, examples: int
) -> dict[str, float]:
    """Terms of the order of the pseudo-dimension for a mixture of two piecewise polynomial activations.

    Args:
        layers: L.
        weights: W.
        units: U.
        pieces: p, breakpoints of an activation.
        degree: Of an activation's pieces.
        examples: T, in a task.

    Returns:
        L² W log(degree) and L W log(T U p), without constants.

    Source: arXiv 2501.13734, theorem on activation interpolation.
    """
    return {
        "L² W log degree": layers**2 * weights * math.log(degree),
        "L W log(T U p)": layers * weights * math.log(examples * units * pieces),
    }


def order_of_graph(*, hidden: int, inputs: int, classes: int, nodes: int, degree: int) -> dict[str, float]:
    """Terms of the order of the pseudo-dimension for a polynomial graph kernel before a two-layer network.

    Args:
        hidden: d_0, width of the hidden layer.
        inputs: F, features of a node.
        classes: d_1, outputs.
        nodes: n.
        degree: Of the kernel.

    Returns:
        d_0 (d_1 + F) log(n F degree), without constants.

    Source: arXiv 2501.13734, theorem on graph kernels.
    """
    return {"d0 (d1 + F) log(n F degree)": hidden * (classes + inputs) * math.log(nodes * inputs * degree)}


def _check(tasks: int, height: float, delta: float) -> None:
    if tasks < 1 or not height > 0 or not 0 < delta < 1:
        raise BadInput(f"tasks={tasks}, height={height}, delta={delta}: tasks >= 1, height > 0, delta in (0, 1)")
