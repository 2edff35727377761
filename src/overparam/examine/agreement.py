"""Whether the gradients of single examples agree, now and along training."""

from __future__ import annotations

import math
import time
import warnings
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from overparam.examine.bench import Bench
from overparam.examine.section import Section
from overparam.lab.wording import percent, short
from overparam.methods.measures.coherence import Coherence, coherence
from overparam.methods.measures.gradient_sums import Method
from overparam.stats import t_interval

if TYPE_CHECKING:
    from overparam.lab.experiment import Drawing

MOST, FOLDS, LEAST = 1000, 5, 20
READING = (
    "m-coherence counts on how many of the examples measured a small step on one of them helps, itself included. One "
    "means that each is learned for itself, as random labels have to be; many means that what is learned is shared. It "
    "is highest early in training. Late, when most examples are fitted and gradients are small, a low value is normal "
    "and no sign of memorising: look at the course over checkpoints."
)


def agreement(bench: Bench, deadline: float) -> Section:
    """Measure coherence on disjoint parts of a sample, by layer, and over the checkpoints.

    Args:
        bench: What is examined.
        deadline: Moment of `time.monotonic()`.

    Returns:
        Section.
    """
    section = Section("agreement", READING)
    method = _method(bench)
    rounds = 2 + len(bench.checkpoints)  # the whole, its parts, and each checkpoint
    n = bench.affordable(
        lambda k: [_measure(bench, bench.model, k, 0, method) for _ in range(rounds)],
        deadline, most=min(MOST, len(bench.y)), trial=LEAST,
    )  # fmt: skip
    whole = _measure(bench, bench.model, n, 0, method, per_layer=True)
    section.numbers = {"examples": n, "m_coherence": _finite(whole.m_coherence), "alpha": _finite(whole.alpha_unbiased),
                       "mean_squared_norm": whole.mean_sq_norm}  # fmt: skip
    if math.isnan(whole.alpha):
        section.state, section.reason = "skipped", "all gradients are zero: there is nothing to agree on"
        return section
    section.finding = (
        f"A step on one example helps {short(whole.m_coherence)} of the {n:,} measured, itself included "
        f"(mean squared norm of a gradient: {short(whole.mean_sq_norm)})."
    )
    fold = n // FOLDS
    if fold >= 2:
        parts = [_measure(bench, bench.model, fold, k * fold, method).alpha_unbiased for k in range(FOLDS)]
        if all(map(math.isfinite, parts)):
            interval = t_interval(parts)
            section.numbers["alpha_interval"] = [interval.low, interval.high]
            section.uncertainty = (
                f"The agreement of two different examples, from 0 for none to 1 for full, is "
                f"{short(interval.estimate)} [{short(interval.low)}, {short(interval.high)}]: 95 % interval over "
                f"{FOLDS} disjoint parts of {fold} examples."
            )
    shown = sorted(whole.per_layer.items(), key=lambda kv: -kv[1].mean_sq_norm)[:8]
    section.columns = ("layer", "m-coherence", "share of squared norm")
    section.rows = [
        (name.removeprefix("inner."), short(layer.m_coherence), percent(layer.mean_sq_norm / whole.mean_sq_norm))
        for name, layer in shown
    ]
    if bench.checkpoints:
        _course(section, bench, n, method, deadline)
    return section


def _course(section: Section, bench: Bench, n: int, method: Method, deadline: float) -> None:
    course: list[tuple[str, float]] = []
    for name, model in bench.states():
        if time.monotonic() > deadline:
            section.cut(f"The course ends before {name}: time was up.")
            break
        course.append((name, _measure(bench, model, n, 0, method).m_coherence))
    course = [(name, value) for name, value in course if math.isfinite(value) and value > 0]
    section.numbers["course"] = [{"state": name, "m_coherence": value} for name, value in course]
    if len(course) > 1:
        best = max(course, key=lambda c: c[1])
        section.finding += f" Along training it was highest at {best[0]}, {short(best[1])}."
        section.figures.append(("coherence", _draw(course, n)))


def _draw(course: list[tuple[str, float]], n: int) -> Drawing:
    from matplotlib.figure import Figure

    from overparam.lab.experiment import Drawing
    from overparam.lab.plots import INK_2, PLOT_COLOURS

    fig = Figure()
    axes = fig.add_subplot()
    x = np.arange(len(course))
    values = np.array([v for _, v in course])
    axes.plot(x, values, "o-", color=PLOT_COLOURS[0])
    axes.axhline(1, color=INK_2, linewidth=1.2, dashes=(4, 3))
    axes.set_yscale("log")
    low, high = min(0.8, values.min() * 0.7), max(3.0, values.max() * 1.5)
    axes.set_ylim(low, high)
    ticks = [t for t in (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000) if low <= t <= high]
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axes.set_yticks([], minor=True)
    axes.set_title("m-coherence along training")
    axes.set_xlabel("checkpoint")
    axes.set_xticks(x, [str(k + 1) for k in x[:-1]] + ["now"])
    axes.annotate("each for itself", (0, 1.0), xytext=(0, 4), textcoords="offset points", color=INK_2)
    caption = (
        f"m-coherence goes from {short(values[0])} to {short(values[-1])}. Dots: states of the model on the same {n:,} "
        "examples, logarithmic scale; dashed: gradients that have nothing in common."
    )
    return Drawing(fig, caption)


def _method(bench: Bench) -> Method:
    """The way that works: not every model can be mapped over examples."""
    ways: tuple[Method, ...] = ("auto", "loop")
    for method in ways:
        try:
            _measure(bench, bench.model, 2, 0, method)
        except RuntimeError:
            continue
        return method
    return "loop"


def _measure(
    bench: Bench, model: nn.Module, n: int, start: int, method: Method, *, per_layer: bool = False
) -> Coherence:
    x, y = bench.sample(n, start)
    with warnings.catch_warnings(action="ignore"):  # vanishing gradients are said in words
        return coherence(model, bench.loss, (x, y), method=method, per_layer=per_layer, chunk=_chunk(model))


def _chunk(model: nn.Module) -> int:
    """Examples at a time such that their gradients stay below a gigabyte where they have to be formed."""
    weights = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return max(1, min(256, 2**28 // max(1, weights)))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
