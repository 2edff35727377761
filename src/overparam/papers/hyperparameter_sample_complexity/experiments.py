"""Experiments of arXiv 2501.13734: exact duals, tuning over tasks, the price of volatility, architectures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from overparam.lab import Drawing, Progress, Seeds, Trials, experiment, figure, grid
from overparam.methods.tuning.discovery import discover
from overparam.methods.tuning.smooth_dual import ridge_objective, smooth_maximum
from overparam.methods.tuning.task_bounds import uniform_deviation
from overparam.papers.hyperparameter_sample_complexity import drawing
from overparam.papers.hyperparameter_sample_complexity.laws import (
    LABELLED,
    TRAIN,
    features_task,
    graph_bound,
    graph_task,
    graph_utilities,
    network_task,
    task,
)

Row = dict[str, Any]
TEST_START = 1_000_000  # tasks from here on are never trained on


@experiment(
    smoke=grid(law=["activation", "graph"]),
    laptop=grid(law=["activation", "graph", "calm graph"]),
    paper=grid(law=["activation", "graph", "calm graph"]),
    seeds=Seeds(smoke=3, laptop=16, paper=64),
    reads=("digits",),
)
def duals(law: str, seed: int) -> Row:
    """Find all breaks of a task's utility exactly, and again by bisection of the predictions."""
    drawn = task(law, seed)
    exact = drawn.exact()
    found = discover(drawn.predict, exact.lo, exact.hi)
    curve = found.function(lambda row: float((row == drawn.target).mean()))
    apart = np.abs(found.breaks[:, None] - exact.breaks).min(1, initial=math.inf)
    extra = int((apart > 1e-6 * (exact.hi - exact.lo)).sum())
    middles = 0.5 * (exact.edges[1:] + exact.edges[:-1])
    grid_points = np.linspace(exact.lo, exact.hi, 1_001)
    jumps = int((np.diff(exact(grid_points)) != 0).sum())
    return {
        "breaks": len(exact.breaks),
        "oscillations": exact.oscillations(),
        "over_bound": len(exact.breaks) / drawn.bound,
        "extra": extra,
        "missed": len(exact.breaks) - len(found.breaks) + extra,
        "equal_share": float((curve(middles) == exact(middles)).mean()),
        "evaluations": found.n_evals,
        "seen_by_grid": jumps,
        "gain": exact.argmax().value - float(exact(grid_points).max()),
        "edges": exact.edges.tolist(),
        "values": exact.pieces[:, 0].tolist(),
    }


