"""Figures of the paper's page."""

from __future__ import annotations

from typing import Any

import numpy as np

from overparam.lab import Drawing, Trials
from overparam.lab.plots import INK_2, PLOT_COLOURS, label_end, label_ends, room_right
from overparam.lab.wording import short
from overparam.stats import t_interval

NAMES = {"fro": "Frobenius", "nuc": "nuclear"}
OTHERS = {"gd": "plain descent", "adam": "Adam"}


def alignment(trials: Trials) -> Drawing:
    """Correlation with both machines while training W, and (K, Q)."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, panels = plt.subplots(1, 2, figsize=(9.0, 3.6), sharey=True)
    rows: list[dict[str, Any]] = []
    for axes, (trains, matching, title) in zip(
        panels, (("W", "fro", "Correlation with trained W"), ("KQ", "nuc", "Correlation with trained KQ'")), strict=True
    ):
        ends, last = {}, 0
        for norm, colour in (("fro", PLOT_COLOURS[0]), ("nuc", PLOT_COLOURS[1])):
            steps, curves = _curves(trials, trains, "normalised", norm)
            low, high = np.percentile(curves, [5, 95], axis=0)
            axes.fill_between(steps, low, high, color=colour, alpha=0.16, linewidth=0)
            axes.plot(steps, curves.mean(0), color=colour)
            ends[NAMES[norm]] = curves.mean(0)[-1]
            last = steps[-1]
            rows += [
                {"trained": trains, "machine": NAMES[norm], "step": s, "correlation": c}
                for s, c in zip(steps, curves.mean(0), strict=True)
            ]
        for optimiser, name in OTHERS.items():
            if optimiser in set(trials.frame.optimiser):
                steps, curves = _curves(trials, trains, optimiser, matching)
                axes.plot(steps, curves.mean(0), color=INK_2, linewidth=1.2, dashes=(4, 3))
                ends[name] = curves.mean(0)[-1]
        axes.set_title(title)
        axes.set_xlabel("steps")
        axes.set_ylim(None, 1.02)
        room_right(axes, 0.5)
        axes.set_xticks([0, last // 2, last])
        label_ends(axes, last, ends, subject=NAMES[matching])
    finals = [f"{_curves(trials, t, 'normalised', m)[1].mean(0)[-1]:.3f}" for t in ("W", "KQ") for m in ("fro", "nuc")]
    caption = (
        f"W ends at {finals[0]} with the Frobenius machine of the selected tokens and at {finals[1]} with the nuclear "
        f"one, KQ' at {finals[2]} and {finals[3]}. Lines: means over seeds, bands: the middle 90 % of them."
    )
    if len(set(trials.frame.optimiser)) > 1:
        caption += " Dashed: other optimisers, with the machine that normalised descent approaches."
    return Drawing(fig, caption, table=pd.DataFrame(rows))


def _curves(trials: Trials, trains: str, optimiser: str, norm: str) -> tuple[list[int], np.ndarray]:
    own = trials.where({"trains": trains, "optimiser": optimiser}).rows
    kept = [row for row in own if row[f"{norm}_curve"] is not None]
    return kept[0]["at"], np.array([row[f"{norm}_curve"] for row in kept])


def width(trials: Trials) -> Drawing:
    """Share of runs at the best tokens, and of data sets with a separator, by width."""
    import matplotlib.pyplot as plt
    import pandas as pd

    frame = trials.frame
    fig, axes = plt.subplots()
    shares = frame.groupby(["n", "d"], as_index=False)[["feasible", "global"]].mean()
    for colour, (n, part) in zip(PLOT_COLOURS, shares.groupby("n"), strict=False):
        axes.plot(part.d, 100 * part["global"], "o-", color=colour)
        axes.plot(part.d, 100 * part.feasible, color=colour, linewidth=1.2, dashes=(4, 3))
        early = part.iloc[min(1, len(part) - 1)]
        axes.annotate(
            f"{n} sequences", (early.d, 100 * early["global"]), xytext=(9, -13), textcoords="offset points",
            color=colour, fontweight="bold",
        )  # fmt: skip
    axes.set_xscale("log")
    ticks = [d for d in (2, 4, 8, 16, 32, 64, 128) if d <= shares.d.max()]
    axes.set_xticks(ticks, [str(d) for d in ticks])
    axes.minorticks_off()
    axes.set_title("Runs that select the best tokens, %")
    axes.set_xlabel("width d")
    axes.set_ylim(-2, 105)
    hardest = shares[shares.n == shares.n.max()]
    early, late = hardest.iloc[1], hardest.iloc[-1]
    caption = (
        f"With {early.n:g} sequences a separator exists in {early.feasible:.0%} of data sets at width {early.d:g}, but "
        f"descent finds it in {early['global']:.0%}; at width {late.d:g} in {late['global']:.0%}. Lines with dots: "
        "runs from W = 0 at the best tokens; dashed: data sets in which these can be separated."
    )
    return Drawing(fig, caption, table=pd.DataFrame(shares))


def path(trials: Trials) -> Drawing:
    """One minus the correlation by radius, log against log."""
    import matplotlib.pyplot as plt
    import pandas as pd

    from overparam.papers.attention_svm.experiments import RADII

    fig, axes = plt.subplots()
    rows: list[dict[str, Any]] = []
    ends: dict[str, float] = {}
    for norm, colour in (("fro", PLOT_COLOURS[0]), ("nuc", PLOT_COLOURS[1])):
        gaps = np.array([row["gaps"] for row in trials.where({"norm": norm}).rows if row["gaps"] is not None])
        axes.plot(RADII, gaps.T, color=colour, linewidth=0.6, alpha=0.3)
        middle = np.median(gaps, axis=0)
        axes.plot(RADII, middle, "o-", color=colour)
        ends[NAMES[norm]] = float(middle[-1])
        rows += [{"norm": NAMES[norm], "radius": r, "median": m} for r, m in zip(RADII, middle, strict=True)]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([1, 4, 16, 64, 256], ["1", "4", "16", "64", "256"])
    axes.set_title("1 − correlation with the machine")
    axes.set_xlabel("radius R")
    room_right(axes, 0.3)
    label_ends(axes, RADII[-1], ends)
    caption = (
        "The best weights in a ball turn towards the machine of the best tokens: at radius 256 the median distance is "
        f"{short(ends['Frobenius'])} for the Frobenius and {short(ends['nuclear'])} for the nuclear norm. Thick: "
        "median over seeds, thin: seeds."
    )
    return Drawing(fig, caption, table=pd.DataFrame(rows))


def ranks(trials: Trials) -> Drawing:
    """Mean rank of both machines by width, for each number of sequences."""
    import matplotlib.pyplot as plt

    frame = trials.frame
    fig, axes = plt.subplots()
    table = frame.groupby(["n", "d"], as_index=False)[["fro", "nuc", "undetermined"]].mean(numeric_only=True)
    ends: dict[str, float] = {}
    for colour, (n, part) in zip(PLOT_COLOURS, table.groupby("n"), strict=False):
        known = part.dropna(subset=["fro"])
        axes.plot(known.d, known.fro, "o-", color=colour)
        known = part.dropna(subset=["nuc"])
        axes.plot(known.d, known.nuc, "o-", color=colour, linewidth=1.2, dashes=(4, 3))
        label_end(axes, float(part.d.max()), float(part.fro.iloc[-1]), f"n = {n}", subject=False)
        ends[str(n)] = float(known.nuc.iloc[-1])
    axes.set_title("Rank of the machines")
    axes.set_xlabel("width d")
    most = int(table.fro.max())
    axes.set_ylim(0, 1.08 * most)
    axes.set_yticks(range(0, most + 1, 5))
    room_right(axes, 0.16)
    widest = float(table.d.max())
    for height, lift, text in ((most, 5, "Frobenius"), (min(ends.values()), -16, "nuclear")):
        place = (0.8 * widest, height)
        axes.annotate(text, place, xytext=(0, lift), textcoords="offset points", ha="center", color=INK_2)
    unclear = int(frame.undetermined.sum())
    words = ", ".join(f"{v:.1f} for {n} sequences" for n, v in ends.items())
    interval = t_interval(trials.values("difference", {"d": int(frame.d.max())}))
    caption = (
        f"At width {int(frame.d.max())} the nuclear machine has rank {words}, on average {interval.estimate:.1f} less "
        f"than the Frobenius machine. Full lines: Frobenius, dashed: nuclear; means over the data sets that can be "
        f"separated. In {unclear} of {len(frame)} data sets the threshold would decide a rank; these are left out."
    )
    return Drawing(fig, caption, table=table)
