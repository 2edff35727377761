"""Experiments of arXiv 2310.02246: learning omega over sequences of systems, and what the theory rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from overparam.lab import Drawing, Progress, Seeds, Trials, experiment, figure, first_available, grid
from overparam.methods.tuning.bandits import TsallisINF
from overparam.methods.tuning.cheb_cb import ChebCB
from overparam.methods.tuning.heat import DIFFUSION
from overparam.methods.tuning.relaxation import Stencil5, sor
from overparam.methods.tuning.relaxation_theory import iteration_bound, iteration_matrix, normalised_gap
from overparam.methods.tuning.sequence import run_sequence, truncated_normal
from overparam.methods.tuning.sor_table import sor_cost_table
from overparam.papers.learning_to_relax import drawing
from overparam.papers.learning_to_relax.tables import (
    ARMS,
    INTERVAL,
    POLICIES,
    grid_costs,
    heat_costs,
    learner_of,
    play,
    real_costs,
    windows,
)  # fmt: skip

Row = dict[str, Any]
LEARNERS = ["tsallis", "tsallis-cb", "cheb"]
FIXED = (1.0, 1.3, 1.5, 1.75, 1.95)  # fixed omegas of the paper's heat runs
SHUFFLED = "the costs that learners are told are shuffled among the arms"
REAL = first_available("sparse-matrices")


@experiment(
    smoke=grid(policy=LEARNERS, sequence=["high", "low"], size=[6], count=[500], tables=[1]),
    laptop=grid(policy=POLICIES, sequence=["high", "low"], size=[10], count=[5000], tables=[1]),
    paper=grid(policy=POLICIES, sequence=["high", "low"], size=[10], count=[5000], tables=[40]),
    seeds=Seeds(smoke=5, laptop=10, paper=40), batched=True, sabotage=SHUFFLED,
)  # fmt: skip
def policies(
    policy: str, sequence: str, size: int, count: int, tables: int, seeds: Sequence[int], progress: Progress,
    sabotage: bool = False,
) -> list[Row]:  # fmt: skip
    """Choose omega for shifts of the grid Laplacian; the only feedback is the number of sweeps."""
    rows: dict[int, Row] = {}
    for table in range(min(tables, len(seeds))):
        progress.step(table, tables, f"{policy}, {sequence} variance")
        own = [seed for seed in seeds if seed % tables == table]
        learner = learner_of(policy, INTERVAL, 5, own)
        costs = grid_costs(sequence, size, count, table)
        fine = {"fine_over_best": float(costs["fine"].sum() / costs["costs"][: len(costs["fine"])].min(1).sum())}
        for seed, row in zip(own, play(learner, costs, own, sabotage=sabotage), strict=True):
            rows[seed] = row | fine
    return [rows[seed] for seed in seeds]


@experiment(
    smoke=grid(policy=LEARNERS, data=REAL, matrix=["494_bus"], count=[40]),
    laptop=grid(policy=LEARNERS, data=REAL, matrix=["494_bus"], count=[2000]),
    paper=grid(policy=LEARNERS, data=REAL, matrix=["494_bus"], count=[5000]),
    seeds=Seeds(smoke=4, laptop=10, paper=40), batched=True, reads=("data",), sabotage=SHUFFLED,
)  # fmt: skip
def real_matrix(
    policy: str, data: str, matrix: str, count: int, seeds: Sequence[int], sabotage: bool = False
) -> list[Row]:
    """The same with shifts of a power network's matrix."""
    learner = learner_of(policy, (-2.0, -0.5), 5, seeds)
    return play(learner, real_costs(data, matrix, count, 0), seeds, sabotage=sabotage)


@experiment(
    smoke=grid(policy=LEARNERS, nx=[8], steps=[250], dt=[0.004]),
    laptop=grid(policy=LEARNERS, nx=[25, 50], steps=[5000], dt=[0.001]),
    paper=grid(policy=LEARNERS, nx=[25, 50, 100, 200, 400], steps=[5000], dt=[0.001]),
    seeds=Seeds(smoke=4, laptop=10, paper=3), batched=True, sabotage=SHUFFLED, time_limit=7 * 86_400,
)  # fmt: skip
def heat(policy: str, nx: int, steps: int, dt: float, seeds: Sequence[int], sabotage: bool = False) -> list[Row]:
    """Tune the preconditioner of conjugate gradients along a simulation of the heat equation."""
    table = heat_costs(nx, steps, dt, first=2 * LEARNERS.index(policy))
    costs, plain = table["costs"], float(table["plain"].mean())
    fixed = [float(costs[:, np.abs(ARMS - omega).argmin()].mean()) for omega in FIXED]
    rows = play(learner_of(policy, DIFFUSION, 6, seeds), table, seeds, in_order=True, sabotage=sabotage)
    least = costs == costs.min(1, keepdims=True)
    middle = (least * ARMS).sum(1) / least.sum(1)  # of the omegas that tie
    path = {"diffusion": windows(table["contexts"]), "best_path": windows(middle)}
    return [
        row | path | {
            "plain": plain,
            "fixed_costs": fixed,
            "over_plain": row["cost"] / plain,
            "over_one": row["cost"] / fixed[0],
            "beaten": float(np.mean([row["cost"] < other for other in fixed])),
            "over_best_fixed": row["cost"] / row["fixed"],
        }
        for row in rows
    ]  # fmt: skip


