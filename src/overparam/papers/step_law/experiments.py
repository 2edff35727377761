"""Experiments of arXiv 2503.04715 on its released measurements: fits, gaps, basins. Nothing is trained."""

import math

import numpy as np
import pandas as pd

from overparam.data.step_law import load_bootstrap, load_dense, load_moe
from overparam.lab import Drawing, Trials, experiment, figure, grid
from overparam.methods.scaling import basins as geometry
from overparam.methods.scaling.laws import (
    DEEPSEEK,
    OPENAI,
    PORIAN,
    STEP,
    HyperParameters,
    flops_per_token,
    microsoft,
)
from overparam.methods.scaling.step_law import StepLaw

DATA = ("step-law",)
PAIRS, SPARSE = list(range(17)), list(range(16))
RESAMPLES = 10_000
TITLES = {
    "step": "Step Law",
    "left out": "refitted",
    "deepseek": "DeepSeek",
    "porian": "Porian",
    "openai": "OpenAI",
    "microsoft": "Microsoft",
}


def _dense(shuffled: bool) -> pd.DataFrame:
    """The dense runs; the sabotage shuffles the losses inside each grid."""
    table = load_dense()
    if not shuffled:
        return table
    rng = np.random.default_rng(0)
    parts = [g.assign(**{"smooth loss": rng.permutation(g["smooth loss"])}) for _, _, g in geometry.groups_of(table)]
    return pd.concat(parts)


@experiment(smoke=grid(), laptop=grid(), paper=grid(), reads=DATA)
def refit() -> dict[str, float]:
    """Fit the exponents and resample whole sweeps, and single runs for comparison."""
    table = load_dense()
    found: dict[str, float] = {}
    fits = {
        "": StepLaw(batch_uses_n=True, bootstrap="groups", n_bootstrap=RESAMPLES),
        "alone_": StepLaw(bootstrap="groups", n_bootstrap=RESAMPLES),
        "rows_": StepLaw(batch_uses_n=True, bootstrap="rows", n_bootstrap=RESAMPLES),
    }
    for which, law in fits.items():
        law.fit(table)
        low, high = np.quantile(law.boot_, [0.025, 0.975], axis=0)
        for name, *values in zip(law.names_, law.coef_.values(), low, high, strict=True):
            if name.endswith("_0"):
                continue
            key = name.replace("batch_", f"batch_{which}").replace("lr_", f"lr_{which}")
            found |= dict(zip((key, f"{key}_low", f"{key}_high"), map(float, values), strict=True))
    return {**found, "runs_kept": law.n_selected_}


def _predict(law: str, grid: pd.DataFrame, table: pd.DataFrame) -> HyperParameters | None:
    n, d = float(grid["N"].iloc[0]), float(grid["D"].iloc[0])
    best = float(grid["smooth loss"].min())
    if law == "left out":
        rest = table[(table["N"] != n) | (table["D"] != d)]
        fitted = StepLaw(n_bootstrap=0).fit(rest)
        fitted.fitted_ = (0.0, math.inf), (0.0, math.inf)  # it extrapolates on purpose
        return fitted.predict(n, d)
    if law == "microsoft":
        first = geometry.groups_of(table)[0]
        if (n, d) == first[:2]:
            return None  # its constant is calibrated here
        tuned = first[2].loc[first[2]["smooth loss"].idxmin()]
        rate = microsoft(float(tuned["lr"] / (first[0] ** -0.23 * first[1] ** -0.32))).predict(n, d)
        batch = float(grid.loc[grid["smooth loss"].idxmin(), "bs"]) * 2048
        return HyperParameters(rate.lr, batch)
    flops = d * float(flops_per_token(*(float(grid[c].iloc[0]) for c in ("h", "ffnh", "numl"))))
    every = {"step": STEP, "deepseek": DEEPSEEK, "porian": PORIAN, "openai": OPENAI}
    return every[law].predict(n, d, C=flops, loss=best)


