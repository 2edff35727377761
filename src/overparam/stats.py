"""Intervals, paired contrasts, equivalence, slopes and multiple comparisons. Thin, on SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval.

    Attributes:
        estimate: Point estimate.
        low: Lower end, minus infinity where one unit gives no interval.
        high: Upper end.
        n: Number of units.
        level: Coverage.
    """

    estimate: float
    low: float
    high: float
    n: int
    level: float


def t_interval(values: ArrayLike, *, level: float = 0.95) -> Interval:
    """Interval of a mean: m ± t(1 - (1 - level)/2, n - 1) s/√n.

    Args:
        values: (n,), n >= 1. A single value gives an infinite interval.
        level: Coverage in (0, 1).

    Returns:
        Mean and interval; zero width where all values agree.

    Raises:
        BadInput: Empty or not finite values, or a level outside (0, 1).

    Example:
        >>> t_interval([1.0, 2.0, 3.0]).estimate
        2.0
    """
    x = _finite(values, level)
    mean = float(x.mean())
    if len(x) == 1:
        return Interval(mean, -math.inf, math.inf, 1, level)
    from scipy.special import stdtrit

    half = float(stdtrit(len(x) - 1, 0.5 + level / 2) * x.std(ddof=1) / math.sqrt(len(x)))
    return Interval(mean, mean - half, mean + half, len(x), level)


def bca_interval(values: ArrayLike, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0) -> Interval:
    """Interval of a mean by the bias-corrected and accelerated bootstrap, seeded.

    Args:
        values: (n,), n >= 1. A single value gives an infinite interval.
        level: Coverage in (0, 1).
        resamples: Bootstrap samples.
        seed: Seed of the resampling.

    Returns:
        Mean and interval; zero width where all values agree.

    Raises:
        BadInput: Empty or not finite values, or a level outside (0, 1).

    Source: Efron, Better bootstrap confidence intervals, 1987.
    """
    x = _finite(values, level)
    mean = float(x.mean())
    if len(x) == 1:
        return Interval(mean, -math.inf, math.inf, 1, level)
    if np.ptp(x) == 0.0:
        return Interval(mean, mean, mean, len(x), level)
    from scipy.stats import bootstrap

    found = bootstrap(
        (x,), np.mean, n_resamples=resamples, confidence_level=level, method="BCa", rng=np.random.default_rng(seed)
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high), len(x), level)


def paired_interval(
    treat: ArrayLike, against: ArrayLike, *, level: float = 0.95, method: Literal["t", "bca"] = "t"
) -> Interval:
    """Interval of the mean difference of pairs.

    Args:
        treat: (n,).
        against: (n,), paired by position.
        level: Coverage in (0, 1).
        method: Student's t, or the BCa bootstrap.

    Returns:
        Mean difference and interval.

    Raises:
        BadInput: Lengths differ, or values are not finite.
    """
    a, b = _finite(treat, level), _finite(against, level)
    if len(a) != len(b):
        raise BadInput(f"treat has {len(a)} values and against {len(b)}; give one pair a unit")
    return (bca_interval if method == "bca" else t_interval)(a - b, level=level)


def ratio_interval(
    treat: ArrayLike, against: ArrayLike, *, level: float = 0.95, method: Literal["t", "bca"] = "t"
) -> Interval:
    """Interval of the geometric mean of ratios of pairs.

    Args:
        treat: (n,), positive.
        against: (n,), positive, paired by position.
        level: Coverage in (0, 1).
        method: Student's t, or the BCa bootstrap, on the logs.

    Returns:
        Ratio and interval.

    Raises:
        BadInput: Lengths differ, or a value is not positive.

    Example:
        >>> round(ratio_interval([2.0, 8.0], [1.0, 1.0]).estimate, 12)
        4.0
    """
    a, b = _finite(treat, level), _finite(against, level)
    for name, x in (("treat", a), ("against", b)):
        if (x <= 0).any():
            first = int(np.argmax(x <= 0))
            raise BadInput(f"{name}[{first}]={x[first]:g} is not positive; a ratio needs positive values")
    logs = paired_interval(np.log(a), np.log(b), level=level, method=method)
    return Interval(math.exp(logs.estimate), math.exp(logs.low), _exp(logs.high), logs.n, level)


