"""Figures of the paper's page."""

from __future__ import annotations

from typing import Any

import numpy as np

from overparam.lab import Drawing, Trials
from overparam.lab.plots import INK, INK_2, PLOT_COLOURS, label_end, lines_with_band, unit_on_top
from overparam.stats import t_interval

LIMITS = (
    ("batches", 0.0, "SGD in batches"),
    ("clipping", 0.0, "clipping"),
    ("privacy", 1.0, "DP-SGD, noise 1"),
    ("width", 16.0, "width 16"),
    ("width", 8.0, "width 8"),
    ("width", 4.0, "width 4"),
    ("pruning", 0.8, "80 % pruned"),
    ("pruning", 0.9, "90 % pruned"),
    ("pruning", 0.95, "95 % pruned"),
    ("pruning and tuning", 0.8, "80 %, tuned"),
    ("pruning and tuning", 0.9, "90 %, tuned"),
    ("pruning and tuning", 0.95, "95 %, tuned"),
    ("pruning and tuning", 0.98, "98 %, tuned"),
)


def price(trials: Trials) -> Drawing:
    """Error above the optimum by the number of unfitted singletons."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, axes = plt.subplots()
    rows: list[dict[str, Any]] = []
    sizes = sorted(set(trials.frame["size"]))
    for colour, size in zip(PLOT_COLOURS, sizes, strict=False):
        own = trials.where({"size": size}).rows
        x = 100 * np.mean([r["unfitted"] for r in own], axis=0) / size
        y = 100 * np.mean([r["excesses"] for r in own], axis=0)
        tau = float(np.mean([r["tau"] for r in own]))
        axes.plot(x, tau * size * x, color=colour, linewidth=1.4)
        axes.plot(x, y, "o", color=colour)
        rows += [
            {"kinds": size, "unfitted_percent": a, "excess_percent": b, "predicted_percent": tau * size * a}
            for a, b in zip(x, y, strict=True)
        ]
        label_end(axes, x[-1], y[-1], f"{size:,} kinds", subject=size == sizes[-1])
    axes.set_title("Error above the optimum")
    axes.set_xlabel("singletons not fitted, in % of the sample")
    low, high = axes.get_xlim()
    axes.set_xlim(0, high + 0.3 * (high - low))
    axes.set_ylim(0, None)
    unit_on_top(axes, "points")
    table = pd.DataFrame(rows)
    worst = float((table.excess_percent / table.predicted_percent.where(table.predicted_percent > 0) - 1).abs().max())
    caption = (
        f"Every singleton whose label is not fitted costs tau: measured and predicted error agree within {worst:.1%}. "
        "Points: means of simulated data sets in which a part of the singletons is guessed; lines: tau times their "
        "number, nothing fitted."
    )
    return Drawing(fig, caption, table=table)


def worth(trials: Trials) -> Drawing:
    """What a singleton stands for, by the weight of the prior around 1/n."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots()
    frame = trials.frame
    two = frame[frame.kind == "two-level"].sort_values("parameter")
    zipf = float(frame[(frame.kind == "zipf") & (frame.parameter == 1)].n_tau.mean())
    axes.plot(two.parameter, two.n_tau, "o-", color=PLOT_COLOURS[0])
    label_end(axes, float(two.parameter.iloc[-1]), float(two.n_tau.iloc[-1]), "two levels", subject=True)
    axes.plot([1, two.parameter.max()], [zipf] * 2, color=INK_2, linewidth=1.2, dashes=(4, 3))
    label_end(axes, float(two.parameter.iloc[-1]), zipf, "Zipf's law")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title("n times tau: worth of a singleton")
    axes.set_xlabel("times more frequent or rarer than 1/n")
    ticks = [1, 10, 100]
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.set_xlim(0.85, 2200)
    n, gap = int(frame.n.iloc[0]), two.iloc[-1]
    caption = (
        f"Under Zipf's law a kind seen once in {n:,} examples has an expected frequency of {zipf:.2f}/n; if kinds are "
        f"{gap.parameter:g} times more frequent or rarer than 1/n, only {gap.n_tau:.3f}/n, so nothing is lost by not "
        "fitting it. Exact values. The table has other exponents and the lower bound by the mass around 1/n."
    )
    columns = ["kind", "parameter", "n_tau", "floor", "weight", "cost"]
    return Drawing(fig, caption, table=frame[columns].sort_values(["kind", "parameter"]))


