"""Facts of arXiv 2309.04979; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="retrieval-meta",
    arxiv="2309.04979",
    published=date(2023, 9, 10),
    title="Retrieval-Augmented Meta Learning for Low-Resource Text Classification",
    author_count=7,
    order=17,
    topics=(
        "few-shot learning",
        "language models",
    ),
    fidelity="reconstruction",
    summary=(
        "A few-shot text classifier is given passages retrieved from an outside corpus, and learns across tasks "
        "which of them to use and how to fuse them. Knowledge that does not fit into parameters thus makes up for"
        " scarce training data."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
