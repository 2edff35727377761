"""Facts of arXiv 2505.18623; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="neural-compilation",
    arxiv="2505.18623",
    published=date(2025, 5, 24),
    title="Mind The Gap: Deep Learning Doesn't Learn Deeply",
    author_count=2,
    order=7,
    topics=(
        "algorithms",
        "generalisation",
    ),
    fidelity="reconstruction",
    summary=(
        "Graph algorithms are written into the weights of a graph network by hand, so that the network runs them "
        "exactly. Learned weights of the same architecture can then be compared with compiled ones, step by step."
        " Breadth-first search and shortest paths can be learned well or less faithfully; depth-first search, "
        "which is sequential, is not found by training."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
