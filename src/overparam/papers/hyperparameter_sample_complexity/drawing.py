"""Figures of the paper's page."""

from __future__ import annotations

import matplotlib.pyplot as plt

from overparam.lab import Drawing, Trials
from overparam.lab.plots import INK, INK_2, PLOT_COLOURS, label_end, label_ends, room_right
from overparam.methods.tuning.piecewise import PiecewiseFunction


def _curve(row: dict[str, list[float]]) -> PiecewiseFunction:
    edges = row["edges"]
    return PiecewiseFunction(edges[1:-1], row["values"], edges[0], edges[-1])


def six_tasks(trials: Trials) -> Drawing:
    """Utility of six tasks and the average over all, as functions of alpha."""
    import pandas as pd

    rows = trials.where({"law": "graph"}).rows
    curves = [_curve(r) for r in rows]
    mean = PiecewiseFunction.mean(curves)
    fig, axes = plt.subplots()
    for curve in curves[:6]:
        axes.stairs(100 * curve.pieces[:, 0], curve.edges, color=INK_2, linewidth=0.9, alpha=0.6, baseline=None)
    axes.stairs(100 * mean.pieces[:, 0], mean.edges, color=PLOT_COLOURS[0], linewidth=2.0, baseline=None)
    best = mean.argmax()
    axes.plot([best.alpha], [100 * best.value], "o", color=PLOT_COLOURS[0])
    axes.set(title="Accuracy on a graph, %", xlabel="alpha, shift of the similarity")
    label_ends(
        axes,
        mean.hi,
        {"average": 100 * float(mean(mean.hi)), "single tasks": 100 * float(curves[0](mean.hi))},
        subject="average",
    )
    room_right(axes, 0.25)
    counts = [len(c.breaks) for c in curves]
    caption = (
        f"Each task jumps {min(counts)} to {max(counts)} times; all jumps are exact. The average over {len(curves)} "
        f"tasks is largest near alpha = {best.alpha:.2f} (dot). Grey: six tasks; blue: the average."
    )
    table = pd.DataFrame({"from": mean.edges[:-1], "to": mean.edges[1:], "average": mean.pieces[:, 0]})
    return Drawing(fig, caption, table=table)


def deviation_by_tasks(trials: Trials) -> Drawing:
    """Largest gap between the average over n tasks and the expected utility, by n."""
    frame = trials.frame
    mean = frame.groupby("n")[["deviation", "bound"]].mean()
    fig, axes = plt.subplots()
    axes.plot(frame.n, frame.deviation, "o", color=PLOT_COLOURS[0], alpha=0.3, markersize=3)
    axes.plot(mean.index, mean.deviation, "o-", color=PLOT_COLOURS[0])
    axes.plot(mean.index, mean.bound, color=PLOT_COLOURS[1])
    axes.plot(mean.index, mean.deviation.iloc[0] * mean.index.to_numpy() ** -0.5, color=INK, linewidth=1, dashes=(3, 3))
    axes.set(xscale="log", yscale="log", title="Largest deviation over all alpha", xlabel="tasks")
    axes.set_xticks(list(mean.index), [str(n) for n in mean.index])
    axes.minorticks_off()
    last = mean.index[-1]
    label_ends(
        axes,
        last,
        {"measured": float(mean.deviation.iloc[-1]), "bound": float(mean.bound.iloc[-1])},
        subject="measured",
    )
    room_right(axes, 0.3)
    loose = float((mean.bound / mean.deviation).iloc[-1])
    caption = (
        f"The deviation falls as one over the root of the number of tasks (dashed); the bound is {loose:.0f} times "
        "larger at the most tasks. Dots: repetitions; lines: their mean."
    )
    return Drawing(fig, caption, table=mean.reset_index())


def utility_by_tasks(trials: Trials) -> Drawing:
    """Utility on other tasks of the alpha tuned on n tasks, by n."""
    from overparam.lab.plots import lines_with_band

    frame = trials.frame
    table = frame.pivot(index="seed", columns="n", values="utility")
    best = float((frame.utility + frame.shortfall).max())
    fig, axes = plt.subplots()
    lines_with_band(axes, list(table.columns), 100 * table.to_numpy(), colour=PLOT_COLOURS[0])
    axes.plot([table.columns[0], table.columns[-1]], [100 * best] * 2, color=INK_2, dashes=(3, 3), linewidth=1.2)
    axes.set(xscale="log", title="Accuracy on other tasks, %", xlabel="tasks used for tuning")
    axes.set_xticks(list(table.columns), [str(n) for n in table.columns])
    axes.minorticks_off()
    last = 100 * float(table.iloc[:, -1].mean())
    label_ends(axes, table.columns[-1], {"best alpha": 100 * best, "tuned": last}, subject="tuned")
    room_right(axes, 0.35)
    worst, short = best - float(frame.spread.max()), float(frame[frame.n == frame.n.max()].shortfall.mean())
    caption = (
        f"Tuned on {table.columns[-1]} tasks, alpha is {100 * short:.2f} points short of the best one; the worst alpha "
        f"has {100 * worst:.0f} %. Thin lines: repetitions; band: 95 % interval of their mean."
    )
    return Drawing(fig, caption, table=table.reset_index())


def breaks_by_size(trials: Trials) -> Drawing:
    """Number of breaks by the width of the features and by the nodes of the graph."""
    frame = trials.frame
    graphs = frame[frame.kind == "graph"]
    degree = int(graphs.groupby("degree")["size"].nunique().idxmax())
    fig, axes = plt.subplots()
    ends = {}
    for colour, name, own in (
        (PLOT_COLOURS[0], "mixed activations, by width", frame[frame.kind == "features"]),
        (PLOT_COLOURS[1], "graph kernel, by nodes", graphs[graphs.degree == degree]),
    ):
        mean = own.groupby("size").breaks.mean()
        axes.plot(own["size"], own.breaks, "o", color=colour, alpha=0.3, markersize=3)
        axes.plot(mean.index, mean, "o-", color=colour)
        ends[name] = (float(mean.index[-1]), float(mean.iloc[-1]))
    axes.set(title="Breaks of a task's utility", xlabel="width of the features, or nodes of the graph")
    axes.set_ylim(0, None)
    for name, (x, y) in ends.items():
        label_end(axes, x, y, name)
    room_right(axes, 0.75)
    share = float(frame.over_bound.max())
    caption = (
        f"Breaks grow slowly with size; no task uses more than {share:.0%} of the algebraic bound. Dots: tasks; lines: "
        "their mean."
    )
    return Drawing(fig, caption, table=frame.groupby(["kind", "size", "degree"], as_index=False).breaks.mean())
