"""Experiments of arXiv 2303.01566: factor models, mixtures, contrastive pairs, a missing condition, digits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from overparam.lab import Drawing, Progress, Seeds, Trials, experiment, figure, grid
from overparam.methods.theory.contrastive import ContrastiveMLE
from overparam.methods.theory.factor_model import FactorMLE
from overparam.methods.theory.pretraining_plan import PretrainingPlan
from overparam.methods.theory.spherical_mixture import SphericalGMM
from overparam.methods.theory.two_phase import MajorityHead, TwoPhase
from overparam.papers.unsupervised_pretraining import drawing
from overparam.papers.unsupervised_pretraining.conditions import lost
from overparam.papers.unsupervised_pretraining.digits import accuracies
from overparam.papers.unsupervised_pretraining.worlds import (
    NOISE,
    factor_world,
    factors_of,
    labelled,
    minimum_norm,
    mixture_world,
    on_span,
    pair_world,
    ridge_path,
    tuned_ridge,
    zero_one_excess,
)

Row = dict[str, Any]
MANY = Seeds(smoke=10, laptop=60, paper=100)


def _logs(row: Mapping[str, float], of: str = "two_phase") -> dict[str, float]:
    """Log ratios of the two-phase route to the others; excesses of exactly 0 count as one in a million."""
    mine = math.log(max(row[of], 1e-6))
    return {f"against_{name}": mine - math.log(max(value, 1e-6)) for name, value in row.items() if name != of}


@experiment(
    smoke=grid(d=[20], r=[2], m=[200, 2_000, 20_000], n=[20, 80, 320]),
    laptop=grid(d=[50], r=[3], m=[50, 200, 1_000, 5_000, 20_000], n=[10, 20, 40, 80, 160, 320, 640])
    + grid(d=[50], r=[3], m=[200, 1_000, 5_000, 20_000], n=[4_000]),  # where unlabelled inputs are the bottleneck
    paper=grid(
        d=[50, 200], r=[3], m=[50, 200, 1_000, 5_000, 20_000, 1_000_000], n=[10, 20, 40, 80, 160, 320, 640, 4_000]
    ),
    seeds=MANY,
    batched=True,
    sabotage="the representation is a random subspace instead of the one of the unlabelled inputs",
)
def factor(d: int, r: int, m: int, n: int, seeds: Sequence[int], sabotage: bool = False) -> list[Row]:
    """Learn with m unlabelled and n labelled examples of a factor model, and without the unlabelled ones."""
    rows = []
    for seed in seeds:
        model = factor_world(d, r, seed)
        x, y = model.sample(n, labelled(d, seed))
        rng = np.random.default_rng((4, seed, m))
        if sabotage:
            basis = np.linalg.qr(rng.standard_normal((d, r)))[0]
        else:
            basis = FactorMLE(r).fit_covariance(model.sample_covariance(m, rng)).basis_
        truth = np.linalg.qr(model.loadings)[0]
        weights = [on_span(basis, x, y), on_span(truth, x, y), minimum_norm(x, y), tuned_ridge(x, y)]
        weights.append(on_span(factors_of(x, r), x, y))
        names = ("two_phase", "known", "least_squares", "ridge", "labelled_only")
        row = dict(zip(names, map(float, model.excess(np.stack(weights))), strict=True))
        row["best_ridge"] = float(model.excess(ridge_path(x, y)).min())
        bound = (1 + NOISE**2) * (math.sqrt(d * r / m) + math.sqrt(r / n))
        predicted = float(PretrainingPlan.of(model).excess(m, n))
        rows.append(row | _logs(row) | {"over_bound": row["two_phase"] / bound, "predicted": predicted})
    return rows


@experiment(
    smoke=grid(d=[20, 80], r=[2], n=[200], m=[100_000]) + grid(d=[20], r=[1, 4], n=[200], m=[100_000]),
    laptop=grid(d=[20, 50, 100, 200], r=[3], n=[300], m=[100_000]) + grid(d=[50], r=[1, 2, 4, 8], n=[300], m=[100_000]),
    paper=grid(d=[20, 50, 100, 200], r=[3], n=[300], m=[1_000_000])
    + grid(d=[50], r=[1, 2, 4, 8], n=[300], m=[1_000_000]),
    seeds=Seeds(smoke=20, laptop=100, paper=200),
    batched=True,
)
def dimension(d: int, r: int, n: int, m: int, seeds: Sequence[int]) -> list[Row]:
    """Vary the number of inputs and of factors with unlabelled inputs in plenty."""
    rows = []
    for seed in seeds:
        model = factor_world(d, r, seed)
        x, y = model.sample(n, labelled(d, seed))
        covariance = model.sample_covariance(m, np.random.default_rng((4, seed, m)))
        basis = FactorMLE(r).fit_covariance(covariance).basis_
        two_phase, supervised = model.excess(np.stack([on_span(basis, x, y), minimum_norm(x, y)]))
        rows.append({
            "log_d": math.log(d),
            "log_r": math.log(r),
            "two_phase": float(two_phase),
            "least_squares": float(supervised),
            "log_two_phase": math.log(two_phase),
            "log_least_squares": math.log(supervised),
            "over_formula": float(two_phase / PretrainingPlan.of(model).excess(m, n)),
        })
    return rows


@experiment(
    smoke=grid(d=[20], k=[4], m=[2_000], n=[20]),
    laptop=grid(d=[50], k=[8], m=[4_000], n=[20, 40, 80, 160, 320]) + grid(d=[50], k=[8], m=[50, 200, 800], n=[320]),
    paper=grid(d=[50], k=[8], m=[50, 200, 800, 4_000, 20_000], n=[20, 40, 80, 160, 320, 1_280]),
    seeds=Seeds(smoke=5, laptop=20, paper=50),
)
def mixture(d: int, k: int, m: int, n: int, seed: int) -> Row:
    """Learn labels that depend on the component of a Gaussian mixture."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    world = mixture_world(d, k, seed)
    unlabelled, _ = world.sample(m, np.random.default_rng((5, seed, m)))
    x, y = world.sample(n, np.random.default_rng((6, seed)))
    test, _ = world.sample(2_000, np.random.default_rng((7, seed)))
    chance = world.chance(test)
    components = SphericalGMM(k, seed=seed).fit(unlabelled)
    routes = {
        "two_phase": TwoPhase(components, MajorityHead()).fit(x, y),
        "labelled_only": TwoPhase(SphericalGMM(k, seed=seed), MajorityHead()).fit(x, y, X_unlabelled=x),
        "logistic": LogisticRegression(max_iter=1_000).fit(x, y),
        "neighbours": KNeighborsClassifier(min(5, n)).fit(x, y),
    }
    row = {name: zero_one_excess(chance, route.predict(test)) for name, route in routes.items()}
    gap = components.log_likelihood_ - world.components().log_likelihood(unlabelled)
    differences = {f"minus_{name}": row["two_phase"] - value for name, value in row.items() if name != "two_phase"}
    bound = math.sqrt(d * k / m) + math.sqrt(k / n)
    return {**row, **differences, "over_bound": row["two_phase"] / bound, "likelihood_gain": gap}


