"""The curvature of the loss: its largest eigenvalues, where the others lie, and how many stand apart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from overparam.examine.bench import Bench
from overparam.examine.section import Section
from overparam.lab.wording import percent, short, superscript
from overparam.methods.measures.hessian_operator import HessianOperator
from overparam.methods.measures.lanczos import EigenResult, lanczos
from overparam.methods.measures.outliers import count_outliers
from overparam.methods.measures.spectral_density import SpectralDensity, spectral_density

if TYPE_CHECKING:
    from overparam.lab.experiment import Drawing

MOST, LEAST, PRODUCTS = 1000, 64, 200
READING = (
    "Each number is a curvature of the loss in one direction of weight space. Nearly all are close to zero: the loss "
    "is flat there. The few that stand apart are the directions in which training moves, about one fewer than there "
    "are classes. A learning rate above 2 divided by the largest one makes plain gradient descent unstable. Compare "
    "networks only at a similar loss: the numbers shrink as the loss does."
)


def curvature(bench: Bench, deadline: float) -> tuple[Section, Tensor | None]:
    """Find the top of the Hessian's spectrum and its density.

    Args:
        bench: What is examined.
        deadline: Moment of `time.monotonic()`.

    Returns:
        Section, and the direction of the largest eigenvalue if it was found.
    """
    section = Section("curvature", READING)
    k = max(10, bench.classes + 2)
    n = _examples(bench, deadline)
    operator = HessianOperator(bench.model, bench.loss, bench.sample(n))
    k = min(k, operator.shape[0] - 1)
    if k < 1:
        section.state, section.reason = "skipped", "the model has a single weight"
        return section, None
    start = time.monotonic()
    top = lanczos(operator, k, deadline=start + 0.55 * (deadline - start), seed=bench.seed)
    least = lanczos(operator, 1, which="SA", tol=1e-2, max_iter=40, deadline=deadline, seed=bench.seed)
    values = top.values.double()
    section.numbers = {
        "examples": n, "parameters": operator.shape[0], "top": values.tolist(), "residuals": top.residuals.tolist(),
        "converged": top.converged, "smallest": float(least.values[0]), "products": top.n_matvec,
    }  # fmt: skip
    sure = top.residuals.double() <= 0.1 * values.abs().clamp_min(1e-30)
    if not bool(sure[0]):
        section.cut(f"{top.n_matvec} products were not enough for the largest eigenvalue; give more seconds.")
    elif not bool(sure.all()):
        section.cut(f"{int(sure.sum())} of {k} eigenvalues are good to a tenth; give more seconds for the others.")
    words = f"The largest curvature is {short(float(values[0]))}, the smallest {short(float(least.values[0]))}."
    if len(values) > 2 and bool((values > 0).sum() > 1):
        report = count_outliers(values[sure] if int((values[sure] > 0).sum()) > 1 else values, bench.classes or None)
        section.numbers["gap_index"], section.numbers["gap_ratio"] = report.gap_index, report.gap_ratio
        words += f" The widest gap comes after number {report.gap_index}, a factor of {short(report.gap_ratio)}"
        if report.km1_ratio is not None:
            section.numbers["gap_at_classes_minus_one"] = report.km1_ratio
            words += (
                f"; after number {bench.classes - 1}, one fewer than there are classes, it is {short(report.km1_ratio)}"
            )
        words += "."
    section.finding = words
    section.uncertainty = (
        f"On {n:,} examples. The largest eigenvalue is known to {short(float(top.residuals[0]))} for these; another "
        "sample moves it more: see the two halves." if n >= 2 * LEAST else f"On {n:,} examples only."
    )  # fmt: skip
    section.figures.append(("eigenvalues", _draw_top(top, bench.classes)))
    _density(section, operator, deadline, bench.seed)
    _halves(section, bench, n, deadline)
    return section, top.vectors[:, 0] if bool(sure[0]) else None


def _examples(bench: Bench, deadline: float) -> int:
    """As many as leave time for the products that a spectrum takes."""
    probe = torch.ones(sum(p.numel() for p in bench.model.parameters() if p.requires_grad))
    most = min(MOST, len(bench.y))
    trial = min(LEAST, most)
    operator = HessianOperator(bench.model, bench.loss, bench.sample(trial))
    operator.matvec(probe)
    start = time.monotonic()
    operator.matvec(probe)
    each = (time.monotonic() - start) / trial
    return max(trial, min(most, int((deadline - time.monotonic()) / (PRODUCTS * max(each, 1e-9)))))


def _density(section: Section, operator: HessianOperator, deadline: float, seed: int) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        section.cut("The density was left out: time was up.")
        return
    found = spectral_density(
        operator, n_vectors=2, steps=60, log=True, seed=seed, deadline=time.monotonic() + 0.7 * left
    )
    if not found.complete:
        section.cut("The density rests on fewer steps than asked for.")
    edge = float(found.nodes.abs().max()) * 1e-3
    flat = found.share(-edge, edge)
    section.numbers["flat_share"] = flat
    section.finding += f" {percent(flat)} of the spectrum lies within a thousandth of the largest magnitude."
    section.figures.append(("density", _draw_density(found)))


def _halves(section: Section, bench: Bench, n: int, deadline: float) -> None:
    half = n // 2
    if half < LEAST // 2:
        return
    tops = []
    for start in (0, half):
        if time.monotonic() > deadline:
            return
        operator = HessianOperator(bench.model, bench.loss, bench.sample(half, start))
        found = lanczos(operator, 1, tol=1e-2, max_iter=60, deadline=deadline, seed=bench.seed)
        tops.append(float(found.values[0]))
    section.numbers["top_of_halves"] = tops
    section.facts.append(("largest eigenvalue on two halves of the examples", f"{short(tops[0])} and {short(tops[1])}"))


def _draw_top(top: EigenResult, classes: int) -> Drawing:
    from matplotlib.figure import Figure

    from overparam.lab.experiment import Drawing
    from overparam.lab.plots import INK_2, PLOT_COLOURS

    fig = Figure()
    axes = fig.add_subplot()
    values, x = top.values.double().numpy(), np.arange(1, len(top.values) + 1)
    bars = np.abs(top.residuals.double().numpy())
    axes.errorbar(x, values, yerr=bars, fmt="o", color=PLOT_COLOURS[0], elinewidth=1)
    axes.set_title("Largest eigenvalues")
    axes.set_xlabel("number")
    axes.set_ylim(bottom=min(0.0, float((values - bars).min()) * 1.1))
    if 1 < classes <= len(values):
        axes.axvline(classes - 0.5, color=INK_2, linewidth=1.2, dashes=(4, 3))
        axes.annotate(f"{classes} classes − 1", (classes - 0.5, axes.get_ylim()[1]), xytext=(-5, -12),
                      textcoords="offset points", ha="right", color=INK_2)  # fmt: skip
    caption = (
        f"The largest eigenvalue is {short(values[0])}, number {len(values)} is {short(values[-1])}. Dots: eigenvalues "
        "of the Hessian of the mean loss; bars: residuals, within which an eigenvalue lies."
    )
    return Drawing(fig, caption)


def _draw_density(found: SpectralDensity) -> Drawing:
    from matplotlib.figure import Figure

    from overparam.lab.experiment import Drawing
    from overparam.lab.plots import PLOT_COLOURS

    fig = Figure()
    axes = fig.add_subplot()
    grid, density = found.grid.numpy(), found.density.numpy()
    axes.fill_between(grid, density, color=PLOT_COLOURS[0], alpha=0.3, linewidth=0)
    axes.plot(grid, density, color=PLOT_COLOURS[0])
    low, high = int(np.floor(grid.min())), int(np.ceil(grid.max()))
    ticks = list(range(low, high + 1, max(1, (high - low) // 6)))
    axes.set_xticks(ticks, [f"$10^{{{t}}}$" for t in ticks])
    axes.set_title("Share of eigenvalues per decade")
    axes.set_xlabel("magnitude")
    axes.set_ylim(bottom=0)
    peak = grid[int(density.argmax())]
    caption = (
        f"Most eigenvalues have a magnitude near 10{superscript(round(float(peak)))}; the largest stand far to the "
        f"right. Density of the logarithm of the magnitude, from {len(found.nodes)} random vectors; the far left "
        "gathers all that is smaller."
    )
    return Drawing(fig, caption)