def _exp(x: float) -> float:
    return math.inf if x == math.inf else math.exp(x)


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests.

    Attributes:
        p_low: Against the mean lying at or below -margin.
        p_high: Against the mean lying at or above +margin.
        p: The larger of both.
        interval: At level 1 - 2 alpha; inside the margin if and only if p < alpha.
    """

    p_low: float
    p_high: float
    p: float
    interval: Interval


def equivalence(values: ArrayLike, *, margin: float, alpha: float = 0.025) -> Equivalence:
    """Test that a mean lies within (-margin, margin) by two one-sided t tests.

    Args:
        values: (n,), n >= 2.
        margin: Positive.
        alpha: Error rate of each test.

    Returns:
        Both p values and the matching interval.

    Raises:
        BadInput: A margin that is not positive, or fewer than two values.

    Source: Schuirmann, 1987.
    """
    x = _finite(values, 1 - 2 * alpha)
    if margin <= 0 or len(x) < 2:
        raise BadInput(f"margin={margin} with {len(x)} values; give a positive margin and at least two values")
    from scipy.stats import t

    error = x.std(ddof=1) / math.sqrt(len(x))
    with np.errstate(divide="ignore"):
        p_low = float(t.sf((x.mean() + margin) / error, len(x) - 1))
        p_high = float(t.cdf((x.mean() - margin) / error, len(x) - 1))
    return Equivalence(p_low, p_high, max(p_low, p_high), t_interval(x, level=1 - 2 * alpha))


def slope(x: ArrayLike, y: ArrayLike, *, level: float = 0.95) -> Interval:
    """Least-squares slope of y on x with its t interval.

    Args:
        x: (n,), at least two distinct values.
        y: (n,).
        level: Coverage in (0, 1).

    Returns:
        Slope and interval, infinite for n = 2.

    Raises:
        BadInput: Lengths differ or all x agree.

    Example:
        >>> slope([0, 1, 2], [1, 3, 5]).estimate
        2.0
    """
    a, b = _finite(x, level), _finite(y, level)
    if len(a) != len(b) or np.ptp(a) == 0.0:
        raise BadInput(f"x has {len(a)} and y {len(b)} values; a slope needs pairs with two distinct x")
    dx, dy = a - a.mean(), b - b.mean()
    estimate = float(dx @ dy / (dx @ dx))
    if len(a) == 2:
        return Interval(estimate, -math.inf, math.inf, 2, level)
    from scipy.special import stdtrit

    error = math.sqrt(float(((dy - estimate * dx) ** 2).sum()) / (len(a) - 2) / float(dx @ dx))
    half = float(stdtrit(len(a) - 2, 0.5 + level / 2)) * error
    return Interval(estimate, estimate - half, estimate + half, len(a), level)


def spearman(x: ArrayLike, y: ArrayLike) -> float | None:
    """Rank correlation, ties averaged.

    Args:
        x: (n,).
        y: (n,).

    Returns:
        The correlation, or None where one side is constant.

    Example:
        >>> spearman([1, 2, 3], [10, 20, 15])
        0.5
    """
    from scipy.stats import rankdata

    a, b = (rankdata(np.asarray(v, dtype=np.float64)) for v in (x, y))
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale else None


def wilson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Score interval of a share.

    Args:
        successes: 0 <= successes <= n.
        n: Number of cases, at least 1.
        level: Coverage in (0, 1).

    Returns:
        Share and interval.

    Raises:
        BadInput: Counts that make no share.

    Source: Wilson, 1927.
    """
    if not 0 <= successes <= n or n < 1:
        raise BadInput(f"successes={successes} of n={n} is no share; give 0 <= successes <= n and n >= 1")
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half), n, level)


def holm(p_values: Sequence[float]) -> Array:
    """Holm's step-down adjusted p values.

    Args:
        p_values: (k,).

    Returns:
        (k,), in the same order; reject where at most alpha.

    Source: Holm, 1979.

    Example:
        >>> holm([0.01, 0.04]).tolist()
        [0.02, 0.04]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    found = np.empty_like(p)
    found[order] = np.minimum(adjusted, 1.0)
    return found


def holm_intervals(
    builders: Sequence[Callable[[float], Interval]],
    clear: Callable[[int, Interval], bool],
    *,
    alpha: float = 0.05,
) -> list[Interval]:
    """Holm's step-down in terms of intervals, so that what is drawn is what decides.

    With k intervals undecided, each is built at level 1 - alpha/k. Those that are clear of their edge are kept at
    that level and leave; k shrinks, until nothing changes.

    Args:
        builders: For each part, level to interval.
        clear: Whether interval i is clear of the edges of its region.
        alpha: Chance of any wrong decision.

    Returns:
        One interval a part. A single part has level 1 - alpha.

    Source: Holm, 1979, with each test inverted into its interval.
    """
    found: dict[int, Interval] = {}
    undecided = list(range(len(builders)))
    while undecided:
        tried = {i: builders[i](1 - alpha / len(undecided)) for i in undecided}
        decided = [i for i in undecided if clear(i, tried[i])]
        found.update(tried)
        if not decided:
            break
        undecided = [i for i in undecided if i not in decided]
    return [found[i] for i in range(len(builders))]


def _finite(values: ArrayLike, level: float) -> Array:
    x = np.atleast_1d(np.asarray(values, dtype=np.float64)).ravel()
    if not 0 < level < 1:
        raise BadInput(f"level={level} is no coverage; give a number between 0 and 1")
    if not len(x) or not np.isfinite(x).all():
        raise BadInput(
            f"values hold {len(x)} numbers, {int((~np.isfinite(x)).sum())} of them not finite; give finite ones"
        )
    return x
