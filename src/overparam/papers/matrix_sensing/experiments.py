"""Experiments of arXiv 2310.01769: descent on symmetric, asymmetric and rebalanced factors."""

import math
from collections.abc import Sequence

import numpy as np

from overparam.lab import Drawing, Progress, Seeds, Trials, experiment, figure, grid
from overparam.methods.theory.factor_descent import Method, Rebalance, Trajectory, factor_gd
from overparam.methods.theory.matrix_sensing import MatrixSensing, gaussian_sensing, low_rank_target
from overparam.methods.theory.rates import compare_rates, fit_rate

LR = 0.1
BETA = 0.5  # half the root of the smallest singular value, which is 1 here
LINEAR = (1e-20, 1e-4)  # squared errors between the transient and the floor of rounding
SEEDS = Seeds(smoke=5, laptop=10, paper=20)
CURVE = 120


def _problem(n: int, rank: int, condition: float = 1.0) -> MatrixSensing:
    values = np.geomspace(1.0, 1.0 / condition, rank)
    return MatrixSensing((n, n)).observe(low_rank_target(n, n, singular_values=values.tolist(), psd=True, rng=1))


def _curve(path: Trajectory, s: int) -> dict[str, list[float]]:
    rows = np.unique(np.linspace(0, len(path.steps) - 1, CURVE).round().astype(int))
    return {"at": path.steps[rows].tolist(), "error": path.err2[s, rows].tolist()}


def _linear(path: Trajectory, s: int) -> dict[str, float | None]:
    """Rate of one seed: fitted where the error is in the linear regime, or on what is there."""
    error = path.err2[s]
    steps = (max(1.0, float(path.rebalance_step[s]) + 1), math.inf)
    if ((error > LINEAR[0]) & (error <= LINEAR[1])).sum() < 5:  # too slow to get there
        return {"rate": None, "log_rate": None, "exponential_better": None}
    rate = -fit_rate(path.steps, error, "exp", steps_within=steps, error_within=LINEAR).slope.estimate
    gain = compare_rates(path.steps, error, steps_within=steps, error_within=LINEAR)
    return {"rate": rate, "log_rate": math.log(rate) if rate > 0 else None, "exponential_better": gain}


@experiment(
    smoke=grid(n=[20], rank=[2], k=[2, 4], steps=[3_000]),
    laptop=grid(n=[50], rank=[3], k=[3, 4, 5, 10], steps=[20_000]),
    paper=grid(n=[50], rank=[3], k=[3, 4, 5, 10], steps=[100_000]),
    seeds=SEEDS,
    batched=True,
)
def symmetric(n: int, rank: int, k: int, steps: int, seeds: Sequence[int]) -> list[dict[str, object]]:
    """Descend on X X' and compare a power law with an exponential."""
    path = factor_gd(_problem(n, rank), k, lr=LR, init_scale=0.5, steps=steps, seeds=seeds)
    late = path.steps >= steps / 10
    rows: list[dict[str, object]] = []
    for s in range(len(seeds)):
        error = path.err2[s]
        row: dict[str, object] = {"log10_error": math.log10(error[-1]), **_curve(path, s)}
        if k > rank:
            window = {"steps_within": (steps / 10, steps)}
            limit = (k - rank) / (4 * LR**2)
            row["power_slope"] = fit_rate(path.steps, error, "power", **window).slope.estimate
            row["bound_ratio"] = float((path.steps[late] ** 2 * error[late]).min() / limit)
            row["exponential_better"] = compare_rates(path.steps, error, **window)
        else:
            row |= {"power_slope": None, "bound_ratio": None}
            row["exponential_better"] = compare_rates(path.steps, error, error_within=LINEAR)
        rows.append(row)
    return rows


