"""Figures of the paper's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overparam.lab import Drawing, Trials
from overparam.lab.plots import INK_2, PLOT_COLOURS, label_ends, lines_with_band, room_right
from overparam.papers.generalization_dynamics.scales import TIMES
from overparam.stats import spearman, t_interval

Array = NDArray[np.float64]


def over_time(trials: Trials) -> Drawing:
    """Test error over time: theory as lines, simulation as dots with intervals."""
    import matplotlib.pyplot as plt
    import pandas as pd

    zero = trials.where({"inr": 0.0})
    fig, axes = plt.subplots()
    ends, rows = {}, []
    shown = TIMES > 0
    for colour, alpha in zip(PLOT_COLOURS, sorted(set(zero.frame.alpha)), strict=False):
        own = zero.where({"alpha": alpha}).rows
        seen = [t_interval(values) for values in zip(*(r["test"] for r in own), strict=True)]
        middle, theory = np.array([f.estimate for f in seen]), np.array(own[0]["test_theory"])
        axes.plot(TIMES[shown], theory[shown], color=colour, linewidth=1.5)
        axes.plot(TIMES[shown], middle[shown], "o", color=colour, markersize=4)
        ends[f"{alpha:g}"] = float(theory[-1])
        rows += [
            {"alpha": alpha, "time": t, "theory": p, "simulation": f.estimate, "low": f.low, "high": f.high}
            for t, p, f in zip(TIMES, theory, seen, strict=True)
        ]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title("Test error during training")
    axes.set_xlabel("time of gradient flow")
    axes.set_xticks(ticks := [0.1, 1, 10, 100, 1000], [f"{t:,g}" for t in ticks])
    _plain_ticks(axes, [0.3, 0.5, 1, 2, 4])
    room_right(axes, 0.3)
    label_ends(axes, float(TIMES[-1]), {f"α = {k}": v for k, v in ends.items()}, subject="α = 1")
    table = pd.DataFrame(rows)
    worst = float((table.simulation / table.theory - 1).abs().max())
    caption = (
        f"The theory, a limit of many inputs, gives the error of {int(zero.frame.inputs.iloc[0])} simulated inputs at "
        f"every time: no mean is more than {worst:.1%} away. Lines: theory; dots: means over seeds. α is samples a "
        "weight, the signal-to-noise ratio is 5, initial weights are zero. The table has 95 % intervals."
    )
    return Drawing(fig, caption, table=table)


def by_size(trials: Trials) -> Drawing:
    """Overtraining by weights a sample: theory and simulation."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots()
    alphas = sorted(set(trials.frame.alpha), reverse=True)
    x = [1 / a for a in alphas]
    gaps = _matrix(trials, "gap", "alpha", alphas)
    theory = _matrix(trials, "gap_theory", "alpha", alphas)[0]
    lines_with_band(axes, x, gaps, colour=PLOT_COLOURS[0])
    axes.plot(x, theory, color=INK_2, linewidth=1.2, dashes=(4, 3))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title("Rise of the test error after its least value")
    axes.set_xlabel("weights a sample")
    _plain_ticks(axes, [0.01, 0.1, 1])
    ticks = [0.25, 0.5, 1, 2, 4]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    peak = int(gaps.mean(0).argmax())
    room_right(axes, 0.1)
    axes.annotate("theory", (x[-1], theory[-1]), xytext=(6, 0), textcoords="offset points", color=INK_2, va="center")
    caption = (
        f"Training long past the best moment costs most, {gaps.mean(0)[peak]:.2g}, at {x[peak]:g} weights a sample, "
        f"and {gaps.mean(0)[-1]:.2g} at {x[-1]:g}. Dots: means over seeds, thin: seeds; dashed: theory. Training lasts "
        "1,000 units of time; the error before training is 1.2."
    )
    table = trials.frame.groupby("alpha", as_index=False)[["gap", "gap_theory", "smallest", "smallest_ratio"]].mean()
    return Drawing(fig, caption, table=table)


