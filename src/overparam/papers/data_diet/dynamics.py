"""How the tangent kernel and the loss surface change during training, as seen by examples of high and low score."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from overparam.methods.measures.connectivity import error_path
from overparam.methods.measures.kernel_velocity import kernel_velocity
from overparam.methods.training.fixed_steps import Recipe, train_fixed_steps
from overparam.models.streams import draw
from overparam.papers.data_diet.setting import (
    CHILD,
    FINAL,
    ORDER,
    Task,
    build,
    crops_for,
    on_device,
    orders_for,
)

Subsets = Mapping[str, NDArray[np.int64]]


def subsets_by_score(score: NDArray[np.float64], size: int, seed: int) -> Subsets:
    """Take the examples with lowest and highest score, and as many random ones.

    Args:
        score: (n,).
        size: Examples in each.
        seed: Draws the random ones.

    Returns:
        Positions under `lowest`, `random` and `highest`.
    """
    ranks = np.argsort(score, kind="stable")
    luck = np.random.default_rng(seed).permutation(len(ranks))
    return {"lowest": ranks[:size], "random": luck[:size], "highest": ranks[-size:]}


def parents_at(task: Task, model: str, recipe: Recipe, moments: Sequence[int], seed: int) -> dict[int, nn.Module]:
    """Train one network on all data and keep it at some steps, in evaluation mode.

    Args:
        task: Data.
        model: Name of the network.
        recipe: Training.
        moments: Steps.
        seed: Of weights and order.

    Returns:
        Step to network.
    """
    x = on_device(task.x, model)
    orders = orders_for([np.arange(len(task.y))], recipe, [draw(ORDER, FINAL, seed)])
    path = train_fixed_steps(
        [build(model, task, draw(FINAL, seed))],
        x,
        task.y.to(x.device),
        orders=orders,
        recipe=recipe,
        at_steps=moments,
        augment=crops_for(model, FINAL, seed),
    )
    return {step: nets[0].to(x.device).eval() for step, nets in path.items() if step in moments}


def velocities(task: Task, model: str, parents: Mapping[int, nn.Module], subsets: Subsets) -> dict[str, list[float]]:
    """Kernel velocity between consecutive networks.

    Args:
        task: Data.
        model: Name of the network.
        parents: Step to network.
        subsets: A few examples each.

    Returns:
        One curve a subset.
    """
    x = on_device(task.x, model)
    pairs = list(itertools.pairwise(parents.values()))
    return {name: [kernel_velocity(a, b, x[rows]) for a, b in pairs] for name, rows in subsets.items()}


def barriers(
    task: Task,
    model: str,
    recipe: Recipe,
    parents: Mapping[int, nn.Module],
    subsets: Subsets,
    seed: int,
    note: Callable[[int, int], None],
) -> dict[str, list[float]]:
    """From each network train two children in different orders to the end; measure the barrier between them.

    Children start with zero momentum, which the paper's code restores.

    Args:
        task: Data.
        model: Name of the network.
        recipe: Training of the parent, which the children go on with.
        parents: Step to network.
        subsets: Examples on which the error is measured.
        seed: Of the orders.
        note: Hears how many parents are done, and the step of the next.

    Returns:
        One curve a subset, in parts of 1.
    """
    x, every = on_device(task.x, model), [np.arange(len(task.y))] * 2
    y = task.y.to(x.device)
    curves: dict[str, list[float]] = {name: [] for name in subsets}
    for done, (step, parent) in enumerate(parents.items()):
        note(done, step)
        orders = orders_for(every, recipe, [draw(ORDER, CHILD, seed, step, k) for k in range(2)], recipe.steps - step)
        crops = crops_for(model, CHILD, seed, step)
        ends = train_fixed_steps([parent] * 2, x, y, orders=orders, recipe=recipe, start=step, augment=crops)
        first, second = (net.eval() for net in ends[recipe.steps])
        path = error_path(first, first.state_dict(), second.state_dict(), x, y)
        for name, rows in subsets.items():
            curves[name].append(path.barrier(torch.from_numpy(rows)))
    return curves
