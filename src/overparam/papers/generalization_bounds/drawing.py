"""Figures of the paper's page."""

from __future__ import annotations

from typing import Any

import numpy as np

from overparam.lab import Drawing, Trials
from overparam.lab.plots import INK_2, PLOT_COLOURS, label_end, lines_with_band
from overparam.papers.generalization_bounds.judging import rank_and_error, worst_axis

SHOWN = {
    "spec_prod_over_margin": "spectral product / margin",
    "spec_orig_main": "spectral, Bartlett type",
    "path_norm_over_margin": "path norm / margin",
    "pacbayes_orig": "PAC-Bayes",
    "l2_distance": "distance from start",
    "inverse_margin": "inverse margin",
}
KINDS = ("real", "poisoned", "random")


def two_worlds(trials: Trials) -> Drawing:
    """Draw measures of three networks that fit the sample against their errors, and the two worlds."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, axes = plt.subplots()
    rows = trials.rows
    errors = {kind: float(np.mean([r[f"error_{kind}"] for r in rows])) for kind in KINDS}
    order = sorted(KINDS, key=lambda kind: errors[kind])
    table: list[dict[str, Any]] = [
        {
            "measure": name,
            **{kind: float(np.exp(np.mean([np.log(max(r[f"{kind}:{name}"], 1e-12)) for r in rows]))) for kind in KINDS},
        }
        for name in SHOWN
        if all(r.get(f"{kind}:{name}") is not None for r in rows for kind in KINDS)
    ]
    x = [errors[kind] for kind in order]
    places: list[tuple[float, str]] = []
    for line, colour in zip(table, PLOT_COLOURS, strict=False):
        y = [float(line[kind]) for kind in order]
        axes.plot(x, y, "o-", color=colour)
        places.append((y[-1], SHOWN[str(line["measure"])]))
    axes.set_yscale("log")
    axes.axhline(1.0, color=INK_2, linewidth=1.2, dashes=(4, 3))
    _apart(axes, x[-1], places)
    axes.set_title("Measure by error of the network")
    axes.set_xlabel("error outside the sample; real, poisoned, random labels")
    axes.set_xlim(0, x[-1] + 0.75)
    axes.set_xticks([0, 0.25, 0.5, 0.75], ["0", "0.25", "0.5", "0.75"])
    falls = sum(float(line["poisoned"]) > float(line["random"]) for line in table)
    loss = float(np.mean([r["loss_b"] for r in rows]))
    least = float(np.mean([r["least_affine_error"] for r in rows]))
    caption = (
        f"All networks fit their sample. With wrong labels outside it one errs on {errors['poisoned']:.2f}, with "
        f"random labels on {errors['random']:.2f}, yet {falls} of {len(table)} measures are larger for the former. In "
        f"two worlds with errors 0 and {loss:.2f} that share sample and network the best affine map of the best "
        f"measure is off by {least:.2f}. Dots: geometric means over {len(rows)} seeds; dashed: 1, above which a bound "
        "is vacuous."
    )
    return Drawing(fig, caption, table=pd.DataFrame(table))


def _apart(axes: object, x: float, places: list[tuple[float, str]]) -> None:
    """Write names at the ends of lines on a logarithmic axis, moved apart where they would overlap."""
    low, high = np.log10(axes.get_ylim())  # type: ignore[attr-defined]
    least = 0.075 * (high - low)
    ordered = sorted(places)
    levels = [np.log10(max(y, 1e-12)) for y, _ in ordered]
    for _ in range(200):
        for i in range(len(levels) - 1):
            overlap = least - (levels[i + 1] - levels[i])
            if overlap > 0:
                levels[i], levels[i + 1] = levels[i] - overlap / 2, levels[i + 1] + overlap / 2
    for level, (_, name) in zip(levels, ordered, strict=True):
        label_end(axes, x, 10**level, name)  # type: ignore[arg-type]


def trade_off(trials: Trials) -> Drawing:
    """Draw failures of the best estimator by the number of coordinates that the learner prefers."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots()
    n = int(trials.rows[0]["n"])
    fields = sorted({int(r["q"]) for r in trials.rows})
    for q, colour in zip(fields, PLOT_COLOURS, strict=False):
        own = trials.where({"q": q})
        ks = sorted({int(r["k"]) for r in own.rows})
        seeds = np.array([
            [v for _, v in sorted(zip(*own.by_unit("failure", {"k": k}, "seed"), strict=True))] for k in ks
        ])
        lines_with_band(axes, ks, seeds.T, colour=colour)
        label_end(axes, ks[-1], float(seeds[-1].mean()), f"q = {q}", subject=q == fields[-1])
    axes.axhline(0.5, color=INK_2, linewidth=1.2, dashes=(4, 3))
    axes.set_title("Failures of the best estimator")
    axes.set_xlabel(f"coordinates that the learner prefers, {n} examples")
    axes.set_xticks(ks)
    axes.set_xlim(ks[0] - 0.2, ks[-1] + 0.9)
    axes.set_ylim(-0.02, 0.56)
    frame = trials.frame
    table = frame.groupby(["q", "k"], as_index=False)[["loss_inside", "loss_uniform", "confusable", "failure"]].mean()
    top = table[(table.q == fields[-1]) & (table.k == n)].iloc[0]
    low = table[(table.q == fields[-1]) & (table.k == ks[0])].iloc[0]
    caption = (
        f"Over F{fields[-1]} the learner that prefers {n} coordinates errs on {top.loss_inside:.3f} inside that class "
        f"and on {top.loss_uniform:.2f} on uniform targets, and the best estimator fails on {top.failure:.2f} of a "
        f"half-half mixture; with {ks[0]} coordinates it fails on {low.failure:.3f}. Lines: means with 95 % bands over "
        "seeds, thin: seeds; dashed: a coin."
    )
    return Drawing(fig, caption, table=table)


