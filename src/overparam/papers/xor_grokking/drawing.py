"""Figures of the paper's page."""

from __future__ import annotations

from typing import Any

import numpy as np

from overparam.lab import Drawing, Trials
from overparam.lab.plots import (
    INK,
    INK_2,
    PLOT_COLOURS,
    label_end,
    label_ends,
    lines_with_band,
    room_right,
    unit_on_top,
)

BLUE, RED, GREEN = PLOT_COLOURS[:3]


def accuracy_by_step(trials: Trials) -> Drawing:
    """Draw accuracy on new points and fit of the training labels by step."""
    import matplotlib.pyplot as plt
    import pandas as pd

    own = trials.where({"p": int(trials.frame["p"].min()), "n": int(trials.frame["n"].max())}).rows
    steps = np.array(own[0]["at"])
    shown = steps > 0
    test, fit, flipped = (np.array([r[k] for r in own])[:, shown] for k in ("test", "train", "flipped"))
    fig, axes = plt.subplots()
    lines_with_band(axes, steps[shown].tolist(), test, colour=BLUE)
    axes.plot(steps[shown], fit.mean(0), color=RED)
    axes.plot(steps[shown], np.full(int(shown.sum()), 50.0), color=INK_2, linewidth=1.2, dashes=(4, 3))
    axes.set_xscale("log")
    axes.set_ylim(35, 110)
    axes.set_xlim(0.9, steps[-1] * 1.1)
    ticks = [t for t in (1, 10, 100) if t <= steps[-1]]
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.text(1.05, 102.0, "training labels, flipped ones included", color=RED, va="bottom")
    axes.set_yticks(range(40, 101, 10))
    axes.text(steps[-1], 51.5, "chance", color=INK_2, ha="right", va="bottom")
    at = min(3, int(shown.sum()) - 1)
    axes.text(steps[shown][at], float(test.mean(0)[at]) - 9, "new points", color=BLUE, fontweight="bold", va="top")
    axes.set_title("Accuracy by step")
    axes.set_xlabel("steps of gradient descent")
    unit_on_top(axes, "%")
    fewest = float(flipped.min())
    kept = (
        "all flipped labels stay fitted" if fewest == 100 else f"at least {fewest:.0f} % of flipped labels stay fitted"
    )
    caption = (
        f"One step fits {fit[:, 0].mean():.4g} % of the training labels while new points are at "
        f"{test[:, 0].mean():.0f} %; after "
        f"{steps[-1]:,} steps they are at {test[:, -1].mean():.1f} %, and {kept}. Thin lines: seeds; dots and band: "
        "their mean with 95 % interval, on clean test labels."
    )
    table = pd.DataFrame({"step": steps[shown], "test": test.mean(0), "worst_seed": test.min(0), "train": fit.mean(0)})
    return Drawing(fig, caption, table=table)


def from_odd_to_even(trials: Trials) -> Drawing:
    """Draw the odd part of the network and the alignment of its units by step."""
    import matplotlib.pyplot as plt
    import pandas as pd

    own = trials.where({"p": int(trials.frame["p"].min())}).rows
    steps = np.array(own[0]["at"])
    shown = steps > 0
    lines = {
        "odd part": ("odd", BLUE),
        "own mean": ("matched", RED),
        "other mean": ("crossed", GREEN),
    }
    fig, axes = plt.subplots()
    values = {name: np.array([r[key] for r in own])[:, shown] for name, (key, _) in lines.items()}
    for name, (_, colour) in lines.items():
        lines_with_band(axes, steps[shown].tolist(), values[name], colour=colour)
    axes.set_xscale("log")
    axes.set_ylim(-0.03, 1.05)
    ticks = [t for t in (1, 10, 100) if t <= steps[-1]]
    axes.set_xticks(ticks, [str(t) for t in ticks])
    room_right(axes, 0.4)
    label_ends(axes, steps[-1], {name: float(v[:, -1].mean()) for name, v in values.items()}, subject="odd part")
    axes.set_title("Odd part, and |cosine| of the units")
    axes.set_xlabel("steps of gradient descent")
    odd, own_mean = values["odd part"], values["own mean"]
    caption = (
        f"The network is almost purely odd after one step ({odd[:, 0].mean():.2f}), as a linear rule is, and almost "
        f"even after {steps[-1]} ({odd[:, -1].mean():.2f}), as XOR is; meanwhile its units turn to the mean of the "
        f"label they vote for ({own_mean[:, 0].mean():.2f} to {own_mean[:, -1].mean():.2f}) and away from the other. "
        "Thin lines: seeds; dots and band: their mean with 95 % interval."
    )
    table = pd.DataFrame({"step": steps[shown], **{name.replace(" ", "_"): v.mean(0) for name, v in values.items()}})
    return Drawing(fig, caption, table=table)


