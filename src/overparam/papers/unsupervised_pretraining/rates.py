"""Exponents of the excess in both kinds of examples, for the rule of claim C1."""

from __future__ import annotations

from overparam.lab import Part, Region, Trials


def exponents(trials: Trials) -> list[Part]:
    """Fit a m^-p + b n^-q where the power laws hold, and ask both exponents to be at least 1/2."""
    import numpy as np

    from overparam.methods.theory.additive_rate import fit_additive_rate

    cells: dict[tuple[int, int], dict[int, float]] = {}
    for m, n, seed, excess in trials.columns(("m", "n", "seed", "two_phase")):
        if m >= 200 and n >= 20:  # below, the power laws do not hold yet
            cells.setdefault((m, n), {})[seed] = excess
    seeds = sorted(set.intersection(*(set(c) for c in cells.values()))) if cells else []
    region = Region(low=0.5)
    names = ("exponent of unlabelled examples", "exponent of labelled examples")
    if len(seeds) < 3 or len(cells) < 5:
        return [Part(name, "", None, None, None, len(seeds), region) for name in names]
    m, n = np.array(list(cells), dtype=float).T
    table = np.array([[c[s] for s in seeds] for c in cells.values()])
    found = fit_additive_rate(m, n, table, level=0.975)  # two parts share one error rate
    return [
        Part(name, "", f.estimate, f.low, f.high, len(seeds), region, level=f.level)
        for name, f in zip(names, (found.p, found.q), strict=True)
    ]