def ranks(trials: Trials) -> Drawing:
    """Draw the rank correlation of each measure on its best and its worst axis, with the control."""
    import matplotlib.pyplot as plt
    import pandas as pd

    fig, axes = plt.subplots()
    scores = {name: s for name, s in rank_and_error(trials).items() if s["psi"]}
    rows = []
    for name, s in scores.items():
        means = {axis: float(v.mean()) for axis, v in s["psi"].items()}
        rows.append({
            "measure": name,
            "worst axis": worst_axis(s["psi"])[0],
            "worst": min(means.values()),
            "mean": float(np.mean(list(means.values()))),
            "best": max(means.values()),
            "largest distance": float(s["sup"].mean()),
            "vacuous share": s["vacuous"],
        })
    table = pd.DataFrame(rows).sort_values("mean", ignore_index=True) if rows else pd.DataFrame({"measure": []})
    shown = _ends(table)
    for y, row in shown.iterrows():
        colour = PLOT_COLOURS[1] if row["measure"] == "control" else PLOT_COLOURS[0]
        axes.plot([row["worst"], row["best"]], [y, y], "-", color=colour, linewidth=1.2)
        axes.plot(row["mean"], y, "o", color=colour)
    names = [{"control": "gap of another seed"}.get(m, m.replace("_", " ")) for m in shown["measure"]]
    axes.set_yticks(range(len(names)), names, fontsize=10)
    axes.grid(axis="y", visible=False)
    axes.axvline(0, color=INK_2, linewidth=1.0, dashes=(4, 3))
    axes.set_xlim(-1.05, 1.05)
    axes.set_title("Measures by rank correlation")
    axes.set_xlabel("correlation with the gap")
    if not len(table):
        return Drawing(fig, "Too few pairs of networks have gaps that differ clearly at this scale.", table=table)
    others = table[table["measure"] != "control"]
    best, control = others.sort_values("worst").iloc[-1], table[table["measure"] == "control"].iloc[0]
    caption = (
        f"On its worst axis the best measure ({best['measure'].replace('_', ' ')}) has a correlation of "
        f"{best['worst']:.2f}, the gap of another seed {control['worst']:.2f}; {(others['vacuous share'] > 0.5).sum()} "
        f"of {len(others)} measures exceed 1 for most networks. Bars: from the worst to the best axis, dot: mean over "
        f"axes, over {len(trials)} seeds; only pairs whose gaps differ clearly count. Shown: the five highest and the "
        "five lowest means; the table has all."
    )
    return Drawing(fig, caption, table=table)


def _ends(table: Any, each: int = 5) -> Any:
    """Keep the control, and the measures with the lowest and the highest means."""
    others = table[table["measure"] != "control"]
    if len(others) <= 2 * each:
        return table
    kept = {*others["measure"].head(each), *others["measure"].tail(each), "control"}
    return table[table["measure"].isin(kept)].reset_index(drop=True)
