"""Facts of arXiv 1710.03667; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="generalization-dynamics",
    arxiv="1710.03667",
    published=date(2017, 10, 10),
    title="High-dimensional dynamics of generalization error in neural networks",
    author_count=2,
    order=11,
    topics=("generalisation",),
    fidelity="paper",
    summary=(
        "Random-matrix theory gives the exact course of training and test error in large linear networks. "
        "Overtraining is worst when there are as many parameters as samples and fades on both sides, since "
        "directions without data stay frozen and small eigenvalues stay away from zero. Small initial weights are"
        " needed to profit."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
