"""Grids of the experiments at the three scales."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overparam.lab.experiment import Grid, grid

DEEP = [1e-2, 1e-4, 1e-6, 1e-8, 1e-10]
SMALL: Mapping[str, Any] = {"d": [10], "r": [2]}
MODERATE: Mapping[str, Any] = {"d": [20], "r": [3]}
LARGE: Mapping[str, Any] = {"d": [50], "r": [3]}
GROSS: Mapping[str, Any] = {"kind": ["outlier"], "loss": ["absolute"]}


def widths(sizes: Mapping[str, Any], m: int, steps: int) -> Grid:
    """Widths and starts."""
    return grid(
        **sizes, m=[m], width=["exact", "double", "full"], start=["spectral", "random"], steps=[steps]
    )  # fmt: skip


def starts(sizes: Mapping[str, Any], m: int, alphas: list[float], short: int, long: int) -> Grid:
    """Small starts with both step rules, and an ordinary one with exact measurements."""
    small = grid(**sizes, m=[m], step=["polyak", "geometric"], alpha=alphas, start=["spectral"], steps=[short])
    return small + grid(**sizes, m=[m], step=["polyak"], alpha=[1.0], start=["random"], steps=[long])


def noises(scale: str) -> Grid:
    """Laws of the errors, each with measurements enough for it."""
    if scale == "smoke":
        found = grid(**SMALL, **GROSS, m=[300], steps=[1_600], p=[0.1], size=[10.0])
        return found + grid(**SMALL, **GROSS, m=[600], steps=[1_600], p=[0.5], size=[10.0, 1e4])
    if scale == "laptop":
        sizes: Mapping[str, Any] = {**MODERATE, "steps": [3_000]}
        found = grid(**sizes, m=[600], kind=["outlier"], p=[0.1], size=[10.0], loss=["absolute", "squared"])
        found += grid(**sizes, **GROSS, m=[1_500], p=[0.5], size=[10.0, 1e4])
        found += grid(**sizes, **GROSS, m=[4_000], p=[0.7], size=[100.0])
        return found + grid(**sizes, m=[1_500], kind=["gaussian", "student"], p=[0.0], size=[0.5], loss=["absolute"])
    sizes = {**LARGE, "steps": [6_000]}
    found = grid(**sizes, **GROSS, m=[5_000], p=[0.1, 0.5], size=[10.0, 1e4])
    found += grid(**sizes, **GROSS, m=[20_000], p=[0.7], size=[100.0])
    found += grid(**MODERATE, **GROSS, steps=[3_000], m=[40_000], p=[0.9], size=[100.0])
    return found + grid(**sizes, m=[5_000], kind=["gaussian", "student"], p=[0.0], size=[0.5], loss=["absolute"])
