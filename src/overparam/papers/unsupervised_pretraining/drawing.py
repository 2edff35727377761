"""Figures of the paper's page."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from overparam.lab import Drawing, Trials
from overparam.lab.plots import INK, INK_2, PLOT_COLOURS, label_ends, room_right

ROUTES = {
    "two_phase": "two phases",
    "labelled_only": "labelled inputs only",
    "ridge": "ridge",
    "least_squares": "least squares",
}


def _plain_ticks(axes: Any, values: list[float]) -> None:
    axes.set_xticks(values, [f"{v:,.0f}" for v in values])
    axes.minorticks_off()


def excess_by_labels(trials: Trials) -> Drawing:
    """Excess risk by the number of labels, with unlabelled inputs in plenty."""
    frame = trials.frame[trials.frame.m == trials.frame.m.max()]
    mean = frame.groupby("n")[[*ROUTES, "predicted"]].mean()
    fig, axes = plt.subplots()
    for colour, name in zip(PLOT_COLOURS, ROUTES, strict=False):
        axes.plot(mean.index, mean[name], "o-", color=colour)
    axes.plot(mean.index, mean.predicted, color=INK, linewidth=1.2, dashes=(2, 2))
    axes.set(xscale="log", yscale="log", title="Excess risk, factor model", xlabel="labelled examples")
    _plain_ticks(axes, list(mean.index)[::2] if len(mean) > 5 else list(mean.index))
    label_ends(axes, mean.index[-1], {ROUTES[n]: float(mean[n].iloc[-1]) for n in ROUTES}, subject="two phases")
    room_right(axes, 0.4)
    d, r, m = (int(frame[c].iloc[0]) for c in ("d", "r", "m"))
    off = float((mean.two_phase / mean.predicted - 1).abs()[mean.index >= 20].max())
    caption = (
        f"With {m:,} unlabelled inputs of {d} dimensions and {r} factors, two phases need the fewest labels. "
        f"Dots: means over seeds; dashed: the closed form, within {off:.0%} from 20 labels on. Least squares peaks "
        "where labels are as many as inputs."
    )
    return Drawing(fig, caption, table=mean.reset_index())


def where_pretraining_wins(trials: Trials) -> Drawing:
    """Log ratio of two-phase excess to the best supervised excess over the grid."""
    frame = trials.frame.copy()
    frame["best"] = frame[["least_squares", "ridge", "labelled_only"]].min(axis=1)
    mean = frame.groupby(["m", "n"])[["two_phase", "best"]].mean()
    ratio = np.log10(mean.two_phase / mean.best).unstack()
    fig, axes = plt.subplots()
    limit = float(np.nanmax(np.abs(ratio.to_numpy())))
    axes.imshow(ratio.to_numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit, origin="lower", aspect="auto")
    for i, j in np.ndindex(*ratio.shape):
        value = float(ratio.iloc[i, j])
        if np.isnan(value):
            continue
        strong = abs(value) > 0.6 * limit
        axes.text(j, i, f"{10**value:.2g}", ha="center", va="center", color="white" if strong else INK, fontsize=9)
    axes.set_xticks(range(ratio.shape[1]), [f"{n:,}" for n in ratio.columns])
    axes.set_yticks(range(ratio.shape[0]), [f"{m:,}" for m in ratio.index])
    axes.set(title="Excess, two phases over supervised", xlabel="labelled examples")
    axes.set_ylabel("unlabelled examples")
    axes.grid(visible=False)
    better, cells = int((ratio.to_numpy() < 0).sum()), int(ratio.notna().to_numpy().sum())
    caption = (
        f"Two phases are better (blue, below 1) in {better} of {cells} cells, and worse where unlabelled inputs "
        "are scarce beside the labelled ones. The best supervised route is chosen for every seed. Means over seeds."
    )
    return Drawing(fig, caption, table=ratio.reset_index())


def pairs_needed(trials: Trials) -> Drawing:
    """Excess risk by the number of pairs, contrastive learning."""
    n = int(trials.frame.groupby("n").m.nunique().idxmax())
    frame = trials.frame[trials.frame.n == n]
    names = {"two_phase": "two phases", "ridge": "ridge", "known": "features known"}
    mean = frame.groupby("m")[list(names)].mean()
    fig, axes = plt.subplots()
    for colour, name in zip((PLOT_COLOURS[0], PLOT_COLOURS[1], INK_2), names, strict=True):
        axes.plot(mean.index, mean[name], "o-", color=colour)
    axes.set(xscale="log", yscale="log", title="Excess risk, contrastive learning", xlabel="pairs")
    _plain_ticks(axes, list(mean.index))
    axes.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
    axes.minorticks_off()
    label_ends(axes, mean.index[-1], {names[c]: float(mean[c].iloc[-1]) for c in names}, subject="two phases")
    room_right(axes, 0.45)
    caption = (
        f"With {n} labels, features learned from few pairs are worse than none; from many pairs they come close to the "
        "true ones. Means over seeds."
    )
    return Drawing(fig, caption, table=mean.reset_index())


def what_is_lost(trials: Trials) -> Drawing:
    """Share of the possible gain that either route misses, by labels, where the condition fails."""
    frame = trials.frame
    mean = frame.groupby(["case", "n"])[["two_phase", "supervised"]].mean()
    fig, axes = plt.subplots()
    ends: dict[str, float] = {}
    for case in sorted(set(frame.case)):
        own = 100 * mean.loc[case]
        axes.plot(own.index, own.two_phase, "o-", color=PLOT_COLOURS[0])
        axes.plot(own.index, own.supervised, "o-", color=PLOT_COLOURS[1])
        ends[f"{case}, supervised"] = float(own.supervised.iloc[-1])
    last = float(frame.n.max())
    axes.set(xscale="log", title="Lost, of what could be gained", xlabel="labelled examples")
    _plain_ticks(axes, sorted(set(frame.n)))
    axes.set_ylim(-18, 125)
    label_ends(axes, last, {**ends, "two phases, all three": 100.0}, subject="two phases, all three")
    room_right(axes, 0.5)
    axes.set_yticks([0, 50, 100], ["0", "50", "100 %"])
    caption = (
        "Where labels depend on what the latent variable does not hold, two phases learn nothing however many labels "
        "there are; supervised learning needs no latent variable. Means over seeds."
    )
    return Drawing(fig, caption, table=mean.reset_index())


def digits_by_labels(trials: Trials) -> Drawing:
    """Accuracy on digits by the number of labels."""
    names = {
        "factor": "factor model",
        "mixture": "mixture",
        "pairs": "moved digits",
        "best": "best supervised",
    }
    frame = trials.frame.copy()
    frame["best"] = frame[["ridge", "logistic", "neighbour"]].max(axis=1)
    mean = frame.groupby("n")[list(names)].mean()
    fig, axes = plt.subplots()
    for colour, name in zip((*PLOT_COLOURS[:3], INK_2), names, strict=True):
        axes.plot(mean.index, mean[name], "o-", color=colour)
    axes.set(xscale="log", title="Accuracy on digits, %", xlabel="labelled digits, of ten classes")
    _plain_ticks(axes, list(mean.index))
    label_ends(axes, mean.index[-1], {names[c]: float(mean[c].iloc[-1]) for c in names})
    room_right(axes, 0.45)
    first = mean.iloc[min(1, len(mean) - 1)]
    winner = max(("factor", "mixture", "pairs"), key=lambda c: float(first[c]))
    caption = (
        f"With {int(first.name)} labels the {names[winner]} reaches {first[winner]:.0f} %, the best of three "
        f"supervised learners {first.best:.0f} %. Pretrained on 1,000 digits without labels; means over seeds."
    )
    return Drawing(fig, caption, table=mean.reset_index())
