"""Figures of the paper's page."""

from __future__ import annotations

from typing import Any

import numpy as np

from overparam.lab import Drawing, Trials
from overparam.lab.plots import INK_2, PLOT_COLOURS, label_end, label_ends, room_right
from overparam.methods.tuning.relaxation import Stencil5
from overparam.methods.tuning.relaxation_theory import optimal_omega
from overparam.stats import t_interval

NAMES = {
    "cheb": "ChebCB", "tsallis": "Tsallis-INF", "tsallis-cb": "Tsallis-INF-CB", "eps-greedy": "ε-greedy",
    "ucb1": "UCB1", "uniform": "uniform",
}  # fmt: skip
COLOURS = {
    "cheb": PLOT_COLOURS[0], "tsallis": PLOT_COLOURS[1], "tsallis-cb": PLOT_COLOURS[2], "eps-greedy": PLOT_COLOURS[3],
    "ucb1": PLOT_COLOURS[4], "uniform": PLOT_COLOURS[5],
}  # fmt: skip


def running(trials: Trials) -> Drawing:
    """Mean sweeps an instance so far, for the sequence of high variance."""
    import matplotlib.pyplot as plt
    import pandas as pd

    own = trials.where({"sequence": "high"})
    fig, axes = plt.subplots(figsize=(5, 3.7))
    ends, first = {}, own.rows[0]
    for policy in (p for p in COLOURS if p in set(own.frame["policy"])):
        rows = own.where({"policy": policy}).rows
        curves, rounds = np.array([r["running"] for r in rows]), np.array(rows[0]["rounds"])
        keep = rounds >= rounds[-1] / 50
        found = [t_interval(column) for column in curves[:, keep].T]
        axes.fill_between(
            rounds[keep],
            [f.low for f in found],
            [f.high for f in found],
            color=COLOURS[policy],
            alpha=0.16,
            linewidth=0,
        )
        axes.plot(rounds[keep], curves[:, keep].mean(0), color=COLOURS[policy])
        ends[NAMES[policy]] = float(curves[:, -1].mean())
    for name, value in ((f"best fixed, ω = {first['omega']:.2f}", first["fixed"]), ("best of each", first["best"])):
        axes.plot([rounds[0], rounds[-1]], [value, value], color=INK_2, linewidth=1.2, dashes=(4, 3))
        ends[name] = float(value)
    axes.set_yscale("log")
    axes.set_title("Sweeps an instance so far, high variance")
    axes.set_xlabel("instances")
    low, high = axes.get_ylim()
    ticks = [t for t in (10, 20, 30, 50, 70, 100, 150, 200, 300, 500) if low <= t <= high]
    axes.set_yticks(ticks, [str(t) for t in ticks])
    axes.set_yticks([], minor=True)
    room_right(axes, 0.5)
    axes.set_xticks([t for t in axes.get_xticks() if 0 <= t <= rounds[-1]])
    axes.set_xlim(0, None)
    label_ends(axes, float(rounds[-1]), ends, subject="ChebCB")
    frame = trials.frame
    keep_columns = [
        "cost",
        "fixed",
        "best",
        "formula",
        "over_fixed",
        "over_best",
        "over_formula",
        "exponent_best",
        "fine_over_best",
    ]
    table = frame.groupby(["sequence", "policy"])[keep_columns].mean().reset_index()
    cheb = table[(table.sequence == "high") & (table.policy == "cheb")].iloc[0]
    caption = (
        f"With the shift in view ChebCB comes down to {cheb.cost:.0f} sweeps an instance; the best fixed omega takes "
        f"{cheb.fixed:.0f}, the best arm of each instance {cheb.best:.0f}, omega by the formula {cheb.formula:.0f}. "
        "Lines: means over seeds with 95 % bands. Seeds share one set of instances, each in its own order. "
        "The table has both sequences and the ratios over the last fifth."
    )
    return Drawing(fig, caption, table=pd.DataFrame(table))


