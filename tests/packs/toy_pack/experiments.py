"""Experiments of a toy paper: quick, slow, batched, faulty."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from overparam.lab import Drawing, Progress, Seeds, Trials, artefact, experiment, figure, grid


@experiment(
    smoke=grid(shift=[1.0, 2.0], size=[8]),
    laptop=grid(shift=[1.0, 2.0], size=[8, 100]),
    seeds=Seeds(smoke=4, laptop=5),
    sabotage="the shift changes its sign",
)
def draws(shift: float, size: int, seed: int, sabotage: bool = False) -> dict[str, float]:
    """Draw around a shift."""
    rng = np.random.default_rng([seed, size])
    return {"mean": float(rng.normal(-shift if sabotage else shift, 0.1, size).mean())}


@experiment(smoke=grid(size=[16]), seeds=Seeds(smoke=3), batched=True)
def batches(size: int, seeds: Sequence[int]) -> list[dict[str, float]]:
    """Multiply matrices, all seeds at once."""
    x = np.stack([np.random.default_rng(s).normal(size=(size, size)) for s in seeds])
    product = x @ x
    return [
        {"off": float(np.abs(product[i] - x[i] @ x[i]).max()), "trace": float(np.trace(product[i]))}
        for i in range(len(seeds))
    ]


@experiment(
    paper=grid(kind=["fine", "raises", "nan", "memory", "time", "dies"]),
    seeds=Seeds(paper=1),
    time_limit=2.0,
    memory_limit=500.0,
)
def faults(kind: str, seed: int) -> dict[str, float]:
    """Go wrong as asked."""
    if kind == "raises":
        raise RuntimeError("as asked\nin two lines")
    if kind == "memory":
        return {"value": float(np.ones(400_000_000).sum())}
    if kind == "time":
        time.sleep(60)
    if kind == "dies":
        os._exit(7)
    return {"value": float("nan") if kind == "nan" else 1.0 + seed}


@experiment(laptop=grid(part=list(range(20))), seeds=Seeds(laptop=10))
def slow(part: int, seed: int, progress: Progress) -> dict[str, float]:
    """Take a moment, and leave a mark of having run where the tests ask for it."""
    progress.step(1, 2, "halfway")
    time.sleep(float(os.environ.get("TOY_SECONDS", "0.02")))
    if marks := os.environ.get("TOY_MARKS"):
        with (Path(marks) / f"{part}-{seed}").open("a") as file:
            file.write("x")
    return {"value": float(np.random.default_rng([part, seed]).normal() ** 2)}


@artefact()
def costly(n: int) -> dict[str, np.ndarray]:
    """Count how often it is computed."""
    if marks := os.environ.get("TOY_MARKS"):
        with (Path(marks) / f"costly-{n}").open("a") as file:
            file.write("x")
    time.sleep(0.3)
    return {"values": np.arange(n, dtype=float)}


@experiment(smoke=grid(n=[10]), seeds=Seeds(smoke=4))
def shared(n: int, seed: int) -> dict[str, float]:
    """Use the costly thing."""
    return {"value": float(costly(n)["values"][seed])}


@figure(on=draws)
def means(trials: Trials) -> Drawing:
    """Draw the means."""
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.add_subplot(title="Mean")
    axes.plot(trials.frame["seed"], trials.frame["mean"], "o")
    return Drawing(figure, caption="All means are <positive> & sound.", table=trials.frame[["shift", "seed", "mean"]])