@experiment(
    smoke=grid(pair=PAIRS, law=list(TITLES)),
    laptop=grid(pair=PAIRS, law=list(TITLES)),
    paper=grid(pair=PAIRS, law=list(TITLES)),
    reads=DATA,
    sabotage="the losses are shuffled inside each grid",
)
def laws(pair: int, law: str, sabotage: bool = False) -> dict[str, float | None]:
    """Measure, in per cent, how far the loss at a law's prediction lies above the best of one (N, D)."""
    table = _dense(sabotage)
    n, d, runs = geometry.groups_of(table)[pair]
    found = _predict(law, runs, table)
    row: dict[str, float | None] = {
        "parameters": n,
        "tokens": d,
        "lr": None,
        "batch": None,
        "nearest": None,
        "interpolated": None,
    }
    if found is None:
        return row
    gaps = {how: geometry.loss_gap(runs, found.lr, found.batch_tokens, how=how) for how in ("nearest", "interpolate")}
    inside = math.isfinite(gaps["interpolate"])
    row |= {"lr": float(found.lr), "batch": float(found.batch_tokens), "nearest": 100 * gaps["nearest"]}
    return row | {"interpolated": 100 * gaps["interpolate"] if inside else None}


@experiment(
    smoke=grid(pair=PAIRS),
    laptop=grid(pair=PAIRS),
    paper=grid(pair=PAIRS),
    reads=DATA,
    sabotage="the losses are shuffled inside each grid",
)
def basins(pair: int, sabotage: bool = False) -> dict[str, float]:
    """Describe the basin of one (N, D): curvature, convexity along grid lines, plateau."""
    n, d, runs = geometry.groups_of(_dense(sabotage))[pair]
    fitted = geometry.basin(runs, within=0.01)
    flat = geometry.plateau(runs, within=0.0025)
    shares = geometry.convexity_report(runs)
    steps = 2 * math.log2(flat.lr_factor), 2 * math.log2(flat.batch_factor)
    return {
        "parameters": n,
        "tokens": d,
        "smallest_curvature": 100 * float(fitted.eigenvalues[0]),
        "not_convex": float(not fitted.is_convex),
        "convex_triples_exactly": 100 * shares[0.0],
        "convex_triples": 100 * shares[0.001],
        "plateau_share": 100 * flat.share,
        "plateau_lr_factor": flat.lr_factor,
        "plateau_batch_factor": flat.batch_factor,
        "broad": float(min(steps) >= 1.99),
    }


@experiment(
    smoke=grid(configuration=SPARSE, counted=["total", "active"]),
    laptop=grid(configuration=SPARSE, counted=["total", "active"]),
    paper=grid(configuration=SPARSE, counted=["total", "active"]),
    reads=DATA,
)
def sparse(configuration: int, counted: str) -> dict[str, float | None]:
    """Measure the law's gap on one sparse configuration, N counting all parameters or the active ones."""
    every = [g for _, g in load_moe().groupby(["Na", "D"], sort=True)]
    runs = every[configuration]
    n = float(runs["N" if counted == "total" else "Na"].iloc[0])
    found = STEP.predict(n, float(runs["D"].iloc[0]))
    gap = geometry.loss_gap(runs, found.lr, found.batch_tokens, how="interpolate")
    return {
        "tokens_per_parameter": float(runs["D/N"].iloc[0]),
        "nearest": 100 * geometry.loss_gap(runs, found.lr, found.batch_tokens),
        "interpolated": 100 * gap if math.isfinite(gap) else None,
    }


@experiment(smoke=grid(), laptop=grid(), paper=grid(), reads=DATA)
def calculator() -> dict[str, float]:
    """Compare the four printed constants and exponents with the mean of the published fits."""
    mean = StepLaw.from_bootstrap(load_bootstrap())
    printed = StepLaw.published()
    differences = [abs(mean.coef_[k] - printed.coef_[k]) for k in ("lr_n", "lr_d", "batch_d")]
    differences += [abs(math.exp(mean.intercept_[k]) - math.exp(printed.intercept_[k])) for k in ("lr", "batch")]
    return {"rounding": max(differences)}


