"""The scores that experiments of the paper share, each computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from overparam.lab import artefact
from overparam.methods.measures.example_scores import ForgettingTracker, score_ensemble, select
from overparam.methods.training.fixed_steps import train_fixed_steps
from overparam.models.streams import draw
from overparam.papers.data_diet.setting import (
    ORDER,
    SCORING,
    Task,
    build,
    crops_for,
    on_device,
    orders_for,
    read_task,
    recipe_for,
)

FORGET_RUNS = 2
EARLY = {"resnet18": (0.0, 1.0, 5.0, 10.0, 20.0)}  # epochs at which scores are taken; the last is the one that prunes
SOONER = (0.0, 0.2, 1.0, 2.0)  # for the small networks, which learn faster


def early_steps(model: str, n: int) -> tuple[int, ...]:
    """Numbers of updates at which scores are taken."""
    recipe = recipe_for(model, n, 1.0)
    return tuple(round(e * recipe.steps) for e in EARLY.get(model, SOONER))


@artefact(reads=("data",))
def early_scores(
    data: str,
    size: int,
    model: str,
    epochs: int,
    runs: int,
    seed: int,
    labels: str = "clean",
    rate: float = 1.0,
    whole: bool = True,
) -> dict[str, NDArray[np.float64]]:
    """Score every example with several networks.

    Args:
        data: Name of the data set.
        size: Number of training images.
        model: Name of the network.
        epochs: Length of the training of which this is the start.
        runs: Number of networks.
        seed: Of all of them together.
        labels: See `read_task`.
        rate: Factor of the learning rate.
        whole: Whether to take EL2N at all of `early_steps`, and GraNd too unless the network is the small
            convolutional one, where it costs most and nothing reads it; otherwise only EL2N at the last of them.

    Returns:
        Name of the score to (times, runs, n).
    """
    task = read_task(data, size, labels, seed)
    recipe = recipe_for(model, len(task.y), epochs, rate)
    steps = early_steps(model, len(task.y))[0 if whole else -1 :]
    every = np.arange(len(task.y))
    x = on_device(task.x, model)
    y, augment = task.y.to(x.device), crops_for(model, SCORING, seed)

    def snapshots(nets: Sequence[nn.Module], at_steps: Sequence[int]) -> list[tuple[int, list[nn.Module]]]:
        orders = orders_for([every] * runs, recipe, [draw(ORDER, SCORING, seed, r) for r in range(runs)], at_steps[-1])
        kept = train_fixed_steps(
            nets, x, y, orders=orders, recipe=recipe, at_steps=at_steps, stop=at_steps[-1], augment=augment
        )
        return [(step, [net.to(x.device) for net in kept[step]]) for step in at_steps]

    scores = ("el2n", "grand") if whole and model != "cnn" else ("el2n",)
    make = lambda r: build(model, task, draw(SCORING, seed, r))  # noqa: E731
    return dict(score_ensemble(make, snapshots, (x, y), scores=scores, at_steps=steps, runs=runs).values)


@artefact(reads=("data",))
def forget_scores(data: str, size: int, model: str, epochs: int, seed: int) -> dict[str, NDArray[np.float64]]:
    """Forgetting events of every training example, averaged over two whole trainings: (n,)."""
    task = read_task(data, size)
    recipe = recipe_for(model, len(task.y), epochs)
    trackers = [ForgettingTracker(len(task.y)) for _ in range(FORGET_RUNS)]

    def observe(_step: int, rows: Tensor, logits: Tensor) -> None:
        for tracker, indices, answer in zip(trackers, rows.cpu(), logits.argmax(2).cpu(), strict=True):
            tracker.update(indices, answer == task.y[indices])

    nets = [build(model, task, draw(SCORING, seed, 1000 + r)) for r in range(FORGET_RUNS)]
    streams = [draw(ORDER, SCORING, seed, 1000 + r) for r in range(FORGET_RUNS)]
    orders = orders_for([np.arange(len(task.y))] * FORGET_RUNS, recipe, streams)
    x, augment = on_device(task.x, model), crops_for(model, SCORING, seed, 1000)
    train_fixed_steps(nets, x, task.y.to(x.device), orders=orders, recipe=recipe, augment=augment, observe=observe)
    return {"forget": ForgettingTracker.merge(trackers)}


def score_of(name: str, task: Task, seed: int, **of: Any) -> NDArray[np.float64]:
    """Return a score by name: (n,). `el2n:mlp-64` comes from that network, `el2n:rate-2` from twice the rate."""
    kind, _, source = name.partition(":")
    if kind == "random":
        return np.zeros(len(task.y))
    if kind == "input-norm":
        return np.asarray(task.x.double().flatten(1).norm(dim=1).numpy())
    if kind == "forget":
        return forget_scores(**{k: of[k] for k in ("data", "size", "model", "epochs")}, seed=seed)["forget"]
    if source.startswith("rate-"):
        of = {**of, "rate": float(source.removeprefix("rate-")), "runs": 3, "whole": False}
    elif source:
        of = {**of, "model": source, "runs": 3, "whole": False}
    table = early_scores(**of, seed=seed)["grand" if kind.startswith("grand") else "el2n"]
    return np.asarray(table[0 if kind == "grand-init" else -1].mean(0))


def subset_by(
    name: str, task: Task, keep: float, seed: int, sabotage: bool, offset: float | None = None, **of: Any
) -> NDArray[np.int64]:
    """Return the positions that a score keeps: the highest, or a window that starts at `offset`."""
    if keep == 1.0:
        return np.arange(len(task.y))
    scores = score_of(name, task, seed, **of)
    mode = "random" if name == "random" else "max" if offset is None else "offset"
    return select(-scores if sabotage else scores, keep, mode=mode, offset=offset or 0.0, seed=seed)  # type: ignore[arg-type]
