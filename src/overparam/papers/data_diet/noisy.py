"""Training on a window of the ranking when some labels are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from overparam.lab import Progress
from overparam.papers.data_diet.scores import subset_by
from overparam.papers.data_diet.setting import accuracy, read_task, recipe_for, train


def with_wrong_labels(
    data: str, size: int, model: str, epochs: int, runs: int, labels: str, score: str, keep: float, offset: float,
    seeds: Sequence[int], progress: Progress, sabotage: bool,
) -> list[dict[str, float]]:  # fmt: skip
    """Score and train with wrong labels, test with right ones.

    Args:
        data: Name of the data set.
        size: Number of training images.
        model: Name of the network.
        epochs: Length of the training.
        runs: Networks that score.
        labels: See `read_task`.
        score: Name of the score.
        keep: Part to keep.
        offset: Part of lower scores to leave out.
        seeds: One network each.
        progress: Hears what is done.
        sabotage: Whether to negate the scores.

    Returns:
        Test accuracy and share of wrong labels in the part kept, in per cent, for each seed.
    """
    of: dict[str, Any] = {"data": data, "size": size, "model": model, "epochs": epochs, "runs": runs, "labels": labels}
    tasks = [read_task(data, size, labels, seed) for seed in seeds]
    subsets, wrong = [], []
    for done, (task, seed) in enumerate(zip(tasks, seeds, strict=True)):
        progress.step(done, 2 * len(seeds), f"scores of seed {seed}")
        subsets.append(subset_by(score, task, keep, seed, sabotage, offset=offset, **of))
        wrong.append(100 * float((task.y != task.truth).numpy()[subsets[-1]].mean()))
    progress.step(1, 2, f"training {len(seeds)} networks")
    y = torch.stack([task.y for task in tasks])
    nets = train(tasks[0], y, model, recipe_for(model, y.shape[1], epochs), subsets, seeds)
    return [{"accuracy": a, "wrong_share": w} for a, w in zip(accuracy(nets, tasks[0], model), wrong, strict=True)]
