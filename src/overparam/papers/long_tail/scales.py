"""Grids of the experiments at the three scales."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overparam.lab.experiment import Grid, grid

NOISES = [0.0, 0.1, 0.3, 0.5, 0.95]
LONG = 30 * 86_400.0  # seconds; a trial of the largest scale takes days
LIMITS: Mapping[str, list[float]] = {
    "width": [4.0, 8.0, 16.0],
    "pruning": [0.8, 0.9, 0.95],
    "pruning and tuning": [0.8, 0.9, 0.95, 0.98],
}
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"kinds": [100], "n": [300], "hidden": [64], "steps": [60], "private_steps": [100]},
    "laptop": {"kinds": [400], "n": [1200], "hidden": [256], "steps": [300], "private_steps": [400]},
    "paper": {"kinds": [4000], "n": [12_000], "hidden": [1024], "steps": [600], "private_steps": [2000]},
}
SMALL: Mapping[str, Any] = {"data": ["digits"], "size": [300], "model": ["mlp"], "members": [24]}
BANK: Mapping[str, Any] = {"data": ["digits"], "size": [1000], "model": ["mlp"], "members": [120]}
LARGE: Mapping[str, Any] = {"data": ["cifar10"], "size": [50_000], "model": ["resnet18"], "members": [1000]}


def learners(scale: str) -> Grid:
    """Learners that fit more or less of their sample."""
    kinds, n = {"smoke": (60, 200), "laptop": (420, 1200), "paper": (4200, 12_000)}[scale]
    strengths = {"neighbours": [1.0, 3.0, 5.0], "kernel": [0.01, 1.0, 10.0], "mlp": [10.0, 20.0, 40.0, 300.0]}
    if scale == "smoke":
        strengths = {"neighbours": [5.0], "kernel": [10.0], "mlp": [10.0, 40.0]}
    found = Grid(())
    for learner, values in strengths.items():
        found += grid(kinds=[kinds], n=[n], learner=[learner], strength=values)
    return found


def limits(scale: str) -> Grid:
    """Limits on networks, with and without a control world."""
    sizes, tail = NETWORKS[scale], {"groups": ["head and tail"]}
    found = grid(**sizes, groups=["head and tail", "alike"], limit=["none"], level=[0.0])
    found += grid(**sizes, groups=["head and tail", "alike"], limit=["privacy"], level=[1.0])
    if scale == "smoke":
        few: Mapping[str, list[float]] = {"width": [8.0], "pruning and tuning": [0.9]}
    else:
        few = LIMITS
        found += grid(**sizes, **tail, limit=["clipping", "batches"], level=[0.0])
    for limit, levels in few.items():
        found += grid(**sizes, **tail, limit=[limit], level=levels)
    return found


def removals(sizes: Mapping[str, Any], networks: int) -> Grid:
    """Shares of right labels to remove, in both ways."""
    return grid(**sizes, networks=[networks], share=[0.02, 0.05, 0.1], arm=["memorised", "random"])
