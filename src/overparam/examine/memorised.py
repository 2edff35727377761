"""What the model can only know by heart, and what it would not miss."""

from __future__ import annotations

import time

import numpy as np

from overparam.examine.bench import Bench
from overparam.examine.section import Gallery, Section
from overparam.lab.wording import percent
from overparam.methods.measures.knn_memorization import knn_memorization_exact
from overparam.methods.measures.readout import penultimate

SHOWN, MOST, FRACTION, HIGH, LOW = 10, 5000, 0.7, 0.95, 0.05
READING = (
    "Memorisation is how much the chance of getting an example right falls when that example is left out of training. "
    "To measure it on the network itself takes hundreds of trainings; here it is exact for a simpler learner, the "
    "nearest neighbour among the network's features, trained on random 70 % of the examples. Near 1: alone among "
    "strangers, a rarity or a wrong label. Near 0: its neighbours say the same, and it can go with the least loss. "
    "Rarities that are right are worth keeping: networks need them to do well on rare cases."
)


def memorised(bench: Bench, deadline: float) -> Section:
    """Rank examples by memorisation, exactly for the nearest neighbour among the features.

    Args:
        bench: What is examined.
        deadline: Moment of `time.monotonic()`.

    Returns:
        Section.
    """
    section = Section("memorised", READING)
    if not bench.classes:
        section.state, section.reason = "skipped", bench.why_none
        return section
    n = min(MOST, len(bench.y))
    trial = min(512, n)
    start = time.monotonic()
    features, _ = penultimate(bench.model, bench.sample(trial))
    knn_memorization_exact(features.numpy(), bench.y[:trial].numpy(), fraction=FRACTION)
    spent = time.monotonic() - start
    left = deadline - time.monotonic()
    n = int(min(n, max(trial, trial * np.sqrt(max(left, 0.0) / max(spent, 1e-3)))))  # grows as the square
    features, _ = penultimate(bench.model, bench.sample(n))
    y = bench.y[:n].numpy()
    if len(np.unique(y)) < 2:
        section.state, section.reason = "skipped", "all labels in the sample are of one class"
        return section
    found = knn_memorization_exact(features.numpy(), y, fraction=FRACTION)
    p = bench.probabilities
    own = np.zeros(n) if p is None or len(p) < n else p[np.arange(n), y]
    high, low = found >= HIGH, found < LOW
    bench.columns["memorisation"] = np.concatenate([found, np.full(len(bench.y) - n, np.nan)])
    section.finding = (
        f"{int(low.sum()):,} of {n:,} examples ({percent(low.mean())}) follow from the others whichever are drawn; "
        f"{int(high.sum()):,} ({percent(high.mean())}) hardly ever do. On average the nearest neighbour gets "
        f"{percent(1 - found.mean())} of labels right without having seen them."
    )
    section.uncertainty = (
        f"Exact for the nearest neighbour on these {n:,} examples: no sampling error. Features of a network that was "
        "trained on the same labels make it too low, where the network has memorised."
    )
    top, safe = np.lexsort((own, -found))[:SHOWN], np.lexsort((-own, found))
    section.numbers = {
        "examples": n, "mean": float(found.mean()), "memorised": int(high.sum()), "safe": int(low.sum()),
        "top": [_entry(bench, found, int(i)) for i in top],
        "safest": [_entry(bench, found, int(i)) for i in safe[:100]],
    }  # fmt: skip
    section.galleries = [
        Gallery("Most memorised", "Only their own presence makes them right.",
                [bench.card(int(i), bench.name_of(int(y[i])), f"memorised: {found[i]:.2f}") for i in top]),
        Gallery("Safest to drop", "Their neighbours say the same, and the model is sure of them.",
                [bench.card(int(i), bench.name_of(int(y[i])), f"memorised: {found[i]:.2f}") for i in safe[:SHOWN]]),
    ]  # fmt: skip
    if n < min(MOST, len(bench.y)):
        section.cut(f"{n:,} examples were compared in the time given.")
    return section


def _entry(bench: Bench, found: np.ndarray, i: int) -> dict[str, object]:
    return {"position": int(bench.examples.positions[i]), "label": int(bench.y[i]), "memorisation": float(found[i])}
