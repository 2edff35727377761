"""Rules that no ready-made one expresses: a band over all times, and the place of a peak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from overparam.lab import Part, Region, Trials

if TYPE_CHECKING:
    from overparam.stats import Interval

THIRD = 1 - 0.05 / 3  # three parts share one error rate


def theory_band(trials: Trials) -> list[Part]:
    """Simulation within 2 % of the theory at every time and setting (5 % at alpha = 1), as one simultaneous band."""
    groups = (
        ("test error / theory − 1, alpha other than 1", "test_off", lambda a: a != 1, 0.02),
        ("test error / theory − 1, alpha = 1", "test_off", lambda a: a == 1, 0.05),
        ("training error − theory, in units of the first", "train_off", lambda a: True, 0.02),
    )
    parts = []
    for name, column, chosen, margin in groups:
        rows = [row for row in trials.rows if chosen(row["alpha"])]
        if rows:
            parts.append(_band(rows, column, name, Region(-margin, margin)))
    return parts


def _band(rows: list[dict[str, Any]], column: str, name: str, region: Region) -> Part:
    """The widest ends of intervals that hold together, and the deviation that is largest."""
    from overparam.stats import t_interval

    settings: dict[Any, list[list[float]]] = {}
    for row in rows:
        settings.setdefault((row["alpha"], row["inr"]), []).append(row[column])
    series = [values for own in settings.values() for values in zip(*own, strict=True)]
    found = [t_interval(values, level=1 - (1 - THIRD) / len(series)) for values in series]
    worst: Interval = max(found, key=lambda f: abs(f.estimate))
    low, high = min(f.low for f in found), max(f.high for f in found)
    return Part(name, "", worst.estimate, low, high, worst.n, region, level=THIRD)


def peak_of_trained(trials: Trials) -> Part:
    """Weights a sample at the most overtrained width, from small initial weights, within a factor 2 of 1."""
    import math

    from overparam.stats import t_interval

    peaks: dict[int, tuple[float, float]] = {}
    for row in trials.rows:
        if row["scale"] == min(r["scale"] for r in trials.rows):
            peaks[row["seed"]] = max(peaks.get(row["seed"], (-math.inf, 0.0)), (row["gap"], row["ratio"]))
    found = t_interval([math.log(ratio) for _, ratio in peaks.values()], level=THIRD)
    ends = (math.exp(found.estimate), math.exp(found.low), math.exp(min(found.high, 50.0)))
    return Part("weights a sample at the peak", "", *ends, found.n, Region(0.5, 2.0), level=THIRD)
