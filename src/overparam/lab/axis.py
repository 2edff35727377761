"""Intervals against their regions on one axis, as positions in per cent: for the report and the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from overparam.lab.wording import MINUS, number

Part = Mapping[str, Any]  # an entry of `parts` in the JSON document of a run


@dataclass(frozen=True)
class Axis:
    """A linear axis.

    Attributes:
        low: Value at 0 %.
        high: Value at 100 %.
        ticks: Values to label.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float | None, otherwise: float) -> float:
        """Place a value.

        Args:
            value: On the axis; None is an infinite end.
            otherwise: Position of an infinite end.

        Returns:
            Per cent from the left, kept within the plot.
        """
        if value is None:
            return otherwise
        return min(100.0, max(0.0, 100 * (value - self.low) / (self.high - self.low)))

    def labels(self, signed: bool) -> list[tuple[float, str]]:
        """Place the ticks.

        Args:
            signed: Whether positive values carry a plus.

        Returns:
            Position in per cent and text of each.
        """
        return [(self.place(t, 0), ("+" if signed and t > 0 else "") + number(t)) for t in self.ticks]


def axis_for(parts: Sequence[Part]) -> Axis:
    """Choose an axis that shows every interval and every edge, with three to five round ticks.

    Args:
        parts: Parts that share the axis.

    Returns:
        The axis.
    """
    points = [p[k] for p in parts for k in ("estimate", "low", "high") if p[k] is not None]
    points += [p["region"][k] for p in parts for k in ("low", "high") if p["region"][k] is not None]
    low, high = (min(points), max(points)) if points else (0.0, 1.0)
    if high == low:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    pad = 0.12 * (high - low)
    step = _round_step((high - low + 2 * pad) / 3.5)
    first, last = math.floor((low - pad / 3) / step), math.ceil((high + pad / 3) / step)
    ticks = tuple(round(i * step, 12) for i in range(first, last + 1))
    return Axis(first * step, last * step, ticks if len(ticks) <= 5 else ticks[:: math.ceil(len(ticks) / 5)])


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= step * 0.999)


def groups(parts: Sequence[Part]) -> list[list[Part]]:
    """Gather neighbouring parts that can share an axis: same unit, spans within a factor of five.

    Args:
        parts: Parts of a verdict.

    Returns:
        Lists of parts, in order.
    """
    found: list[list[Part]] = []
    for part in parts:
        span = _span(part)
        if found and found[-1][0]["unit"] == part["unit"] and 0.2 <= span / _span(found[-1][0]) <= 5:
            found[-1].append(part)
        else:
            found.append([part])
    return found


def _span(part: Part) -> float:
    axis = axis_for([part])
    return axis.high - axis.low


def plain(text: str) -> str:
    """Write a text with ASCII signs only.

    Args:
        text: Any text.

    Returns:
        With hyphens for minus and plain spaces.
    """
    return text.replace(MINUS, "-").replace("\u202f", " ")
