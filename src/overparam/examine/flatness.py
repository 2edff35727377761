"""How far the loss rises when the weights are moved a little."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from overparam.examine.bench import Bench
from overparam.examine.section import Section
from overparam.lab.wording import percent, short
from overparam.methods.measures.sharpness import Rise, loss_along, random_directions
from overparam.stats import t_interval

if TYPE_CHECKING:
    from overparam.lab.experiment import Drawing

MOST, DIRECTIONS, RADIUS = 1000, 5, 0.01
RADII = (-0.03, -0.02, -0.01, -0.005, 0.005, 0.01, 0.02, 0.03)
READING = (
    "The weights are moved by a hundredth of their length, in random directions and in the direction of largest "
    "curvature, and the loss is measured again. Flat surroundings in random directions are what nearly every wide "
    "network has; the direction of largest curvature shows how sharp it can get. Sharpness alone does not tell how "
    "well a network generalises: scaling one layer up and the next one down changes it, but not the function."
)


def flatness(bench: Bench, deadline: float, top: Tensor | None) -> Section:
    """Measure the loss along random directions and the top one.

    Args:
        bench: What is examined.
        deadline: Moment of `time.monotonic()`.
        top: (P,) direction of largest curvature, or None.

    Returns:
        Section.
    """
    section = Section("flatness", READING)
    draw = torch.Generator().manual_seed(bench.seed)
    directions = random_directions(bench.model, DIRECTIONS, generator=draw).to(bench.device)
    passes = len(RADII) * (DIRECTIONS + 1) + 1
    n = bench.affordable(
        lambda k: loss_along(bench.model, bench.loss, bench.sample(k), directions[:1], radii=(RADIUS,)),
        time.monotonic() + 2 * (deadline - time.monotonic()) / passes,
        most=min(MOST, len(bench.y)),
    )
    data = bench.sample(n)
    random = loss_along(bench.model, bench.loss, data, directions, radii=RADII)
    rises = t_interval(random.at(RADIUS).clamp(-1e30, 1e30).numpy())
    here = float(random.loss[0, random.radii == 0])
    section.numbers = {"examples": n, "loss": here, "radius": RADIUS, "rise": rises.estimate,
                       "rise_interval": [rises.low, rises.high]}  # fmt: skip
    section.finding = (
        f"The loss is {short(here)}; a step of {percent(RADIUS)} of the weights in a random direction changes it by "
        f"{short(rises.estimate, sign=True)}"
    )
    rows = [random]
    if top is not None and time.monotonic() < deadline:
        along = loss_along(bench.model, bench.loss, data, top[None].to(bench.device), radii=RADII)
        section.numbers["top_rise"] = float(along.at(RADIUS)[0])
        section.finding += f", in the direction of largest curvature by {short(float(along.at(RADIUS)[0]), sign=True)}"
        rows.append(along)
    elif top is None:
        section.cut("The direction of largest curvature was not found.")
    else:
        section.cut("The direction of largest curvature was left out: time was up.")
    section.finding += "."
    section.uncertainty = (
        f"Over {DIRECTIONS} random directions, 95 % interval [{short(rises.low)}, {short(rises.high)}]; on {n:,} "
        "examples."
    )
    section.figures.append(("sharpness", _draw(rows)))
    return section


def _draw(rows: list[Rise]) -> Drawing:
    from matplotlib.figure import Figure

    from overparam.lab.experiment import Drawing
    from overparam.lab.plots import PLOT_COLOURS, label_ends, room_right

    fig = Figure()
    axes = fig.add_subplot()
    ends = {}
    for name, rise, colour in zip(("random", "largest curvature"), rows, PLOT_COLOURS, strict=False):
        x, loss = 100 * rise.radii.numpy(), np.minimum(rise.loss.numpy(), 1e6)
        axes.plot(x, loss.T, color=colour, linewidth=0.7 if len(loss) > 1 else 2.0, alpha=0.45 if len(loss) > 1 else 1)
        if len(loss) > 1:
            axes.plot(x, loss.mean(0), "o-", color=colour)
        ends[name] = float(loss.mean(0)[-1])
    axes.set_title("Loss along directions")
    axes.set_xlabel("distance, % of the length of the weights")
    label_ends(axes, 3.0, ends, subject="largest curvature")
    room_right(axes, 0.5)
    caption = "Loss when the weights are moved. Thin lines: single random directions; with dots: their mean" + (
        "; the other line: the direction of largest curvature." if len(rows) > 1 else "."
    )
    return Drawing(fig, caption)
