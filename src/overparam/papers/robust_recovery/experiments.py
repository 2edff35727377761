"""Experiments of arXiv 2202.08788: small starts, wide factors, gross errors, dense noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np

from overparam.lab import Drawing, Seeds, Trials, experiment, figure, grid
from overparam.methods.theory.rates import compare_rates, fit_rate
from overparam.methods.theory.robust_recovery import Trajectory, auto_rho, subgm
from overparam.methods.theory.sign_rip import sign_rip
from overparam.methods.theory.symmetric_sensing import Noise, SymmetricSensing, robust_instance
from overparam.papers.robust_recovery import drawing
from overparam.papers.robust_recovery.scales import DEEP, LARGE, MODERATE, SMALL, noises, starts, widths
from overparam.stats import slope

ALPHAS = (1e-2, 1e-4, 1e-6, 1e-8)
CURVE = 150  # recorded steps of a drawn curve
ENOUGH = 0.01  # relative error of a recovery that counts
FINER, TRIED = 1.15, 13  # numbers of measurements: d r / (1 - p)^2 times 1 to 5.4
START = 1_000  # random starts have streams of their own
Row = dict[str, Any]
Kind = Literal["none", "outlier", "gaussian", "student"]
SEEDS = Seeds(smoke=3, laptop=10, paper=20)
FEWER = Seeds(smoke=3, laptop=8, paper=20)


def _width(name: str, d: int, r: int) -> int:
    return {"exact": r, "double": 2 * r, "full": d}[name]


def _descend(
    problem: SymmetricSensing, width: int, alphas: float | Sequence[float], steps: int, seed: int, **more: Any
) -> Trajectory:
    """From a random start, with steps that shrink by exp(-12) unless told otherwise."""
    given = {"init": "random", "rho": 1 - 12 / steps, "records": 2, **more}
    return subgm(problem, width, init_scale=alphas, steps=steps, seeds=START + seed, **given)


def _relative(problem: SymmetricSensing, path: Trajectory) -> np.ndarray:
    assert problem.target is not None
    return np.asarray(path.err / np.linalg.norm(problem.target))


@experiment(
    smoke=grid(**SMALL, m=[200], width=["exact", "full"], start=["spectral"], steps=[3_200])
    + grid(**SMALL, m=[200], width=["double", "full"], start=["random"], steps=[3_200]),
    laptop=widths(MODERATE, 600, 4_000),
    paper=widths(LARGE, 5_000, 8_000),
    seeds=SEEDS,
    sabotage="residuals in the place of their signs: the squared loss",
)
def scale(d: int, r: int, m: int, width: str, start: str, steps: int, seed: int, sabotage: bool = False) -> Row:
    """Recover from measurements of which a tenth are off by N(0, 100), from starts of several scales."""
    problem = robust_instance(d, r, m, noise=Noise("outlier", p=0.1, scale=10.0), rng=seed)
    loss = "squared" if sabotage else "absolute"
    path = _descend(problem, _width(width, d, r), ALPHAS, steps, seed, init=start, loss=loss, records=CURVE)
    error = _relative(problem, path)
    return {
        "error_smallest": float(error[-1, -1]),
        "error_typical": float(np.exp(np.log(error[:, -1]).mean())),
        "exponent": slope(np.log(ALPHAS), np.log(error[:, -1])).estimate,
        "errors": error[:, -1].tolist(),
        "at": path.steps.tolist(),
        **{f"curve_{k}": curve.tolist() for k, curve in enumerate(error)},
        "signal": path.signal_norm[2].tolist(),
        "residual": path.residual_norm[2].tolist(),
    }


@experiment(
    smoke=starts(SMALL, 200, [1e-2, 1e-4, 1e-8], 500, 1_000),
    laptop=starts(MODERATE, 600, DEEP, 1_500, 4_000),
    paper=starts(LARGE, 5_000, DEEP, 3_000, 10_000),
    seeds=SEEDS,
)
def speed(d: int, r: int, m: int, step: str, alpha: float, start: str, steps: int, seed: int) -> Row:
    """Count the steps to an error, with exact measurements (Polyak's steps) or gross errors (geometric steps)."""
    exact = step == "polyak"
    problem = robust_instance(d, r, m, noise=Noise("none") if exact else Noise("outlier", p=0.1, scale=10.0), rng=seed)
    rho = 1.0 if exact else auto_rho(alpha, r_guess=r)
    path = _descend(problem, d, alpha, steps, seed, step=step, rho=rho, init=start, records=steps + 1)
    error = _relative(problem, path)[0]
    row: Row = {"log_steps_to_tenth": None, "log_steps_to_root": None, "power_slope": None, "linear_gain": None}
    row |= {"log_log": None, "last_error": float(error[-1])}
    rows = np.unique(np.geomspace(1, steps, CURVE).round().astype(int))
    row |= {"at": rows.tolist(), "curve": error[rows].tolist()}
    if start == "random":
        late = {"steps_within": (steps / 10, steps)}
        row["power_slope"] = fit_rate(path.steps, error, "power", **late).slope.estimate
        row["linear_gain"] = compare_rates(path.steps, error, **late)
    else:
        row["log_log"] = math.log(math.log(1 / alpha))
        row["log_steps_to_tenth"] = _first(error, 0.1)
        row["log_steps_to_root"] = _first(error, math.sqrt(alpha))
    return row


def _first(error: np.ndarray, below: float) -> float | None:
    hit = np.flatnonzero(error < below)
    return math.log(int(hit[0])) if len(hit) else None


@experiment(smoke=noises("smoke"), laptop=noises("laptop"), paper=noises("paper"), seeds=FEWER)
def noise(d: int, r: int, m: int, steps: int, kind: str, p: float, size: float, loss: str, seed: int) -> Row:
    """Recover under one kind of noise, always in the same way: full width, alpha = 1e-4."""
    law = Noise(cast("Kind", kind), p=p, scale=size)
    problem = robust_instance(d, r, m, noise=law, rng=seed)
    path = _descend(problem, d, 1e-4, steps, seed, loss=loss)
    return {
        "relative_error": float(_relative(problem, path)[0, -1]),
        "over_rate": float(path.err[0, -1]) / (size * math.sqrt(d * r / m))
        if kind in ("gaussian", "student")
        else None,
    }


@experiment(
    smoke=grid(**SMALL, m=[800], steps=[2_400]),
    laptop=grid(d=[20], r=[3], m=[800, 1_600, 3_200], steps=[4_000]),
    paper=grid(d=[50], r=[3], m=[1_500, 5_000, 15_000], steps=[8_000]),
    seeds=SEEDS,
)
def dense(d: int, r: int, m: int, steps: int, seed: int) -> Row:
    """Recover under N(0, 1/4) on every measurement, from a small and from an ordinary start."""
    problem = robust_instance(d, r, m, noise=Noise("gaussian", scale=0.5), rng=seed)
    path = _descend(problem, d, (1e-6, 1.0), steps, seed, records=CURVE)
    small, ordinary = path.err[:, -1]
    return {
        "log_m": math.log(m),
        "log_error": math.log(small),
        "error": float(small),
        "times_error": float(ordinary / small),
        "loss_below_truth": float(problem.loss_at_truth - path.loss[0, -1]),
        "loss_below_small": float(path.loss[0, -1] - path.loss[1, -1]),
        "truth": problem.loss_at_truth,
        "path_error": path.err[0].tolist(),
        "path_loss": path.loss[0].tolist(),
        "ordinary_error": path.err[1].tolist(),
        "ordinary_loss": path.loss[1].tolist(),
    }


@experiment(
    smoke=grid(**SMALL, m=[1_000, 4_000, 16_000], kind=["none", "outlier", "gaussian"], n_dirs=[50]),
    laptop=grid(d=[20], r=[3], m=[1_250, 5_000, 20_000], kind=["none", "outlier", "gaussian", "student"], n_dirs=[200]),
    paper=grid(d=[50], r=[3], m=[5_000, 20_000, 80_000], kind=["none", "outlier", "gaussian"], n_dirs=[200]),
    seeds=SEEDS,
)
def directions(d: int, r: int, m: int, kind: str, n_dirs: int, seed: int) -> Row:
    """Compare the average of signed matrices with the direction of the error, on random and on searched X."""
    law = Noise(cast("Kind", kind), p=0.3, scale=10.0 if kind == "outlier" else 1.0)
    found = sign_rip(robust_instance(d, r, m, noise=law, rng=seed), rank=r, n_dirs=n_dirs, rng=START + seed)
    return {
        "phi": found.phi_hat,
        "phi_theory": found.phi_theory,
        "phi_gap": 100 * (found.phi_hat / found.phi_theory - 1),
        "delta": found.delta,
        "log_delta": math.log(found.delta),
        "log_m": math.log(m),
    }


@experiment(
    laptop=grid(d=[20], r=[3], p=[0.1], width=["exact", "double", "full"], steps=[3_000])
    + grid(d=[12, 30], r=[3], p=[0.1], width=["full"], steps=[3_000])
    + grid(d=[20], r=[3], p=[0.0, 0.3, 0.5], width=["full"], steps=[3_000]),
    paper=grid(d=[25, 50, 100], r=[3], p=[0.1], width=["exact", "double", "full"], steps=[6_000]),
    seeds=FEWER,
)
def samples(d: int, r: int, p: float, width: str, steps: int, seed: int) -> Row:
    """Try growing numbers of measurements; as many as failed, from the smallest, are not enough (Spearman, Karber)."""
    counts = [round(d * r * FINER**k / (1 - p) ** 2) for k in range(TRIED)]
    law = Noise("outlier", p=p, scale=10.0)
    failed = 0
    for m in counts:
        problem = robust_instance(d, r, m, noise=law, rng=seed)
        path = _descend(problem, _width(width, d, r), 1e-6, steps, seed, rho=1 - 9 / steps)
        failed += bool(_relative(problem, path)[0, -1] >= ENOUGH)
    needed = counts[failed] if 0 < failed < len(counts) else None
    return {"needed": needed, "log_needed": math.log(needed) if needed else None, "log_d": math.log(d)}


@figure(on=scale)
def error_by_steps(trials: Trials) -> Drawing:
    """Error along the way, by scale of the start and width."""
    return drawing.errors(trials)


@figure(on=scale)
def signal_and_residual(trials: Trials) -> Drawing:
    """Norms of the two parts of the factor."""
    return drawing.parts(trials)


@figure(on=dense)
def loss_and_error(trials: Trials) -> Drawing:
    """Path in the plane of loss and error."""
    return drawing.paths(trials)


@figure(on=speed)
def error_with_exact_measurements(trials: Trials) -> Drawing:
    """Error by steps from small and ordinary starts."""
    return drawing.speeds(trials)


@figure(on=samples)
def measurements_needed(trials: Trials) -> Drawing:
    """Measurements that are needed, by share of outliers."""
    return drawing.needed(trials)
