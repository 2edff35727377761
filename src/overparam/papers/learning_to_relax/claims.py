"""Facts of arXiv 2310.02246; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="learning-to-relax",
    arxiv="2310.02246",
    published=date(2023, 10, 3),
    title="Learning to Relax: Setting Solver Parameters Across a Sequence of Linear System Instances",
    author_count=4,
    order=33,
    topics=(
        "numerical linear algebra",
        "hyper-parameters",
    ),
    fidelity="official code",
    code="https://github.com/mkhodak/learning-to-relax",
    summary=(
        "Linear systems often come in sequences, and the relaxation parameter of a solver decides how many "
        "iterations each takes. A bandit that sees only iteration counts comes to do as well as the best fixed "
        "parameter, and with a visible shift of the matrix as well as the best parameter for each system."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
