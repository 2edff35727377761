"""Facts of arXiv 2212.04458; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="gpicl",
    arxiv="2212.04458",
    published=date(2022, 12, 8),
    title="General-Purpose In-Context Learning by Meta-Learning Transformers",
    author_count=4,
    order=36,
    topics=(
        "few-shot learning",
        "attention",
    ),
    fidelity="paper",
    summary=(
        "A plain transformer, trained on a great many randomly transformed versions of a data set, learns to "
        "learn from the examples in its context, also on data sets it never saw. Memorising tasks, identifying "
        "them and learning in general follow each other as tasks and model size grow, and the accessible memory "
        "matters more than the number of parameters."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
