"""Experiments of arXiv 2107.07075: pruning, correlations, wrong labels and training dynamics by example scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from overparam.lab import Drawing, Progress, Seeds, Trials, experiment, figure, first_available, grid
from overparam.methods.measures.example_scores import ScoreTable
from overparam.papers.data_diet import drawing
from overparam.papers.data_diet.dynamics import barriers, parents_at, subsets_by_score, velocities
from overparam.papers.data_diet.noisy import with_wrong_labels
from overparam.papers.data_diet.scores import early_scores, early_steps, score_of, subset_by
from overparam.papers.data_diet.setting import accuracy, read_task, recipe_for, train
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
NAMES: Mapping[str, Any] = {"data": first_available("cifar10"), "annotations": first_available("cifar10n")}
HUMAN: Mapping[str, Any] = {**NAMES, "size": [10_000], "model": ["cnn"], "epochs": [3], "runs": [2]}
_WINDOWS: Mapping[str, Any] = {"keep": [0.4], "offset": [0.0, 0.3, 0.5, 0.6], "score": ["el2n"]}
_WHOLE: Mapping[str, Any] = {"keep": [1.0, 0.9], "offset": [0.0], "score": ["el2n"]}
SCORES = ["el2n", "grand", "grand-init", "forget", "input-norm", "random"]
FOREIGN = ["el2n:mlp-64", "el2n:mlp-512", "el2n:cnn", "el2n:rate-2"]
BARRIER = 0.01
FEW, LONG = Seeds(smoke=4, laptop=5, paper=4), 30 * 86_400.0  # a paper-scale trial takes days on one core


@experiment(
    smoke=grid(**SMOKE), laptop=grid(**LAPTOP), paper=grid(**PAPER),
    seeds=Seeds(smoke=4, laptop=5, paper=2), reads=("data",), time_limit=LONG,
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


@experiment(
    smoke=grid(**SMOKE, annotations=["digits"], labels=["permuted"]),
    laptop=grid(**LAPTOP, annotations=LAPTOP["data"], labels=["permuted"]) + grid(**HUMAN, labels=["worst"]),
    paper=grid(**PAPER, annotations=["cifar10"], labels=["permuted"])
    + grid(**{**PAPER, **NAMES}, labels=["aggre", "worst"]),
    seeds=Seeds(smoke=4, laptop=4, paper=4), reads=("data", "annotations"), sabotage=NEGATED, time_limit=LONG,
)  # fmt: skip
def detection(
    data: str, annotations: str, size: int, model: str, epochs: int, runs: int, labels: str,
    seed: int, sabotage: bool = False,
) -> Row:  # fmt: skip
    """Tell wrong labels from right ones by EL2N, by the time at which it is taken."""
    from sklearn.metrics import roc_auc_score

    task = read_task(data, size, labels, seed)
    found = early_scores(data=data, size=size, model=model, epochs=epochs, runs=runs, seed=seed, labels=labels)
    scores = found["el2n"].mean(1) * (-1 if sabotage else 1)
    wrong = (task.y != task.truth).numpy()
    areas = [float(roc_auc_score(wrong, t)) for t in scores]
    return {"step": list(early_steps(model, len(task.y))), "area": areas, "last_area": areas[-1]}


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
    seeds=FEW, batched=True, reads=("data",), sabotage=NEGATED, time_limit=LONG,
)  # fmt: skip
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
        subsets.append(subset_by(score, task, keep, seed, sabotage, **of))
    progress.step(1, 2, f"training {len(seeds)} networks")
    nets = train(task, task.y, model, recipe_for(model, len(task.y), epochs * times), subsets, seeds)
    smallest = [100 * np.bincount(task.y[s], minlength=task.classes).min() / len(s) for s in subsets]
    tests = accuracy(nets, task, model)
    return [{"accuracy": a, "smallest_class": float(c)} for a, c in zip(tests, smallest, strict=True)]


@experiment(
    smoke=grid(**SMOKE, arm=["all", "el2n", "random"]),
    laptop=grid(**LAPTOP, arm=["all", "el2n", "random"]),
    paper=grid(**PAPER, arm=["all", "el2n", "random"]),
    seeds=Seeds(smoke=4, laptop=20, paper=10), batched=True, reads=("data",), sabotage=NEGATED, time_limit=LONG,
)  # fmt: skip
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
    seeds=Seeds(laptop=5, paper=4), batched=True, reads=("data",), sabotage=NEGATED, time_limit=LONG,
)  # fmt: skip
def transfer(
    data: str, size: int, model: str, epochs: int, runs: int, source: str,
    seeds: Sequence[int], progress: Progress, sabotage: bool = False,
) -> list[Row]:  # fmt: skip
    """Train on the half that the scores of other networks select."""
    return pruning(data, size, model, epochs, runs, source, 0.5, 1, seeds, progress, sabotage)


@experiment(
    smoke=grid(**SMOKE, score=["el2n"], keep=[0.4], offset=[0.5, 0.6]) + grid(**SMOKE, **_WHOLE),
    laptop=grid(**LAPTOP, **_WINDOWS)
    + grid(**LAPTOP, **_WHOLE)
    + grid(**LAPTOP, score=["random"], keep=[0.4], offset=[0.0]),
    paper=grid(**PAPER, **_WINDOWS) + grid(**PAPER, **_WHOLE),
    seeds=FEW, batched=True, reads=("data",), sabotage=NEGATED, time_limit=LONG,
)  # fmt: skip
def wrong_labels(
    data: str, size: int, model: str, epochs: int, runs: int, score: str, keep: float, offset: float,
    seeds: Sequence[int], progress: Progress, sabotage: bool = False,
) -> list[Row]:  # fmt: skip
    """Shuffle a tenth of the labels and train on a window of the ranking by EL2N."""
    return with_wrong_labels(
        data, size, model, epochs, runs, "permuted", score, keep, offset, seeds, progress, sabotage
    )


@experiment(
    laptop=grid(**HUMAN, labels=["worst"], score=["el2n"], keep=[0.4], offset=[0.5, 0.6])
    + grid(**HUMAN, labels=["worst"], **_WHOLE),
    paper=grid(**{**PAPER, **NAMES}, labels=["aggre", "worst"], **_WINDOWS)
    + grid(**{**PAPER, **NAMES}, labels=["aggre", "worst"], **_WHOLE),
    seeds=Seeds(laptop=4, paper=4), batched=True, reads=("data", "annotations"), sabotage=NEGATED, time_limit=LONG,
)  # fmt: skip
def human_labels(
    data: str, annotations: str, size: int, model: str, epochs: int, runs: int, labels: str,
    score: str, keep: float, offset: float, seeds: Sequence[int], progress: Progress, sabotage: bool = False,
) -> list[Row]:  # fmt: skip
    """Take the labels of human annotators and train on a window of the ranking by EL2N."""
    return with_wrong_labels(data, size, model, epochs, runs, labels, score, keep, offset, seeds, progress, sabotage)


@experiment(
    smoke=grid(**SMOKE, whole=[3], examples=[20]),
    laptop=grid(**LAPTOP, whole=[5], examples=[50]),
    paper=grid(**PAPER, whole=[200], examples=[50]),
    seeds=Seeds(smoke=4, laptop=5, paper=4), reads=("data",), sabotage=NEGATED, time_limit=LONG,
)  # fmt: skip
def dynamics(
    data: str, size: int, model: str, epochs: int, runs: int, whole: int, examples: int,
    seed: int, progress: Progress, sabotage: bool = False,
) -> Row:  # fmt: skip
    """Follow the tangent kernel on high and low scores; spawn pairs of runs and join their ends by a line."""
    task = read_task(data, size)
    score = score_of("el2n", task, seed, data=data, size=size, model=model, epochs=epochs, runs=runs)
    score = -score if sabotage else score
    recipe = recipe_for(model, len(task.y), whole)
    epoch = recipe.steps // whole
    often = range(0, recipe.steps + 1, max(1, whole // 10) * epoch)
    parents = parents_at(task, model, recipe, sorted({*early_steps(model, len(task.y)), *often}), seed)
    spawn = [step / epoch for step in parents]
    turns = velocities(task, model, parents, subsets_by_score(score, examples, seed))
    note = lambda done, step: progress.step(done, len(parents), f"children of step {step}")  # noqa: E731
    rises = barriers(task, model, recipe, parents, subsets_by_score(score, len(score) // 6, seed), seed, note)
    onset = {name: next(t for t, b in zip(spawn, rise, strict=True) if b < BARRIER) for name, rise in rises.items()}
    return {
        "spawn": spawn,
        **{f"velocity_{name}": curve for name, curve in turns.items()},
        **{f"barrier_{name}": curve for name, curve in rises.items()},
        "velocity_gap": float(np.mean(turns["highest"]) - np.mean(turns["lowest"])),
        "onset_gap": onset["lowest"] - onset["highest"],
    }


@figure(on=pruning)
def share_kept(trials: Trials) -> Drawing:
    """Accuracy by the part that is kept, a line a score."""
    return drawing.shares(trials)


@figure(on=pruning)
def training_length(trials: Trials) -> Drawing:
    """Full data and the EL2N half at one and three times the steps."""
    return drawing.budgets(trials)


@figure(on=wrong_labels)
def window(trials: Trials) -> Drawing:
    """Accuracy by window of the ranking, under wrong labels."""
    return drawing.windows(trials)


@figure(on=correlations)
def agreement(trials: Trials) -> Drawing:
    """Correlations between scores by the time of scoring."""
    return drawing.agreement(trials)


@figure(on=dynamics)
def kernel_turn(trials: Trials) -> Drawing:
    """Kernel velocity on examples of high, random and low score."""
    return drawing.velocity(trials)


@figure(on=dynamics)
def error_barrier(trials: Trials) -> Drawing:
    """Error barrier between the children of a run, by the time of their birth."""
    return drawing.barriers(trials)
