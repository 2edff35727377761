"""Figures of the paper's page."""

from __future__ import annotations

import numpy as np

from overparam.lab import Drawing, Trials
from overparam.lab.plots import INK, INK_2, PLOT_COLOURS, label_ends, lines_with_band, room_right, unit_on_top
from overparam.lab.wording import percent

NAMES = {
    "mean": "descent", "winsor-1": "c = 1", "winsor-2": "c = 2", "winsor-4": "c = 4", "winsor-8": "c = 8",
    "m3": "M3", "rm3": "RM3",
}  # fmt: skip
PLACES = {"mean": (4, -17, "center"), "rm3": (0, 9, "center"), "m3": (-7, -12, "right"), "winsor-1": (-5, 8, "right")}


def coherence_by_epoch(trials: Trials) -> Drawing:
    """m-coherence along training, a line a share of redrawn labels."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, axes = plt.subplots()
    epochs = trials.rows[0]["epoch"]
    shares = sorted({row["share"] for row in trials.rows})
    x = list(range(len(epochs)))
    means: dict[float, np.ndarray] = {}
    for colour, share in zip((PLOT_COLOURS[i] for i in (0, 2, 4, 3, 1)), shares, strict=False):
        data = np.array([row["m_coherence"] for row in trials.where({"share": share}).rows])
        colour = PLOT_COLOURS[1] if share == 1.0 else colour
        lines_with_band(axes, x, np.log10(np.maximum(data, 1e-3)), colour=colour)
        means[share] = data.mean(0)
    axes.plot([x[0], x[-1]], [0, 0], color=INK_2, linewidth=1.2, dashes=(4, 3))
    axes.set_title("m-coherence of the training set")
    axes.set_xlabel("epochs")
    axes.set_xticks(x, [str(e) if i % 2 == 0 or len(epochs) < 8 else "" for i, e in enumerate(epochs)])
    low, high = axes.get_ylim()
    ticks = [t for t in range(-3, 4) if low <= t <= high + 0.3]
    axes.set_yticks(ticks, [f"{10.0**t:g}" for t in ticks])
    ends = {_share(s): float(np.log10(m[-1])) for s, m in means.items()}
    label_ends(axes, x[-1], ends | {"orthogonal": 0.0}, subject=_share(0.0))
    room_right(axes, 0.45)
    early = {s: m[[e <= 5 for e in epochs]].max() for s, m in means.items()}
    caption = (
        f"Early in training m-coherence reaches {early[shares[0]]:.1f} on real labels and {early[shares[-1]]:.1f} on "
        f"random ones (mean of the {len(trials.where({'share': shares[0]}))} runs, highest of epochs 0 to 5). Lines: "
        "means by share of redrawn labels with 95 % bands over seeds, logarithmic scale; dashed: orthogonal gradients."
    )
    return Drawing(fig, caption, table=pd.DataFrame({"epoch": epochs, **{_share(s): m for s, m in means.items()}}))


def _share(share: float) -> str:
    return {0.0: "real labels", 1.0: "random"}.get(share, f"{percent(share)} redrawn")


def right_before_wrong(trials: Trials) -> Drawing:
    """Fit of right and wrong labels, and test accuracy, under half noise."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, axes = plt.subplots()
    own = trials.where({"share": 0.5}).rows
    epochs = own[0]["epoch"]
    x = list(range(len(epochs)))
    names = {
        "test": ("test accuracy", 0),
        "right_fit": ("right labels fitted", 2),
        "wrong_fit": ("wrong labels fitted", 1),
    }
    ends, table = {}, {"epoch": epochs}
    for metric, (name, hue) in names.items():
        data = np.array([row[metric] for row in own])
        lines_with_band(axes, x, data, colour=PLOT_COLOURS[hue])
        ends[name], table[name] = float(data[:, -1].mean()), data.mean(0).tolist()
    axes.set_title("Fit and test accuracy, half redrawn")
    axes.set_xlabel("epochs")
    axes.set_xticks(x, [str(e) if i % 2 == 0 or len(epochs) < 8 else "" for i, e in enumerate(epochs)])
    axes.set_ylim(0, 104)
    unit_on_top(axes, "%")
    label_ends(axes, x[-1], ends, subject="test accuracy")
    room_right(axes, 0.55)
    test = np.array(table["test accuracy"])
    best = int(test.argmax())
    caption = (
        f"Test accuracy is best after epoch {epochs[best]} ({test[best]:.1f} %), when "
        f"{table['right labels fitted'][best]:.0f} % of the right labels and "
        f"{table['wrong labels fitted'][best]:.0f} % of the wrong ones are fitted; it ends at {test[-1]:.1f} %. Lines: "
        "means with 95 % bands over seeds."
    )
    return Drawing(fig, caption, table=pd.DataFrame(table))


