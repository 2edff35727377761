"""Labels that look wrong: the probability of each label, as seen without it."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from overparam.examine.bench import Bench
from overparam.examine.section import Gallery, Section
from overparam.lab.wording import count, percent
from overparam.methods.measures.readout import leave_one_out, penultimate
from overparam.stats import wilson

SHOWN, DEPTH = 10, 100
READING = (
    "Each example gets the probability of its label from two sources, averaged: the network itself, and a linear "
    "read-out of its features that was fitted to all examples but this one, so that a memorised label cannot speak for "
    "itself. The lowest come first. Look before you change anything: rare but right examples end up here, too."
)
Array = NDArray[np.float64]


def wrong_labels(bench: Bench, deadline: float) -> Section:
    """Rank examples by how unlikely their label is.

    Args:
        bench: What is examined; takes note of the ranking.
        deadline: Moment of `time.monotonic()`.

    Returns:
        Section.
    """
    section = Section("wrong_labels", READING)
    if not bench.classes:
        section.state, section.reason = "skipped", bench.why_none
        return section
    owns, reads, halves, n = list[Array](), list[Array](), list[list[Array]](), len(bench.y)
    now, left = time.monotonic(), 1 + len(bench.checkpoints)
    for _, model in bench.states(newest_first=True):
        if owns and time.monotonic() > deadline:
            section.cut("Earlier states of the model were left out: time was up.")
            break
        until = None if owns else now + 0.8 * (deadline - now) / left  # the first pass sets the number for all
        features, outputs = penultimate(model, bench.sample(n), deadline=until)
        n = len(outputs)
        y = bench.y[:n].numpy()
        own = (np.arange(n), y)
        owns.append(outputs.double().softmax(1).numpy())
        reads.append(leave_one_out(features.numpy(), y, bench.classes))
        if features.shape[1] > 1:
            parts = (features[:, k::2].numpy() for k in (0, 1))
            halves.append([leave_one_out(part, y, bench.classes)[own] for part in parts])
    read: Array = np.mean(reads, axis=0)
    p: Array = (np.mean(owns, axis=0) + read) / 2
    bench.probabilities = p
    bench.columns |= {"label_probability": p[own], "suggested": read.argmax(1).astype(np.float64)}
    _fill(section, bench, p, read, y, halves, len(owns))
    if n < len(bench.y):
        section.cut(f"{n:,} of {len(bench.y):,} examples were scored in the time given.")
    return section


def _fill(
    section: Section, bench: Bench, p: Array, read: Array, y: NDArray[np.int64], halves: list[list[Array]], used: int
) -> None:
    n = len(y)
    order = np.argsort(p[np.arange(n), y], kind="stable")
    mine, guess = read[np.arange(n), y], read.argmax(1)
    # by the read-out alone: a network that has memorised its labels doubts none. An example counts where another class
    # is as likely as that class usually is for its own examples
    usual = np.array([mine[y == c].mean() if (y == c).any() else 1.0 for c in range(bench.classes)])
    doubtful = (guess != y) & (read[np.arange(n), guess] >= usual[guess])
    share = wilson(int(doubtful.sum()), n)
    section.finding = (
        f"{int(doubtful.sum()):,} of {n:,} labels ({percent(share.estimate)}) are doubtful: to the read-out another "
        "class is at least as likely as that class usually is for its own examples."
    )
    section.numbers = {
        "examples": n, "states": used, "doubtful": int(doubtful.sum()),
        "doubtful_share": [share.estimate, share.low, share.high],
        "top": [_entry(bench, p, read, y, int(i)) for i in order[:DEPTH]],
    }  # fmt: skip
    depth = min(DEPTH, n // 10)
    if halves and depth:
        tops = [set(np.argsort(np.mean(h, axis=0), kind="stable")[:depth].tolist()) for h in zip(*halves, strict=True)]
        agreement = len(tops[0] & tops[1]) / depth
        section.numbers["stability"] = agreement
        section.uncertainty = (
            f"Two read-outs, each of one half of the features, share {percent(agreement)} of their {depth} lowest; by "
            f"chance they would share {percent(depth / n)}. The count is cautious, "
            f"the list goes further: it rests on {count(used, 'state')} of the model."
        )
    section.galleries = [Gallery(
        f"The {min(SHOWN, n)} least likely labels",
        "Given label with its probability, and what the read-out says instead.",
        [bench.card(
            int(i), f"given: {bench.name_of(int(y[i]))}, {percent(p[i, y[i]])}",
            f"rather: {_rather(bench, read, y, int(i))}",
        ) for i in order[:SHOWN]],
    )]  # fmt: skip


def _rather(bench: Bench, p: Array, y: NDArray[np.int64], i: int) -> str:
    other = _other(p, y, i)
    return f"{bench.name_of(other)}, {percent(p[i, other])}"


def _other(p: Array, y: NDArray[np.int64], i: int) -> int:
    return int(np.where(np.arange(p.shape[1]) == y[i], -1.0, p[i]).argmax())


def _entry(bench: Bench, p: Array, read: Array, y: NDArray[np.int64], i: int) -> dict[str, object]:
    return {
        "position": int(bench.examples.positions[i]),
        "label": int(y[i]),
        "probability": float(p[i, y[i]]),
        "suggested": _other(read, y, i),
    }
