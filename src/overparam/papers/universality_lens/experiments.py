"""Experiments of arXiv 2506.07661: classes of networks, batch learners, coins, Langevin sampling, digits, flatness."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from overparam.lab import Drawing, Progress, Seeds, Trials, experiment, figure, grid
from overparam.methods.theory.hypothesis_weight import effective_dimension, kl_ball_weight, regret_bound
from overparam.methods.theory.truth_tables import TruthTableMixture, uniform_regret
from overparam.methods.training.posterior import sample_posterior
from overparam.methods.training.sgld import langevin_variance
from overparam.models.streams import draw
from overparam.papers.universality_lens import drawing
from overparam.papers.universality_lens.digits import losses
from overparam.papers.universality_lens.worlds import (
    EPS,
    NOISE,
    batch_risks,
    expected_bound,
    log_volumes,
    network_class,
    parameters_of,
    targets,
)
from overparam.stats import spearman

Row = dict[str, Any]


@experiment(
    smoke=grid(hidden=["8", "32-32"], draws=[4_000], n=[200], sets=[40]),
    laptop=grid(hidden=["8", "64", "32-32"], draws=[100_000], n=[50, 200], sets=[100])
    + grid(hidden=["256-256"], draws=[20_000], n=[50, 200], sets=[100]),
    paper=grid(hidden=["8", "64", "32-32", "256-256"], draws=[1_000_000], n=[50, 200, 1_000], sets=[1_000]),
    seeds=Seeds(smoke=3, laptop=3, paper=10),
    sabotage="the learner ignores the weights and treats all functions of the class alike",
)
def networks(hidden: str, draws: int, n: int, sets: int, seed: int, sabotage: bool = False) -> Row:
    """Mix over random networks, learn many targets, and compare regret with the bound by weight."""
    mixture = network_class(hidden, draws, seed)
    learner = TruthTableMixture(mixture.tables, np.ones(len(mixture.tables)), noise=NOISE) if sabotage else mixture
    rng = np.random.default_rng((35, seed, n))
    regrets, bounds, excess, control = [], [], [], []
    row: Row = {"log_parameters": math.log(parameters_of(hidden)), "functions": len(mixture.tables)}
    for name, target in targets(seed).items():
        counts = mixture.sample_counts(target, n, sets, rng)
        found = learner.regret(target, counts)
        kl = mixture.divergence(target)
        bound = float(regret_bound(kl, n, log_prior=mixture.log_prior).value)
        error = float(found.std(ddof=1) / sets**0.5)
        regrets.append(float(found.mean()))
        bounds.append(bound)
        excess.append(max(0.0, regrets[-1] - 3 * error - bound))
        control.append(float(uniform_regret(target, counts, NOISE).mean()))
        if name == "constant":
            row |= {"constant": regrets[-1], "ball_mass": float(learner.ball_mass(target, counts, EPS).mean())}
            row["prior_mass"] = kl_ball_weight(kl, EPS, log_prior=mixture.log_prior).value
    return row | {
        "over_bound": max(excess),
        "rank_correlation": spearman(regrets, bounds),
        "control_spread": float(np.ptp(control)),
        "control": float(np.mean(control)),
        "range": float(np.ptp(regrets)),
        "regrets": regrets,
        "bounds": bounds,
    }


@experiment(
    smoke=grid(draws=[3_000], n=[30], paths=[5]),
    laptop=grid(draws=[30_000], n=[20, 50, 100], paths=[30]),
    paper=grid(draws=[100_000], n=[20, 50, 100, 200], paths=[100]),
    seeds=Seeds(smoke=2, laptop=3, paper=10),
)
def batch(draws: int, n: int, paths: int, seed: int) -> Row:
    """Turn the sequential mixture into batch learners and measure their exact risk."""
    mixture = network_class("8", draws, seed)
    rng = np.random.default_rng((36, seed, n))
    row: Row = {"jensen": 0.0, "averaged_over_bound": 0.0, "last_over_averaged": 0.0}
    for name in ("constant", "first bit", "majority of 3", "xor of 2"):
        target = targets(seed)[name]
        found = [batch_risks(mixture, target, n, rng) for _ in range(paths)]
        averaged = np.array([f[0] for f in found])
        online = np.array([f[1] for f in found])
        row["jensen"] = max(row["jensen"], float((averaged - online.mean(1)).max()), 0.0)
        ratio = float(averaged.mean()) * n / expected_bound(mixture, target, n)
        row["averaged_over_bound"] = max(row["averaged_over_bound"], ratio)
        row["last_over_averaged"] = max(row["last_over_averaged"], float(online[:, -1].mean() / averaged.mean()))
    return row


@experiment(
    smoke=grid(copies=[1, 3], most=[10_000]),
    laptop=grid(copies=[1, 2, 3], most=[100_000]),
    paper=grid(copies=[1, 2, 3, 5], most=[1_000_000]),
)
def coin(copies: int, most: int) -> Row:
    """Learn a coin whose probability is the product of some uniform parameters; all in closed form or quadrature."""
    from scipy.special import gammaln
    from scipy.stats import binom

    p, truth = (np.arange(40_000) + 0.5) / 40_000, 0.3
    log_density = (copies - 1) * np.log(-np.log(p)) - gammaln(copies)
    log_prior = log_density - np.logaddexp.reduce(log_density)
    kl = truth * np.log(truth / p) + (1 - truth) * np.log((1 - truth) / (1 - p))
    sizes = np.unique(np.geomspace(100, most, 7).astype(int))
    bounds = regret_bound(np.maximum(kl, 0), sizes, log_prior=log_prior).value
    regrets = []
    for n in sizes.tolist():
        k = np.arange(int(binom.ppf(1e-13, n, truth)), int(binom.isf(1e-13, n, truth)) + 1)
        chance = binom.pmf(k, n, truth)
        log_likelihood = k * math.log(truth) + (n - k) * math.log(1 - truth)
        if copies == 1:  # q(y^n) = 1 / ((n + 1) C(n, k))
            log_q = -np.log(n + 1) - (gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
        else:
            near = np.abs(p - truth) < 12 * (truth * (1 - truth) / n) ** 0.5 + 1e-3
            q, prior = p[near], log_prior[near]
            log_q = np.logaddexp.reduce(prior + k[:, None] * np.log(q) + (n - k[:, None]) * np.log(1 - q), axis=1)
        regrets.append(float(chance @ (log_likelihood - log_q) / chance.sum()))
    slope = np.polyfit(np.log(sizes), regrets, 1)[0]
    return {
        "slope_gap": abs(float(slope) - 0.5),
        "over_bound": max(0.0, float((np.array(regrets) - bounds).max())),
        "dimension": effective_dimension(np.maximum(kl, 0), 1e-4, log_prior=log_prior),
        "regrets": regrets,
        "bounds": bounds.tolist(),
        "sizes": sizes.tolist(),
    }


@experiment(
    smoke=grid(stiffness=[1.6], chains=[200], samples=[60]),
    laptop=grid(stiffness=[0.4, 0.8, 1.6], chains=[400], samples=[100]),
    paper=grid(stiffness=[0.1, 0.2, 0.4, 0.8, 1.6], chains=[2_000], samples=[500]),
    seeds=Seeds(smoke=3, laptop=5, paper=10),
)
def langevin(stiffness: float, chains: int, samples: int, seed: int) -> Row:
    """Sample a conjugate linear regression, whose posterior is known, with and without Metropolis."""
    generator = draw(44, seed)
    x = torch.randn(200, 20, generator=generator, dtype=torch.float64) * torch.linspace(
        0.5, 1.0, 20, dtype=torch.float64
    )
    y = x @ torch.randn(20, 1, generator=generator, dtype=torch.float64) + torch.randn(
        200, 1, generator=generator, dtype=torch.float64
    )
    precision, axes = torch.linalg.eigh(x.T @ x + torch.eye(20, dtype=torch.float64))
    lr = stiffness / float(precision[-1])
    mean = torch.linalg.solve(x.T @ x + torch.eye(20, dtype=torch.float64), x.T @ y)[:, 0]
    starts = [torch.nn.Linear(20, 1, bias=False, dtype=torch.float64) for _ in range(chains)]
    for start in starts:
        torch.nn.init.constant_(start.weight, 0.0)
    row: Row = {"bias": float(langevin_variance(precision, lr)[-1] * precision[-1]) - 1}
    for sampler in ("sgld", "mala"):
        found = sample_posterior(
            starts, x, y, lr=lr, samples=samples, burn_in=int(20 / stiffness), thin=max(1, int(2 / stiffness)),
            sampler=sampler, loss=lambda out, t: 0.5 * ((out - t) ** 2).mean(), generator=generator,
        )  # fmt: skip
        along = (found.ensemble.samples["weight"][:, 0] - mean) @ axes
        expected = langevin_variance(precision, lr) if sampler == "sgld" else 1 / precision
        row[sampler] = float((along.var(0) / expected).mean())
        row[f"{sampler}_stiffest"] = float(along[:, -1].var() * precision[-1])
        row[f"{sampler}_accepted"] = float(found.acceptance.mean())
    return row


@experiment(
    smoke=grid(n=[100], epochs=[60], steps=[40]),
    laptop=grid(n=[100, 300], epochs=[400], steps=[2_000]),
    paper=grid(n=[100, 300, 1_000], epochs=[2_000], steps=[50_000]),
    seeds=Seeds(smoke=2, laptop=5, paper=10),
    reads=("digits",),
)
def digits(n: int, epochs: int, steps: int, seed: int, progress: Progress) -> Row:
    """Compare posterior sampling with one trained network and with an ensemble of trained networks on digits."""
    found = losses(n, epochs, steps, seed, progress)
    base = {f"minus_{name}": found["langevin"] - found[name] for name in ("last", "stopped", "deep_ensemble")}
    return {**found, **base, "student_minus_teacher": found["student"] - found["langevin"]}


@experiment(
    smoke=grid(draws=[10_000], width=[16], steps=[200]),
    laptop=grid(draws=[200_000], width=[16], steps=[1_500]),
    paper=grid(draws=[2_000_000], width=[16, 64], steps=[5_000]),
    seeds=Seeds(smoke=2, laptop=8, paper=20),
)
def flatness(draws: int, width: int, steps: int, seed: int) -> Row:
    """Train networks on functions of many weights and correlate the volume around the solution with the weight."""
    mixture = network_class(str(width), draws, seed)
    chosen = np.array(list(targets(seed).values()))
    weights = np.array([kl_ball_weight(mixture.divergence(t), 0.0, log_prior=mixture.log_prior).value for t in chosen])
    volumes, fits = log_volumes(chosen, width, steps, seed)
    keep = fits & (weights > 0)
    return {
        "rank_correlation": spearman(np.log(weights[keep]), volumes[keep]) if keep.sum() > 3 else None,
        "compared": int(keep.sum()),
        "log_weights": np.log(weights[keep]).tolist(),
        "log_volumes": volumes[keep].tolist(),
    }


@figure(on=networks)
def regret_by_bound(trials: Trials) -> Drawing:
    """Draw regret against the bound for every target and architecture."""
    return drawing.regret_by_bound(trials)


@figure(on=networks)
def regret_by_parameters(trials: Trials) -> Drawing:
    """Draw the regret of simple targets against the number of parameters."""
    return drawing.regret_by_parameters(trials)


@figure(on=digits)
def digits_losses(trials: Trials) -> Drawing:
    """Draw the log-loss of every learner on digits."""
    return drawing.digits_losses(trials)


@figure(on=flatness)
def volume_by_weight(trials: Trials) -> Drawing:
    """Draw the volume around trained networks against the weight of their function."""
    return drawing.volume_by_weight(trials)