@experiment(
    smoke=grid(steps=[30], points=[101]),
    laptop=grid(steps=[100], points=[501]),
    paper=grid(steps=[1_000], points=[8_001]),
    seeds=Seeds(smoke=2, laptop=6, paper=20),
    reads=("digits",),
)
def trained(steps: int, points: int, seed: int, progress: Progress) -> Row:
    """Train all of a small network for every alpha, and look for breaks by bisection and on a fine grid."""
    drawn = network_task(seed, steps=steps)
    progress.step(0, 2, "bisection")
    found = discover(drawn.predict, 0.0, 1.0, tol=1e-5)
    progress.step(1, 2, "grid")
    alphas = np.linspace(0.0, 1.0, points)
    rows = np.concatenate([drawn.predict(part) for part in np.array_split(alphas, max(1, points // 200))])
    changes = np.flatnonzero((rows[1:] != rows[:-1]).any(1))
    seen = [bool(((found.breaks > alphas[i] - 1e-5) & (found.breaks < alphas[i + 1] + 1e-5)).any()) for i in changes]
    return {
        "breaks": len(found.breaks),
        "share_found": float(np.mean(seen)) if seen else 1.0,
        "evaluations": found.n_evals,
        "grid_changes": len(changes),
    }


@experiment(
    smoke=grid(n=[1, 4, 8], tests=[60], points=[51]),
    laptop=grid(n=[1, 2, 4, 8, 16, 32, 64], tests=[1_000], points=[301]),
    paper=grid(n=[1, 2, 4, 8, 16, 32, 64, 128, 256], tests=[4_000], points=[1_001]),
    seeds=Seeds(smoke=4, laptop=10, paper=20),
    batched=True,
    reads=("digits",),
    sabotage="training tasks come from another law: their labels are flipped",
)
def tasks(n: int, tests: int, points: int, seeds: Sequence[int], sabotage: bool = False) -> list[Row]:
    """Tune on n tasks and compare the average utility, at every alpha, with that of many other tasks."""
    truth = graph_utilities(TEST_START, tests, 6, points)["utility"].mean(0)
    most = 256 if points > 500 else 64
    rows = []
    for seed in seeds:
        own = graph_utilities(seed * most, min(most, 8 if points < 100 else most), 6, points)["utility"][:n]
        own = 1 - own if sabotage else own
        average = own.mean(0)
        best = np.flatnonzero(average >= average.max() - 1e-12)
        chosen = best[len(best) // 2]
        deviation = float(np.abs(average - truth).max())
        bound = uniform_deviation(n, graph_bound(30, 6))
        rows.append({
            "log_n": math.log(n),
            "deviation": deviation,
            "log_deviation": math.log(deviation),
            "over_bound": deviation / bound,
            "utility": float(truth[chosen]),
            "shortfall": float(truth.max() - truth[chosen]),
            "over_twice": float(truth.max() - truth[chosen]) / (2 * deviation),
            "spread": float(truth.max() - truth.min()),
            "bound": bound,
        })
    return rows


@experiment(
    smoke=grid(degree=[2, 6], n=[8], tests=[60], points=[51]),
    laptop=grid(degree=[2, 4, 6, 10], n=[16], tests=[400], points=[301]),
    paper=grid(degree=[2, 4, 6, 10, 16], n=[16], tests=[4_000], points=[1_001]),
    seeds=Seeds(smoke=4, laptop=20, paper=40),
    batched=True,
    reads=("digits",),
)
def volatility(degree: int, n: int, tests: int, points: int, seeds: Sequence[int]) -> list[Row]:
    """Vary the degree of the kernel, and with it the number of breaks, at a fixed number of tasks."""
    held = graph_utilities(TEST_START, tests, degree, points)
    truth, breaks = held["utility"].mean(0), float(held["breaks"].mean())
    rows = []
    for seed in seeds:
        own = graph_utilities(500_000 + seed * n, n, degree, points)["utility"]
        deviation = float(np.abs(own.mean(0) - truth).max())
        rows.append({
            "mean_breaks": breaks,
            "deviation": deviation,
            "log_deviation": math.log(deviation),
            "log_complexity": math.log(math.log(1 + n * breaks)),
        })
    return rows


@experiment(
    smoke=grid(kind=["features"], size=[10, 20], degree=[2]) + grid(kind=["graph"], size=[15, 20], degree=[2]),
    laptop=grid(kind=["features"], size=[5, 10, 20, 40, 60], degree=[2])
    + grid(kind=["graph"], size=[15, 20, 30, 40], degree=[4])
    + grid(kind=["graph"], size=[30], degree=[2, 6, 8]),
    paper=grid(kind=["features"], size=[5, 10, 20, 40, 80, 160], degree=[2])
    + grid(kind=["graph"], size=[15, 20, 30, 40, 60], degree=[2, 4, 6, 8]),
    seeds=Seeds(smoke=2, laptop=8, paper=20),
    reads=("digits",),
)
def architecture(kind: str, size: int, degree: int, seed: int) -> Row:
    """Count breaks against the width of the features, the nodes of the graph and the degree of the kernel."""
    drawn = features_task(seed, width=size) if kind == "features" else graph_task(seed, nodes=size, degree=degree)
    count = len(drawn.exact().breaks)
    return {
        "breaks": count,
        "log_breaks": math.log(max(count, 1)),
        "log_size": math.log(size if kind == "features" else size - LABELLED),
        "log_degree": math.log(degree),
        "over_bound": count / drawn.bound,
    }


@experiment(
    smoke=grid(width=[10]),
    laptop=grid(width=[5, 10, 20, 40]),
    paper=grid(width=[5, 10, 20, 40, 80]),
    seeds=Seeds(smoke=3, laptop=16, paper=64),
    reads=("digits",),
)
def objective(width: int, seed: int) -> Row:
    """Take the training objective itself as utility, a smooth function, and count its local maxima."""
    drawn = features_task(seed, width=width)
    value = ridge_objective(drawn.first[:TRAIN], drawn.second[:TRAIN], drawn.y[:TRAIN], ridge=0.1)
    best, local = smooth_maximum(value, 0.0, 1.0)
    fine = value(np.linspace(0.0, 1.0, 2_001))
    degree = 2 * min(width, TRAIN)  # of numerator and denominator
    return {
        "local_maxima": len(local),
        "over_bound": len(local) / (2 * degree - 1),
        "best": best.value,
        "below_grid": max(0.0, float(fine.max() - best.value) / abs(best.value)),
    }


@figure(on=duals)
def six_tasks(trials: Trials) -> Drawing:
    """Draw the exact utility of some tasks and their average."""
    return drawing.six_tasks(trials)


@figure(on=tasks)
def deviation_by_tasks(trials: Trials) -> Drawing:
    """Draw the uniform deviation against the number of tasks."""
    return drawing.deviation_by_tasks(trials)


@figure(on=tasks)
def utility_by_tasks(trials: Trials) -> Drawing:
    """Draw the utility of the tuned alpha on other tasks."""
    return drawing.utility_by_tasks(trials)


@figure(on=architecture)
def breaks_by_size(trials: Trials) -> Drawing:
    """Draw the number of breaks against size."""
    return drawing.breaks_by_size(trials)
