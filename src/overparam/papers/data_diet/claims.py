"""Claims of arXiv 2107.07075: scores taken early in training find the examples that matter."""

from datetime import date

from overparam.lab import Above, AllOf, Below, Claim, Contrast, Departure, Paper

PAPER = Paper(
    slug="data-diet",
    arxiv="2107.07075",
    published=date(2021, 7, 15),
    title="Deep Learning on a Data Diet: Finding Important Examples Early in Training",
    authors=("Mansheej Paul", "Surya Ganguli", "Gintare Karolina Dziugaite"),
    author_count=3,
    comments=0,
    order=27,
    topics=("data pruning",),
    fidelity="official code",
    code="https://github.com/mansheej/data_diet",
    summary="",
)