def units(trials: Trials) -> Drawing:
    """Draw how the units with a positive output weight are spread over cosines with mu_1."""
    import matplotlib.pyplot as plt
    import pandas as pd

    own = trials.where({"p": int(trials.frame["p"].min())}).rows
    early, late = (np.array([r[key] for r in own], dtype=float).sum(0) for key in ("bars_first", "bars_later"))
    edges = np.linspace(-1, 1, len(early) + 1)
    early, late = 100 * early / early.sum(), 100 * late / late.sum()
    fig, axes = plt.subplots()
    axes.stairs(early, edges, color=RED, linewidth=2.0)
    axes.stairs(late, edges, color=BLUE, linewidth=2.0, fill=True, alpha=0.25)
    axes.stairs(late, edges, color=BLUE, linewidth=2.0)
    wide = edges[np.flatnonzero(late > 0)[-1] + 1]
    axes.set_xlim(-1.5 * wide, 1.5 * wide)
    axes.set_ylim(0, None)
    top = int(np.argmax(early))
    axes.annotate("after step 1", (edges[top + 1], early[top]), xytext=(14, -2), textcoords="offset points", color=RED)
    side = int(np.argmax(late * (edges[1:] > 0.1)))
    axes.annotate(
        "after step 20",
        (edges[side + 1], late[side]),
        xytext=(6, 8),
        textcoords="offset points",
        color=BLUE,
        fontweight="bold",
    )
    axes.set_title("Units that vote for the label of ±mu_1")
    axes.set_xlabel("cosine with mu_1")
    unit_on_top(axes, "%")
    caption = (
        "After one step most units point along no mean in particular; after 20 they have split into those along +mu_1 "
        "and those along −mu_1. Change of the weights since the start, units of all seeds together."
    )
    return Drawing(fig, caption, table=pd.DataFrame({"from": edges[:-1], "step_1": early, "step_20": late}))


def by_size(trials: Trials) -> Drawing:
    """Draw the accuracy after sqrt(n) steps of every seed by the number of points."""
    import matplotlib.pyplot as plt

    frame = trials.frame
    sizes, flips = sorted(set(frame["n"])), sorted(set(frame["flip"]))
    fig, axes = plt.subplots()
    for k, flip in enumerate(flips):
        colour = PLOT_COLOURS[k]
        means = []
        for i, n in enumerate(sizes):
            seeds = np.sort(frame[(frame["n"] == n) & (frame["flip"] == flip)]["test_last"].to_numpy())
            spread = np.linspace(-0.12, 0.12, len(seeds))
            at = i + 0.32 * (k - (len(flips) - 1) / 2)
            axes.plot(at + spread, seeds, "o", color=colour, markersize=2.5, alpha=0.6)
            axes.plot([at - 0.14, at + 0.14], [seeds.mean()] * 2, color=colour, linewidth=2.5)
            means.append(float(seeds.mean()))
        place = len(sizes) - 1 + 0.32 * (k - (len(flips) - 1) / 2) + 0.14
        label_end(
            axes, max(place, len(sizes) - 0.7), means[-1] + 3 * (1 - 2 * k), f"{flip:.0%} flipped", subject=k == 0
        )
    axes.set_xticks(range(len(sizes)), [f"{n:,}" for n in sizes])
    axes.set_xlim(-0.5, len(sizes) + 0.35)
    axes.set_title("Accuracy on new points after √n steps")
    axes.set_xlabel("training points n, in about n⁵ dimensions")
    unit_on_top(axes, "%")
    table = frame.groupby(["flip", "n", "dimension"], as_index=False)[["test_first", "test_last"]].mean()
    below = [
        100 * float((frame[(frame["n"] == sizes[-1]) & (frame["flip"] == f)]["test_last"] < 97).mean()) for f in flips
    ]
    shares = " and ".join(f"{b:.0f} % at {f:.0%} flipped" for b, f in zip(below, flips, strict=True))
    caption = (
        "In the scaling of the theorem most seeds generalise within √n steps, more of them the more points there are; "
        f"others are stuck near 50 or 75 %, where a whole cluster is missed: {shares} stay below 97 % for "
        f"{sizes[-1]:,} points. Dots: seeds in order; bars: their mean."
    )
    return Drawing(fig, caption, table=table)


