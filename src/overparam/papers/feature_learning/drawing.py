"""Figures of the paper's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from overparam.lab import Drawing, Trials
from overparam.lab.plots import INK_2, PLOT_COLOURS, label_ends, lines_with_band, room_right
from overparam.methods.scaling.abc import REGIMES
from overparam.stats import slope

SHOWN = ("muP", "mean field", "NTK", "SP", "SP, rate fixed")


def features(trials: Trials) -> Drawing:
    """How far the features move, by width."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, axes = plt.subplots()
    widths = sorted(set(trials.frame.width))
    table: dict[str, Any] = {"width": widths}
    for colour, name in zip(PLOT_COLOURS, SHOWN, strict=False):
        logs = np.array([trials.values("log_features", {"parametrisation": name, "width": n}) for n in widths])
        table[name] = np.exp(logs.mean(1))
        if name != "SP, rate fixed":
            axes.plot(widths, np.exp(logs), color=colour, linewidth=0.7, alpha=0.35)
            axes.plot(widths, table[name], "o-", color=colour)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(widths, [f"{n:,}" for n in widths])
    axes.set_title("Change of the last hidden layer")
    axes.set_xlabel("width")
    room_right(axes, 0.36)
    label_ends(axes, widths[-1], {name: float(table[name][-1]) for name in SHOWN[:-1]}, subject="muP")
    found = {k: round(slope(np.log(widths), np.log(table[k])).estimate, 2) + 0.0 for k in SHOWN}  # no −0.00
    caption = (
        f"Features move by n to the power {found['muP']:.2f} under maximal updates, {found['NTK']:.2f} in the NTK and "
        f"{found['SP']:.2f} in the standard parametrisation at a stable rate; at a fixed rate the latter is "
        f"unstable ({found['SP, rate fixed']:+.1f}, in the table). Root mean square after three steps, over the "
        "initial residual. Lines: geometric means over seeds, thin: seeds."
    ).replace("-", "−")
    return Drawing(fig, caption, table=pd.DataFrame(table))


def exponents(trials: Trials) -> Drawing:
    """Exponent of the feature change against the number that predicts it."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, axes = plt.subplots(figsize=(5, 3.8))
    points = pd.DataFrame({k: np.concatenate([row[k] for row in trials.rows]) for k in ("r", "slope", "regime")})
    points["regime"] = [REGIMES[int(k)] for k in points.regime]
    low = float(min(-points.r.max(), points.slope.min())) - 0.05
    axes.plot([low, 0], [low, 0], color=INK_2, linewidth=1.0, dashes=(4, 3))
    hues = {"feature": PLOT_COLOURS[0], "kernel": PLOT_COLOURS[1], "trivial": PLOT_COLOURS[4]}
    for row, (name, colour) in enumerate(hues.items()):
        own = points[points.regime == name]
        axes.plot(-own.r, own.slope, "o", color=colour, alpha=0.7, markersize=4)
        axes.text(0.04, 0.92 - 0.08 * row, name, transform=axes.transAxes, color=colour, fontweight="bold")
    axes.set_title("Measured exponent of feature change")
    axes.set_xlabel("predicted, −r")
    gap = float((points.slope + points.r).abs().median())
    right = np.mean(trials.values("agreement_all"))
    caption = (
        f"The formula predicts how fast features move, to {gap:.2f} in the median, and the regime of {right:.0%} of "
        "the parametrisations drawn. Dots: stable ones, each from the slope between two widths; dashed: equality. At "
        "r = 0 features are learned; above it the change fades with width."
    )
    return Drawing(fig, caption, table=points)


def gap(trials: Trials) -> Drawing:
    """Largest gap of logits by width."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, axes = plt.subplots()
    widths = sorted(set(trials.frame.width))
    values = np.array([trials.values("gap", {"width": n}) for n in widths]).T
    lines_with_band(axes, widths, values, colour=PLOT_COLOURS[0])
    means = values.mean(0)
    line = means[0] * np.sqrt(widths[0] / np.array(widths))
    axes.plot(widths, line, color=INK_2, linewidth=1.2, dashes=(4, 3))
    axes.set_xscale("log", base=4)
    axes.set_yscale("log")
    axes.set_xticks(widths, [f"{n:,}" for n in widths])
    axes.set_yticks([t for t in (0.05, 0.1, 0.2, 0.5, 1.0) if values.min() < t < values.max()])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title("Largest gap to the limit's logits")
    axes.set_xlabel("width")
    found = slope(np.log(widths), np.log(values).mean(0)).estimate
    caption = (
        f"Networks drawn from the finite form of the limit follow it along {int(trials.frame.steps.iloc[0])} steps of "
        f"SGD, with a gap that falls as n to the power −{abs(found):.2f}. Lines: mean over seeds with its 95 % band, "
        "thin: seeds; dashed: one over the root of the width."
    )
    return Drawing(fig, caption, table=pd.DataFrame({"width": widths, "gap": means, "root_law": line}))


def rates(trials: Trials, tried: Sequence[float]) -> Drawing:
    """Loss against learning rate at several widths."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, panels = plt.subplots(1, 2, figsize=(7, 3.4), sharey=True)
    rows = []
    for axes, name, title in zip(panels, ("SP", "muP"), ("Standard", "Maximal updates"), strict=True):
        own = trials.where({"parametrisation": name}).rows
        widths = own[0]["widths"]
        losses = np.mean([row["losses"] for row in own], 0).reshape(len(widths), -1)
        for k, (width, curve) in enumerate(zip(widths, losses, strict=True)):
            shade = 0.4 + 0.6 * k / (len(widths) - 1)
            axes.plot(tried, curve, "o-", color=PLOT_COLOURS[0], alpha=shade, markersize=3)
            axes.text(
                0.36, 0.93 - 0.08 * k, f"width {width}", color=PLOT_COLOURS[0], alpha=shade, transform=axes.transAxes
            )
            rows += [
                {"parametrisation": name, "width": width, "rate": r, "loss": v}
                for r, v in zip(tried, curve, strict=True)
            ]
        axes.set_xscale("log", base=2)
        axes.set_ylim(0, 2.6)
        axes.set_title(title)
        axes.set_xlabel("learning rate")
    table = pd.DataFrame(rows)
    gaps = {k: float(np.mean(trials.values("gap", {"parametrisation": k}))) for k in ("SP", "muP")}
    caption = (
        f"Below the best rate the losses of wider networks differ from those of the narrowest by {gaps['muP']:.2f} "
        f"nats under maximal updates and by {gaps['SP']:.2f} in the standard parametrisation. Training loss after 25 "
        "steps, means over seeds; the darker, the wider. Most of what is left sets the narrowest network "
        "apart from all others. Beyond the upper edge training diverges."
    )
    return Drawing(fig, caption, table=table)
