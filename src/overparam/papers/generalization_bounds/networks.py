"""A factorial of small networks with all their measures: what a uniformly tight bound would have to follow."""

from __future__ import annotations

import itertools
from typing import Any

import torch

from overparam.lab import Progress
from overparam.methods.measures.generalization import compute_measures
from overparam.papers.generalization_bounds.setting import (
    LEVEL,
    build,
    error,
    fit,
    generator,
    noisy_error,
    plain,
    read,
    shuffled_labels,
)

Row = dict[str, Any]
AXES = ("width", "depth", "rate", "batch", "decay", "noise")
FACTORIALS: dict[str, dict[str, tuple[float, ...]]] = {
    "2x2x2": {
        "width": (16, 64), "depth": (1,), "rate": (0.01, 0.03), "batch": (32,), "decay": (0.0,), "noise": (0.0, 0.2),
    },
    "2^6": {
        "width": (32, 128), "depth": (1, 3), "rate": (0.01, 0.03), "batch": (16, 64), "decay": (0.0, 5e-4),
        "noise": (0.0, 0.2),
    },
    "3^6": {
        "width": (128, 256, 512), "depth": (1, 2, 3), "rate": (0.003, 0.01, 0.03), "batch": (32, 64, 128),
        "decay": (0.0, 1e-4, 5e-4), "noise": (0.0, 0.1, 0.2),
    },
}  # fmt: skip


def measured_networks(data: str, size: int, factorial: str, rounds: int, seed: int, progress: Progress) -> Row:
    """Train one network a setting and write down settings, gaps and measures as lists.

    Networks that miss the cross-entropy of 0.01 are left out, as in the source. All share one training set and, for the
    same width and depth, one start; networks with label noise share the noisy labels.

    Args:
        data: Data set.
        size: Training examples.
        factorial: Name in `FACTORIALS`.
        rounds: Rounds through the data at most.
        seed: Of everything.
        progress: Hears how far it is.

    Returns:
        Axes, gap and measures (`mu:` and the name) as lists over networks, and how many there are.
    """
    levels, split = FACTORIALS[factorial], read(data, size, seed)
    labels = {s: shuffled_labels(split.y, s, generator(seed, 1)) for s in levels["noise"]}
    table: dict[str, list[float | None]] = {name: [] for name in (*AXES, "gap")}
    shapes = list(itertools.product(levels["width"], levels["depth"], levels["batch"]))
    missed = 0
    for done, (width, depth, batch) in enumerate(shapes):
        progress.step(done, len(shapes), f"width {width:g}, depth {depth:g}, batches of {batch:g}")
        settings = list(itertools.product(levels["rate"], levels["decay"], levels["noise"]))
        name = "mlp" + f"-{int(width)}" * int(depth)
        models = [build(name, split.x, generator(seed, 2, int(width), int(depth))) for _ in settings]
        start = {key: w.clone() for key, w in models[0].state_dict().items()}
        y = torch.stack([labels[noise] for _, _, noise in settings])
        fitted = fit(
            models, split.x, y,
            rates=[s[0] for s in settings], decays=[s[1] for s in settings],
            batch=int(batch), draw=generator(seed, 3, done), rounds=rounds,
        )  # fmt: skip
        for (rate, decay, noise), model, own, losses in zip(settings, fitted.models, y, fitted.losses, strict=True):
            if losses[-1] > LEVEL:
                missed += 1
                continue
            by_step = [loss for loss in losses for _ in range(fitted.steps)]
            found = compute_measures(model, start, (split.x, own), seed=seed, history={"cross_entropy": by_step})
            gap = noisy_error(error(model, split.pool, split.pool_y), noise) - error(model, split.x, own)
            row = dict(zip(AXES, (width, depth, rate, batch, decay, noise), strict=True)) | {"gap": gap}
            for key, value in (row | plain(found, "mu:")).items():
                table.setdefault(key, []).append(value)
    return {**table, "networks": len(table["gap"]), "missed": missed}
