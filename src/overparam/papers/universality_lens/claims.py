"""Facts of arXiv 2506.07661; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="universality-lens",
    arxiv="2506.07661",
    published=date(2025, 6, 9),
    title="The Universality Lens: Why Even Highly Over-Parametrized Models Learn Well",
    author_count=3,
    order=3,
    topics=("generalisation",),
    fidelity="reconstruction",
    summary=(
        "A Bayesian mixture over a huge class of hypotheses predicts almost as well as the truth, and its regret "
        "depends on the prior weight near the truth instead of the size of the class. This gives one account of "
        "why very large models do not overfit, and suggests Langevin sampling and ensembles of probabilities in "
        "practice."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
