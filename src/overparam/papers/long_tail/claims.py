"""Facts of arXiv 1906.05271; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="long-tail",
    arxiv="1906.05271",
    published=date(2019, 6, 12),
    title="Does Learning Require Memorization? A Short Tale about a Long Tail",
    authors=("Vitaly Feldman",),
    author_count=1,
    order=1,
    topics=(
        "memorisation",
        "generalisation",
    ),
    fidelity="reconstruction",
    summary=(
        "Why do networks fit labels that look like noise? When many kinds of example are rare, a learner that "
        "refuses to fit the ones it saw once pays for each of them on new data, and it cannot tell a useful "
        "rarity from a mistake. Limiting memorisation, by privacy or by compression, therefore costs accuracy, "
        "and most on rare groups."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
