"""Clusters in continuous space: what learners do on fresh points of a cluster, by how often they saw it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overparam.errors import BadInput
from overparam.methods.measures.mlp_bank import MLPBank
from overparam.methods.theory.long_tail import FrequencyPrior
from overparam.methods.theory.long_tail_simulation import MixtureSample, SubpopulationMixture

FEATURES, CLASSES, SPREAD = 64, 5, 0.35
FRESH = 20  # new points a cluster
TIMES = 5  # counts 0 to 3, and 4 or more
Predict = Callable[[NDArray[np.float32]], NDArray[np.int64]]
Row = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """A world with its training sample and fresh points.

    Attributes:
        world: The mixture.
        sample: Training points.
        fresh: `FRESH` new points a cluster.
        counts: (clusters,) training points in each.
        tau: Expected frequency of a cluster that was seen once.
    """

    world: SubpopulationMixture
    sample: MixtureSample
    fresh: MixtureSample
    counts: NDArray[np.int64]
    tau: float


def priors(groups: str, kinds: int) -> tuple[FrequencyPrior, ...]:
    """Return the priors of a world by name.

    Args:
        groups: `one` (Zipf's law), `head and tail` (a group of few uniform clusters, a group of many by Zipf's law), or
            `alike` (two groups of uniform clusters).
        kinds: Clusters of the long tail; the head has a twentieth of that.

    Returns:
        One prior a group.

    Raises:
        BadInput: An unknown name.
    """
    if groups == "one":
        return (FrequencyPrior.zipf(kinds),)
    if groups == "head and tail":
        return FrequencyPrior.uniform(max(2, kinds // 20)), FrequencyPrior.zipf(kinds)
    if groups == "alike":
        return FrequencyPrior.uniform(kinds // 2), FrequencyPrior.uniform(kinds // 2)
    raise BadInput(f"groups={groups!r} is unknown; pass 'one', 'head and tail' or 'alike'")


def scenes(groups: str, kinds: int, n: int, seeds: Sequence[int]) -> list[Scene]:
    """Draw a world and a sample for each seed."""
    found: list[Scene] = []
    for seed in seeds:
        world = _world(groups, kinds, seed)
        sample = world.sample(n, seed)
        counts = np.bincount(sample.subpopulation, minlength=len(world.frequency))
        found.append(Scene(world, sample, world.fresh(FRESH, seed), counts, _tau(groups, kinds, n)))
    return found


def _world(groups: str, kinds: int, seed: int) -> SubpopulationMixture:
    return SubpopulationMixture(priors(groups, kinds), dim=FEATURES, noise=SPREAD, n_classes=CLASSES, seed=seed)


@functools.lru_cache(maxsize=8)
def _tau(groups: str, kinds: int, n: int) -> float:
    return _world(groups, kinds, 0).prior().tau(n, 1)  # an expectation over worlds: the same for every seed


def judge(scene: Scene, predict: Predict) -> Row:
    """Error on the population, on each group and by count, and the paper's bound on the error above the optimum."""
    world, sample, counts = scene.world, scene.sample, scene.counts
    labels = predict(scene.fresh.x).reshape(-1, FRESH)
    right = (labels == world.labels[:, None]).mean(1)
    once = np.flatnonzero(counts[sample.subpopulation] == 1)  # training points of clusters that were seen once
    shown = predict(sample.x[once]) if len(once) else sample.y[:0]
    unfitted = int((shown != sample.y[once]).sum())
    alike = float((labels[sample.subpopulation[once]] == shown[:, None]).mean()) if len(once) else None
    opt = (1 - 1 / CLASSES) * float(world.frequency[counts == 0].sum())
    excess = float(world.frequency @ (1 - right)) - opt
    of = [_mean(right, world.frequency * (world.group == g)) for g in range(len(world.groups))]
    tail = world.group == world.group.max()
    seen = {c: right[tail & (np.minimum(counts, TIMES - 1) == c)] for c in range(TIMES)}
    return {
        "accuracy": 100 * float(world.frequency @ right),
        "accuracy_head": 100 * of[0],
        "accuracy_tail": 100 * of[-1],
        "gap": 100 * (of[0] - of[-1]),
        "coupling": alike,
        "unfitted": unfitted,
        "fitted_share": 1 - unfitted / len(once) if len(once) else None,
        "excess": excess,
        "margin": excess - (alike or 0.0) * scene.tau * unfitted,
        **{f"tail_seen_{c}": 100 * float(r.mean()) if len(r) else None for c, r in seen.items()},
    }


def _mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    return float(values @ weights / weights.sum())


def learn(learner: str, strength: float, sample: MixtureSample, seed: int) -> Predict:
    """Train a learner that fits more or less of its sample.

    Args:
        learner: `neighbours` (strength: how many vote), `kernel` (ridge of a Gaussian kernel), `mlp` (steps).
        strength: See above.
        sample: Training points.
        seed: Of the initial weights.

    Returns:
        Function from points to labels.

    Raises:
        BadInput: An unknown learner.
    """
    if learner == "neighbours":
        from sklearn.neighbors import KNeighborsClassifier

        nearest = KNeighborsClassifier(int(strength)).fit(sample.x, sample.y)
        return lambda points: np.asarray(nearest.predict(points))
    if learner == "kernel":
        from sklearn.kernel_ridge import KernelRidge

        ridge = KernelRidge(alpha=strength, kernel="rbf", gamma=0.5)  # squared distances are about 2
        ridge = ridge.fit(sample.x, np.eye(CLASSES)[sample.y])
        return lambda points: np.asarray(ridge.predict(points).argmax(1))
    if learner == "mlp":
        return MLPBank(widths=(256,), steps=int(strength))(sample.x, sample.y, seed).predict
    raise BadInput(f"learner={learner!r} is unknown; pass 'neighbours', 'kernel' or 'mlp'")