def landscape(trials: Trials) -> Drawing:
    """Test error by weights a sample and time, as a map."""
    import matplotlib.pyplot as plt
    import pandas as pd

    alphas = sorted(set(trials.frame.alpha), reverse=True)
    curves = np.array([np.mean([r["test"] for r in trials.where({"alpha": a}).rows], axis=0) for a in alphas])
    shown = TIMES > 0
    fig, axes = plt.subplots()
    axes.grid(visible=False)
    x, y = np.log10(TIMES[shown]), np.log2([1 / a for a in alphas])
    levels = np.log2([0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.4, 2.0, 3.0, 5.0])
    filled = axes.contourf(x, y, np.log2(curves[:, shown]), levels=levels, cmap="YlOrBr", extend="both")
    best = TIMES[shown][curves[:, shown].argmin(1)]
    axes.plot(np.log10(best), y, "o-", color=PLOT_COLOURS[0], linewidth=1.2, markersize=4)
    axes.set_title("Test error by size and time")
    axes.set_xlabel("time of gradient flow")
    axes.set_xticks([-1, 0, 1, 2, 3], ["0.1", "1", "10", "100", "1,000"])
    axes.set_yticks([-2, -1, 0, 1, 2], ["¼", "½", "1", "2", "4"])
    axes.set_ylabel("weights a sample")
    bar = fig.colorbar(filled, ax=axes, ticks=np.log2([0.3, 0.5, 0.8, 1.15, 2, 5]), pad=0.02)
    bar.ax.set_yticklabels(["0.3", "0.5", "0.8", "1.15", "2", "5"])
    bar.outline.set_visible(False)
    caption = (
        f"The last error is largest at {1 / alphas[int(curves[:, -1].argmax())]:g} weights a sample; the best moment "
        f"(blue) lies between {best.min():.2g} and {best.max():.2g} for all sizes. Colours: mean test error of "
        "simulated linear networks."
    )
    table = pd.DataFrame(curves[:, shown], index=[1 / a for a in alphas], columns=[f"{t:.3g}" for t in TIMES[shown]])
    return Drawing(fig, caption, table=table.rename_axis("weights_a_sample").reset_index())


def by_width(trials: Trials) -> Drawing:
    """Final and best test error of a random hidden layer."""
    import matplotlib.pyplot as plt

    shares = sorted(set(trials.frame.share))
    final, stopped = _matrix(trials, "final", "share", shares), _matrix(trials, "stopped", "share", shares)
    fig, axes = plt.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    middle = np.exp(np.log(final).mean(0))
    for values, mean, colour in ((final, middle, PLOT_COLOURS[1]), (stopped, stopped.mean(0), PLOT_COLOURS[0])):
        axes.plot(shares, values.T, color=colour, linewidth=0.7, alpha=0.35)
        axes.plot(shares, mean, "o-", color=colour)
    axes.set_title("Test error of a random hidden layer")
    axes.set_xlabel("hidden units a sample")
    axes.set_xticks(ticks := [0.25, 0.5, 1, 2, 4, 8], [f"{t:g}" for t in ticks])
    _plain_ticks(axes, [1, 10, 100, 1000, 10_000])
    room_right(axes, 0.42)
    label_ends(axes, shares[-1], {"at the end": float(middle[-1]), "at the best time": float(stopped.mean(0)[-1])})
    peak = shares[int(middle.argmax())]
    caption = (
        f"Trained to the end the error is largest, {middle.max():,.0f}, with {peak:g} hidden units a sample and falls "
        f"to {middle[-1]:.2g} with {shares[-1]:g}; stopped at the best time it falls from {stopped.mean(0)[0]:.2f} to "
        f"{stopped.mean(0)[-1]:.2f}. Geometric means over seeds for the end, means for the best time; thin: seeds. "
        "Noise alone makes an error of 1."
    )
    table = trials.frame.groupby("share", as_index=False)[["final", "stopped", "log_smallest"]].mean()
    return Drawing(fig, caption, table=table)


