"""Word vectors by width and in the limit: analogies planted in a text, and Google's on a little of Wikipedia."""

from __future__ import annotations

from typing import Any

import numpy as np

from overparam.lab import Drawing, Seeds, Trials, experiment, figure, first_available, grid
from overparam.lab.plots import INK_2, PLOT_COLOURS, label_ends, lines_with_band, room_right, unit_on_top
from overparam.methods.scaling.word2vec import CBOW, Corpus, InfiniteCBOW, analogy_accuracy
from overparam.models.streams import draw
from overparam.papers.feature_learning.planted import Questions, planted, wikipedia
from overparam.stats import t_interval

MODEL, ORDER = 41, 42  # roles that share no random numbers
LIMIT = "limit"
NEGATIVES = 5
# First learning rates, for each width the best of a grid with seeds that no trial uses: six texts, and two seeds.
PLANTED_RATES = {"width 8": 0.5, "width 32": 0.4, "width 128": 0.35, LIMIT: 0.25}
WIKIPEDIA_RATES = {"width 32": 0.3, "width 128": 0.3, LIMIT: 0.2}
STILL = "input vectors stay where they start, as in a kernel limit"


@experiment(
    smoke=grid(sentences=[80], epochs=[4], model=list(PLANTED_RATES)),
    laptop=grid(sentences=[1000], epochs=[5], model=list(PLANTED_RATES)),
    paper=grid(sentences=[1000], epochs=[5], model=list(PLANTED_RATES)),
    seeds=Seeds(smoke=3, laptop=8, paper=30),
    sabotage=STILL,
)
def words(sentences: int, epochs: int, model: str, seed: int, sabotage: bool = False) -> dict[str, float]:
    """Learn word vectors from a text with planted analogies, and answer them."""
    corpus, questions = planted(sentences, seed)
    settings = {"epochs": epochs, "subsample": 1.0, "lr": PLANTED_RATES[model]}
    return _answer(model, corpus, questions, seed, settings, still=sabotage)


@experiment(
    laptop=grid(data=first_available("wikitext2-small"), vocabulary=[1500], epochs=[3], model=list(WIKIPEDIA_RATES)),
    paper=grid(data=first_available("wikitext2-small"), vocabulary=[6000], epochs=[15], model=list(WIKIPEDIA_RATES)),
    seeds=Seeds(laptop=3, paper=10),
    reads=("data", "word-analogies"),
    sabotage=STILL,
)
def encyclopedia(
    data: str, vocabulary: int, epochs: int, model: str, seed: int, sabotage: bool = False
) -> dict[str, float]:
    """Learn word vectors from a little of Wikipedia, and answer the questions of Google's test that they cover."""
    corpus, questions = wikipedia(vocabulary)
    settings = {"epochs": epochs, "batch": 256, "lr": WIKIPEDIA_RATES[model]}
    return _answer(model, corpus, questions, seed, settings, still=sabotage)


def _answer(
    model: str, corpus: Corpus, questions: Questions, seed: int, settings: dict[str, Any], *, still: bool
) -> dict[str, float]:
    size = len(corpus.words)
    if model == LIMIT:
        vectors: CBOW = InfiniteCBOW(size)
    else:
        vectors = CBOW(size, int(model.split()[1]), generator=draw(MODEL, seed))
    start = analogy_accuracy(vectors.input, questions)
    if not still:
        vectors.fit(corpus, negatives=NEGATIVES, generator=draw(ORDER, seed), **settings)
    return {
        "accuracy": 100 * analogy_accuracy(vectors.input, questions),
        "accuracy_start": 100 * start,
        "questions": float(len(questions)),
    }


@figure(on=words)
def planted_analogies(trials: Trials) -> Drawing:
    """Accuracy on planted analogies, by width."""
    return _by_width(trials, "Planted analogies answered")


@figure(on=encyclopedia)
def covered_analogies(trials: Trials) -> Drawing:
    """Accuracy on Google's analogies, by width."""
    return _by_width(trials, "Google's analogies answered")


def _by_width(trials: Trials, title: str) -> Drawing:
    import matplotlib.pyplot as plt
    import pandas as pd

    names = sorted(set(trials.frame.model) - {LIMIT}, key=lambda name: int(name.split()[1]))
    widths = [int(name.split()[1]) for name in names]
    values = {name: np.array(trials.by_unit("accuracy", {"model": name}, "seed")[1]) for name in (*names, LIMIT)}
    starts = {name: float(np.mean(trials.values("accuracy_start", {"model": name}))) for name in values}
    fig, axes = plt.subplots()
    lines_with_band(axes, widths, np.stack([values[name] for name in names], 1), colour=PLOT_COLOURS[0])
    axes.set_xscale("log", base=2)
    right, top = 2 * widths[-1], float(values[LIMIT].mean())
    axes.plot([widths[0], right], [top] * 2, color=PLOT_COLOURS[0], linewidth=1.3, dashes=(4, 3))
    axes.plot([*widths, right], [starts[n] for n in names] + [starts[LIMIT]], color=INK_2, linewidth=1.3)
    axes.set_title(title)
    axes.set_xlabel("width")
    axes.set_xticks(widths, [str(w) for w in widths])
    axes.set_ylim(-0.06 * axes.get_ylim()[1], 1.06 * axes.get_ylim()[1])  # room for labels at both ends
    room_right(axes, 0.45)
    unit_on_top(axes, "%")
    label_ends(axes, right, {LIMIT: top, "at the start": starts[LIMIT]}, subject=LIMIT)
    said = ", ".join(f"{values[n].mean():.1f} % at {n}" for n in names)
    questions, still = int(trials.rows[0]["questions"]), max(starts.values())
    caption = (
        f"Of {questions:,} questions {top:.1f} % are answered in the limit, {said}. Vectors that stay where they "
        f"start, as in a kernel limit, answer {still:.1f} % at most. Dots: means over seeds with 95 % band, thin: "
        "seeds; dashed: the limit."
    )
    ends = [t_interval(v) for v in values.values()]
    columns = {"accuracy": [e.estimate for e in ends], "low": [e.low for e in ends], "high": [e.high for e in ends]}
    table = pd.DataFrame({"model": list(values), **columns, "at_the_start": list(starts.values())})
    return Drawing(fig, caption, table=table)
