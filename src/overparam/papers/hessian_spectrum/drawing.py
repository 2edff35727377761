"""Figures of the paper's page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from overparam.lab import Drawing, Trials
from overparam.lab.plots import INK, INK_2, PLOT_COLOURS, label_ends, lines_with_band

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST = 1e-12


def _logs(rows: list[list[float]]) -> np.ndarray:
    size = min(map(len, rows))
    logs: np.ndarray = np.log10(np.maximum(np.array([row[:size] for row in rows]), LEAST))
    return logs


def _powers(axes: Axes) -> None:
    low, high = axes.get_ylim()
    ticks = range(int(np.ceil(low)), int(np.floor(high)) + 1)
    axes.set_yticks(list(ticks), [f"$10^{{{t}}}$" for t in ticks])


def leading(trials: Trials) -> Drawing:
    """Draw the leading eigenvalues by index, a line a width, dashed before training."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, axes = plt.subplots()
    own = trials.where({"labels": "true", "classes": 10})
    ends, table, shown = {}, [], 25
    frame = own.frame
    for colour, width in zip(PLOT_COLOURS, sorted(set(frame.width)), strict=False):
        rows = own.where({"width": width}).rows
        values, before = (_logs([r[name] for r in rows])[:, :shown] for name in ("top", "initial_top"))
        x = np.arange(1, values.shape[1] + 1)
        axes.plot(x, before.mean(0), color=colour, linewidth=1.2, dashes=(4, 3))
        lines_with_band(axes, x.tolist(), values, colour=colour)
        ends[f"{rows[0]['parameters']:,} weights"] = float(values[:, -1].mean())
        table += [{"width": width, "index": int(i), "log10": float(v)} for i, v in zip(x, values.mean(0), strict=True)]
    axes.axvline(9.5, color=INK_2, linewidth=1.2, dashes=(2, 2))
    axes.set_title("Leading eigenvalues, ten classes")
    axes.set_xlabel("index of the eigenvalue; dotted: behind the ninth")
    axes.set_xticks([1, 5, 9, 15, 20, 25])
    axes.set_xlim(0, 36)
    _powers(axes)
    label_ends(axes, shown, ends)
    ratio, near = np.exp(frame.groupby("width").log_ratio.mean()), frame.groupby("width").near_zero_share.mean()
    caption = (
        f"Behind the ninth eigenvalue the spectrum steps down by a factor of {ratio.min():.1f} to {ratio.max():.1f} on "
        f"average, and {100 * near.min():.0f} to {100 * near.max():.0f} % of all eigenvalues lie within a thousandth "
        "of the largest. Solid: after training, geometric means with 95 % bands over seeds, thin: seeds. Dashed: "
        "before training."
    )
    return Drawing(fig, caption, table=pd.DataFrame(table))


