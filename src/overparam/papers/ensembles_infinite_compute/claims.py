"""Facts of arXiv 2509.14786; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="ensembles-infinite-compute",
    arxiv="2509.14786",
    published=date(2025, 9, 18),
    title="Pre-training under infinite compute",
    author_count=4,
    order=19,
    topics=(
        "scaling",
        "pretraining",
        "language models",
    ),
    fidelity="official code",
    code="https://github.com/marin-community/marin",
    summary=(
        "What should one do with unlimited compute and a fixed amount of text? Far stronger weight decay makes "
        "the loss fall steadily with model size, and ensembles of smaller models go lower still. Fits of the "
        "limits let recipes be compared by their asymptotes instead of by a single run."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