@experiment(
    smoke=grid(d=[10], r=[2], m=[100, 2_000], n=[20]),
    laptop=grid(d=[30], r=[3], m=[500, 1_000, 2_000, 8_000], n=[60]) + grid(d=[30], r=[3], m=[8_000], n=[30, 240]),
    paper=grid(d=[30], r=[3], m=[500, 1_000, 2_000, 8_000, 32_000], n=[30, 60, 240]),
    seeds=Seeds(smoke=5, laptop=20, paper=50),
)
def contrastive(d: int, r: int, m: int, n: int, seed: int) -> Row:
    """Learn a linear response of features that only pairs reveal."""
    world = pair_world(d, r, seed)
    rng = np.random.default_rng((8, seed))
    coefficients = rng.standard_normal(r)
    truth = world.theta.T @ (coefficients / np.linalg.norm(coefficients))
    x = rng.standard_normal((n, d))
    y = x @ truth + NOISE * rng.standard_normal(n)
    x1, x2, t = world.pairs(m, np.random.default_rng((9, seed, m)))
    basis = np.linalg.qr(ContrastiveMLE(r, seed=seed).fit(x1, x2, t).theta_.T)[0]
    weights = {
        "two_phase": on_span(basis, x, y),
        "least_squares": minimum_norm(x, y),
        "ridge": tuned_ridge(x, y),
        "known": on_span(np.linalg.qr(world.theta.T)[0], x, y),
    }
    row = {name: float(((w - truth) ** 2).sum()) for name, w in weights.items()}
    bound = (4 + NOISE**2) * (math.sqrt(d * r / m) + math.sqrt(r / n))
    return {**row, **_logs(row), "over_bound": row["two_phase"] / bound}


@experiment(
    smoke=grid(case=["factor", "mixture", "pairs"], n=[6_400]),
    laptop=grid(case=["factor", "mixture", "pairs"], n=[100, 400, 1_600, 6_400]),
    paper=grid(case=["factor", "mixture", "pairs"], n=[100, 400, 1_600, 6_400, 25_600]),
    seeds=Seeds(smoke=2, laptop=10, paper=30),
)
def condition(case: str, n: int, seed: int) -> Row:
    """Let labels depend on what the latent variable does not hold, and see what either route loses."""
    two_phase, supervised = lost(case, n, seed)
    return {"two_phase": two_phase, "supervised": supervised}


@experiment(
    smoke=grid(n=[20]),
    laptop=grid(n=[10, 20, 50, 100, 200]),
    paper=grid(n=[10, 20, 50, 100, 200, 500]),
    seeds=Seeds(smoke=2, laptop=20, paper=50),
    reads=("digits",),
)
def digits(n: int, seed: int, progress: Progress) -> Row:
    """Pretrain on 1,000 digits without labels, then learn from n with labels."""
    found = accuracies(n, seed, progress)
    best = max(found[name] for name in ("ridge", "logistic", "neighbour"))
    return {**found, **{f"gain_{name}": found[name] - best for name in ("factor", "mixture", "pairs")}}


@figure(on=factor)
def excess_by_labels(trials: Trials) -> Drawing:
    """Draw excess risk against labels for every route."""
    return drawing.excess_by_labels(trials)


@figure(on=factor)
def where_pretraining_wins(trials: Trials) -> Drawing:
    """Draw the ratio of both routes over unlabelled and labelled examples."""
    return drawing.where_pretraining_wins(trials)


@figure(on=contrastive)
def pairs_needed(trials: Trials) -> Drawing:
    """Draw excess risk against the number of pairs."""
    return drawing.pairs_needed(trials)


@figure(on=condition)
def what_is_lost(trials: Trials) -> Drawing:
    """Draw what is lost when the latent variable does not hold the label."""
    return drawing.what_is_lost(trials)


@figure(on=digits)
def digits_by_labels(trials: Trials) -> Drawing:
    """Draw accuracy on digits against labels."""
    return drawing.digits_by_labels(trials)
