"""Cost tables that all policies share, and what a history in them amounts to."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from overparam.data import load
from overparam.lab import artefact
from overparam.methods.tuning.bandits import UCB1, EpsGreedy, TsallisINF, TsallisINFCB
from overparam.methods.tuning.cheb_cb import ChebCB
from overparam.methods.tuning.heat import heat_steps
from overparam.methods.tuning.learner import Learner
from overparam.methods.tuning.relaxation import Stencil5
from overparam.methods.tuning.relaxation_theory import formula_omega, jacobi_radius, optimal_omega
from overparam.methods.tuning.sequence import instances, replay, truncated_normal
from overparam.methods.tuning.sor_table import sor_cost_table, ssor_pcg_cost_table

Array = NDArray[np.float64]
Table = dict[str, NDArray[Any]]
ARMS = np.linspace(1.0, 1.95, 20)
FINE = np.linspace(1.0, 1.99, 100)
INTERVAL = (-0.15, 0.65)  # the official scripts pass this although no shift exceeds 0.45
PLAIN = 1e-9  # as omega goes to 0 on a constant diagonal the preconditioner becomes a multiple of the identity
POLICIES = ["tsallis", "tsallis-cb", "cheb", "eps-greedy", "ucb1", "uniform"]
ORDER, COIN, SYSTEMS, SHUFFLE = 1, 2, 3, 4  # roles that share no random numbers
POINTS, CELLS, STRETCHES = 40, 16, 4


@artefact()
def grid_costs(sequence: str, size: int, count: int, table: int) -> Table:
    """Solve the systems of the base problem at every omega.

    Args:
        sequence: `high` or `low` variance of the shift.
        size: Inner points a side.
        count: Systems.
        table: Draws them.

    Returns:
        `contexts`, `costs` (count, 20), `formula` at omega*(c), `fine` the least cost on a grid of 0.01 for a few.
    """
    rng = np.random.default_rng([SYSTEMS, table])
    shifts, rhs = instances(sequence, count, size**2, rng)
    best = np.array([[optimal_omega(Stencil5(size, c))] for c in shifts])
    few, grid = max(1, count // 50), Stencil5(size)
    return {
        "contexts": shifts,
        "costs": sor_cost_table(grid, shifts, rhs, ARMS),
        "formula": sor_cost_table(grid, shifts, rhs, best)[:, 0],
        "fine": sor_cost_table(grid, shifts[:few], rhs[:few], FINE).min(1),
    }


@artefact(reads=("data",))
def real_costs(data: str, matrix: str, count: int, table: int) -> Table:
    """Solve shifts of a real matrix, scaled to a unit diagonal, at every omega.

    Args:
        data: Data set.
        matrix: Name of the matrix.
        count: Systems.
        table: Draws them.

    Returns:
        `contexts` log10 of the shift, between -2 and -0.5, `costs` and `formula` as for the grid.
    """
    A = load(data, matrix=matrix)
    scale = diags_array(1.0 / np.sqrt(A.diagonal()))
    unit = csr_array(scale @ A @ scale)
    rng = np.random.default_rng([SYSTEMS, table])
    contexts = rng.uniform(-2.0, -0.5, count)
    rhs = truncated_normal(count, unit.shape[0], rng)
    beta = jacobi_radius(unit)  # of a unit diagonal, so that a shift divides it by 1 + c
    best = np.array([[formula_omega(beta / (1.0 + 10.0**c))] for c in contexts])
    return {
        "contexts": contexts,
        "costs": sor_cost_table(unit, 10.0**contexts, rhs, ARMS),
        "formula": sor_cost_table(unit, 10.0**contexts, rhs, best)[:, 0],
    }


@artefact()
def heat_stretch(nx: int, steps: int, dt: float, stretch: int) -> Table:
    """Solve a part of the steps of the heat equation by conjugate gradients, plain and at every omega.

    Args:
        nx: Cells a side.
        steps: Steps in all.
        dt: Their length.
        stretch: Which of `STRETCHES` parts.

    Returns:
        `contexts` the diffusion, `counts` (steps of the part, 21), plain first.
    """
    omegas, block, grid = np.concatenate([[PLAIN], ARMS]), min(250, -(-steps // STRETCHES)), Stencil5(nx - 1)
    blocks = -(-steps // block)
    first, after = blocks * stretch // STRETCHES, blocks * (stretch + 1) // STRETCHES
    parts = list(itertools.islice(heat_steps(nx, steps, dt, block=block), first, after))
    counts = [ssor_pcg_cost_table(grid, p.shifts, p.rhs, omegas, starts=p.starts) for p in parts]
    return {"contexts": np.concatenate([p.diffusion for p in parts]), "counts": np.concatenate(counts)}


def heat_costs(nx: int, steps: int, dt: float, *, first: int = 0) -> Table:
    """Put the stretches of the heat equation together.

    Args:
        nx: Cells a side.
        steps: Steps in all.
        dt: Their length.
        first: Stretch to begin with; trials that begin apart share the work.

    Returns:
        `contexts` the diffusion, `costs` (steps, 20), `plain` (steps,).
    """
    turns = [(first + k) % STRETCHES for k in range(STRETCHES)]
    found = {stretch: heat_stretch(nx, steps, dt, stretch) for stretch in turns}
    counts = np.concatenate([found[k]["counts"] for k in range(STRETCHES)])
    contexts = np.concatenate([found[k]["contexts"] for k in range(STRETCHES)])
    return {"contexts": contexts, "costs": counts[:, 1:], "plain": counts[:, 0]}


def learner_of(policy: str, interval: tuple[float, float], bins: int, seeds: Sequence[int]) -> Learner:
    """Make the copies of a policy, one a seed.

    Args:
        policy: One of `POLICIES`.
        interval: Of the contexts.
        bins: For the binned learner.
        seeds: Of the coins.

    Returns:
        The learner.
    """
    coins = [np.random.default_rng([COIN, seed]) for seed in seeds]
    if policy == "tsallis":
        return TsallisINF(ARMS, coins)
    if policy == "tsallis-cb":
        return TsallisINFCB(ARMS, interval, bins, coins)
    if policy == "cheb":
        return ChebCB(ARMS, interval, 5, coins)
    return UCB1(ARMS, coins) if policy == "ucb1" else EpsGreedy(ARMS, 1.0 if policy == "uniform" else 0.1, coins)


def play(
    learner: Learner, table: Table, seeds: Sequence[int], *, in_order: bool = False, sabotage: bool = False
) -> list[dict[str, Any]]:
    """Play a policy from a table and compare it with what hindsight knows.

    Args:
        learner: One copy a seed.
        table: From one of the artefacts.
        seeds: Each has its own order of the systems.
        in_order: Whether all keep the order given.
        sabotage: Whether the costs that are fed back are shuffled among the arms.

    Returns:
        One row a seed.
    """
    costs, contexts = table["costs"].astype(np.float64), table["contexts"]
    count = len(costs)
    natural = np.arange(count)
    order = np.stack(
        [natural if in_order else np.random.default_rng([ORDER, seed]).permutation(count) for seed in seeds], axis=1
    )
    felt = np.random.default_rng(SHUFFLE).permuted(costs, axis=1) if sabotage else None
    played = replay(learner, costs, contexts=contexts, order=order, felt=felt)
    return [_row(played.cost[:, s], played.arm[:, s], table, order[:, s]) for s in range(len(seeds))]


def _row(cost: Array, arm: Array, table: Table, order: NDArray[np.int64]) -> dict[str, Any]:
    """Compare one copy with the best fixed arm, the best arm of each system, and the formula."""
    arms, count = table["costs"][order].astype(np.float64), len(cost)
    best, fixed = arms.min(1), arms[:, arms.sum(0).argmin()]
    tail = slice(count - count // 5, count)
    sofar = np.cumsum(arms, axis=0).min(1)
    total, least = np.cumsum(cost), np.cumsum(best)
    late = np.unique(np.geomspace(count // 10, count, 10).round().astype(int)) - 1
    shown = np.unique(np.linspace(1, count, POINTS).round().astype(int)) - 1
    row = {
        "cost": float(cost.mean()),
        "fixed": float(fixed.mean()),
        "best": float(best.mean()),
        "omega": float(ARMS[arms.sum(0).argmin()]),
        "over_fixed": float(cost[tail].mean() / fixed[tail].mean()),
        "over_best": float(cost[tail].mean() / best[tail].mean()),
        "approach": float(total[-1] / sofar[-1] / (total[late[0]] / sofar[late[0]])),
        "exponent": _exponent(late + 1, (total - sofar)[late]),
        "exponent_best": _exponent(late + 1, (total - least)[late]),
        "rounds": (shown + 1).tolist(),
        "running": (total[shown] / (shown + 1)).tolist(),
    }
    if "formula" in table:
        row["over_formula"] = float(cost[tail].mean() / table["formula"][order][tail].mean())
        row["formula"] = float(table["formula"].mean())
    row["path"] = windows(arm)
    return row | _chosen(arm[count // 2 :], table["contexts"][order][count // 2 :])


def windows(values: Array) -> list[float]:
    """Average over consecutive windows, at most 125.

    Args:
        values: (T,).

    Returns:
        Means.
    """
    return [float(part.mean()) for part in np.array_split(values, min(125, len(values)))]


def _exponent(t: NDArray[np.int64], regret: Array) -> float | None:
    """Slope of log regret over log t; None where there is no regret left to fit."""
    return float(np.polyfit(np.log(t), np.log(regret), 1)[0]) if (regret > 0).all() else None


def _chosen(arm: Array, contexts: Array) -> dict[str, Any]:
    """Mean omega in cells of equally many contexts, over the second half."""
    cells = np.array_split(np.argsort(contexts, kind="stable"), CELLS)
    return {
        "at": [float(contexts[c].mean()) for c in cells if len(c)],
        "chosen": [float(arm[c].mean()) for c in cells if len(c)],
    }