@figure(on=laws)
def gaps(trials: Trials) -> Drawing:
    """Draw the mean gap of each law with its interval."""
    from matplotlib.figure import Figure

    from overparam.lab.plots import INK, PLOT_COLOURS
    from overparam.stats import bca_interval

    found = {law: bca_interval(trials.values("nearest", {"law": law})) for law in TITLES}
    order = sorted(found, key=lambda law: -found[law].estimate)
    figure = Figure()
    axes = figure.add_subplot(title="Excess loss at the predicted setting, %", xscale="log")
    axes.grid(visible=False, axis="y")
    for y, law in enumerate(order):
        i = found[law]
        colour = PLOT_COLOURS[0] if law in ("step", "left out") else PLOT_COLOURS[5]
        axes.plot([i.low, i.high], [y, y], color=colour)
        axes.plot(i.estimate, y, "o", color=colour)
        axes.annotate(
            f"{i.estimate:.3g}", (i.high, y), xytext=(6, 0), textcoords="offset points", va="center", color=INK
        )
    axes.set_yticks(range(len(order)), [TITLES[law] for law in order])
    axes.set_xticks([0.1, 0.3, 1, 3], ["0.1", "0.3", "1", "3"])
    axes.set_xlim(0.05, 14)
    table = pd.DataFrame(
        [(TITLES[law], i.estimate, i.low, i.high, i.n) for law in reversed(order) for i in [found[law]]],
        columns=["law", "mean gap, %", "low", "high", "pairs"],
    )
    return Drawing(
        figure,
        caption=f"Step Law stays {found['step'].estimate:.2f} % above the best run on average, the others several "
        "times as far. By the nearest run of 17 grids; lines: 95 % BCa intervals over grids; “refitted”: on the "
        "other 16.",
        table=table,
    )


@figure(on=refit)
def exponents(trials: Trials) -> Drawing:
    """Draw the refitted exponents against the published ones."""
    from matplotlib.figure import Figure

    from overparam.lab.plots import INK_2, PLOT_COLOURS

    row = trials.rows[0]
    names = (
        ("lr_n", "N in the rate", -0.713),
        ("lr_d", "D in the rate", 0.307),
        ("batch_d", "D in the batch", 0.571),
        ("batch_n", "N in the batch", 0.0),
    )
    figure = Figure()
    axes = figure.add_subplot(title="Exponents refitted on the released runs")
    axes.grid(visible=False, axis="y")
    axes.axvline(0, color="#dcdfe5", linewidth=0.8)
    for y, (key, _, published) in enumerate(reversed(names)):
        axes.plot([row[f"{key}_low"], row[f"{key}_high"]], [y, y], color=PLOT_COLOURS[0])
        axes.plot(row[key], y, "o", color=PLOT_COLOURS[0])
        axes.plot(published, y, "|", color=INK_2, markersize=14, markeredgewidth=2)
    axes.set_yticks(range(4), [name for _, name, _ in reversed(names)])
    axes.set_ylim(-0.6, 3.6)
    return Drawing(
        figure,
        caption=f"The batch does depend on N: exponent {row['batch_n']:.2f} where the law has 0. Dots and lines: "
        "estimate and 95 % interval over resampled sweeps; bars: the published exponent.".replace("-", "−"),
    )


@figure(on=laws)
def heat_map(trials: Trials) -> Drawing:
    """Draw the loss of the largest grid over learning rate and batch, with the laws' predictions."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    from overparam.lab.plots import INK, PLOT_COLOURS

    grids = geometry.groups_of(load_dense())
    pair = max(range(len(grids)), key=lambda i: len(grids[i][2]))
    n, d, runs = grids[pair]
    lr, batch, loss = runs["lr"].to_numpy(), runs["bs"].to_numpy() * 2048, runs["smooth loss"].to_numpy()
    excess = 100 * (loss / loss.min() - 1)
    figure = Figure()
    axes = figure.add_subplot(title="Excess loss, %", xscale="log", yscale="log", xlabel="learning rate")
    axes.grid(visible=False)
    levels = [0, 0.125, 0.25, 0.5, 1, 2, 4]
    shades = LinearSegmentedColormap.from_list("ink", ["#1583d8", "#ffffff"])
    axes.tricontourf(lr, batch, excess, levels=levels, cmap=shades)
    lines = axes.tricontour(lr, batch, excess, levels=levels[1:], colors=INK, linewidths=0.6)
    axes.clabel(lines, fmt="%g", fontsize=10)
    rows = {r["law"]: r for r in trials.where({"pair": pair}).rows}
    for law, colour in (("step", PLOT_COLOURS[1]), ("deepseek", PLOT_COLOURS[5]), ("porian", PLOT_COLOURS[5])):
        row = rows[law]
        axes.plot(row["lr"], row["batch"], "*", color=colour, markersize=12)
        axes.annotate(TITLES[law], (row["lr"], row["batch"]), xytext=(8, 4), textcoords="offset points", color=INK)
    axes.set_xlim(lr.min(), lr.max())
    axes.set_ylim(batch.min(), batch.max())
    return Drawing(
        figure,
        caption=f"One basin with a flat bottom, {n / 1e6:,.0f} million parameters and {d / 1e9:,.0f} billion tokens; "
        "batch in tokens upwards. Contours: excess over the best of the grid; stars: predictions.",
    )