def by_context(trials: Trials) -> Drawing:
    """Mean omega in the second half by shift, with the formula."""
    import matplotlib.pyplot as plt
    import pandas as pd

    own = trials.where({"sequence": "high"})
    fig, axes = plt.subplots()
    rows: list[dict[str, Any]] = []
    size = int(own.rows[0]["size"])
    ends = {}
    for policy in ("tsallis", "tsallis-cb", "cheb"):
        part = own.where({"policy": policy}).rows
        x, y = (np.array([r[k] for r in part]).mean(0) for k in ("at", "chosen"))
        axes.plot(x, y, "o-", color=COLOURS[policy], markersize=4)
        ends[NAMES[policy]] = float(y[-1])
        rows += [{"policy": policy, "shift": a, "omega": b} for a, b in zip(x, y, strict=True)]
    shifts = np.linspace(-0.15, 0.45, 61)
    formula = [optimal_omega(Stencil5(size, c)) for c in shifts]
    axes.plot(shifts, formula, color=INK_2, linewidth=1.4, dashes=(4, 3))
    ends["formula"] = formula[-1]
    axes.set_title("Mean omega chosen, second half")
    axes.set_xlabel("shift c")
    room_right(axes, 0.42)
    axes.set_xticks([-0.1, 0.0, 0.1, 0.2, 0.3, 0.4])
    label_ends(axes, max(float(x[-1]), 0.45), ends, subject="ChebCB")
    caption = (
        "ChebCB follows the best omega from shift to shift, mostly a little above the formula, which is exact only for "
        "infinitely many sweeps; without the context one omega has to serve all. Points: means over seeds in cells of "
        "equally many instances, high variance; means include the exploration of arms that are far off."
    )
    return Drawing(fig, caption, table=pd.DataFrame(rows))


def bound(trials: Trials) -> Drawing:
    """Sweeps, the near-asymptotic bound and the asymptotic estimate over omega, for one system."""
    import matplotlib.pyplot as plt
    import pandas as pd

    shift = 0.0
    rows = trials.where({"shift": shift}).rows
    x = np.array(rows[0]["omegas"])
    fig, axes = plt.subplots()
    ends = {}
    for key, name, colour in (
        ("limit", "bound", PLOT_COLOURS[1]), ("actual", "sweeps", PLOT_COLOURS[0]),
        ("asymptotic", "asymptotic", PLOT_COLOURS[5]),
    ):  # fmt: skip
        mean = np.array([r[key] for r in rows]).mean(0)
        axes.plot(x, mean, color=colour)
        ends[name] = float(mean[-1])
    axes.set_yscale("log")
    axes.set_title("Sweeps over omega, without shift")
    axes.set_xlabel("omega")
    ticks = [50, 100, 200, 500, 1000, 2000]
    axes.set_ylim(top=1.5 * axes.get_ylim()[1])
    low, high = axes.get_ylim()
    axes.set_yticks([t for t in ticks if low <= t <= high], [f"{t:,}" for t in ticks if low <= t <= high])
    axes.set_yticks([], minor=True)
    room_right(axes, 0.22)
    axes.set_xticks([1.0, 1.2, 1.4, 1.6, 1.8, 2.0])
    label_ends(axes, float(x[-1]), ends, subject="sweeps")
    frame = trials.frame
    worst = float(frame["distance"].max())
    caption = (
        f"The bound stays above the count and has its minimum within {worst:.2f} of the best omega in all "
        f"{len(frame)} systems; the asymptotic rate alone (tau = 0) gives no bound. "
        f"Lines: means over {len(rows)} right-hand sides."
    )
    table = frame[["shift", "seed", "tau", "distance", "excess", "slack"]]
    return Drawing(fig, caption, table=pd.DataFrame(table))


