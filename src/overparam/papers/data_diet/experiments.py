"""Experiments of arXiv 2107.07075: pruning, correlations, wrong labels and training dynamics by example scores."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from overparam.lab import Progress, Seeds, experiment, first_available, grid
from overparam.methods.measures.connectivity import error_path
from overparam.methods.measures.example_scores import ScoreTable, select
from overparam.methods.measures.kernel_velocity import kernel_velocity
from overparam.methods.training.fixed_steps import train_fixed_steps
from overparam.papers.data_diet.setting import (
    CHILD,
    FINAL,
    ORDER,
    Task,
    accuracy,
    build,
    crops_for,
    draw,
    early_scores,
    early_steps,
    on_device,
    orders_for,
    read_task,
    recipe_for,
    score_of,
    train,
)
from overparam.stats import spearman

Row = dict[str, Any]
NEGATED = "scores negated: the easiest examples count as the hardest"
SMOKE: Mapping[str, Any] = {"data": ["digits"], "size": [1200], "model": ["mlp-128"], "epochs": [10], "runs": [3]}
LAPTOP: Mapping[str, Any] = {
    **SMOKE,
    "data": first_available("mnist", "digits"),
    "size": [6000],
    "epochs": [15],
    "runs": [6],
}
PAPER: Mapping[str, Any] = {
    "data": ["cifar10"], "size": [50_000], "model": ["resnet18"], "epochs": [200], "runs": [10]
}  # fmt: skip
HUMAN: Mapping[str, Any] = {"data": first_available("cifar10"), "annotations": first_available("cifar10n")}
_WINDOWS: Mapping[str, Any] = {"keep": [0.4], "offset": [0.0, 0.3, 0.5, 0.6], "score": ["el2n"]}
_WHOLE: Mapping[str, Any] = {"keep": [1.0, 0.9], "offset": [0.0], "score": ["el2n"]}
SCORES = ["el2n", "grand", "grand-init", "forget", "input-norm", "random"]
FOREIGN = ["el2n:mlp-64", "el2n:mlp-512", "el2n:cnn", "el2n:rate-2"]
BARRIER = 0.01


def _prune(
    name: str, task: Task, keep: float, seed: int, sabotage: bool, offset: float | None = None, **of: Any
) -> NDArray[np.int64]:
    if keep == 1.0:
        return np.arange(len(task.y))
    scores = score_of(name, task, seed, **of)
    mode = "random" if name == "random" else "max" if offset is None else "offset"
    return select(-scores if sabotage else scores, keep, mode=mode, offset=offset or 0.0, seed=seed)  # type: ignore[arg-type]


@experiment(
    smoke=grid(**SMOKE, score=["el2n", "grand", "random"], keep=[0.5, 0.3], times=[1])
    + grid(**SMOKE, score=["grand-init"], keep=[0.5], times=[1])
    + grid(**SMOKE, score=["el2n", "forget"], keep=[0.7, 0.5], times=[1]),
    laptop=grid(**LAPTOP, score=SCORES, keep=[0.7, 0.5, 0.3], times=[1])
    + grid(**LAPTOP, score=["all"], keep=[1.0], times=[1, 3])
    + grid(**LAPTOP, score=["el2n"], keep=[0.5], times=[3]),
    paper=grid(**PAPER, score=SCORES, keep=[0.7, 0.5, 0.3], times=[1])
    + grid(**PAPER, score=["all"], keep=[1.0], times=[1, 3])
    + grid(**PAPER, score=["el2n"], keep=[0.5], times=[3]),
    seeds=Seeds(smoke=4, laptop=5, paper=4),
    batched=True,
    reads=("data",),
    sabotage=NEGATED,
)
def pruning(
    data: str, size: int, model: str, epochs: int, runs: int, score: str, keep: float, times: int,
    seeds: Sequence[int], progress: Progress, sabotage: bool = False,
) -> list[Row]:  # fmt: skip
    """Train on the part of the data that a score selects, for as many steps as on all of it."""
    task = read_task(data, size)
    of: dict[str, Any] = {"data": data, "size": size, "model": model, "epochs": epochs, "runs": runs}
    subsets = []
    for done, seed in enumerate(seeds):
        progress.step(done, 2 * len(seeds), f"scores of seed {seed}")
        subsets.append(_prune(score, task, keep, seed, sabotage, **of))
    progress.step(1, 2, f"training {len(seeds)} networks")
    nets = train(task, task.y, model, recipe_for(model, len(task.y), epochs * times), subsets, seeds)
    smallest = [100 * np.bincount(task.y[s], minlength=task.classes).min() / len(s) for s in subsets]
    tests = accuracy(nets, task, model)
    return [{"accuracy": a, "smallest_class": float(c)} for a, c in zip(tests, smallest, strict=True)]


@experiment(
    smoke=grid(**SMOKE, arm=["all", "el2n", "random"]),
    laptop=grid(**LAPTOP, arm=["all", "el2n", "random"]),
    paper=grid(**PAPER, arm=["all", "el2n", "random"]),
    seeds=Seeds(smoke=4, laptop=20, paper=10),
    batched=True,
    reads=("data",),
    sabotage=NEGATED,
)
def half(
    data: str, size: int, model: str, epochs: int, runs: int, arm: str,
    seeds: Sequence[int], progress: Progress, sabotage: bool = False,
) -> list[Row]:  # fmt: skip
    """Train on all data, on the half with the highest EL2N, or on a random half."""
    keep = 1.0 if arm == "all" else 0.5
    return pruning(data, size, model, epochs, runs, arm, keep, 1, seeds, progress, sabotage)


@experiment(
    laptop=grid(**LAPTOP, source=[*FOREIGN, "random"]),
    paper=grid(**PAPER, source=["el2n:cnn", "el2n:rate-2", "random"]),
    seeds=Seeds(laptop=5, paper=4), batched=True, reads=("data",), sabotage=NEGATED,
)  # fmt: skip
def transfer(
    data: str, size: int, model: str, epochs: int, runs: int, source: str,
    seeds: Sequence[int], progress: Progress, sabotage: bool = False,
) -> list[Row]:  # fmt: skip
    """Train on the half that the scores of other networks select."""
    return pruning(data, size, model, epochs, runs, source, 0.5, 1, seeds, progress, sabotage)


@experiment(
    smoke=grid(**SMOKE), laptop=grid(**LAPTOP), paper=grid(**PAPER),
    seeds=Seeds(smoke=4, laptop=5, paper=2), reads=("data",),
)  # fmt: skip
def correlations(data: str, size: int, model: str, epochs: int, runs: int, seed: int) -> Row:
    """Rank correlations of the scores by the time at which they are taken, and their reliability."""
    task = read_task(data, size)
    found = early_scores(data=data, size=size, model=model, epochs=epochs, runs=runs, seed=seed)
    table = ScoreTable(early_steps(model, len(task.y)), found)
    forget = score_of("forget", task, seed, data=data, size=size, model=model, epochs=epochs)
    forget = np.where(np.isinf(forget), forget[np.isfinite(forget)].max(initial=0) + 1, forget)
    norm = score_of("input-norm", task, seed)
    means = [(table.mean("el2n", step=t), table.mean("grand", step=t)) for t in table.steps]
    return {
        "step": list(table.steps),
        "el2n_grand": [spearman(e, g) for e, g in means],
        "el2n_forget": [spearman(e, forget) for e, _ in means],
        "grand_norm": [spearman(g, norm) for _, g in means],
        "el2n_halves": [table.split_half("el2n", step=t) for t in table.steps],
        "grand_halves": [table.split_half("grand", step=t) for t in table.steps],
    }


def _noisy(
    data: str, size: int, model: str, epochs: int, runs: int, labels: str, score: str, keep: float, offset: float,
    seeds: Sequence[int], progress: Progress, sabotage: bool,
) -> list[Row]:  # fmt: skip
    """Score and train with wrong labels, test with right ones."""
    from sklearn.metrics import roc_auc_score

    of = {"data": data, "size": size, "model": model, "epochs": epochs, "runs": runs, "labels": labels}
    tasks = [read_task(data, size, labels, seed) for seed in seeds]
    subsets, rows = [], []
    for done, (task, seed) in enumerate(zip(tasks, seeds, strict=True)):
        progress.step(done, 2 * len(seeds), f"scores of seed {seed}")
        subsets.append(_prune(score, task, keep, seed, sabotage, offset=offset, **of))
        wrong = (task.y != task.truth).numpy()
        found = early_scores(**of, seed=seed)["el2n"].mean(1) * (-1 if sabotage else 1)
        share = 100 * float(wrong[subsets[-1]].mean())
        rows.append({"wrong_share": share, "auroc": [float(roc_auc_score(wrong, t)) for t in found]})
    progress.step(1, 2, f"training {len(seeds)} networks")
    y = torch.stack([task.y for task in tasks])
    nets = train(tasks[0], y, model, recipe_for(model, y.shape[1], epochs), subsets, seeds)
    return [{**row, "accuracy": a} for row, a in zip(rows, accuracy(nets, tasks[0], model), strict=True)]


@experiment(
    smoke=grid(**SMOKE, score=["el2n"], keep=[0.4], offset=[0.5, 0.6]) + grid(**SMOKE, **_WHOLE),
    laptop=grid(**LAPTOP, **_WINDOWS)
    + grid(**LAPTOP, **_WHOLE)
    + grid(**LAPTOP, score=["random"], keep=[0.4], offset=[0.0]),
    paper=grid(**PAPER, **_WINDOWS) + grid(**PAPER, **_WHOLE),
    seeds=Seeds(smoke=4, laptop=5, paper=4),
    batched=True,
    reads=("data",),
    sabotage=NEGATED,
)
def wrong_labels(
    data: str, size: int, model: str, epochs: int, runs: int, score: str, keep: float, offset: float,
    seeds: Sequence[int], progress: Progress, sabotage: bool = False,
) -> list[Row]:  # fmt: skip
    """Shuffle a tenth of the labels and train on a window of the ranking by EL2N."""
    return _noisy(data, size, model, epochs, runs, "permuted", score, keep, offset, seeds, progress, sabotage)


@experiment(
    laptop=grid(**HUMAN, size=[10_000], model=["cnn"], epochs=[5], runs=[3], labels=["worst"], **_WINDOWS)
    + grid(**HUMAN, size=[10_000], model=["cnn"], epochs=[5], runs=[3], labels=["worst"], **_WHOLE),
    paper=grid(**{**PAPER, **HUMAN}, labels=["aggre", "worst"], **_WINDOWS)
    + grid(**{**PAPER, **HUMAN}, labels=["aggre", "worst"], **_WHOLE),
    seeds=Seeds(laptop=4, paper=4),
    batched=True,
    reads=("data", "annotations"),
    sabotage=NEGATED,
)
def human_labels(
    data: str, annotations: str, size: int, model: str, epochs: int, runs: int, labels: str,
    score: str, keep: float, offset: float, seeds: Sequence[int], progress: Progress, sabotage: bool = False,
) -> list[Row]:  # fmt: skip
    """Take the labels of human annotators and train on a window of the ranking by EL2N."""
    return _noisy(data, size, model, epochs, runs, labels, score, keep, offset, seeds, progress, sabotage)


@experiment(
    smoke=grid(**SMOKE, whole=[3], examples=[20]),
    laptop=grid(**LAPTOP, whole=[5], examples=[50]),
    paper=grid(**PAPER, whole=[200], examples=[50]),
    seeds=Seeds(smoke=4, laptop=5, paper=4),
    reads=("data",),
    sabotage=NEGATED,
)
def dynamics(
    data: str, size: int, model: str, epochs: int, runs: int, whole: int, examples: int,
    seed: int, progress: Progress, sabotage: bool = False,
) -> Row:  # fmt: skip
    """Follow the tangent kernel on high and low scores; spawn pairs of runs and join their ends by a line."""
    task = read_task(data, size)
    score = score_of("el2n", task, seed, data=data, size=size, model=model, epochs=epochs, runs=runs)
    ranks = np.argsort(-score if sabotage else score)
    luck = np.random.default_rng(seed).permutation(len(ranks))
    few = {"lowest": ranks[:examples], "random": luck[:examples], "highest": ranks[-examples:]}
    sixth = len(ranks) // 6
    many = {"lowest": ranks[:sixth], "random": luck[:sixth], "highest": ranks[-sixth:]}

    recipe = recipe_for(model, len(task.y), whole)
    each = recipe.steps // whole
    moments = np.unique([0, *early_steps(model, len(task.y)), *range(0, recipe.steps + 1, max(1, whole // 10) * each)])
    x, y = on_device(task.x, model), on_device(task.y, model)
    every = [np.arange(len(ranks))]
    path = train_fixed_steps(
        [build(model, task, draw(FINAL, seed))], x, y, orders=orders_for(every, recipe, [draw(ORDER, FINAL, seed)]),
        recipe=recipe, at_steps=moments.tolist(), augment=crops_for(model, FINAL, seed),
    )  # fmt: skip
    parents = {t: nets[0].to(x.device).eval() for t, nets in path.items()}
    row: Row = {"spawn": (moments / each).tolist()}
    times = list(parents)
    for name, rows in few.items():
        pairs = itertools.pairwise(parents.values())
        row[f"velocity_{name}"] = [kernel_velocity(a, b, x[rows]) for a, b in pairs]
    for name in many:
        row[f"barrier_{name}"] = []
    for done, t in enumerate(times):
        progress.step(done, len(times), f"children of step {t}")
        orders = orders_for(every * 2, recipe, [draw(ORDER, CHILD, seed, t, k) for k in range(2)], recipe.steps - t)
        pair = train_fixed_steps(
            [parents[t]] * 2, x, y, orders=orders, recipe=recipe, start=t, augment=crops_for(model, CHILD, seed, t)
        )[recipe.steps]
        line = error_path(pair[0].eval(), pair[0].state_dict(), pair[1].state_dict(), x, y)
        for name, rows in many.items():
            row[f"barrier_{name}"].append(line.barrier(torch.from_numpy(rows)))
    onset = {
        name: next(e for e, b in zip(row["spawn"], row[f"barrier_{name}"], strict=True) if b < BARRIER) for name in many
    }
    gap = np.mean(row["velocity_highest"]) - np.mean(row["velocity_lowest"])
    return {**row, "velocity_gap": float(gap), "onset_gap": onset["lowest"] - onset["highest"]}