def exponential_error(trials: Trials) -> Drawing:
    """Draw the error of every seed against n |mu|^4 / p."""
    import matplotlib.pyplot as plt

    frame = trials.where({"n": int(trials.frame["n"].min())}).frame
    snr = np.array(sorted(set(frame["snr"])))
    errors = np.array([np.sort(frame[frame["snr"] == s]["error_last"].to_numpy()) for s in snr])
    fig, axes = plt.subplots()
    floor = 0.1
    axes.plot(snr, np.maximum(errors, floor), color=BLUE, linewidth=0.8, alpha=0.5)
    median = np.maximum(np.median(errors, axis=1), floor)
    axes.plot(snr, median, "o-", color=BLUE)
    rate = -np.log(2 * median[0] / 100) / snr[0]
    fine = np.linspace(snr[0], min(snr[-1], np.log(50 / floor) / rate), 100)
    axes.plot(fine, 50 * np.exp(-rate * fine), color=INK_2, linewidth=1.2, dashes=(4, 3))
    axes.set_yscale("log")
    axes.set_yticks([0.1, 1, 2, 5, 10, 20, 50], ["0.1", "1", "2", "5", "10", "20", "50 %"])
    axes.minorticks_off()
    axes.set_ylim(0.6 * max(floor, errors.min()), 60)
    room_right(axes, 0.34)
    label_end(axes, snr[-1], float(median[-1]), "median seed", subject=True)
    label_end(axes, snr[-1], float(np.maximum(errors[-1, -1], floor)), "worst seed")
    middle = fine[len(fine) // 2]
    axes.annotate(
        "exponential",
        (middle, 50 * np.exp(-rate * middle)),
        xytext=(-8, -8),
        textcoords="offset points",
        ha="right",
        va="top",
        color=INK_2,
    )
    axes.set_title("Error on new points after 50 steps")
    axes.set_xlabel("n |mu|⁴ / p")
    caption = (
        "In lucky seeds the error falls exponentially in n |mu|⁴ / p; in the others a cluster is learned late, which "
        "holds it up. Thin lines: seeds by rank; dots: median; dashes: an exponential "
        "through its first dot; 0.1 % and less is drawn at 0.1 %."
    )
    return Drawing(fig, caption, table=frame.groupby("snr", as_index=False)["error_last"].agg(["median", "min", "max"]))


def phase_map(trials: Trials) -> Drawing:
    """Draw by size and length of the means what one step fits and what later steps learn."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    frame = trials.frame
    frame = frame[(frame["flip"] == 0.1) & (frame["start"] < 1e-6)]
    table = frame.groupby(["n", "signal", "dimension_ratio"], as_index=False)[["train_first", "test_last"]].mean()
    sizes, signals = sorted(set(table["n"])), sorted(set(table["signal"]))
    fig, axes = plt.subplots(figsize=(5, 1.5 + 0.55 * len(sizes)))
    for row in table.to_dict("records"):
        x, y = signals.index(row["signal"]), sizes.index(row["n"])
        learned = (row["test_last"] - 50) / 50
        axes.add_patch(
            Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, color=BLUE, alpha=0.5 * max(0.0, learned), linewidth=0)
        )
        all_at_once = row["train_first"] > 99.9
        axes.text(x, y + (0 if all_at_once else 0.17), f"{row['test_last']:.0f}", ha="center", va="center", color=INK)
        if not all_at_once:
            words: dict[str, Any] = {"ha": "center", "va": "center", "color": RED, "fontsize": 10}
            axes.text(x, y - 0.22, f"fits {row['train_first']:.3g}", **words)
    axes.set_xlim(-0.5, len(signals) - 0.5)
    axes.set_ylim(-0.5, len(sizes) - 0.5)
    axes.set_xticks(range(len(signals)), [f"{s:g}" for s in signals])
    axes.set_yticks(range(len(sizes)), [f"{n}" for n in sizes])
    axes.grid(visible=False)
    axes.set_title("Accuracy on new points in the end, %")
    axes.set_xlabel("|mu|² / √p")
    axes.set_ylabel("training points n")
    caption = (
        "Longer means and more points let the network generalise; where the means are too long for the dimension, one "
        "step no longer fits all training labels (red: per cent that it fits). Numbers and shade: test accuracy, mean "
        f"over {frame['seed'].nunique()} seeds, p = 20,000."
    )
    return Drawing(fig, caption, table=table)
