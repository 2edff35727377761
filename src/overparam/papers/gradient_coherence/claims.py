"""Facts of arXiv 2203.10036; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="gradient-coherence",
    arxiv="2203.10036",
    published=date(2022, 3, 18),
    title="On the Generalization Mystery in Deep Learning",
    authors=("Satrajit Chatterjee", "Piotr Zielinski"),
    author_count=2,
    order=2,
    topics=(
        "generalisation",
        "optimisation",
    ),
    fidelity="paper",
    summary=(
        "Gradient descent generalises, the argument goes, when the gradients of single examples agree. A cheap "
        "scalar measures the agreement; it is high on real labels and low on random ones, and explains early "
        "stopping and resistance to label noise. Robust averages that drop directions of few examples should then"
        " reduce memorisation."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
