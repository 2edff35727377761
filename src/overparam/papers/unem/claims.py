"""Facts of arXiv 2412.16739; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="unem",
    arxiv="2412.16739",
    published=date(2024, 12, 21),
    title="UNEM: UNrolled Generalized EM for Transductive Few-Shot Learning",
    author_count=6,
    order=18,
    topics=("few-shot learning",),
    fidelity="official code",
    code="https://github.com/ZhouLong0/UNEM-Transductive",
    summary=(
        "Transductive few-shot methods classify all queries together, and depend strongly on a class-balance "
        "weight and a temperature. One generalised expectation-maximisation contains the usual methods; unrolled "
        "into layers it learns these numbers on validation tasks in place of a grid search."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
