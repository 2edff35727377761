"""Experiments of arXiv 2203.10036: coherence by label noise, easy and hard examples, robust averages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from overparam.lab import Drawing, Progress, Seeds, Trials, experiment, figure, first_available, grid
from overparam.methods.measures.coherence import coherence, subset_coherence
from overparam.methods.training.coherent_gradients import RollingMedian, Rule, learning_time, robust_step
from overparam.methods.training.fixed_steps import batch_order, logits_of
from overparam.models.streams import draw
from overparam.papers.gradient_coherence import drawing
from overparam.papers.gradient_coherence.setting import ORDER, SPLIT, accuracy, build, read_task, redraw, train
from overparam.stats import spearman

Row = dict[str, Any]
SMOKE: Mapping[str, Any] = {"data": ["digits"], "size": [500], "model": ["mlp-128"], "epochs": [30]}
LAPTOP: Mapping[str, Any] = {**SMOKE, "data": first_available("mnist", "digits"), "size": [1000], "epochs": [100]}
PAPER: Mapping[str, Any] = {"data": ["cifar10"], "size": [50_000], "model": ["resnet18"], "epochs": [100]}
PHOTOS: Mapping[str, Any] = {
    "data": first_available("cifar10"), "size": [5000], "model": ["cnn"], "epochs": [5], "share": [0.0, 1.0]
}  # fmt: skip
LEVELS = [0.0, 0.25, 0.5, 0.75, 1.0]
EARLY, MEASURED, RATE, BATCH = 5, 1000, 0.1, 100
SHUFFLED = "the labels that should be real are drawn at random, too"
PLAIN = "the plain mean takes the place of every robust average"
LONG = 30 * 86_400.0  # seconds; a paper-scale trial takes days on one core


@experiment(
    smoke=grid(m=[50], strength=[1.0]), laptop=grid(m=[50, 500], strength=[0.5, 1.0]),
    paper=grid(m=[50, 500], strength=[0.5, 1.0]), seeds=Seeds(smoke=10, laptop=20, paper=20),
)  # fmt: skip
def shared_feature(m: int, strength: float, seed: int) -> Row:
    """Linear model at zero; each input has a shared feature of sign s and one of its own that shows the label."""
    rng = np.random.default_rng(seed)
    y = rng.choice([-1.0, 1.0], m)
    model = nn.Linear(m + 1, 1, bias=False, dtype=torch.float64)
    half = lambda z, t, reduction: 0.5 * functional.mse_loss(z, t, reduction=reduction)  # noqa: E731

    def measure(signs: np.ndarray) -> tuple[float, np.ndarray]:
        x = torch.from_numpy(np.column_stack([strength * signs, np.diag(y)]))
        nn.init.zeros_(model.weight)
        found = coherence(model, half, (x, torch.from_numpy(y)[:, None]))
        loss = 0.5 * functional.mse_loss(model(x), torch.from_numpy(y)[:, None])
        return found.alpha, -torch.autograd.grad(loss, model.weight)[0][0].numpy()

    alpha, step = measure(y)
    random = [measure(rng.choice([-1.0, 1.0], m)) for _ in range(200)]
    fresh = rng.choice([-1.0, 1.0], (2, 2000))
    right = [
        np.mean(np.sign(w * fresh[0]) == fresh[0 if real else 1]) for real, w in ((1, step[0]), (0, random[0][1][0]))
    ]
    return {
        "alpha_error": alpha - (strength**2 + 1 / m) / (strength**2 + 1),
        "growth_error": float(np.abs(step[0] / np.abs(step[1:])).max()) / (strength * m) - 1,
        "m_coherence": m * alpha,
        "random_m_coherence": m * float(np.mean([a for a, _ in random])),
        "accuracy_gap": 100 * float(right[0] - right[1]),
    }


@experiment(
    smoke=grid(**SMOKE, share=LEVELS), laptop=grid(**LAPTOP, share=LEVELS), paper=grid(**PAPER, share=LEVELS),
    seeds=Seeds(smoke=4, laptop=5, paper=3), batched=True, reads=("data",), sabotage=SHUFFLED, time_limit=LONG,
)  # fmt: skip
def noise(
    data: str, size: int, model: str, epochs: int, share: float,
    seeds: Sequence[int], progress: Progress, sabotage: bool = False,
) -> list[Row]:  # fmt: skip
    """Train on labels of which a share is redrawn; follow coherence, fit and test accuracy."""
    task = read_task(data, size)
    given = torch.stack([redraw(task.y, 1.0 if sabotage else share, task.classes, s) for s in seeds])
    at = [e for e in (0, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 45, 70, 100) if e <= epochs]
    progress.step(0, 1, f"training {len(seeds)} networks, {share:.0%} noise")
    path = train(task, given, model, seeds, epochs=at, batch=BATCH, rate=RATE)
    rows = []
    for k, labels in enumerate(given):
        progress.step(1 + k, 1 + len(seeds), f"coherence of network {k + 1}")
        nets = [path[e][k] for e in at]
        found = [coherence(net, functional.cross_entropy, (task.x[:MEASURED], labels[:MEASURED])) for net in nets]
        row: Row = {
            "epoch": at,
            "m_coherence": [f.m_coherence for f in found],
            "sq_norm": [f.mean_sq_norm for f in found],
            "start": found[0].m_coherence,
            "peak": max(f.m_coherence for f, e in zip(found, at, strict=True) if e <= EARLY),
            "disagreement": float(np.trapezoid([1 - f.alpha for f in found], at) / at[-1]),
            "displacement": float(np.trapezoid([math.sqrt(2 * (1 - f.alpha) * f.mean_sq_norm) for f in found], at)),
        }
        rows.append(row | fits_along(task, nets, labels, at, share))
    return rows


def fits_along(task: Any, nets: Sequence[nn.Module], labels: torch.Tensor, at: Sequence[int], share: float) -> Row:
    """Fit of right and wrong labels, test accuracy and gap along a run."""
    wrong = labels != task.y
    test = [accuracy(net, task.test_x, task.test_y) for net in nets]
    fitted = [logits_of(net, task.x).argmax(1) == labels for net in nets]
    train_end = 100 * float(fitted[-1].double().mean())
    chance = 100 / task.classes  # a redrawn test label is right by chance
    row: Row = {"test": test, "gap": train_end - ((1 - share) * test[-1] + share * chance)}
    if not bool(wrong.any()) or not bool((~wrong).any()) or share != 0.5:
        return row | dict.fromkeys(("late_memory", "decline", "right_first", "agreement_gap"))
    best = int(np.argmax(test))
    right_fit, wrong_fit = ([100 * float(f[part].double().mean()) for f in fitted] for part in (~wrong, wrong))
    half = next((e for e, v in zip(at, wrong_fit, strict=True) if v >= 50), None)
    early = [
        subset_coherence(net, functional.cross_entropy, (task.x[:MEASURED], labels[:MEASURED]), wrong[:MEASURED].long())
        for net, e in zip(nets, at, strict=True) if 1 <= e <= EARLY
    ]  # fmt: skip
    return row | {
        "right_fit": right_fit,
        "wrong_fit": wrong_fit,
        "late_memory": None if half is None else half - at[best],
        "decline": test[best] - test[-1],
        "right_first": right_fit[best] - wrong_fit[best],
        "agreement_gap": float(np.mean([g[0].alpha_unbiased - g[1].alpha_unbiased for g in early])),
    }


@experiment(
    laptop=grid(**PHOTOS), paper=grid(**{**PHOTOS, "size": [50_000], "model": ["resnet18"]}),
    seeds=Seeds(laptop=5, paper=3), batched=True, reads=("data",), sabotage=SHUFFLED, time_limit=LONG,
)  # fmt: skip
def photographs(
    data: str, size: int, model: str, epochs: int, share: float,
    seeds: Sequence[int], progress: Progress, sabotage: bool = False,
) -> list[Row]:  # fmt: skip
    """Coherence of a convolutional network on photographs, early in training."""
    return noise(data, size, model, epochs, share, seeds, progress, sabotage)


@experiment(
    smoke=grid(**SMOKE), laptop=grid(**{**LAPTOP, "epochs": [40]}), paper=grid(**PAPER),
    seeds=Seeds(smoke=4, laptop=6, paper=3), batched=True, reads=("data",), time_limit=LONG,
)  # fmt: skip
def easy_hard(data: str, size: int, model: str, epochs: int, seeds: Sequence[int], progress: Progress) -> list[Row]:
    """Tell easy from hard examples by when other runs learn them; measure coherence, and the gap on their own kind."""
    task = read_task(data, size)
    given = task.y.expand(len(seeds), -1)
    progress.step(0, 2, f"training {len(seeds)} networks")
    path = train(task, given, model, seeds, epochs=range(epochs + 1), batch=BATCH, rate=RATE)
    times = torch.stack([
        learning_time(torch.stack([logits_of(path[e][k], task.x).argmax(1) == task.y for e in range(1, epochs + 1)]))
        for k in range(len(seeds))
    ]).double()
    rows: list[Row] = []
    third = len(task.x) // 3
    for k, seed in enumerate(seeds):
        progress.step(1 + k / len(seeds), 2, f"easy and hard examples of network {k + 1}")
        others = (times.sum(0) - times[k]) / (len(seeds) - 1)
        luck = torch.rand(len(others), generator=draw(SPLIT, seed))  # most are learned at once: ties by lot
        order = torch.from_numpy(np.lexsort((luck.numpy(), others.numpy())))
        thirds = {"easy": order[:third], "hard": order[-third:]}
        found = {
            name: coherence(path[1][k], functional.cross_entropy, (task.x[r], task.y[r])).m_coherence
            for name, r in thirds.items()
        }
        row: Row = {
            "agreement": spearman(times[k].numpy(), others.numpy()),
            "log2_ratio": math.log2(found["easy"] / found["hard"]),
        }
        for name, r in thirds.items():
            mixed = r[torch.randperm(third, generator=draw(SPLIT, seed, 1))]
            own, held = mixed[: third // 2], mixed[third // 2 :]
            net = train(task, given[:1], model, [seed], epochs=[epochs], batch=len(own) // 2, rate=RATE, rows=own)
            right = [accuracy(net[epochs][0], task.x[part], task.y[part]) for part in (own, held)]
            row |= {f"gap_{name}": right[0] - right[1], f"coherence_{name}": found[name]}
        rows.append(row | {"gap_difference": row["gap_hard"] - row["gap_easy"]})
    return rows


_ROBUST: Mapping[str, Any] = {"data": ["digits"], "size": [600], "epochs": [80], "rate": [0.5], "noise": [0.5]}
_ROBUST_SMOKE: Mapping[str, Any] = {**_ROBUST, "size": [300], "epochs": [40]}
RULES = ["mean", "winsor-1", "winsor-2", "winsor-4", "winsor-8", "m3", "rm3"]


@experiment(
    smoke=grid(**_ROBUST_SMOKE, rule=["mean", "winsor-4", "m3"]),
    laptop=grid(**_ROBUST, rule=RULES)
    + grid(**{**_ROBUST, "rate": [0.1]}, rule=["mean", "rm3"])
    + grid(**{**_ROBUST, "noise": [0.0]}, rule=["mean", "winsor-4", "m3", "rm3"]),
    paper=grid(**{**_ROBUST, "data": ["mnist"], "size": [60_000], "epochs": [100], "rate": [0.1]}, rule=RULES),
    seeds=Seeds(smoke=3, laptop=5, paper=5), reads=("data",), sabotage=PLAIN, time_limit=LONG,
)  # fmt: skip
def robust(
    data: str, size: int, epochs: int, rate: float, noise: float, rule: str,
    seed: int, progress: Progress, sabotage: bool = False,
) -> Row:  # fmt: skip
    """Train with a robust average of gradients on labels of which a part is redrawn."""
    task = read_task(data, size)
    labels = redraw(task.y, noise, task.classes, seed)
    wrong = labels != task.y
    model = build("mlp-64", task, seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    batch = 60 if size < 10_000 else BATCH
    a_round = size // batch
    orders = batch_order(torch.arange(size), steps=epochs * a_round, batch_size=batch, generator=draw(ORDER, seed))
    kind, _, c = ("mean" if sabotage else rule).partition("-")
    chosen: Rule = kind  # type: ignore[assignment]
    state, splits = RollingMedian(), draw(SPLIT, seed)
    curves: dict[str, list[float]] = {"test_curve": [], "train_curve": [], "memorised_curve": []}
    for step, rows in enumerate(orders):
        robust_step(
            model, functional.cross_entropy, task.x[rows], labels[rows], optimizer,
            rule=chosen, c=int(c or 0), generator=splits, state=state,
        )  # fmt: skip
        if (step + 1) % (2 * a_round) == 0:
            progress.step(step + 1, len(orders), f"{rule}, seed {seed}")
            curves["test_curve"].append(accuracy(model, task.test_x, task.test_y))
            curves["train_curve"].append(accuracy(model, task.x, labels))
            if bool(wrong.any()):
                curves["memorised_curve"].append(accuracy(model, task.x[wrong], labels[wrong]))
    ends = {name.removesuffix("_curve"): values[-1] if values else None for name, values in curves.items()}
    return {**ends, "best": max(curves["test_curve"]), **curves}


@figure(on=noise)
def coherence_by_epoch(trials: Trials) -> Drawing:
    """Draw m-coherence along training, a line a share of noise."""
    return drawing.coherence_by_epoch(trials)


@figure(on=photographs)
def coherence_on_photographs(trials: Trials) -> Drawing:
    """Draw the same for photographs."""
    return drawing.coherence_by_epoch(trials)


@figure(on=noise)
def right_before_wrong(trials: Trials) -> Drawing:
    """Draw fit of right and wrong labels and test accuracy under half noise."""
    return drawing.right_before_wrong(trials)


@figure(on=robust)
def robust_averages(trials: Trials) -> Drawing:
    """Draw test accuracy against memorised labels for each rule."""
    return drawing.robust_averages(trials)
