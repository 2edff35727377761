"""Figures of the paper's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from overparam.lab import Drawing, Trials
from overparam.lab.plots import INK_2, PLOT_COLOURS, label_ends, lines_with_band, room_right, unit_on_top

WORDS = {
    "el2n": "EL2N",
    "grand": "GraNd",
    "forget": "forgetting",
    "random": "random",
    "input-norm": "input norm",
    "grand-init": "GraNd at start",
}
HUE = dict(zip(("el2n", "grand-init", "grand", "forget", "input-norm", "random"), PLOT_COLOURS, strict=True))
SUBSETS = {
    "highest": ("highest scores", "el2n"),
    "random": ("random", "random"),
    "lowest": ("lowest scores", "grand-init"),
}


def _matrix(trials: Trials, metric: str, column: str, values: Sequence[Any], **where: Any) -> np.ndarray:
    """One row a seed, one column a value of a parameter."""
    rows = []
    for value in values:
        seeds, means = trials.by_unit(metric, {**where, column: value}, "seed")
        rows.append([m for _, m in sorted(zip(seeds, means, strict=True))])
    return np.array(rows).T


def shares(trials: Trials) -> Drawing:
    """Accuracy by the part that is kept, a line a score."""
    import matplotlib.pyplot as plt

    once = trials.where({"times": 1})
    frame = once.frame
    fig, axes = plt.subplots()
    ends: dict[str, float] = {}
    last = -100.0
    for score in [
        s for s in ("random", "input-norm", "grand-init", "forget", "grand", "el2n") if s in set(frame.score)
    ]:
        keeps = sorted(set(frame[frame.score == score].keep), reverse=True)
        data = _matrix(once, "accuracy", "keep", keeps, score=score)
        x = [-100 * k for k in keeps]
        lines_with_band(axes, x, data, colour=HUE[score])
        ends[WORDS[score]], last = float(data[:, -1].mean()), max(last, x[-1])
    full = frame[frame.score == "all"].accuracy
    if len(full):
        axes.plot([-70, last], [full.mean()] * 2, color=INK_2, linewidth=1.2, dashes=(4, 3))
        ends["all data"] = float(full.mean())
    axes.set_title("Test accuracy by share kept")
    axes.set_xlabel("share of the training data kept")
    ticks = sorted({-100 * k for k in frame[frame.keep < 1].keep})
    axes.set_xticks(ticks, [f"{-t:.0f} %" for t in ticks])
    unit_on_top(axes, "%")
    label_ends(axes, last, ends, subject="EL2N")
    room_right(axes)
    table = frame.groupby(["score", "keep"], as_index=False)[["accuracy", "smallest_class"]].mean()
    means = {
        s: frame[(frame.score == s) & (frame.keep == 0.5)].accuracy.mean() for s in ("el2n", "random", "grand-init")
    }
    caption = (
        f"With half of the data kept, EL2N reaches {means['el2n']:.1f} %, a random half {means['random']:.1f} %, and "
        f"GraNd before training {means['grand-init']:.1f} %. Lines: means with 95 % bands over seeds, thin: seeds. All "
        "arms take the same number of steps; dashed: all data. The table also has the share of the rarest class."
    )
    return Drawing(fig, caption, table=table)


def budgets(trials: Trials) -> Drawing:
    """Full data and the EL2N half at one and three times the steps."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots()
    frame = trials.frame
    arms = {"all": ("all data", 1.0, PLOT_COLOURS[5]), "el2n": ("EL2N half", 0.5, HUE["el2n"])}
    ends: dict[str, float] = {}
    means: dict[tuple[str, int], float] = {}
    for score, (name, keep, colour) in arms.items():
        own = trials.where({"score": score, "keep": keep})
        times = sorted(set(own.frame.times)) if len(own) else []
        if not times:
            continue
        data = _matrix(own, "accuracy", "times", times)
        lines_with_band(axes, times, data, colour=colour)
        ends[name] = float(data[:, -1].mean())
        means |= {(score, t): float(v) for t, v in zip(times, data.mean(0), strict=True)}
    axes.set_title("Test accuracy by training length")
    axes.set_xlabel("steps, in multiples of the usual budget")
    every = sorted(set(frame.times))
    axes.set_xticks(every, [f"{t} ×" for t in every])
    unit_on_top(axes, "%")
    label_ends(axes, max(every), ends, subject="EL2N half")
    room_right(axes)
    gains = ", ".join(
        f"{means['el2n', t] - means['all', t]:+.2f} points at {t} ×"
        for t in every
        if {("el2n", t), ("all", t)} <= set(means)
    ).replace("-", "−")
    caption = (
        f"The half with the highest EL2N against all data: {gains or 'only one arm at this scale'}. A "
        "gain that shrinks with more steps was faster fitting. Lines: means with 95 % bands over seeds."
    )
    return Drawing(fig, caption, table=frame.groupby(["score", "keep", "times"], as_index=False).accuracy.mean())


