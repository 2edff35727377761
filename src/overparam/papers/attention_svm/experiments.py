"""Experiments of arXiv 2308.16898: trained attention weights beside the machines that should describe them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overparam.lab import Drawing, Seeds, Trials, experiment, figure, grid
from overparam.methods.theory.attention_svm import Norm, SVMSolution, attention_svm, correlation, is_locally_optimal
from overparam.methods.theory.attention_training import (
    AttentionRun,
    Optimiser,
    attention_gradient,
    normalised,
    train_attention_batched,
)
from overparam.methods.theory.multi_token_svm import multi_token_svm
from overparam.methods.theory.regularization_path import regularization_path
from overparam.papers.attention_svm import drawing
from overparam.papers.attention_svm.worlds import (
    Array,
    Worlds,
    digit_worlds,
    equal_worlds,
    relu_worlds,
    unit_worlds,
)

Row = dict[str, Any]
NORMS: dict[str, Norm] = {"W": "fro", "KQ": "nuc"}
RATES: dict[str, float] = {"normalised": 0.1, "gd": 1.0, "adam": 0.01}
STARTS = 9  # role of the random starts of the path
RADII = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]
DIRECTIONS = 10  # role of the random weights at which gradients are taken
WIDTHS = [2, 4, 6, 8, 12, 16, 24, 32, 48, 64]


def _machine(worlds: Worlds, r: int, selected: NDArray[np.int64], norm: Norm) -> SVMSolution:
    with warnings.catch_warnings(action="ignore"):  # nearly inseparable data: the solution says how far it got
        return attention_svm(worlds.X[r], worlds.z[r], selected, norm=norm, raise_infeasible=False)


def _against(W: Array, machine: SVMSolution) -> float | None:
    return correlation(W, machine.W) if machine.feasible else None


def _curve(path: Array, machine: SVMSolution) -> list[float] | None:
    return [correlation(W, machine.W) for W in path] if machine.feasible else None


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


@experiment(
    smoke=grid(n=[6], tokens=[8], d=[10], trains=["W", "KQ"], optimiser=["normalised"], steps=[1000]),
    laptop=grid(n=[6], tokens=[8], d=[10], trains=["W", "KQ"], optimiser=["normalised", "gd", "adam"], steps=[2000]),
    paper=grid(n=[6], tokens=[8], d=[10], trains=["W", "KQ"], optimiser=["normalised", "gd", "adam"], steps=[2000]),
    seeds=Seeds(smoke=12, laptop=100, paper=1000),
    batched=True,
    sabotage="the machine separates the next token in place of the selected one",
)
def alignment(
    n: int, tokens: int, d: int, trains: str, optimiser: str, steps: int, seeds: Sequence[int], sabotage: bool = False
) -> list[Row]:
    """Train W or (K, Q) and compare with both machines of the tokens that were selected."""
    worlds = unit_worlds(n, tokens, d, seeds)
    method: Optimiser = optimiser  # type: ignore[assignment]
    run = train_attention_batched(
        worlds.X, worlds.Y, worlds.z, worlds.v, factored=trains == "KQ", steps=steps, lr=RATES[optimiser],
        optimiser=method, seeds=seeds,
    )  # fmt: skip
    chosen = (run.selected + 1) % tokens if sabotage else run.selected
    return [_aligned(worlds, run, r, chosen[r], NORMS[trains]) for r in range(len(seeds))]


def _aligned(worlds: Worlds, run: AttentionRun, r: int, chosen: NDArray[np.int64], norm: Norm) -> Row:
    W = run.weights[r]
    machines = {k: _machine(worlds, r, chosen, k) for k in ("fro", "nuc")}
    fro, nuc = (_against(W, m) for m in machines.values())
    matching = machines[norm]
    local = bool((run.selected[r] != worlds.best[r]).any())
    best = _against(W, _machine(worlds, r, worlds.best[r], norm)) if local else None
    return {
        "fro": fro,
        "nuc": nuc,
        "fro_minus_nuc": _difference(fro, nuc),
        "largest_probability": float(run.softmax[r].max(-1).mean()),
        "global": float(not local),
        "with_best": best,
        "selected_minus_best": _difference(fro if norm == "fro" else nuc, best),
        "locally_optimal": float(is_locally_optimal(matching, worlds.scores[r]))
        if local and matching.feasible
        else None,
        "at": run.steps[1:].tolist(),
        **{f"{k}_curve": _curve(run.path[1:, r], m) for k, m in machines.items()},
    }


@experiment(
    smoke=grid(n=[4], tokens=[5], d=[2, 8, 64], steps=[400]),
    laptop=grid(n=[4, 10], tokens=[5], d=WIDTHS, steps=[800]),
    paper=grid(n=[4, 10], tokens=[5], d=[*WIDTHS, 128], steps=[2000]),
    seeds=Seeds(smoke=10, laptop=50, paper=500),
    batched=True,
)
def width(n: int, tokens: int, d: int, steps: int, seeds: Sequence[int]) -> list[Row]:
    """Train from W = 0 in wider and wider spaces: does a separator exist, and are the best tokens selected."""
    worlds = unit_worlds(n, tokens, d, seeds)
    run = train_attention_batched(worlds.X, worlds.Y, worlds.z, worlds.v, steps=steps, init="zero", seeds=seeds)
    wide = d >= max(tokens - 1, n)
    feasible = [_machine(worlds, r, worlds.best[r], "fro").feasible for r in range(len(seeds))]
    return [
        {
            "log2_d": math.log2(d),
            "feasible": float(feasible[r]),
            "infeasible_though_wide": float(not feasible[r]) if wide else None,
            "global": float((run.selected[r] == worlds.best[r]).all()),
        }
        for r in range(len(seeds))
    ]


@experiment(
    smoke=grid(n=[4], tokens=[5], d=[6], matrices=[200], steps=[400], scores=["equal", "unequal"]),
    laptop=grid(n=[4], tokens=[5], d=[5, 8], matrices=[1000], steps=[800], scores=["equal", "unequal"]),
    paper=grid(n=[4, 10], tokens=[5], d=[10, 20], matrices=[1000], steps=[2000], scores=["equal", "unequal"]),
    seeds=Seeds(smoke=5, laptop=50, paper=100),
    batched=True,
)
def landscape(n: int, tokens: int, d: int, matrices: int, steps: int, scores: str, seeds: Sequence[int]) -> list[Row]:
    """Slope of the loss along the machine of the best tokens, at random weights of norms from 0.01 to 100."""
    worlds = (equal_worlds if scores == "equal" else unit_worlds)(n, tokens, d, seeds)
    run = train_attention_batched(worlds.X, worlds.Y, worlds.z, worlds.v, steps=steps, init="zero", seeds=seeds)
    rows = []
    for r, seed in enumerate(seeds):
        machine = _machine(worlds, r, worlds.best[r], "fro")
        rng = np.random.default_rng([DIRECTIONS, seed])
        W = normalised(rng.normal(size=(matrices, d, d))) * np.geomspace(1e-2, 1e2, matrices)[:, None, None]
        X, Y, z, v = (np.broadcast_to(a[r], (matrices, *a.shape[1:])) for a in (worlds.X, worlds.Y, worlds.z, worlds.v))
        slopes = (normalised(attention_gradient(X, Y, z, v, W)[0]) * machine.W).sum((1, 2)) / machine.value
        rows.append({
            "uphill": float((slopes >= 0).mean()) if machine.feasible else None,
            "steepest": float(slopes.max()) if machine.feasible else None,  # cosine of gradient and machine
            "missed": float((run.selected[r] != worlds.best[r]).any()),
        })  # fmt: skip
    return rows


@experiment(
    smoke=grid(n=[3], tokens=[4], d=[4], norm=["fro", "nuc"], steps=[200]),
    laptop=grid(n=[3], tokens=[4], d=[4], norm=["fro", "nuc"], steps=[1000]),
    paper=grid(n=[3, 6], tokens=[4, 8], d=[4, 10], norm=["fro", "nuc"], steps=[4000]),
    seeds=Seeds(smoke=8, laptop=40, paper=100),
    batched=True,
)
def path(n: int, tokens: int, d: int, norm: str, steps: int, seeds: Sequence[int]) -> list[Row]:
    """Minimise the loss in growing balls and compare the direction with the machine of the best tokens."""
    worlds = unit_worlds(n, tokens, d, seeds)
    kind: Norm = norm  # type: ignore[assignment]
    machines = [_machine(worlds, r, worlds.best[r], kind) for r in range(len(seeds))]
    noise = np.stack([np.random.default_rng([STARTS, s]).normal(size=(3, d, d)) for s in seeds], 1)
    near = normalised(np.stack([m.W for m in machines])) + 0.5 * normalised(noise[0])  # correlation about 0.9
    found = regularization_path(
        worlds.X, worlds.Y, worlds.z, worlds.v, radii=RADII, norm=kind, steps=steps, starts=[near, noise[1], noise[2]]
    )
    one = np.stack([m.W / (m.value if m.feasible else 1.0) * RADII[-1] for m in machines])
    rival = attention_gradient(worlds.X, worlds.Y, worlds.z, worlds.v, one)[2]  # a feasible point at the last radius
    rows: list[Row] = []
    for r, machine in enumerate(machines):
        beaten = bool(machine.feasible and found.loss[-1, r] > rival[r] + 1e-12)
        if beaten or not machine.feasible:
            rows.append({"log10_gap": None, "slope": None, "gaps": None, "beaten": float(beaten)})
            continue
        gaps = [max(1 - correlation(W, machine.W), 1e-16) for W in found.weights[:, r]]
        window = slice(RADII.index(4.0), RADII.index(64.0) + 1)
        slope = float(np.polyfit(np.log(RADII[window]), np.log(gaps[window]), 1)[0])
        rows.append({"log10_gap": math.log10(gaps[-1]), "slope": slope, "gaps": gaps, "beaten": 0.0})
    return rows


@experiment(
    smoke=grid(n=[3], tokens=[4], d=[4, 8], steps=[2001]),
    laptop=grid(n=[3], tokens=[4], d=[4, 6, 8, 10], steps=[2001]),
    paper=grid(n=[3], tokens=[4], d=[4, 6, 8, 10], steps=[2001]),
    seeds=Seeds(smoke=60, laptop=400, paper=6000),
    batched=True,
)
def several(n: int, tokens: int, d: int, steps: int, seeds: Sequence[int]) -> list[Row]:
    """Train under a head of ReLU units, keep the seeds whose probabilities are decided, compare three directions."""
    worlds, hidden = relu_worlds(n, tokens, d, seeds)
    run = train_attention_batched(worlds.X, worlds.Y, worlds.z, (hidden, worlds.v), steps=steps, seeds=seeds)
    rows: list[Row] = []
    for r in range(len(seeds)):
        found = multi_token_svm(worlds.X[r], worlds.z[r], run.softmax[r])
        one = _machine(worlds, r, run.selected[r], "fro")
        shared = bool((found.kept.sum(1) > 1).any())
        if found.status != "solved" or not one.feasible or (worlds.Y[r] > 0).all() or not shared:
            rows.append({"kept": 0.0, "both": None, "growing": None, "single": None, "first": None, "second": None})
            continue
        W = run.weights[r]
        gaps = [max(1e-16, 1 - correlation(W, m)) for m in (found.nearest(W), found.W_mm, one.W)]
        rows.append({
            "kept": 1.0, "both": gaps[0], "growing": gaps[1], "single": gaps[2],
            "first": math.log10(gaps[0] / gaps[1]), "second": math.log10(gaps[1] / gaps[2]),
        })  # fmt: skip
    return rows


@experiment(
    smoke=grid(n=[5], tokens=[5], d=[3, 10]),
    laptop=grid(n=[5, 10, 15], tokens=[5], d=[1, 2, 3, 4, 5, 10, 15, 20]),
    paper=grid(n=[5, 10, 15], tokens=[5], d=[1, 2, 3, 4, 5, 10, 15, 20]),
    seeds=Seeds(smoke=6, laptop=20, paper=100),
    batched=True,
)
def ranks(n: int, tokens: int, d: int, seeds: Sequence[int]) -> list[Row]:
    """Rank of both machines of the best tokens, where the threshold does not decide it."""
    worlds = unit_worlds(n, tokens, d, seeds)
    rows: list[Row] = []
    for r in range(len(seeds)):
        row: Row = {"fro": None, "nuc": None, "difference": None, "excess": None, "undetermined": 0.0}
        for norm in ("fro", "nuc"):
            machine = _machine(worlds, r, worlds.best[r], norm)
            if not machine.feasible:
                continue
            if machine.rank_above(1e-4) != machine.rank_above(1e-6) or not machine.converged:
                row["undetermined"] = 1.0
            else:
                row[norm] = machine.rank
        row["difference"] = _difference(row["fro"], row["nuc"])
        known = [row[k] for k in ("fro", "nuc") if row[k] is not None]
        row["excess"] = max(0, max(known) - min(n, d)) if known else None
        rows.append(row)
    return rows


@experiment(
    smoke=grid(n=[8], noise=[0.1], trains=["W", "KQ"], steps=[500]),
    laptop=grid(n=[8], noise=[0.1], trains=["W", "KQ"], steps=[4000]),
    paper=grid(n=[8], noise=[0.1], trains=["W", "KQ"], steps=[16_000]),
    seeds=Seeds(smoke=8, laptop=40, paper=100),
    batched=True,
    reads=("digits",),
)
def digits(n: int, noise: float, trains: str, steps: int, seeds: Sequence[int]) -> list[Row]:
    """Train on rows of digits; compare the machine of the selected rows with these weights and with foreign ones."""
    worlds = digit_worlds(n, noise, seeds)
    run = train_attention_batched(
        worlds.X, worlds.Y, worlds.z, worlds.v, factored=trains == "KQ", steps=steps, seeds=seeds
    )
    rows: list[Row] = []
    for r, seed in enumerate(seeds):
        machine = _machine(worlds, r, run.selected[r], NORMS[trains])
        own = _against(run.weights[r], machine)
        other = _against(run.weights[(r + 1) % len(seeds)], machine)
        random = _against(np.random.default_rng([DIRECTIONS, seed]).normal(size=(8, 8)), machine)
        rows.append({
            "own": own, "minus_other": _difference(own, other), "minus_random": _difference(own, random),
            "feasible": float(machine.feasible), "largest_probability": float(run.softmax[r].max(-1).mean()),
        })  # fmt: skip
    return rows


@figure(on=alignment)
def correlation_by_step(trials: Trials) -> Drawing:
    """Correlation with both machines while training."""
    return drawing.alignment(trials)


@figure(on=width)
def best_tokens_by_width(trials: Trials) -> Drawing:
    """Share of runs that select the best tokens, by width."""
    return drawing.width(trials)


@figure(on=path)
def distance_by_radius(trials: Trials) -> Drawing:
    """Distance from the machine's direction by radius."""
    return drawing.path(trials)


@figure(on=ranks)
def rank_by_width(trials: Trials) -> Drawing:
    """Rank of both machines by width."""
    return drawing.ranks(trials)