@experiment(
    smoke=grid(size=[6], shift=[0.0, 0.4], spacing=[0.05]),
    laptop=grid(size=[10], shift=[-0.1, 0.0, 0.2, 0.4], spacing=[0.02]),
    paper=grid(size=[10], shift=[-0.1, 0.0, 0.2, 0.4], spacing=[0.01]),
    seeds=Seeds(smoke=4, laptop=10, paper=40),
)
def bound(size: int, shift: float, spacing: float, seed: int) -> Row:
    """Compare the count with its near-asymptotic bound over omega, for one right-hand side."""
    grid_ = Stencil5(size, shift)
    b = truncated_normal(1, size**2, np.random.default_rng(seed))
    omegas = np.arange(1.0, 1.99, spacing)
    actual = sor_cost_table(grid_, [0.0], b, omegas)[0]
    tau = max(normalised_gap(grid_, float(w), int(k) - 1) for w, k in zip(omegas, actual, strict=True))
    limit = np.array([iteration_bound(grid_, float(w), tau=tau) for w in omegas])
    asymptotic = np.array([iteration_bound(grid_, float(w)) for w in omegas])
    chosen, minima = omegas[limit.argmin()], omegas[actual == actual.min()]
    return {
        "tau": tau,
        "shortfall": float(np.maximum(actual - limit, 0.0).max()),
        "distance": float(np.abs(minima - chosen).min()),
        "excess": float(actual[limit.argmin()] / actual.min()),
        "slack": float(np.median(limit / actual)),
        "omegas": omegas.tolist(),
        "actual": actual.tolist(),
        "limit": limit.tolist(),
        "asymptotic": asymptotic.tolist(),
    }


@experiment(
    smoke=grid(size=[10], draws=[40], spacing=[0.05]),
    laptop=grid(size=[10], draws=[40], spacing=[0.01]),
    paper=grid(size=[10], draws=[40], spacing=[0.001]),
    seeds=Seeds(smoke=4, laptop=10, paper=10),
)
def right_hand_side(size: int, draws: int, spacing: float, seed: int) -> Row:
    """Counts over omega for an adversarial right-hand side, and their mean for random ones."""
    values, vectors = np.linalg.eig(iteration_matrix(Stencil5(size), 1.4))
    worst = np.real(vectors[:, np.abs(values).argmin()])
    omegas = np.concatenate([np.arange(1.0, 1.9 + spacing / 2, spacing), [1.39, 1.4, 1.41]])
    rhs = np.vstack([worst, truncated_normal(draws, size**2, np.random.default_rng(seed))])
    counts = sor_cost_table(Stencil5(size), np.zeros(draws + 1), rhs, omegas)
    mean, left, dip, right = counts[1:].mean(0), *counts[0, -3:]
    around = np.abs(mean[-2] / mean[[-3, -1]] - 1.0)
    curve = mean[:-3]
    return {
        "dip": float(dip / min(left, right)),
        "dip_counts": [int(left), int(dip), int(right)],
        "around": float(around.max()),
        "roughness": float(np.abs(curve[1:-1] / (0.5 * (curve[:-2] + curve[2:])) - 1.0).max()),
        "omegas": omegas[:-3].tolist(),
        "degenerate": counts[0, :-3].tolist(),
        "mean": curve.tolist(),
    }


@experiment(
    smoke=grid(learner=["tsallis", "cheb"], size=[3, 6], rounds=[5, 20]),
    laptop=grid(learner=["tsallis", "cheb"], size=[5, 10, 20], rounds=[20, 80]),
    paper=grid(learner=["tsallis", "cheb"], size=[10, 20, 40], rounds=[100, 1000]),
    seeds=Seeds(smoke=2, laptop=3, paper=3),
)
def overhead(learner: str, size: int, rounds: int, seed: int) -> Row:
    """Tune a real solver for some rounds and count the numbers that the learner keeps and works on."""
    tuner = TsallisINF(ARMS, seed) if learner == "tsallis" else ChebCB(ARMS, INTERVAL, rng=seed)
    rng = np.random.default_rng(seed)

    def solve(system: Stencil5, omega: float) -> float:
        return sor(system, truncated_normal(1, size**2, rng)[0], omega).iterations

    shifts = rng.uniform(0.1, 0.45, rounds).tolist()
    played = run_sequence(tuner, solve, ((c, Stencil5(size, c)) for c in shifts))
    state = tuner.state_dict()
    return {
        "rows": size**2,
        "numbers_kept": int(sum(np.size(state[name]) for name in state if name != "random")),
        "cost": float(played.cost.mean()),
    }


@figure(on=policies)
def running_cost(trials: Trials) -> Drawing:
    """Mean sweeps an instance so far, by policy."""
    return drawing.running(trials)


@figure(on=policies)
def omega_by_context(trials: Trials) -> Drawing:
    """Omega that each learner chooses at each shift."""
    return drawing.by_context(trials)


@figure(on=bound)
def count_and_bound(trials: Trials) -> Drawing:
    """Sweeps and their bound over omega."""
    return drawing.bound(trials)


@figure(on=heat)
def omega_over_time(trials: Trials) -> Drawing:
    """Omega along the simulation, chosen and best."""
    return drawing.path(trials)


@figure(on=heat)
def heat_totals(trials: Trials) -> Drawing:
    """Iterations a step along the heat equation, by method."""
    return drawing.heat(trials)
