"""The rule of the claim on networks: no measure ranks everywhere or is tight everywhere, where the gap itself is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from overparam.lab import Part, Region, Trials

if TYPE_CHECKING:
    from overparam.stats import Interval

LEVEL = 1 - 0.05 / 4  # four parts share one error rate
LEAST_PAIRS = 4  # of networks, for an axis to count
RANKS, TIGHT = 0.8, 0.1
AXES = ("width", "depth", "rate", "batch", "decay", "noise")


def network_tables(trials: Trials) -> list[dict[tuple[float, ...], dict[str, float]]]:
    """Return, for each seed, setting to gap and measures; only settings that all seeds have."""
    tables = []
    for row in trials.rows:
        names = [name for name in row if name == "gap" or name.startswith("mu:")]
        settings = zip(*(row[axis] for axis in AXES), strict=True)
        values = [[float("inf") if v is None else float(v) for v in row[name]] for name in names]
        networks = [dict(zip(names, own, strict=True)) for own in zip(*values, strict=True)]
        tables.append(dict(zip(settings, networks, strict=True)))
    common = set.intersection(*(set(t) for t in tables)) if tables else set()
    return [{s: t[s] for s in sorted(common)} for t in tables]


def rank_and_error(trials: Trials) -> dict[str, dict[str, Any]]:
    """Score every measure, and as a control the gap of the next seed, on the same pairs of networks.

    A pair differs on one axis. For a seed it counts if its gaps differ by more than zero in a 95 % interval over the
    seeds that are neither this one nor the next: other pairs have no known order, and pairs that were chosen by the
    gaps they are scored with would agree even in pure noise. An axis counts if it has four pairs for every seed.

    Args:
        trials: A row a seed, with lists over networks.

    Returns:
        Measure (or `control`) to `psi`, axis to one correlation a seed; `sup`, one largest distance from the gap a
        seed, values above 1 taken as 1, since no error is larger; and `vacuous`, the share of such values. Empty with
        fewer than four seeds.
    """
    import numpy as np

    tables = network_tables(trials)
    if len(tables) < 4 or not tables[0]:
        return {}
    settings = list(tables[0])
    gaps = np.array([[t[s]["gap"] for s in settings] for t in tables])
    names = [n for n in tables[0][settings[0]] if n != "gap"]
    values = {n.removeprefix("mu:"): np.array([[t[s][n] for s in settings] for t in tables]) for n in names}
    values["control"] = np.roll(gaps, -1, axis=0)
    clear = [_clear_pairs(gaps, settings, seed) for seed in range(len(tables))]
    counted = [axis for axis in AXES if min(len(own[axis]) for own in clear) >= LEAST_PAIRS]

    def agreement(mu: Any, axis: str) -> Any:
        signs = []
        for seed, own in enumerate(clear):
            i, j = np.array(own[axis]).T
            orders = [(v[seed, i] > v[seed, j]).astype(float) - (v[seed, i] < v[seed, j]) for v in (mu, gaps)]
            signs.append(float((orders[0] * orders[1]).mean()))
        return np.array(signs)

    return {
        name: {
            "psi": {axis: agreement(mu, axis) for axis in counted},
            "sup": np.abs(np.minimum(mu, 1.0) - gaps).max(1),
            "vacuous": float((mu > 1).mean()),
        }
        for name, mu in values.items()
    }


def _clear_pairs(gaps: Any, settings: list[tuple[float, ...]], seed: int) -> dict[str, list[tuple[int, int]]]:
    import numpy as np
    from scipy.special import stdtrit

    others = [s for s in range(len(gaps)) if s not in (seed, (seed + 1) % len(gaps))]
    wide = stdtrit(len(others) - 1, 0.975) / np.sqrt(len(others))
    pairs: dict[str, list[tuple[int, int]]] = {axis: [] for axis in AXES}
    for i, one in enumerate(settings):
        for j in range(i):
            differ = [axis for axis, a, b in zip(AXES, one, settings[j], strict=True) if a != b]
            if len(differ) == 1:
                difference = gaps[others, i] - gaps[others, j]
                if abs(difference.mean()) > wide * difference.std(ddof=1):
                    pairs[differ[0]].append((i, j))
    return pairs


def worst_axis(psi: dict[str, Any]) -> tuple[str, Any]:
    """Name the axis with the lowest mean correlation, with its values.

    Args:
        psi: Axis to one correlation a seed.

    Returns:
        The axis and its values.
    """
    axis = min(psi, key=lambda a: float(psi[a].mean()))
    return axis, psi[axis]


def no_measure_is_uniform(trials: Trials) -> list[Part]:
    """No measure's granulated rank correlation stays above 0.8 on its worst axis and none stays within 0.1 of the gap.

    The control, the gap of another seed, must do both.

    Args:
        trials: A row a seed, with lists over networks.

    Returns:
        Control and best measure, first as ranks, then as distances.
    """
    from overparam.stats import t_interval

    scores = rank_and_error(trials)
    regions = (Region(low=RANKS), Region(high=RANKS), Region(high=TIGHT), Region(low=TIGHT))
    words = ("control, rank correlation on its worst axis", "rank correlation on the worst axis",
             "control, largest distance from the gap", "largest distance from the gap")  # fmt: skip
    if not scores or not scores["control"]["psi"]:
        return [Part(w, "", None, None, None, 0, r) for w, r in zip(words, regions, strict=True)]
    ranks = {name: _bounded(t_interval(worst_axis(s["psi"])[1], level=LEVEL)) for name, s in scores.items()}
    far = {name: t_interval(s["sup"], level=LEVEL) for name, s in scores.items()}
    best = max((n for n in ranks if n != "control"), key=lambda n: (ranks[n].high, ranks[n].estimate))
    near = min((n for n in far if n != "control"), key=lambda n: far[n].low)

    def part(name: str, found: Interval, region: Region) -> Part:
        return Part(name, "", found.estimate, found.low, found.high, found.n, region, level=found.level)

    return [
        part(words[0], ranks["control"], regions[0]),
        part(f"best measure ({best}), {words[1]}", ranks[best], regions[1]),
        part(words[2], far["control"], regions[2]),
        part(f"best measure ({near}), {words[3]}", far[near], regions[3]),
    ]


def _bounded(found: Interval) -> Interval:
    """Cut the interval of a mean correlation to where correlations lie."""
    return replace(found, low=max(found.low, -1.0), high=min(found.high, 1.0))
