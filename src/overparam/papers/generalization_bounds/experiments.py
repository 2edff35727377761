"""Experiments of arXiv 2309.13658: two worlds, a hidden coin, a finite field, many networks, stable learners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overparam.lab import Drawing, Progress, Seeds, Trials, experiment, figure, first_available, grid
from overparam.methods.measures.generalization import compute_measures
from overparam.methods.measures.measure_agreement import tightness
from overparam.methods.theory.estimability import two_worlds
from overparam.papers.generalization_bounds import drawing
from overparam.papers.generalization_bounds.coin import coin_trials
from overparam.papers.generalization_bounds.learners import biased_learner, stable_learner
from overparam.papers.generalization_bounds.networks import measured_networks
from overparam.papers.generalization_bounds.setting import (
    build,
    error,
    fit,
    fit_each,
    generator,
    plain,
    read,
    shuffled_labels,
)

Row = dict[str, Any]
KINDS = ("real", "poisoned", "random")
LONG = 30 * 86_400.0  # a paper-scale trial takes days on one core
FIVE = Seeds(smoke=5, laptop=5, paper=10)


@experiment(
    smoke=grid(data=["digits"], size=[100], poison=[100], model=["mlp-64"], rounds=[600]),
    laptop=grid(data=["digits"], size=[300], poison=[700], model=["mlp-256"], rounds=[2_000]),
    paper=grid(data=["cifar10"], size=[25_000], poison=[20_000], model=["resnet18"], rounds=[300]),
    seeds=Seeds(smoke=3, laptop=5, paper=3), reads=("data",), time_limit=LONG,
    sabotage="the bound also sees labels outside the training set",
)  # fmt: skip
def worlds(
    data: str, size: int, poison: int, model: str, rounds: int, seed: int, progress: Progress, sabotage: bool = False
) -> Row:
    """Train three networks that fit one sample, and put each into two worlds that share hypothesis and sample."""
    split = read(data, size, seed)
    row: Row = {}
    measures: list[dict[str, float]] = []
    losses: list[tuple[float, float]] = []
    for done, kind in enumerate(KINDS):
        progress.step(done, len(KINDS), f"{kind} labels")
        network, start, y = _interpolate(kind, split, poison, model, rounds, seed)
        found = compute_measures(network, start, (split.x, y), seed=seed)
        world = two_worlds(network, (split.x, y), split.pool, classes=10, bounds=found)
        measures.append(found)
        losses.append((world.loss_a, world.loss_b))
        row |= {f"error_{kind}": error(network, split.pool, split.pool_y), **plain(found, f"{kind}:")}
    seen = [
        {name: b for name, b in found.items() if max(m[name] for m in measures) < float("inf")} for found in measures
    ]
    names = list(seen[0])
    table = {n: [b[n] for b, pair in zip(seen, losses, strict=True) for _ in pair] for n in names}
    truth = [loss for pair in losses for loss in pair]
    if sabotage:
        table = dict.fromkeys(names, truth)
    scores = tightness({**table, "loss": truth}, names, gap="loss")
    half = max(b - a for a, b in losses) / 2
    return {
        **row,
        "loss_b": losses[0][1],
        "measures": len(names),
        "least_error": min(s.sup_error for s in scores.values()),
        "least_affine_error": min(s.affine_sup_error for s in scores.values()),
        "short_of_half_gap": max(0.0, half - min(s.affine_sup_error for s in scores.values())),
    }


def _interpolate(kind: str, split: Any, poison: int, model: str, rounds: int, seed: int) -> tuple[Any, Any, Any]:
    """A network that fits the sample: with real labels, with wrong ones outside the sample, or with random ones."""
    import torch

    draw = generator(seed, KINDS.index(kind))
    y, x = split.y, split.x
    if kind == "random":
        y = torch.randint(0, 10, y.shape, generator=draw)
    labels = y
    if kind == "poisoned":
        x = torch.cat([x, split.pool[:poison]])
        labels = torch.cat([y, shuffled_labels(split.pool_y[:poison], 1.0, draw)])
    network = build(model, split.x, generator(seed, 9))
    start = {name: w.clone() for name, w in network.state_dict().items()}
    if model.startswith("mlp"):
        network = fit(
            [network], x, labels[None], rates=[0.02], decays=[0.0], batch=32, draw=draw, rounds=rounds
        ).models[0]  # fmt: skip
    else:
        network = fit_each(network, x, labels, draw=draw, rounds=rounds)
    return network, start, y


@experiment(
    smoke=grid(trials=[200], d=[10_000], n=[10]),
    laptop=grid(trials=[2_000], d=[10_000], n=[10]),
    paper=grid(trials=[2_000], d=[10_000], n=[10]),
    seeds=Seeds(smoke=4, laptop=10, paper=20), sabotage="the estimators see the coin", time_limit=LONG,
)  # fmt: skip
def coin(trials: int, d: int, n: int, seed: int, sabotage: bool = False) -> Row:
    """Try to tell from hypothesis and sample whether the hypothesis is the target."""
    return coin_trials(trials, d, n, seed, sabotage)


_FIELD: Mapping[str, Any] = {"d": [40], "n": [20], "trials": [1_000]}


@experiment(
    smoke=grid(q=[101], slack=[0, 4], **_FIELD),
    laptop=grid(q=[2, 5, 101], slack=[0, 1, 2, 3, 4], **_FIELD),
    paper=grid(q=[2, 5, 101], slack=[0, 1, 2, 3, 4], d=[200], n=[100], trials=[1_000]),
    seeds=FIVE, sabotage="the estimator is told which kind of target it faces", time_limit=LONG,
)  # fmt: skip
def finite_field(q: int, slack: int, d: int, n: int, trials: int, seed: int, sabotage: bool = False) -> Row:
    """Learn linear functions with a preference for n − slack coordinates, and estimate the error."""
    return biased_learner(q, d, n, n - slack, trials, seed, sabotage)


@experiment(
    smoke=grid(data=["digits"], size=[100], factorial=["2x2x2"], rounds=[600]),
    laptop=grid(data=["digits"], size=[300], factorial=["2^6"], rounds=[1_500]),
    paper=grid(data=first_available("cifar10"), size=[50_000], factorial=["3^6"], rounds=[500]),
    seeds=Seeds(smoke=2, laptop=5, paper=5), reads=("data",), time_limit=LONG,
)  # fmt: skip
def networks(data: str, size: int, factorial: str, rounds: int, seed: int, progress: Progress) -> Row:
    """Train a factorial of networks and take every measure of each."""
    return measured_networks(data, size, factorial, rounds, seed, progress)


@experiment(
    smoke=grid(data=["digits"], algorithm=["constant", "nearest"], n=[100], trials=[20])
    + grid(data=["digits"], algorithm=["parity"], n=[20], trials=[100]),
    laptop=grid(data=["digits"], algorithm=["constant", "memorise", "nearest"], n=[300], trials=[100])
    + grid(data=["digits"], algorithm=["parity"], n=[20], trials=[250]),
    paper=grid(data=["digits"], algorithm=["constant", "memorise", "nearest"], n=[300], trials=[1_000])
    + grid(data=["digits"], algorithm=["parity"], n=[20, 200], trials=[1_000]),
    seeds=FIVE, reads=("data",), time_limit=LONG,
)  # fmt: skip
def stability(data: str, algorithm: str, n: int, trials: int, seed: int) -> Row:
    """Estimate the error of a learner from its sample; see how far it moves when an example is left out."""
    return stable_learner(algorithm, data, n, trials, seed)


@figure(on=worlds)
def measures_in_two_worlds(trials: Trials) -> Drawing:
    """Draw measures of three networks against their errors."""
    return drawing.two_worlds(trials)


@figure(on=finite_field)
def trade_off(trials: Trials) -> Drawing:
    """Draw the failures of the best estimator by the richness of the class."""
    return drawing.trade_off(trials)


@figure(on=networks)
def ranks(trials: Trials) -> Drawing:
    """Draw the rank correlation of each measure on its best and worst axis."""
    return drawing.ranks(trials)