def windows(trials: Trials) -> Drawing:
    """Accuracy by window of the ranking, under wrong labels."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots()
    frame = trials.frame
    kept = trials.where({"score": "el2n", "keep": 0.4})
    offsets = sorted(set(kept.frame.offset))
    data = _matrix(kept, "accuracy", "offset", offsets)
    x = [100 * o for o in offsets]
    lines_with_band(axes, x, data, colour=HUE["el2n"])
    references = {"all data": ("el2n", 1.0), "top tenth dropped": ("el2n", 0.9), "random 40 %": ("random", 0.4)}
    ends = {"40 % by EL2N": float(data[:, -1].mean())}
    for name, (score, keep) in references.items():
        own = frame[(frame.score == score) & (frame.keep == keep)].accuracy
        if len(own):
            axes.plot([x[0], x[-1]], [own.mean()] * 2, color=INK_2, linewidth=1.2, dashes=(4, 3))
            ends[name] = float(own.mean())
    axes.set_title("Test accuracy by window of the ranking")
    axes.set_xlabel("share of lower scores left out; 60 % keeps the highest")
    axes.set_xticks(x, [f"{v:.0f}" for v in x[:-1]] + [f"{x[-1]:.0f} %"])
    unit_on_top(axes, "%")
    label_ends(axes, x[-1], ends, subject="40 % by EL2N")
    room_right(axes, 0.5)
    table = frame.groupby(["score", "keep", "offset"], as_index=False)[["accuracy", "wrong_share"]].mean()
    best, top = table[(table.keep == 0.4) & (table.offset == 0.5)], table[(table.keep == 0.4) & (table.offset == 0.6)]
    caption = (
        f"Stopping a tenth below the top of the ranking gives {best.accuracy.mean():.1f} % with "
        f"{best.wrong_share.mean():.1f} % wrong labels inside, keeping the top {top.accuracy.mean():.1f} % with "
        f"{top.wrong_share.mean():.1f} %. Line: 40 % of the data from a window of the ranking, mean with 95 % band "
        "over seeds. Dashed: references."
    )
    return Drawing(fig, caption, table=table)


def agreement(trials: Trials) -> Drawing:
    """Correlations between scores by the time of scoring."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, axes = plt.subplots()
    steps = trials.rows[0]["step"]
    names = {
        "el2n_halves": ("EL2N: two halves", HUE["el2n"]),
        "el2n_grand": ("EL2N, GraNd", HUE["grand"]),
        "el2n_forget": ("EL2N, forgetting", HUE["forget"]),
        "grand_norm": ("GraNd, input norm", HUE["input-norm"]),
    }
    ends, table = {}, {"step": steps}
    x = list(range(len(steps)))
    for metric, (name, colour) in names.items():
        data = np.array([row[metric] for row in trials.rows], dtype=float)
        lines_with_band(axes, x, data, colour=colour)
        ends[name], table[metric] = float(data[:, -1].mean()), data.mean(0).tolist()
    axes.axhline(0, color=INK_2, linewidth=1.2, dashes=(4, 3))
    axes.set_title("Rank correlation by time of scoring")
    axes.set_xlabel("steps of training before the scores are taken")
    axes.set_xticks(x, [str(s) for s in steps])
    axes.set_ylim(min(-0.5, axes.get_ylim()[0]), 1.08)
    label_ends(axes, x[-1], ends, subject="EL2N: two halves")
    room_right(axes, 0.6)
    caption = (
        f"Before training GraNd correlates with the norm of the input at {table['grand_norm'][0]:.2f} and two halves "
        f"of the networks agree on EL2N at {table['el2n_halves'][0]:.2f}; after {steps[-1]} steps EL2N and GraNd agree "
        f"at {table['el2n_grand'][-1]:.2f} and the halves at {table['el2n_halves'][-1]:.2f}. Means of "
        "Spearman's correlation with 95 % bands over seeds."
    )
    return Drawing(fig, caption, table=pd.DataFrame(table))