def heat(trials: Trials) -> Drawing:
    """Mean iterations a step by method and grid."""
    import matplotlib.pyplot as plt
    import pandas as pd

    sizes = sorted(set(trials.frame["nx"]))
    rows: list[dict[str, Any]] = []
    for nx in sizes:
        own = trials.where({"nx": nx})
        first = own.rows[0]
        rows += [{"nx": nx, "method": "plain CG", "iterations": first["plain"]}]
        rows += [
            {"nx": nx, "method": f"ω = {w:g}", "iterations": v}
            for w, v in zip((1.0, 1.3, 1.5, 1.75, 1.95), first["fixed_costs"], strict=True)
        ]
        rows += [{"nx": nx, "method": "best fixed", "iterations": first["fixed"]}]
        rows += [
            {"nx": nx, "method": NAMES[p], "iterations": own.where({"policy": p}).frame["cost"].mean()}
            for p in ("tsallis", "tsallis-cb", "cheb")
        ]
        rows += [{"nx": nx, "method": "best of each", "iterations": first["best"]}]
    table = pd.DataFrame(rows)
    fig, all_axes = plt.subplots(1, len(sizes), figsize=(5, 4.2), squeeze=False)
    learned = {NAMES[p]: COLOURS[p] for p in ("tsallis", "tsallis-cb", "cheb")}
    for axes, nx in zip(all_axes[0], sizes, strict=True):
        own_rows = table[table.nx == nx]
        at = -np.arange(len(own_rows))
        colours = [learned.get(m, INK_2) for m in own_rows.method]
        axes.hlines(at, 0, own_rows.iterations, color=colours, linewidth=1.2)
        axes.scatter(own_rows.iterations, at, color=colours, s=26, zorder=3)
        for y, value in zip(at, own_rows.iterations, strict=True):
            label_end(axes, value, float(y), f"{value:.1f}")
        axes.set_yticks(at, own_rows.method if axes is all_axes[0][0] else [])
        axes.grid(False)
        axes.set_xlim(0, own_rows.iterations.max() * 1.35)
        axes.set_xlabel(f"{(nx - 1) ** 2:,} unknowns")
    all_axes[0][0].set_title("Iterations a step, heat equation")
    last = table[table.nx == sizes[-1]].set_index("method")["iterations"]
    caption = (
        f"On the larger grid ChebCB takes {last['ChebCB']:.1f} iterations a step, the best fixed omega "
        f"{last['best fixed']:.1f}, the default of 1 {last['ω = 1']:.1f} and plain conjugate gradients "
        f"{last['plain CG']:.1f}. Learners: means over seeds; the others are exact."
    )
    return Drawing(fig, caption, table=table)


def path(trials: Trials) -> Drawing:
    """Omega along the simulation on the largest grid, chosen and best."""
    import matplotlib.pyplot as plt
    import pandas as pd

    nx = int(trials.frame["nx"].max())
    own = trials.where({"nx": nx})
    first = own.rows[0]
    time = first["steps"] * first["dt"] * (np.arange(len(first["best_path"])) + 0.5) / len(first["best_path"])
    fig, axes = plt.subplots()
    columns: dict[str, Any] = {"time": time, "diffusion": first["diffusion"], "best of each": first["best_path"]}
    ends = {}
    for policy in ("tsallis", "cheb"):
        columns[NAMES[policy]] = np.array([r["path"] for r in own.where({"policy": policy}).rows]).mean(0)
        axes.plot(time, columns[NAMES[policy]], color=COLOURS[policy], linewidth=1.4)
        ends[NAMES[policy]] = float(columns[NAMES[policy]][-1])
    axes.plot(time, first["best_path"], color=INK_2, linewidth=1.2)
    ends["best of each"] = float(first["best_path"][-1])
    axes.set_title("Omega along the heat equation")
    axes.set_xlabel("time")
    axes.set_xlim(0, time[-1])
    ticks = [t for t in axes.get_xticks() if t <= time[-1] + 0.1]
    room_right(axes, 0.36)
    axes.set_xticks(ticks)
    label_ends(axes, float(time[-1]), ends, subject="ChebCB")
    table = pd.DataFrame(columns)
    close = {n: float((table[n] - table["best of each"]).abs().mean()) for n in ("ChebCB", "Tsallis-INF")}
    caption = (
        f"Diffusion swings between weak and strong, and the best omega with it: ChebCB stays {close['ChebCB']:.2f} "
        f"from it on average, Tsallis-INF {close['Tsallis-INF']:.2f}. {(nx - 1) ** 2:,} unknowns; means over seeds and "
        "over short windows; where omegas tie for best, the middle one."
    )
    return Drawing(fig, caption, table=table)
