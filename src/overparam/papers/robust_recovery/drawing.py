"""Figures of the paper's page."""

from __future__ import annotations

from typing import Any

import numpy as np

from overparam.lab import Drawing, Trials
from overparam.lab.plots import INK_2, PLOT_COLOURS, label_end, label_ends, room_right

DASHED = (0, (4, 3))


def _mean(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    """Geometric mean over seeds."""
    values = np.array([row[name] for row in rows])
    return np.asarray(np.exp(np.log(np.maximum(values, 1e-300)).mean(0)))


def _power(value: float) -> str:
    return f"$10^{{{round(np.log10(value))}}}$"


def errors(trials: Trials) -> Drawing:
    """Error along the way, by scale of the start and width."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, axes = plt.subplots()
    axes.set_yscale("log")
    alphas = (1e-2, 1e-4, 1e-6, 1e-8)
    found = trials.where({"start": "spectral", "m": min(trials.frame.m)})
    wide, exact = found.where({"width": "full"}).rows, found.where({"width": "exact"}).rows
    at, ends = wide[0]["at"], {}
    for k, (alpha, colour) in enumerate(zip(alphas, PLOT_COLOURS, strict=False)):
        curve = _mean(wide, f"curve_{k}")
        axes.plot(at, curve, color=colour)
        ends[_power(alpha) if k else "start " + _power(alpha)] = float(curve[-1])
    axes.set_title("Relative error, full width")
    axes.set_xlabel("steps")
    room_right(axes, 0.3)
    label_ends(axes, at[-1], ends)
    last = _mean(wide, "errors")
    caption = (
        f"The smaller the start, the smaller the error: {last[0]:.1e} from a scale of 0.01, {last[-1]:.1e} from 1e-8, "
        f"where a factor of exactly the right width leaves {_mean(exact, 'errors')[-1]:.1e}. "
        "A tenth of the measurements is off by N(0, 100). Lines: geometric means over seeds."
    )
    table: dict[str, Any] = {"alpha": alphas}
    for start in ("spectral", "random"):
        for width in ("exact", "double", "full"):
            rows = trials.where({"width": width, "start": start, "m": wide[0]["m"]}).rows
            if rows:
                table[f"{width}, {start}"] = _mean(rows, "errors")
    return Drawing(fig, caption, table=pd.DataFrame(table))


def parts(trials: Trials) -> Drawing:
    """Norms of the two parts of the factor, from a start of 1e-6."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots()
    axes.set_yscale("log")
    rows = trials.where({"start": "random", "width": "full", "m": min(trials.frame.m)}).rows
    at, ends = rows[0]["at"], {}
    for name, words, colour in (
        ("signal", "in the range of the truth", PLOT_COLOURS[0]),
        ("residual", "outside", PLOT_COLOURS[1]),
    ):
        curve = _mean(rows, name)
        axes.plot(at, curve, color=colour)
        ends[words] = curve
    axes.set_title("Norm of the factor, full width")
    axes.set_xlabel("steps")
    middle = len(at) // 2
    for words, colour in zip(ends, PLOT_COLOURS, strict=False):
        axes.annotate(
            words, (at[middle], ends[words][middle]), xytext=(0, -16), textcoords="offset points", color=colour,
            fontweight="bold", ha="center",
        )  # fmt: skip
    axes.set_ylim(1e-7, 10)
    first, second = (ends[w] for w in ends)
    caption = (
        f"The part of the factor in the range of the truth grows from {first[0]:.0e} to {first[-1]:.2g}; the surplus "
        f"ends at {second[-1]:.0e}, so that it adds its square to the error. Random start of 1e-6; lines: geometric "
        "means over seeds."
    )
    return Drawing(fig, caption)


def paths(trials: Trials) -> Drawing:
    """Path in the plane of loss and error."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots()
    rows = trials.where({"m": max(trials.frame.m)}).rows
    truth = float(np.mean([row["truth"] for row in rows]))
    ends = []
    for name, colour in (("ordinary", PLOT_COLOURS[1]), ("path", PLOT_COLOURS[0])):
        loss = np.mean([row[f"{name}_loss"] for row in rows], axis=0)
        error = np.mean([row[f"{name}_error"] for row in rows], axis=0)
        axes.plot(loss, error, color=colour)
        axes.plot(loss[-1], error[-1], "o", color=colour, markersize=8)
        ends.append((loss[-1], error[-1]))
    axes.axvline(truth, color=INK_2, linestyle=DASHED, linewidth=1.2)
    low = min(loss for loss, _ in ends)
    width = truth - low
    axes.set_xlim(low - 2.2 * width, truth + 3 * width)
    axes.set_ylim(0, 2.6 * ends[0][1])
    axes.annotate(
        "loss of the truth", (truth, 2.45 * ends[0][1]), xytext=(6, 0), textcoords="offset points", color=INK_2
    )
    for end, words, colour, lift in zip(
        ends, ("ordinary start", "small start"), (PLOT_COLOURS[1], PLOT_COLOURS[0]), (5, -5), strict=True
    ):
        axes.annotate(
            words, end, xytext=(-9, lift), textcoords="offset points", color=colour, fontweight="bold", ha="right",
            va="center",
        )  # fmt: skip
    axes.set_title("Error, along the path")
    axes.set_xlabel("mean absolute error of the measurements")
    caption = (
        f"Both paths end below the loss of the truth, {truth:.3f}: the one from an ordinary start lower "
        f"({ends[0][0]:.3f}) and with more error ({ends[0][1]:.2f}) than the one from a small start "
        f"({ends[1][0]:.3f}, {ends[1][1]:.2f}). Gaussian noise of 0.5 on {max(trials.frame.m):,} measurements; dots: "
        "last steps, lines: means over seeds."
    )
    return Drawing(fig, caption)


def speeds(trials: Trials) -> Drawing:
    """Error by steps from small and ordinary starts, exact measurements."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots()
    axes.set_yscale("log")
    axes.set_xscale("log")
    ordinary = trials.where({"start": "random"}).rows
    small = trials.where({"start": "spectral", "step": "polyak"})
    shown = [a for a in sorted(set(small.frame.alpha), reverse=True) if a in (1e-4, 1e-8)]
    at = np.array(ordinary[0]["at"])
    curve = _mean(ordinary, "curve")
    axes.plot(at, curve, color=PLOT_COLOURS[1])
    label_end(axes, at[-1], curve[-1], "ordinary")
    for alpha in shown:
        rows = small.where({"alpha": alpha}).rows
        at, curve = np.array(rows[0]["at"]), _mean(rows, "curve")
        axes.plot(at, curve, color=PLOT_COLOURS[0])
        label_end(axes, at[-1], curve[-1], f"start {_power(alpha)}", subject=True)
    axes.set_title("Relative error, exact measurements")
    axes.set_xlabel("steps")
    axes.set_xlim(3, None)
    room_right(axes, 0.25)
    gentle = np.mean([row["power_slope"] for row in ordinary])
    caption = (
        f"From an ordinary start the error falls as steps to the power {gentle:.2f}; from a small one it waits, then "
        "drops at once to a power of the scale. Full width, Polyak's steps; lines: geometric means over seeds."
    ).replace("power -", "power −")
    return Drawing(fig, caption)


def needed(trials: Trials) -> Drawing:
    """Measurements that are needed, by share of outliers."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots()
    frame = trials.frame
    most = frame.groupby("d").p.nunique().idxmax()
    own = frame[frame.d == most]
    free = own.r.iloc[0] * most
    wide = own[(own.width == "full") & own.needed.notna()]
    mean = wide.groupby("p").needed.mean() / free
    axes.plot(100 * wide.p, wide.needed / free, "o", color=PLOT_COLOURS[0], alpha=0.35, markersize=3)
    axes.plot(100 * mean.index, mean.values, "o-", color=PLOT_COLOURS[0])
    exact = own[own.width == "exact"]
    if len(exact):
        axes.plot(100 * exact.p.iloc[0], exact.needed.mean() / free, "s", color=PLOT_COLOURS[1])
        axes.annotate(
            "exact width", (100 * exact.p.iloc[0], exact.needed.mean() / free), xytext=(8, -6),
            textcoords="offset points", color=PLOT_COLOURS[1], fontweight="bold",
        )  # fmt: skip
    axes.set_title("Measurements needed, over d r")
    axes.set_xlabel("outliers, in % of the measurements")
    axes.set_ylim(0, None)
    axes.set_xlim(-3, 100 * mean.index.max() + 24)
    label_end(axes, 100 * mean.index[-1], mean.iloc[-1], "full width", subject=True)
    table = frame.groupby(["d", "r", "p", "width"], as_index=False).needed.mean()
    table["over_d_r"] = table.needed / (table.d * table.r)
    words = ", ".join(f"{value:.1f} at {100 * p:.0f} %" for p, value in mean.items())
    caption = (
        f"In multiples of d r, a factor of full width needs {words} of outliers for an error below 1 %. Dots: seeds; "
        f"line: their mean; d = {most}, random start of 1e-6."
    )
    return Drawing(fig, caption, table=table)