def velocity(trials: Trials) -> Drawing:
    """Kernel velocity on examples of high, random and low score."""
    spawn = trials.rows[0]["spawn"]
    curves = {name: np.array([row[f"velocity_{name}"] for row in trials.rows]) for name in SUBSETS}
    means = {name: float(c.mean()) for name, c in curves.items()}
    caption = (
        f"Over the whole run the tangent kernel turns by {means['highest']:.4f} a stretch on the highest scores, "
        f"{means['random']:.4f} on random and {means['lowest']:.4f} on the lowest. One minus the cosine between the "
        "kernels at the ends of each stretch; means with 95 % bands over seeds, logarithmic scale."
    )
    return _curves(
        "Turn of the tangent kernel", spawn[1:], curves, "epoch at the end of the stretch", caption, log=True
    )


def barriers(trials: Trials) -> Drawing:
    """Error barrier between the children of a run, by the time of their birth."""
    curves = {name: 100 * np.array([row[f"barrier_{name}"] for row in trials.rows]) for name in SUBSETS}
    first = {name: float(c[:, 0].mean()) for name, c in curves.items()}
    caption = (
        "Two runs from the same initial weights with different batches have an error barrier of "
        f"{first['highest']:.1f} points on the highest scores and {first['lowest']:.1f} on the lowest. Barrier on the "
        "line between two runs that part at that epoch, for the sixth of the training data with highest, random and "
        "lowest scores; means with 95 % bands over seeds."
    )
    return _curves(
        "Error barrier by epoch of parting", trials.rows[0]["spawn"], curves, "epoch", caption, unit="points"
    )


def _curves(
    title: str,
    x: Sequence[float],
    curves: Mapping[str, np.ndarray],
    label: str,
    caption: str,
    *,
    log: bool = False,
    unit: str = "",
) -> Drawing:
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, axes = plt.subplots()
    ends = {}
    for name, data in curves.items():
        words, hue = SUBSETS[name]
        lines_with_band(axes, x, np.log10(np.maximum(data, 1e-12)) if log else data, colour=HUE[hue])
        ends[words] = float((np.log10(np.maximum(data, 1e-12)) if log else data)[:, -1].mean())
    axes.set_title(title)
    axes.set_xlabel(label)
    whole = [t for t in x if t == int(t)]
    axes.set_xticks(whole[:: max(1, len(whole) // 6)])
    if log:
        ticks = list(range(int(np.floor(axes.get_ylim()[0])), int(np.ceil(axes.get_ylim()[1])) + 1))
        axes.set_yticks(ticks, [f"$10^{{{t}}}$" for t in ticks])
    else:
        unit_on_top(axes, unit)
    label_ends(axes, x[-1], ends, subject="highest scores")
    room_right(axes)
    table = pd.DataFrame({"epoch": list(x), **{SUBSETS[n][0]: c.mean(0) for n, c in curves.items()}})
    return Drawing(fig, caption, table=table)