def bounds(trials: Trials) -> Drawing:
    """Both bounds and the difference of test and training error, by width."""
    import matplotlib.pyplot as plt
    import pandas as pd

    shares = sorted(set(trials.frame.share))
    fig, axes = plt.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    table: dict[str, Any] = {"share": shares}
    for column, name, colour in (
        ("difference", "test − training", PLOT_COLOURS[1]),
        ("log_learned", "with the spectrum", PLOT_COLOURS[0]),
        ("log_counted", "by number", PLOT_COLOURS[2]),
    ):
        values = _matrix(trials, column, "share", shares)
        logs = values if column.startswith("log") else np.log(np.maximum(values, 1e-12))
        table[name] = np.exp(logs.mean(0))
        axes.plot(shares, table[name], "o-", color=colour)
    axes.set_title("Two bounds, and what they should follow")
    axes.set_xlabel("hidden units a sample")
    axes.set_xticks(ticks := [0.25, 0.5, 1, 2, 4, 8], [f"{t:g}" for t in ticks])
    _plain_ticks(axes, [1, 10, 100, 1000, 10_000])
    room_right(axes, 0.5)
    label_ends(
        axes, shares[-1], {n: float(v[-1]) for n, v in table.items() if n != "share"}, subject="with the spectrum"
    )
    caption = (
        "Over all widths the bound that knows of the frozen subspace and of the smallest eigenvalue above it has a "
        f"rank correlation of {_ranks(table, 'with the spectrum'):.2f} with the difference of test and training "
        f"error, the bound by number of weights one of {_ranks(table, 'by number'):.2f}. Geometric means over seeds; "
        "bounds on the Rademacher complexity, in units of the outputs."
    )
    return Drawing(fig, caption, table=pd.DataFrame(table))


def networks(trials: Trials) -> Drawing:
    """Final test error by width where both layers are trained, for each size of the initial weights."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots()
    axes.set_xscale("log")
    ends = {}
    scales = sorted(set(trials.frame.scale))
    for colour, scale in zip(PLOT_COLOURS, scales, strict=False):
        own = trials.where({"scale": scale})
        widths = sorted(set(own.frame.width))
        x = [float(own.where({"width": w}).rows[0]["ratio"]) for w in widths]
        final = _matrix(own, "final", "width", widths)
        found = [t_interval(column) for column in final.T]
        axes.fill_between(x, [f.low for f in found], [f.high for f in found], color=colour, alpha=0.16, linewidth=0)
        axes.plot(x, final.mean(0), "o-", color=colour)
        ends[f"initial weights {scale:g}"] = float(final.mean(0)[-1])
    axes.set_title("Final test error, both layers trained")
    axes.set_xlabel("weights a sample")
    axes.set_xticks(ticks := [0.5, 1, 2, 5, 10, 30], [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_ylim(0, None)
    room_right(axes, 0.55)
    label_ends(axes, max(trials.frame.ratio), ends)
    frame = trials.frame.groupby(["scale", "width"], as_index=False)[
        ["ratio", "final", "stopped", "gap", "train"]
    ].mean()
    small = frame[frame.scale == scales[0]]
    worst, widest = small.loc[small.gap.idxmax()], small.loc[small.ratio.idxmax()]
    large = float(frame[(frame.scale == scales[-1]) & (frame.width == widest.width)].final.iloc[0])
    caption = (
        f"From the smallest initial weights the error rises most after its least value, by {worst.gap:.2g}, at "
        f"{worst.ratio:.2g} weights a sample, and by {widest.gap:.2g} at {widest.ratio:.2g}; there the final error is "
        f"{widest.final:.2g}, and {large:.2g} from the largest. Means over seeds with 95 % bands. The table has the "
        "best error during training and the training error at the end."
    )
    return Drawing(fig, caption, table=frame)


def _ranks(table: dict[str, Any], name: str) -> float:
    return spearman(table[name], table["test − training"]) or 0.0


def _matrix(trials: Trials, metric: str, by: str, values: Sequence[float]) -> Array:
    """(seeds, values) of a metric."""
    columns = [dict(zip(*trials.by_unit(metric, {by: v}, "seed"), strict=True)) for v in values]
    return np.array([[column[seed] for column in columns] for seed in sorted(columns[0])])


def _plain_ticks(axes: Any, ticks: Sequence[float]) -> None:
    low, high = axes.get_ylim()
    axes.set_yticks([t for t in ticks if low <= t <= high], [f"{t:,g}" for t in ticks if low <= t <= high])
    axes.minorticks_off()
