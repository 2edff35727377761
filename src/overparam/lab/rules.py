"""Rules: the region in which a claim holds, written as data before the run.

Every rule turns the trial table into parts. The unit of evidence is the seed (or another column, `across`): values are
averaged inside a unit, the interval is built over units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from overparam.lab.judgement import INFINITY, Part, Region, Rule, Test

if TYPE_CHECKING:
    from overparam.lab.trials import Trials
    from overparam.stats import Interval


def _across(names: str) -> str:
    return names if names.endswith("s") else names + "s"


@dataclass(frozen=True)
class _Leaf(Rule):
    """Fields that all rules with a single region share."""

    where: Mapping[str, Any] | None = field(default=None, kw_only=True, hash=False)
    across: str = field(default="seed", kw_only=True)
    interval: Literal["t", "bca"] = field(default="t", kw_only=True)
    name: str = field(default="", kw_only=True)
    unit: str = field(default="", kw_only=True)
    why: str = field(default="", kw_only=True)

    def _mean(self, values: Sequence[float]) -> Callable[[float], Interval]:
        from overparam.stats import bca_interval, t_interval

        make = bca_interval if self.interval == "bca" else t_interval
        return lambda level: make(values, level=level)

    def _test(self, label: str, values: Sequence[float], region: Region, *, difference: bool = False) -> list[Test]:
        part = Part(
            self.name or label,
            self.unit,
            None,
            None,
            None,
            0,
            region,
            across=self.across,
            difference=difference,
        )
        return [Test(part, self._mean(values) if len(values) else None)]

    def _say(self, label: str, region: Region) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name or label} {region}{unit}, over {_across(self.across)}"


@dataclass(frozen=True)
class Above(_Leaf):
    """The mean of a metric lies above a threshold."""

    metric: str
    threshold: float

    @property
    def region(self) -> Region:
        """Where the rule holds."""
        return Region(low=self.threshold)

    def tests(self, trials: Trials) -> list[Test]:  # noqa: D102
        return self._test(self.metric, trials.by_unit(self.metric, self.where, self.across)[1], self.region)

    @property
    def text(self) -> str:  # noqa: D102
        return self._say(self.metric, self.region)


@dataclass(frozen=True)
class Below(Above):
    """The mean of a metric lies below a threshold."""

    @property
    def region(self) -> Region:
        """Where the rule holds."""
        return Region(high=self.threshold)


@dataclass(frozen=True)
class Between(_Leaf):
    """The mean of a metric lies between two thresholds."""

    metric: str
    low: float
    high: float

    def tests(self, trials: Trials) -> list[Test]:  # noqa: D102
        return self._test(
            self.metric, trials.by_unit(self.metric, self.where, self.across)[1], Region(self.low, self.high)
        )

    @property
    def text(self) -> str:  # noqa: D102
        return self._say(self.metric, Region(self.low, self.high))


@dataclass(frozen=True)
class _Paired(_Leaf):
    """Two settings of the same metric, paired by unit."""

    metric: str
    treat: Mapping[str, Any] = field(kw_only=True, hash=False)
    against: Mapping[str, Any] = field(kw_only=True, hash=False)

    @property
    def _label(self) -> str:
        sides = [", ".join(str(v) for v in side.values()) for side in (self.treat, self.against)]
        return " − ".join(sides)

    def pairs(self, trials: Trials) -> tuple[list[float], list[float]]:
        """Return the values of both settings for the units that have both.

        Args:
            trials: Table of one experiment.

        Returns:
            Values of `treat` and of `against`, in the same order of units.
        """
        sides = [
            dict(zip(*trials.by_unit(self.metric, {**(self.where or {}), **side}, self.across), strict=True))
            for side in (self.treat, self.against)
        ]
        common = [unit for unit in sides[0] if unit in sides[1]]
        return [sides[0][u] for u in common], [sides[1][u] for u in common]


@dataclass(frozen=True)
class Contrast(_Paired):
    """Difference between two settings, paired by unit; above 0 unless an edge is given."""

    above: float | None = field(default=None, kw_only=True)
    below: float | None = field(default=None, kw_only=True)

    @property
    def region(self) -> Region:
        """Where the rule holds."""
        if self.above is None and self.below is None:
            return Region(low=0.0)
        return Region(-INFINITY if self.above is None else self.above, INFINITY if self.below is None else self.below)

    def tests(self, trials: Trials) -> list[Test]:  # noqa: D102
        treat, against = self.pairs(trials)
        return self._test(
            self._label, [a - b for a, b in zip(treat, against, strict=True)], self.region, difference=True
        )

    @property
    def text(self) -> str:  # noqa: D102
        return self._say(self._label, self.region).replace(", over ", ", paired over ")


@dataclass(frozen=True)
class Equivalent(_Paired):
    """Two one-sided tests: the difference lies within a margin on both sides."""

    margin: float = field(kw_only=True)

    def tests(self, trials: Trials) -> list[Test]:  # noqa: D102
        treat, against = self.pairs(trials)
        values = [a - b for a, b in zip(treat, against, strict=True)]
        return self._test(self._label, values, Region(-self.margin, self.margin), difference=True)

    @property
    def text(self) -> str:  # noqa: D102
        return self._say(self._label, Region(-self.margin, self.margin)) + ", two one-sided tests"


@dataclass(frozen=True)
class Ratio(_Paired):
    """Geometric mean of the ratio between two settings, paired by unit; above 1 unless an edge is given."""

    above: float | None = field(default=None, kw_only=True)
    below: float | None = field(default=None, kw_only=True)

    @property
    def region(self) -> Region:
        """Where the rule holds."""
        if self.above is None and self.below is None:
            return Region(low=1.0)
        return Region(-INFINITY if self.above is None else self.above, INFINITY if self.below is None else self.below)

    def tests(self, trials: Trials) -> list[Test]:  # noqa: D102
        from overparam.stats import ratio_interval

        treat, against = self.pairs(trials)
        label = self._label.replace(" − ", " / ")
        part = Part(self.name or label, self.unit or "times", None, None, None, 0, self.region, across=self.across)
        build = lambda level: ratio_interval(treat, against, level=level, method=self.interval)  # noqa: E731
        return [Test(part, build if treat else None)]

    @property
    def text(self) -> str:  # noqa: D102
        return self._say(self._label.replace(" − ", " / "), self.region).replace(", over ", ", paired over ")


@dataclass(frozen=True)
class Slope(_Leaf):
    """Least-squares slope of `y` on `over` inside each unit: a rate, or an exponent where both are logs."""

    y: str
    over: str = field(kw_only=True)
    inside: tuple[float, float] = field(kw_only=True)

    def tests(self, trials: Trials) -> list[Test]:  # noqa: D102
        from overparam.stats import slope

        groups = trials.pairs_by_unit(self.over, self.y, self.where, self.across)
        values = [slope(x, y).estimate for x, y in groups.values() if len(set(x)) > 1]
        return self._test(f"slope of {self.y} over {self.over}", values, Region(*self.inside))

    @property
    def text(self) -> str:  # noqa: D102
        return self._say(f"slope of {self.y} over {self.over}", Region(*self.inside))


@dataclass(frozen=True)
class Correlation(_Leaf):
    """Spearman's rank correlation of two columns inside each unit."""

    x: str
    y: str
    above: float = field(default=-INFINITY, kw_only=True)
    below: float = field(default=INFINITY, kw_only=True)

    def tests(self, trials: Trials) -> list[Test]:  # noqa: D102
        from overparam.stats import spearman

        groups = trials.pairs_by_unit(self.x, self.y, self.where, self.across)
        values = [r for x, y in groups.values() if len(x) > 2 and (r := spearman(x, y)) is not None]
        return self._test(f"correlation of {self.x} and {self.y}", values, Region(self.above, self.below))

    @property
    def text(self) -> str:  # noqa: D102
        return self._say(f"correlation of {self.x} and {self.y}", Region(self.above, self.below))


