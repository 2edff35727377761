"""Figures of the paper's page."""

from __future__ import annotations

from typing import Any

import numpy as np

from overparam.lab import Drawing, Trials
from overparam.lab.plots import INK_2, PLOT_COLOURS, label_ends, room_right
from overparam.papers.random_features.judging import settings

NAMES = {"mnist": "MNIST", "cifar10": "CIFAR-10", "fashion": "Fashion-MNIST", "digits": "digits"}
SHOWN = (("0.001", 1, "ridge 0.001"), ("tuned", 0, "tuned"), ("10", 2, "ridge 10"))


def by_width(trials: Trials) -> Drawing:
    """Test error by the number of features, with and without tuning."""
    import matplotlib.pyplot as plt
    import pandas as pd

    cells = settings(trials)
    counts = {n: len({c["k"] for c in cells if c["n"] == n}) for n in {c["n"] for c in cells}}
    n = max(counts, key=lambda size: counts[size])
    cells = [c for c in cells if c["n"] == n]
    widths = sorted({c["k"] for c in cells} - {0})
    end = 4 * widths[-1]  # where infinitely many are drawn
    fig, axes = plt.subplots()
    axes.set(xscale="log", yscale="log", xlabel=f"random features, {n} training images")
    table: list[dict[str, Any]] = []
    ends = {}
    for ridge, colour, name in SHOWN:
        rows = []
        for k in [*widths, 0]:
            own = [c for c in cells if c["k"] == k]
            if ridge != "tuned":
                own = [c for c in own if np.isclose(c["ridge"], float(ridge))]
            best = min(own, key=lambda c: c["theory_test"]), min(own, key=lambda c: c["test"])
            rows.append({
                "features": k or "infinitely many", "x": k or end, "setting": name,
                "predicted": best[0]["theory_test"], "measured": best[1]["test"],
            })  # fmt: skip
        x = [r["x"] for r in rows]
        axes.plot(x, [r["predicted"] for r in rows], color=PLOT_COLOURS[colour])
        axes.plot(x, [r["measured"] for r in rows], "o", color=PLOT_COLOURS[colour])
        if ridge == "0.001":  # named at its peak
            top = max(rows, key=lambda r: r["measured"])
            axes.annotate(
                name,
                (top["x"], top["measured"]),
                xytext=(8, -2),
                textcoords="offset points",
                color=PLOT_COLOURS[colour],
            )
        else:
            ends[name] = rows[-1]["predicted"]
        table += [{key: value for key, value in r.items() if key != "x"} for r in rows]
    shown = [*widths[:: max(1, len(widths) // 4)], end]
    axes.set_xticks(shown, [f"{k:,}" if k != end else "∞" for k in shown])
    _plain_log_ticks(axes)
    room_right(axes, 0.3)
    label_ends(axes, end, ends, subject="tuned")
    axes.set_title("Test error by the number of features")
    frame = pd.DataFrame(table)
    peak = frame[frame.setting == "ridge 0.001"].sort_values("measured").iloc[-1]
    best = frame[frame.setting == "tuned"]
    caption = (
        f"With a ridge of 0.001 the test error peaks at {peak.features} features, near the number of training images; "
        f"with the best ridge it falls from {best.measured.iloc[0]:.2f} to {best.measured.iloc[-1]:.2f} at infinitely "
        "many. Lines: predicted from the eigenstructure, dots: measured, mean over seeds."
    )
    return Drawing(fig, caption, table=frame)


def _plain_log_ticks(axes: Any) -> None:
    from matplotlib.ticker import NullFormatter

    low, high = axes.get_ylim()
    ticks = [t for t in (0.1, 0.2, 0.3, 0.5, 0.7, 1, 2, 3, 5, 10, 20, 50, 100) if low <= t <= high]
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())


def agreement(trials: Trials) -> Drawing:
    """Measured test error against the predicted one."""
    import matplotlib.pyplot as plt
    import pandas as pd

    cells = settings(trials)
    fig, axes = plt.subplots()
    axes.set(xscale="log", yscale="log", xlabel="predicted test error")
    wanted, found = (np.array([c[name] for c in cells]) for name in ("theory_test", "test"))
    errors = np.array([c["error"] for c in cells])
    ends = np.array([min(wanted.min(), found.min()) / 1.1, max(wanted.max(), found.max()) * 1.1])
    axes.plot(ends, ends, color=INK_2, linewidth=1.0)
    axes.errorbar(wanted, found, 2 * errors, fmt="o", color=PLOT_COLOURS[0], markersize=4, linewidth=1.0)
    axes.set_title("Measured test error, Gaussian features")
    _plain_log_ticks(axes)
    low, high = axes.get_xlim()
    ticks = [t for t in (0.5, 0.6, 0.7, 0.8, 1, 1.5, 2, 3, 5, 10) if low <= t <= high]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    gap = np.abs(found / wanted - 1)
    worst = cells[int(gap.argmax())]
    caption = (
        f"Over {len(cells)} settings the median distance from the prediction is {100 * np.median(gap):.1f} %; the "
        f"largest, {100 * gap.max():.0f} %, is at {worst['n']} samples, {worst['k'] or 'infinitely many'} features and "
        f"ridge {worst['ridge']:.2g}. Dots: mean over seeds with two standard errors; line: equality."
    )
    return Drawing(fig, caption, table=pd.DataFrame(cells))


def fitting_curves(trials: Trials) -> Drawing:
    """Test error by the fitting ratio on a power law."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, axes = plt.subplots()
    rows = [r for r in trials.rows if (r["alpha"], r["beta"]) == (1.5, 2.0)]
    sizes = sorted({r["n"] for r in rows})
    n = sizes[-1]
    table: list[dict[str, Any]] = []
    for colour, row in zip(
        PLOT_COLOURS, sorted((r for r in rows if r["n"] == n), key=lambda r: r["noise"]), strict=False
    ):
        ratio, risk = np.array(row["ratio"]), np.array(row["risk"]) / row["best_risk"]
        keep = (ratio <= 0.8) & (risk <= 2.0)
        axes.plot(ratio[keep], risk[keep], color=colour)
        axes.plot([row["closed_ratio"]], [1.0], "o", color=colour, markersize=7, clip_on=False, zorder=5)
        axes.annotate(
            f"{row['noise']:g}", (ratio[keep][-1], risk[keep][-1]), xytext=(4, 2), textcoords="offset points",
            color=colour, fontweight="bold",
        )  # fmt: skip
        table += [
            {"noise": row["noise"], "ratio": a, "excess": b, "closed_form": row["closed_ratio"]}
            for a, b in zip(ratio[keep], risk[keep], strict=True)
        ]
    axes.set_xlabel("train error / test error")
    axes.set_title("Test error over the best, by how far one fits")
    best = ", ".join(f"{r['closed_ratio']:.2f} at noise {r['noise']:g}" for r in rows if r["n"] == n)
    gaps = " and ".join(f"{max(abs(r['gap']) for r in trials.rows if r['n'] == m):.2g} at {m:,}" for m in sizes)
    caption = (
        f"The best ratio of train to test error is {best}; over all cases it differs from the closed form by at most "
        f"{gaps} samples. Lines: eigenframework at {n:,} samples, alpha = 1.5 and "
        "beta = 2, with the relative noise at their ends; dots: the closed form."
    )
    return Drawing(fig, caption, table=pd.DataFrame(table))


def image_curves(trials: Trials) -> Drawing:
    """Test error by the fitting ratio on images, for several levels of noise."""
    import matplotlib.pyplot as plt
    import pandas as pd

    names = sorted({r["data"] for r in trials.rows}, key=lambda d: d == "cifar10")
    fig, panels = plt.subplots(
        1, len(names), sharey=True, squeeze=False, figsize=(5.0 if len(names) == 1 else 7.4, 3.3)
    )
    table: list[dict[str, Any]] = []
    for axes, data in zip(panels[0], names, strict=True):
        rows = [r for r in trials.rows if r["data"] == data]
        taken: list[tuple[float, float]] = []
        for colour, noise in reversed(list(zip(PLOT_COLOURS, (0, 1, 5, 50), strict=False))):
            paths, risks = (np.array([r[f"{key}_{noise}"] for r in rows]) for key in ("path", "risk"))
            ratio, risk = paths.mean(0), risks.mean(0)
            predicted = float(np.mean([r[f"predicted_{noise}"] for r in rows]))
            best = risk.min()
            keep = risk <= 1.3 * best
            axes.plot(ratio[keep], risk[keep] / best, color=colour)
            axes.plot([predicted], [1.0], "o", color=colour, markersize=7, clip_on=False, zorder=5)
            table.append({
                "data": data, "noise": noise, "predicted_ratio": predicted,
                "measured_ratio": float(np.mean([r[f"ratio_{noise}"] for r in rows])),
                "best_over_interpolation": float(best / risk[0]),
            })  # fmt: skip
            last = np.flatnonzero(keep)[-1]
            x, y = float(ratio[last]), float(risk[last] / best)
            while any(abs(x - a) < 0.1 and abs(y - b) < 0.04 for a, b in taken):
                y += 0.005
            taken.append((x, y))
            axes.annotate(
                f"{noise}", (x, y), xytext=(5, 0), textcoords="offset points", color=colour,
                fontweight="bold", annotation_clip=False,
            )  # fmt: skip
        alpha, beta = (float(np.mean([r[key] for r in rows])) for key in ("alpha", "beta"))
        axes.set_title(f"{NAMES[data]}: alpha {alpha:.2f}, beta {beta:.2f}")
        axes.set_xlabel("train error / test error")
        axes.set_xlim(-0.03, 1.05)
    frame = pd.DataFrame(sorted(table, key=lambda r: (names.index(r["data"]), r["noise"])))
    words = "; ".join(
        f"{NAMES[data]}: " + ", ".join(f"{r.measured_ratio:.2f} ({r.predicted_ratio:.2f})" for r in own.itertuples())
        for data, own in frame.groupby("data", sort=False)
    )
    caption = (
        f"The best ratio measured (and predicted) at relative noise 0, 1, 5 and 50 is {words}. Lines: test error over "
        "its least value, mean over seeds, with the noise at their ends; dots: the closed form with the exponents "
        "measured on the same images."
    )
    return Drawing(fig, caption, table=frame)