def by_parameters(trials: Trials) -> Drawing:
    """Draw the first ten eigenvalues against the number of weights."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots()
    frame = trials.frame
    widths = sorted(set(frame.width))
    sizes = [int(frame[frame.width == w].parameters.iloc[0]) for w in widths]
    values = np.stack([_logs([r["top"] for r in trials.where({"width": w}).rows])[:, :10].mean(0) for w in widths])
    x = np.log10(sizes)
    for k in range(10):
        outlier = k < 4
        axes.plot(x, values[:, k], "o-" if outlier else "-", color=PLOT_COLOURS[0] if outlier else PLOT_COLOURS[5],
                  linewidth=2.0 if outlier else 1.0)  # fmt: skip
    axes.set_title("The ten leading eigenvalues")
    axes.set_xlabel("number of weights, at equal loss")
    axes.set_xticks(x, [f"{s:,}" for s in sizes])
    axes.set_xlim(x[0] - 0.05, x[-1] + 0.45 * (x[-1] - x[0]))
    ticks = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
    low, high = axes.get_ylim()
    shown = [t for t in ticks if low <= np.log10(t) <= high]
    axes.set_yticks(np.log10(shown), [f"{t:g}" for t in shown])
    label_ends(axes, x[-1], {"first four": float(values[-1, :4].mean()), "next six": float(values[-1, 4:].mean())},
            subject="first four")  # fmt: skip
    table = frame.groupby(["width", "parameters"], as_index=False)[
        ["lambda_1", "log_outliers", "near_zero_share", "loss"]
    ].mean()
    judged = table[table.width >= 12]
    outliers = np.exp(judged.log_outliers)
    caption = (
        f"From {judged.parameters.min():,.0f} to {judged.parameters.max():,.0f} weights the geometric mean of the four "
        f"outliers of five clusters goes from {outliers.iloc[0]:.3f} to {outliers.iloc[-1]:.3f}, while the share near "
        f"zero goes from {100 * judged.near_zero_share.iloc[0]:.0f} to {100 * judged.near_zero_share.iloc[-1]:.0f} %. "
        "Geometric means over seeds; all networks stop at a loss of 0.02 where they reach it."
    )
    return Drawing(fig, caption, table=table)


def by_clusters(trials: Trials) -> Drawing:
    """Draw the number of outliers by the number of clusters, a line a separation."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots()
    frame = trials.frame
    groups = sorted(set(frame.clusters))
    ends = {}
    for colour, separation in zip(PLOT_COLOURS, sorted(set(frame.separation)), strict=False):
        own = frame[frame.separation == separation].sort_values(["seed", "clusters"])
        counts = own.above_edge.to_numpy(dtype=float).reshape(-1, len(groups))
        lines_with_band(axes, groups, counts, colour=colour)
        ends[f"distance {2 * separation:g}"] = float(counts[:, -1].mean())
    axes.plot(groups, [k - 1 for k in groups], color=INK_2, linewidth=1.2, dashes=(4, 3))
    ends["k − 1"] = groups[-1] - 1.0
    axes.set_title("Eigenvalues above the bulk")
    axes.set_xlabel("number of clusters k")
    axes.set_xticks(groups)
    axes.set_xlim(groups[0] - 0.3, groups[-1] + 0.42 * (groups[-1] - groups[0]))
    axes.set_ylim(bottom=0)
    top = int(axes.get_ylim()[1])
    axes.set_yticks(range(0, top + 1, max(1, top // 5)))
    label_ends(axes, groups[-1], ends)
    table = frame.groupby(["clusters", "separation"], as_index=False)[["above_edge", "counted", "lambda_1", "log_bulk"]]
    means = frame.groupby("clusters").above_edge.mean()
    bulk = np.exp(frame.groupby("clusters").log_bulk.mean())
    caption = (
        f"Two clusters give {means.iloc[0]:.1f} eigenvalues above twice the edge of the bulk, {groups[-1]} clusters "
        f"{means.iloc[-1]:.1f}; the gap sits at k − 1 or k in {100 * frame.counted.mean():.0f} % of the networks. The "
        f"median magnitude goes from {bulk.iloc[0]:.1e} to {bulk.iloc[-1]:.1e}. Lines: means with 95 % bands over "
        "seeds, by the distance between centres in standard deviations; dashed: k − 1."
    )
    return Drawing(fig, caption, table=table.mean())


ARMS = {"continued": "going on", "same": "same start", "other": "another start"}


def path(trials: Trials) -> Drawing:
    """Draw the loss on the line from the large-batch solution to three small-batch ones."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, axes = plt.subplots()
    at = np.linspace(0, 1, 21).tolist()
    ends, table = {}, {"at": at}
    for colour, (name, words) in zip(PLOT_COLOURS, ARMS.items(), strict=False):
        values = _logs([row[f"path_{name}"] for row in trials.rows])
        lines_with_band(axes, at, values, colour=colour)
        table[words] = 10 ** values.mean(0)
        if name == "other":  # its end lies on the others, its peak does not
            peak = int(values.mean(0).argmax())
            axes.annotate(
                words, (at[peak], values.mean(0)[peak]), xytext=(40, 6), textcoords="offset points", color=INK
            )
        else:
            ends[words] = float(values[:, -1].mean())
    axes.set_title("Training loss on the line")
    axes.set_xlabel("from large batches (0) to small batches (1)")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "¼", "½", "¾", "1"])
    axes.set_xlim(-0.02, 1.55)
    axes.set_ylim(axes.get_ylim()[0] - 0.4, axes.get_ylim()[1])
    _powers(axes)
    label_ends(axes, 1.0, ends, subject=ARMS["continued"])
    frame = trials.frame
    caption = (
        f"From the large-batch solution to where small batches lead from there the barrier is "
        f"{frame.barrier_continued.mean():.3f}, from the same start {frame.barrier_same.mean():.3f}, from another "
        f"start {frame.barrier_other.mean():.2f}; the distances are {frame.distance_continued.mean():.1f}, "
        f"{frame.distance_same.mean():.1f} and {frame.distance_other.mean():.1f}. Going on: small batches after the "
        "large ones. Geometric means with 95 % bands over seeds, thin: seeds."
    )
    return Drawing(fig, caption, table=pd.DataFrame(table))