def losses(trials: Trials) -> Drawing:
    """Accuracy lost by each group under each limit."""
    import matplotlib.pyplot as plt
    import pandas as pd

    world = trials.where({"groups": "head and tail"})
    fig, axes = plt.subplots(figsize=(5, 4.6))
    rows: list[dict[str, Any]] = []
    for limit, level, name in LIMITS:
        lost = {g: _lost(world, f"accuracy_{g}", limit, level) for g in ("head", "tail")}
        if not len(lost["head"]):
            continue
        at = -len(rows)
        for group, colour in (("head", PLOT_COLOURS[0]), ("tail", PLOT_COLOURS[1])):
            found = t_interval(lost[group])
            axes.plot([found.low, found.high], [at, at], color=colour, linewidth=1.2)
            axes.plot([found.estimate], [at], "o", color=colour)
        more = t_interval(lost["tail"] - lost["head"])
        rows.append({
            "limit": name, "head_lost": lost["head"].mean(), "tail_lost": lost["tail"].mean(),
            "tail_more": more.estimate, "low": more.low, "high": more.high,
            "seen_once_lost": _lost(world, "tail_seen_1", limit, level).mean(),
        })  # fmt: skip
    axes.set_yticks([-k for k in range(len(rows))], [r["limit"] for r in rows], color=INK)
    axes.set_title("Accuracy lost under a limit")
    axes.set_xlabel("points, against the network without limits")
    axes.grid(axis="x")
    axes.axvline(0, color=INK_2, linewidth=1.0)
    middle = min(1, len(rows) - 1)  # a row on which the dots lie apart
    for group, colour in (("head", PLOT_COLOURS[0]), ("tail", PLOT_COLOURS[1])):
        axes.annotate(
            group, (rows[middle][f"{group}_lost"], -middle), xytext=(0, 6), textcoords="offset points", color=colour,
            ha="left" if group == "head" else "center", fontweight="bold",
        )  # fmt: skip
    axes.set_ylim(-len(rows) + 0.5, 0.9)
    table = pd.DataFrame(rows)
    dp = table[table.limit == "DP-SGD, noise 1"].iloc[0]
    turned = ", ".join(table[table.tail_more < 0].limit)
    other = f"on average the head loses more under {turned}" if turned else "no limit takes more from the head"
    caption = (
        f"DP-SGD takes {dp.tail_lost:.1f} points from the group with a long tail and {dp.head_lost:.1f} from the group "
        f"of frequent kinds; {other}. Dots: means over seeds, lines: 95 % intervals. Each group has half of the mass. "
        "Intervals of the paired difference are in the table."
    )
    return Drawing(fig, caption, table=table)


def _lost(world: Trials, metric: str, limit: str, level: float) -> np.ndarray:
    base = dict(zip(*world.by_unit(metric, {"limit": "none"}, "seed"), strict=True))
    own = dict(zip(*world.by_unit(metric, {"limit": limit, "level": level}, "seed"), strict=True))
    return np.array([base[s] - own[s] for s in own if s in base])


def removals(trials: Trials) -> Drawing:
    """Accuracy by the share of right labels removed."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, axes = plt.subplots()
    shares = sorted(set(trials.frame.share))
    table: dict[str, Any] = {"share": shares}
    values = {}
    for arm, colour in (("random", PLOT_COLOURS[5]), ("memorised", PLOT_COLOURS[0])):
        columns = [
            dict(zip(*trials.by_unit("accuracy", {"arm": arm, "share": s}, "seed"), strict=True)) for s in shares
        ]
        values[arm] = np.array([[c[seed] for c in columns] for seed in sorted(columns[0])])
        lines_with_band(axes, [100 * s for s in shares], values[arm], colour=colour)
        table[arm] = values[arm].mean(0)
        label_end(axes, 100 * shares[-1], table[arm][-1], arm, subject=arm == "memorised")
    axes.set_title("Test accuracy without some examples")
    axes.set_xlabel("right labels removed, in % of the training data")
    axes.set_xticks([100 * s for s in shares], [f"{100 * s:g}" for s in shares])
    low, high = axes.get_xlim()
    axes.set_xlim(low, high + 0.35 * (high - low))
    unit_on_top(axes, "%")
    differences = values["random"] - values["memorised"]
    found = [t_interval(d) for d in differences.T]
    table |= {"difference": [f.estimate for f in found], "low": [f.low for f in found], "high": [f.high for f in found]}
    words = ", ".join(f"{f.estimate:+.2f} at {100 * s:g} %" for s, f in zip(shares, found, strict=True))
    caption = (
        f"Without the most memorised right labels accuracy is lower than without as many random ones, by {words} "
        "(points). Lines: means over seeds with 95 % bands, thin: seeds."
    ).replace("-", "−")
    return Drawing(fig, caption, table=pd.DataFrame(table))
