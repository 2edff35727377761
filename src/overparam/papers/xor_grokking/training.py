"""Draws XOR clusters for some seeds, trains a network on each, and reads off what the claims speak of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from overparam.data.xor_clusters import Batch, XORClusters
from overparam.methods.measures.grokking import detect_grokking
from overparam.methods.theory.dual_descent import Gates, History, dual_gd

Row = dict[str, Any]
Read = Callable[[History, int, Batch, Batch], Row]
TOGETHER = 8  # seeds trained at a time, so that memory does not grow with their number
LOGGED = (*range(11), 12, 15, 20, 25, 30, 40, 50, 70, 100, 150, 200, 300)


@dataclass(frozen=True)
class Setting:
    """One point of a grid.

    Attributes:
        n: Training points.
        p: Dimension.
        squared_mean: Squared length of the means.
        flip: Probability of a flipped label.
        m: Hidden units.
        lr: Step size.
        start: Standard deviation of the first weights.
        steps: Number of steps.
        log_steps: Steps that are looked at.
        tested: Test points.
        gates: As in `dual_gd`.
    """

    n: int
    p: int
    squared_mean: float
    flip: float
    m: int
    lr: float
    start: float
    steps: int
    log_steps: tuple[int, ...]
    tested: int = 1000
    gates: Gates = "moving"

    @property
    def clusters(self) -> XORClusters:
        """The distribution."""
        return XORClusters(self.p, float(np.sqrt(self.squared_mean)), self.flip)


def batches(setting: Setting, seed: int) -> tuple[Batch, Batch]:
    """Draw the data of a seed.

    Args:
        setting: One point of a grid.
        seed: Of the data.

    Returns:
        Training and test points.
    """
    return setting.clusters.rotated(setting.n, setting.tested, seed)


def trained(setting: Setting, seeds: Sequence[int], read: Read) -> list[Row]:
    """Train a network for each seed, which decides about data and start.

    Args:
        setting: One point of a grid.
        seeds: One network each.
        read: Takes the history, the place of the seed in it, and the data; returns the row of the seed.

    Returns:
        One row a seed.
    """
    rows: list[Row] = []
    for first in range(0, len(seeds), TOGETHER):
        part = seeds[first : first + TOGETHER]
        pairs = [batches(setting, seed) for seed in part]
        history = dual_gd(
            np.stack([train.x for train, _ in pairs]),
            np.stack([train.y for train, _ in pairs]),
            np.stack([test.x for _, test in pairs]),
            m=setting.m,
            lr=setting.lr,
            init_scale=setting.start,
            steps=setting.steps,
            seeds=part,
            log_steps=setting.log_steps,
            gates=setting.gates,
            directions=setting.clusters.means(pairs[0][0].x.shape[1]),
        )
        rows += [read(history, s, *pair) for s, pair in enumerate(pairs)]
    return rows


def accuracies(history: History, s: int, train: Batch, test: Batch) -> Row:
    """Read fits and accuracies after the first and the last step.

    Args:
        history: Of all seeds, with a log at step 1.
        s: Place of the seed.
        train: Its training points.
        test: Its test points.

    Returns:
        Accuracies in per cent, on clean test labels; counts of training labels that are not fitted.
    """
    right = history.train_correct[s]
    first = int(np.searchsorted(history.steps, 1))
    test_accuracy = 100 * (test.y_clean * history.test_outputs[s] > 0).mean(1)
    return {
        "misfits_first": int((~right[first]).sum()),
        "train_first": 100 * float(right[first].mean()),
        "train_last": 100 * float(right[-1].mean()),
        "flipped_misfits": int((~right[first:, train.flipped]).sum(1).max()),
        "test_first": float(test_accuracy[first]),
        "test_last": float(test_accuracy[-1]),
        "error_last": 100 - float(test_accuracy[-1]),
    }


def curves(history: History, s: int, train: Batch, test: Batch) -> Row:
    """Read the whole course: accuracies and delay.

    Args:
        history: Of all seeds, with a log at step 1.
        s: Place of the seed.
        train: Its training points.
        test: Its test points.

    Returns:
        What `accuracies` returns, and curves over the logged steps `at`.
    """
    row = accuracies(history, s, train, test)
    right = history.train_correct[s]
    fitted = right.mean(1)
    good = (test.y_clean * history.test_outputs[s] > 0).mean(1)
    found = detect_grokking(fitted, good, history.steps)
    return {
        **row,
        "fit_step": found.fit_step,
        "good_step": found.generalise_step,
        "delay": found.delay,
        "not_later": int(found.delay is None or found.delay <= 0),
        "at": history.steps.tolist(),
        "train": (100 * fitted).tolist(),
        "flipped": (100 * right[:, train.flipped].mean(1)).tolist(),
        "test": (100 * good).tolist(),
    }
