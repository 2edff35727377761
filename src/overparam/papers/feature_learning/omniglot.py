"""Few-shot learning of characters: networks of several widths, their limit, and kernels, by first-order MAML."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from overparam.data import load
from overparam.lab import Drawing, Progress, Seeds, Trials, experiment, figure, first_available, grid
from overparam.lab.plots import INK_2, PLOT_COLOURS, label_ends, lines_with_band, room_right, unit_on_top
from overparam.methods.fewshot.adaptation import Start
from overparam.methods.fewshot.episodes import TaskSampler
from overparam.methods.fewshot.kernel_maml import KernelStart, gram
from overparam.methods.fewshot.maml import FOMAML
from overparam.methods.scaling.infinite_width import InfiniteLinear
from overparam.methods.scaling.kernel_limit import KernelLimit, Kind
from overparam.models.streams import draw
from overparam.stats import t_interval

WAYS, CHUNK, EACH = 5, 100, 20  # EACH: images of a digit
SHARED = ("Greek", "Latin")  # alphabets of both sets
WEIGHTS, TRAINING, TESTING = 31, 32, 33  # roles that share no random numbers
LIMIT = "limit"
KERNELS: dict[str, Kind] = {"linear kernel": "linear", "ReLU GP": "gp", "ReLU NTK": "ntk"}


@dataclass(frozen=True)
class Recipe:
    """Scales and rates of a model.

    Attributes:
        sigma_u: Scale of the input weights, as in the authors' code for this width.
        sigma_v: Scale of the output weights, likewise.
        bias_mult: Multiplier of the hidden bias, likewise.
        long: Outer learning rate of the authors' code, for 10,000 steps; theirs of kernels is not known to us.
        short: Outer learning rate for a few hundred steps: the best of `long` times powers of two on Korean, left out
            of the characters to train on, after 600 steps with two seeds that no trial uses, among rates whose double
            did not make training break down.
        inner: Rate of the adaptation; for kernels chosen in the same way.
    """

    sigma_u: float = 1.0
    sigma_v: float = 1 / 32
    bias_mult: float = 1.0
    long: float = 0.1
    short: float = 0.2
    inner: float = 0.4


RECIPES = {
    "width 2": Recipe(0.5, 0.5, 2.0, long=0.05),
    "width 8": Recipe(0.5, 0.25, 1.0, short=0.4),
    "width 32": Recipe(1.0, 1 / 8, 0.5, long=0.4, short=0.8),
    "width 128": Recipe(1.0, 1 / 8, 1.0, short=0.4),
    "width 512": Recipe(),
    LIMIT: Recipe(),
    "linear kernel": Recipe(long=0.01, short=0.01, inner=0.04),
    "ReLU GP": Recipe(long=0.01, short=0.01, inner=0.1),
    "ReLU NTK": Recipe(long=0.01, short=0.01, inner=0.04),
}
MOST = [name for name in RECIPES if name != "width 512"]


@experiment(
    smoke=grid(data=["digits"], steps=[15], rates=["short"], tasks=[100], model=MOST),
    laptop=grid(
        data=first_available("omniglot-small", "digits"), steps=[600], rates=["short"], tasks=[1000], model=MOST
    ),
    paper=grid(
        data=first_available("omniglot-small", "digits"), steps=[10_000], rates=["long"], tasks=[1000],
        model=list(RECIPES),
    ),
    seeds=Seeds(smoke=3, laptop=5, paper=10),
    batched=True,
    reads=("data",),
    sabotage="images are dealt out to the classes at random",
    time_limit=86_400.0,
)  # fmt: skip
def omniglot(
    data: str, steps: int, rates: str, tasks: int, model: str, seeds: Sequence[int], progress: Progress,
    sabotage: bool = False,
) -> list[dict[str, Any]]:  # fmt: skip
    """Meta-train on some classes, then adapt to tasks of five other classes with one example each."""
    train, test = (_dealt_out(images) if sabotage else images for images in characters(data))
    recipe, found = RECIPES[model], []
    start = _kernel_start(model, train, test) if model in KERNELS else _network_start(model, train.shape[-1])
    for done, seed in enumerate(seeds):
        sampler = TaskSampler(train, ways=WAYS, generator=draw(TRAINING, seed))
        fresh = TaskSampler(test, ways=WAYS, generator=draw(TESTING, seed))  # the same tasks for every model
        learner = FOMAML(start(seed), inner_lr=recipe.inner)
        losses: list[float] = []
        while len(losses) < steps:
            progress.step(done + len(losses) / steps, len(seeds), model)
            rate = recipe.short if rates == "short" else recipe.long
            losses += learner.fit(sampler, min(CHUNK, steps - len(losses)), rate)
        many, one = (100 * float(learner.evaluate(fresh, tasks, inner_steps=k).mean()) for k in (20, 1))
        found.append({"accuracy": many, "accuracy_one_step": one, "loss": float(np.mean(losses[-CHUNK:]))})
    return found


@functools.lru_cache(maxsize=2)
def characters(data: str) -> tuple[Tensor, Tensor]:
    """Read images of classes to train on, rotations being classes of their own, and of other classes to test on.

    Args:
        data: `omniglot-small` (five alphabets against three others) or `digits` (0 to 4 against 5 to 9).

    Returns:
        Two tensors of shape (classes, images, pixels), ink near 1.
    """
    if data == "digits":
        parts = [load(data, split=split) for split in ("train", "test")]
        images = np.concatenate([part.images[:, 0] for part in parts]) / np.float32(255)
        labels = np.concatenate([part.labels for part in parts])
        drawn = np.stack([images[labels == label][:EACH] for label in range(10)]).astype(np.float32)
        seen, fresh = drawn[:5], drawn[5:]
    else:
        seen, fresh = load(data, subset=1).images, load(data, subset=2, without=SHARED).images
    turned = np.concatenate([np.rot90(seen, k, axes=(2, 3)) for k in range(4)])
    return torch.from_numpy(turned).flatten(2), torch.from_numpy(fresh).flatten(2)


def _dealt_out(images: Tensor) -> Tensor:
    rows = images.flatten(0, 1)
    return rows[torch.randperm(len(rows), generator=draw(0))].view_as(images)


def _network_start(model: str, pixels: int) -> Callable[[int], nn.Module]:
    recipe = RECIPES[model]

    def start(seed: int) -> nn.Module:
        limit = InfiniteLinear(pixels, WAYS, recipe.sigma_u, recipe.sigma_v, recipe.bias_mult)
        return limit if model == LIMIT else limit.sample(int(model.split()[1]), draw(WEIGHTS, seed))

    return start


def _kernel_start(model: str, train: Tensor, test: Tensor) -> Callable[[int], Start]:
    kernel, known, fresh = KernelLimit(KERNELS[model]), train.flatten(0, 1), test.flatten(0, 1)
    values, across = gram(kernel, known), gram(kernel, fresh, known)
    return lambda seed: KernelStart(kernel, known, WAYS, values=values, elsewhere=(fresh, across))


@figure(on=omniglot)
def few_shot_accuracy(trials: Trials) -> Drawing:
    """Accuracy by width, with the limit and the kernels as lines."""
    import matplotlib.pyplot as plt

    arms = [name for name in RECIPES if name in set(trials.frame.model)]
    values = {name: np.array(trials.by_unit("accuracy", {"model": name}, "seed")[1]) for name in arms}
    finite = {int(name.split()[1]): v for name, v in values.items() if name.startswith("width")}
    lines = {name: float(v.mean()) for name, v in values.items() if not name.startswith("width")}
    widths = sorted(finite)
    fig, axes = plt.subplots(figsize=(5.4, 3.6))
    lines_with_band(axes, widths, np.stack([finite[w] for w in widths], 1), colour=PLOT_COLOURS[0])
    axes.set_xscale("log", base=2)
    right = 2 * widths[-1]
    for name, value in lines.items():
        colour = PLOT_COLOURS[0] if name == LIMIT else INK_2
        axes.plot([widths[0], right], [value] * 2, color=colour, linewidth=1.3, dashes=(4, 3))
    axes.set_title("Accuracy on new characters")
    axes.set_xlabel("width of the network")
    axes.set_xticks(widths, [str(w) for w in widths])
    room_right(axes, 0.45)
    unit_on_top(axes, "%")
    label_ends(axes, right, lines, subject=LIMIT)
    best = max((name for name in lines if name != LIMIT), key=lambda name: lines[name])
    last = f"a network of width {widths[-1]} {finite[widths[-1]].mean():.1f} %"
    caption = (
        f"The limit reaches {lines[LIMIT]:.1f} %, {last} and the best kernel, {best}, {lines[best]:.1f} %. Five "
        "classes with one example each, 20 steps of adaptation. Dots: means over seeds with 95 % band, thin: "
        "seeds; dashed: means of the limit and of kernels."
    )
    return Drawing(fig, caption, table=_table(trials, arms))


def _table(trials: Trials, arms: Sequence[str]) -> Any:
    import pandas as pd

    rows = []
    for name in arms:
        row: dict[str, Any] = {"model": name}
        for metric in ("accuracy", "accuracy_one_step"):
            found = t_interval(trials.by_unit(metric, {"model": name}, "seed")[1])
            row |= {metric: found.estimate, f"{metric}_low": found.low, f"{metric}_high": found.high}
        rows.append(row)
    return pd.DataFrame(rows)