def robust_averages(trials: Trials) -> Drawing:
    """Test accuracy against memorised labels, a dot a rule, and plain descent stopped early as a line."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, axes = plt.subplots()
    rate = max(row["rate"] for row in trials.rows)
    noisy = trials.where({"noise": 0.5, "rate": rate})
    plain = noisy.where({"rule": "mean"}).rows
    path = {c: np.mean([row[f"{c}_curve"] for row in plain], axis=0) for c in ("test", "train", "memorised")}
    axes.plot(path["memorised"], path["test"], color=INK_2, linewidth=1.2, dashes=(4, 3))
    table = []
    for rule in [r for r in NAMES if any(row["rule"] == r for row in noisy.rows)]:
        rows = noisy.where({"rule": rule}).rows
        test, memorised, train = (float(np.mean([row[c] for row in rows])) for c in ("test", "memorised", "train"))
        colour = PLOT_COLOURS[1] if rule == "mean" else PLOT_COLOURS[0] if rule.startswith("w") else PLOT_COLOURS[2]
        axes.plot([row["memorised"] for row in rows], [row["test"] for row in rows], "o", color=colour, alpha=0.3,
                  markersize=3)  # fmt: skip
        axes.plot(memorised, test, "o", color=colour, markersize=7)
        x, y, side = PLACES.get(rule, (8, 3, "left"))
        axes.annotate(
            NAMES[rule],
            (memorised, test),
            xytext=(x, y),
            textcoords="offset points",
            ha=side,
            color=INK,
            fontweight="bold" if rule in ("winsor-4", "m3") else "normal",
        )
        at = int(np.abs(path["train"] - train).argmin())
        clean = (
            trials.where({"noise": 0.0}).where({"rule": rule}).rows if any(r["noise"] == 0 for r in trials.rows) else []
        )
        table.append({
            "rule": NAMES[rule], "test": test, "memorised": memorised, "train": train,
            "best test": float(np.mean([row["best"] for row in rows])),
            "descent stopped at equal train": float(path["test"][at]),
            "test on clean labels": float(np.mean([row["test"] for row in clean])) if clean else None,
        })  # fmt: skip
    axes.set_title("Test accuracy by wrong labels memorised")
    axes.set_xlabel("wrong labels memorised, %")
    unit_on_top(axes, "%")
    room_right(axes, 0.12)
    found = {row["rule"]: row for row in table}
    caption = (
        f"With half of the labels redrawn descent ends at {found['descent']['test']:.1f} %, M3 at "
        f"{found['M3']['test']:.1f} % and winsorising with c = 4 at {found['c = 4']['test']:.1f} %; descent stopped at "
        f"the training accuracy of c = 4 has {found['c = 4']['descent stopped at equal train']:.1f} %. Large dots: "
        "means over seeds, small: seeds; blue: winsorised by c, green: medians; dashed: descent on its way. The table "
        "also has clean labels."
    )
    return Drawing(fig, caption, table=pd.DataFrame(table))
