"""Experiments of arXiv 2011.14522: how far features move with width, exact limits, and what the limits are good for."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from overparam.data import load
from overparam.lab import Drawing, Progress, Seeds, Trials, experiment, figure, grid
from overparam.methods.scaling.abc import ABC, REGIMES, scan_points
from overparam.methods.scaling.abc_mlp import ABCMLP, feature_movement, movement_slopes
from overparam.methods.scaling.infinite_width import InfiniteLinear
from overparam.methods.scaling.mup import MuReadout, mup_, mup_param_groups
from overparam.models.mlp import mlp
from overparam.models.streams import draw
from overparam.papers.feature_learning import drawing
from overparam.papers.feature_learning.omniglot import few_shot_accuracy as few_shot_accuracy
from overparam.papers.feature_learning.omniglot import omniglot as omniglot
from overparam.papers.feature_learning.words import covered_analogies as covered_analogies
from overparam.papers.feature_learning.words import encyclopedia as encyclopedia
from overparam.papers.feature_learning.words import planted_analogies as planted_analogies
from overparam.papers.feature_learning.words import words as words

Row = dict[str, Any]
Array = NDArray[np.float64]
FAMILY = {
    "SP": ABC.sp(2),
    "SP, rate fixed": ABC.sp(2, c=0),
    "NTK": ABC.ntk(2),
    "muP": ABC.mup(2),
    "mean field": ABC.mean_field(),
}
ETA = 1.0  # inputs have a norm of about 1 and the loss is a mean, so that changes are of the order of the weights
BASE = 64
RATES = tuple(2.0**k for k in range(-6, 3))
CEILING = 10.0  # where training diverges the loss counts as this, well above that of a guess
INPUTS, ORDER, WEIGHTS, SAMPLE, SCAN = 11, 12, 13, 14, 15  # roles that share no random numbers


def _inputs(count: int, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng([INPUTS, seed])
    return rng.normal(0.0, 0.25, (count, 16)), rng.choice([-1.0, 1.0], count)


@experiment(
    smoke=grid(parametrisation=list(FAMILY), width=[128, 512]),
    laptop=grid(parametrisation=list(FAMILY), width=[256, 512, 1024, 2048]),
    paper=grid(parametrisation=list(FAMILY), width=[1024, 2048, 4096, 8192, 16384]),
    seeds=Seeds(smoke=8, laptop=16, paper=16), batched=True,
    sabotage="maximal updates without the multiplier of the readout",
)  # fmt: skip
def movement(parametrisation: str, width: int, seeds: Sequence[int], sabotage: bool = False) -> list[Row]:
    """Take three steps of SGD and see how far each layer, the outputs and the tangent kernel moved."""
    abc = FAMILY[parametrisation]
    if sabotage and parametrisation == "muP":
        abc = ABC((*abc.a[:-1], 0.0), abc.b, abc.c)
    rows = []
    for seed in seeds:
        found = feature_movement([abc], width, *_inputs(16, seed), eta=ETA, seed=seed)
        values = {
            "first": found.features[0, 0] / found.residual[0],
            "features": found.features[0, -1] / found.residual[0],
            "outputs": found.outputs[0] / found.residual[0],
            "start": found.start[0],
            "kernel": found.kernel[0],
        }
        rows.append({"log_width": math.log(width)} | {f"log_{k}": float(np.log(v)) for k, v in values.items()})
    return rows


@experiment(
    smoke=grid(widest=[256], networks=[2], points=[2]),
    laptop=grid(widest=[2048], networks=[8], points=[10]),
    paper=grid(widest=[16384], networks=[8], points=[20]),
    seeds=Seeds(smoke=2, laptop=5, paper=10),
)
def dichotomy(widest: int, networks: int, points: int, seed: int) -> Row:
    """Draw parametrisations of each regime and tell the regime from slopes between two widths alone."""
    rng = np.random.default_rng([SCAN, seed])
    family = [abc for regime in REGIMES for abc in scan_points(regime, points, rng)]
    widths, drawn = [widest // 4, widest], range(networks * seed, networks * (seed + 1))
    found = movement_slopes(family, widths, *_inputs(8, seed), eta=ETA, seeds=drawn)
    right = {r: [s.regime() == r for p, s in zip(family, found, strict=True) if p.regime() == r] for r in REGIMES}
    pairs = [(p, s) for p, s in zip(family, found, strict=True) if p.stable()]
    return {
        "agreement_all": float(np.mean([v for values in right.values() for v in values])),
        **{f"agreement_{r}": float(np.mean(values)) for r, values in right.items()},
        "r": [p.r() for p, _ in pairs],
        "slope": [s.features for _, s in pairs],
        "regime": [REGIMES.index(p.regime()) for p, _ in pairs],
    }


@experiment(
    smoke=grid(width=[48], points=[2]), laptop=grid(width=[48, 200], points=[10]),
    paper=grid(width=[48, 200], points=[20]),
    seeds=Seeds(smoke=2, laptop=5, paper=5),
)  # fmt: skip
def gauge(width: int, points: int, seed: int) -> Row:
    """Train stable networks in two gauges of the same parametrisation, by automatic differentiation."""
    rng = np.random.default_rng([SCAN, seed, 1])
    x, y = (torch.from_numpy(v) for v in _inputs(8, seed))
    gaps = []
    for abc in (p for regime in REGIMES[:3] for p in scan_points(regime, points, rng)):
        pair = []
        for form in (abc, abc.shift(float(rng.uniform(-1.0, 1.0)))):
            net = ABCMLP(16, width, 1, form, seed=seed, dtype=torch.float64)
            optimiser = net.sgd(ETA)
            for _ in range(3):
                optimiser.zero_grad()
                loss = ((net(x)[:, 0] - y) ** 2).mean() / 2
                loss.backward()
                optimiser.step()
            pair.append(net(x).detach())
        gaps.append(float((pair[0] - pair[1]).norm() / pair[0].norm()))
    return {"gap": max(gaps)}


@experiment(
    smoke=grid(width=[64, 256], steps=[10]), laptop=grid(width=[64, 256, 1024, 4096], steps=[100]),
    paper=grid(width=[64, 256, 1024, 4096, 16384], steps=[1000]),
    seeds=Seeds(smoke=3, laptop=8, paper=10), reads=("digits",),
)  # fmt: skip
def limit(width: int, steps: int, seed: int) -> Row:
    """Train the limit and a network drawn from it on the same batches; take the largest gap of their logits."""
    x, y = _digits(1024)
    probe = x[:128]
    infinite = InfiniteLinear(64, 10, bias_mult=1.0).double()
    finite = infinite.sample(width, draw(SAMPLE, seed, width))
    order = draw(ORDER, seed)
    optimisers = [torch.optim.SGD(net.parameters(), lr=0.5) for net in (infinite, finite)]
    gap, loss = 0.0, 0.0
    for _ in range(steps):
        rows = torch.randint(0, len(x), (32,), generator=order)
        for net, optimiser in zip((infinite, finite), optimisers, strict=True):
            optimiser.zero_grad()
            functional.cross_entropy(net(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        with torch.no_grad():
            logits = infinite(probe)
            gap = max(gap, float((logits - finite(probe)).abs().max()))
            loss = float(functional.cross_entropy(logits, y[:128]))
    return {"log_width": math.log(width), "gap": gap, "log_gap": math.log(gap), "loss": loss}


@functools.lru_cache(maxsize=4)
def _digits(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Digits of unit norm, in double precision."""
    images = load("digits", split="train")
    x = torch.from_numpy(images.images[:count].reshape(count, -1)).double()
    return x / x.norm(dim=1, keepdim=True), torch.from_numpy(images.labels[:count])


