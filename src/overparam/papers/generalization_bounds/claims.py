"""Facts of arXiv 2309.13658; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="generalization-bounds",
    arxiv="2309.13658",
    published=date(2023, 9, 24),
    title="Fantastic Generalization Measures are Nowhere to be Found",
    author_count=4,
    order=15,
    topics=("generalisation",),
    fidelity="paper",
    summary=(
        "Can any measure of a trained network predict its error on new data? Bounds that look at the data and the"
        " network alone cannot be tight for over-parameterised models, and those that know the algorithm face a "
        "trade-off between learning well and being estimable. Assumptions on data and algorithm are needed."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
