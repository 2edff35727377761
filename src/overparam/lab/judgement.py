"""What a rule is made of: regions, parts, and the step from intervals to a judgement.

A part is an estimate with an interval and a region. The interval inside the region: the part holds. Disjoint: it
fails. Overlapping: unclear. Several parts of one rule share an error rate by Holm's procedure.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from overparam.lab.trials import Trials
    from overparam.stats import Interval

State = Literal["holds", "fails", "unclear"]
ALPHA = 0.05
INFINITY = math.inf


@dataclass(frozen=True)
class Region:
    """Open interval of values for which a part holds; `closed` lets the edges in.

    Attributes:
        low: Lower edge, minus infinity for none.
        high: Upper edge, infinity for none.
        closed: Whether the edges belong to the region.
    """

    low: float = -INFINITY
    high: float = INFINITY
    closed: bool = False

    def state(self, low: float, high: float) -> State:
        """Compare an interval with the region.

        Args:
            low: Lower end.
            high: Upper end.

        Returns:
            Whether the interval lies inside, outside or across an edge.
        """
        if self.closed:
            inside, outside = low >= self.low and high <= self.high, high < self.low or low > self.high
        else:
            inside, outside = low > self.low and high < self.high, high <= self.low or low >= self.high
        return "holds" if inside else "fails" if outside else "unclear"

    def __str__(self) -> str:
        from overparam.lab.wording import number

        if self.low == -INFINITY:
            return f"{'at most' if self.closed else 'below'} {number(self.high)}"
        if self.high == INFINITY:
            return f"{'at least' if self.closed else 'above'} {number(self.low)}"
        return f"between {number(self.low)} and {number(self.high)}"


@dataclass(frozen=True)
class Part:
    """One judged part of a rule.

    Attributes:
        name: What was estimated.
        unit: Its unit, or empty.
        estimate: Point estimate; None without data.
        low: Lower end of the interval; None without data.
        high: Upper end of the interval; None without data.
        n: Number of units of evidence.
        region: Where the part holds.
        level: Level of the interval; above 0.95 where several parts share one error rate.
        across: What a unit of evidence is.
        difference: Whether the estimate is a difference, shown with its sign.
    """

    name: str
    unit: str
    estimate: float | None
    low: float | None
    high: float | None
    n: int
    region: Region
    level: float = 1 - ALPHA
    across: str = "seed"
    difference: bool = False

    @property
    def state(self) -> State:
        """Holds, fails or unclear; unclear without data."""
        if self.low is None or self.high is None:
            return "unclear"
        return self.region.state(self.low, self.high)


@dataclass(frozen=True)
class Test:
    """A part before it has an interval: what an enclosing rule needs to choose the level."""

    part: Part
    interval: Callable[[float], Interval] | None = None  # None: the interval is fixed by the experiment

    def at(self, interval: Interval) -> Part:
        """Fill in an interval."""
        p = self.part
        return Part(
            p.name,
            p.unit,
            interval.estimate,
            interval.low,
            interval.high,
            interval.n,
            p.region,
            interval.level,
            p.across,
            p.difference,
        )


class Rule:
    """A region, as data. Subclasses are frozen dataclasses, so a rule can be hashed into the run."""

    def tests(self, trials: Trials) -> list[Test]:
        """Set up the parts.

        Args:
            trials: Table of one experiment.

        Returns:
            One test for each part.
        """
        raise NotImplementedError

    def judge(self, trials: Trials) -> list[Part]:
        """Judge the trials; several parts share one error rate by Holm's procedure.

        Args:
            trials: Table of one experiment.

        Returns:
            One part for each region of the rule.
        """
        from overparam.stats import holm_intervals

        tests = self.tests(trials)
        parts: dict[int, Part] = {i: t.part for i, t in enumerate(tests) if t.interval is None}
        free = [i for i, t in enumerate(tests) if t.interval is not None]

        def clear(k: int, interval: Interval) -> bool:
            return tests[free[k]].part.region.state(interval.low, interval.high) != "unclear"

        builders = [f for t in tests if (f := t.interval) is not None]
        for k, interval in zip(free, holm_intervals(builders, clear, alpha=ALPHA), strict=True):
            parts[k] = tests[k].at(interval)
        return [parts[i] for i in range(len(tests))]

    @property
    def text(self) -> str:
        """The rule in words."""
        raise NotImplementedError

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the thresholds are what they are."""
        return (self.why,) if getattr(self, "why", "") else ()  # type: ignore[attr-defined]

    def as_data(self) -> dict[str, Any]:
        """Return the rule as plain data, for hashing and for the evidence."""
        body = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {
            "rule": type(self).__name__,
            **{k: _plain(v) for k, v in body.items() if v not in (None, "", ())},
        }

    @property
    def hash(self) -> str:
        """Fingerprint: two rules with the same hash judge alike."""
        return hashlib.sha256(json.dumps(self.as_data(), sort_keys=True, default=str).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, Rule):
        return value.as_data()
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if callable(value):
        from overparam.lab.closure import function_fingerprint

        return function_fingerprint(value)
    return value
