"""Facts of arXiv 2405.10927; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="interaction-basis",
    arxiv="2405.10927",
    published=date(2024, 5, 17),
    title="Using Degeneracy in the Loss Landscape for Mechanistic Interpretability",
    author_count=8,
    order=29,
    topics=(
        "interpretability",
        "loss landscape",
    ),
    fidelity="paper",
    summary=(
        "Networks can compute the same function with many parameters, because activations or gradients are "
        "linearly dependent or units fire together. Counting such freedom gives an effective number of "
        "parameters, and a basis that removes it should show sparser interactions between the features of "
        "neighbouring layers."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
