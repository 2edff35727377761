"""Generalisation measures side by side with the straightforward loop, their growth, and the share of each.

The peer computes the same measures with the same definitions as published code does: a copy of the model for each draw
of noise, fresh noise at each halving, a whole pass over the data each time, and a full decomposition wherever a norm is
needed. Run from the repository root: `python benchmarks/generalization_bounds.py`. Equal numbers are asserted before
any timing; the scales of noise, which depend on the draws, within a quarter.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from harness import Result, compare, figure
from torch import Tensor, nn

from overparam import data
from overparam.methods.measures.generalization import compute_measures
from overparam.models.cnn import cnn
from overparam.models.mlp import mlp

State = dict[str, Tensor]
Batches = list[tuple[Tensor, Tensor]]
BATCH = 128
NOISY = ("pacbayes",)


def task(model: nn.Module, shape: Sequence[int], examples: int) -> tuple[State, Batches]:
    """Train a network on images until it fits them, and keep its start."""
    start = {name: w.clone() for name, w in model.state_dict().items()}
    name = "mnist" if data.available("mnist") else "digits"
    images = data.load(name, split="train")
    x = torch.from_numpy(np.array(images.images[:examples], dtype=np.float32)) / 255
    x = nn.functional.interpolate(x, size=tuple(shape[-2:])).expand(-1, shape[0], -1, -1).contiguous()
    y = torch.from_numpy(images.labels[:examples].copy())
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    draw = torch.Generator().manual_seed(1)
    for _ in range(60):
        losses = []
        for rows in torch.randperm(len(y), generator=draw).split(64):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        if sum(losses) / len(losses) < 0.02:
            break
    return start, list(zip(torch.split(x, BATCH), torch.split(y, BATCH), strict=True))


@torch.no_grad()
def loop(model: nn.Module, start: State, batches: Batches) -> dict[str, float]:
    """The same measures, draw by draw."""
    m = sum(len(y) for _, y in batches)
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")]
    moved = [p - start[name] for name, p in model.named_parameters() if name.endswith("weight")]
    flat, far = (torch.cat([w.flatten() for w in ws]) for ws in (weights, moved))
    margins = []
    for x, y in batches:
        logits = model(x)
        right = logits.gather(1, y[:, None])[:, 0]
        margins.append(right - logits.scatter(1, y[:, None], -math.inf).amax(1))
    gamma = float(torch.cat(margins).kthvalue(max(1, m // 10)).values)
    fro = [float(w.norm()) ** 2 for w in weights]
    fro_moved = [float(w.norm()) ** 2 for w in moved]
    spec = [float(torch.linalg.svd(w.flatten(1))[1].max()) ** 2 for w in weights]
    spec_moved = [float(torch.linalg.svd(w.flatten(1))[1].max()) ** 2 for w in moved]
    d, ratio = len(weights), sum(a / b for a, b in zip(fro, spec, strict=True))
    found = {
        "parameters": float(len(flat)),
        "l2": float(flat.norm()),
        "l2_distance": float(far.norm()),
        "param_norm": sum(fro),
        "fro_distance": sum(fro_moved),
        "spec_distance": sum(spec_moved),
        "inverse_margin": gamma**-2,
        "fro_over_spec": ratio,
        "spec_orig_main": math.prod(spec) / gamma**2 * ratio,
        "spec_init_main": math.prod(spec) / gamma**2 * sum(a / b for a, b in zip(fro_moved, spec, strict=True)),
    }
    for kind, squares in (("spec", spec), ("fro", fro)):
        for ending, over in (("", 1.0), ("_over_margin", gamma**2)):
            found[f"{kind}_prod{ending}"] = math.prod(squares) / over
            found[f"{kind}_sum{ending}"] = d * (math.prod(squares) / over) ** (1 / d)
    squared = copy.deepcopy(model)
    for p in squared.parameters():
        p.square_()
    found["path_norm"] = float(squared(torch.ones(1, *batches[0][0].shape[1:])).sum())
    found["path_norm_over_margin"] = found["path_norm"] / gamma**2
    sigma, mag = noise_scale(model, batches, m, magnitude=False), noise_scale(model, batches, m, magnitude=True)
    for ending, r in (("init", far), ("orig", flat)):
        found[f"pacbayes_{ending}"] = float(r @ r) / (4 * sigma**2) + math.log(m / sigma) + 10
        above = 1e-6 + (mag**2 + 1) * float(r @ r) / len(r)
        terms = math.log(above) - (1e-6 + mag**2 * r.square()).log()
        found[f"pacbayes_mag_{ending}"] = float(terms.sum()) / 4 + math.log(m / mag) + 10
    found |= {"pacbayes_flatness": sigma**-2, "pacbayes_mag_flatness": mag**-2}
    return {name: math.sqrt(value / m) for name, value in found.items()}


def noise_scale(model: nn.Module, batches: Batches, m: int, *, magnitude: bool) -> float:
    """Bisection with a fresh copy of the model for every draw."""
    draw = torch.Generator().manual_seed(0)
    accuracy = sum(int((model(x).argmax(1) == y).sum()) for x, y in batches) / m
    low, high, sigma = 0.0, 2.0, 1.0
    for _ in range(15):
        sigma = (low + high) / 2
        reached = []
        for _ in range(10):
            noisy = copy.deepcopy(model)
            for name, p in noisy.named_parameters():
                if name.endswith("weight"):
                    spread = (sigma**2 * p.square() + 1e-6).sqrt() if magnitude else sigma
                    p.add_(torch.randn(p.shape, generator=draw) * spread)
            reached.append(sum(int((noisy(x).argmax(1) == y).sum()) for x, y in batches) / m)
        drop = accuracy - sum(reached) / len(reached)
        if abs(drop - 0.1) < 0.01:
            break
        low, high = (low, sigma) if drop > 0.1 else (sigma, high)
    return sigma


def check(ours: dict[str, float], theirs: dict[str, float]) -> None:
    """Compare all measures."""
    for name, value in theirs.items():
        within = 0.25 if name.startswith(NOISY) else 1e-3
        assert abs(ours[name] - value) <= within * abs(value), (name, ours[name], value)


def against_loop(name: str, model: nn.Module, shape: Sequence[int], examples: int, *, target: float | None) -> Result:
    """Check and time all measures of a network."""
    start, batches = task(model, shape, examples)
    names = list(loop(model, start, batches))

    def ours() -> dict[str, float]:
        return compute_measures(model, start, batches, names=names)

    check(ours(), loop(model, start, batches))
    repeats = 5 if examples <= 2_000 else 3
    return compare(
        name, ours, lambda: loop(model, start, batches), peer_name="draw-by-draw loop", repeats=repeats, target=target
    )


def seconds(function: Callable[[], object]) -> float:
    """Best of three."""
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return min(times)


def shares(model: nn.Module, shape: Sequence[int], examples: int) -> list[Result]:
    """Time of each group of measures as a share of all."""
    start, batches = task(model, shape, examples)
    groups = {
        "norms and margins": ["spec_init_main", "spec_distance", "fro_prod", "param_norm", "l2_distance"],
        "path norm": ["path_norm"],
        "PAC-Bayes": ["pacbayes_init", "pacbayes_orig", "pacbayes_flatness"],
        "PAC-Bayes, magnitude": ["pacbayes_mag_init", "pacbayes_mag_orig", "pacbayes_mag_flatness"],
        "worst-case sharpness": ["sharpness_mag_flatness"],
        "gradient noise": ["gradient_noise_end"],
    }

    def of(names: list[str] | None) -> float:
        return seconds(lambda: compute_measures(model, start, batches, names=names))

    whole = of(None)
    return [figure(f"share of {name}", 100 * of(own) / whole, "%") for name, own in groups.items()]


def main() -> list[Result]:
    """Check, time and compare.

    Returns:
        One result a comparison.
    """
    torch.set_num_threads(1)
    draw = torch.Generator().manual_seed(0)
    image, small = (1, 28, 28), (1, 8, 8)
    results = [
        against_loop("30 measures, perceptron 784-256-256-10, 4,000 images", mlp(784, [256, 256], 10, generator=draw),
                     image, 4_000, target=5.0),
        against_loop("30 measures, small convolutional network, 4,000 images", cnn(1, 10, generator=draw),
                     image, 4_000, target=5.0),
    ]  # fmt: skip
    results += [
        against_loop(f"perceptron, width {width}, 2,000 images", mlp(64, [width, width], 10, generator=draw),
                     small, 2_000, target=None)
        for width in (64, 256, 1024)
    ]  # fmt: skip
    results += [
        against_loop(f"perceptron, width 128, {n:,} images", mlp(64, [128, 128], 10, generator=draw),
                     small, n, target=None)
        for n in (500, 2_000, 8_000)
    ]  # fmt: skip
    return results + shares(mlp(64, [256, 256], 10, generator=draw), small, 2_000)


if __name__ == "__main__":
    main()