@experiment(
    smoke=grid(n=[20], case=["exact", "wide"], alpha=[0.5, 0.3], step=["plain"], steps=[3_000])
    + grid(n=[20], case=["wide"], alpha=[0.5, 0.3, 0.1], step=["plain", "rebalanced"], steps=[3_000]),
    laptop=grid(n=[50], case=["exact", "wide"], alpha=[0.5, 0.3, 0.2, 0.1], step=["plain"], steps=[30_000])
    + grid(n=[50], case=["wide"], alpha=[0.5, 0.3, 0.1, 0.03], step=["rebalanced"], steps=[30_000])
    + grid(n=[50], case=["ill-conditioned", "much wider"], alpha=[0.5], step=["plain", "rebalanced"], steps=[30_000])
    + grid(n=[50], case=["wide"], alpha=[0.2], step=["scaled", "regularised"], steps=[30_000]),
    paper=grid(n=[50], case=["exact", "wide"], alpha=[0.5, 0.3, 0.2, 0.1, 0.05], step=["plain"], steps=[200_000])
    + grid(n=[50], case=["wide"], alpha=[0.5, 0.3, 0.1, 0.03, 0.01], step=["rebalanced"], steps=[30_000]),
    seeds=SEEDS,
    batched=True,
    sabotage="the rebalancing is left out",
)
def asymmetric(
    n: int, case: str, alpha: float, step: str, steps: int, seeds: Sequence[int], sabotage: bool = False
) -> list[dict[str, object]]:
    """Descend on F G', with or without the rebalancing, and fit the linear rate."""
    rank = {"much wider": 5}.get(case, 3 if n >= 50 else 2)
    k = {"exact": rank, "much wider": 20}.get(case, rank + 2)
    condition = 10.0 if case == "ill-conditioned" else 1.0
    method: Method = step if step in ("scaled", "regularised") else "gd"  # type: ignore[assignment]
    learned = 1e-2 / condition**2  # of the first loss: the weakest direction has been learned, too
    rebalance = Rebalance(BETA * condition**-0.5, ("loss", learned)) if step == "rebalanced" and not sabotage else None
    path = factor_gd(
        _problem(n, rank, condition),
        k,
        parametrization="asymmetric",
        lr=LR if condition == 1.0 else LR / 5,  # G grows to 1/beta when rebalanced, and lr |G|^2 must stay below 2
        init_scale=alpha,
        steps=steps,
        method=method,
        rebalance=rebalance,
        seeds=seeds,
    )
    common = {"log_alpha": math.log(alpha), "width": k}
    return [
        {
            **common,
            "log10_error": math.log10(path.err2[s, -1]),
            "rebalanced_at": int(path.rebalance_step[s]),
            **_linear(path, s),
            **_curve(path, s),
        }
        for s in range(len(seeds))
    ]


@experiment(
    smoke=grid(n=[20], rank=[2], k=[4], steps=[1_000]),
    laptop=grid(n=[50], rank=[3], k=[5], steps=[5_000]),
    paper=grid(n=[50], rank=[3], k=[5], steps=[5_000]),
    seeds=SEEDS,
    batched=True,
)
def balanced(n: int, rank: int, k: int, steps: int, seeds: Sequence[int]) -> list[dict[str, object]]:
    """Start F G' from F = G and compare with the symmetric descent from the same factors."""
    problem = _problem(n, rank)
    one = factor_gd(problem, k, parametrization="symmetric", lr=LR, init_scale=0.5, steps=steps, seeds=seeds)
    two = factor_gd(
        problem, k, parametrization="asymmetric", imbalance=0, lr=LR, init_scale=0.5, steps=steps, seeds=seeds
    )
    products = [path.factors[0] @ path.factors[1].transpose(0, 2, 1) for path in (one, two)]
    return [{"difference": float(np.abs(products[0][s] - products[1][s]).max())} for s in range(len(seeds))]


@experiment(
    smoke=grid(n=[16], m=[400], kind=["symmetric", "asymmetric", "rebalanced"], alpha=[0.5], steps=[2_000]),
    laptop=grid(n=[30], m=[1_500], kind=["symmetric"], alpha=[0.5], steps=[4_000])
    + grid(n=[30], m=[1_500], kind=["asymmetric"], alpha=[0.5, 0.2], steps=[4_000])
    + grid(n=[30], m=[1_500], kind=["rebalanced"], alpha=[0.5, 0.2, 0.05], steps=[4_000]),
    paper=grid(n=[50], m=[5_000], kind=["symmetric"], alpha=[0.5], steps=[20_000])
    + grid(n=[50], m=[5_000], kind=["asymmetric", "rebalanced"], alpha=[0.5, 0.2, 0.05], steps=[20_000]),
    seeds=Seeds(smoke=5, laptop=5, paper=10),
    batched=True,
)
def sensing(
    n: int, m: int, kind: str, alpha: float, steps: int, seeds: Sequence[int], progress: Progress
) -> list[dict[str, object]]:
    """The same from m Gaussian measurements, each seed with its own start."""
    rank = 2 if n < 20 else 3
    is_symmetric = kind == "symmetric"
    progress.step(0, 1, f"{kind}, scale {alpha:g}, {m:,} measurements")
    target = low_rank_target(n, n, singular_values=[1.0] * rank, psd=True, rng=1)
    path = factor_gd(
        gaussian_sensing(n, n, m, 0, symmetric=is_symmetric).observe(target),
        rank + 2,
        parametrization="symmetric" if is_symmetric else "asymmetric",
        lr=LR,
        init_scale=alpha,
        steps=steps,
        rebalance=Rebalance(BETA) if kind == "rebalanced" else None,
        seeds=seeds,
    )
    rows: list[dict[str, object]] = []
    for s in range(len(seeds)):
        window = {"steps_within": (steps / 8, steps)}
        slope = fit_rate(path.steps, path.err2[s], "power", **window).slope.estimate if is_symmetric else None
        rates = {"rate": None, "log_rate": None, "exponential_better": None} if is_symmetric else _linear(path, s)
        rows.append({"power_slope": slope, "log10_error": math.log10(path.err2[s, -1]), **rates, **_curve(path, s)})
    return rows


def _mean_curve(trials: Trials, **where: object) -> tuple[np.ndarray, np.ndarray]:
    rows = trials.where(where).rows
    size = min(len(r["at"]) for r in rows)
    steps = np.array(rows[0]["at"][:size])
    errors = np.array([r["error"][:size] for r in rows])
    return steps, np.exp(np.log(np.maximum(errors, 1e-31)).mean(0))