@experiment(
    smoke=grid(parametrisation=["SP", "muP"], widest=[128], count=[64]),
    laptop=grid(parametrisation=["SP", "muP"], widest=[512], count=[256]),
    paper=grid(parametrisation=["SP", "muP"], widest=[4096], count=[1024]),
    seeds=Seeds(smoke=2, laptop=5, paper=10), reads=("digits",),
    sabotage="maximal updates without the multiplier of the readout",
)  # fmt: skip
def transfer(
    parametrisation: str, widest: int, count: int, seed: int, progress: Progress, sabotage: bool = False
) -> Row:
    """Train networks of several widths at nine learning rates, and compare their curves of loss against rate."""
    widths = [BASE * 2**k for k in range(int(math.log2(widest // BASE)) + 1)]
    losses = np.empty((len(widths), len(RATES)))
    for i, width in enumerate(widths):
        for k, rate in enumerate(RATES):
            progress.step(i * len(RATES) + k, losses.size, f"{parametrisation}, width {width}")
            losses[i, k] = _trained(parametrisation, width, rate, count, seed, sabotage)
    best = losses.argmin(1)
    below = losses[:, : max(1, best[0])]
    return {
        "gap": float(np.abs(below[1:] - below[0]).mean()),
        "drift": float(abs(best[-1] - best[0])),
        "widths": widths,
        "losses": losses.ravel().tolist(),
    }


def _trained(parametrisation: str, width: int, rate: float, count: int, seed: int, sabotage: bool) -> float:
    """Loss after 25 full-batch steps, or the ceiling."""
    x, y = _digits(count)
    x = 8 * x.float()  # entries of order 1

    def make(n: int) -> nn.Module:
        return mlp(64, [n, n], 10, generator=draw(WEIGHTS, seed))

    model = make(width)
    groups: Any = model.parameters()
    if parametrisation == "muP":
        mup_(model, BASE, make=make)
        groups = mup_param_groups(model, rate)
        if sabotage:
            for layer in model.modules():
                if isinstance(layer, MuReadout):
                    layer.width_mult = 1.0
    optimiser = torch.optim.SGD(groups, lr=rate)
    for _ in range(25):
        optimiser.zero_grad()
        functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        loss = float(functional.cross_entropy(model(x), y))
    return min(loss, CEILING) if math.isfinite(loss) else CEILING


@figure(on=movement)
def feature_change(trials: Trials) -> Drawing:
    """How far the features move, by width."""
    return drawing.features(trials)


@figure(on=dichotomy)
def predicted_and_measured(trials: Trials) -> Drawing:
    """Exponent of the feature change against the number that predicts it."""
    return drawing.exponents(trials)


@figure(on=limit)
def gap_to_the_limit(trials: Trials) -> Drawing:
    """Largest gap of logits by width."""
    return drawing.gap(trials)


@figure(on=transfer)
def loss_by_rate(trials: Trials) -> Drawing:
    """Loss against learning rate at several widths."""
    return drawing.rates(trials, RATES)