@dataclass(frozen=True)
class Exact(_Leaf):
    """The largest absolute value over all trials stays within a tolerance: identities and bounds."""

    metric: str
    tolerance: float

    def tests(self, trials: Trials) -> list[Test]:  # noqa: D102
        values = [abs(v) for v in trials.values(self.metric, self.where)]
        worst = max(values, default=None)
        region = Region(high=self.tolerance, closed=True)
        label = self.name or f"largest |{self.metric}|"
        return [Test(Part(label, self.unit, worst, worst, worst, len(values), region, level=1.0, across="case"))]

    @property
    def text(self) -> str:  # noqa: D102
        return f"{self.name or f'largest |{self.metric}|'} at most {self.tolerance:g} in every case"


@dataclass(frozen=True)
class Estimated(_Leaf):
    """The method itself gave an estimate with a 95 % interval: `metric`, `metric_low`, `metric_high` of one trial."""

    metric: str
    above: float = field(default=-INFINITY, kw_only=True)
    below: float = field(default=INFINITY, kw_only=True)
    inside: tuple[float, float] | None = field(default=None, kw_only=True)

    @property
    def region(self) -> Region:
        """Where the rule holds."""
        return Region(*(self.inside or (self.above, self.below)))

    def tests(self, trials: Trials) -> list[Test]:  # noqa: D102
        names = (self.metric, f"{self.metric}_low", f"{self.metric}_high")
        rows = [values for values in trials.columns(names, self.where) if None not in values]
        estimate, low, high = rows[0] if len(rows) == 1 else (None, None, None)
        part = Part(
            self.name or self.metric,
            self.unit,
            estimate,
            low,
            high,
            len(rows),
            self.region,
            across=self.across,
        )
        return [Test(part)]

    @property
    def text(self) -> str:  # noqa: D102
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name or self.metric} {self.region}{unit}, interval by the method"


@dataclass(frozen=True)
class Computed(_Leaf):
    """A named pure function of the trial table, where no other rule fits. Its source is part of the hash."""

    function: Callable[[Trials], Part | list[Part]]

    def tests(self, trials: Trials) -> list[Test]:  # noqa: D102
        parts = self.function(trials)
        return [Test(part) for part in (parts if isinstance(parts, list) else [parts])]

    @property
    def text(self) -> str:  # noqa: D102
        return self.name or " ".join((self.function.__doc__ or self.function.__name__).split()).rstrip(".")


@dataclass(frozen=True, init=False)
class AllOf(Rule):
    """Several rules: all hold, all fail, or some hold. Their intervals share one error rate by Holm's procedure."""

    rules: tuple[Rule, ...]

    def __init__(self, *rules: Rule) -> None:
        object.__setattr__(self, "rules", rules)

    def tests(self, trials: Trials) -> list[Test]:  # noqa: D102
        return [test for rule in self.rules for test in rule.tests(trials)]

    @property
    def text(self) -> str:  # noqa: D102
        return "; ".join(rule.text for rule in self.rules)

    @property
    def reasons(self) -> tuple[str, ...]:  # noqa: D102
        return tuple(dict.fromkeys(reason for rule in self.rules for reason in rule.reasons))
