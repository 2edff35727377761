"""Facts of arXiv 2310.02541; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="xor-grokking",
    arxiv="2310.02541",
    published=date(2023, 10, 3),
    title="Benign Overfitting and Grokking in ReLU Networks for XOR Cluster Data",
    author_count=5,
    order=25,
    topics=(
        "generalisation",
        "optimisation",
    ),
    fidelity="paper",
    summary=(
        "A two-layer network on clusters in the shape of XOR, with some labels flipped, fits all labels after a "
        "single step and is no better than chance on new data. Many steps later it generalises almost perfectly "
        "while still fitting the flipped labels: overfitting that turns benign, and grokking, both proved."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
