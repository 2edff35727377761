"""Facts of arXiv 2205.14083; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="sharpness-free",
    arxiv="2205.14083",
    published=date(2022, 5, 27),
    title="Sharpness-Aware Training for Free",
    author_count=5,
    order=21,
    topics=(
        "optimisation",
        "loss landscape",
    ),
    fidelity="official code",
    code="https://github.com/AngusDujw/SAF",
    summary=(
        "Sharpness-aware minimisation finds flatter minima at twice the cost of a step. Penalising how far the "
        "outputs have moved from those of some epochs ago serves the same end at almost no cost; a variant "
        "compares with an averaged copy of the weights to save memory."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
