"""Figures of the paper's page."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from overparam.lab import Drawing, Trials
from overparam.lab.plots import INK_2, PLOT_COLOURS, label_end, label_ends, room_right
from overparam.papers.universality_lens.worlds import NAMED, parameters_of

LEARNERS = {
    "last": "trained, last epoch",
    "stopped": "trained, stopped early",
    "deep_ensemble": "ensemble of trained",
    "one_sample": "one posterior sample",
    "langevin": "posterior ensemble",
    "student": "its student",
}


def _order(names: set[str]) -> list[str]:
    return sorted(names, key=parameters_of)


def regret_by_bound(trials: Trials) -> Drawing:
    """Regret against its bound, one dot a target."""
    frame = trials.frame[trials.frame.n == 200]
    fig, axes = plt.subplots()
    ends, rows = {}, []
    for colour, hidden in zip(PLOT_COLOURS, _order(set(frame.hidden)), strict=False):
        own = frame[frame.hidden == hidden]
        x, y = np.concatenate(own.bounds.tolist()), np.concatenate(own.regrets.tolist())
        axes.plot(x, y, "o", color=colour, markersize=3, alpha=0.6)
        ends[hidden] = colour
        rows += [{"hidden": hidden, "bound": a, "regret": b} for a, b in zip(x, y, strict=True)]
    top = max(r["bound"] for r in rows) * 1.05
    axes.plot([0, top], [0, top], color=INK_2, linewidth=1.2, dashes=(4, 3))
    axes.set(title="Regret after 200 examples, nats", xlabel="bound from the weight of the target, nats")
    axes.set_xlim(0, top * 1.35)
    axes.set_ylim(0, top)
    label_end(axes, top * 0.98, top * 0.95, "bound")
    for i, (hidden, colour) in enumerate(ends.items()):
        name = f"width {hidden.replace('-', ', ')}: {parameters_of(hidden):,} parameters"
        axes.text(0.98, 0.29 - 0.08 * i, name, color=colour, transform=axes.transAxes, ha="right", va="bottom")
    caption = (
        "Targets of small weight cost much, targets of large weight little, whatever the number of parameters. Dots: "
        f"{len(frame.regrets.iloc[0])} targets in each of {len(frame)} classes of random networks."
    )
    return Drawing(fig, caption, table=pd.DataFrame(rows))


def regret_by_parameters(trials: Trials) -> Drawing:
    """Regret of the simplest and of harder targets by the number of parameters."""
    frame = trials.frame[trials.frame.n == 200].copy()
    frame["parameters"] = frame.hidden.map(parameters_of)
    for i, name in enumerate(NAMED[:4]):
        frame[name] = frame.regrets.map(lambda values, i=i: values[i])
    mean = frame.groupby("parameters")[list(NAMED[:4])].mean()
    fig, axes = plt.subplots()
    for colour, name in zip(PLOT_COLOURS, NAMED[:4], strict=False):
        axes.plot(mean.index, mean[name], "o-", color=colour)
    axes.set(xscale="log", title="Regret after 200 examples, nats", xlabel="parameters")
    axes.plot([mean.index[0], mean.index[-1]], [frame.control.mean()] * 2, color=INK_2, dashes=(4, 3), linewidth=1.2)
    axes.set_ylim(0, None)
    ends = {name: float(mean[name].iloc[-1]) for name in NAMED[:4]} | {
        "all functions alike": float(frame.control.mean())
    }
    label_ends(axes, mean.index[-1], ends, subject="constant")
    room_right(axes, 0.5)
    caption = (
        "The simplest target costs the same from the smallest to the largest network. Dashed: a prior that treats all "
        "functions alike, for which no target is simple. Means over draws of the class."
    )
    return Drawing(fig, caption, table=mean.reset_index())


def digits_losses(trials: Trials) -> Drawing:
    """Test log-loss of each learner on digits."""
    from overparam.stats import t_interval

    frame = trials.frame
    sizes = sorted(set(frame.n))
    fig, axes = plt.subplots()
    rows = []
    for colour, n in zip(PLOT_COLOURS, sizes, strict=False):
        own = frame[frame.n == n]
        places = np.arange(len(LEARNERS)) + (0.16 if n == sizes[-1] and len(sizes) > 1 else -0.16)
        for place, name in zip(places, LEARNERS, strict=True):
            found = t_interval(own[name])
            axes.plot([found.low, found.high], [place, place], color=colour, linewidth=1.4)
            axes.plot([found.estimate], [place], "o", color=colour)
            rows.append({"n": n, "learner": LEARNERS[name], "log_loss": found.estimate})
        axes.text(0.98, 0.98 - 0.08 * sizes.index(n), f"{n} training digits", color=colour, transform=axes.transAxes,
                  ha="right", va="top")  # fmt: skip
    axes.set_yticks(range(len(LEARNERS)), list(LEARNERS.values()))
    axes.invert_yaxis()
    axes.set(title="Test log-loss on digits", xlabel="nats, smaller is better")
    table = pd.DataFrame(rows)
    first = table[table.n == sizes[0]].set_index("learner").log_loss
    caption = (
        f"With {sizes[0]} digits the posterior ensemble reaches {first[LEARNERS['langevin']]:.2f} nats, the ensemble "
        f"of trained networks {first[LEARNERS['deep_ensemble']]:.2f}. Dots: means; lines: 95 % intervals over seeds."
    )
    return Drawing(fig, caption, table=table)


def volume_by_weight(trials: Trials) -> Drawing:
    """Volume around the trained network against the weight of its function."""
    rows = trials.rows
    fig, axes = plt.subplots()
    for i, row in enumerate(rows):
        axes.plot(
            row["log_weights"], row["log_volumes"], "o", color=PLOT_COLOURS[0], alpha=0.5, markersize=3 + (i == 0)
        )
    axes.set(title="Log volume around the trained network", xlabel="log weight of the function, nats")
    mean = float(np.mean([r["rank_correlation"] for r in rows if r["rank_correlation"] is not None]))
    caption = (
        f"Rank correlation of weight and volume: {mean:.2f} on average. Dots: functions of {len(rows)} seeds, those "
        "that networks of the class compute and training fits."
    )
    table = pd.DataFrame([
        {"seed": r["seed"], "log_weight": a, "log_volume": b}
        for r in rows
        for a, b in zip(r["log_weights"], r["log_volumes"], strict=True)
    ])
    return Drawing(fig, caption, table=table)
