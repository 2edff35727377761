"""Facts of arXiv 2202.08788; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="robust-recovery",
    arxiv="2202.08788",
    published=date(2022, 2, 17),
    title=(
        "Global Convergence of Sub-gradient Method for Robust Matrix Recovery: Small Initialization, Noisy "
        "Measurements, and Over-parameterization"
    ),
    author_count=2,
    order=10,
    topics=(
        "matrix recovery",
        "optimisation",
    ),
    fidelity="paper",
    summary=(
        "A low-rank matrix is recovered from measurements with gross errors by the sub-gradient method on the "
        "absolute loss, with factors wider than the rank. From a small start it converges fast, whatever the "
        "width, and reaches the truth even where the global minimum of the loss is elsewhere."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