@figure(on=symmetric)
def symmetric_error(trials: Trials) -> Drawing:
    """Draw squared error against steps on log axes."""
    from matplotlib.figure import Figure

    from overparam.lab.plots import INK_2, PLOT_COLOURS, label_end

    figure = Figure()
    axes = figure.add_subplot(title="Squared error, symmetric factors", xscale="log", yscale="log", xlabel="steps")
    widths = sorted(set(trials.frame["k"]))
    for colour, k in zip(PLOT_COLOURS, widths, strict=False):
        steps, error = _mean_curve(trials, k=k)
        keep = steps > 0
        axes.plot(steps[keep], error[keep], color=colour)
        if k == widths[0]:
            axes.annotate(
                f"width {k}", (steps[-1], 1e-24), xytext=(8, 0), textcoords="offset points", fontweight="bold"
            )
    label_end(axes, steps[-1], error[-1], "width " + ", ".join(str(k) for k in widths[1:]))
    last = int(max(trials.frame["at"].map(max)))
    reference = np.array([last / 30, last])
    axes.plot(reference, 4_000 / reference**2.0, color=INK_2, linestyle=(0, (4, 3)))
    axes.text(reference[0], 40_000 / reference[0] ** 2, "1 / steps²", color=INK_2)
    axes.set_xlim(1, last * 8)
    return Drawing(
        figure,
        caption=f"Only the width {widths[0]}, which equals the rank, converges linearly; wider ones follow 1/steps². "
        f"Lines: geometric mean over {trials.frame['seed'].nunique()} seeds.",
    )


@figure(on=asymmetric)
def asymmetric_error(trials: Trials) -> Drawing:
    """Draw squared error against steps, log against linear."""
    from matplotlib.figure import Figure

    from overparam.lab.plots import PLOT_COLOURS, label_end

    wide = trials.where({"case": "wide", "step": ("plain", "rebalanced")})
    figure = Figure()
    axes = figure.add_subplot(title="Squared error, asymmetric factors", yscale="log", xlabel="steps")
    alphas = sorted({(r["alpha"], r["step"]) for r in wide.rows}, reverse=True)
    shown = [(a, s) for a, s in alphas if a in (0.5, 0.3, 0.1)]
    end = 3_000
    for alpha, step in shown:
        steps, error = _mean_curve(wide, alpha=alpha, step=step)
        keep = steps <= end
        colour = PLOT_COLOURS[0] if step == "rebalanced" else PLOT_COLOURS[1]
        axes.plot(steps[keep], error[keep], color=colour)
        if step == "plain":
            label_end(axes, steps[keep][-1], error[keep][-1], f"scale {alpha:g}")
    axes.text(40, 1e-28, "rebalanced,\nany scale", color=PLOT_COLOURS[0], fontweight="bold")
    axes.set_xlim(0, end * 1.25)
    return Drawing(
        figure,
        caption="The smaller the start, the slower the plain descent; after one rebalancing all scales fall alike. "
        "Red: plain; blue: rebalanced. Lines: geometric mean over seeds.",
    )


@figure(on=asymmetric)
def rate_by_scale(trials: Trials) -> Drawing:
    """Draw the linear rate against the scale of the start."""
    from matplotlib.figure import Figure

    from overparam.lab.plots import INK_2, PLOT_COLOURS, label_end

    frame = trials.frame[(trials.frame["case"] == "wide") & trials.frame["rate"].notna()]
    figure = Figure()
    axes = figure.add_subplot(title="Linear rate per step", xscale="log", yscale="log", xlabel="scale of the start")
    for step, colour, name in (("plain", PLOT_COLOURS[1], "plain"), ("rebalanced", PLOT_COLOURS[0], "rebalanced")):
        part = frame[frame["step"] == step]
        mean = part.groupby("alpha")["rate"].mean()
        axes.plot(part["alpha"], part["rate"], "o", color=colour, alpha=0.35, markersize=3)
        axes.plot(mean.index, mean.values, "o-", color=colour)
        label_end(axes, mean.index[-1], mean.iloc[-1], name, subject=step == "rebalanced")
    plain = frame[frame["step"] == "plain"].groupby("alpha")["rate"].mean()
    x = np.array([plain.index[0], plain.index[-1]])
    axes.plot(x, plain.iloc[-1] * 1.6 * (x / x[-1]) ** 2, color=INK_2, linestyle=(0, (4, 3)))
    axes.annotate(
        "scale²",
        (x[0], plain.iloc[-1] * 1.6 * (x[0] / x[-1]) ** 2),
        xytext=(-44, 2),
        textcoords="offset points",
        color=INK_2,
    )
    axes.set_xlim(axes.get_xlim()[0], x[-1] * 2.2)
    table = frame.groupby(["step", "alpha"], as_index=False)["rate"].mean()
    return Drawing(
        figure,
        caption="Without the step the rate falls as the square of the scale; with it, the rate stays where it is. "
        "Small dots: seeds; lines: their mean.",
        table=table,
    )
